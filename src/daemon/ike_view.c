// SPDX-License-Identifier: Apache-2.0
// The core's SAs, events and reports as other programs see them: sections with the key names of the VICI protocol, log lines for people.
#include "daemon/ike_view.h"
#include "daemon/vici.h"
#include "esp/pmtu.h"
#include <stdio.h>
#include <time.h>

enum { WAITING_SHOWN_MAX = 64 };

static struct tree *text_add(struct arena *arena, struct tree *to, const char *name, const char *text)
{
    return text ? tree_add_text(arena, to, name, text) : NULL;
}

void number_add(struct arena *arena, struct tree *to, const char *name, uint64_t value)
{
    tree_add_printf(arena, to, name, "%llu", (unsigned long long)value);
}

// Only when it holds: VICI leaves false out.
static void flag_add(struct arena *arena, struct tree *to, const char *name, bool value)
{
    if (value) tree_add_text(arena, to, name, "yes");
}

static void seconds_add(struct arena *arena, struct tree *to, const char *name, nsec span)
{
    tree_add_printf(arena, to, name, "%lld", (long long)(span > 0 ? span / NSEC_PER_SECOND : 0));
}

void host_add(struct arena *arena, struct tree *to, const char *name, const struct addr *addr)
{
    char text[ADDR_TEXT];
    tree_add_text(arena, to, name, addr_print(addr, text));
}

static void identity_add(struct arena *arena, struct tree *to, const char *name, const struct identity *id)
{
    char text[IDENTITY_TEXT];
    tree_add_text(arena, to, name, id ? identity_print(id, text, sizeof text) : "%any");
}

// --- one child

static void suite_add(struct arena *arena, struct tree *to, const struct suite *suite, bool ike)
{
    if (suite->encr) text_add(arena, to, "encr-alg", iana_encr_name(suite->encr));
    if (suite->key_bits) number_add(arena, to, "encr-keysize", suite->key_bits);
    if (suite->integ) text_add(arena, to, "integ-alg", iana_integ_name(suite->integ));
    if (ike && suite->prf) tree_add_printf(arena, to, "prf-alg", "PRF_%s", iana_prf_name(suite->prf));
    if (suite->ke) text_add(arena, to, "dh-group", iana_ke_name(suite->ke));
    for (unsigned i = 0; i < SUITE_ADDKE_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "ake%u", i + 1);
        if (suite->addke[i]) text_add(arena, to, name, iana_ke_name(suite->addke[i]));
    }
}

static void usage_add(struct arena *arena, struct tree *to, const struct sa_usage *usage, const char *way, nsec now)
{
    char name[32];
    snprintf(name, sizeof name, "bytes-%s", way);
    number_add(arena, to, name, usage->bytes);
    snprintf(name, sizeof name, "packets-%s", way);
    number_add(arena, to, name, usage->packets);
    snprintf(name, sizeof name, "use-%s", way);
    if (usage->last_used) seconds_add(arena, to, name, now - usage->last_used);
}

// RFC 9347 2.4.2: how fast the peer's reports let it send.
static void rate_add(struct arena *arena, struct tree *to, const struct ike_child_info *child)
{
    if (!child->out.rate) return;
    number_add(arena, to, "iptfs-rate", child->out.rate);
    number_add(arena, to, "iptfs-rate-most", child->conf->iptfs_rate);
    if (child->out.rtt) number_add(arena, to, "iptfs-rtt", child->out.rtt);
    if (child->out.distance) number_add(arena, to, "iptfs-loss-distance", child->out.distance);
}

static void selectors_add_list(struct arena *arena, struct tree *to, const char *name, const struct selectors *set)
{
    struct tree *list = tree_add_list(arena, to, name);
    for (unsigned i = 0; i < set->count; i++) {
        char text[SELECTOR_TEXT];
        tree_add_item(arena, list, bytes_of_text(selector_print(&set->at[i], text)));
    }
}

// What of the path's MTU is left for packets, part by part.
static void mtu_add(const struct ike_child_info *child, struct arena *arena, struct tree *to)
{
    static const char *const sources[] = {[IKE_MTU_UNKNOWN] = "unknown", [IKE_MTU_DEVICE] = "device", [IKE_MTU_ICMP] = "icmp",
                                          [IKE_MTU_PROBE] = "probe", [IKE_MTU_ASSUMED] = "assumed"};
    if (!child->path_mtu) return;
    struct sa_spec spec = {.protocol = child->protocol, .mode = child->mode, .encr = child->suite.encr,
                           .key_bits = child->suite.key_bits, .integ = child->suite.integ, .path = child->path,
                           .local = *child->local, .remote = *child->remote};
    struct mtu_parts parts = mtu_parts(&spec);
    uint32_t inner = mtu_inner(&parts, child->path_mtu);
    const struct { const char *name; uint8_t value; } rows[] = {
        {"mtu-ip", parts.ip}, {"mtu-udp", parts.udp}, {"mtu-header", parts.header}, {"mtu-iv", parts.iv},
        {"mtu-icv", parts.icv}, {"mtu-align", parts.align}, {"mtu-trailer", parts.trailer}, {"mtu-kept", parts.kept},
    };
    number_add(arena, to, "mtu", inner);
    number_add(arena, to, "path-mtu", child->path_mtu);
    tree_add_text(arena, to, "path-mtu-source", sources[child->mtu_source]);
    seconds_add(arena, to, "path-mtu-age", role_now() - child->mtu_learned);
    number_add(arena, to, "device-mtu", child->device_mtu);
    tree_add_text(arena, to, "path-mtu-probes", child->mtu_probed ? "yes" : "no");
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) number_add(arena, to, rows[i].name, rows[i].value);
    if (child->conf->tcp_mss == MSS_AUTO) tree_add_text(arena, to, "tcp-mss", "auto");
    else number_add(arena, to, "tcp-mss", child->conf->tcp_mss);
}

static void mark_add(struct arena *arena, struct tree *to, const struct mark *mark,
                     const char *value, const char *mask)
{
    if (!mark->mask) return;
    tree_add_printf(arena, to, value, "%08x", mark->value);
    tree_add_printf(arena, to, mask, "%08x", mark->mask);
}

static void child_add(const struct ike_child_info *child, struct arena *arena, struct tree *to)
{
    nsec now = role_now();
    tree_add_text(arena, to, "name", child->name);
    number_add(arena, to, "uniqueid", child->id);
    number_add(arena, to, "reqid", child->conf->reqid ? child->conf->reqid : child->policy);
    tree_add_text(arena, to, "state", child->state);
    tree_add_text(arena, to, "mode", mode_text(child->mode));
    if (child->mode_why) {
        tree_add_text(arena, to, "mode-asked", mode_text(child->mode_asked));
        tree_add_text(arena, to, "mode-reason", child->mode_why);
    }
    tree_add_text(arena, to, "protocol", child->protocol == PROTOCOL_AH ? "AH" : "ESP");
    flag_add(arena, to, "encap", child->encap);
    flag_add(arena, to, "ppk", child->ppk);
    if (child->conf->label) label_add(arena, to, child->conf->label);
    flag_add(arena, to, "per-cpu-sas", child->per_resource);
    if (child->resource) number_add(arena, to, "cpu", child->resource - 1u);
    tree_add_printf(arena, to, "spi-in", "%08x", child->spi_in);
    tree_add_printf(arena, to, "spi-out", "%08x", child->spi_out);
    mark_add(arena, to, &child->conf->mark_in, "mark-in", "mark-mask-in");
    mark_add(arena, to, &child->conf->mark_out, "mark-out", "mark-mask-out");
    uint32_t sealed = child->path.stream ? 0 : child->conf->mark_sealed;
    if (sealed) tree_add_printf(arena, to, "set-mark-out", "%08x", MARK_OF_DAEMON | sealed);
    if (child->if_id_in) tree_add_printf(arena, to, "if-id-in", "%08x", child->if_id_in);
    if (child->if_id_out) tree_add_printf(arena, to, "if-id-out", "%08x", child->if_id_out);
    flag_add(arena, to, "icmp", child->conf->icmp);
    text_add(arena, to, "updown", child->conf->updown);
    if (child->cpi_out) {
        tree_add_printf(arena, to, "cpi-in", "%04x", child->cpi_in);
        tree_add_printf(arena, to, "cpi-out", "%04x", child->cpi_out);
    }
    suite_add(arena, to, &child->suite, false);
    mtu_add(child, arena, to);
    if (child->esn) tree_add_text(arena, to, "esn", "1");
    usage_add(arena, to, &child->in, "in", now);
    usage_add(arena, to, &child->out, "out", now);
    rate_add(arena, to, child);
    if (child->rekey_at && child->rekey_at != NSEC_NEVER) seconds_add(arena, to, "rekey-time", child->rekey_at - now);
    if (child->life_ends && child->life_ends != NSEC_NEVER) seconds_add(arena, to, "life-time", child->life_ends - now);
    seconds_add(arena, to, "install-time", now - child->installed);
    selectors_add_list(arena, to, "local-ts", child->local);
    selectors_add_list(arena, to, "remote-ts", child->remote);
}

// --- one IKE SA

static void times_add(const struct ike_sa_info *sa, struct arena *arena, struct tree *to)
{
    nsec now = role_now();
    if (!sa->established) return;
    seconds_add(arena, to, "established", now - sa->established);
    if (sa->rekey_at && sa->rekey_at != NSEC_NEVER) seconds_add(arena, to, "rekey-time", sa->rekey_at - now);
    if (sa->reauth_at && sa->reauth_at != NSEC_NEVER) seconds_add(arena, to, "reauth-time", sa->reauth_at - now);
}

static void addresses_add(struct arena *arena, struct tree *to, const char *name, const struct addr *addrs, size_t count)
{
    struct tree *list = count ? tree_add_list(arena, to, name) : NULL;
    for (size_t i = 0; i < count; i++) {
        char text[ADDR_TEXT];
        tree_add_item(arena, list, bytes_of_text(addr_print(&addrs[i], text)));
    }
}

static void sa_add(const struct ike_sa_info *sa, struct arena *arena, struct tree *to)
{
    number_add(arena, to, "uniqueid", sa->id);
    tree_add_text(arena, to, "version", "2");
    tree_add_text(arena, to, "state", sa->state);
    host_add(arena, to, "local-host", &sa->path.local.addr);
    number_add(arena, to, "local-port", sa->path.local.port);
    identity_add(arena, to, "local-id", sa->local_id);
    host_add(arena, to, "remote-host", &sa->path.remote.addr);
    number_add(arena, to, "remote-port", sa->path.remote.port);
    identity_add(arena, to, "remote-id", sa->remote_id);
    flag_add(arena, to, "initiator", sa->initiator);
    tree_add_printf(arena, to, "initiator-spi", "%016llx", (unsigned long long)sa->spi_i);
    tree_add_printf(arena, to, "responder-spi", "%016llx", (unsigned long long)sa->spi_r);
    flag_add(arena, to, "nat-local", sa->nat_local);
    flag_add(arena, to, "nat-remote", sa->nat_remote);
    flag_add(arena, to, "nat-any", sa->nat_any);
    flag_add(arena, to, "tcp", sa->path.stream);
    flag_add(arena, to, "cluster-peer", sa->cluster_peer);
    flag_add(arena, to, "ppk", sa->ppk);
    flag_add(arena, to, "ppk-early", sa->ppk_early);
    text_add(arena, to, "ppk-id", sa->ppk_name);
    suite_add(arena, to, &sa->suite, true);
    times_add(sa, arena, to);
    addresses_add(arena, to, "local-vips", sa->vips, sa->vip_count);
    addresses_add(arena, to, "remote-vips", sa->remote_vips, sa->remote_vip_count);
    addresses_add(arena, to, "dns", sa->dns, sa->dns_count);
    text_add(arena, to, "dns-domains", sa->domains);
    text_add(arena, to, "remote-auth", sa->peer_scheme);
}

// An SA that is not up yet: what it is for, how often it was tried, and when it is again.
static void attempts_add(struct ike_role *role, const struct ike_sa_info *sa, struct arena *arena, struct tree *to)
{
    const char *child = ike_waiting_child(role->core, sa->id, 0);
    struct tree *list = child ? tree_add_list(arena, to, "waiting-children") : NULL;
    for (unsigned i = 0; i < WAITING_SHOWN_MAX && (child = ike_waiting_child(role->core, sa->id, i)); i++)
        tree_add_item(arena, list, bytes_of_text(child));
    if (sa->attempts) number_add(arena, to, "attempts-failed", sa->attempts);
    if (sa->last_failure) text_add(arena, to, "last-failure", fault_sentence(sa->last_failure));
    if (sa->last_failure) text_add(arena, to, "remedy", fault_remedy(sa->last_failure));
    if (!sa->next_attempt) return;
    nsec now = role_now(), wait = sa->next_attempt > now ? sa->next_attempt - now : 0;
    seconds_add(arena, to, "next-attempt", wait);
}

static void child_section(struct ike_role *role, const struct ike_child_info *child, struct arena *arena, struct tree *children)
{
    char key[300];
    snprintf(key, sizeof key, "%s-%u", child->name, child->id);
    struct tree *section = tree_add_section(arena, children, key);
    child_add(child, arena, section);
    flag_add(arena, section, "updown-missing", child->conf->updown && !ike_hooks_run(role));
}

struct tree *ike_view_section(struct ike_role *role, const struct ike_sa_info *sa, const struct tree *filter,
                              uint32_t only_child, struct arena *arena, struct tree *parent)
{
    struct tree *section = tree_add_section(arena, parent, sa->conn->name);
    sa_add(sa, arena, section);
    attempts_add(role, sa, arena, section);
    struct tree *children = tree_add_section(arena, section, "child-sas");
    const char *name = tree_text(filter, "child", NULL);
    struct ike_child_info child;
    // One that has just gone is known by its number only.
    if (only_child && ike_child_info(role->core, sa->id, only_child, &child)) child_section(role, &child, arena, children);
    for (uint32_t id = 0; !only_child && (id = ike_child_after(role->core, sa->id, id));) {
        if (!ike_child_info(role->core, sa->id, id, &child)) continue;
        if (!name || strcmp(name, child.name) == 0) child_section(role, &child, arena, children);
    }
    return section;
}

void ike_view_sa(struct ike_role *role, uint32_t id, const struct tree *filter, struct arena *arena, struct tree *parent)
{
    struct ike_sa_info sa;
    if (ike_sa_info(role->core, id, &sa)) ike_view_section(role, &sa, filter, 0, arena, parent);
}

// --- messages to control

void tree_send(struct ike_role *role, enum message_type type, uint64_t number, const char *name,
                      const struct tree *tree, bool last)
{
    AUTOFREE_MEM uint8_t *space = mem_new(IPC_MESSAGE_MAX);
    struct wr encoded = wr_over(space, IPC_MESSAGE_MAX);
    if (tree) message_write(&encoded, tree);
    struct item_message message = {.name = name, .tree = wr_done(&encoded), .last = last};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, type, number);
    item_put(&out, &message);
    link_send(role->control, &out);
}

static bool sa_wanted(const struct ike_sa_info *sa, const struct tree *filter)
{
    const char *name = tree_text(filter, "ike", NULL), *id = tree_text(filter, "ike-id", NULL);
    if (name && strcmp(name, sa->conn->name) != 0) return false;
    return !id || strtoul(id, NULL, 10) == sa->id;
}

void ike_view_list(struct ike_role *role, uint64_t number, const struct tree *filter)
{
    for (uint32_t id = 0; (id = ike_sa_after(role->core, id));) {
        struct ike_sa_info sa;
        if (!ike_sa_info(role->core, id, &sa) || !sa.conn || !sa_wanted(&sa, filter)) continue;
        struct arena arena = {0};
        struct tree *root = tree_new(&arena);
        ike_view_section(role, &sa, filter, 0, &arena, root);
        tree_send(role, MESSAGE_ITEM, number, "list-sa", root, false);
        arena_free(&arena);
    }
    tree_send(role, MESSAGE_ITEM, number, "list-sa", NULL, true);
}

// --- events

static void rekeyed_event(struct ike_role *role, const struct ike_event *event, struct arena *arena, struct tree *root)
{
    struct ike_sa_info fresh, former;
    if (!ike_sa_info(role->core, event->ike_id, &fresh)) return;
    struct tree *section = tree_add_section(arena, root, fresh.conn->name);
    if (ike_sa_info(role->core, event->old_ike_id, &former)) sa_add(&former, arena, tree_add_section(arena, section, "old"));
    sa_add(&fresh, arena, tree_add_section(arena, section, "new"));
}

static void child_rekeyed_event(struct ike_role *role, const struct ike_event *event, struct arena *arena, struct tree *root)
{
    struct ike_sa_info sa;
    struct ike_child_info fresh, former;
    if (!ike_sa_info(role->core, event->ike_id, &sa)) return;
    if (!ike_child_info(role->core, event->ike_id, event->child_id, &fresh)) return;
    struct tree *section = tree_add_section(arena, root, sa.conn->name);
    sa_add(&sa, arena, section);
    struct tree *pair = tree_add_section(arena, tree_add_section(arena, section, "child-sas"), fresh.name);
    if (ike_child_info(role->core, event->ike_id, event->old_child_id, &former))
        child_add(&former, arena, tree_add_section(arena, pair, "old"));
    child_add(&fresh, arena, tree_add_section(arena, pair, "new"));
}

static void endpoint_add(struct arena *arena, struct tree *to, const char *prefix, const char *which, const struct endpoint *endpoint)
{
    char name[40];
    snprintf(name, sizeof name, "%s%s-host", prefix, which);
    host_add(arena, to, name, &endpoint->addr);
    snprintf(name, sizeof name, "%s%s-port", prefix, which);
    number_add(arena, to, name, endpoint->port);
}

static void updated_event(struct ike_role *role, const struct ike_event *event, struct arena *arena, struct tree *root)
{
    endpoint_add(arena, root, "", "local", &event->path.local);
    endpoint_add(arena, root, "", "remote", &event->path.remote);
    endpoint_add(arena, root, "old-", "local", &event->former.local);
    endpoint_add(arena, root, "old-", "remote", &event->former.remote);
    ike_view_sa(role, event->ike_id, NULL, arena, root);
}

void ike_view_event(struct ike_role *role, const struct ike_event *event)
{
    static const struct {
        enum vici_event_kind kind;
        const char *name;
    } kinds[] = {
        [IKE_EVENT_IKE_UP] = {VICI_IKE_UPDOWN, "ike-updown"},
        [IKE_EVENT_IKE_DOWN] = {VICI_IKE_UPDOWN, "ike-updown"},
        [IKE_EVENT_IKE_REKEYED] = {VICI_IKE_REKEY, "ike-rekey"},
        [IKE_EVENT_IKE_UPDATED] = {VICI_IKE_UPDATE, "ike-update"},
        [IKE_EVENT_CHILD_UP] = {VICI_CHILD_UPDOWN, "child-updown"},
        [IKE_EVENT_CHILD_DOWN] = {VICI_CHILD_UPDOWN, "child-updown"},
        [IKE_EVENT_CHILD_REKEYED] = {VICI_CHILD_REKEY, "child-rekey"},
        [IKE_EVENT_ALERT] = {VICI_ALERT, "alert"},
    };
    ike_hooks_event(role, event);
    if (!(role->listeners & 1u << kinds[event->kind].kind)) return;
    struct arena arena = {0};
    struct tree *root = tree_new(&arena);
    struct ike_sa_info sa;
    flag_add(&arena, root, "up", event->kind == IKE_EVENT_IKE_UP || event->kind == IKE_EVENT_CHILD_UP);
    switch (event->kind) {
    case IKE_EVENT_IKE_REKEYED: rekeyed_event(role, event, &arena, root); break;
    case IKE_EVENT_CHILD_REKEYED: child_rekeyed_event(role, event, &arena, root); break;
    case IKE_EVENT_IKE_UPDATED: updated_event(role, event, &arena, root); break;
    case IKE_EVENT_ALERT: text_add(&arena, root, "type", event->alert); break;
    default:
        if (ike_sa_info(role->core, event->ike_id, &sa) && sa.conn)
            ike_view_section(role, &sa, NULL, event->child_id, &arena, root);
    }
    tree_send(role, MESSAGE_EVENT, 0, kinds[event->kind].name, root, true);
    arena_free(&arena);
}

// --- log lines: subject first

static void subject_print(const struct ike_report *report, char *out, size_t size)
{
    char id[16] = "", child[300] = "", remote[ENDPOINT_TEXT + 4] = "", endpoint[ENDPOINT_TEXT];
    if (report->ike_id) snprintf(id, sizeof id, "[%u]", report->ike_id);
    if (report->child) snprintf(child, sizeof child, "/%s", report->child);
    if (report->conn) {
        snprintf(out, size, "%s%s%s", report->conn, child, id);
        return;
    }
    if (report->remote.addr.family)
        snprintf(remote, sizeof remote, "%s", endpoint_print(&report->remote, endpoint));
    snprintf(out, size, "%s%s", *remote ? remote : "ike", id);
}

void ike_view_report(struct ike_role *role, const struct ike_report *report)
{
    char subject[700];
    subject_print(report, subject, sizeof subject);
    if (report->level <= IKE_INFO || role->options->debug || report->level == IKE_DETAIL)
        role_log(ROLE_IKE, report->level, report->fault, "%s: %s", subject, report->text);
    if (!report->command && !(role->listeners & 1u << VICI_LOG)) return;

    // A text of several lines (an explanation) has the remedy behind its first one.
    const char *rest = strchr(report->text, '\n'), *remedy = report->fault ? fault_remedy(report->fault) : "";
    int first = rest ? (int)(rest - report->text) : (int)strlen(report->text);
    AUTOFREE_MEM char *line = mem_printf("%s: %.*s%s%s%s", subject, first, report->text, *remedy ? "; " : "", remedy, rest ? rest : "");
    struct log_message message = {.level = report->level, .fault = report->fault, .command = report->command,
                                  .ike_id = report->ike_id, .conn = report->conn, .child = report->child, .text = line};
    struct wr out = message_begin(role->space, IPC_MESSAGE_MAX, MESSAGE_LOG, 0);
    log_put(&out, &message);
    if (out.failed || out.size > REPORT_MAX) return;   // the line is in the log; too long for subscribers
    link_send(role->control, &out);
}
