// SPDX-License-Identifier: Apache-2.0
// Cookies (RFC 7296 2.6): under load a peer first shows that it receives at the address that it
// sends from. The cookie is computed again when it comes back, so nothing is kept for it:
//
//     cookie = version of the secret | HMAC-SHA-256(secret, Ni | IPi | port | SPIi)
#include "ike/internal.h"

enum { SECRET_SECONDS = 120, SECRET_SIZE = 32, COOKIE_SIZE = 33 };

bool cookie_wanted(const struct ike *ike)
{
    return ike->stats.half_open >= ike->settings.cookie_threshold;
}

// RFC 7296 2.6: the secret changes often; cookies made with the one before are good for a while.
static void secret_renew(struct ike *ike)
{
    bool first = !ike->cookie_secret[0].at;
    if (!first && ike->now - ike->cookie_changed < nsec_seconds(SECRET_SECONDS)) return;
    secret_move(&ike->cookie_secret[1], &ike->cookie_secret[0]);
    secret_new(&ike->cookie_secret[0], SECRET_SIZE);
    rng_fill(ike->rng, ike->cookie_secret[0].at, SECRET_SIZE);
    ike->cookie_version++;
    ike->cookie_changed = ike->now;
}

void cookie_make(struct ike *ike, unsigned which, const struct message *message, struct bytes ni,
                 uint8_t out[33])
{
    SECRET(mac);
    if (which == 0) secret_renew(ike);
    uint8_t place[10];
    struct wr where = wr_over(place, sizeof place);
    wr_u64(&where, message->header.spi_i);
    wr_u16(&where, message->path.remote.port);
    memset(out, 0, COOKIE_SIZE);
    out[0] = (uint8_t)(ike->cookie_version - which);
    struct bytes secret = secret_bytes(&ike->cookie_secret[which]);
    if (prf(PRF_HMAC_SHA2_256, secret,
            PIECES(ni, addr_bytes(&message->path.remote.addr), wr_done(&where)), &mac) != OK)
        return;
    memcpy(out + 1, mac.at, COOKIE_SIZE - 1);
}

bool cookie_is_good(struct ike *ike, const struct message *message, struct bytes ni,
                    struct bytes cookie)
{
    for (unsigned which = 0; which < 2; which++) {
        uint8_t ours[COOKIE_SIZE];
        if (which && !ike->cookie_secret[which].at) continue;
        cookie_make(ike, which, message, ni, ours);
        if (bytes_equal_secret(cookie, BYTES_ARRAY(ours))) return true;
    }
    return false;
}
