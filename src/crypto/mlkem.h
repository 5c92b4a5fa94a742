// SPDX-License-Identifier: Apache-2.0
// ML-KEM (FIPS 203) behind one face: our own code (mlkem.c) and that of OpenSSL 3.5 and later
// (mlkem_evp.c), found when the process starts. Same input, same output: randomness is a parameter.
// Not for other folders, which use ke_make() and its kin.
#pragma once
#include "base/bytes.h"

enum {
    MLKEM_SEED = 64,    // d | z, FIPS 203 7.1: what we keep as the private key
    MLKEM_MESSAGE = 32, // m, FIPS 203 7.2: the randomness of an answer
    MLKEM_SHARED = 32,
    MLKEM_K_MAX = 4,
    MLKEM_EK_MAX = 1568,
    MLKEM_DK_MAX = 3168,
    MLKEM_CT_MAX = 1568,
};

// FIPS 203 8, table 2 and 3: one parameter set, and its sizes in bytes.
struct mlkem {
    uint16_t ke; // enum iana_ke
    uint8_t k, eta1, du, dv;
    uint16_t ek_size, dk_size, ct_size;
    const char *name; // OpenSSL's
};
const struct mlkem *mlkem_of(uint16_t ke); // NULL when it is none

struct mlkem_maker {
    const char *name;
    bool (*has)(const struct mlkem *set);
    // The encapsulation key of a seed.
    void (*make)(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], uint8_t *ek);
    // False, and nothing written, when ek is no encapsulation key. ek, ct: of the set's sizes.
    bool (*answer)(const struct mlkem *set, const uint8_t *ek, const uint8_t message[MLKEM_MESSAGE],
                   uint8_t *ct, uint8_t shared[MLKEM_SHARED]);
    // A ciphertext that was tampered with gives a secret that nobody else has: there is nothing to
    // report.
    void (*share)(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], const uint8_t *ct,
                  uint8_t shared[MLKEM_SHARED]);
};
extern const struct mlkem_maker mlkem_own, mlkem_evp;
const struct mlkem_maker *
mlkem_maker(const struct mlkem *set); // the better one of those that have it; NULL if none

// The parts of mlkem_own for tests with expanded keys: FIPS 203 algorithms 16 and 18. dk: of the
// set's size.
void mlkem_expand(const struct mlkem *set, const uint8_t seed[MLKEM_SEED], uint8_t *ek,
                  uint8_t *dk);
void mlkem_decapsulate(const struct mlkem *set, const uint8_t *dk, const uint8_t *ct,
                       uint8_t shared[MLKEM_SHARED]);
