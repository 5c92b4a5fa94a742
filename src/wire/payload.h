// SPDX-License-Identifier: Apache-2.0
// The payload chain (RFC 7296 3.2) and the bodies of the payloads, each as a pair read/write. Nothing is believed here but
// form: sizes, counts and reserved bits as the RFC says. Decoded values borrow from the message's bytes.
#pragma once
#include "base/addr.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"
#include "model/identity.h"
#include "model/proposal.h"
#include "model/selector.h"
#include "wire/header.h"

enum { PAYLOADS_MAX = 64, NONCE_SIZE_MIN = 16, NONCE_SIZE_MAX = 256, COOKIE_SIZE_MAX = 64, DELETE_SPIS_MAX = 256 };

struct payload {
    uint8_t type;
    bool critical;
    struct bytes body;   // behind the generic header
    struct bytes whole;  // with the generic header
};

struct payloads {
    size_t count;
    struct payload at[PAYLOADS_MAX];
};

// Walks the chain that starts with type `first`; an SK or SKF payload ends it (its body is still sealed, *sealed_next is the type
// inside; PAYLOAD_NONE when there is no such payload). sealed_next is NULL for a chain that was itself sealed: then such a payload
// is a fault. Unknown critical payloads are kept: the caller decides (payloads_unknown_critical).
CHECKED enum fault payloads_read(uint8_t first, struct bytes chain, struct payloads *out, uint8_t *sealed_next);
const struct payload *payloads_first(const struct payloads *payloads, uint8_t type);   // NULL when absent
size_t payloads_count(const struct payloads *payloads, uint8_t type);
// RFC 7296 2.5: the type of the first critical payload that we do not know, or 0.
uint8_t payloads_unknown_critical(const struct payloads *payloads);

// Writes a chain: begin gives the generic header and links the former payload's next field; end fills in the length.
struct chain {
    struct wr *out;
    size_t next_place;   // where the type of the next payload goes
    size_t length_mark;
};
struct chain chain_begin(struct wr *out, size_t first_type_place);  // place of the byte that names the first payload
void chain_open(struct chain *chain, uint8_t type);
void chain_close(struct chain *chain);

// --- SA (3.3). SPI size is checked against the protocol by the caller. Proposals beyond PROPOSALS_MAX and transforms beyond
// PROPOSAL_TRANSFORMS_MAX are checked for form and left out. A transform with an attribute that is not understood keeps its place
// with TRANSFORM_UNUSABLE for its key length, which no algorithm has: it matches nothing, but its type counts as asked for.
// Writing, a proposal of number 0 gets its place in the list as number.
enum { TRANSFORM_UNUSABLE = 0xffff };
CHECKED enum fault sa_read(struct bytes body, struct proposals *out);
void sa_write(struct wr *out, const struct proposals *proposals);
// --- KE (3.4)
struct ke_payload {
    uint16_t group;
    struct bytes value;
};
CHECKED enum fault ke_read(struct bytes body, struct ke_payload *ke);   // form only; sizes are ke_info()'s matter: FAULT_KE_WRONG_LENGTH
void ke_write(struct wr *out, uint16_t group, struct bytes value);
// --- IDi, IDr (3.5); AUTH (3.8); CERT (3.6); CERTREQ (3.7), which has the form of CERT. An identity that reads is never empty
// (but ID_NULL, which always is), has its type's length, and a name has no NUL or line end in it.
CHECKED enum fault id_read(struct bytes body, struct identity *id);
void id_write(struct wr *out, const struct identity *id);
CHECKED enum fault auth_read_payload(struct bytes body, uint8_t *method, struct bytes *data);
void auth_write_payload(struct wr *out, uint8_t method, struct bytes data);
CHECKED enum fault cert_read(struct bytes body, uint8_t *encoding, struct bytes *data);
void cert_write(struct wr *out, uint8_t encoding, struct bytes data);
// --- Nonce (3.9)
CHECKED enum fault nonce_read(struct bytes body, struct bytes *nonce);  // checks the size; written with wr_bytes()
// --- N (3.10). Without an SPI the protocol reads as PROTOCOL_NONE. The data's size is checked for the types that fix it.
struct notify {
    uint8_t protocol;
    struct bytes spi;
    uint16_t type;
    struct bytes data;
};
CHECKED enum fault notify_read(struct bytes body, struct notify *notify);
void notify_write(struct wr *out, const struct notify *notify);
// --- D (3.11)
struct delete_payload {
    uint8_t protocol;
    uint16_t count;
    uint32_t spis[DELETE_SPIS_MAX];   // ESP, AH; none for IKE
};
CHECKED enum fault delete_read(struct bytes body, struct delete_payload *out);
void delete_write(struct wr *out, const struct delete_payload *delete);
// --- TSi, TSr (3.13). Selectors of unknown type are skipped; more than SELECTORS_MAX usable ones are cut off.
CHECKED enum fault ts_read(struct bytes body, struct selectors *out);
// Security labels among them (RFC 9478); more than TS_LABELS_MAX are left out.
enum { TS_LABELS_MAX = 16 };
struct ts_labels {
    uint8_t count;
    struct bytes at[TS_LABELS_MAX];
};
CHECKED enum fault ts_labels_read(struct bytes body, struct ts_labels *out);
void ts_write_labelled(struct wr *out, const struct selectors *selectors, struct bytes label);
void ts_write(struct wr *out, const struct selectors *selectors);
// --- CP (3.15). Attributes that are not understood are kept; those beyond CP_ATTRIBUTES_MAX are left out.
enum { CP_ATTRIBUTES_MAX = 64 };
struct cp_attribute {
    uint16_t type;
    struct bytes value;
};
struct cp_payload {
    uint8_t type;
    uint16_t count;
    struct cp_attribute at[CP_ATTRIBUTES_MAX];
};
CHECKED enum fault cp_read(struct bytes body, struct cp_payload *out);
void cp_write(struct wr *out, const struct cp_payload *cp);
// --- SKF (RFC 7383 2.5)
CHECKED enum fault skf_read(struct bytes body, uint16_t *number, uint16_t *total, struct bytes *sealed);

// All payloads in one line for logs and `cygnet decode`: "SA[#1 IKE aes256gcm16-prfsha384-curve25519] KE[curve25519] No
// N(COOKIE)". It has neither secrets nor control characters in it. What does not fit a payload's share or the room in `out` is
// replaced by "..."; `out` latches only if it cannot hold even that.
void payloads_print(const struct payloads *payloads, struct wr *out);
