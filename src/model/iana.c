// SPDX-License-Identifier: Apache-2.0
// The names of protocol numbers: one function a registry, its cases made from iana.def. A value
// that is in a registry twice does not compile.
#include "model/iana.h"

const char *iana_payload_name(unsigned value)
{
    switch (value) {
#define IANA_PAYLOAD(symbol, number, text)                                                         \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_exchange_name(unsigned value)
{
    switch (value) {
#define IANA_EXCHANGE(symbol, number, text)                                                        \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_protocol_name(unsigned value)
{
    switch (value) {
#define IANA_PROTOCOL(symbol, number, text)                                                        \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_transform_name(unsigned value)
{
    switch (value) {
#define IANA_TRANSFORM(symbol, number, text)                                                       \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_encr_name(unsigned value)
{
    switch (value) {
#define IANA_ENCR(symbol, number, text)                                                            \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_prf_name(unsigned value)
{
    switch (value) {
#define IANA_PRF(symbol, number, text)                                                             \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_integ_name(unsigned value)
{
    switch (value) {
#define IANA_INTEG(symbol, number, text)                                                           \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_ke_name(unsigned value)
{
    switch (value) {
#define IANA_KE(symbol, number, text)                                                              \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_sn_name(unsigned value)
{
    switch (value) {
#define IANA_SN(symbol, number, text)                                                              \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_notify_name(unsigned value)
{
    switch (value) {
#define IANA_NOTIFY(symbol, number, text)                                                          \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_id_name(unsigned value)
{
    switch (value) {
#define IANA_ID(symbol, number, text)                                                              \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_auth_name(unsigned value)
{
    switch (value) {
#define IANA_AUTH(symbol, number, text)                                                            \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_cert_name(unsigned value)
{
    switch (value) {
#define IANA_CERT(symbol, number, text)                                                            \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_hash_name(unsigned value)
{
    switch (value) {
#define IANA_HASH(symbol, number, text)                                                            \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_ts_name(unsigned value)
{
    switch (value) {
#define IANA_TS(symbol, number, text)                                                              \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_cfg_name(unsigned value)
{
    switch (value) {
#define IANA_CFG(symbol, number, text)                                                             \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_attr_name(unsigned value)
{
    switch (value) {
#define IANA_ATTR(symbol, number, text)                                                            \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}

const char *iana_ipproto_name(unsigned value)
{
    switch (value) {
#define IANA_IPPROTO(symbol, number, text)                                                         \
    case number:                                                                                   \
        return text;
#include "model/iana.def"
    }
    return NULL;
}
