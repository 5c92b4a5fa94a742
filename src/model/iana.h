// SPDX-License-Identifier: Apache-2.0
// Every protocol number, as enums made from the one table iana.def, with their names for people.
#pragma once
#include "base/bytes.h"

// One enum a registry: ENCR_AES_CBC, PRF_HMAC_SHA2_256, NOTIFY_NO_PROPOSAL_CHOSEN, PAYLOAD_SA, EXCHANGE_IKE_AUTH …
enum iana_payload {
#define IANA_PAYLOAD(symbol, value, text) PAYLOAD_##symbol = value,
#include "model/iana.def"
};
enum iana_exchange {
#define IANA_EXCHANGE(symbol, value, text) EXCHANGE_##symbol = value,
#include "model/iana.def"
};
enum iana_protocol {  // security protocol identifiers
#define IANA_PROTOCOL(symbol, value, text) PROTOCOL_##symbol = value,
#include "model/iana.def"
};
enum iana_transform {  // transform types
#define IANA_TRANSFORM(symbol, value, text) TRANSFORM_##symbol = value,
#include "model/iana.def"
};
enum iana_encr {
#define IANA_ENCR(symbol, value, text) ENCR_##symbol = value,
#include "model/iana.def"
};
enum iana_prf {
#define IANA_PRF(symbol, value, text) PRF_##symbol = value,
#include "model/iana.def"
};
enum iana_integ {
#define IANA_INTEG(symbol, value, text) INTEG_##symbol = value,
#include "model/iana.def"
};
enum iana_ke {  // key exchange methods (formerly Diffie-Hellman groups)
#define IANA_KE(symbol, value, text) KE_##symbol = value,
#include "model/iana.def"
};
enum iana_sn {  // sequence numbers: 32 or extended
#define IANA_SN(symbol, value, text) SN_##symbol = value,
#include "model/iana.def"
};
enum iana_notify {
#define IANA_NOTIFY(symbol, value, text) NOTIFY_##symbol = value,
#include "model/iana.def"
};
enum iana_id {
#define IANA_ID(symbol, value, text) ID_##symbol = value,
#include "model/iana.def"
};
enum iana_auth {  // authentication methods
#define IANA_AUTH(symbol, value, text) AUTH_##symbol = value,
#include "model/iana.def"
};
enum iana_cert {  // certificate encodings
#define IANA_CERT(symbol, value, text) CERT_##symbol = value,
#include "model/iana.def"
};
enum iana_hash {  // RFC 7427 hash algorithms
#define IANA_HASH(symbol, value, text) HASH_##symbol = value,
#include "model/iana.def"
};
enum iana_ts {
#define IANA_TS(symbol, value, text) TS_##symbol = value,
#include "model/iana.def"
};
enum iana_cfg {  // configuration payload types
#define IANA_CFG(symbol, value, text) CFG_##symbol = value,
#include "model/iana.def"
};
enum iana_attr {  // configuration attributes
#define IANA_ATTR(symbol, value, text) ATTR_##symbol = value,
#include "model/iana.def"
};
enum iana_ipcomp {
#define IANA_IPCOMP(symbol, value, text) IPCOMP_##symbol = value,
#include "model/iana.def"
};
enum iana_ipproto {
#define IANA_IPPROTO(symbol, value, text) IPPROTO_NUMBER_##symbol = value,
#include "model/iana.def"
};

// The RFC's name of a number ("AES_GCM_16", "NO_PROPOSAL_CHOSEN"), or NULL when it is unknown.
const char *iana_payload_name(unsigned value);
const char *iana_exchange_name(unsigned value);
const char *iana_protocol_name(unsigned value);
const char *iana_transform_name(unsigned value);
const char *iana_encr_name(unsigned value);
const char *iana_prf_name(unsigned value);
const char *iana_integ_name(unsigned value);
const char *iana_ke_name(unsigned value);
const char *iana_sn_name(unsigned value);
const char *iana_notify_name(unsigned value);
const char *iana_id_name(unsigned value);
const char *iana_auth_name(unsigned value);
const char *iana_cert_name(unsigned value);
const char *iana_hash_name(unsigned value);
const char *iana_ts_name(unsigned value);
const char *iana_cfg_name(unsigned value);
const char *iana_attr_name(unsigned value);
const char *iana_ipproto_name(unsigned value);
