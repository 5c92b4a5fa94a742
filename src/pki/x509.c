// SPDX-License-Identifier: Apache-2.0
// Certificates: read once, checked for form, and then asked for what IKE needs of them. A certificate that is here has no
// extension twice, those that chains depend on can be decoded, and its alternative names are what they say.
#include "crypto/key.h"
#include "pki/internal.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <strings.h>

static const char *const cert_labels[] = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", NULL};

// --- PEM

bool bytes_are_pem(struct bytes in)
{
    return in.size && memmem(in.at, in.size, "-----BEGIN ", 11);
}

bool pem_next(BIO *in, const char *const *labels, struct pem_found *found)
{
    char *label = NULL, *header = NULL;
    while (PEM_read_bio(in, &label, &header, &found->der, &found->size) == 1) {
        const char *const *at = labels;
        while (*at && strcmp(*at, label) != 0) at++;
        OPENSSL_free(label);
        OPENSSL_free(header);
        found->label = *at;
        if (*at) return true;
        OPENSSL_clear_free(found->der, (size_t)found->size);  // it may be a key
    }
    ERR_clear_error();
    return false;
}

// --- names

struct identity identity_of_name(const X509_NAME *name)
{
    const unsigned char *der;
    size_t size;
    struct identity identity = {.type = ID_DER_ASN1_DN};
    if (X509_NAME_get0_der(name, &der, &size) == 1) identity.bytes = bytes_of(der, size);
    return identity;
}

static bool text_is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~') return false;
    return text.size > 0;
}

static struct bytes bytes_of_asn1(const ASN1_STRING *string)
{
    return bytes_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

// What a general name is as an identity; type 0 for the kinds that IKE does not have.
static enum fault name_read(const GENERAL_NAME *name, struct identity *out)
{
    int kind;
    const void *value = GENERAL_NAME_get0_value(name, &kind);
    *out = (struct identity){0};
    switch (kind) {
    case GEN_DNS:
    case GEN_EMAIL:
        *out = (struct identity){.type = kind == GEN_DNS ? ID_FQDN : ID_RFC822_ADDR, .bytes = bytes_of_asn1(value)};
        // RFC 5280 4.2.1.6: a name is an IA5String; one with a NUL inside reads differently to different programs.
        return text_is_visible(out->bytes) && out->bytes.size <= IDENTITY_SIZE_MAX ? OK : FAULT_CERT_NAME;
    case GEN_IPADD:
        out->bytes = bytes_of_asn1(value);
        out->type = out->bytes.size == 4 ? ID_IPV4_ADDR : ID_IPV6_ADDR;
        // RFC 4945 5.1.3.6.2: an address with a mask has no place here.
        return out->bytes.size == 4 || out->bytes.size == 16 ? OK : FAULT_CERT_NAME;
    case GEN_DIRNAME: *out = identity_of_name(value); return OK;
    default: return OK;
    }
}

enum fault names_read(const GENERAL_NAMES *general, struct arena *arena, struct identity **out, size_t *count)
{
    int total = general ? sk_GENERAL_NAME_num(general) : 0;
    *count = 0;
    if (total > CERT_NAMES_MAX) return FAULT_CERT_TOO_MANY;
    *out = arena_array(arena, total > 0 ? (size_t)total : 1, sizeof **out);
    for (int i = 0; i < total; i++) {
        struct identity name;
        TRY(name_read(sk_GENERAL_NAME_value(general, i), &name));
        if (!name.type) continue;
        name.bytes = arena_copy(arena, name.bytes);
        (*out)[(*count)++] = name;
    }
    return OK;
}

static enum fault cert_names_read(struct cert *cert)
{
    int critical;
    GENERAL_NAMES *general = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, &critical, NULL);
    if (!general && critical != -1) return FAULT_CERT_EXTENSION;
    enum fault fault = names_read(general, &cert->arena, &cert->names, &cert->name_count);
    GENERAL_NAMES_free(general);
    return fault;
}

// --- reading

// RFC 5280 4.2: a certificate has no more than one of each extension.
static enum fault extensions_check(X509 *x509)
{
    int count = X509_get_ext_count(x509);
    if (count > CERT_EXTENSIONS_MAX) return FAULT_CERT_TOO_MANY;
    for (int i = 0; i < count; i++) {
        const ASN1_OBJECT *kind = X509_EXTENSION_get_object(X509_get_ext(x509, i));
        if (X509_get_ext_by_OBJ(x509, kind, i) >= 0) return FAULT_CERT_EXTENSION;
    }
    // OpenSSL does not look into this one by itself.
    int critical;
    AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(x509, NID_info_access, &critical, NULL);
    AUTHORITY_INFO_ACCESS_free(access);
    if (!access && critical != -1) return FAULT_CERT_EXTENSION;
    // Decodes what OpenSSL knows and keeps it; the purpose itself is asked for later.
    X509_check_purpose(x509, -1, 0);
    return X509_get_extension_flags(x509) & EXFLAG_INVALID ? FAULT_CERT_EXTENSION : OK;
}

static enum fault cert_key_read(struct cert *cert)
{
    enum fault fault = public_key_hold(X509_get0_pubkey(cert->x509), &cert->key);
    ERR_clear_error();
    return fault;
}

static enum fault cert_fill(struct cert *cert)
{
    X509 *x509 = cert->x509;
    unsigned char *der = NULL;
    int size = i2d_X509(x509, &der);
    if (size <= 0) return FAULT_CERT_SYNTAX;
    cert->der = mem_copy(bytes_of(der, (size_t)size));
    OPENSSL_free(der);
    cert->subject = identity_of_name(X509_get_subject_name(x509));
    cert->issuer = identity_of_name(X509_get_issuer_name(x509));
    // RFC 5280 4.1.2.4: who issues certificates has a name.
    if (X509_NAME_entry_count(X509_get_issuer_name(x509)) == 0) return FAULT_CERT_SYNTAX;
    if (!ASN1_TIME_check(X509_get0_notBefore(x509)) || !ASN1_TIME_check(X509_get0_notAfter(x509))) return FAULT_CERT_SYNTAX;
    cert->not_before = time_of_asn1(X509_get0_notBefore(x509));
    cert->not_after = time_of_asn1(X509_get0_notAfter(x509));
    TRY(extensions_check(x509));
    TRY(cert_names_read(cert));
    // A CA may have a key that IKE itself cannot use; whether a peer may is asked when it is judged.
    enum fault fault = cert_key_read(cert);
    return fault == FAULT_KEY_TYPE || fault == FAULT_KEY_UNREADABLE ? OK : fault;
}

enum fault cert_of_x509(X509 *x509, struct cert **out)
{
    struct cert *cert = NEW(struct cert);
    cert->references = 1;
    cert->x509 = x509;
    enum fault fault = cert_fill(cert);
    ERR_clear_error();
    if (fault) {
        cert_free(cert);
        return fault;
    }
    *out = cert;
    return OK;
}

static enum fault cert_read_der(struct bytes in, struct cert **out)
{
    const unsigned char *at = in.at;
    if (in.size == 0) return FAULT_NO_CERTIFICATE;
    if (in.size > CERT_SIZE_MAX) return FAULT_CERT_TOO_MANY;
    X509 *x509 = d2i_X509(NULL, &at, (long)in.size);
    ERR_clear_error();
    if (!x509) return FAULT_CERT_SYNTAX;
    if (at == in.at + in.size) return cert_of_x509(x509, out);
    X509_free(x509);
    return FAULT_CERT_SYNTAX;
}

// A TRUSTED CERTIFICATE block has OpenSSL's own settings behind the certificate, which do not count here.
static enum fault cert_read_found(const struct pem_found *found, struct cert **out)
{
    const unsigned char *at = found->der;
    if (strcmp(found->label, "TRUSTED CERTIFICATE") != 0) return cert_read_der(bytes_of(found->der, (size_t)found->size), out);
    X509 *x509 = d2i_X509(NULL, &at, found->size);
    ERR_clear_error();
    return x509 ? cert_of_x509(x509, out) : FAULT_CERT_SYNTAX;
}

enum fault certs_parse(struct bytes in, void (*add)(void *context, struct cert *cert), void *context)
{
    struct pem_found found;
    struct cert *cert;
    enum fault fault = FAULT_NO_CERTIFICATE;
    if (in.size == 0 || in.size > INT32_MAX) return FAULT_NO_CERTIFICATE;
    if (!bytes_are_pem(in)) {
        TRY(cert_read_der(in, &cert));
        add(context, cert);
        return OK;
    }
    BIO *bio = BIO_new_mem_buf(in.at, (int)in.size);
    while (pem_next(bio, cert_labels, &found)) {
        fault = cert_read_found(&found, &cert);
        OPENSSL_free(found.der);
        if (fault) break;
        add(context, cert);
    }
    BIO_free(bio);
    return fault;
}

enum fault cert_parse(struct bytes in, struct cert **out)
{
    struct pem_found found;
    if (!bytes_are_pem(in)) return cert_read_der(in, out);
    if (in.size > INT32_MAX) return FAULT_CERT_TOO_MANY;
    BIO *bio = BIO_new_mem_buf(in.at, (int)in.size);
    enum fault fault = FAULT_NO_CERTIFICATE;
    if (pem_next(bio, cert_labels, &found)) {
        fault = cert_read_found(&found, out);
        OPENSSL_free(found.der);
    }
    BIO_free(bio);
    return fault;
}

struct bytes pem_or_der(struct bytes in, size_t size_max, const char *const *labels,
                        struct pem_found *found)
{
    *found = (struct pem_found){.der = NULL};
    if (in.size == 0 || in.size > size_max) return BYTES_NONE;
    if (!bytes_are_pem(in)) return in;
    BIO *bio = BIO_new_mem_buf(in.at, (int)in.size);
    bool any = pem_next(bio, labels, found);
    BIO_free(bio);
    return any ? bytes_of(found->der, (size_t)found->size) : BYTES_NONE;
}

X509_CRL *crl_read(struct bytes in)
{
    static const char *const labels[] = {"X509 CRL", NULL};
    struct pem_found found;
    struct bytes der = pem_or_der(in, INT32_MAX, labels, &found);
    if (!der.size) return NULL;
    const unsigned char *at = der.at;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.size);
    bool whole = at == der.at + der.size;
    OPENSSL_free(found.der);
    ERR_clear_error();
    if (crl && whole) return crl;
    X509_CRL_free(crl);
    return NULL;
}

// --- life

struct cert *cert_hold(struct cert *cert)
{
    cert->references++;
    return cert;
}

void cert_free(struct cert *cert)
{
    if (!cert || --cert->references) return;
    public_key_free(cert->key);
    arena_free(&cert->arena);
    mem_drop(&cert->der);
    X509_free(cert->x509);
    free(cert);
}

// --- asking

struct bytes cert_der(const struct cert *cert)
{
    return cert->der;
}

void cert_key_id(const struct cert *cert, uint8_t id[20])
{
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert->x509);
    sha1(PIECES(bytes_of_asn1(bits)), id);
}

void cert_spki_hash(const struct cert *cert, uint8_t hash[20])
{
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert->x509), &der);
    sha1(PIECES(bytes_of(der, size > 0 ? (size_t)size : 0)), hash);
    OPENSSL_free(der);
}

const struct public_key *cert_public_key(const struct cert *cert)
{
    return cert->key;
}

struct identity cert_subject(const struct cert *cert)
{
    return cert->subject;
}

struct identity cert_issuer(const struct cert *cert)
{
    return cert->issuer;
}

// RFC 4945 5.1.3.9: what has no basicConstraints is no CA.
bool cert_is_ca(const struct cert *cert)
{
    return X509_check_ca(cert->x509) == 1;
}

bool cert_is_self_signed(const struct cert *cert)
{
    bool is = X509_self_signed(cert->x509, 1) == 1;
    ERR_clear_error();
    return is;
}

int64_t cert_not_before(const struct cert *cert)
{
    return cert->not_before;
}

int64_t cert_not_after(const struct cert *cert)
{
    return cert->not_after;
}

size_t cert_alt_names(const struct cert *cert, struct identity *out, size_t limit, struct arena *arena)
{
    size_t count = cert->name_count < limit ? cert->name_count : limit;
    for (size_t i = 0; i < count; i++) {
        out[i] = cert->names[i];
        out[i].bytes = arena_copy(arena, out[i].bytes);
    }
    return count;
}

// RFC 4945 3.1: a name is compared with the names of its own kind, a DN with the subject, and nothing else is looked up.
// RFC 4945 3.1.2: names are compared regardless of case; a wildcard in the certificate stands for nothing.
bool cert_has_identity(const struct cert *cert, const struct identity *id)
{
    if (id->type == ID_DER_ASN1_DN) return cert->subject.bytes.size > 2 && identity_equal(&cert->subject, id);
    if (id->type != ID_FQDN && id->type != ID_RFC822_ADDR && id->type != ID_IPV4_ADDR && id->type != ID_IPV6_ADDR)
        return false;
    if (id->type == ID_FQDN && id->bytes.size && memchr(id->bytes.at, '*', id->bytes.size)) return false;
    for (size_t i = 0; i < cert->name_count; i++)
        if (cert->names[i].type == id->type && identity_equal(&cert->names[i], id)) return true;
    return false;
}
