// SPDX-License-Identifier: Apache-2.0
// cygnet pki: files in and out. A message names the file, what was expected and what is in it.
#include "cli/pki.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// --- reading

static bool all_read(int fd, const char *name, struct buf *out)
{
    uint8_t piece[4096];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) != 0) {
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) {
            fprintf(stderr, "%s: cannot be read: %s\n", name, strerror(errno));
            return false;
        }
        buf_add(out, bytes_of(piece, (size_t)size));
        if (out->failed) {
            fprintf(stderr, "%s: is larger than %d bytes\n", name, PKI_FILE_SIZE_MAX);
            return false;
        }
    }
    memory_wipe(piece, sizeof piece);
    if (out->size == 0) fprintf(stderr, "%s: is empty\n", name);
    return out->size > 0;
}

bool pki_file_read(const char *name, struct buf *out)
{
    *out = BUF(PKI_FILE_SIZE_MAX);
    if (!name || strcmp(name, "-") == 0) {
        if (isatty(STDIN_FILENO)) fputs("reading from the terminal; give a file with --in FILE\n", stderr);
        return all_read(STDIN_FILENO, "standard input", out);
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "%s: cannot be opened: %s\n", name, strerror(errno));
        return false;
    }
    bool good = all_read(fd, name, out);
    close(fd);
    return good;
}

// The label of the first PEM block, or what else it looks like.
static const char *content_guess(struct bytes content, char out[80])
{
    static const char begin[] = "-----BEGIN ";
    const char *at = content.size ? memmem(content.at, content.size, begin, sizeof begin - 1) : NULL;
    if (!at) return content.size && content.at[0] == 0x30 ? "DER data" : "something else";
    at += sizeof begin - 1;
    size_t left = content.size - (size_t)((const uint8_t *)at - content.at), size = 0;
    while (size < left && size < 60 && at[size] >= ' ' && at[size] <= 'Z' && at[size] != '-') size++;
    snprintf(out, 80, "a PEM block \"%.*s\"", (int)size, at);
    return out;
}

int pki_file_fault(const char *name, const char *expected, enum fault fault, struct bytes content)
{
    char guess[80];
    fprintf(stderr, "%s: expected %s, found %s: %s\n", name ? name : "standard input", expected, content_guess(content, guess),
            fault_sentence(fault));
    if (*fault_remedy(fault)) fprintf(stderr, "  %s\n", fault_remedy(fault));
    return EXIT_FAILED;
}

static bool passphrase_read(const char *name, struct secret *out)
{
    struct buf content = {0};
    bool good = !name || pki_file_read(name, &content);
    if (good && name) {
        const uint8_t *end = memchr(content.at, '\n', content.size);
        secret_set(out, bytes_of(content.at, end ? (size_t)(end - content.at) : content.size));
    }
    memory_wipe(content.at, content.size);
    buf_free(&content);
    return good;
}

bool pki_key_load(const struct pki_words *words, const char *name, struct private_key **out)
{
    SECRET(passphrase);
    struct buf content = {0};
    if (!passphrase_read(words->passphrase_file, &passphrase)) return false;
    bool good = pki_file_read(name, &content);
    if (good) {
        enum fault fault = private_key_read(buf_bytes(&content), secret_bytes(&passphrase), out);
        if (fault == FAULT_KEY_PASSPHRASE && !words->passphrase_file)
            fprintf(stderr, "%s: the private key is encrypted; give --passphrase-file FILE\n", name ? name : "standard input");
        else if (fault)
            pki_file_fault(name, "a private key in PEM or DER", fault, buf_bytes(&content));
        good = !fault;
    }
    memory_wipe(content.at, content.size);
    buf_free(&content);
    return good;
}

bool pki_cert_load(const char *name, struct cert **out)
{
    AUTOFREE_BUF struct buf content = {0};
    if (!pki_file_read(name, &content)) return false;
    enum fault fault = cert_parse(buf_bytes(&content), out);
    if (fault) pki_file_fault(name, "a certificate in PEM or DER", fault, buf_bytes(&content));
    return !fault;
}

// --- writing

static bool all_write(int fd, struct bytes content)
{
    while (content.size) {
        ssize_t size = write(fd, content.at, content.size);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        content = bytes_of(content.at + size, content.size - (size_t)size);
    }
    return true;
}

static bool write_failed(const char *name)
{
    fprintf(stderr, "%s: cannot be written: %s\n", name, strerror(errno));
    return false;
}

// A new file beside the old one takes its place at once, so that neither a half-written file nor the mode of the old one stays.
static bool file_replace(const char *name, mode_t mode, struct bytes content)
{
    AUTOFREE_MEM char *fresh = mem_printf("%s.XXXXXX", name);
    int fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0) return write_failed(name);
    bool good = fchmod(fd, mode) == 0 && all_write(fd, content) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    good = good && rename(fresh, name) == 0;
    if (!good) {
        write_failed(name);
        unlink(fresh);
    }
    return good;
}

static bool file_make(const char *name, mode_t mode, struct bytes content)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST) {
        fprintf(stderr, "%s: exists already; --force overwrites it\n", name);
        return false;
    }
    if (fd < 0) return write_failed(name);
    bool good = all_write(fd, content) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (!good) {
        write_failed(name);
        unlink(name);
    }
    return good;
}

bool pki_file_write(const struct pki_words *words, enum file_kind kind, struct bytes content)
{
    mode_t mode = kind == FILE_PRIVATE ? 0600 : 0644;
    if (words->out && strcmp(words->out, "-") != 0)
        return words->force ? file_replace(words->out, mode, content) : file_make(words->out, mode, content);
    if (words->der && isatty(STDOUT_FILENO)) {
        fputs("binary data are not written to a terminal; give --out FILE or --outform pem\n", stderr);
        return false;
    }
    return all_write(STDOUT_FILENO, content) || write_failed("standard output");
}
