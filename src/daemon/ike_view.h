// SPDX-License-Identifier: Apache-2.0
// How the files that show the core to VICI clients write values into sections.
#pragma once
#include "daemon/ike.h"

void number_add(struct arena *arena, struct tree *to, const char *name, uint64_t value);
void host_add(struct arena *arena, struct tree *to, const char *name, const struct addr *addr);
// A message to the control role; NULL: without a tree.
void tree_send(struct ike_role *role, enum message_type type, uint64_t number, const char *name, const struct tree *tree, bool last);
