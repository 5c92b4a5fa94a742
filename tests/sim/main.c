// SPDX-License-Identifier: Apache-2.0
// Plays scenarios: sim [-v] [-s SEED] [-n SEEDS] [NAME]. A failing run prints what replays it exactly.
#include "sim.h"
#include "crypto/crypto.h"
#include <stdio.h>
#include <unistd.h>

static bool play(const struct scenario *scenario, uint64_t seed, bool verbose, uint64_t *digest)
{
    static struct sim sim;
    sim.verbose = verbose;
    scenario->play(&sim, seed);
    *digest = sim.digest;
    bool good = !sim.failure;
    if (!good) printf("FAIL %s with seed %llu: %s\n  replay: sim -v -s %llu %s\n", scenario->name, (unsigned long long)seed, sim.failure_text,
                      (unsigned long long)seed, scenario->name);
    sim_free(&sim);
    return good;
}

static bool play_seeds(const struct scenario *scenario, uint64_t first, unsigned count, bool verbose)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t digest, again;
        if (!play(scenario, first + i, verbose, &digest)) return false;
        if (i) continue;
        play(scenario, first, false, &again);   // the same seed gives the same output
        if (digest == again) continue;
        printf("FAIL %s: seed %llu does not repeat\n", scenario->name, (unsigned long long)first);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    unsigned count = 20, failed = 0, played = 0;
    bool verbose = false;
    int option;
    while ((option = getopt(argc, argv, "vs:n:")) != -1) {
        if (option == 'v') verbose = true;
        else if (option == 's') seed = strtoull(optarg, NULL, 10), count = 1;
        else if (option == 'n') count = (unsigned)strtoul(optarg, NULL, 10);
        else return 2;
    }
    crypto_start();
    for (size_t i = 0; i < scenario_count; i++) {
        if (optind < argc && strcmp(argv[optind], scenarios[i].name) != 0) continue;
        played++;
        bool good = play_seeds(&scenarios[i], seed, count, verbose);
        if (good) printf("ok   %s (%u seeds)\n", scenarios[i].name, count);
        failed += !good;
    }
    printf("%u scenarios, %u failed\n", played, failed);
    return failed || !played;
}
