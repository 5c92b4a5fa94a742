// SPDX-License-Identifier: Apache-2.0
// A message in one line, for logs. Everything printed comes from the peer, who may be hostile: what
// does not decode is named with its fault, what is long is cut, and nothing but printable ASCII
// gets out.
#include "wire/payload.h"

enum { PAYLOAD_TEXT = 640, VENDOR_SHOWN = 20, PROPOSAL_TEXT = 512 };

// The name of a number, or the number.
static void name_print(struct wr *out, const char *name, unsigned value)
{
    if (name)
        wr_text(out, name);
    else
        wr_printf(out, "%u", value);
}

static void hex_print(struct wr *out, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) wr_printf(out, "%02x", bytes.at[i]);
}

static void size_print(struct wr *out, size_t size)
{
    wr_printf(out, size == 1 ? "%zu byte" : "%zu bytes", size);
}

static void ke_print(struct wr *out, uint16_t group)
{
    const char *keyword = transform_keyword((struct transform){.type = TRANSFORM_KE, .id = group});
    name_print(out, keyword ? keyword : iana_ke_name(group), group);
}

static enum fault sa_payload_print(struct bytes body, struct wr *out)
{
    struct proposals proposals;
    TRY(sa_read(body, &proposals));
    for (size_t i = 0; i < proposals.count; i++) {
        const struct proposal *proposal = &proposals.at[i];
        wr_printf(out, i ? ", #%u " : "#%u ", proposal->number);
        name_print(out, iana_protocol_name(proposal->protocol), proposal->protocol);
        wr_text(out, " ");
        hex_print(out, bytes_of(proposal->spi, proposal->spi_size));
        if (proposal->spi_size) wr_text(out, " ");
        char text[PROPOSAL_TEXT];
        wr_text(out, proposal_print(proposal, text, sizeof text));
    }
    return OK;
}

static enum fault ke_payload_print(struct bytes body, struct wr *out)
{
    struct ke_payload ke;
    TRY(ke_read(body, &ke));
    ke_print(out, ke.group);
    return OK;
}

static enum fault id_payload_print(struct bytes body, struct wr *out)
{
    struct identity id;
    TRY(id_read(body, &id));
    char text[IDENTITY_TEXT];
    wr_text(out, identity_print(&id, text, sizeof text));
    return OK;
}

static enum fault auth_payload_print(struct bytes body, struct wr *out)
{
    uint8_t method;
    struct bytes data;
    TRY(auth_read_payload(body, &method, &data));
    name_print(out, iana_auth_name(method), method);
    return OK;
}

static enum fault cert_payload_print(struct bytes body, struct wr *out)
{
    uint8_t encoding;
    struct bytes data;
    TRY(cert_read(body, &encoding, &data));
    name_print(out, iana_cert_name(encoding), encoding);
    wr_text(out, " ");
    size_print(out, data.size);
    return OK;
}

static enum fault nonce_payload_print(struct bytes body, struct wr *out)
{
    (void)out;
    struct bytes nonce;
    return nonce_read(body, &nonce);
}

static enum fault notify_payload_print(struct bytes body, struct wr *out)
{
    struct notify notify;
    TRY(notify_read(body, &notify));
    name_print(out, iana_notify_name(notify.type), notify.type);
    if (notify.spi.size) {
        wr_text(out, " ");
        name_print(out, iana_protocol_name(notify.protocol), notify.protocol);
        wr_text(out, " ");
        hex_print(out, notify.spi);
    }
    if (notify.type == NOTIFY_INVALID_KE_PAYLOAD) {
        struct rd in = rd_over(notify.data);
        wr_text(out, " ");
        ke_print(out, rd_u16(&in));
    }
    return OK;
}

static enum fault delete_payload_print(struct bytes body, struct wr *out)
{
    struct delete_payload delete;
    TRY(delete_read(body, &delete));
    name_print(out, iana_protocol_name(delete.protocol), delete.protocol);
    for (size_t i = 0; i < delete.count; i++) wr_printf(out, " %08x", delete.spis[i]);
    return OK;
}

static bool text_is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < ' ' || text.at[i] > '~') return false;
    return text.size != 0;
}

static enum fault vendor_payload_print(struct bytes body, struct wr *out)
{
    if (text_is_printable(body)) {
        wr_bytes(out, body);
        return OK;
    }
    hex_print(out, bytes_of(body.at, body.size > VENDOR_SHOWN ? VENDOR_SHOWN : body.size));
    if (body.size > VENDOR_SHOWN) wr_text(out, "...");
    return OK;
}

static enum fault ts_payload_print(struct bytes body, struct wr *out)
{
    struct selectors selectors;
    TRY(ts_read(body, &selectors));
    selectors_print(&selectors, out);
    struct ts_labels labels;
    TRY(ts_labels_read(body, &labels));
    for (unsigned i = 0; i < labels.count; i++) {
        struct bytes label = labels.at[i];
        if (label.at[label.size - 1] == 0) label.size--;
        wr_text(out, " label ");
        if (text_is_printable(label)) wr_printf(out, "\"%.*s\"", (int)label.size, (const char *)label.at);
        else size_print(out, label.size);
    }
    return OK;
}

static void cp_value_print(struct bytes value, struct wr *out)
{
    struct addr addr;
    char text[ADDR_TEXT];
    struct rd in = rd_over(value);
    struct bytes address = rd_bytes(&in, value.size == 17 ? 16 : value.size);
    wr_text(out, " ");
    if (addr_from_bytes(address, &addr) != OK) {
        size_print(out, value.size);
        return;
    }
    wr_text(out, addr_print(&addr, text));
    if (in.left) wr_printf(out, "/%u", rd_u8(&in));
}

static enum fault cp_payload_print(struct bytes body, struct wr *out)
{
    struct cp_payload cp;
    TRY(cp_read(body, &cp));
    name_print(out, iana_cfg_name(cp.type), cp.type);
    for (size_t i = 0; i < cp.count; i++) {
        wr_text(out, i ? ", " : " ");
        name_print(out, iana_attr_name(cp.at[i].type), cp.at[i].type);
        if (cp.at[i].value.size) cp_value_print(cp.at[i].value, out);
    }
    return OK;
}

static enum fault sealed_payload_print(struct bytes body, struct wr *out)
{
    size_print(out, body.size);
    return OK;
}

static enum fault fragment_payload_print(struct bytes body, struct wr *out)
{
    uint16_t number, total;
    struct bytes sealed;
    TRY(skf_read(body, &number, &total, &sealed));
    wr_printf(out, "%u/%u ", number, total);
    size_print(out, sealed.size);
    return OK;
}

// What stands before, inside and around the brackets of each type.
struct printer {
    uint8_t type;
    const char *name;
    const char *brackets;
    enum fault (*print)(struct bytes body, struct wr *out);
};

// clang-format off
static const struct printer printers[] = {
    {PAYLOAD_SA,      "SA",      "[]", sa_payload_print},
    {PAYLOAD_KE,      "KE",      "[]", ke_payload_print},
    {PAYLOAD_IDI,     "IDi",     "[]", id_payload_print},
    {PAYLOAD_IDR,     "IDr",     "[]", id_payload_print},
    {PAYLOAD_CERT,    "CERT",    "[]", cert_payload_print},
    {PAYLOAD_CERTREQ, "CERTREQ", "[]", cert_payload_print},
    {PAYLOAD_AUTH,    "AUTH",    "[]", auth_payload_print},
    {PAYLOAD_NONCE,   "No",      "[]", nonce_payload_print},
    {PAYLOAD_NOTIFY,  "N",       "()", notify_payload_print},
    {PAYLOAD_DELETE,  "D",       "[]", delete_payload_print},
    {PAYLOAD_VENDOR,  "V",       "[]", vendor_payload_print},
    {PAYLOAD_TSI,     "TSi",     "[]", ts_payload_print},
    {PAYLOAD_TSR,     "TSr",     "[]", ts_payload_print},
    {PAYLOAD_SK,      "SK",      "[]", sealed_payload_print},
    {PAYLOAD_CP,      "CP",      "[]", cp_payload_print},
    {PAYLOAD_EAP,     "EAP",     "[]", sealed_payload_print},
    {PAYLOAD_SKF,     "SKF",     "[]", fragment_payload_print},
};
// clang-format on

static const struct printer *printer_of(uint8_t type)
{
    for (size_t i = 0; i < sizeof printers / sizeof printers[0]; i++)
        if (printers[i].type == type) return &printers[i];
    return NULL;
}

// Adds what was printed, and "..." where that was cut. A writer that has latched still holds what
// did fit.
static void part_add(struct wr *out, const struct wr *part)
{
    wr_bytes(out, bytes_of(part->at, part->size));
    if (part->failed) wr_text(out, "...");
}

static void payload_print(const struct payload *payload, struct wr *out)
{
    const struct printer *printer = printer_of(payload->type);
    if (!printer) {
        name_print(out, iana_payload_name(payload->type), payload->type);
        wr_text(out, payload->critical ? "[unknown, critical]" : "[unknown]");
        return;
    }
    char text[PAYLOAD_TEXT];
    struct wr inside = wr_over(text, sizeof text);
    enum fault fault = printer->print(payload->body, &inside);
    if (fault) {
        inside = wr_over(text, sizeof text);
        wr_printf(&inside, "bad: %s", fault_name(fault));
    }
    wr_text(out, printer->name);
    if (!inside.size) return;
    wr_bytes(out, bytes_of(printer->brackets, 1));
    part_add(out, &inside);
    wr_bytes(out, bytes_of(printer->brackets + 1, 1));
}

// The printers escape names that could move a terminal's cursor; this holds for whatever they
// print.
static void text_clean(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~') text[i] = '?';
}

void payloads_print(const struct payloads *payloads, struct wr *out)
{
    static const struct bytes more = {(const uint8_t *)" ...", 4};
    for (size_t i = 0; i < payloads->count; i++) {
        char text[PAYLOAD_TEXT + 64];
        struct wr part = wr_over(text, sizeof text);
        if (i) wr_text(&part, " ");
        payload_print(&payloads->at[i], &part);
        text_clean(text, part.size);

        size_t reserve = i + 1 < payloads->count ? more.size : 0;
        if (out->failed || out->limit - out->size < part.size + reserve) {
            wr_bytes(out, i ? more : bytes_of(more.at + 1, more.size - 1));
            return;
        }
        wr_bytes(out, bytes_of(part.at, part.size));
    }
}
