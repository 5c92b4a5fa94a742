// SPDX-License-Identifier: Apache-2.0
// What the files that make configuration out of trees share: the table's rows, conversions, and the walk over list values.
#pragma once
#include "conf/options.h"

enum option_type {
    TYPE_SECTION, TYPE_BOOL, TYPE_NUMBER, TYPE_BIGNUMBER, TYPE_TIME, TYPE_BYTES, TYPE_DSCP, TYPE_ENUM, TYPE_ACTIONS, TYPE_HOSTS, TYPE_ADDRS,
    TYPE_RANGE, TYPE_PROPOSALS, TYPE_TS, TYPE_IDENTITY, TYPE_AUTH, TYPE_NAMES, TYPE_TEXT, TYPE_SECRET, TYPE_FILE, TYPE_FILES, TYPE_HEX,
    TYPE_MARK, TYPE_IFID, TYPE_URIS, TYPE_ATTRIBUTE, TYPE_INCLUDE, TYPE_COUNT
};
enum option_support { SUPPORT_NOT_YET, SUPPORT_WARNED, SUPPORT_NO_EFFECT, SUPPORT_YES };

struct option {
    const char *path;
    uint8_t type;               // enum option_type
    uint8_t support;            // enum option_support
    const char *words;          // of an enum, the range of a number, the protocol of proposals
    const char *otherwise, *help;
};

// Where a section came from decides what its lists of files hold.
enum option_form { FORM_FILE, FORM_VICI };   // names of files; what is in them

// Why a value was not understood, and where in it.
struct wrong {
    enum fault fault;
    size_t at;                  // offset in the text
    char why[200];
};

// --- options.c
const struct option *option_find(const char *path, const char *name);   // row of an item in the section with that pattern path
// Checks names, kinds, support and values of all that is in a section; path is the section's pattern, where its name for people.
void section_check(const struct tree *section, const char *path, const char *where, enum option_form form, struct complaints *complaints);
__attribute__((format(printf, 5, 6))) void option_complain(struct complaints *complaints, enum fault fault, const char *where,
                                                           struct place place, const char *format, ...);
// An item whose place is set to its value, or to an offset in it.
struct place value_place(const struct tree *item, size_t at);

// --- compile.c
// NULL when there was an error; name and where are the section's.
struct conn *conn_compile(const struct tree *section, enum option_form form, const char *where, struct complaints *complaints);
// Is the name of a section of the kind "local<suffix>"?
bool is_named(const struct tree *item, const char *beginning);

// --- convert.c: each turns text into a value, or fills in what is wrong with it
CHECKED bool convert_bool(const char *text, bool *out, struct wrong *wrong);
CHECKED bool convert_number(const char *text, uint64_t low, uint64_t high, uint64_t *out, struct wrong *wrong);
CHECKED bool convert_time(const char *text, nsec *out, struct wrong *wrong);          // 30, 30s, 5m, 4h, 1d
CHECKED bool convert_bytes(const char *text, uint64_t *out, struct wrong *wrong);     // 500, 10k, 5m, 1g
const char *refusal_reason(const char *name);   // of an option that will not be supported; NULL: none
CHECKED bool convert_mark(const char *text, struct mark *out, struct wrong *wrong);   // 42, 0x2a/0xff; a value of 0: none
CHECKED bool convert_if_id(const char *text, uint32_t *out, struct wrong *wrong);     // 42, %unique, %unique-dir
CHECKED bool convert_dscp(const char *text, uint8_t *out, struct wrong *wrong);       // 101110
CHECKED bool convert_host(const char *text, struct arena *arena, struct host_pattern *out, struct wrong *wrong);
// enum auth_class, and the constraints on signatures, borrowed from the text; empty for none.
CHECKED bool convert_auth(const char *text, bool remote, uint8_t *out, struct bytes *schemes, struct wrong *wrong);
CHECKED bool convert_ts(const char *text, struct selector *out, bool *dynamic, struct wrong *wrong);
CHECKED bool convert_identity(const char *text, struct arena *arena, struct identity *out, struct wrong *wrong);
CHECKED bool convert_proposal(const char *text, enum iana_protocol protocol, struct proposal *out, struct wrong *wrong);
CHECKED bool convert_range(const char *text, struct range *out, struct wrong *wrong);
// "0x" and hexadecimal, "0s" and Base64, or the text itself.
CHECKED bool convert_secret(struct bytes text, struct arena *arena, struct bytes *out, struct wrong *wrong);
__attribute__((format(printf, 4, 5))) bool wrong_say(struct wrong *wrong, enum fault fault, size_t at, const char *format, ...);  // false

// --- pool.c
bool attribute_is_known(const char *name);   // by name or number
CHECKED bool convert_attribute(const char *name, const char *text, struct arena *arena, struct pool_attribute *out, struct wrong *wrong);

// --- the parts of a list: items of a VICI list, or what stands between the commas of a text
struct parts {
    const struct tree *item, *next;
    const char *at;
    char *text;                 // the part; freed by the next step
    struct bytes value;         // the same as bytes
    size_t offset;              // in the item's text
};
struct parts parts_of(const struct tree *item);   // NULL: no parts
bool parts_next(struct parts *parts);             // false at the end, when everything is freed
void parts_end(struct parts *parts);              // for leaving early

// --- words with the numbers that the model has for them
struct word {
    const char *text;
    uint8_t value;
};
bool word_value(const struct word *words, size_t count, const char *text, uint8_t *value);

// --- pem.c
// Calls add(label, der) for each block of a PEM text; a DER text is one block with the label "". Lines beside blocks are passed over.
struct pem_block {
    const char *label;
    struct bytes der;           // empty when encrypted in the old way (Proc-Type)
    struct bytes text;          // the block as it stands
    bool encrypted;
};
CHECKED enum fault pem_read(struct bytes in, struct arena *arena, struct pem_block *blocks, size_t limit, size_t *count);
CHECKED enum fault base64_read(struct bytes in, struct arena *arena, struct bytes *out);   // blanks and line breaks are passed over
bool der_is_whole(struct bytes in);                 // one SEQUENCE with nothing behind it
bool der_is_encrypted_key(struct bytes in);         // EncryptedPrivateKeyInfo (RFC 5958 3)
