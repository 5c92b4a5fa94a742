// SPDX-License-Identifier: Apache-2.0
// MOBIKE (RFC 4555), rule by rule: what the ends tell each other, who decides, and what is done
// before packets go to a new address.
#include "ike/internal.h"
#include "ike/roam.h"
#include "pair.h"

static const struct conf_text mobile = {.mobike = true, .dpd_delay = 0, .mark_sealed = 42};
static const struct conf_text mobile_anybody = {.mobike = true, .mark_sealed = 43, .responder_only = true};

static struct addr old_addr(void) { return addr_v4(192, 0, 2, 1); }
static struct addr new_addr(void) { return addr_v4(198, 51, 100, 9); }
static struct addr peer_addr(void) { return addr_v4(192, 0, 2, 2); }
static struct addr peer_other(void) { return addr_v4(203, 0, 113, 5); }

static struct sa *sa_of(struct host *host)
{
    return LIST_FIRST(struct sa, link, &host->core->sas);
}

// --- what goes over the wire: the notifies of sealed messages, by sender

enum { SEEN_MAX = 256 };
struct seen {
    bool from_a;
    bool response;
    uint16_t type;
    uint8_t data[64];
    size_t size;
};
static struct seen seen[SEEN_MAX];
static size_t seen_count;

static bool watch(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    struct host *to = from == &p->a ? &p->b : &p->a;
    struct message message = {.raw = bytes_of(bytes, size)};
    struct arena arena = {0};
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    bool sealed = message.header.exchange != EXCHANGE_IKE_SA_INIT &&
                  !list_is_empty(&to->core->sas) && sa_of(to)->keys.all.at;
    if (sealed && message_open(sa_of(to), &message, &arena) == OK) {
        for (size_t i = 0; i < message.payloads->count && seen_count < SEEN_MAX; i++) {
            struct notify notify;
            const struct payload *payload = &message.payloads->at[i];
            if (payload->type != PAYLOAD_NOTIFY || notify_read(payload->body, &notify)) continue;
            struct seen *at = &seen[seen_count++];
            *at = (struct seen){.from_a = from == &p->a,
                                .response = message.header.flags & FLAG_RESPONSE,
                                .type = notify.type,
                                .size = notify.data.size};
            if (at->size <= sizeof at->data && at->size)
                memcpy(at->data, notify.data.at, at->size);
        }
    }
    arena_free(&arena);
    return false;
}

static unsigned count_seen(bool from_a, bool response, uint16_t type)
{
    unsigned count = 0;
    for (size_t i = 0; i < seen_count; i++)
        count += seen[i].from_a == from_a && seen[i].response == response && seen[i].type == type;
    return count;
}

static const struct seen *last_seen(bool from_a, uint16_t type)
{
    const struct seen *found = NULL;
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].from_a == from_a && seen[i].type == type) found = &seen[i];
    return found;
}

// --- hosts and their addresses

static void address(struct host *host, struct addr addr, bool came)
{
    struct ike_in in = {.kind = IKE_IN_ADDRESS};
    in.address.addr = addr;
    in.address.came = came;
    step_in(host, &in);
}

static void route(struct host *host, struct addr local, struct addr remote)
{
    assert_true(host->route_count < 8);
    host->routes[host->route_count++] =
        (struct path){{local, 500}, {remote, 500}, false};
}

static struct pair *pair_mobile(const struct conf_text *a, const struct conf_text *b)
{
    struct pair *p = pair_new();
    seen_count = 0;
    p->lose = watch;
    address(&p->a, p->a.addr, true);
    address(&p->b, p->b.addr, true);
    load_both(p, a, b);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    return p;
}

static struct pair *pair_mobile_up(void)
{
    return pair_mobile(&mobile, &mobile_anybody);
}

// a has left the old network and is in the new one.
static void a_leaves(struct pair *p)
{
    p->a.route_count = 0;
    route(&p->a, new_addr(), peer_addr());
    p->dead[0] = old_addr();
    p->dead_count = 1;
    address(&p->a, new_addr(), true);
    address(&p->a, old_addr(), false);
}

static void assert_paths(const struct host *host, struct addr local, struct addr remote)
{
    struct ike_sa_info info;
    assert_true(sa_first(host, &info));
    assert_true(addr_equal(&info.path.local.addr, &local));
    assert_true(addr_equal(&info.path.remote.addr, &remote));
}

static void assert_plane(const struct host *host, struct addr local, struct addr remote)
{
    assert_int_equal(host->sa_count, 2);
    for (size_t i = 0; i < host->sa_count; i++) {
        assert_true(addr_equal(&host->sas[i].spec.path.local.addr, &local));
        assert_true(addr_equal(&host->sas[i].spec.path.remote.addr, &remote));
    }
}

static void assert_moved(struct pair *p)
{
    assert_up(p, 1);
    assert_paths(&p->a, new_addr(), peer_addr());
    assert_paths(&p->b, peer_addr(), new_addr());
    assert_plane(&p->a, new_addr(), peer_addr());
    assert_plane(&p->b, peer_addr(), new_addr());
}

// --- IKE_AUTH

// RFC 4555 3.2, 3.3 test: both say so, and go on at port 4500 though there is no NAT.
static void both_say_that_they_can_move(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    struct ike_sa_info info;
    assert_int_equal(count_seen(true, false, NOTIFY_MOBIKE_SUPPORTED), 1);
    assert_int_equal(count_seen(false, true, NOTIFY_MOBIKE_SUPPORTED), 1);
    assert_int_equal(last_seen(true, NOTIFY_MOBIKE_SUPPORTED)->size, 0);
    assert_true(sa_first(&p->a, &info));
    assert_int_equal(info.path.remote.port, 4500);
    assert_true(info.path.encap && !info.nat_any);
    for (size_t i = 0; i < p->a.sa_count; i++) assert_false(p->a.sas[i].spec.path.encap);
    pair_free(p);
}

static void one_that_may_not_move_does_not_say_it(void **state)
{
    (void)state;
    struct conf_text fixed = {0}, fixed_anybody = {.responder_only = true};
    struct pair *p = pair_mobile(&mobile, &fixed_anybody);
    assert_int_equal(count_seen(true, false, NOTIFY_MOBIKE_SUPPORTED), 1);
    assert_int_equal(count_seen(false, true, NOTIFY_MOBIKE_SUPPORTED), 0);
    a_leaves(p);
    run_for(p, nsec_seconds(5));
    assert_paths(&p->a, old_addr(), peer_addr());
    pair_free(p);
    p = pair_mobile(&fixed, &mobile_anybody);
    assert_int_equal(count_seen(true, false, NOTIFY_MOBIKE_SUPPORTED), 0);
    assert_int_equal(count_seen(false, true, NOTIFY_MOBIKE_SUPPORTED), 0);
    pair_free(p);
}

// RFC 4555 3.4 test
static void additional_addresses_are_told_at_once(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    static const struct addr six = {ADDR_V6, {0x20, 1, 0xd, 0xb8, [15] = 7}};
    static const struct addr link_local = {ADDR_V6, {0xfe, 0x80, [15] = 7}};
    seen_count = 0;
    p->lose = watch;
    address(&p->a, p->a.addr, true);
    address(&p->b, p->b.addr, true);
    address(&p->b, peer_other(), true);
    address(&p->b, six, true);
    address(&p->b, link_local, true);
    address(&p->b, addr_v4(127, 0, 0, 1), true);
    address(&p->b, addr_v4(10, 2, 0, 1), true); // behind the tunnel
    load_both(p, &mobile, &mobile_anybody);
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    assert_int_equal(count_seen(false, true, NOTIFY_ADDITIONAL_IP4_ADDRESS), 1);
    assert_int_equal(count_seen(false, true, NOTIFY_ADDITIONAL_IP6_ADDRESS), 1);
    assert_memory_equal(last_seen(false, NOTIFY_ADDITIONAL_IP4_ADDRESS)->data, peer_other().at, 4);
    assert_memory_equal(last_seen(false, NOTIFY_ADDITIONAL_IP6_ADDRESS)->data, six.at, 16);
    assert_int_equal(count_seen(true, false, NOTIFY_ADDITIONAL_IP4_ADDRESS), 0);
    assert_int_equal(sa_of(&p->a)->mobility->peer_count, 3);
    pair_free(p);
}

// --- the initiator moves

// RFC 4555 3.5 test
static void the_initiator_moves_and_says_so(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    struct ike_child_info before, after;
    assert_true(child_first(&p->a, &before));
    a_leaves(p);
    run_for(p, nsec_ms(105)); // the request is on its way
    assert_plane(&p->a, new_addr(), peer_addr());
    assert_plane(&p->b, peer_addr(), old_addr());
    run_for(p, nsec_seconds(1));
    assert_moved(p);
    assert_true(child_first(&p->a, &after));
    assert_int_equal(before.spi_in, after.spi_in);
    assert_int_equal(count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES), 1);
    assert_int_equal(last_seen(true, NOTIFY_UPDATE_SA_ADDRESSES)->size, 0);
    assert_int_equal(count_seen(true, false, NOTIFY_NAT_DETECTION_SOURCE_IP), 1);
    assert_int_equal(count_seen(false, true, NOTIFY_NAT_DETECTION_DESTINATION_IP), 1);
    assert_int_equal(p->a.events[IKE_EVENT_IKE_UPDATED], 1);
    assert_int_equal(p->b.events[IKE_EVENT_IKE_UPDATED], 1);
    assert_non_null(said_text(&p->a, "our address has gone"));
    assert_non_null(said_text(&p->b, "peer has moved from 192.0.2.1:4500 to 198.51.100.9:4500"));
    pair_free(p);
}

// RFC 4555 3.7 test: nothing is sent to a new address before the peer has answered from there.
static bool lose_checks(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    watch(p, from, bytes, size);
    return from == &p->b && seen_count && seen[seen_count - 1].type == NOTIFY_COOKIE2 &&
           !seen[seen_count - 1].from_a && !seen[seen_count - 1].response;
}

static void a_new_address_is_checked_before_packets_go_there(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    p->lose = lose_checks;
    a_leaves(p);
    run_for(p, nsec_seconds(2));
    assert_paths(&p->b, peer_addr(), new_addr());
    assert_plane(&p->b, peer_addr(), old_addr());
    p->lose = watch;
    run_for(p, nsec_seconds(5));
    assert_moved(p);
    assert_in_range(last_seen(false, NOTIFY_COOKIE2)->size, 8, 64);
    pair_free(p);
}

static bool change_cookie(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    watch(p, from, bytes, size);
    const struct exchange *x = sa_of(&p->b)->asking;
    if (from == &p->a && x && x->cookie.size) ((uint8_t *)(uintptr_t)x->cookie.at)[0] ^= 1;
    return false;
}

// RFC 4555 3.7 test: a wrong answer closes the IKE SA.
static void a_wrong_cookie_closes_it(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    a_leaves(p);
    run_for(p, nsec_ms(115));
    assert_non_null(sa_of(&p->b)->asking);
    p->lose = change_cookie;
    run_for(p, nsec_seconds(2));
    assert_non_null(said(&p->b, FAULT_COOKIE2_WRONG));
    assert_int_equal(sas_all(&p->b), 0);
    assert_int_equal(sas_all(&p->a), 0);
    pair_free(p);
}

// RFC 4555 3.5 test: another move while the answer is awaited.
static void a_move_during_a_move_counts(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    struct addr third = addr_v4(203, 0, 113, 77);
    a_leaves(p);
    run_for(p, nsec_ms(105));
    p->a.route_count = 0;
    route(&p->a, third, peer_addr());
    p->dead[p->dead_count++] = new_addr();
    address(&p->a, third, true);
    address(&p->a, new_addr(), false);
    run_for(p, nsec_seconds(3));
    assert_up(p, 1);
    assert_paths(&p->b, peer_addr(), third);
    assert_plane(&p->b, peer_addr(), third);
    assert_plane(&p->a, third, peer_addr());
    pair_free(p);
}

// RFC 4555 3.5 test: a request under way goes on from the new address.
static void an_open_request_goes_on_along_the_new_path(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    p->lose_all_of_a = true;
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_ms(50));
    p->lose_all_of_a = false;
    a_leaves(p);
    run_for(p, nsec_seconds(2)); // before the first retransmission is due
    assert_int_equal(p->a.events[IKE_EVENT_CHILD_REKEYED], 1);
    run_for(p, nsec_seconds(8));
    assert_moved(p);
    pair_free(p);
}

// --- who decides, and what is refused

// RFC 4555 3.5 test: the responder does not move anybody, and nobody follows IKE alone (3.8).
static void only_the_initiator_decides(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    struct sa *b = sa_of(&p->b);
    assert_false(path_decides(b));
    assert_true(path_decides(sa_of(&p->a)));
    struct draft draft;
    draft_begin(p->b.core, &draft);
    draft_notify(&draft, NOTIFY_UPDATE_SA_ADDRESSES, BYTES_NONE);
    struct packets packets =
        draft_seal(b, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, b->send_id++);
    struct path path = {{old_addr(), 4500}, {peer_other(), 4500}, true};
    datagram(p, &p->a, &path, packets.at, packets.size);
    free(packets.at);
    assert_paths(&p->a, old_addr(), peer_addr());
    assert_plane(&p->a, old_addr(), peer_addr());
    pair_free(p);
}

static struct packets seal_of_a(struct pair *p, void (*write)(struct draft *draft))
{
    struct sa *sa = sa_of(&p->a);
    struct draft draft;
    draft_begin(p->a.core, &draft);
    write(&draft);
    return draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_REQUEST, sa->send_id++);
}

// b gets it from that address; returns the error in its answer, 0: none.
static uint16_t send_from(struct pair *p, struct addr from, void (*write)(struct draft *draft))
{
    struct packets packets = seal_of_a(p, write);
    struct path path = {{peer_addr(), 4500}, {from, 4500}, true};
    seen_count = 0;
    datagram(p, &p->b, &path, packets.at, packets.size);
    free(packets.at);
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].response && seen[i].type < 16384) return seen[i].type;
    return 0;
}

static void write_update(struct draft *draft)
{
    draft_notify(draft, NOTIFY_UPDATE_SA_ADDRESSES, BYTES_NONE);
}

// RFC 4555 3.5 test
static void a_place_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    struct conf_text b = {.mobike = true, .remote_range = "192.0.2.0/24"};
    struct pair *p = pair_mobile(&mobile, &b);
    assert_int_equal(send_from(p, new_addr(), write_update), NOTIFY_UNACCEPTABLE_ADDRESSES);
    assert_non_null(said(&p->b, FAULT_PATH_UNACCEPTABLE));
    assert_paths(&p->b, peer_addr(), old_addr());
    assert_int_equal(send_from(p, addr_v4(192, 0, 2, 99), write_update), 0);
    assert_paths(&p->b, peer_addr(), addr_v4(192, 0, 2, 99));
    pair_free(p);
}

static void a_refused_initiator_tries_again_and_says_why(void **state)
{
    (void)state;
    struct conf_text b = {.mobike = true, .remote_range = "192.0.2.0/24"};
    struct pair *p = pair_mobile(&mobile, &b);
    a_leaves(p);
    run_for(p, nsec_seconds(60));
    assert_non_null(said(&p->a, FAULT_PEER_PATH_REFUSED));
    assert_in_range(count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES), 2, 8);
    pair_free(p);
}

static void write_no_nats(struct draft *draft)
{
    static const uint8_t places[12] = {192, 0, 2, 1, 192, 0, 2, 2, 0x11, 0x94, 0x11, 0x94};
    write_update(draft);
    draft_notify(draft, NOTIFY_NO_NATS_ALLOWED, BYTES_ARRAY(places));
}

// RFC 4555 3.9 test
static void addresses_that_were_changed_on_the_way_are_refused(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    assert_int_equal(send_from(p, new_addr(), write_no_nats), NOTIFY_UNEXPECTED_NAT_DETECTED);
    assert_non_null(said(&p->b, FAULT_NAT_UNEXPECTED));
    assert_paths(&p->b, peer_addr(), old_addr());
    assert_int_equal(send_from(p, old_addr(), write_no_nats), 0);
    pair_free(p);
}

// RFC 4555 3.9 test: without NAT traversal of the peer all that moves names its addresses.
static void without_nat_traversal_addresses_are_named(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    sa_of(&p->a)->bits &= ~(uint32_t)NAT_SEEN;
    a_leaves(p);
    run_for(p, nsec_seconds(1));
    assert_int_equal(count_seen(true, false, NOTIFY_NO_NATS_ALLOWED), 1);
    const struct seen *named = last_seen(true, NOTIFY_NO_NATS_ALLOWED);
    assert_int_equal(named->size, 12);
    assert_memory_equal(named->data, new_addr().at, 4);
    assert_memory_equal(named->data + 4, peer_addr().at, 4);
    assert_moved(p);
    pair_free(p);
}

static bool say_nat(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    watch(p, from, bytes, size);
    if (from != &p->b || !seen_count || bytes[18] != EXCHANGE_INFORMATIONAL) return false;
    struct sa *sa = sa_of(&p->b);
    struct message message = {.raw = bytes_of(bytes, size)};
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    if (!(message.header.flags & FLAG_RESPONSE)) return false;
    struct draft draft;
    draft_begin(p->b.core, &draft);
    draft_notify(&draft, NOTIFY_UNEXPECTED_NAT_DETECTED, BYTES_NONE);
    struct packets packets = draft_seal(sa, &draft, EXCHANGE_INFORMATIONAL, MESSAGE_RESPONSE,
                                        message.header.message_id);
    assert_true(p->flight_count < FLIGHT_MAX);
    p->flights[p->flight_count++] =
        (struct flight){p->now + p->delay,
                        {{new_addr(), 4500}, {peer_addr(), 4500}, true},
                        &p->a, packets.at, packets.size};
    return true;
}

static void a_nat_that_the_peer_does_not_want_is_told(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    p->lose = say_nat;
    a_leaves(p);
    run_for(p, nsec_seconds(60));
    assert_non_null(said(&p->a, FAULT_PEER_NAT_UNEXPECTED));
    assert_in_range(count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES), 2, 8);
    pair_free(p);
}

// --- COOKIE2 of the peer, and sizes

static size_t cookie_size;
static void write_cookie(struct draft *draft)
{
    static const uint8_t cookie[80] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    draft_notify(draft, NOTIFY_COOKIE2, bytes_of(cookie, cookie_size));
}

// RFC 4555 4.2.5 test
static void a_cookie_is_given_back(void **state)
{
    (void)state;
    static const size_t good[] = {8, 32, 64}, bad[] = {0, 7, 65};
    for (size_t i = 0; i < 3; i++) {
        struct pair *p = pair_mobile_up();
        cookie_size = good[i];
        assert_int_equal(send_from(p, old_addr(), write_cookie), 0);
        assert_int_equal(last_seen(false, NOTIFY_COOKIE2)->size, good[i]);
        assert_int_equal(last_seen(false, NOTIFY_COOKIE2)->data[8 % good[i]], good[i] > 8 ? 9 : 1);
        pair_free(p);
        p = pair_mobile_up();
        cookie_size = bad[i];
        assert_int_equal(send_from(p, old_addr(), write_cookie), NOTIFY_INVALID_SYNTAX);
        assert_non_null(said(&p->b, FAULT_MOBIKE_SYNTAX));
        pair_free(p);
    }
}

static void write_short_address(struct draft *draft)
{
    draft_notify(draft, NOTIFY_ADDITIONAL_IP4_ADDRESS, BYTES("abc"));
}

static void write_many_addresses(struct draft *draft)
{
    for (unsigned i = 0; i < 40; i++) {
        struct addr addr = addr_v4(203, 0, 113, (uint8_t)(i + 1));
        draft_notify(draft, NOTIFY_ADDITIONAL_IP4_ADDRESS, addr_bytes(&addr));
    }
}

static void write_no_addresses(struct draft *draft)
{
    draft_notify(draft, NOTIFY_NO_ADDITIONAL_ADDRESSES, BYTES_NONE);
}

// RFC 4555 3.6 test: the list is replaced as a whole, and is not kept beyond a limit.
static void a_list_of_addresses_replaces_the_former_one(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    const struct mobility *mobility = sa_of(&p->b)->mobility;
    assert_int_equal(send_from(p, old_addr(), write_many_addresses), 0);
    assert_int_equal(mobility->peer_count, PEER_ADDRS_MAX);
    assert_int_equal(send_from(p, old_addr(), write_no_addresses), 0);
    assert_int_equal(mobility->peer_count, 1);
    assert_paths(&p->b, peer_addr(), old_addr());
    assert_int_equal(send_from(p, old_addr(), write_short_address), NOTIFY_INVALID_SYNTAX);
    pair_free(p);
}

static void new_addresses_are_told_and_lost_ones_too(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    address(&p->b, peer_other(), true);
    run_for(p, nsec_seconds(1));
    assert_int_equal(count_seen(false, false, NOTIFY_ADDITIONAL_IP4_ADDRESS), 1);
    address(&p->b, peer_other(), false);
    run_for(p, nsec_seconds(1));
    assert_int_equal(count_seen(false, false, NOTIFY_NO_ADDITIONAL_ADDRESSES), 1);
    address(&p->b, addr_v4(10, 2, 0, 9), true); // of the network behind it: nobody needs to know
    run_for(p, nsec_seconds(1));
    assert_int_equal(count_seen(false, false, NOTIFY_ADDITIONAL_IP4_ADDRESS), 1);
    pair_free(p);
}

// --- the responder moves

// RFC 4555 3.6 test
static void a_responder_that_moves_says_where_it_is(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    route(&p->b, peer_other(), old_addr());
    p->dead[p->dead_count++] = peer_addr();
    address(&p->b, peer_other(), true);
    address(&p->b, peer_addr(), false);
    run_for(p, nsec_seconds(3));
    assert_paths(&p->a, old_addr(), peer_other());
    assert_paths(&p->b, peer_other(), old_addr());
    assert_plane(&p->a, old_addr(), peer_other());
    assert_plane(&p->b, peer_other(), old_addr());
    assert_int_equal(count_seen(true, false, NOTIFY_COOKIE2), 1); // the new address is checked
    assert_int_equal(count_seen(false, true, NOTIFY_COOKIE2), 1);
    pair_free(p);
}

// --- paths that do not work

// RFC 4555 3.5, 3.10 test: silence makes the initiator try the peer's other address.
static void silence_makes_other_paths_be_tried(void **state)
{
    (void)state;
    struct conf_text a = {.mobike = true, .dpd_delay = nsec_seconds(10)};
    struct pair *p = pair_mobile(&a, &mobile_anybody);
    address(&p->b, peer_other(), true);
    run_for(p, nsec_seconds(1));
    p->dead[p->dead_count++] = peer_addr();
    run_for(p, nsec_seconds(40));
    assert_up(p, 1);
    assert_paths(&p->a, old_addr(), peer_other());
    assert_plane(&p->a, old_addr(), peer_other());
    assert_plane(&p->b, peer_other(), old_addr());
    assert_non_null(said_text(&p->a, "answers there and not on the former path"));
    pair_free(p);
}

// The kernel prefers another address though ours is still there: it is tried first.
static void a_better_path_is_probed_before_it_is_taken(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    route(&p->a, new_addr(), peer_addr());
    p->dead[p->dead_count++] = new_addr(); // it goes nowhere
    address(&p->a, new_addr(), true);
    run_for(p, nsec_seconds(20));
    assert_paths(&p->a, old_addr(), peer_addr());
    assert_plane(&p->a, old_addr(), peer_addr());
    p->dead_count = 0;
    address(&p->a, (struct addr){0}, false); // routes have changed
    run_for(p, nsec_seconds(5));
    assert_moved(p);
    pair_free(p);
}

// a has no address any more.
static struct pair *pair_without_a_way(nsec for_so_long)
{
    struct conf_text a = {.mobike = true, .dpd_delay = nsec_seconds(10)};
    struct pair *p = pair_mobile(&a, &mobile_anybody);
    run_for(p, nsec_seconds(15)); // a liveness check: b knows that a is there
    p->a.no_route = true;
    p->dead[p->dead_count++] = old_addr();
    address(&p->a, old_addr(), false);
    run_for(p, for_so_long);
    return p;
}

static void an_sa_without_a_way_waits_and_comes_back(void **state)
{
    (void)state;
    struct pair *p = pair_without_a_way(nsec_seconds(1000));
    assert_non_null(said(&p->a, FAULT_PATH_NONE));
    assert_int_equal(sas_up(&p->a), 1);
    p->a.no_route = false;
    route(&p->a, new_addr(), peer_addr());
    address(&p->a, new_addr(), true);
    run_for(p, nsec_seconds(5));
    assert_moved(p);
    pair_free(p);
}

static void an_sa_that_waits_can_be_closed(void **state)
{
    (void)state;
    struct pair *p = pair_without_a_way(nsec_seconds(30));
    command(&p->a, IKE_TERMINATE, "office", NULL);
    run_for(p, nsec_seconds(400));
    assert_int_equal(sas_all(&p->a), 0);
    pair_free(p);
}

// RFC 4555 3.11 test: a responder waits for five minutes, so that the initiator can find a path.
static void a_responder_is_patient(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    p->lose_all_of_a = p->lose_all_of_b = true;
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(300));
    assert_int_equal(sas_up(&p->b), 1);
    run_for(p, nsec_seconds(200));
    assert_int_equal(sas_all(&p->b), 0);
    pair_free(p);
}

// --- NATs

static struct pair *pair_behind_nat(const struct conf_text *a)
{
    struct pair *p = pair_new();
    p->nat = (struct nat){
        .on = true, .outside = addr_v4(198, 51, 100, 7), .port_500 = 1500, .port_4500 = 14500};
    address(&p->a, p->a.addr, true);
    address(&p->b, p->b.addr, true);
    load_both(p, a, &mobile_anybody);
    seen_count = 0;
    p->lose = watch;
    command(&p->a, IKE_INITIATE, NULL, "lan");
    run_for(p, nsec_seconds(1));
    assert_up(p, 1);
    return p;
}

// RFC 4555 3.8 test: IKE from elsewhere moves nobody; a liveness check finds out, and then it is
// said.
static void a_changed_mapping_is_found_and_told(void **state)
{
    (void)state;
    struct conf_text a = {.mobike = true, .dpd_delay = nsec_seconds(30)};
    struct pair *p = pair_behind_nat(&a);
    struct ike_sa_info b;
    run_for(p, nsec_seconds(40)); // now it is known where the NAT shows us
    unsigned updates = count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES);
    run_for(p, nsec_seconds(60));
    assert_int_equal(count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES), updates);
    p->nat.port_4500 = 24500;
    command(&p->a, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(2));
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 14500);
    run_for(p, nsec_seconds(40));
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 24500);
    assert_int_equal(count_seen(true, false, NOTIFY_UPDATE_SA_ADDRESSES), updates + 1);
    for (size_t i = 0; i < p->b.sa_count; i++)
        assert_int_equal(p->b.sas[i].spec.path.remote.port, 24500);
    pair_free(p);
}

// RFC 4555 3.8 test: ESP may be followed.
static void a_changed_mapping_is_followed_by_esp(void **state)
{
    (void)state;
    struct conf_text a = {.mobike = true};
    struct pair *p = pair_behind_nat(&a);
    struct ike_child_info child;
    struct ike_sa_info b;
    assert_true(child_first(&p->b, &child));
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_PEER_MOVED,
                                  .spi = child.spi_in,
                                  .from = {addr_v4(198, 51, 100, 7), 33333}};
    step_in(&p->b, &in);
    assert_true(sa_first(&p->b, &b));
    assert_int_equal(b.path.remote.port, 33333);
    for (size_t i = 0; i < p->b.sa_count; i++)
        assert_int_equal(p->b.sas[i].spec.path.remote.port, 33333);
    pair_free(p);
}

// RFC 4555 3.12 test: packets from where the peer should not be are no sign of life.
static void packets_from_elsewhere_are_no_sign_of_life(void **state)
{
    (void)state;
    struct conf_text b = {.mobike = true, .responder_only = true, .dpd_delay = nsec_seconds(20)};
    struct pair *p = pair_mobile(&mobile, &b);
    struct ike_child_info child;
    assert_true(child_first(&p->b, &child));
    struct ike_in in = {.kind = IKE_IN_PLANE};
    in.plane = (struct ike_plane){.kind = IKE_PLANE_PEER_MOVED,
                                  .spi = child.spi_in,
                                  .from = {new_addr(), 4500}};
    step_in(&p->b, &in);
    assert_paths(&p->b, peer_addr(), old_addr());
    uint64_t before = p->b.sent;
    run_for(p, nsec_seconds(15));
    usage(&p->b, child.spi_in, SA_IN, 5, 500);
    run_for(p, nsec_seconds(10));
    assert_true(p->b.sent > before); // it asked all the same
    pair_free(p);
}

// A rekeyed IKE SA goes on with all of it.
static void a_rekeyed_sa_moves_as_well(void **state)
{
    (void)state;
    struct pair *p = pair_mobile_up();
    command(&p->b, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(5));
    assert_int_equal(p->a.events[IKE_EVENT_IKE_REKEYED], 1);
    p->lose = NULL; // the first SA is gone, whose keys the watcher uses
    a_leaves(p);
    run_for(p, nsec_seconds(3));
    assert_moved(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_say_that_they_can_move),
        cmocka_unit_test(one_that_may_not_move_does_not_say_it),
        cmocka_unit_test(additional_addresses_are_told_at_once),
        cmocka_unit_test(the_initiator_moves_and_says_so),
        cmocka_unit_test(a_new_address_is_checked_before_packets_go_there),
        cmocka_unit_test(a_wrong_cookie_closes_it),
        cmocka_unit_test(a_move_during_a_move_counts),
        cmocka_unit_test(an_open_request_goes_on_along_the_new_path),
        cmocka_unit_test(only_the_initiator_decides),
        cmocka_unit_test(a_place_that_is_not_allowed_is_refused),
        cmocka_unit_test(a_refused_initiator_tries_again_and_says_why),
        cmocka_unit_test(addresses_that_were_changed_on_the_way_are_refused),
        cmocka_unit_test(without_nat_traversal_addresses_are_named),
        cmocka_unit_test(a_nat_that_the_peer_does_not_want_is_told),
        cmocka_unit_test(a_cookie_is_given_back),
        cmocka_unit_test(a_list_of_addresses_replaces_the_former_one),
        cmocka_unit_test(new_addresses_are_told_and_lost_ones_too),
        cmocka_unit_test(a_responder_that_moves_says_where_it_is),
        cmocka_unit_test(silence_makes_other_paths_be_tried),
        cmocka_unit_test(a_better_path_is_probed_before_it_is_taken),
        cmocka_unit_test(an_sa_without_a_way_waits_and_comes_back),
        cmocka_unit_test(an_sa_that_waits_can_be_closed),
        cmocka_unit_test(a_responder_is_patient),
        cmocka_unit_test(a_changed_mapping_is_found_and_told),
        cmocka_unit_test(a_changed_mapping_is_followed_by_esp),
        cmocka_unit_test(packets_from_elsewhere_are_no_sign_of_life),
        cmocka_unit_test(a_rekeyed_sa_moves_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
