// SPDX-License-Identifier: Apache-2.0
// Why options that other daemons have will not do what they do there, and what to write instead.
#include "conf/options_internal.h"

static const struct {
    const char *name, *reason;
} reasons[] = {
    {"mark_in_sa", "an inbound SA is known by its SPI, whatever mark its packets carry"},
    {"interface", "the routing table decides, not the policy: name a device with if_id_out and route into it"},
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
