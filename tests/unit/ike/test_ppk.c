// SPDX-License-Identifier: Apache-2.0
// Post-quantum pre-shared keys (RFC 8784): every row of who has which key and who insists.
#include "pair.h"

static struct pair *ppk_pair(const char *a_key, const char *b_key, bool a_required, bool b_required)
{
    struct pair *p = pair_new();
    struct conf_text a = {.ppk_id = "ppk@example.org", .ppk_required = a_required, .ppk_int = PPK_INT_NEVER},
                     b = {.ppk_required = b_required};
    p->a.ppk_id = p->b.ppk_id = "ppk@example.org";
    p->a.ppk = a_key;
    p->b.ppk = b_key;
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, "office", "lan");
    return p;
}

static bool uses_ppk(const struct host *host)
{
    struct ike_sa_info info;
    return sa_first(host, &info) && info.ppk;
}

struct row {
    const char *name, *a, *b;
    bool a_required, b_required, up, ppk;
    enum fault a_fault, b_fault;
};

// RFC 8784 3 test: table 1, from both ends.
// clang-format off
static const struct row rows[] = {
    {"both have it",                  "k", "k", false, false, true,  true,  OK, OK},
    {"both insist",                   "k", "k", true,  true,  true,  true,  OK, OK},
    {"nobody has it",                 NULL, NULL, false, false, true, false, FAULT_PPK_MISSING, OK},
    {"the responder lacks it",        "k", NULL, false, false, true, false, OK, OK},
    {"the initiator insists alone",   "k", NULL, true,  false, false, false, FAULT_PPK_REQUIRED, OK},
    {"the responder insists alone",   NULL, "k", false, true, false, false, FAULT_PEER_REFUSES, FAULT_PPK_REQUIRED},
    {"it is required and missing",    NULL, "k", true,  false, false, false, FAULT_PPK_MISSING, OK},
    {"they differ",                   "k", "l", false, false, false, false, FAULT_PEER_REFUSES, FAULT_PSK_WRONG},
};
// clang-format on

static void each_row_of_the_table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct pair *p = ppk_pair(row->a, row->b, row->a_required, row->b_required);
        run_for(p, nsec_seconds(5));
        if ((sas_up(&p->a) == 1) != row->up || uses_ppk(&p->a) != row->ppk ||
            uses_ppk(&p->b) != row->ppk || (row->a_fault && !said(&p->a, row->a_fault)) ||
            (row->b_fault && !said(&p->b, row->b_fault)))
            fail_msg("%s", row->name);
        if (row->up) {
            assert_up(p, 1);
            assert_ends_agree(p);
        } else {
            run_for(p, nsec_seconds(60)); // what is half-open goes
            assert_int_equal(sas_all(&p->a) + sas_all(&p->b), 0);
        }
        pair_free(p);
    }
}

// RFC 8784 3 test: another name than the responder's, with and without insisting.
static void an_unknown_name_falls_back_only_if_both_may(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool a_required = i & 1, b_required = i & 2, up = i == 0;
        struct pair *p = ppk_pair("k", "k", a_required, b_required);
        p->b.ppk_id = "other@example.org";
        run_for(p, nsec_seconds(5));
        assert_int_equal(sas_up(&p->b), up);
        assert_false(uses_ppk(&p->a) || uses_ppk(&p->b));
        if (up) assert_ends_agree(p);
        if (!up) assert_non_null(said(&p->b, FAULT_PPK_MISSING));
        pair_free(p);
    }
}

// The responder's ppk_id says whose keys it takes.
static void a_name_outside_the_pattern_is_not_taken(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    struct conf_text a = {.ppk_id = "ppk@example.org", .ppk_required = true, .ppk_int = PPK_INT_NEVER},
                     b = {.ppk_id = "*@example.com"};
    p->a.ppk_id = p->b.ppk_id = "ppk@example.org";
    p->a.ppk = p->b.ppk = "k";
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(5));
    assert_int_equal(sas_up(&p->b), 0);
    assert_non_null(said(&p->b, FAULT_PPK_MISSING));
    pair_free(p);
}

// RFC 8784 3 test: the key is used in the first IKE SA only; what comes later stands on its SK_d.
static void rekeying_goes_on_without_a_further_key(void **state)
{
    (void)state;
    struct pair *p = ppk_pair("k", "k", true, true);
    run_for(p, nsec_seconds(2));
    p->a.ppk = p->b.ppk = NULL;
    command(&p->a, IKE_REKEY, "office", NULL);
    run_for(p, nsec_seconds(20));
    command(&p->b, IKE_REKEY, "office", "lan");
    run_for(p, nsec_seconds(20));
    assert_up(p, 1);
    assert_true(uses_ppk(&p->a) && uses_ppk(&p->b));
    assert_ends_agree(p);
    pair_free(p);
}

// RFC 8784 3 test: the repeated first message still says USE_PPK; IKE_INTERMEDIATE comes before.
static void cookies_and_further_key_exchanges_go_along(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    const char *hybrid = "aes128gcm16-prfsha256-x25519-ke1_mlkem512";
    struct conf_text a = {.ppk_id = "keyid:group", .ppk_required = true, .proposals = hybrid, .ppk_int = PPK_INT_NEVER},
                     b = {.ppk_required = true, .proposals = hybrid};
    p->settings.cookie_threshold = 0;
    ike_free(p->b.core);
    p->b.core = ike_new(&p->b.rng.rng, &p->settings);
    p->a.ppk_id = p->b.ppk_id = "group";
    p->a.ppk = p->b.ppk = "k";
    load_both(p, &a, &b);
    command(&p->a, IKE_INITIATE, "office", "lan");
    run_for(p, nsec_seconds(5));
    assert_up(p, 1);
    assert_true(uses_ppk(&p->a) && uses_ppk(&p->b));
    assert_ends_agree(p);
    pair_free(p);
}

// With a key of 1 to 64 bytes and signatures instead of a secret: the ends' keys are those of the
// formula, so that they agree only if the PPK is the same.
static void signatures_go_with_it_as_well(void **state)
{
    (void)state;
    for (unsigned same = 0; same < 2; same++) {
        struct pair *p = pair_new();
        struct conf_text both = {.auth = "pubkey", .ppk_id = "ppk.example.org", .ppk_int = PPK_INT_NEVER};
        p->a.ppk_id = p->b.ppk_id = "ppk.example.org";
        p->a.ppk =
            "a key of some length, longer than one block of the hash is, which makes it hashed";
        p->b.ppk = same ? p->a.ppk : "another";
        load_both(p, &both, &both);
        command(&p->b, IKE_INITIATE, "office", "lan");
        run_for(p, nsec_seconds(5));
        assert_int_equal(sas_up(&p->a), same);
        if (!same) assert_non_null(said(&p->a, FAULT_SIGNATURE_WRONG));
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_table_holds),
        cmocka_unit_test(an_unknown_name_falls_back_only_if_both_may),
        cmocka_unit_test(a_name_outside_the_pattern_is_not_taken),
        cmocka_unit_test(rekeying_goes_on_without_a_further_key),
        cmocka_unit_test(cookies_and_further_key_exchanges_go_along),
        cmocka_unit_test(signatures_go_with_it_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
