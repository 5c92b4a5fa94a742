// SPDX-License-Identifier: Apache-2.0
// The tables from SPI to SA: open addressing, linear probing, and removal by moving later entries
// back, so that no marks of removed ones slow look-ups down.
#include "esp/internal.h"

enum { SPI_TABLE_FIRST = 64 };

static void spi_table_new(struct spi_table *table, size_t room)
{
    table->slots = pages_new(room * sizeof *table->slots);
    table->mask = (uint32_t)(room - 1);
    if (spi_table_size(table) >= PAGES_WIDE) pages_widen(table->slots, spi_table_size(table));
}

void spi_table_init(struct spi_table *table, uint64_t seed)
{
    *table = (struct spi_table){.seed = seed};
    spi_table_new(table, SPI_TABLE_FIRST);
}

void spi_table_wipe(struct spi_table *table)
{
    pages_free(table->slots, spi_table_size(table));
}

static void spi_table_put(struct spi_table *table, const struct spi_slot *slot)
{
    uint32_t place = spi_table_place(table, slot->spi);
    while (table->slots[place].number) place = (place + 1) & table->mask;
    table->slots[place] = *slot;
}

// It never gets smaller: SAs that were there will be there again.
static void spi_table_grow(struct spi_table *table)
{
    struct spi_table old = *table;
    spi_table_new(table, 2 * (old.mask + (size_t)1));
    for (size_t i = 0; i <= old.mask; i++)
        if (old.slots[i].number) spi_table_put(table, &old.slots[i]);
    spi_table_wipe(&old);
}

void spi_table_add(struct spi_table *table, uint32_t spi, uint32_t number)
{
    if (++table->count > table->mask / 2) spi_table_grow(table);
    spi_table_put(table, &(struct spi_slot){.spi = spi, .number = number});
}

// May the entry at `from` move to the hole? Yes, unless its own place lies behind the hole.
static bool spi_table_may_move(const struct spi_table *table, uint32_t from, uint32_t hole)
{
    uint32_t home = spi_table_place(table, table->slots[from].spi);
    return ((from - home) & table->mask) >= ((from - hole) & table->mask);
}

void spi_table_remove(struct spi_table *table, uint32_t spi, uint32_t number)
{
    uint32_t hole = spi_table_place(table, spi);
    while (table->slots[hole].number != number || table->slots[hole].spi != spi) {
        assert(table->slots[hole].number);
        hole = (hole + 1) & table->mask;
    }
    for (uint32_t from = (hole + 1) & table->mask; table->slots[from].number;
         from = (from + 1) & table->mask) {
        if (!spi_table_may_move(table, from, hole)) continue;
        table->slots[hole] = table->slots[from];
        hole = from;
    }
    table->slots[hole] = (struct spi_slot){0};
    table->count--;
}
