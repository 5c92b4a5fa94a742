// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without a fuzzer: every file of a corpus as it is, then mutations of them that
// follow from a seed. The same arguments give the same inputs, and an input on which the target
// ends is printed.
//
//     fuzz_message_smoke CORPUS [RUNS [SEED]]        CORPUS is a folder or a file
//     fuzz_message_smoke CORPUS 3600s [SEED]         as many runs as there is time for
#include "base/mem.h"
#include "base/rng.h"
#include "fuzz.h"
#include <dirent.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INPUTS_MAX = 4096, INPUT_SIZE_MAX = 65536, CHANGES_MAX = 6 };

static struct {
    struct buf inputs[INPUTS_MAX];
    size_t count;
    struct buf now; // what the target is given
} corpus;

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(3);
}

// Only write() is safe in here.
static void report(int signal_number)
{
    static const char digits[] = "0123456789abcdef";
    say("input in hexadecimal: ");
    for (size_t i = 0; i < corpus.now.size; i++) {
        char text[3] = {digits[corpus.now.at[i] >> 4], digits[corpus.now.at[i] & 15], '\0'};
        say(text);
    }
    say("\n");
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

// The target sees memory of exactly the input's size, so that a sanitizer notices a read beyond it.
static void run(struct bytes input)
{
    buf_clear(&corpus.now);
    buf_add(&corpus.now, input);
    uint8_t *exact = mem_array(input.size ? input.size : 1, 1);
    if (input.size) memcpy(exact, input.at, input.size);
    LLVMFuzzerTestOneInput(exact, input.size);
    free(exact);
}

static void file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || corpus.count == INPUTS_MAX) {
        fprintf(stderr, "cannot take %s\n", path);
        exit(2);
    }
    struct buf *input = &corpus.inputs[corpus.count++];
    *input = BUF(INPUT_SIZE_MAX);
    uint8_t part[4096];
    for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;)
        buf_add(input, bytes_of(part, size));
    fclose(file);
}

static int name_is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

// Sorted by name: the order of a folder differs between machines.
static void corpus_read(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        file_read(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, name_is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        AUTOFREE_MEM char *name = mem_printf("%s/%s", path, entries[i]->d_name);
        file_read(name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

// --- mutations: each takes an input to a new one

static size_t somewhere(struct rng *rng, size_t size)
{
    return size ? (size_t)rng_below(rng, size) : 0;
}

static void change_bit(struct rng *rng, struct buf *input)
{
    if (input->size) input->at[somewhere(rng, input->size)] ^= (uint8_t)(1u << rng_below(rng, 8));
}

static void change_byte(struct rng *rng, struct buf *input)
{
    static const uint8_t values[] = {0, 1, 2, 3, 4, 7, 8, 16, 33, 40, 46, 53, 64, 127, 128, 255};
    if (!input->size) return;
    uint8_t value = values[rng_below(rng, sizeof values)];
    input->at[somewhere(rng, input->size)] = rng_below(rng, 2) ? value : (uint8_t)rng_u32(rng);
}

// Lengths and counts: a little more or less than they were.
static void change_number(struct rng *rng, struct buf *input)
{
    if (input->size < 2) return;
    size_t at = somewhere(rng, input->size - 1);
    unsigned value = (unsigned)(input->at[at] << 8 | input->at[at + 1]);
    value += (unsigned)rng_below(rng, 33) - 16;
    input->at[at] = (uint8_t)(value >> 8);
    input->at[at + 1] = (uint8_t)value;
}

static void remove_part(struct rng *rng, struct buf *input)
{
    size_t from = somewhere(rng, input->size), most = input->size - from;
    size_t size = somewhere(rng, most < 32 ? most : 32);
    struct buf rest = BUF(INPUT_SIZE_MAX);
    buf_add(&rest, bytes_of(input->at + from + size, most - size));
    input->size = from;
    buf_add(input, buf_bytes(&rest));
    buf_free(&rest);
}

static void cut_end(struct rng *rng, struct buf *input)
{
    input->size = somewhere(rng, input->size);
}

// Puts a piece of some input, perhaps of this one, in between.
static void insert_part(struct rng *rng, struct buf *input)
{
    const struct buf *other = &corpus.inputs[somewhere(rng, corpus.count)];
    size_t from = somewhere(rng, other->size);
    size_t size = somewhere(rng, other->size - from), at = somewhere(rng, input->size);
    if (input->size + size > INPUT_SIZE_MAX) return;
    struct buf rest = BUF(INPUT_SIZE_MAX);
    buf_add(&rest, bytes_of(input->at + at, input->size - at));
    input->size = at;
    buf_add(input, bytes_of(other->at + from, size));
    buf_add(input, buf_bytes(&rest));
    buf_free(&rest);
}

static void (*const changes[])(struct rng *rng, struct buf *input) = {
    change_bit, change_byte, change_number, change_number, remove_part, cut_end, insert_part,
};

static void mutate(struct rng *rng, struct buf *input)
{
    for (uint64_t left = 1 + rng_below(rng, CHANGES_MAX); left; left--)
        changes[rng_below(rng, sizeof changes / sizeof changes[0])](rng, input);
}

// Targets make and end whole data planes and cores: what is large is fresh from the system, and
// what is small is not given back to it, or a run is mostly page faults.
static void memory_prepare(void)
{
    enum { LARGE = 128 * 1024, KEPT = 1 << 30, STEP = 16 * 1024 * 1024 };
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, KEPT);
    mallopt(M_TOP_PAD, STEP);
}

struct amount { // of mutations: so many, or so many as can be made until then
    unsigned long runs;
    time_t until; // 0: no matter when
};

static struct amount amount_of(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != 's') return (struct amount){.runs = number};
    return (struct amount){.runs = ULONG_MAX, .until = time(NULL) + (time_t)number};
}

static bool goes_on(const struct amount *amount, unsigned long made)
{
    return made < amount->runs && (!amount->until || time(NULL) < amount->until);
}

static unsigned long mutations_run(const struct amount *amount, unsigned long seed)
{
    struct rng_seeded rng;
    rng_seed(&rng, seed);
    struct buf input = BUF(INPUT_SIZE_MAX);
    unsigned long made = 0;
    for (; goes_on(amount, made); made++) {
        buf_clear(&input);
        buf_add(&input, buf_bytes(&corpus.inputs[somewhere(&rng.rng, corpus.count)]));
        mutate(&rng.rng, &input);
        run(buf_bytes(&input));
    }
    buf_free(&input);
    return made;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: %s CORPUS [RUNS | SECONDSs [SEED]]\n", argv[0]);
        return 2;
    }
    memory_prepare();
    struct amount amount = amount_of(argc > 2 ? argv[2] : "0");
    unsigned long seed = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    corpus.now = BUF(INPUT_SIZE_MAX);
    corpus_read(argv[1]);
    if (!corpus.count) {
        fprintf(stderr, "%s: nothing in it\n", argv[1]);
        return 2;
    }
    printf("%zu files, then %s mutations from seed %lu\n", corpus.count, argc > 2 ? argv[2] : "0",
           seed);
    fflush(stdout);
    signal(SIGABRT, report);
    signal(SIGSEGV, report);

    for (size_t i = 0; i < corpus.count; i++) run(buf_bytes(&corpus.inputs[i]));
    printf("%lu mutations\n", mutations_run(&amount, seed));
    buf_free(&corpus.now);
    for (size_t i = 0; i < corpus.count; i++) buf_free(&corpus.inputs[i]);
    return 0;
}
