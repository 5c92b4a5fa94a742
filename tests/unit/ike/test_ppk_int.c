// SPDX-License-Identifier: Apache-2.0
// Post-quantum pre-shared keys in IKE_INTERMEDIATE and CREATE_CHILD_SA (RFC 9867): who has which key,
// who insists, which of several, and keys out of the formulas by hand.
#include "ike/internal.h"
#include "pair.h"

#define NAME  "ppk@example.org"
#define OTHER "other@example.org"
#define HYBRID "aes128gcm16-prfsha256-x25519-ke1_mlkem512"
#define TWO_MORE "aes128gcm16-prfsha256-x25519-ke1_mlkem512-ke2_ecp256"

struct heard {
    struct pair *pair;
    uint8_t ni[NONCE_SIZE_MAX], nr[NONCE_SIZE_MAX];
    size_t ni_size, nr_size;
    uint8_t create[2][4096]; // the last CREATE_CHILD_SA request and response
    size_t create_size[2];
} heard;

static bool listen(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)p;
    (void)from;
    struct ike_header header;
    struct payloads payloads;
    if (ike_header_read(bytes_of(bytes, size), &header)) return false;
    bool response = header.flags & FLAG_RESPONSE;
    if (header.exchange == EXCHANGE_CREATE_CHILD_SA && size <= sizeof heard.create[0]) {
        memcpy(heard.create[response], bytes, size);
        heard.create_size[response] = size;
    }
    if (header.exchange != EXCHANGE_IKE_SA_INIT) return false;
    assert_int_equal(payloads_read(header.next, bytes_of(bytes + IKE_HEADER_SIZE, size - IKE_HEADER_SIZE),
                                   &payloads, NULL),
                     OK);
    struct bytes nonce = payloads_first(&payloads, PAYLOAD_NONCE)->body;
    memcpy(response ? heard.nr : heard.ni, nonce.at, nonce.size);
    *(response ? &heard.nr_size : &heard.ni_size) = nonce.size;
    return false;
}

static struct pair *ppk_pair(const char *a_key, const char *b_key, const struct conf_text *a,
                             const struct conf_text *b)
{
    struct pair *p = pair_new();
    struct conf_text of_a = *a;
    if (!a->ppk_id && !a->ppk_ids[0]) of_a.ppk_id = NAME;
    p->a.ppk_id = p->b.ppk_id = NAME;
    p->a.ppk = a_key;
    p->b.ppk = b_key;
    load_both(p, &of_a, b);
    p->lose = listen;
    command(&p->a, IKE_INITIATE, "office", "lan");
    return p;
}

static bool uses_ppk(const struct host *host, bool early)
{
    struct ike_sa_info info;
    return sa_first(host, &info) && info.ppk && info.ppk_early == early;
}

static bool child_uses_ppk(const struct host *host)
{
    struct ike_child_info info;
    return child_first(host, &info) && info.ppk;
}

enum outcome { FAILS, PLAIN, LATE, EARLY };
struct row {
    const char *name, *a, *b;
    bool a_required, b_required;
    uint8_t a_int, b_int, outcome;
    enum fault a_fault, b_fault;
};

// RFC 9867 3.1 test: who has it, who insists, who can do it which way.
// clang-format off
static const struct row rows[] = {
    {"both have it",                   "k", "k", false, false, 0, 0, EARLY, OK, OK},
    {"both insist",                    "k", "k", true,  true,  0, 0, EARLY, OK, OK},
    {"both insist on this way",        "k", "k", true,  true,  PPK_INT_ONLY, PPK_INT_ONLY, EARLY, OK, OK},
    {"the responder is older",         "k", "k", true,  true,  0, PPK_INT_NEVER, LATE, OK, OK},
    {"the initiator is older",         "k", "k", true,  true,  PPK_INT_NEVER, 0, LATE, OK, OK},
    {"only this way, responder older", "k", "k", true,  false, PPK_INT_ONLY, PPK_INT_NEVER, FAILS, FAULT_PPK_REQUIRED, OK},
    {"only this way, initiator older", "k", "k", false, true,  PPK_INT_NEVER, PPK_INT_ONLY, FAILS, FAULT_PEER_REFUSES, FAULT_PPK_REQUIRED},
    {"without insisting, none goes in", "k", "k", false, false, PPK_INT_NEVER, PPK_INT_ONLY, PLAIN, OK, OK},
    {"the initiator lacks it",         NULL, "k", false, false, 0, 0, PLAIN, FAULT_PPK_MISSING, OK},
    {"the initiator lacks it, insists", NULL, "k", true, false, 0, 0, FAILS, FAULT_PPK_MISSING, OK},
    {"… and the responder insists",    NULL, "k", false, true, 0, 0, FAILS, FAULT_PEER_REFUSES, FAULT_PPK_REQUIRED},
    {"the responder lacks it",         "k", NULL, false, false, 0, 0, PLAIN, OK, OK},
    {"the initiator insists alone",    "k", NULL, true,  false, 0, 0, FAILS, FAULT_PPK_REQUIRED, OK},
    {"they differ",                    "k", "l", false, false, 0, 0, PLAIN, OK, FAULT_PPK_DIFFERS},
    {"they differ, initiator insists", "k", "l", true,  false, 0, 0, FAILS, FAULT_PPK_REQUIRED, FAULT_PPK_DIFFERS},
    {"they differ, responder insists", "k", "l", false, true,  0, 0, FAILS, FAULT_PEER_REFUSES, FAULT_PPK_DIFFERS},
};
// clang-format on

static void row_check(const struct row *row, const char *proposals)
{
    struct conf_text a = {.ppk_required = row->a_required, .ppk_int = row->a_int, .proposals = proposals},
                     b = {.ppk_required = row->b_required, .ppk_int = row->b_int, .proposals = proposals};
    struct pair *p = ppk_pair(row->a, row->b, &a, &b);
    run_for(p, nsec_seconds(5));
    bool up = row->outcome != FAILS, late = row->outcome == LATE, early = row->outcome == EARLY;
    if ((sas_up(&p->a) == 1) != up || (sas_up(&p->b) == 1) != up || uses_ppk(&p->a, true) != early ||
        uses_ppk(&p->b, true) != early || uses_ppk(&p->a, false) != late ||
        uses_ppk(&p->b, false) != late || (row->a_fault && !said(&p->a, row->a_fault)) ||
        (row->b_fault && !said(&p->b, row->b_fault))) {
        print_lines(&p->a);
        print_lines(&p->b);
        fail_msg("%s (%s)", row->name, proposals);
    }
    if (up) {
        assert_up(p, 1);
        assert_ends_agree(p);
        assert_false(child_uses_ppk(&p->a));
    } else {
        run_for(p, nsec_seconds(60)); // what is half-open goes
        assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 0);
    }
    pair_free(p);
}

static void each_row_of_the_table_holds(void **state)
{
    static const char *const suites[] = {"aes128gcm16-prfsha256-x25519", HYBRID,
                                         "aes256-sha384-prfaesxcbc-x25519", TWO_MORE};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t s = 0; s < sizeof suites / sizeof *suites; s++) row_check(&rows[i], suites[s]);
}

// RFC 9867 3.1 test: it goes along with the last additional key exchange; alone it costs one more.
static void it_goes_along_with_the_last_key_exchange(void **state)
{
    static const struct {
        const char *proposals;
        unsigned requests;
    } cases[] = {{"aes128gcm16-prfsha256-x25519", 3}, {HYBRID, 3}, {TWO_MORE, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf_text both = {.proposals = cases[i].proposals};
        struct pair *p = ppk_pair("k", "k", &both, &both);
        run_for(p, nsec_seconds(5));
        assert_true(uses_ppk(&p->a, true) && uses_ppk(&p->b, true));
        assert_int_equal(p->a.sent, cases[i].requests);
        assert_int_equal(p->b.sent, cases[i].requests);
        pair_free(p);
    }
}

// RFC 9867 3.1 test: the initiator names what it has, the responder takes the first that it has, too.
static void of_several_keys_the_first_that_both_have_is_taken(void **state)
{
    static const struct {
        const char *a1, *a2, *b1, *b2, *name;
    } cases[] = {
        {"k", "l", "k", "l", NAME},   {NULL, "l", "k", "l", OTHER}, {"k", "l", NULL, "l", OTHER},
        {"k", "l", "x", "l", OTHER},  {"k", "l", "k", NULL, NAME},  {"k", NULL, "k", "l", NAME},
        {"k", NULL, "x", "l", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair *p = pair_new();
        struct conf_text both = {.ppk_ids = {NAME, OTHER}};
        struct ike_sa_info info;
        for (unsigned e = 0; e < 2; e++) {
            struct host *host = e ? &p->b : &p->a;
            host->ppk_id = NAME;
            host->ppk2_id = OTHER;
            host->ppk = e ? cases[i].b1 : cases[i].a1;
            host->ppk2 = e ? cases[i].b2 : cases[i].a2;
        }
        // Some key must be there so that the responder agrees at all.
        if (!p->b.ppk) {
            p->b.ppk_id = "a third one";
            p->b.ppk = "m";
        }
        load_both(p, &both, &both);
        command(&p->a, IKE_INITIATE, "office", "lan");
        run_for(p, nsec_seconds(5));
        assert_up(p, 1);
        assert_ends_agree(p);
        for (unsigned e = 0; e < 2; e++) {
            assert_true(sa_first(e ? &p->b : &p->a, &info));
            assert_int_equal(info.ppk, cases[i].name != NULL);
            if (cases[i].name) assert_string_equal(info.ppk_name, cases[i].name);
        }
        pair_free(p);
    }
}

// With RFC 8784 the first of them that is there is the one.
static void without_this_way_the_first_that_is_there_is_named(void **state)
{
    (void)state;
    struct conf_text a = {.ppk_ids = {"nobody@example.org", NAME}, .ppk_int = PPK_INT_NEVER}, b = {0};
    struct pair *p = ppk_pair("k", "k", &a, &b);
    struct ike_sa_info info;
    run_for(p, nsec_seconds(5));
    assert_up(p, 1);
    assert_true(uses_ppk(&p->a, false) && sa_first(&p->b, &info));
    assert_string_equal(info.ppk_name, NAME);
    pair_free(p);
}

// RFC 9867 3.1 test: when it is known who the peer is, the key must have been one of its connection.
static void a_key_of_another_peer_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct conf_text a = {0}, b = {.ppk_id = i ? "*@example.org" : "*@example.com"};
        struct pair *p = ppk_pair("k", "k", &a, &b);
        run_for(p, nsec_seconds(5));
        assert_int_equal(sas_up(&p->b), i);
        if (!i) assert_non_null(said(&p->b, FAULT_PPK_OTHER));
        pair_free(p);
    }
}

// --- by hand

static size_t block(const char *key, size_t key_size, struct bytes_list pieces, uint8_t out[32])
{
    SECRET(tag);
    assert_int_equal(prf(PRF_HMAC_SHA2_256, bytes_of((const uint8_t *)key, key_size), pieces, &tag), OK);
    memcpy(out, tag.at, 32);
    return 32;
}

// prf+ of RFC 7296 2.13, block by block.
static void stretch(const uint8_t *key, size_t key_size, struct bytes seed, uint8_t *out, size_t blocks)
{
    uint8_t last[32];
    size_t last_size = 0;
    for (uint8_t i = 1; i <= blocks; i++) {
        block((const char *)key, key_size, PIECES(bytes_of(last, last_size), seed, bytes_of(&i, 1)), last);
        last_size = 32;
        memcpy(out + 32 * (i - 1), last, 32);
    }
}

static struct sa *first_sa(struct host *host)
{
    return sa_by_id(host->core, ike_sa_after(host->core, 0));
}

// RFC 9867 3.1 test: the proof is over Ni | Nr | SPIi | SPIr, SKEYSEED' = prf+(PPK, SK_d), and
// all keys follow from it with the same.
static void the_keys_of_the_ike_sa_are_those_of_the_formula(void **state)
{
    (void)state;
    struct conf_text both = {.proposals = "aes128gcm16-prfsha256-x25519"};
    struct pair *p = ppk_pair("a key of both ends", "a key of both ends", &both, &both);
    run_for(p, nsec_seconds(5));
    struct sa *sa = first_sa(&p->a);
    uint8_t space[700], seed[32], all[96];
    struct wr octets = wr_over(space, sizeof space);
    wr_bytes(&octets, bytes_of(heard.ni, heard.ni_size));
    wr_bytes(&octets, bytes_of(heard.nr, heard.nr_size));
    wr_u64(&octets, sa->spi_i);
    wr_u64(&octets, sa->spi_r);
    for (unsigned e = 0; e < 2; e++) {
        const struct host *host = e ? &p->b : &p->a;
        assert_int_equal(host->ppk_octets_size, octets.size);
        assert_memory_equal(host->ppk_octets, space, octets.size);
        assert_int_equal(host->ppk_key_size, 32);
        stretch((const uint8_t *)"a key of both ends", 18, bytes_of(host->ppk_key, 32), seed, 1);
        stretch(seed, 32, wr_done(&octets), all, 3);
        sa = first_sa((struct host *)(uintptr_t)host);
        assert_int_equal(sa->keys.all.size, 32 + 2 * 20); // SK_d, SK_ei, SK_er
        assert_memory_equal(sa->keys.all.at, all, sa->keys.all.size);
    }
    pair_free(p);
}

// What was in a sealed message that `to` got.
static void nonce_of(struct host *to, unsigned response, uint8_t *nonce, size_t *size)
{
    struct arena arena = {0};
    struct message message = {.raw = bytes_of(heard.create[response], heard.create_size[response])};
    assert_int_equal(ike_header_read(message.raw, &message.header), OK);
    assert_int_equal(message_open(first_sa(to), &message, &arena), OK);
    struct bytes body = message_first(&message, PAYLOAD_NONCE)->body;
    memcpy(nonce, body.at, body.size);
    *size = body.size;
    arena_free(&arena);
}

// RFC 9867 3.2 test: the proof is over Ni | SPIi | SPIr; SK_d' = prf+(PPK, SK_d) takes SK_d's place.
static void the_keys_of_a_child_are_those_of_the_formula(void **state)
{
    (void)state;
    struct conf_text both = {.proposals = "aes128gcm16-prfsha256-x25519", .ppk_rekey = PPK_REKEY_YES};
    struct pair *p = ppk_pair("the first key", "the first key", &both, &both);
    run_for(p, nsec_seconds(5));
    p->a.ppk = p->b.ppk = "the second key";
    command(&p->b, IKE_REKEY, "office", "lan"); // the end that did not begin the IKE SA
    run_for(p, nsec_seconds(10));
    assert_up(p, 1);
    assert_ends_agree(p);
    assert_true(child_uses_ppk(&p->a) && child_uses_ppk(&p->b));
    struct sa *sa = first_sa(&p->b);
    uint8_t nonces[2 * NONCE_SIZE_MAX], d[32], all[64], space[300];
    size_t ni = 0, nr = 0;
    nonce_of(&p->a, 0, nonces, &ni);
    nonce_of(&p->b, 1, nonces + ni, &nr);
    struct wr octets = wr_over(space, sizeof space);
    wr_bytes(&octets, bytes_of(nonces, ni));
    wr_u64(&octets, sa->spi_i);
    wr_u64(&octets, sa->spi_r);
    assert_int_equal(p->a.ppk_octets_size, octets.size);
    assert_memory_equal(p->a.ppk_octets, space, octets.size);
    stretch((const uint8_t *)"the second key", 14, bytes_of(sa->keys.all.at, 32), d, 1);
    stretch(d, 32, bytes_of(nonces, ni + nr), all, 2);
    struct ike_child_info info;
    assert_true(child_first(&p->b, &info));
    assert_memory_equal(plane_find(&p->b, info.spi_out, SA_OUT)->encr_key, all, 20);
    assert_memory_equal(plane_find(&p->b, info.spi_in, SA_IN)->encr_key, all + 20, 20);
    pair_free(p);
}

// --- CREATE_CHILD_SA

static void each_kind_of_rekeying_takes_a_new_key(void **state)
{
    static const char *const suites[] = {"aes128gcm16-prfsha256-x25519", HYBRID};
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct conf_text both = {.proposals = suites[i & 1], .ppk_rekey = i & 4 ? PPK_REKEY_REQUIRED : PPK_REKEY_YES,
                                 .esp = i & 1 ? "aes128gcm16-x25519-ke1_mlkem512" : NULL};
        struct pair *p = ppk_pair("k", "k", &both, &both);
        run_for(p, nsec_seconds(5));
        struct host *who = i & 2 ? &p->b : &p->a;
        p->a.ppk_id = p->b.ppk_id = NAME;
        p->a.ppk = p->b.ppk = "l";
        command(who, IKE_REKEY, "office", "lan");
        run_for(p, nsec_seconds(15));
        assert_up(p, 1);
        assert_ends_agree(p);
        assert_true(child_uses_ppk(&p->a) && child_uses_ppk(&p->b));
        p->a.ppk = p->b.ppk = "m";
        p->a.ppk_octets_size = 0;
        command(who, IKE_REKEY, "office", NULL);
        run_for(p, nsec_seconds(15));
        assert_up(p, 1);
        assert_true(p->a.ppk_octets_size > 0);
        p->a.ppk = p->b.ppk = "n";
        command(who, IKE_REKEY, "office", "lan"); // its SK_d is the same at both ends
        run_for(p, nsec_seconds(15));
        assert_up(p, 1);
        assert_ends_agree(p);
        pair_free(p);
    }
}

// RFC 9867 3.2 test: an end that does not ask for one takes what the other names; one that lacks it, or
// has another, goes on without, unless somebody insists.
static void rekeying_with_one_end_that_lacks_the_key(void **state)
{
    static const struct {
        uint8_t a, b;
        const char *key; // b's, when a rekeys
        bool done, with;
        enum fault a_fault, b_fault;
    } cases[] = {
        {PPK_REKEY_YES, PPK_REKEY_NO, "k", true, true, OK, OK},
        {PPK_REKEY_NO, PPK_REKEY_YES, "k", true, false, OK, OK},
        {PPK_REKEY_YES, PPK_REKEY_NO, "x", true, false, OK, FAULT_PPK_DIFFERS},
        {PPK_REKEY_YES, PPK_REKEY_NO, NULL, true, false, OK, OK},
        {PPK_REKEY_REQUIRED, PPK_REKEY_NO, NULL, false, false, FAULT_PPK_REKEY, OK},
        {PPK_REKEY_YES, PPK_REKEY_REQUIRED, "x", false, false, FAULT_PEER_NO_PROPOSAL, FAULT_PPK_REKEY},
        {PPK_REKEY_NO, PPK_REKEY_REQUIRED, "k", false, false, FAULT_PEER_NO_PROPOSAL, FAULT_PPK_REKEY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned ike = 0; ike < 2; ike++) {
            struct conf_text a = {.ppk_rekey = cases[i].a}, b = {.ppk_rekey = cases[i].b};
            struct pair *p = ppk_pair("k", "k", &a, &b);
            struct ike_child_info before, after;
            struct ike_sa_info sa, fresh;
            run_for(p, nsec_seconds(5));
            assert_up(p, 1);
            p->b.ppk = cases[i].key;
            p->a.ppk_octets_size = 0;
            assert_true(child_first(&p->a, &before) && sa_first(&p->a, &sa));
            command(&p->a, IKE_REKEY, "office", ike ? NULL : "lan");
            run_for(p, nsec_seconds(15));
            bool closed = ike && cases[i].a_fault == FAULT_PPK_REKEY;
            assert_int_equal(sas_up(&p->a), !closed);
            assert_int_equal(sas_up(&p->b), !closed);
            if (cases[i].a_fault) assert_non_null(said(&p->a, cases[i].a_fault));
            if (cases[i].b_fault) assert_non_null(said(&p->b, cases[i].b_fault));
            if (!closed) {
                assert_up(p, 1);
                assert_ends_agree(p);
                assert_true(child_first(&p->a, &after) && sa_first(&p->a, &fresh));
                bool changed = ike ? fresh.spi_i != sa.spi_i : after.spi_in != before.spi_in;
                assert_int_equal(changed, cases[i].done);
                assert_int_equal(p->a.ppk_octets_size > 0, cases[i].with);
            }
            pair_free(p);
        }
}

// A peer that has not agreed to it is not asked; who insists does not come up with it at all.
static void rekeying_with_a_peer_that_cannot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct conf_text one = {.ppk_rekey = PPK_REKEY_REQUIRED}, other = {.ppk_int = PPK_INT_NEVER};
        struct pair *p = ppk_pair("k", "k", i ? &other : &one, i ? &one : &other);
        run_for(p, nsec_seconds(5));
        assert_int_equal(sas_up(&p->a) + sas_up(&p->b), 0);
        assert_non_null(said(i ? &p->b : &p->a, FAULT_PPK_REQUIRED));
        pair_free(p);
        one.ppk_rekey = PPK_REKEY_YES;
        p = ppk_pair("k", "k", i ? &other : &one, i ? &one : &other);
        run_for(p, nsec_seconds(5));
        command(&p->a, IKE_REKEY, "office", "lan");
        run_for(p, nsec_seconds(10));
        assert_up(p, 1);
        assert_false(child_uses_ppk(&p->a) || child_uses_ppk(&p->b));
        pair_free(p);
    }
}

// The peer's rekeying crosses ours, each with a key.
static void rekeyings_that_cross_agree(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct conf_text both = {.ppk_rekey = PPK_REKEY_REQUIRED, .proposals = i & 2 ? HYBRID : NULL};
        struct pair *p = ppk_pair("k", "k", &both, &both);
        run_for(p, nsec_seconds(5));
        command(&p->a, IKE_REKEY, "office", i & 1 ? NULL : "lan");
        command(&p->b, IKE_REKEY, "office", i & 1 ? NULL : "lan");
        run_for(p, nsec_seconds(30));
        assert_up(p, 1);
        assert_ends_agree(p);
        command(&p->a, IKE_REKEY, "office", "lan");
        run_for(p, nsec_seconds(10));
        assert_up(p, 1);
        assert_ends_agree(p);
        pair_free(p);
    }
}

// A session that is resumed keeps what was agreed on.
static void a_resumed_session_still_mixes(void **state)
{
    (void)state;
    struct conf_text both = {.ppk_rekey = PPK_REKEY_REQUIRED, .ppk_required = true, .resumption = true,
                             .dpd_delay = nsec_seconds(10)};
    struct pair *p = ppk_pair("k", "k", &both, &both);
    run_for(p, nsec_seconds(5));
    p->lose_all_of_a = p->lose_all_of_b = true;
    run_for(p, nsec_seconds(400));
    assert_int_equal(sas_all(&p->a), 0);
    p->lose_all_of_a = p->lose_all_of_b = false;
    heard.ni_size = 0;
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(10));
    assert_int_equal(heard.ni_size, 0); // no IKE_SA_INIT
    assert_up(p, 1);
    assert_true(uses_ppk(&p->a, true) && uses_ppk(&p->b, true));
    command(&p->a, IKE_REKEY, "office", "lan");
    run_for(p, nsec_seconds(10));
    assert_up(p, 1);
    assert_true(child_uses_ppk(&p->a) && child_uses_ppk(&p->b));
    pair_free(p);
}

// The key is replaced between the naming and the taking: it is missed, not taken for the other.
static void a_key_that_is_replaced_meanwhile_is_missed(void **state)
{
    (void)state;
    struct conf_text both = {0};
    struct pair *p = ppk_pair("k", "k", &both, &both);
    p->delay = nsec_ms(500);
    run_for(p, nsec_ms(1300)); // its IKE_INTERMEDIATE is under way
    p->a.ppk = "l";
    run_for(p, nsec_seconds(10));
    assert_int_equal(sas_up(&p->a), 0);
    assert_non_null(said(&p->a, FAULT_PPK_MISSING));
    pair_free(p);
}

// --- peers that are broken

static uint8_t first_response[4096];
static size_t first_response_size;

static bool first_response_taken(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    if (from != &p->b || bytes[18] != EXCHANGE_IKE_SA_INIT || first_response_size) return false;
    memcpy(first_response, bytes, size);
    first_response_size = size;
    return true;
}

// A notify behind the last payload of a message in clear.
static size_t notify_append(uint8_t *bytes, size_t size, uint16_t type)
{
    size_t next = 16, at = IKE_HEADER_SIZE;
    for (; at < size; at += (size_t)(bytes[at + 2] << 8 | bytes[at + 3])) next = at;
    bytes[next] = PAYLOAD_NOTIFY;
    const uint8_t notify[8] = {0, 0, 0, 8, 0, 0, (uint8_t)(type >> 8), (uint8_t)type};
    memcpy(bytes + size, notify, sizeof notify);
    size += sizeof notify;
    bytes[26] = (uint8_t)(size >> 8);
    bytes[27] = (uint8_t)size;
    return size;
}

// RFC 9867 3.1 test: the responder takes one of the two ways.
static void a_peer_that_takes_both_ways_is_refused(void **state)
{
    (void)state;
    struct conf_text both = {0};
    struct pair *p = ppk_pair("k", "k", &both, &both);
    first_response_size = 0;
    p->lose = first_response_taken;
    run_for(p, nsec_seconds(1));
    assert_true(first_response_size > 0);
    size_t size = notify_append(first_response, first_response_size, NOTIFY_USE_PPK);
    struct path path = {{p->a.addr, 500}, {p->b.addr, 500}, false, false};
    datagram(p, &p->a, &path, first_response, size);
    assert_non_null(said(&p->a, FAULT_PPK_BOTH));
    assert_int_equal(sas_all(&p->a), 0);
    pair_free(p);
}

// USE_PPK_INT without INTERMEDIATE_EXCHANGE_SUPPORTED says nothing; nor does one that was not asked for.
static void what_was_not_offered_is_not_agreed_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct conf_text a = {.ppk_int = i ? PPK_INT_NEVER : PPK_INT_PREFER, .ppk_required = true},
                         b = {.ppk_int = PPK_INT_NEVER};
        struct pair *p = ppk_pair("k", "k", &a, &b);
        first_response_size = 0;
        p->lose = first_response_taken;
        run_for(p, nsec_seconds(1));
        size_t size = notify_append(first_response, first_response_size, NOTIFY_USE_PPK_INT);
        struct path path = {{p->a.addr, 500}, {p->b.addr, 500}, false, false};
        datagram(p, &p->a, &path, first_response, size);
        assert_null(said(&p->a, FAULT_PPK_BOTH));
        const struct sa *sa = first_sa(&p->a);
        assert_int_equal(sa->handshake->ppk.state, PPK_MIXED); // with IKE_AUTH, which is on its way
        assert_false(sa->bits & PEER_PPK_INT);
        run_for(p, nsec_seconds(5));
        // The first messages are signed: whoever changed one on the way is found out.
        assert_int_equal(sas_up(&p->a), 0);
        pair_free(p);
    }
}

// RFC 9867 3.1 test: the choice is one of those that were named.
static void a_choice_that_was_not_named_is_refused(void **state)
{
    (void)state;
    for (unsigned rekey = 0; rekey < 2; rekey++) {
        struct conf_text both = {.ppk_rekey = PPK_REKEY_YES};
        struct pair *p = ppk_pair("k", "k", &both, &both);
        p->delay = nsec_ms(100);
        if (rekey) run_for(p, nsec_seconds(5));
        if (rekey) command(&p->a, IKE_REKEY, "office", "lan");
        run_for(p, nsec_ms(rekey ? 50 : 250)); // the request with the name is under way
        struct exchange *x = first_sa(&p->a)->asking;
        assert_true(x->is_sent && x->ppks && x->ppks->count == 1);
        x->ppks->at[0] = BYTES(OTHER);
        run_for(p, nsec_seconds(5));
        assert_non_null(said(&p->a, FAULT_PPK_NOT_OURS));
        assert_int_equal(sas_up(&p->a), rekey);
        if (rekey) assert_up(p, 1);
        pair_free(p);
    }
}

// A peer that names none in the exchange that it has agreed to, or leaves the exchange out, is one without a key.
static void a_peer_that_names_none_has_none(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct conf_text a = {0}, b = {.ppk_required = i & 1};
        struct pair *p = ppk_pair("k", "k", &a, &b);
        p->delay = nsec_ms(100);
        run_for(p, nsec_ms(60)); // the first response is under way
        assert_int_equal(first_sa(&p->a)->state, EXPECT_SA_INIT);
        if (i & 2)
            first_sa(&p->a)->conn->ppk_int = PPK_INT_NEVER; // it forgets what it has offered
        else
            p->a.ppk = NULL;
        run_for(p, nsec_seconds(5));
        bool up = !(i & 1);
        assert_int_equal(sas_up(&p->b), up);
        if (!up) assert_non_null(said(&p->b, FAULT_PPK_REQUIRED));
        assert_false(uses_ppk(&p->b, true));
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_table_holds),
        cmocka_unit_test(it_goes_along_with_the_last_key_exchange),
        cmocka_unit_test(of_several_keys_the_first_that_both_have_is_taken),
        cmocka_unit_test(without_this_way_the_first_that_is_there_is_named),
        cmocka_unit_test(a_key_of_another_peer_is_refused),
        cmocka_unit_test(the_keys_of_the_ike_sa_are_those_of_the_formula),
        cmocka_unit_test(the_keys_of_a_child_are_those_of_the_formula),
        cmocka_unit_test(each_kind_of_rekeying_takes_a_new_key),
        cmocka_unit_test(rekeying_with_one_end_that_lacks_the_key),
        cmocka_unit_test(rekeying_with_a_peer_that_cannot),
        cmocka_unit_test(rekeyings_that_cross_agree),
        cmocka_unit_test(a_resumed_session_still_mixes),
        cmocka_unit_test(a_key_that_is_replaced_meanwhile_is_missed),
        cmocka_unit_test(a_peer_that_takes_both_ways_is_refused),
        cmocka_unit_test(what_was_not_offered_is_not_agreed_on),
        cmocka_unit_test(a_choice_that_was_not_named_is_refused),
        cmocka_unit_test(a_peer_that_names_none_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
