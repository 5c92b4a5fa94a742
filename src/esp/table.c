// SPDX-License-Identifier: Apache-2.0
// The tables from SPI to SA: open addressing, linear probing, and removal by moving later entries
// back, so that no marks of removed ones slow look-ups down.
#include "esp/internal.h"

void spi_table_init(struct spi_table *table, size_t count, uint64_t seed)
{
    size_t room = 64;
    while (room < count * 2) room *= 2;
    *table = (struct spi_table){
        .slots = pages_new(room * sizeof *table->slots),
        .mask = (uint32_t)(room - 1),
        .seed = seed,
    };
}

static size_t spi_table_size(const struct spi_table *table)
{
    return (table->mask + (size_t)1) * sizeof *table->slots;
}

void spi_table_widen(struct spi_table *table)
{
    pages_widen(table->slots, spi_table_size(table));
}

void spi_table_wipe(struct spi_table *table)
{
    pages_free(table->slots, spi_table_size(table));
}

void spi_table_add(struct spi_table *table, uint32_t spi, uint32_t number)
{
    uint32_t place = spi_table_place(table, spi);
    while (table->slots[place].number) place = (place + 1) & table->mask;
    table->slots[place] = (struct spi_slot){.spi = spi, .number = number};
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
}
