// SPDX-License-Identifier: Apache-2.0
// Files and directories, read whole. Whatever is no regular file is left alone: a pipe would block,
// a device would never end.
#include "conf/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool file_fill(int fd, size_t size, struct buf *out)
{
    size_t end = out->size + size;
    while (out->size < end) {
        uint8_t block[4096];
        size_t wanted = end - out->size < sizeof block ? end - out->size : sizeof block;
        ssize_t got = read(fd, block, wanted);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) return true;
        buf_add(out, bytes_of(block, (size_t)got));
        if (out->failed) return false;
    }
    return true;
}

const char *file_read(const char *path, struct buf *out, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return strerror(errno);
    const char *why = NULL;
    if (fstat(fd, status) != 0)
        why = strerror(errno);
    else if (!S_ISREG(status->st_mode))
        why = "it is not a regular file";
    else if (status->st_size > FILE_SIZE_MAX)
        why = "it is larger than 16 MiB";
    else if (!file_fill(fd, (size_t)status->st_size, out))
        why = out->failed ? "it is too large" : strerror(errno);
    close(fd);
    return why;
}

static bool is_regular(const char *directory, const char *name)
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", directory, name);
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t directory_read(const char *path, char ***names, const char **why)
{
    size_t count = 0;
    *names = NULL;
    *why = NULL;
    DIR *directory = opendir(path);
    if (!directory) {
        if (errno != ENOENT) *why = strerror(errno);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || !is_regular(path, entry->d_name)) continue;
        *names = mem_grow(*names, count + 1, sizeof **names);
        (*names)[count++] = mem_text(entry->d_name);
    }
    closedir(directory);
    if (count) qsort(*names, count, sizeof **names, names_compare);
    return count;
}

void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}
