// SPDX-License-Identifier: Apache-2.0
// Plays scenarios: sim [-v] [-s SEED] [-n SEEDS] [-k] [NAME]. A failing run prints what replays it
// exactly; with -k the seeds after it are played, too. sim -l lists the scenarios; sim --peers COUNT
// has so many peers on one responder.
#include "sim.h"
#include "crypto/crypto.h"
#include <getopt.h>
#include <stdio.h>

static const struct scenario *const themes[] = {
    scenarios_setup,   scenarios_rekey, scenarios_collide, scenarios_delete,
    scenarios_trouble, scenarios_nat,   scenarios_move,   scenarios_choice,
    scenarios_hybrid, scenarios_extend, scenarios_outage, scenarios_modes,
    scenarios_persist, scenarios_rows,  scenarios_crossed, scenarios_cluster,
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

struct seeds {
    uint64_t first;
    unsigned count;
    bool verbose, keep_going;
};

static bool play_seeds(const struct scenario *scenario, const struct seeds *seeds)
{
    bool good = true;
    for (unsigned i = 0; i < seeds->count && (good || seeds->keep_going); i++) {
        uint64_t digest, again;
        good &= play(scenario, seeds->first + i, seeds->verbose, &digest);
        if (i || !good) continue;
        play(scenario, seeds->first, false, &again); // the same seed gives the same output
        if (digest == again) continue;
        printf("FAIL %s: seed %llu does not repeat\n", scenario->name,
               (unsigned long long)seeds->first);
        return false;
    }
    return good;
}

static int play_all(const char *name, const struct seeds *seeds)
{
    unsigned played = 0, failed = 0;
    for (size_t i = 0; i < sizeof themes / sizeof *themes; i++) {
        for (const struct scenario *scenario = themes[i]; scenario->name; scenario++) {
            if (name && strcmp(name, scenario->name) != 0) continue;
            played++;
            bool good = play_seeds(scenario, seeds);
            if (good) printf("ok   %s (%u seeds)\n", scenario->name, seeds->count);
            fflush(stdout);
            failed += !good;
        }
    }
    printf("%u scenarios, %u failed\n", played, failed);
    return failed || !played;
}

static int list_all(void)
{
    for (size_t i = 0; i < sizeof themes / sizeof *themes; i++)
        for (const struct scenario *scenario = themes[i]; scenario->name; scenario++)
            puts(scenario->name);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"peers", required_argument, NULL, 'p'}, {0}};
    struct seeds seeds = {.first = 1, .count = 20};
    unsigned peers = 0;
    int option;
    while ((option = getopt_long(argc, argv, "lvks:n:", options, NULL)) != -1) {
        if (option == 'l') return list_all();
        if (option == 'v') seeds.verbose = true;
        else if (option == 'k') seeds.keep_going = true;
        else if (option == 's') seeds.first = strtoull(optarg, NULL, 10), seeds.count = 1;
        else if (option == 'n') seeds.count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'p') peers = (unsigned)strtoul(optarg, NULL, 10);
        else return 2;
    }
    crypto_start();
    if (peers) return peers_run(peers, seeds.first);
    return play_all(optind < argc ? argv[optind] : NULL, &seeds);
}
