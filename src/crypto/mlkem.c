// SPDX-License-Identifier: Apache-2.0
// ML-KEM after FIPS 203, in the time of its sizes only: no branch and no index depends on a secret,
// and there is no division.
//
//     initiator                              responder
//     seed -> ek, dk                                                 mlkem_expand
//               ---- ek ---->   m -> (K, r) = G(m | H(ek))
//                               c = encrypt(ek, m, r)                own_answer
//               <---- c -----   keeps K
//     m' = decrypt(dk, c); (K', r') = G(m' | H(ek))
//     K' if encrypt(ek, m', r') is c, else J(z | c)                  mlkem_decapsulate
//
// Polynomials have 256 coefficients modulo q = 3329 and are multiplied as values of the number
// theoretic transform (NTT). A coefficient is below q wherever nothing else is said. Hashes are
// OpenSSL's. A build may define MLKEM_PUBLIC(at, size): it is told what is derived from secrets and
// yet public, so that a checker of constant time does not trip over it.
#include "crypto/mlkem.h"
#include "crypto/internal.h"
#include <assert.h>

#ifndef MLKEM_PUBLIC
#define MLKEM_PUBLIC(at, size) ((void)0)
#endif

enum {
    N = 256,
    Q = 3329,
    ETA2 = 2,
    SYMBOL = 32,        // bytes of a seed or hash
    POLY_SIZE = 384,    // written with 12 bits a coefficient
    NOISE_MAX = 64 * 3, // bytes that eta = 3 takes
    STREAM_BLOCK = 168, // of SHAKE128
    STREAM_USUAL = 3 * STREAM_BLOCK,
    STREAM_MAX = 12 * STREAM_BLOCK,
};

static const struct mlkem mlkem_sets[] = {
    // clang-format off
    {KE_ML_KEM_512,  2, 3, 10, 4,  800, 1632,  768, "ML-KEM-512"},
    {KE_ML_KEM_768,  3, 2, 10, 4, 1184, 2400, 1088, "ML-KEM-768"},
    {KE_ML_KEM_1024, 4, 2, 11, 5, 1568, 3168, 1568, "ML-KEM-1024"},
    // clang-format on
};

// FIPS 203 appendix A: 17 to the power of i with its seven bits reversed, modulo q.
static const uint16_t zetas[128] = {
    // clang-format off
       1, 1729, 2580, 3289, 2642,  630, 1897,  848, 1062, 1919,  193,  797, 2786, 3260,  569, 1746,
     296, 2447, 1339, 1476, 3046,   56, 2240, 1333, 1426, 2094,  535, 2882, 2393, 2879, 1974,  821,
     289,  331, 3253, 1756, 1197, 2304, 2277, 2055,  650, 1977, 2513,  632, 2865,   33, 1320, 1915,
    2319, 1435,  807,  452, 1438, 2868, 1534, 2402, 2647, 2617, 1481,  648, 2474, 3110, 1227,  910,
      17, 2761,  583, 2649, 1637,  723, 2288, 1100, 1409, 2662, 3281,  233,  756, 2156, 3015, 3050,
    1703, 1651, 2789, 1789, 1847,  952, 1461, 2687,  939, 2308, 2437, 2388,  733, 2337,  268,  641,
    1584, 2298, 2037, 3220,  375, 2549, 2090, 1645, 1063,  319, 2773,  757, 2099,  561, 2466, 2594,
    2804, 1092,  403, 1026, 1143, 2150, 2775,  886, 1722, 1212, 1874, 1029, 2110, 2935,  885, 2154,
    // clang-format on
};

struct poly {
    uint16_t at[N];
};

// All that one operation computes with, so that it is wiped at once.
struct work {
    const struct mlkem *set;
    EVP_MD_CTX *md;
    struct poly row[MLKEM_K_MAX];    // of the matrix, or the decoded vector of a key or ciphertext
    struct poly vector[MLKEM_K_MAX]; // s or y, transformed
    struct poly sum, noise;
    uint8_t random[NOISE_MAX];
    uint8_t hash[2 * SYMBOL]; // rho | sigma, or K | r
    uint8_t message[SYMBOL];
    uint8_t rejected[MLKEM_SHARED];
    uint8_t again[MLKEM_CT_MAX];
};

static void work_begin(struct work *work, const struct mlkem *set)
{
    work->set = set;
    crypto_must((work->md = EVP_MD_CTX_new()) != NULL);
}

static void work_end(struct work *work)
{
    EVP_MD_CTX_free(work->md);
    memory_wipe(work, sizeof *work);
}

// size: of the output, which the digests that have a fixed one must be asked for.
static void hash(struct work *work, enum md_id id, struct bytes_list data, uint8_t *out,
                 size_t size)
{
    crypto_must(EVP_DigestInit_ex2(work->md, crypto_md(id), NULL) == 1);
    for (size_t i = 0; i < data.count; i++)
        crypto_must(EVP_DigestUpdate(work->md, data.at[i].at, data.at[i].size) == 1);
    bool extendable = id == MD_SHAKE128 || id == MD_SHAKE256;
    crypto_must((extendable ? EVP_DigestFinalXOF(work->md, out, size)
                            : EVP_DigestFinal_ex(work->md, out, NULL)) == 1);
}

// The compiler knows nothing about the value any more, and so makes no branch of what is done with
// it.
static inline uint32_t hidden(uint32_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

// The reciprocal exceeds 2^40 / q by less than 1, so the quotient is right as long as the value is
// below 2^40 / q.
static const uint64_t reciprocal = ((UINT64_C(1) << 40) + Q - 1) / Q;
enum { REDUCE_LIMIT = 1 << 28 };
_Static_assert((UINT64_C(1) << 40) / Q > REDUCE_LIMIT, "the quotient is exact");
_Static_assert(2 * MLKEM_K_MAX * Q * Q < REDUCE_LIMIT, "a product of vectors is reduced once");

static inline uint32_t quotient(uint32_t value)
{
    return (uint32_t)(value * reciprocal >> 40);
}

static inline uint16_t reduce(uint32_t value)
{
    return (uint16_t)(value - Q * quotient(value));
}

// FIPS 203 algorithm 9. Each of the seven layers adds less than q, so sums need not be reduced
// before the end.
static void poly_transform(struct poly *f)
{
    _Static_assert(8 * Q <= UINT16_MAX && 8 * Q * Q < REDUCE_LIMIT, "seven layers fit");
    const uint16_t *zeta = zetas;
    for (size_t size = N / 2; size >= 2; size /= 2) {
        for (size_t start = 0; start < N; start += 2 * size) {
            zeta++;
            for (size_t i = start; i < start + size; i++) {
                uint16_t turned = reduce((uint32_t)*zeta * f->at[i + size]);
                f->at[i + size] = (uint16_t)(f->at[i] + Q - turned);
                f->at[i] = (uint16_t)(f->at[i] + turned);
            }
        }
    }
    for (size_t i = 0; i < N; i++) f->at[i] = reduce(f->at[i]);
}

// FIPS 203 algorithm 10.
static void poly_transform_back(struct poly *f)
{
    enum { INVERSE_OF_128 = 3303 };
    const uint16_t *zeta = zetas + 128;
    for (size_t size = 2; size <= N / 2; size *= 2) {
        for (size_t start = 0; start < N; start += 2 * size) {
            zeta--;
            for (size_t i = start; i < start + size; i++) {
                uint32_t low = f->at[i], high = f->at[i + size];
                f->at[i] = reduce(low + high);
                f->at[i + size] = reduce(*zeta * (high + Q - low));
            }
        }
    }
    for (size_t i = 0; i < N; i++) f->at[i] = reduce((uint32_t)f->at[i] * INVERSE_OF_128);
}

static void poly_add(struct poly *sum, const struct poly *other)
{
    for (size_t i = 0; i < N; i++) sum->at[i] = reduce((uint32_t)sum->at[i] + other->at[i]);
}

// FIPS 203 algorithms 11 and 12: transformed vectors are multiplied as pairs modulo x^2 - g, where
// g is the zeta of the last layer for every other pair and its negative for those between.
static void vector_multiply(const struct poly *a, const struct poly *b, size_t k, struct poly *out)
{
    for (size_t i = 0; i < N; i += 2) {
        uint32_t zeta = zetas[64 + i / 4], g = i % 4 ? Q - zeta : zeta, low = 0, high = 0;
        for (size_t j = 0; j < k; j++) {
            uint32_t a0 = a[j].at[i], a1 = a[j].at[i + 1], b0 = b[j].at[i], b1 = b[j].at[i + 1];
            low += a0 * b0 + g * reduce(a1 * b1);
            high += a0 * b1 + a1 * b0;
        }
        out->at[i] = reduce(low);
        out->at[i + 1] = reduce(high);
    }
}

// FIPS 203 4.2.1: rounded to d bits; 12 bits are the coefficient itself.
static uint32_t compress(uint32_t value, unsigned d)
{
    return d == 12 ? value : quotient((value << d) + Q / 2) & ((1u << d) - 1);
}

static uint32_t decompress(uint32_t value, unsigned d)
{
    return d == 12 ? value : (value * Q + (1u << (d - 1))) >> d;
}

// FIPS 203 algorithm 5 on compressed coefficients: d bits each, the lowest first; 32 d bytes.
static void poly_write(const struct poly *f, unsigned d, uint8_t *out)
{
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < N; i++) {
        held |= compress(f->at[i], d) << bits;
        for (bits += d; bits >= 8; bits -= 8, held >>= 8) *out++ = (uint8_t)held;
    }
}

// FIPS 203 algorithm 6. With 12 bits a coefficient can be q or more: see key_is_reduced().
static void poly_read(struct poly *f, unsigned d, const uint8_t *in)
{
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < N; i++) {
        for (; bits < d; bits += 8) held |= (uint32_t)*in++ << bits;
        f->at[i] = (uint16_t)decompress(held & ((1u << d) - 1), d);
        held >>= d;
        bits -= d;
    }
}

static void vector_write(const struct poly *vector, size_t k, unsigned d, uint8_t *out)
{
    for (size_t i = 0; i < k; i++) poly_write(&vector[i], d, out + 32 * d * i);
}

static void vector_read(struct poly *vector, size_t k, unsigned d, const uint8_t *in)
{
    for (size_t i = 0; i < k; i++) poly_read(&vector[i], d, in + 32 * d * i);
}

// FIPS 203 algorithm 7 on the stream's first bytes. Public, like the matrix: what it takes may show
// in its time.
static bool poly_sample(struct poly *f, const uint8_t *stream, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i + 3 <= size && count < N; i += 3) {
        uint32_t pair = stream[i] | (uint32_t)stream[i + 1] << 8 | (uint32_t)stream[i + 2] << 16;
        uint16_t first = pair & 0xfff, second = (uint16_t)(pair >> 12);
        if (first < Q) f->at[count++] = first;
        if (second < Q && count < N) f->at[count++] = second;
    }
    return count == N;
}

// One entry of the matrix. The usual length falls short for one seed in a hundred; that the longer
// one does has a chance below 2^-1700, so nobody will ever find such a seed and send it to us.
static void matrix_entry(struct work *work, const uint8_t *rho, size_t column, size_t row,
                         struct poly *out)
{
    uint8_t stream[STREAM_MAX], place[2] = {(uint8_t)column, (uint8_t)row};
    struct bytes_list seed = PIECES(bytes_of(rho, SYMBOL), BYTES_ARRAY(place));
    hash(work, MD_SHAKE128, seed, stream, STREAM_USUAL);
    if (poly_sample(out, stream, STREAM_USUAL)) return;
    hash(work, MD_SHAKE128, seed, stream, STREAM_MAX);
    bool full = poly_sample(out, stream, STREAM_MAX);
    assert(full);
    (void)full;
}

static uint32_t ones(uint32_t bits)
{
    return (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1);
}

// FIPS 203 algorithm 8: the difference of two sums of eta random bits, as coefficients modulo q.
static void poly_noise(struct work *work, const uint8_t *seed, uint8_t number, unsigned eta,
                       struct poly *out)
{
    uint32_t held = 0, mask = (1u << eta) - 1;
    unsigned bits = 0;
    const uint8_t *in = work->random;
    hash(work, MD_SHAKE256, PIECES(bytes_of(seed, SYMBOL), bytes_of(&number, 1)), work->random,
         64 * (size_t)eta);
    for (size_t i = 0; i < N; i++) {
        for (; bits < 2 * eta; bits += 8) held |= (uint32_t)*in++ << bits;
        out->at[i] = reduce(ones(held & mask) + Q - ones(held >> eta & mask));
        held >>= 2 * eta;
        bits -= 2 * eta;
    }
}

static void vector_noise(struct work *work, const uint8_t *seed)
{
    for (size_t i = 0; i < work->set->k; i++) {
        poly_noise(work, seed, (uint8_t)i, work->set->eta1, &work->vector[i]);
        poly_transform(&work->vector[i]);
    }
}

// FIPS 203 algorithm 13: t = A s + e. Writes t | rho to ek and s to dk.
static void key_make(struct work *work, const uint8_t *d, uint8_t *ek, uint8_t *dk)
{
    uint8_t k = work->set->k, *rho = work->hash, *sigma = work->hash + SYMBOL;
    hash(work, MD_SHA3_512, PIECES(bytes_of(d, SYMBOL), bytes_of(&k, 1)), work->hash,
         sizeof work->hash);
    MLKEM_PUBLIC(rho, SYMBOL);
    vector_noise(work, sigma);
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) matrix_entry(work, rho, j, i, &work->row[j]);
        vector_multiply(work->row, work->vector, k, &work->sum);
        poly_noise(work, sigma, (uint8_t)(k + i), work->set->eta1, &work->noise);
        poly_transform(&work->noise);
        poly_add(&work->sum, &work->noise);
        poly_write(&work->sum, 12, ek + POLY_SIZE * i);
    }
    memcpy(ek + POLY_SIZE * k, rho, SYMBOL);
    vector_write(work->vector, k, 12, dk);
    MLKEM_PUBLIC(ek, work->set->ek_size);
}

// FIPS 203 algorithm 14: u = A^T y + e1, v = t y + e2 + message, both rounded.
static void message_encrypt(struct work *work, const uint8_t *ek, const uint8_t *message,
                            const uint8_t *r, uint8_t *ct)
{
    const struct mlkem *set = work->set;
    size_t k = set->k;
    vector_noise(work, r);
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) matrix_entry(work, ek + POLY_SIZE * k, i, j, &work->row[j]);
        vector_multiply(work->row, work->vector, k, &work->sum);
        poly_transform_back(&work->sum);
        poly_noise(work, r, (uint8_t)(k + i), ETA2, &work->noise);
        poly_add(&work->sum, &work->noise);
        poly_write(&work->sum, set->du, ct + 32 * (size_t)set->du * i);
    }
    vector_read(work->row, k, 12, ek);
    vector_multiply(work->row, work->vector, k, &work->sum);
    poly_transform_back(&work->sum);
    poly_noise(work, r, (uint8_t)(2 * k), ETA2, &work->noise);
    poly_add(&work->sum, &work->noise);
    poly_read(&work->noise, 1, message);
    poly_add(&work->sum, &work->noise);
    poly_write(&work->sum, set->dv, ct + 32 * (size_t)set->du * k);
}

// FIPS 203 algorithm 15: the message is what v - s u is closer to, bit by bit.
static void message_decrypt(struct work *work, const uint8_t *dk, const uint8_t *ct,
                            uint8_t *message)
{
    const struct mlkem *set = work->set;
    vector_read(work->vector, set->k, set->du, ct);
    for (size_t i = 0; i < set->k; i++) poly_transform(&work->vector[i]);
    vector_read(work->row, set->k, 12, dk);
    vector_multiply(work->row, work->vector, set->k, &work->sum);
    poly_transform_back(&work->sum);
    poly_read(&work->noise, set->dv, ct + 32 * (size_t)set->du * set->k);
    for (size_t i = 0; i < N; i++)
        work->sum.at[i] = reduce(work->noise.at[i] + (uint32_t)Q - work->sum.at[i]);
    poly_write(&work->sum, 1, message);
}

// FIPS 203 7.2: an encapsulation key is taken only if all its coefficients are below q.
static bool key_is_reduced(const struct mlkem *set, const uint8_t *ek)
{
    for (size_t i = 0; i < set->k; i++) {
        struct poly t;
        poly_read(&t, 12, ek + POLY_SIZE * i);
        for (size_t j = 0; j < N; j++)
            if (t.at[j] >= Q) return false;
    }
    return true;
}

// FIPS 203 algorithm 16: dk is s | ek | H(ek) | z.
void mlkem_expand(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], uint8_t *ek, uint8_t *dk)
{
    struct work work;
    uint8_t *place = dk + POLY_SIZE * (size_t)set->k;
    work_begin(&work, set);
    key_make(&work, seed, ek, dk);
    memcpy(place, ek, set->ek_size);
    hash(&work, MD_SHA3_256, PIECES(bytes_of(ek, set->ek_size)), place + set->ek_size, SYMBOL);
    memcpy(place + set->ek_size + SYMBOL, seed + SYMBOL, SYMBOL);
    work_end(&work);
}

// FIPS 203 algorithm 18: the comparison and the choice after it take the same time either way.
void mlkem_decapsulate(const struct mlkem *set, const uint8_t *dk, const uint8_t *ct,
                       uint8_t shared[MLKEM_SHARED])
{
    const uint8_t *ek = dk + POLY_SIZE * (size_t)set->k, *h = ek + set->ek_size, *z = h + SYMBOL;
    struct work work;
    work_begin(&work, set);
    message_decrypt(&work, dk, ct, work.message);
    hash(&work, MD_SHA3_512, PIECES(BYTES_ARRAY(work.message), bytes_of(h, SYMBOL)), work.hash,
         sizeof work.hash);
    hash(&work, MD_SHAKE256, PIECES(bytes_of(z, SYMBOL), bytes_of(ct, set->ct_size)), work.rejected,
         MLKEM_SHARED);
    message_encrypt(&work, ek, work.message, work.hash + SYMBOL, work.again);

    uint32_t differing = 0;
    for (size_t i = 0; i < set->ct_size; i++) differing |= (uint32_t)(ct[i] ^ work.again[i]);
    uint32_t taken = hidden((differing - 1) >> 31) * 0xff; // all ones when nothing differs
    for (size_t i = 0; i < MLKEM_SHARED; i++)
        shared[i] = (uint8_t)((work.hash[i] & taken) | (work.rejected[i] & ~taken));
    work_end(&work);
}

static bool own_has(const struct mlkem *set)
{
    (void)set;
    return crypto_md(MD_SHA3_256) && crypto_md(MD_SHA3_512) && crypto_md(MD_SHAKE128) &&
           crypto_md(MD_SHAKE256);
}

static void own_make(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], uint8_t *ek)
{
    uint8_t dk[MLKEM_DK_MAX];
    mlkem_expand(set, seed, ek, dk);
    memory_wipe(dk, sizeof dk);
}

// FIPS 203 algorithm 17.
static bool own_answer(const struct mlkem *set, const uint8_t *ek,
                       const uint8_t message[MLKEM_MESSAGE], uint8_t *ct,
                       uint8_t shared[MLKEM_SHARED])
{
    if (!key_is_reduced(set, ek)) return false;
    struct work work;
    uint8_t h[SYMBOL];
    work_begin(&work, set);
    hash(&work, MD_SHA3_256, PIECES(bytes_of(ek, set->ek_size)), h, sizeof h);
    hash(&work, MD_SHA3_512, PIECES(bytes_of(message, SYMBOL), BYTES_ARRAY(h)), work.hash,
         sizeof work.hash);
    message_encrypt(&work, ek, message, work.hash + SYMBOL, ct);
    memcpy(shared, work.hash, MLKEM_SHARED);
    work_end(&work);
    return true;
}

static void own_share(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], const uint8_t *ct,
                      uint8_t shared[MLKEM_SHARED])
{
    uint8_t ek[MLKEM_EK_MAX], dk[MLKEM_DK_MAX];
    mlkem_expand(set, seed, ek, dk);
    mlkem_decapsulate(set, dk, ct, shared);
    memory_wipe(dk, sizeof dk);
}

const struct mlkem_maker mlkem_own = {"own", own_has, own_make, own_answer, own_share};

const struct mlkem *mlkem_of(uint16_t ke)
{
    for (size_t i = 0; i < sizeof mlkem_sets / sizeof mlkem_sets[0]; i++)
        if (mlkem_sets[i].ke == ke) return &mlkem_sets[i];
    return NULL;
}

const struct mlkem_maker *mlkem_maker(const struct mlkem *set)
{
    return mlkem_evp.has(set) ? &mlkem_evp : mlkem_own.has(set) ? &mlkem_own : NULL;
}
