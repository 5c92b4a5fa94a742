// SPDX-License-Identifier: Apache-2.0
// Proposals: offers of algorithms with alternatives, and the suite that is chosen from them (RFC 7296 2.7, 3.3).
// The table of algorithms (alg.def) gives keywords, sizes and strength; it is the only place that knows them.
#pragma once
#include "base/bytes.h"
#include "base/fault.h"
#include "base/wr.h"
#include "model/iana.h"

enum {
    PROPOSAL_TRANSFORMS_MAX = 64,  // a peer that offers more in one proposal is cut off at this many
    PROPOSALS_MAX = 32,            // in one SA payload or one option
    SUITE_ADDKE_MAX = 7,
};

struct transform {
    uint8_t type;       // enum iana_transform
    uint16_t id;        // number in that type's registry
    uint16_t key_bits;  // 0: no key length attribute
};

struct proposal {
    uint8_t number;    // as on the wire, 1…; 0 in configuration
    uint8_t protocol;  // enum iana_protocol
    uint8_t spi_size;  // 0, 4 or 8
    uint8_t spi[8];    // network order
    uint8_t count;
    struct transform at[PROPOSAL_TRANSFORMS_MAX];
};

struct proposals {
    uint8_t count;
    struct proposal at[PROPOSALS_MAX];
};

// What was agreed. For an AEAD cipher integ is INTEG_NONE; for a child prf is PRF_NONE and ke may be KE_NONE.
struct suite {
    uint8_t protocol;
    uint8_t proposal_number;
    uint16_t encr, key_bits, prf, integ, ke;
    uint16_t sn;
    uint16_t addke[SUITE_ADDKE_MAX];
    uint16_t nones;  // bit 1 << type: NONE was offered in so many words for that type and is answered so
};

// Sizes in bytes of what the table knows; false when the algorithm is unknown to it.
struct encr_info {
    uint16_t key, salt, iv, block, icv;  // key without the salt; icv 0 when it is no AEAD; block: padding to a multiple
    bool aead, stream;
};
struct integ_info {
    uint16_t key, icv;
};
struct prf_info {
    uint16_t key, output;  // preferred key size and output size; key is what RFC 7296 2.13/2.14 takes for SK_d, SK_p
    bool fixed_key;        // AES-XCBC/CMAC: RFC 4434, RFC 4615
};
struct ke_info {
    uint16_t public_size, answer_size, shared_size;  // KE payload sizes of initiator and responder (they differ for KEMs)
    bool kem;
};
bool encr_info(uint16_t encr, uint16_t key_bits, struct encr_info *info);
bool integ_info(uint16_t integ, struct integ_info *info);
bool prf_info(uint16_t prf, struct prf_info *info);
bool ke_info(uint16_t ke, struct ke_info *info);

// Parses a proposal as people write it in swanctl.conf: "aes256gcm16-prfsha384-x25519". Keywords are those of strongSwan.
// In an IKE proposal with an AEAD cipher an integrity keyword names the PRF; without a PRF keyword the PRF follows the
// integrity; in an ESP proposal a PRF, and an integrity beside an AEAD, are dropped; without "esn" or "noesn" it is
// "noesn". "default" is for the caller to expand by proposals_default(): it is no keyword here. The transforms come out
// ordered by type, each type in the order of preference in which it was written. On a fault *bad is the offending keyword inside text (for a caret), otherwise untouched.
CHECKED enum fault proposal_parse(const char *text, enum iana_protocol protocol, struct proposal *proposal,
                                  struct bytes *bad);
// The secure defaults; no legacy algorithm is in them.
void proposals_default(enum iana_protocol protocol, struct proposals *out);
// Keyword of a transform ("aes256gcm16", "curve25519"); NULL when it has none. That of an additional key exchange comes
// without its "ke1_".
const char *transform_keyword(struct transform transform);
// True when an algorithm is only taken when named (legacy): DES, 3DES, MD5, SHA1, MODP below 2048, NULL …
bool transform_is_weak(struct transform transform);
// "aes128gcm16-prfsha256-curve25519", for logs; at most out_size bytes with NUL.
char *proposal_print(const struct proposal *proposal, char *out, size_t out_size);
char *suite_print(const struct suite *suite, char *out, size_t out_size);

// RFC 7296 2.7: chooses from what the peer offers, in the order of preference of `mine`. For the key exchange method
// `ke_preferred` (the group of the KE payload that has come, or 0) wins among equals within one proposal, so that no
// round trip is lost. with_ke: whether the key exchange takes part (not for the first child in IKE_AUTH).
// Returns FAULT_NO_PROPOSAL_CHOSEN when nothing fits.
enum proposal_ke { PROPOSAL_WITH_KE, PROPOSAL_WITHOUT_KE };
CHECKED enum fault proposals_choose(const struct proposals *mine, const struct proposals *offered, enum proposal_ke with_ke,
                                    uint16_t ke_preferred, struct suite *suite, size_t *offered_index);
// The initiator's check (RFC 7296 2.7, 3.3.6): is what came back exactly one proposal, with one transform of each type, out
// of what was offered?
CHECKED enum fault proposals_accept(const struct proposals *offered, const struct proposals *answer, enum proposal_ke with_ke,
                                    struct suite *suite, size_t *offered_index);
// Makes the wire proposal that answers with the suite.
void suite_proposal(const struct suite *suite, struct proposal *out);
// Explains in sentences why nothing fits: what each side offers a transform type, which type has no overlap in the closest
// pair, and what to add where. Writes text with line breaks, at most PROPOSALS_EXPLAIN_MAX bytes.
enum { PROPOSALS_EXPLAIN_MAX = 16384 };
void proposals_explain(const struct proposals *mine, const struct proposals *offered, enum proposal_ke with_ke, struct wr *out);
