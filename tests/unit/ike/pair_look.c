// SPDX-License-Identifier: Apache-2.0
// What tests look at in a pair, and what they put between its ends.
#include "pair.h"

size_t sas_all(const struct host *host)
{
    size_t count = 0;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));) count++;
    return count;
}

size_t sas_up(const struct host *host)
{
    size_t count = 0;
    struct ike_sa_info info;
    for (uint32_t id = 0; (id = ike_sa_after(host->core, id));)
        count += ike_sa_info(host->core, id, &info) && strcmp(info.state, "ESTABLISHED") == 0;
    return count;
}

bool sa_first(const struct host *host, struct ike_sa_info *info)
{
    uint32_t id = ike_sa_after(host->core, 0);
    return id && ike_sa_info(host->core, id, info);
}

bool child_first(const struct host *host, struct ike_child_info *info)
{
    for (uint32_t sa = 0; (sa = ike_sa_after(host->core, sa));)
        for (uint32_t id = 0; (id = ike_child_after(host->core, sa, id));)
            if (ike_child_info(host->core, sa, id, info) && strcmp(info->state, "INSTALLED") == 0)
                return true;
    return false;
}

size_t children(const struct host *host)
{
    size_t count = 0;
    struct ike_child_info info;
    for (uint32_t sa = 0; (sa = ike_sa_after(host->core, sa));)
        for (uint32_t id = 0; (id = ike_child_after(host->core, sa, id));)
            count +=
                ike_child_info(host->core, sa, id, &info) && strcmp(info.state, "INSTALLED") == 0;
    return count;
}

size_t halves(const struct host *host, enum sa_direction direction)
{
    size_t count = 0;
    for (size_t i = 0; i < host->sa_count; i++) count += host->sas[i].spec.direction == direction;
    return count;
}

const struct plane_sa *plane_find(const struct host *host, uint32_t spi,
                                  enum sa_direction direction)
{
    for (size_t i = 0; i < host->sa_count; i++)
        if (host->sas[i].spec.spi == spi && host->sas[i].spec.direction == direction)
            return &host->sas[i];
    return NULL;
}

static void assert_twins(const struct host *from, const struct host *to)
{
    for (size_t i = 0; i < from->sa_count; i++) {
        const struct plane_sa *out = &from->sas[i];
        if (out->spec.direction != SA_OUT) continue;
        const struct plane_sa *in = plane_find(to, out->spec.spi, SA_IN);
        assert_non_null(in);
        assert_int_equal(in->spec.encr, out->spec.encr);
        assert_int_equal(in->spec.integ, out->spec.integ);
        assert_int_equal(in->spec.esn, out->spec.esn);
        assert_int_equal(in->spec.mode, out->spec.mode);
        assert_memory_equal(in->encr_key, out->encr_key, sizeof in->encr_key);
        assert_memory_equal(in->integ_key, out->integ_key, sizeof in->integ_key);
        assert_true(selectors_equal(&in->spec.local, &out->spec.remote));
        assert_true(selectors_equal(&in->spec.remote, &out->spec.local));
    }
}

void assert_ends_agree(struct pair *p)
{
    assert_twins(&p->a, &p->b);
    assert_twins(&p->b, &p->a);
}

void assert_up(struct pair *p, size_t child_count)
{
    if (sas_up(&p->a) != 1 || children(&p->a) != child_count || children(&p->b) != child_count) {
        print_lines(&p->a);
        print_lines(&p->b);
    }
    assert_int_equal(sas_up(&p->a), 1);
    assert_int_equal(sas_up(&p->b), 1);
    assert_int_equal(children(&p->a), child_count);
    assert_int_equal(children(&p->b), child_count);
    assert_ends_agree(p);
}

const struct line *said(const struct host *host, enum fault fault)
{
    const struct line *found = NULL;
    for (size_t i = 0; i < host->line_count && i < HOST_LINES_MAX; i++)
        if (host->lines[i].fault == fault) found = &host->lines[i];
    return found;
}

const struct line *said_text(const struct host *host, const char *part)
{
    for (size_t i = 0; i < host->line_count && i < HOST_LINES_MAX; i++)
        if (strstr(host->lines[i].text, part)) return &host->lines[i];
    return NULL;
}

struct wr forged_begin(void *space, size_t size, const uint8_t *request, uint8_t first)
{
    struct wr out = wr_over(space, size);
    struct rd in = rd_over(bytes_of(request, IKE_SPI_SIZE));
    ike_header_write(&out, &(struct ike_header){.spi_i = rd_u64(&in),
                                                .next = first,
                                                .major = 2,
                                                .exchange = EXCHANGE_IKE_SA_INIT,
                                                .flags = FLAG_RESPONSE});
    return out;
}

void forged_fly(struct pair *p, struct wr *out)
{
    enum { LENGTH_PLACE = 24 };
    for (unsigned i = 0; i < 4; i++)
        wr_patch_u8(out, LENGTH_PLACE + i, (uint8_t)(out->size >> (24 - 8 * i)));
    struct bytes copy = mem_copy(wr_done(out));
    p->flights[p->flight_count++] =
        (struct flight){p->now + 1,
                        {.local = {p->a.addr, 500}, .remote = {p->b.addr, 500}},
                        &p->a,
                        (uint8_t *)(uintptr_t)copy.at,
                        copy.size};
}

bool lose_a_third(struct pair *p, const struct host *from, const uint8_t *bytes, size_t size)
{
    (void)from, (void)bytes, (void)size;
    return p->lose_count++ % 3 == 1;
}

void print_lines(const struct host *host)
{
    for (size_t i = 0; i < host->line_count && i < HOST_LINES_MAX; i++)
        printf("%s: %s %s\n", host->name,
               host->lines[i].fault ? fault_name(host->lines[i].fault) : "", host->lines[i].text);
}
