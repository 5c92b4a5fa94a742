// SPDX-License-Identifier: Apache-2.0
// PEM armour (RFC 7468), far enough to hand DER on to those who can read it.
#include "base/rd.h"
#include "conf/options_internal.h"

static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ", dashes[] = "-----";

// Base64
// ---------------------------------------------------------------------------------------------------

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// RFC 4648 4: four digits make three bytes; one or two = at the end stand for missing bytes. The
// padding may be left out.
enum fault base64_read(struct bytes in, struct arena *arena, struct bytes *out)
{
    uint8_t *bytes = arena_new(arena, in.size / 4 * 3 + 3);
    size_t size = 0, digits = 0, padding = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < in.size; i++) {
        if (is_space(in.at[i])) continue;
        int value = digit_value(in.at[i]);
        if (in.at[i] == '=' && ++padding <= 2) continue;
        if (value < 0 || padding) return FAULT_PEM_SYNTAX;
        group = group << 6 | (uint32_t)value;
        if (++digits % 4) continue;
        bytes[size++] = (uint8_t)(group >> 16);
        bytes[size++] = (uint8_t)(group >> 8);
        bytes[size++] = (uint8_t)group;
        group = 0;
    }
    size_t rest = digits % 4;
    if (rest == 1 || (padding && (rest + padding) % 4)) return FAULT_PEM_SYNTAX;
    if (rest == 2) bytes[size++] = (uint8_t)(group >> 4);
    if (rest == 3) bytes[size++] = (uint8_t)(group >> 10), bytes[size++] = (uint8_t)(group >> 2);
    *out = bytes_of(bytes, size);
    return OK;
}

// DER
// ---------------------------------------------------------------------------------------------------

// Enters the element with a tag; its contents are left in `inside`.
static bool element_enter(struct rd *in, uint8_t tag, struct rd *inside)
{
    if (rd_u8(in) != tag) return false;
    size_t size = rd_u8(in);
    if (size >= 0x80) {
        unsigned width = size & 0x7f;
        if (width == 0 || width > 4) return false;
        size = 0;
        while (width--) size = size << 8 | rd_u8(in);
    }
    *inside = rd_sub(in, size);
    return rd_so_far(in) == OK && rd_so_far(inside) == OK;
}

enum { DER_INTEGER = 0x02, DER_OCTETS = 0x04, DER_SEQUENCE = 0x30 };

bool der_is_whole(struct bytes in)
{
    struct rd outer = rd_over(in), inside;
    return element_enter(&outer, DER_SEQUENCE, &inside) && outer.left == 0;
}

// RFC 5958 3: an algorithm and octets; an open key begins with a version number instead.
bool der_is_encrypted_key(struct bytes in)
{
    struct rd outer = rd_over(in), key, algorithm, octets;
    return element_enter(&outer, DER_SEQUENCE, &key) &&
           element_enter(&key, DER_SEQUENCE, &algorithm) &&
           element_enter(&key, DER_OCTETS, &octets) && key.left == 0;
}

// Blocks
// ---------------------------------------------------------------------------------------------------

static struct bytes found_in(struct bytes in, const char *what)
{
    const uint8_t *at = in.size ? memmem(in.at, in.size, what, strlen(what)) : NULL;
    return at ? bytes_of(at, in.size - (size_t)(at - in.at)) : BYTES_NONE;
}

static struct bytes after(struct bytes in, size_t size)
{
    return bytes_of(in.at + size, in.size - size);
}

static struct bytes before(struct bytes all, struct bytes rest)
{
    return bytes_of(all.at, (size_t)(rest.at - all.at));
}

// Headers as of RFC 1421 stand before an empty line; only encrypted keys have them.
static bool has_headers(struct bytes body)
{
    struct bytes line_end = found_in(body, "\n");
    return found_in(line_end.at ? before(body, line_end) : body, ":").at != NULL;
}

// Reads the block at the begin mark; *rest is what follows it.
static CHECKED enum fault block_read(struct bytes in, struct arena *arena, struct pem_block *block,
                                     struct bytes *rest)
{
    struct bytes label = after(in, strlen(begin_mark));
    struct bytes head_end = found_in(label, dashes);
    if (!head_end.at) return FAULT_PEM_SYNTAX;
    block->label = arena_text(arena, before(label, head_end));
    AUTOFREE_MEM char *end = mem_printf("%s%s%s", end_mark, block->label, dashes);
    struct bytes body = after(head_end, strlen(dashes));
    while (body.size && is_space(body.at[0])) body = after(body, 1);
    struct bytes tail = found_in(body, end);
    if (!tail.at || strpbrk(block->label, "\r\n")) return FAULT_PEM_SYNTAX;
    *rest = after(tail, strlen(end));
    block->text = before(in, *rest);
    body = before(body, tail);
    if (has_headers(body)) {
        block->encrypted = true;
        return OK;
    }
    TRY(base64_read(body, arena, &block->der));
    block->encrypted = strcmp(block->label, "ENCRYPTED PRIVATE KEY") == 0;
    return OK;
}

enum fault pem_read(struct bytes in, struct arena *arena, struct pem_block *blocks, size_t limit,
                    size_t *count)
{
    *count = 0;
    struct bytes at = found_in(in, begin_mark);
    if (!at.at) {
        if (!der_is_whole(in) || limit == 0) return FAULT_PEM_SYNTAX;
        blocks[(*count)++] = (struct pem_block){"", in, in, der_is_encrypted_key(in)};
        return OK;
    }
    for (; at.at; at = found_in(at, begin_mark)) {
        if (*count == limit) return FAULT_CONF_LIMIT;
        struct pem_block *block = &blocks[*count];
        *block = (struct pem_block){0};
        TRY(block_read(at, arena, block, &at));
        (*count)++;
    }
    return OK;
}
