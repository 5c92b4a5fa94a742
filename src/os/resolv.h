// SPDX-License-Identifier: Apache-2.0
// Name servers of tunnels at the top of resolv.conf, between two marks of ours, and out of it again. The file is open from the beginning,
// so whoever does this needs no right to open it; if another program has put a new file in its place, it is left alone.
#pragma once
#include "base/addr.h"
#include "base/fault.h"
#include "base/mem.h"

enum { RESOLV_SIZE_MAX = 65536 };

// For reading and writing; -1 when it is not there, is a symbolic link (then another program keeps it) or must not be written to.
int resolv_open(const char *path);
// What the file is to be: `text` without what we added before, and the servers, if any, at its top.
void resolv_edit(struct bytes text, const struct addr *servers, size_t count, struct buf *out);
// Makes that so. FAULT_RESOLV_REPLACED: path is another file by now; FAULT_RESOLV_REFUSED: errno says why.
CHECKED enum fault resolv_set(int fd, const char *path, const struct addr *servers, size_t count);
