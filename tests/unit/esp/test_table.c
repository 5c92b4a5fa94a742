// SPDX-License-Identifier: Apache-2.0
// The SPI table agrees with a plain array while entries come and go, duplicates and collisions
// included; endpoints that differ have different tags.
#include "rig.h"

enum { ROOM = 300, SPIS = 40, STEPS = 60000 };

struct entry {
    uint32_t spi, number;
};

static size_t table_count(const struct spi_table *table, uint32_t spi)
{
    size_t count = 0;
    uint32_t place = spi_table_place(table, spi);
    const struct spi_slot *slot;
    while ((slot = spi_table_from(table, spi, place))) {
        count++;
        place = ((uint32_t)(slot - table->slots) + 1) & table->mask;
    }
    return count;
}

static void entries_come_and_go_as_in_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rng_seeded rng;
        rng_seed(&rng, seed);
        struct spi_table table;
        struct entry model[ROOM];
        size_t count = 0;
        spi_table_init(&table, seed);
        for (uint32_t step = 1; step <= STEPS; step++) {
            uint32_t spi = 256 + (uint32_t)rng_below(&rng.rng, SPIS);
            if (count < ROOM && rng_below(&rng.rng, 2)) {
                model[count++] = (struct entry){spi, step};
                spi_table_add(&table, spi, step);
            } else if (count) {
                size_t which = (size_t)rng_below(&rng.rng, count);
                spi_table_remove(&table, model[which].spi, model[which].number);
                model[which] = model[--count];
            }
            size_t expected = 0;
            for (size_t i = 0; i < count; i++) expected += model[i].spi == spi;
            assert_int_equal(table_count(&table, spi), expected);
        }
        spi_table_wipe(&table);
    }
}

// On average a look-up stays within the eight slots of one cache line.
static void look_ups_are_short_when_the_table_is_full(void **state)
{
    (void)state;
    enum { SAS = 100000 };
    struct rng_seeded rng;
    rng_seed(&rng, 3);
    struct spi_table table;
    uint32_t *spis = mem_array(SAS, sizeof *spis);
    spi_table_init(&table, rng_u64(&rng.rng));
    for (uint32_t i = 0; i < SAS; i++)
        spi_table_add(&table, spis[i] = 256 + rng_u32(&rng.rng) % 0xfffffe00u, i + 1);
    uint64_t steps = 0;
    for (uint32_t i = 0; i < SAS; i++) {
        const struct spi_slot *slot =
            spi_table_from(&table, spis[i], spi_table_place(&table, spis[i]));
        assert_non_null(slot);
        steps +=
            (((uint32_t)(slot - table.slots) - spi_table_place(&table, spis[i])) & table.mask) + 1;
    }
    assert_true(steps < 2 * (uint64_t)SAS);
    free(spis);
    spi_table_wipe(&table);
}

static void endpoints_have_tags_of_their_own(void **state)
{
    (void)state;
    struct sad sad = {.tag_seed = 12345};
    const struct endpoint endpoints[] = {
        endpoint_of("192.0.2.1", 4500),   endpoint_of("192.0.2.1", 4501),
        endpoint_of("192.0.2.2", 4500),   endpoint_of("2001:db8::1", 4500),
        endpoint_of("2001:db8::2", 4500), endpoint_of("2001:db8::1", 4501),
        endpoint_of("c000:201::", 4500),
    };
    for (size_t i = 0; i < COUNT(endpoints); i++)
        for (size_t j = 0; j < COUNT(endpoints); j++)
            assert_int_equal(endpoint_tag(&sad, &endpoints[i]) == endpoint_tag(&sad, &endpoints[j]),
                             i == j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_and_go_as_in_an_array),
        cmocka_unit_test(look_ups_are_short_when_the_table_is_full),
        cmocka_unit_test(endpoints_have_tags_of_their_own),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
