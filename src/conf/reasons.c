// SPDX-License-Identifier: Apache-2.0
// Why options that other daemons have will not do what they do there, and what to write instead.
#include "conf/options_internal.h"

static const struct {
    const char *name, *reason;
} reasons[] = {
    {"mark_in_sa", "an inbound SA is known by its SPI, whatever mark its packets carry"},
    {"interface", "a packet that comes to the data plane has left by no interface yet: write mark_out, and have nftables mark what goes out by that one (cygnet.conf(5), mark_out)"},
    {"policies", "without a policy no packet finds the child: for routes of your own name a device with if_id_out"},
    {"hw_offload", "the data plane is a process and gives no keys to network cards"},
    {"label_mode", "the data plane sees no labels of packets: write label_mode = simple"},
};

const char *refusal_reason(const char *name)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].name, name) == 0) return reasons[i].reason;
    return NULL;
}
