// SPDX-License-Identifier: Apache-2.0
// Plays scenarios: sim [-v] [-s SEED] [-n SEEDS] [NAME]. A failing run prints what replays it
// exactly. sim --peers COUNT has so many peers on one responder.
#include "sim.h"
#include "crypto/crypto.h"
#include <getopt.h>
#include <stdio.h>

static const struct scenario *const themes[] = {
    scenarios_setup,   scenarios_rekey, scenarios_collide, scenarios_delete,
    scenarios_trouble, scenarios_nat,   scenarios_move,   scenarios_choice,
    scenarios_hybrid, scenarios_extend, scenarios_outage, scenarios_modes,
    scenarios_persist,
};

static bool play(const struct scenario *scenario, uint64_t seed, bool verbose, uint64_t *digest)
{
    static struct sim sim;
    sim.verbose = verbose;
    scenario->play(&sim, seed);
    *digest = sim.digest;
    bool good = !sim.failure;
    if (!good)
        printf("FAIL %s with seed %llu: %s\n  replay: sim -v -s %llu %s\n", scenario->name,
               (unsigned long long)seed, sim.failure_text, (unsigned long long)seed,
               scenario->name);
    sim_free(&sim);
    return good;
}

static bool play_seeds(const struct scenario *scenario, uint64_t first, unsigned count, bool verbose)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t digest, again;
        if (!play(scenario, first + i, verbose, &digest)) return false;
        if (i) continue;
        play(scenario, first, false, &again); // the same seed gives the same output
        if (digest == again) continue;
        printf("FAIL %s: seed %llu does not repeat\n", scenario->name, (unsigned long long)first);
        return false;
    }
    return true;
}

static int play_all(const char *name, uint64_t seed, unsigned count, bool verbose)
{
    unsigned played = 0, failed = 0;
    for (size_t i = 0; i < sizeof themes / sizeof *themes; i++) {
        for (const struct scenario *scenario = themes[i]; scenario->name; scenario++) {
            if (name && strcmp(name, scenario->name) != 0) continue;
            played++;
            bool good = play_seeds(scenario, seed, count, verbose);
            if (good) printf("ok   %s (%u seeds)\n", scenario->name, count);
            failed += !good;
        }
    }
    printf("%u scenarios, %u failed\n", played, failed);
    return failed || !played;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"peers", required_argument, NULL, 'p'}, {0}};
    uint64_t seed = 1;
    unsigned count = 20, peers = 0;
    bool verbose = false;
    int option;
    while ((option = getopt_long(argc, argv, "vs:n:", options, NULL)) != -1) {
        if (option == 'v') verbose = true;
        else if (option == 's') seed = strtoull(optarg, NULL, 10), count = 1;
        else if (option == 'n') count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'p') peers = (unsigned)strtoul(optarg, NULL, 10);
        else return 2;
    }
    crypto_start();
    if (peers) return peers_run(peers, seed);
    return play_all(optind < argc ? argv[optind] : NULL, seed, count, verbose);
}
