// SPDX-License-Identifier: Apache-2.0
// Security labels (RFC 9478): a child may have one, and both ends must mean the same.
//
//     HDR, SK{…, SA, TSi (address, label), TSr (address, label)}  -->
//                                <--  HDR, SK{…, SA, TSi (address, label), TSr (address, label)}
//                                or   HDR, SK{N(TS_UNACCEPTABLE)}
//
// A label tells the connection's children apart and nothing else here (label_mode = simple):
// packets show none to the data plane. With a NUL at its end, as every other implementation sends
// it.
#include "ike/internal.h"

enum { LABEL_SHOWN = 64 };

// RFC 9478 2.2: there is no narrowing and no wildcard.
static bool label_same(struct bytes wire, const char *label)
{
    struct bytes text = bytes_of_text(label);
    if (wire.size && wire.at[wire.size - 1] == 0) wire.size--;
    return bytes_equal(wire, text);
}

static bool labels_have(const struct ts_labels *labels, const char *label)
{
    for (unsigned i = 0; i < labels->count; i++)
        if (label_same(labels->at[i], label)) return true;
    return false;
}

// A peer's label for people; what is not text is shown in hexadecimal.
static const char *label_text(struct ike *ike, struct bytes label)
{
    bool good = true, cut = label.size > LABEL_SHOWN;
    if (label.size && label.at[label.size - 1] == 0) label.size--;
    if (cut) label.size = LABEL_SHOWN;
    for (size_t i = 0; i < label.size; i++) good &= label.at[i] >= ' ' && label.at[i] <= '~';
    char *hex = arena_new(&ike->arena, 2 * LABEL_SHOWN + 3);
    if (good)
        return arena_printf(&ike->arena, "\"%.*s\"%s", (int)label.size, (const char *)label.at,
                            cut ? " …" : "");
    return arena_printf(&ike->arena, "0x%s", bytes_hex(label, hex, 2 * LABEL_SHOWN + 3));
}

static const char *labels_text(struct ike *ike, const struct ts_labels *labels)
{
    const char *text = "no label";
    for (unsigned i = 0; i < labels->count; i++)
        text = arena_printf(&ike->arena, "%s%s%s", i ? text : "", i ? ", " : "",
                            label_text(ike, labels->at[i]));
    return text;
}

// --- both

struct bytes label_wire(const struct child_conf *conf)
{
    return conf->label ? bytes_of(conf->label, strlen(conf->label) + 1) : BYTES_NONE;
}

enum fault labels_take(struct exchange *x)
{
    x->labels_i = arena_new(&x->arena, sizeof *x->labels_i);
    x->labels_r = arena_new(&x->arena, sizeof *x->labels_r);
    TRY(ts_labels_read(message_first(&x->in, PAYLOAD_TSI)->body, x->labels_i));
    return ts_labels_read(message_first(&x->in, PAYLOAD_TSR)->body, x->labels_r);
}

// --- answer

// RFC 9478 3: who cannot have the label that is asked for refuses; the peer may ask once more
// without one if it does not need it.
bool label_fits(const struct exchange *x, const struct child_conf *conf)
{
    if (!conf->label) return !x->labels_i->count && !x->labels_r->count;
    return labels_have(x->labels_i, conf->label) && labels_have(x->labels_r, conf->label);
}

enum fault label_fault(struct exchange *x, const struct child_conf *conf)
{
    struct ike *ike = x->sa->ike;
    const char *here = conf->label ? label_text(ike, bytes_of_text(conf->label)) : "no label";
    return exchange_why(x, FAULT_LABEL_OTHER, "%s has %s here, the peer asks for %s", conf->name,
                        here, labels_text(ike, x->labels_i));
}

// --- conclude

// RFC 9478 2.2: exactly the one that was asked for comes back, on both sides.
enum fault label_agree(struct exchange *x)
{
    const struct child_conf *conf = x->child->conf;
    bool one = x->labels_i->count == 1 && x->labels_r->count == 1;
    if (label_fits(x, conf) && (one || !conf->label)) return OK;
    return exchange_why(
        x, FAULT_LABEL_OTHER, "%s has %s here, the peer answers with %s", conf->name,
        conf->label ? label_text(x->sa->ike, bytes_of_text(conf->label)) : "no label",
        labels_text(x->sa->ike, x->labels_i));
}
