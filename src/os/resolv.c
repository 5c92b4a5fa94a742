// SPDX-License-Identifier: Apache-2.0
#include "os/resolv.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char mark_begin[] = "# cygnet: name servers of tunnels, removed with them\n",
                  mark_end[] = "# cygnet: end\n";

int resolv_open(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

// Where `wanted` begins, at the beginning of a line; text.size when nowhere.
static size_t line_find(struct bytes text, size_t from, const char *wanted)
{
    size_t size = strlen(wanted);
    for (size_t at = from; at + size <= text.size; at++) {
        bool begins = at == 0 || text.at[at - 1] == '\n';
        if (begins && memcmp(text.at + at, wanted, size) == 0) return at;
    }
    return text.size;
}

void resolv_edit(struct bytes text, const struct addr *servers, size_t count, struct buf *out)
{
    char addr[ADDR_TEXT];
    if (count) buf_add_text(out, mark_begin);
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, "nameserver ");
        buf_add_text(out, addr_print(&servers[i], addr));
        buf_add_text(out, "\n");
    }
    if (count) buf_add_text(out, mark_end);
    size_t begin = line_find(text, 0, mark_begin), end = line_find(text, begin, mark_end);
    if (end < text.size) {
        buf_add(out, bytes_of(text.at, begin));
        begin = end + strlen(mark_end);
        buf_add(out, bytes_of(text.at + begin, text.size - begin));
    } else { // half a block is somebody's own business
        buf_add(out, text);
    }
}

// A file that was renamed over has no name any more; one that was moved aside is seen where its
// directory may be looked into.
static bool was_replaced(int fd, const char *path)
{
    struct stat open_now, there;
    if (fstat(fd, &open_now) < 0 || open_now.st_nlink == 0) return true;
    if (lstat(path, &there) < 0) return errno != EACCES;
    return there.st_ino != open_now.st_ino || there.st_dev != open_now.st_dev;
}

enum fault resolv_set(int fd, const char *path, const struct addr *servers, size_t count)
{
    if (was_replaced(fd, path)) return FAULT_RESOLV_REPLACED;
    AUTOFREE_MEM uint8_t *space = mem_new(RESOLV_SIZE_MAX);
    ssize_t size = pread(fd, space, RESOLV_SIZE_MAX, 0);
    if (size == RESOLV_SIZE_MAX) errno = EFBIG;
    if (size < 0 || size == RESOLV_SIZE_MAX) return FAULT_RESOLV_REFUSED;
    AUTOFREE_BUF struct buf text = BUF(2 * RESOLV_SIZE_MAX);
    resolv_edit(bytes_of(space, (size_t)size), servers, count, &text);
    if (bytes_equal(buf_bytes(&text), bytes_of(space, (size_t)size))) return OK;
    // Readers in between see the new beginning with the old end at worst.
    if (pwrite(fd, text.at, text.size, 0) != (ssize_t)text.size) return FAULT_RESOLV_REFUSED;
    return ftruncate(fd, (off_t)text.size) < 0 ? FAULT_RESOLV_REFUSED : OK;
}
