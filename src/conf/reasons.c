// SPDX-License-Identifier: Apache-2.0
// Why options that other daemons have will not do what they do there, and what to write instead.
#include "conf/options_internal.h"

static const struct {
    const char *name, *reason;
} reasons[] = {
    {"mark_in", "a packet shows no mark to a TUN device: name a device with if_id_in"},
    {"mark_in_sa", "a packet shows no mark to a TUN device: name a device with if_id_in"},
    {"mark_out", "a packet shows no mark to a TUN device: name a device with if_id_out, and route into it what has the mark (ip rule add fwmark …)"},
    {"set_mark_in", "name a device with if_id_in, and let nftables mark what comes out of it (iifname cygnetN meta mark set …)"},
    {"set_mark_out", "what leaves sealed carries the daemon's own mark 0x43590000, by which ip rule and nftables know it"},
    {"interface", "the routing table decides, not the policy: name a device with if_id_out and route into it"},
    {"policies", "without a policy no packet finds the child: for routes of your own name a device with if_id_out"},
    {"hw_offload", "the data plane is a process and gives no keys to network cards"},
    {"updown", "no process of the daemon may start programs: subscribe to the events of the VICI socket (child-updown), or look at cygnet list --json"},
    {"label_mode", "the data plane sees no labels of packets: write label_mode = simple"},
    {"hostaccess", "it is for updown programs, which are not run"},
};

const char *refusal_reason(const char *name)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].name, name) == 0) return reasons[i].reason;
    return NULL;
}
