// SPDX-License-Identifier: Apache-2.0
// Proposals as people write and read them: keywords to transforms and back, and the secure
// defaults.
//
//     aes128-aes256-sha256-x25519-ke1_mlkem768
//        keywords -> transforms, in any order
//        complete: what goes without saying is added or taken out, what is missing is a fault
//        sorted by type, so that printing and reading again gives the same
#include "model/proposal.h"
#include <stdio.h>
#include <strings.h>

enum { FOR_IKE = 1, FOR_ESP = 2, FOR_AH = 4, FOR_ALL = 7, GOOD = 0, WEAK = 1 };

struct algorithm {
    const char *keyword;
    struct transform transform;
    uint8_t uses; // FOR_…
    uint8_t weak;
    uint16_t prf; // of an integrity algorithm: the PRF that goes with it
};

// clang-format off
static const struct algorithm algorithms[] = {
#define ALG_ENCR(keyword, id, bits, key, salt, iv, block, icv, uses, strength) \
    {keyword, {TRANSFORM_ENCR, ENCR_##id, bits}, uses, strength, 0},
#define ALG_INTEG(keyword, id, key, icv, prf, uses, strength) \
    {keyword, {TRANSFORM_INTEG, INTEG_##id, 0}, uses, strength, PRF_##prf},
#define ALG_PRF(keyword, id, key, output, fixed, strength) \
    {keyword, {TRANSFORM_PRF, PRF_##id, 0}, FOR_ALL, strength, 0},
#define ALG_KE(keyword, id, public, answer, shared, kem, strength) \
    {keyword, {TRANSFORM_KE, KE_##id, 0}, FOR_ALL, strength, 0},
#define ALG_SN(keyword, id) \
    {keyword, {TRANSFORM_SN, SN_##id, 0}, FOR_ESP | FOR_AH, GOOD, 0},
#include "model/alg.def"
    // RFC 7296 2.18: a child may do without a key exchange, an IKE SA may not.
    {"none", {TRANSFORM_KE, KE_NONE, 0}, FOR_ESP | FOR_AH, GOOD, 0},
};

static const struct {
    const char *alias, *keyword;
} aliases[] = {
#define ALG_ALIAS(alias, keyword) {alias, keyword},
#include "model/alg.def"
};

// The order in which types are kept and printed; the mirror of how people write them.
static const uint8_t type_order[] = {
    TRANSFORM_ENCR,   TRANSFORM_INTEG,  TRANSFORM_PRF,    TRANSFORM_KE,
    TRANSFORM_ADDKE1, TRANSFORM_ADDKE2, TRANSFORM_ADDKE3, TRANSFORM_ADDKE4,
    TRANSFORM_ADDKE5, TRANSFORM_ADDKE6, TRANSFORM_ADDKE7, TRANSFORM_SN,
};
// clang-format on

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_addke(uint8_t type)
{
    return type >= TRANSFORM_ADDKE1 && type <= TRANSFORM_ADDKE7;
}

static const struct algorithm *algorithm_of(struct transform transform)
{
    // RFC 9370 2.2.2: additional key exchanges have the numbers of the first one.
    if (is_addke(transform.type)) transform.type = TRANSFORM_KE;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        const struct transform *at = &algorithms[i].transform;
        if (at->type == transform.type && at->id == transform.id &&
            at->key_bits == transform.key_bits)
            return &algorithms[i];
    }
    return NULL;
}

const char *transform_keyword(struct transform transform)
{
    const struct algorithm *algorithm = algorithm_of(transform);
    return algorithm ? algorithm->keyword : NULL;
}

bool transform_is_weak(struct transform transform)
{
    if (transform.type == TRANSFORM_INTEG && transform.id == INTEG_NONE) return false;
    const struct algorithm *algorithm = algorithm_of(transform);
    return !algorithm || algorithm->weak;
}

// --- Reading

static bool keyword_is(struct bytes text, const char *keyword)
{
    return text.size == strlen(keyword) &&
           strncasecmp((const char *)text.at, keyword, text.size) == 0;
}

static uint8_t use_of(enum iana_protocol protocol)
{
    return protocol == PROTOCOL_IKE ? FOR_IKE : protocol == PROTOCOL_ESP ? FOR_ESP : FOR_AH;
}

// A keyword may stand for one algorithm here and for another there, as aes128gmac does in ESP and
// AH.
static enum fault keyword_find(struct bytes text, uint8_t use, struct transform *transform)
{
    for (size_t i = 0; i < COUNT(aliases); i++)
        if (keyword_is(text, aliases[i].alias)) text = bytes_of_text(aliases[i].keyword);
    enum fault fault = FAULT_PROPOSAL_KEYWORD;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        if (!keyword_is(text, algorithms[i].keyword)) continue;
        *transform = algorithms[i].transform;
        if (algorithms[i].uses & use) return OK;
        fault = FAULT_PROPOSAL_MISPLACED;
    }
    return fault;
}

// "ke1_mlkem768" … "ke7_none" name additional key exchanges.
static enum fault keyword_parse(struct bytes text, enum iana_protocol protocol,
                                struct transform *transform)
{
    bool additional = text.size > 4 && strncasecmp((const char *)text.at, "ke", 2) == 0 &&
                      text.at[2] >= '1' && text.at[2] <= '7' && text.at[3] == '_';
    if (!additional) return keyword_find(text, use_of(protocol), transform);
    TRY(keyword_find(bytes_of(text.at + 4, text.size - 4), FOR_ALL, transform));
    if (transform->type != TRANSFORM_KE) return FAULT_PROPOSAL_KEYWORD;
    transform->type = (uint8_t)(TRANSFORM_ADDKE1 + text.at[2] - '1');
    return OK;
}

static bool transform_equal(const struct transform *a, const struct transform *b)
{
    return a->type == b->type && a->id == b->id && a->key_bits == b->key_bits;
}

static enum fault transform_add(struct proposal *proposal, struct transform transform)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (transform_equal(&proposal->at[i], &transform)) return OK;
    if (proposal->count == PROPOSAL_TRANSFORMS_MAX) return FAULT_PROPOSAL_TOO_LONG;
    proposal->at[proposal->count++] = transform;
    return OK;
}

static bool proposal_has(const struct proposal *proposal, uint8_t type)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == type) return true;
    return false;
}

static void proposal_drop(struct proposal *proposal, uint8_t type)
{
    uint8_t kept = 0;
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type != type) proposal->at[kept++] = proposal->at[i];
    proposal->count = kept;
}

static void proposal_sort(struct proposal *proposal)
{
    struct proposal sorted = *proposal;
    sorted.count = 0;
    for (size_t t = 0; t < COUNT(type_order); t++)
        for (size_t i = 0; i < proposal->count; i++)
            if (proposal->at[i].type == type_order[t]) sorted.at[sorted.count++] = proposal->at[i];
    *proposal = sorted;
}

// Without a PRF of its own a proposal takes those that its integrity algorithms are built on.
static enum fault proposal_add_prfs(struct proposal *proposal)
{
    if (proposal_has(proposal, TRANSFORM_PRF)) return OK;
    size_t count = proposal->count;
    for (size_t i = 0; i < count; i++) {
        const struct algorithm *algorithm = algorithm_of(proposal->at[i]);
        if (proposal->at[i].type == TRANSFORM_INTEG && algorithm && algorithm->prf)
            TRY(transform_add(proposal, (struct transform){TRANSFORM_PRF, algorithm->prf, 0}));
    }
    return OK;
}

// RFC 7296 3.3: combined-mode ciphers and others cannot share a proposal.
static enum fault proposal_ciphers(const struct proposal *proposal, bool *aead)
{
    size_t combined = 0, others = 0;
    for (size_t i = 0; i < proposal->count; i++) {
        struct encr_info info;
        if (proposal->at[i].type != TRANSFORM_ENCR) continue;
        bool is_aead = encr_info(proposal->at[i].id, proposal->at[i].key_bits, &info) && info.aead;
        *(is_aead ? &combined : &others) += 1;
    }
    *aead = combined > 0;
    return combined && others ? FAULT_PROPOSAL_MIXES_AEAD : OK;
}

// RFC 7296 3.3.3: which types each protocol must have. ESP without integrity is not offered at all
// (RFC 8221 4).
static enum fault proposal_complete(struct proposal *proposal)
{
    bool ike = proposal->protocol == PROTOCOL_IKE, ah = proposal->protocol == PROTOCOL_AH, aead;
    TRY(proposal_ciphers(proposal, &aead));
    if (!ah && !proposal_has(proposal, TRANSFORM_ENCR)) return FAULT_PROPOSAL_NO_ENCR;
    if (ike)
        TRY(proposal_add_prfs(proposal));
    else
        proposal_drop(proposal, TRANSFORM_PRF);
    // RFC 5282 8: with a combined-mode cipher there is no integrity algorithm.
    if (aead)
        proposal_drop(proposal, TRANSFORM_INTEG);
    else if (!proposal_has(proposal, TRANSFORM_INTEG))
        return FAULT_PROPOSAL_NO_INTEG;
    if (ike && !proposal_has(proposal, TRANSFORM_PRF)) return FAULT_PROPOSAL_NO_PRF;

    bool additional = false;
    for (uint8_t type = TRANSFORM_ADDKE1; type <= TRANSFORM_ADDKE7; type++)
        additional |= proposal_has(proposal, type);
    if ((ike || additional) && !proposal_has(proposal, TRANSFORM_KE)) return FAULT_PROPOSAL_NO_KE;
    if (!ike && !proposal_has(proposal, TRANSFORM_SN))
        TRY(transform_add(proposal, (struct transform){TRANSFORM_SN, SN_32_BIT, 0}));
    return OK;
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = bytes_of(text.at + 1, text.size - 1);
    while (text.size && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
        text.size--;
    return text;
}

enum fault proposal_parse(const char *text, enum iana_protocol protocol, struct proposal *proposal,
                          struct bytes *bad)
{
    struct proposal read = {.protocol = (uint8_t)protocol};
    struct bytes left = trimmed(bytes_of_text(text));
    for (bool more = true; more;) {
        const uint8_t *dash = left.size ? memchr(left.at, '-', left.size) : NULL;
        struct bytes word = dash ? bytes_of(left.at, (size_t)(dash - left.at)) : left;
        struct transform transform;
        enum fault fault = keyword_parse(word, protocol, &transform);
        if (!fault) fault = transform_add(&read, transform);
        if (fault) {
            *bad = word;
            return fault;
        }
        more = dash != NULL;
        if (more) left = bytes_of(dash + 1, left.size - word.size - 1);
    }
    enum fault fault = proposal_complete(&read);
    if (fault) {
        *bad = trimmed(bytes_of_text(text));
        return fault;
    }
    proposal_sort(&read);
    *proposal = read;
    return OK;
}

// --- Printing

static void text_add(char *out, size_t out_size, const char *text)
{
    size_t used = strlen(out), size = strlen(text);
    if (used + 1 >= out_size) return;
    if (size > out_size - used - 1) size = out_size - used - 1;
    memcpy(out + used, text, size);
    out[used + size] = '\0';
}

static const char *number_name(const struct transform *transform)
{
    switch (transform->type) {
    case TRANSFORM_ENCR:
        return iana_encr_name(transform->id);
    case TRANSFORM_PRF:
        return iana_prf_name(transform->id);
    case TRANSFORM_INTEG:
        return iana_integ_name(transform->id);
    case TRANSFORM_SN:
        return iana_sn_name(transform->id);
    default:
        break;
    }
    bool ke = transform->type == TRANSFORM_KE || is_addke(transform->type);
    return ke ? iana_ke_name(transform->id) : NULL;
}

// What has no keyword is shown as type:name/bits, with numbers where there is no name.
static void transform_print(const struct transform *transform, char out[96])
{
    static const char *const types[] = {[TRANSFORM_ENCR] = "encr",
                                        [TRANSFORM_PRF] = "prf",
                                        [TRANSFORM_INTEG] = "integ",
                                        [TRANSFORM_KE] = "ke",
                                        [TRANSFORM_SN] = "sn"};
    const char *keyword = transform_keyword(*transform), *name = number_name(transform);
    unsigned type = transform->type;
    if (keyword && is_addke(transform->type)) {
        snprintf(out, 96, "ke%u_%s", type - TRANSFORM_ADDKE1 + 1, keyword);
        return;
    }
    if (keyword) {
        snprintf(out, 96, "%s", keyword);
        return;
    }
    char number[12], bits[12] = "", known[24];
    snprintf(number, sizeof number, "%u", transform->id);
    if (transform->key_bits) snprintf(bits, sizeof bits, "/%u", transform->key_bits);
    if (is_addke(transform->type))
        snprintf(known, sizeof known, "ke%u", type - TRANSFORM_ADDKE1 + 1);
    else if (type < COUNT(types) && types[type])
        snprintf(known, sizeof known, "%s", types[type]);
    else
        snprintf(known, sizeof known, "type %u", type);
    snprintf(out, 96, "%s:%s%s", known, name ? name : number, bits);
}

char *proposal_print(const struct proposal *proposal, char *out, size_t out_size)
{
    if (!out_size) return out;
    out[0] = '\0';
    for (size_t i = 0; i < proposal->count; i++) {
        char text[96];
        transform_print(&proposal->at[i], text);
        if (i) text_add(out, out_size, "-");
        text_add(out, out_size, text);
    }
    return out;
}

char *suite_print(const struct suite *suite, char *out, size_t out_size)
{
    struct suite chosen = *suite;
    chosen.nones = 0;
    struct proposal proposal;
    suite_proposal(&chosen, &proposal);
    proposal_sort(&proposal);
    return proposal_print(&proposal, out, out_size);
}

// --- Defaults

// RFC 8247, RFC 8221: what must or should be there, best first, and nothing that they advise
// against.
static const struct {
    enum iana_protocol protocol;
    const char *text;
} defaults[] = {
    // RFC 9370 2.2.1: a peer that knows nothing of additional key exchanges takes one of the others.
    {PROTOCOL_IKE,
     "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512-"
     "curve25519-ecp256-ecp384-ecp521-curve448-ke1_mlkem768-ke1_mlkem1024"},
    {PROTOCOL_IKE,
     "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512-"
     "curve25519-ecp256-ecp384-ecp521-curve448-modp3072-modp4096-modp2048"},
    {PROTOCOL_IKE,
     "aes256-aes192-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-"
     "curve25519-ecp256-ecp384-ecp521-curve448-modp3072-modp4096-modp2048"},
    {PROTOCOL_ESP, "aes128gcm16-aes256gcm16-chacha20poly1305-noesn"},
    {PROTOCOL_ESP, "aes256-aes192-aes128-sha256-sha384-sha512-noesn"},
    {PROTOCOL_AH, "sha256-sha384-sha512-noesn"},
};

void proposals_default(enum iana_protocol protocol, struct proposals *out)
{
    out->count = 0;
    for (size_t i = 0; i < COUNT(defaults); i++) {
        struct bytes bad;
        if (defaults[i].protocol != protocol) continue;
        if (proposal_parse(defaults[i].text, protocol, &out->at[out->count], &bad) == OK)
            out->count++;
    }
}
