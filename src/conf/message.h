// SPDX-License-Identifier: Apache-2.0
// The VICI encoding of a tree (element types 1–6) and of packets (types 0–7), as strongSwan's vici protocol defines it.
#pragma once
#include "base/wr.h"
#include "conf/tree.h"

enum vici_packet {
    VICI_CMD_REQUEST = 0, VICI_CMD_RESPONSE, VICI_CMD_UNKNOWN, VICI_EVENT_REGISTER, VICI_EVENT_UNREGISTER, VICI_EVENT_CONFIRM, VICI_EVENT_UNKNOWN,
    VICI_EVENT
};
enum { VICI_MESSAGE_MAX = 512 * 1024 };

CHECKED enum fault message_read(struct bytes in, struct arena *arena, struct tree **out);   // bounded in depth and items
void message_write(struct wr *out, const struct tree *tree);        // contents of the root
// Packet: type, then for 0, 3, 4, 7 a name with its 8-bit length, then a message.
CHECKED enum fault packet_read(struct bytes in, struct arena *arena, uint8_t *type, const char **name, struct bytes *message);
void packet_write(struct wr *out, uint8_t type, const char *name, const struct tree *message);  // without the 32-bit length
