// SPDX-License-Identifier: Apache-2.0
// Reading files and directories of a configuration.
#pragma once
#include "base/mem.h"
#include <sys/stat.h>

enum { FILE_SIZE_MAX = 16 * 1024 * 1024 };

// Appends a regular file's bytes; NULL, or a few words on why it cannot be read.
const char *file_read(const char *path, struct buf *out, struct stat *status);
// Names of the regular files in a directory, hidden ones left out, in alphabetical order; none when there is no such
// directory. Free each and the array; *why is set when the directory is there but cannot be read.
size_t directory_read(const char *path, char ***names, const char **why);
void names_free(char **names, size_t count);
