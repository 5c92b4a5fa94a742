// SPDX-License-Identifier: Apache-2.0
// Words for what is wrong with a certificate: each sentence names the certificate, its issuer and the dates that count.
#include "pki/internal.h"
#include <openssl/bn.h>
#include <stdio.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// --- time

enum { SECONDS_A_DAY = 86400, DAYS_TO_1970 = 719468, DAYS_AN_ERA = 146097 };  // an era: 400 years from a first of March on

static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * DAYS_AN_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

int64_t time_of_asn1(const ASN1_TIME *time)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1) return 0;
    return days_of_date(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday) * SECONDS_A_DAY +
           tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
}

char *time_text(int64_t at, char out[TIME_TEXT])
{
    int64_t days = at / SECONDS_A_DAY, rest = at % SECONDS_A_DAY;
    if (rest < 0) {
        days--;
        rest += SECONDS_A_DAY;
    }
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - DAYS_AN_ERA + 1) / DAYS_AN_ERA;
    int64_t of_era = days - era * DAYS_AN_ERA;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    snprintf(out, TIME_TEXT, "%04d-%02d-%02d %02d:%02d:%02d UTC", (int)year, (int)month, (int)day, (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60));
    return out;
}

char *span_text(int64_t seconds, char out[SPAN_TEXT])
{
    static const struct unit {
        int64_t size;
        const char *name;
    } units[] = {{365 * SECONDS_A_DAY, "year"}, {SECONDS_A_DAY, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t i = 0;
    // A year and a half is better told in days.
    while (i + 1 < COUNT(units) && seconds < units[i].size * (i ? 1 : 2)) i++;
    int64_t count = seconds / units[i].size;
    snprintf(out, SPAN_TEXT, "%lld %s%s", (long long)count, units[i].name, count == 1 ? "" : "s");
    return out;
}

// --- names

char *serial_text(const ASN1_INTEGER *serial, char out[SERIAL_TEXT])
{
    const uint8_t *at = ASN1_STRING_get0_data(serial);
    int size = ASN1_STRING_length(serial);
    size_t used = 0;
    if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER) out[used++] = '-';
    for (int i = 0; i < size && used + 4 < SERIAL_TEXT; i++)
        used += (size_t)snprintf(out + used, SERIAL_TEXT - used, i ? ":%02x" : "%02x", at[i]);
    out[used] = '\0';
    return out;
}

static char *name_text(const X509_NAME *name, char out[IDENTITY_TEXT])
{
    struct identity identity = identity_of_name(name);
    if (identity.bytes.size <= 2) snprintf(out, IDENTITY_TEXT, "(no name)");
    else identity_print(&identity, out, IDENTITY_TEXT);
    return out;
}

char *subject_text(const X509 *x509, char out[IDENTITY_TEXT])
{
    return name_text(X509_get_subject_name(x509), out);
}

char *issuer_text(const X509 *x509, char out[IDENTITY_TEXT])
{
    return name_text(X509_get_issuer_name(x509), out);
}

// --- findings

static void say_expired(const struct finding *finding, const char *subject, struct buf *text)
{
    char date[TIME_TEXT], span[SPAN_TEXT];
    int64_t end = time_of_asn1(X509_get0_notAfter(finding->at));
    buf_printf(text, "certificate of %s expired on %s (%s ago)", subject, time_text(end, date),
               span_text(finding->now - end, span));
}

static void say_not_yet(const struct finding *finding, const char *subject, struct buf *text)
{
    char date[TIME_TEXT], span[SPAN_TEXT];
    int64_t begin = time_of_asn1(X509_get0_notBefore(finding->at));
    buf_printf(text, "certificate of %s is not valid before %s (in %s)", subject, time_text(begin, date),
               span_text(begin - finding->now, span));
}

static void say_anchors(const struct finding *finding, struct buf *text)
{
    enum { NAMED_MAX = 8 };
    char name[IDENTITY_TEXT];
    int count = finding->anchors ? sk_X509_num(finding->anchors) : 0;
    buf_add_text(text, count ? "loaded: " : "none is loaded");
    for (int i = 0; i < count && i < NAMED_MAX; i++)
        buf_printf(text, "%s%s", i ? "; " : "", subject_text(sk_X509_value(finding->anchors, i), name));
    if (count > NAMED_MAX) buf_printf(text, "; and %d more", count - NAMED_MAX);
}

static bool anchors_have_name(const struct finding *finding, const X509_NAME *name)
{
    for (int i = 0; finding->anchors && i < sk_X509_num(finding->anchors); i++)
        if (X509_NAME_cmp(X509_get_subject_name(sk_X509_value(finding->anchors, i)), name) == 0) return true;
    return false;
}

static void say_untrusted(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    bool same_name = anchors_have_name(finding, X509_get_issuer_name(finding->at));
    if (X509_check_issued((X509 *)(uintptr_t)finding->at, (X509 *)(uintptr_t)finding->at) == X509_V_OK) {
        buf_printf(text, "certificate of %s is self-signed and is neither a trusted CA nor a trusted peer here (", subject);
    } else if (same_name) {
        buf_printf(text, "certificate of %s is issued by %s, but by another key than that of the trusted CA of this name (",
                   subject, issuer_text(finding->at, issuer));
    } else {
        buf_printf(text, "certificate of %s is issued by %s, which is not a trusted CA here (", subject,
                   issuer_text(finding->at, issuer));
    }
    say_anchors(finding, text);
    buf_add_text(text, ")");
}

static void say_signature(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    buf_printf(text, "certificate of %s is not signed by the key of its issuer %s that we have", subject,
               issuer_text(finding->at, issuer));
}

static void say_revoked(const struct finding *finding, const char *subject, struct buf *text)
{
    char serial[SERIAL_TEXT], issuer[IDENTITY_TEXT], date[TIME_TEXT];
    X509_REVOKED *entry = NULL;
    buf_printf(text, "certificate of %s, serial number %s, was revoked by %s", subject,
               serial_text(X509_get0_serialNumber(finding->at), serial), issuer_text(finding->at, issuer));
    X509_CRL *crl = (X509_CRL *)(uintptr_t)finding->crl;
    if (crl && X509_CRL_get0_by_cert(crl, &entry, (X509 *)(uintptr_t)finding->at) == 1)
        buf_printf(text, " on %s", time_text(time_of_asn1(X509_REVOKED_get0_revocationDate(entry)), date));
}

static void say_no_status(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    buf_printf(text, "whether the certificate of %s is revoked is unknown: no usable CRL of %s is loaded", subject,
               issuer_text(finding->at, issuer));
}

static void say_crl_expired(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT], date[TIME_TEXT], span[SPAN_TEXT];
    const ASN1_TIME *next = finding->crl ? X509_CRL_get0_nextUpdate(finding->crl) : NULL;
    if (!next) {
        say_no_status(finding, subject, text);
        return;
    }
    buf_printf(text, "whether the certificate of %s is revoked is unknown: the CRL of %s was to be renewed by %s (%s ago)",
               subject, issuer_text(finding->at, issuer), time_text(time_of_asn1(next), date),
               span_text(finding->now - time_of_asn1(next), span));
}

static void say_no_ca(const struct finding *finding, const char *subject, struct buf *text)
{
    (void)finding;
    buf_printf(text, "certificate of %s issues certificates but is not a CA's: it needs CA:TRUE and key usage keyCertSign",
               subject);
}

static void say_path_length(const struct finding *finding, const char *subject, struct buf *text)
{
    (void)finding;
    buf_printf(text, "certificate of %s has more CAs below it than its path length allows", subject);
}

static void say_too_long(const struct finding *finding, const char *subject, struct buf *text)
{
    (void)finding;
    buf_printf(text, "the certificate chain is too long at %s: at most %d CAs may stand between a peer and an anchor",
               subject, CHAIN_LENGTH_MAX);
}

static void say_constraints(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    buf_printf(text, "certificate of %s, issued by %s, has a name that a CA above may not issue for", subject,
               issuer_text(finding->at, issuer));
}

static void say_policy(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    buf_printf(text, "certificate of %s, issued by %s, has not the certificate policy that its CAs demand", subject,
               issuer_text(finding->at, issuer));
}

static void say_critical(const struct finding *finding, const char *subject, struct buf *text)
{
    char oid[80];
    buf_printf(text, "certificate of %s has a critical extension that is not known here:", subject);
    for (int i = 0; i < X509_get_ext_count(finding->at); i++) {
        X509_EXTENSION *extension = X509_get_ext(finding->at, i);
        if (!X509_EXTENSION_get_critical(extension) || X509_supported_extension(extension)) continue;
        OBJ_obj2txt(oid, sizeof oid, X509_EXTENSION_get_object(extension), 1);
        buf_printf(text, " %s", oid);
    }
}

static void say_weak_key(const struct finding *finding, const char *subject, struct buf *text)
{
    EVP_PKEY *key = X509_get0_pubkey(finding->at);
    buf_printf(text, "certificate of %s has a key that is too weak: %d bits", subject, key ? EVP_PKEY_get_bits(key) : 0);
}

static void say_weak_signature(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    int kind = X509_get_signature_nid(finding->at);
    buf_printf(text, "certificate of %s is signed by %s with %s, which is too weak", subject,
               issuer_text(finding->at, issuer), kind ? OBJ_nid2ln(kind) : "an unknown algorithm");
}

static void say_other(const struct finding *finding, const char *subject, struct buf *text)
{
    char issuer[IDENTITY_TEXT];
    buf_printf(text, "certificate of %s, issued by %s: %s", subject, issuer_text(finding->at, issuer),
               X509_verify_cert_error_string(finding->error));
}

static const struct finding_row {
    int error;
    enum fault fault;
    void (*say)(const struct finding *finding, const char *subject, struct buf *text);
} finding_rows[] = {
    // clang-format off
    {X509_V_ERR_CERT_HAS_EXPIRED,                     FAULT_CERT_EXPIRED,        say_expired},
    {X509_V_ERR_CERT_NOT_YET_VALID,                   FAULT_CERT_NOT_YET_VALID,  say_not_yet},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,            FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,    FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,      FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,          FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,            FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_CERT_UNTRUSTED,                       FAULT_CERT_UNTRUSTED,      say_untrusted},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE,               FAULT_CERT_SIGNATURE,      say_signature},
    {X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE,     FAULT_CERT_SIGNATURE,      say_signature},
    {X509_V_ERR_CERT_REVOKED,                         FAULT_CERT_REVOKED,        say_revoked},
    {X509_V_ERR_UNABLE_TO_GET_CRL,                    FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,             FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_CRL_SIGNATURE_FAILURE,                FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE,      FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_CRL_NOT_YET_VALID,                    FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_CRL_HAS_EXPIRED,                      FAULT_CERT_STATUS_UNKNOWN, say_crl_expired},
    {X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD,       FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD,       FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_KEYUSAGE_NO_CRL_SIGN,                 FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION,     FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_DIFFERENT_CRL_SCOPE,                  FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_CRL_PATH_VALIDATION_ERROR,            FAULT_CERT_STATUS_UNKNOWN, say_no_status},
    {X509_V_ERR_INVALID_CA,                           FAULT_CERT_CHAIN,          say_no_ca},
    {X509_V_ERR_KEYUSAGE_NO_CERTSIGN,                 FAULT_CERT_CHAIN,          say_no_ca},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED,                 FAULT_CERT_CHAIN,          say_path_length},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG,                  FAULT_CERT_CHAIN,          say_too_long},
    {X509_V_ERR_PERMITTED_VIOLATION,                  FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_EXCLUDED_VIOLATION,                   FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_SUBTREE_MINMAX,                       FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE,          FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX,        FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_UNSUPPORTED_NAME_SYNTAX,              FAULT_CERT_CONSTRAINTS,    say_constraints},
    {X509_V_ERR_NO_EXPLICIT_POLICY,                   FAULT_CERT_POLICY,         say_policy},
    {X509_V_ERR_INVALID_POLICY_EXTENSION,             FAULT_CERT_POLICY,         say_policy},
    {X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,         FAULT_CERT_CRITICAL,       say_critical},
    {X509_V_ERR_EE_KEY_TOO_SMALL,                     FAULT_CERT_WEAK,           say_weak_key},
    {X509_V_ERR_CA_KEY_TOO_SMALL,                     FAULT_CERT_WEAK,           say_weak_key},
    {X509_V_ERR_CA_MD_TOO_WEAK,                       FAULT_CERT_WEAK,           say_weak_signature},
    // clang-format on
};

enum fault finding_explain(const struct finding *finding, struct buf *text)
{
    char subject[IDENTITY_TEXT];
    subject_text(finding->at, subject);
    for (size_t i = 0; i < COUNT(finding_rows); i++) {
        if (finding_rows[i].error != finding->error) continue;
        finding_rows[i].say(finding, subject, text);
        return finding_rows[i].fault;
    }
    say_other(finding, subject, text);
    return FAULT_CERT_REJECTED;
}
