// SPDX-License-Identifier: Apache-2.0
// Compression of what a child carries (RFC 7296 2.22). Each end names a number for what it gets
// compressed, the CPI, and its algorithms, of which there is one here, DEFLATE (RFC 2394):
//
//     HDR, SK{…, SA, TSi, TSr, N(IPCOMP_SUPPORTED, CPI, DEFLATE)}  -->
//                                 <--  HDR, SK{…, SA, TSi, TSr, N(IPCOMP_SUPPORTED, CPI, DEFLATE)}
//
// Without the notify in the answer nothing is compressed. CPIs live and die with their child.
#include "ike/internal.h"

// RFC 3173 3.3: below are well-known algorithms, above those that are agreed on privately.
enum { CPI_MIN = 256, CPI_MAX = 61439 };

static bool is_taken(const struct sa *sa, uint16_t cpi)
{
    LIST_EACH (const struct child, link, child, &sa->children)
        if (child->cpi_in == cpi) return true;
    return false;
}

// A host tells its compressed traffic from one peer by the CPI, so no two children share one.
static uint16_t cpi_new(const struct sa *sa)
{
    uint32_t cpi = CPI_MIN + (uint32_t)rng_below(sa->ike->rng, CPI_MAX - CPI_MIN + 1);
    while (is_taken(sa, (uint16_t)cpi)) cpi = cpi < CPI_MAX ? cpi + 1 : CPI_MIN;
    return (uint16_t)cpi;
}

static bool is_wanted(const struct child_conf *conf)
{
    return conf->ipcomp && conf->esp.count;
}

// RFC 3173 3.3: a well-known CPI is the algorithm's own number.
static bool cpi_is_good(uint16_t cpi)
{
    return cpi == IPCOMP_DEFLATE || (cpi >= CPI_MIN && cpi <= CPI_MAX);
}

// The next of the message's notifies from *at on. Attributes may follow; DEFLATE has none.
static bool notify_next(const struct message *message, size_t *at, uint16_t *cpi,
                        uint8_t *algorithm)
{
    for (; *at < message->payloads->count; ++*at) {
        struct notify notify;
        const struct payload *payload = &message->payloads->at[*at];
        if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, &notify)) continue;
        if (notify.type != NOTIFY_IPCOMP_SUPPORTED) continue;
        struct rd in = rd_over(notify.data);
        *cpi = rd_u16(&in);
        *algorithm = rd_u8(&in);
        ++*at;
        return !in.failed;
    }
    return false;
}

// --- ask

void ipcomp_offer(struct exchange *x, const struct child_conf *conf)
{
    x->cpi_in = is_wanted(conf) ? cpi_new(x->sa) : 0;
    x->cpi_out = 0;
}

void ipcomp_write(const struct exchange *x, struct draft *draft)
{
    uint8_t space[3];
    struct wr out = wr_over(space, sizeof space);
    wr_u16(&out, x->cpi_in);
    wr_u8(&out, IPCOMP_DEFLATE);
    if (x->cpi_in) draft_notify(draft, NOTIFY_IPCOMP_SUPPORTED, wr_done(&out));
}

// --- conclude

// RFC 7296 2.22: at most one, and it was offered.
enum fault ipcomp_agree(struct exchange *x)
{
    uint16_t cpi, more_cpi;
    uint8_t algorithm, more_algorithm;
    size_t at = 0;
    if (!notify_next(&x->in, &at, &cpi, &algorithm)) {
        x->cpi_in = 0;
        return OK;
    }
    if (!x->cpi_in || algorithm != IPCOMP_DEFLATE || !cpi_is_good(cpi) ||
        notify_next(&x->in, &at, &more_cpi, &more_algorithm))
        return FAULT_IPCOMP_ANSWER;
    x->cpi_out = cpi;
    return OK;
}

// --- answer

void ipcomp_choose(struct exchange *x, const struct child_conf *conf)
{
    uint16_t cpi;
    uint8_t algorithm;
    x->cpi_in = x->cpi_out = 0;
    if (!is_wanted(conf) || x->suite.protocol != PROTOCOL_ESP) return;
    for (size_t at = 0; notify_next(&x->in, &at, &cpi, &algorithm);) {
        if (algorithm != IPCOMP_DEFLATE || !cpi_is_good(cpi)) continue;
        x->cpi_out = cpi;
        x->cpi_in = cpi_new(x->sa);
        return;
    }
}

void ipcomp_announce(const struct child *child)
{
    if (!child->conf->ipcomp) return;
    report(child->sa->ike, ABOUT_CHILD(child), IKE_INFO, OK,
           child->cpi_out ? "packets are compressed, with CPIs %04x_i %04x_o"
                          : "packets are not compressed: the peer does not take part",
           child->cpi_in, child->cpi_out);
}
