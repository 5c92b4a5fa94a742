// SPDX-License-Identifier: Apache-2.0
// Children of a connection: selectors, proposals, lifetimes, and what becomes of their packets.
#include "conf/compile.h"
#include <stdio.h>
#include <strings.h>

enum { LABEL_MAX = 255 };

static void ts_compile(struct compiling *c, const struct tree *section, const char *name,
                       struct selectors *set, uint32_t *dynamic)
{
    const struct tree *item = tree_find(section, name);
    struct wrong wrong;
    bool is_dynamic;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, set->count, SELECTORS_MAX, item)) {
            parts_end(&parts);
            break;
        }
        if (!convert_ts(parts.text, &set->at[set->count], &is_dynamic, &wrong)) continue;
        if (is_dynamic) *dynamic |= UINT32_C(1) << set->count;
        set->count++;
    }
    if (set->count || !convert_ts("dynamic", &set->at[0], &is_dynamic, &wrong)) return;
    set->count = 1;
    *dynamic = 1;
}

struct limits {
    uint64_t rekey, life, rand;
};

// Of rekey, life and rand what is not given follows from the others: life is a tenth more than
// rekey, and rand their difference, but never so much that rekeying could come at once.
static struct limits limits_compile(struct compiling *c, const struct tree *child, const char *kind,
                                    enum option_type type, uint64_t usual)
{
    char names[3][24];
    static const char *const parts[3] = {"rekey", "life", "rand"};
    struct amount amounts[3];
    for (size_t i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "%s_%s", parts[i], kind);
        amounts[i] = amount_of(child, names[i], type);
    }
    struct amount *rekey = &amounts[0], *life = &amounts[1], *rand = &amounts[2];
    if (!rekey->given) rekey->value = life->given ? life->value - life->value / TENTH : usual;
    if (!life->given) life->value = rekey->value + rekey->value / TENTH;
    if (life->value && life->value <= rekey->value)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(child, names[1]),
                        "%s must be more than %s, or the SA ends before it is rekeyed", names[1],
                        names[0]);
    if (rand->given && rekey->value && rand->value >= rekey->value)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(child, names[2]),
                        "%s must be less than %s, or keys could be replaced all the time", names[2],
                        names[0]);
    if (!rand->given) rand->value = life->value > rekey->value ? life->value - rekey->value : 0;
    if (!rand->given && rand->value > rekey->value / 2) rand->value = rekey->value / 2;
    return (struct limits){rekey->value, life->value, rand->value};
}

static void child_limits_compile(struct compiling *c, const struct tree *section,
                                 struct child_conf *child)
{
    struct limits time =
        limits_compile(c, section, "time", TYPE_TIME, (uint64_t)nsec_seconds(3600));
    if (time.rekey && time.life > time.rekey)
        margin_check(
            c, place_of(section, tree_find(section, "life_time") ? "life_time" : "rekey_time"),
            "life_time - rekey_time", time.life - time.rekey);
    struct limits bytes = limits_compile(c, section, "bytes", TYPE_BYTES, 0);
    struct limits packets = limits_compile(c, section, "packets", TYPE_BIGNUMBER, 0);
    child->rekey_time = (nsec)time.rekey, child->life_time = (nsec)time.life,
    child->rand_time = (nsec)time.rand;
    child->rekey_bytes = bytes.rekey, child->life_bytes = bytes.life,
    child->rand_bytes = bytes.rand;
    child->rekey_packets = packets.rekey, child->life_packets = packets.life,
    child->rand_packets = packets.rand;
}

static void child_mode_compile(const struct tree *section, struct child_conf *child)
{
    static const struct word modes[] = {{"tunnel", MODE_TUNNEL},
                                        {"transport", MODE_TRANSPORT},
                                        {"beet", MODE_BEET},
                                        {"iptfs", MODE_IPTFS},
                                        {"pass", 0},
                                        {"drop", 0}};
    static const struct word policies[] = {
        {"", POLICY_PROTECT}, {"pass", POLICY_BYPASS}, {"drop", POLICY_DISCARD}};
    child->mode = word_of(section, "mode", modes, COUNT(modes));
    child->action = word_of(section, "mode", policies, COUNT(policies));
}

static void child_words_compile(const struct tree *section, struct child_conf *child)
{
    static const struct word starts[] = {{"none", START_NONE},   {"clear", START_NONE},
                                         {"trap", START_TRAP},   {"route", START_TRAP},
                                         {"start", START_START}, {"restart", START_START}};
    static const struct word afters[] = {{"clear", AFTER_CLEAR},     {"none", AFTER_CLEAR},
                                         {"trap", AFTER_TRAP},       {"route", AFTER_TRAP},
                                         {"restart", AFTER_RESTART}, {"start", AFTER_RESTART}};
    static const struct word dscp[] = {{"out", 1}, {"in", 2}, {"yes", 3}, {"no", 0}};
    child->start_action = words_of(section, "start_action", starts, COUNT(starts));
    child->dpd_action = word_of(section, "dpd_action", afters, COUNT(afters));
    child->close_action = word_of(section, "close_action", afters, COUNT(afters));
    // persist = always: whatever happens, unless it is said what is to be done.
    bool always = child->conn->persist == PERSIST_ALWAYS && child->start_action & START_START;
    if (always && !tree_find(section, "dpd_action")) child->dpd_action = AFTER_RESTART;
    if (always && !tree_find(section, "close_action")) child->close_action = AFTER_RESTART;
    static const struct word per_cpu[] = {{"no", PER_CPU_NO}, {"yes", PER_CPU_YES}};
    child->copy_dscp = word_of(section, "copy_dscp", dscp, COUNT(dscp));
    child->per_cpu = word_of(section, "per_cpu_sas", per_cpu, COUNT(per_cpu));
    child_mode_compile(section, child);
}

static bool offers_null(const struct proposals *proposals)
{
    for (unsigned i = 0; i < proposals->count; i++)
        for (unsigned j = 0; j < proposals->at[i].count; j++) {
            const struct transform *at = &proposals->at[i].at[j];
            if (at->type == TRANSFORM_ENCR && (at->id == ENCR_NULL || at->id == ENCR_NULL_AES_GMAC))
                return true;
        }
    return false;
}

static void child_proposals_compile(struct compiling *c, const struct tree *section,
                                    struct child_conf *child)
{
    const struct tree *ah = tree_find(section, "ah_proposals"),
                      *esp = tree_find(section, "esp_proposals");
    proposals_compile(c, ah, PROTOCOL_AH, &child->ah);
    proposals_compile(c, esp, PROTOCOL_ESP, &child->esp);
    if (child->ah.count && child->esp.count)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, ah->place,
                        "a child has either ah_proposals or esp_proposals");
    if (offers_null(&child->esp))
        complain_warning(c->complaints, FAULT_NOT_ENCRYPTED, esp->place, "%s: a proposal says so",
                         fault_sentence(FAULT_NOT_ENCRYPTED));
    if (!child->ah.count && !child->esp.count) proposals_default(PROTOCOL_ESP, &child->esp);
}

static bool has_peer(const struct conn *conn)
{
    for (size_t i = 0; i < conn->remote_count; i++) {
        const struct host_pattern *host = &conn->remote_hosts[i];
        if (host->kind == HOST_NAME) return true;
        if (host->kind == HOST_RANGE && addr_equal(&host->range.low, &host->range.high))
            return true;
    }
    return false;
}

// Who is to initiate must know where to.
static void child_start_check(struct compiling *c, const struct tree *section,
                              const struct child_conf *child)
{
    if (child->action != POLICY_PROTECT || !child->start_action || has_peer(c->conn)) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                    place_of(section, "start_action"),
                    "start_action = %s needs an address or a name in remote_addrs to go to",
                    tree_text(section, "start_action", ""));
}

// A number of bytes, or the word mtu.
static uint16_t padding_of(struct compiling *c, const struct tree *section)
{
    const char *text = tree_text(section, "tfc_padding", "0");
    char *end;
    unsigned long bytes = strtoul(text, &end, 10);
    if (strcasecmp(text, "mtu") == 0) return TFC_MTU;
    if (*text >= '0' && *text <= '9' && *end == 0 && bytes < TFC_MTU) return (uint16_t)bytes;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, "tfc_padding"),
                    "tfc_padding = %s is neither a number of bytes below %u nor mtu", text,
                    (unsigned)TFC_MTU);
    return 0;
}

// Route-based: what does not say which device has the connection's.
static uint32_t if_id_of(const struct tree *section, const char *name, uint32_t otherwise)
{
    struct wrong wrong;
    uint32_t if_id;
    const char *text = tree_text(section, name, NULL);
    return text && convert_if_id(text, &if_id, &wrong) && if_id ? if_id : otherwise;
}

// Marks choose a device: mark_in and mark_out name one by their number, as if_id_in and if_id_out
// do, and what is to be marked must come out of one.
static struct mark mark_of(struct compiling *c, const struct tree *section, const char *name)
{
    struct wrong wrong;
    struct mark mark = {0};
    const char *text = tree_text(section, name, "0");
    if (strcasecmp(text, "%same") == 0)
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, name),
                        "%s = %%same is for set_mark_in and set_mark_out", name);
    else if (!convert_mark(text, &mark, &wrong)) // has been complained of
        mark = (struct mark){0};
    return mark;
}

static uint32_t device_of_mark(struct compiling *c, const struct tree *section, const char *name,
                               const struct mark *mark, uint32_t if_id)
{
    if (if_id || !mark->value) return if_id;
    if (mark->value <= IF_ID_MAX) return mark->value;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, name),
                    "%s = 0x%x is too large a number for a device: name one with if_id_%s", name,
                    mark->value, name + strlen("mark_"));
    return 0;
}

static bool is_same(const struct tree *section, const char *name)
{
    return strcasecmp(tree_text(section, name, "0"), "%same") == 0;
}

// Sealed packets are known by the upper half of their mark; the lower one is free. A number without
// a mask is about that half.
static uint32_t mark_sealed_of(struct compiling *c, const struct tree *section,
                               const struct mark *out)
{
    static const char name[] = "set_mark_out";
    bool same = is_same(section, name);
    const char *text = tree_text(section, name, "0");
    struct mark mark = same ? *out : mark_of(c, section, name);
    uint32_t wanted = strchr(text, '/') ? mark.mask : mark.value;
    if (!(wanted & ~MARK_FREE_BITS)) return mark.value;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, name),
                    "%s = %s wants bits 0x%08x of the mark, by which the daemon's own packets are "
                    "known (0x%08x): free are 0x%08x, as in 42 or 0x2a/0xff",
                    name, text, wanted & ~MARK_FREE_BITS, MARK_OF_DAEMON, MARK_FREE_BITS);
    return 0;
}

static void marks_compile(struct compiling *c, const struct tree *section, struct child_conf *child)
{
    struct mark in = mark_of(c, section, "mark_in"), out = mark_of(c, section, "mark_out");
    struct mark opened = is_same(section, "set_mark_in") ? in : mark_of(c, section, "set_mark_in");
    child->if_id_in = device_of_mark(c, section, "mark_in", &in, child->if_id_in);
    child->if_id_out = device_of_mark(c, section, "mark_out", &out, child->if_id_out);
    child->mark_in = in;
    child->mark_out = out;
    child->mark_opened = opened;
    child->mark_sealed = mark_sealed_of(c, section, &out);
    bool in_wrong = opened.value && (!child->if_id_in || child->if_id_in > IF_ID_MAX);
    bool out_wrong = out.value && child->if_id_out > IF_ID_MAX;
    if (!in_wrong && !out_wrong) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                    place_of(section, in_wrong ? "set_mark_in" : "mark_out"),
                    in_wrong ? "set_mark_in needs a device of a number: mark_in or if_id_in"
                             : "mark_out needs a device of a number: not if_id_out = %%unique");
}

static void devices_compile(struct compiling *c, const struct tree *conn,
                            const struct tree *section, struct child_conf *child)
{
    uint32_t in = if_id_of(conn, "if_id_in", 0), out = if_id_of(conn, "if_id_out", 0);
    child->if_id_in = if_id_of(section, "if_id_in", in);
    child->if_id_out = if_id_of(section, "if_id_out", out);
    child->if_id_shared = !if_id_of(section, "if_id_in", 0) && !if_id_of(section, "if_id_out", 0);
    marks_compile(c, section, child);
    if (!child->if_id_in && !child->if_id_out) return;
    const char *mode = tree_text(section, "mode", "tunnel");
    if (child->mode != MODE_TUNNEL && child->action != POLICY_DISCARD)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "mode"),
                        "mode = %s does not go with if_id_in and if_id_out: a device's packets go "
                        "through a tunnel",
                        mode);
}

// yes: the networks of the selectors, as long as they say no more than networks, and not all of them.
static void guard_of_selectors(struct compiling *c, const struct tree *section,
                               struct child_conf *child)
{
    const struct selectors *set = &child->remote_ts;
    bool plain = !child->remote_dynamic;
    for (unsigned i = 0; i < set->count; i++) {
        const struct selector *at = &set->at[i];
        struct prefix prefix;
        bool all = range_is_prefix(&at->range, &prefix) && prefix.bits == 0;
        plain &= !all && !at->protocol && at->port_low == 0 && at->port_high == UINT16_MAX;
    }
    if (!plain)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "guard"),
                        "guard = yes needs networks in remote_ts, not all addresses, dynamic or "
                        "ports: name the networks here instead");
    for (unsigned i = 0; plain && i < set->count; i++)
        child->guarded[child->guarded_count++] = (struct guarded){.range = set->at[i].range};
}

static void guard_list(struct compiling *c, const struct tree *item, struct child_conf *child)
{
    bool some = false;
    for (struct parts parts = parts_of(item); parts_next(&parts);) {
        if (!fits(c, child->guarded_count, CONN_GUARDED_MAX, item)) {
            parts_end(&parts);
            return;
        }
        struct guarded guarded = {.spared = parts.text[0] == '!'};
        const char *text = parts.text + guarded.spared;
        if (range_parse(text + strspn(text, " "), &guarded.range))
            option_complain(c->complaints, FAULT_OPTION_VALUE, c->where,
                            value_place(item, parts.offset),
                            "guard = %s: expected yes, no, or networks like 10.0.0.0/8, some with "
                            "a ! before them",
                            parts.text);
        else
            child->guarded[child->guarded_count++] = guarded;
        some |= !guarded.spared;
    }
    if (!some)
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, item->place,
                        "guard only leaves networks out: name those, too, that they lie in");
}

static void guard_compile(struct compiling *c, const struct tree *section, struct child_conf *child)
{
    const struct tree *item = tree_find(section, "guard");
    const char *text = tree_text(section, "guard", "no");
    bool yes;
    struct wrong wrong;
    if (!item || (convert_bool(text, &yes, &wrong) && !yes)) return;
    if (!child->if_id_out || child->action != POLICY_PROTECT) {
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, item->place,
                        "guard is for children with a device (if_id_out or mark_out): what the "
                        "others' selectors hold is guarded in any case");
        return;
    }
    child->guarded = arena_array(c->arena, CONN_GUARDED_MAX, sizeof *child->guarded);
    if (convert_bool(text, &yes, &wrong))
        guard_of_selectors(c, section, child);
    else
        guard_list(c, item, child);
}

static void ipcomp_check(struct compiling *c, const struct tree *section,
                         const struct child_conf *child)
{
    if (!child->ipcomp || (!child->ah.count && !child->tfc_padding)) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "ipcomp"),
                    child->ah.count ? "ipcomp goes with esp_proposals only"
                                    : "ipcomp makes sizes tell of what tfc_padding hides");
}

// Labels are compared when a child is negotiated; packets in a TUN device have none.
static void label_compile(struct compiling *c, const struct tree *section, struct child_conf *child)
{
    const char *label = tree_text(section, "label", ""), *mode = tree_text(section, "label_mode", "system");
    if (!*label) return;
    if (strcasecmp(mode, "simple") != 0)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "label"),
                        "label needs label_mode = simple: the system's labels of packets (SELinux) do not "
                        "reach the data plane, so they could not be enforced");
    else if (strlen(label) > LABEL_MAX)
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, "label"),
                        "label is longer than %u bytes", (unsigned)LABEL_MAX);
    else
        child->label = arena_text(c->arena, bytes_of_text(label));
}

static uint16_t packet_size_of(struct compiling *c, const struct tree *section)
{
    uint64_t size = number_of(section, "iptfs_packet_size", UINT16_MAX, 0);
    if (size && size < IPTFS_PACKET_SIZE_MIN)
        option_complain(c->complaints, FAULT_OPTION_VALUE, c->where,
                        place_of(section, "iptfs_packet_size"),
                        "iptfs_packet_size = %u is less than %u", (unsigned)size,
                        (unsigned)IPTFS_PACKET_SIZE_MIN);
    return (uint16_t)size;
}

// What has no effect is a mistake.
static void iptfs_names_check(struct compiling *c, const struct tree *section,
                              const struct child_conf *child)
{
    static const char *const names[] = {
        "iptfs_packet_size", "iptfs_rate", "iptfs_init_delay",         "iptfs_reorder_window",
        "iptfs_drop_time",   "iptfs_dscp", "iptfs_congestion_control", "iptfs_accept_fragments",
        "iptfs_dont_frag",
    };
    for (size_t i = 0; i < COUNT(names) && child->mode != MODE_IPTFS; i++)
        if (tree_find(section, names[i]))
            option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                            place_of(section, names[i]), "%s has no effect without mode = iptfs",
                            names[i]);
}

static void child_iptfs_compile(struct compiling *c, const struct tree *section,
                                struct child_conf *child)
{
    iptfs_names_check(c, section, child);
    child->iptfs_packet_size = packet_size_of(c, section);
    child->iptfs_rate = (uint32_t)number_of(section, "iptfs_rate", IPTFS_RATE_MAX, 0);
    child->iptfs_init_delay =
        (uint32_t)number_of(section, "iptfs_init_delay", IPTFS_INIT_DELAY_MAX, 0);
    child->iptfs_reorder_window =
        (uint8_t)number_of(section, "iptfs_reorder_window", IPTFS_REORDER_MAX, 3);
    child->iptfs_drop_time =
        (uint16_t)number_of(section, "iptfs_drop_time", IPTFS_DROP_TIME_MAX, 100);
    child->iptfs_accept_fragments = bool_of(section, "iptfs_accept_fragments", true);
    child->iptfs_dont_frag = bool_of(section, "iptfs_dont_frag", false);
    struct wrong wrong;
    if (!convert_dscp(tree_text(section, "iptfs_dscp", "000000"), &child->iptfs_dscp, &wrong))
        child->iptfs_dscp = 0;
    child->iptfs_congestion = bool_of(section, "iptfs_congestion_control", false);
    if (child->iptfs_congestion && !child->iptfs_rate)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where,
                        place_of(section, "iptfs_congestion_control"),
                        "iptfs_congestion_control needs iptfs_rate: the most that is sent");
    if (child->mode == MODE_IPTFS && child->ipcomp)
        option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "ipcomp"),
                        "ipcomp does not go with mode = iptfs: a payload is no single packet");
}

// auto, no, or the number of bytes that a TCP segment has at most.
static uint16_t mss_of(struct compiling *c, const struct tree *section)
{
    enum { LEAST = 216, MOST = 65495 }; // 256 and 65,535 less two headers
    const char *text = tree_text(section, "tcp_mss", "auto");
    char *end;
    unsigned long bytes = strtoul(text, &end, 10);
    if (strcasecmp(text, "auto") == 0) return MSS_AUTO;
    if (strcasecmp(text, "no") == 0) return 0;
    if (*text >= '0' && *text <= '9' && *end == 0 && bytes >= LEAST && bytes <= MOST)
        return (uint16_t)bytes;
    option_complain(c->complaints, FAULT_OPTION_VALUE, c->where, place_of(section, "tcp_mss"),
                    "tcp_mss = %s is neither auto nor no nor a number from %d to %d", text, LEAST,
                    MOST);
    return 0;
}

// Without a header of the tunnel's own an error of a router behind us cannot be carried.
static void icmp_compile(struct compiling *c, const struct tree *section, struct child_conf *child)
{
    child->icmp = bool_of(section, "icmp", false);
    if (!child->icmp || child->action != POLICY_PROTECT || child->mode == MODE_TUNNEL || child->mode == MODE_IPTFS) return;
    option_complain(c->complaints, FAULT_OPTION_CONFLICT, c->where, place_of(section, "icmp"),
                    "icmp = yes needs mode = tunnel or iptfs: what routers say has other addresses "
                    "than the child's packets");
}

static void idle_warn(struct compiling *c, const struct tree *section, const struct child_conf *child)
{
    if (child->action == POLICY_PROTECT || child->start_action) return;
    complain_warning(c->complaints, FAULT_OPTION_VALUE, place_of(section, "mode"),
                     "mode = %s has no effect here: start_action = trap puts the policy in force",
                     tree_text(section, "mode", ""));
}

static void child_compile(struct compiling *c, const struct tree *section, const struct tree *conn,
                          struct child_conf *child)
{
    child->name = arena_text(c->arena, bytes_of_text(section->name));
    child->conn = c->conn;
    child_proposals_compile(c, section, child);
    ts_compile(c, section, "local_ts", &child->local_ts, &child->local_dynamic);
    ts_compile(c, section, "remote_ts", &child->remote_ts, &child->remote_dynamic);
    child_words_compile(section, child);
    child_start_check(c, section, child);
    child_limits_compile(c, section, child);
    child->inactivity = (nsec)amount_of(section, "inactivity", TYPE_TIME).value;
    child->replay_window = (uint32_t)number_of(section, "replay_window", 65536, 32);
    child->priority = (uint32_t)number_of(section, "priority", UINT32_MAX, 0);
    child->reqid = (uint32_t)number_of(section, "reqid", UINT32_MAX, 0);
    const char *updown = tree_text(section, "updown", "");
    if (*updown) child->updown = arena_text(c->arena, bytes_of_text(updown));
    icmp_compile(c, section, child);
    child->hostaccess = bool_of(section, "hostaccess", false);
    child->copy_df = bool_of(section, "copy_df", true);
    child->copy_ecn = bool_of(section, "copy_ecn", true);
    child->policies = bool_of(section, "policies", true);
    child->sha256_96 = bool_of(section, "sha256_96", false);
    child->ipcomp = bool_of(section, "ipcomp", false);
    child->strict_mode = strcasecmp(tree_text(section, "strict", "no"), "mode") == 0;
    child->tfc_padding = padding_of(c, section);
    devices_compile(c, conn, section, child);
    guard_compile(c, section, child);
    idle_warn(c, section, child);
    ipcomp_check(c, section, child);
    label_compile(c, section, child);
    child_iptfs_compile(c, section, child);
    child->tcp_mss = mss_of(c, section);
    bool outer = strcasecmp(tree_text(section, "fragments", "inner"), "outer") == 0;
    child->fragments = outer ? FRAGMENTS_OUTER : FRAGMENTS_INNER;
}

// A message may name a child twice; a file cannot, since its sections merge.
static bool is_twice(const struct conn *conn, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(conn->children[i].name, name) == 0) return true;
    return false;
}

void children_compile(struct compiling *c, const struct tree *section)
{
    const struct tree *children = tree_section(section, "children");
    const char *outer = c->where;
    size_t count = 0;
    TREE_EACH(item, children) count += item->kind == TREE_SECTION;
    if (!fits(c, count ? count - 1 : 0, CONN_CHILDREN_MAX, children ? children : section)) return;
    c->conn->children = arena_array(c->arena, count, sizeof *c->conn->children);
    TREE_EACH(item, children)
    {
        if (item->kind != TREE_SECTION) continue;
        AUTOFREE_MEM char *where = mem_printf("%s.children.%s", outer, item->name);
        c->where = where;
        if (is_twice(c->conn, c->conn->child_count, item->name))
            option_complain(c->complaints, FAULT_OPTION_CONFLICT, where, item->place,
                            "there are two children of this name");
        else
            child_compile(c, item, section, &c->conn->children[c->conn->child_count++]);
    }
    c->where = outer;
}
