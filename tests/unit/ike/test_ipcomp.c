// SPDX-License-Identifier: Apache-2.0
// Compression is negotiated for each child (RFC 7296 2.22).
#include "pair.h"

static struct pair *pair_with(bool at_a, bool at_b)
{
    struct conf_text a = {.ipcomp = at_a}, b = {.ipcomp = at_b};
    return pair_up_with(&a, &b);
}

static void assert_cpis(struct pair *p, struct ike_child_info *of_a)
{
    struct ike_child_info of_b;
    assert_true(child_first(&p->a, of_a) && child_first(&p->b, &of_b));
    assert_in_range(of_a->cpi_in, 256, 61439);
    assert_in_range(of_a->cpi_out, 256, 61439);
    assert_int_equal(of_a->cpi_in, of_b.cpi_out);
    assert_int_equal(of_a->cpi_out, of_b.cpi_in);
    assert_int_equal(plane_find(&p->a, of_a->spi_in, SA_IN)->spec.cpi, of_a->cpi_in);
    assert_int_equal(plane_find(&p->a, of_a->spi_out, SA_OUT)->spec.cpi, of_a->cpi_out);
}

// RFC 7296 2.22 test
static void both_ends_want_it(void **state)
{
    (void)state;
    struct pair *p = pair_with(true, true);
    struct ike_child_info first, rekeyed;
    assert_cpis(p, &first);
    assert_non_null(said_text(&p->a, "packets are compressed"));
    command(&p->b, IKE_REKEY, NULL, "lan");
    run_for(p, nsec_seconds(15));
    assert_up(p, 1);
    assert_cpis(p, &rekeyed);
    assert_int_not_equal(first.cpi_in, rekeyed.cpi_in); // they go with their SA
    pair_free(p);
}

static void one_end_is_not_enough(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = pair_with(i, !i);
        struct ike_child_info info;
        for (unsigned j = 0; j < 2; j++) {
            assert_true(child_first(j ? &p->b : &p->a, &info));
            assert_int_equal(info.cpi_in, 0);
            assert_int_equal(info.cpi_out, 0);
        }
        for (size_t j = 0; j < p->a.sa_count; j++) assert_int_equal(p->a.sas[j].spec.cpi, 0);
        assert_non_null(said_text(i ? &p->a : &p->b, "packets are not compressed"));
        pair_free(p);
    }
}

// RFC 2410, RFC 4543: whoever asked for it by name is told of it.
static void what_is_not_encrypted_is_said(void **state)
{
    (void)state;
    struct conf_text plain = {.esp = "null-sha256"}, usual = {0};
    struct pair *p = pair_up_with(&plain, &plain);
    assert_non_null(said(&p->a, FAULT_NOT_ENCRYPTED));
    assert_non_null(said(&p->b, FAULT_NOT_ENCRYPTED));
    pair_free(p);
    p = pair_up_with(&usual, &usual);
    assert_null(said(&p->a, FAULT_NOT_ENCRYPTED));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_want_it),
        cmocka_unit_test(one_end_is_not_enough),
        cmocka_unit_test(what_is_not_encrypted_is_said),
    };
    return cmocka_run_group_tests_name("ipcomp", tests, NULL, NULL);
}
