// SPDX-License-Identifier: Apache-2.0
// The bodies that are a few fixed bytes and a rest: KE, ID, AUTH, CERT, CERTREQ, Nonce and the
// encrypted fragment.
#include "wire/payload.h"
#include <assert.h>

// RFC 7296 3.4: the two reserved bytes are ignored.
enum fault ke_read(struct bytes body, struct ke_payload *ke)
{
    struct rd in = rd_over(body);
    ke->group = rd_u16(&in);
    rd_skip(&in, 2);
    ke->value = rd_rest(&in);
    return rd_end(&in);
}

void ke_write(struct wr *out, uint16_t group, struct bytes value)
{
    wr_u16(out, group);
    wr_zeros(out, 2);
    wr_bytes(out, value);
}

static bool text_is_terminated(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] == '\0' || text.at[i] == '\r' || text.at[i] == '\n') return true;
    return false;
}

static enum fault id_check(uint8_t type, struct bytes data)
{
    if (data.size > IDENTITY_SIZE_MAX) return FAULT_ID_TOO_LONG;
    switch (type) {
    case IDENTITY_ANY:  // reserved on the wire; to us it matches every identity
        return FAULT_ID_TYPE;
    case ID_IPV4_ADDR:
        return data.size == 4 ? OK : FAULT_ID_LENGTH;
    case ID_IPV6_ADDR:
        return data.size == 16 ? OK : FAULT_ID_LENGTH;
    case ID_NULL:  // RFC 7619 2.2: an identity that says nothing has no data.
        return data.size == 0 ? OK : FAULT_ID_LENGTH;
    case ID_FQDN:
    case ID_RFC822_ADDR:
        // RFC 7296 3.5: no terminators in names, or "a.example" and "a.example\0.evil" could pass
        // for one.
        if (text_is_terminated(data)) return FAULT_ID_TERMINATOR;
        break;
    default:
        break;
    }
    return data.size ? OK : FAULT_ID_LENGTH;
}

// RFC 7296 3.5: type, three reserved bytes that are ignored, data in the form of the type.
enum fault id_read(struct bytes body, struct identity *id)
{
    struct rd in = rd_over(body);
    *id = (struct identity){.type = rd_u8(&in)};
    rd_skip(&in, 3);
    id->bytes = rd_rest(&in);
    TRY(rd_end(&in));
    return id_check(id->type, id->bytes);
}

void id_write(struct wr *out, const struct identity *id)
{
    assert(id->type != IDENTITY_ANY && !id->regex);
    wr_u8(out, id->type);
    wr_zeros(out, 3);
    wr_bytes(out, id->bytes);
}

// RFC 7296 3.8: the three reserved bytes are ignored.
enum fault auth_read_payload(struct bytes body, uint8_t *method, struct bytes *data)
{
    struct rd in = rd_over(body);
    *method = rd_u8(&in);
    rd_skip(&in, 3);
    *data = rd_rest(&in);
    return rd_end(&in);
}

void auth_write_payload(struct wr *out, uint8_t method, struct bytes data)
{
    wr_u8(out, method);
    wr_zeros(out, 3);
    wr_bytes(out, data);
}

enum fault cert_read(struct bytes body, uint8_t *encoding, struct bytes *data)
{
    struct rd in = rd_over(body);
    *encoding = rd_u8(&in);
    *data = rd_rest(&in);
    return rd_end(&in);
}

void cert_write(struct wr *out, uint8_t encoding, struct bytes data)
{
    wr_u8(out, encoding);
    wr_bytes(out, data);
}

// RFC 7296 3.9: a nonce has 16 to 256 bytes.
enum fault nonce_read(struct bytes body, struct bytes *nonce)
{
    *nonce = body;
    return body.size >= NONCE_SIZE_MIN && body.size <= NONCE_SIZE_MAX ? OK : FAULT_NONCE_SIZE;
}

// RFC 7383 2.6: number and total are not zero and the number is not above the total; else the
// message is dropped in silence.
enum fault skf_read(struct bytes body, uint16_t *number, uint16_t *total, struct bytes *sealed)
{
    struct rd in = rd_over(body);
    *number = rd_u16(&in);
    *total = rd_u16(&in);
    *sealed = rd_rest(&in);
    TRY(rd_end(&in));
    return *number && *number <= *total ? OK : FAULT_FRAGMENT_NUMBER;
}
