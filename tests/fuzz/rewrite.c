// SPDX-License-Identifier: Apache-2.0
#include "rewrite.h"

static enum fault sa_rewrite(struct bytes body, struct wr *out)
{
    struct proposals proposals;
    TRY(sa_read(body, &proposals));
    sa_write(out, &proposals);
    return OK;
}

static enum fault ke_rewrite(struct bytes body, struct wr *out)
{
    struct ke_payload ke;
    TRY(ke_read(body, &ke));
    ke_write(out, ke.group, ke.value);
    return OK;
}

static enum fault id_rewrite(struct bytes body, struct wr *out)
{
    struct identity id;
    TRY(id_read(body, &id));
    id_write(out, &id);
    return OK;
}

static enum fault cert_rewrite(struct bytes body, struct wr *out)
{
    uint8_t encoding;
    struct bytes data;
    TRY(cert_read(body, &encoding, &data));
    cert_write(out, encoding, data);
    return OK;
}

static enum fault auth_rewrite(struct bytes body, struct wr *out)
{
    uint8_t method;
    struct bytes data;
    TRY(auth_read_payload(body, &method, &data));
    auth_write_payload(out, method, data);
    return OK;
}

static enum fault nonce_rewrite(struct bytes body, struct wr *out)
{
    struct bytes nonce;
    TRY(nonce_read(body, &nonce));
    wr_bytes(out, nonce);
    return OK;
}

static enum fault notify_rewrite(struct bytes body, struct wr *out)
{
    struct notify notify;
    TRY(notify_read(body, &notify));
    notify_write(out, &notify);
    return OK;
}

static enum fault delete_rewrite(struct bytes body, struct wr *out)
{
    struct delete_payload delete;
    TRY(delete_read(body, &delete));
    delete_write(out, &delete);
    return OK;
}

static enum fault ts_rewrite(struct bytes body, struct wr *out)
{
    struct selectors selectors;
    TRY(ts_read(body, &selectors));
    if (selectors.count) ts_write(out, &selectors);
    return OK;
}

static enum fault cp_rewrite(struct bytes body, struct wr *out)
{
    struct cp_payload cp;
    TRY(cp_read(body, &cp));
    cp_write(out, &cp);
    return OK;
}

static enum fault skf_rewrite(struct bytes body, struct wr *out)
{
    uint16_t number, total;
    struct bytes sealed;
    TRY(skf_read(body, &number, &total, &sealed));
    wr_u16(out, number);
    wr_u16(out, total);
    wr_bytes(out, sealed);
    return OK;
}

static enum fault (*const rewriters[256])(struct bytes body, struct wr *out) = {
    [PAYLOAD_SA] = sa_rewrite,         [PAYLOAD_KE] = ke_rewrite,
    [PAYLOAD_IDI] = id_rewrite,        [PAYLOAD_IDR] = id_rewrite,
    [PAYLOAD_CERT] = cert_rewrite,     [PAYLOAD_CERTREQ] = cert_rewrite,
    [PAYLOAD_AUTH] = auth_rewrite,     [PAYLOAD_NONCE] = nonce_rewrite,
    [PAYLOAD_NOTIFY] = notify_rewrite, [PAYLOAD_DELETE] = delete_rewrite,
    [PAYLOAD_TSI] = ts_rewrite,        [PAYLOAD_TSR] = ts_rewrite,
    [PAYLOAD_CP] = cp_rewrite,         [PAYLOAD_SKF] = skf_rewrite,
};

enum fault body_rewrite(uint8_t type, struct bytes body, struct wr *out)
{
    if (rewriters[type]) return rewriters[type](body, out);
    wr_bytes(out, body);
    return OK;
}

const char *body_complaint(uint8_t type, struct bytes body)
{
    uint8_t once_space[IKE_MESSAGE_MAX], twice_space[IKE_MESSAGE_MAX];
    if (body.size > sizeof once_space) return "the body is larger than any message";
    struct wr once = wr_over(once_space, body.size);
    if (body_rewrite(type, body, &once) != OK) return NULL;
    if (wr_end(&once) != OK) return "it is written longer than it came";

    struct bytes again = wr_done(&once);
    if (!again.size && body.size) return NULL;
    struct wr twice = wr_over(twice_space, again.size);
    if (body_rewrite(type, again, &twice) != OK) return "what was written cannot be read";
    if (!bytes_equal(wr_done(&twice), again)) return "it is written otherwise the second time";
    return NULL;
}
