// SPDX-License-Identifier: Apache-2.0
// The way up from a certificate of ours: the CAs that peers need to get from it to a root of theirs.
#include "pki/internal.h"
#include <openssl/err.h>

// By names, key identifiers and usage first, since only what fits so far is worth a signature check.
static bool cert_is_issued_by(const struct cert *cert, const struct cert *issuer)
{
    bool is = X509_check_issued(issuer->x509, cert->x509) == X509_V_OK &&
              X509_verify(cert->x509, X509_get0_pubkey(issuer->x509)) == 1;
    ERR_clear_error();
    return is;
}

static bool is_among(const struct cert *cert, const struct cert *const *certs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(certs[i]->der, cert->der)) return true;
    return false;
}

// CAs with several certificates (a new key, two roots above them) are there with all of them: which one leads to a root of the
// peer's is known to the peer alone. A root itself is left out: whoever does not have it would not believe it.
size_t certs_above(const struct cert *cert, const struct cert *const *known, size_t known_count, const struct cert **out,
                   size_t count, size_t limit)
{
    const struct cert *below = cert;
    for (size_t next = count; below; below = next < count ? out[next++] : NULL) {
        for (size_t i = 0; i < known_count && count < limit; i++) {
            const struct cert *ca = known[i];
            if (!cert_is_ca(ca) || !cert_is_issued_by(below, ca) || cert_is_self_signed(ca)) continue;
            if (!is_among(ca, out, count)) out[count++] = ca;
        }
    }
    return count;
}
