// SPDX-License-Identifier: Apache-2.0
// What the files of a configuration say, as the VICI messages with which a client would load it:
// first credentials, then authorities and pools, then connections. The texts of lists become lists,
// names of files become what is in them, as DER.
//
//   directory/  x509 x509ca x509ocsp x509aa x509crl pubkey     load-cert { type, flag, data }
//               private rsa ecdsa pkcs8                        load-key { type, data [, secret] }
//   secrets.ike*, secrets.ppk*                                 load-shared { id, type, data, owners
//   [] } authorities.NAME, pools.NAME, connections.NAME             load-authority, load-pool,
//   load-conn { NAME { … } }
//
// An encrypted key is handed on as it stands, its passphrase beside it as "secret": decrypting is
// for who holds keys.
#include "conf/files.h"
#include "conf/options_internal.h"
#include <stdio.h>

enum { BLOCKS_MAX = 1024 };

struct loading {
    const struct tree *root;
    const char *directory;
    const struct loader *loader;
    struct complaints *complaints;
    struct pem_block *blocks; // of the file being read
};

// Files with certificates and keys
// ---------------------------------------------------------------------------------------------------

static bool label_is(const struct pem_block *block, const char *const *labels)
{
    if (!*block->label) return true;
    for (; *labels; labels++)
        if (strcmp(block->label, *labels) == 0) return true;
    return false;
}

static const char *const cert_labels[] = {"CERTIFICATE", "X509 CERTIFICATE", NULL};
static const char *const crl_labels[] = {"X509 CRL", NULL};
static const char *const pubkey_labels[] = {"PUBLIC KEY", "RSA PUBLIC KEY", NULL};
static const char *const key_labels[] = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY",
                                         "EC PRIVATE KEY", NULL};

// Reads a file's blocks with one of the labels to the front of l->blocks. 0 when there are none,
// which is complained about.
static size_t blocks_read(struct loading *l, const char *path, struct place place,
                          const char *const *labels, const char *what, struct arena *arena)
{
    AUTOFREE_BUF struct buf text = BUF(FILE_SIZE_MAX);
    struct stat status;
    size_t count = 0, kept = 0;
    const char *why = file_read(path, &text, &status);
    enum fault fault =
        why ? OK
            : pem_read(arena_copy(arena, buf_bytes(&text)), arena, l->blocks, BLOCKS_MAX, &count);
    for (size_t i = 0; !fault && i < count; i++)
        if (label_is(&l->blocks[i], labels)) l->blocks[kept++] = l->blocks[i];
    if (fault)
        complain(l->complaints, fault, place, "cannot use \"%s\": %s", path, fault_sentence(fault));
    else if (why || !kept)
        complain(l->complaints, FAULT_OPTION_FILE, place, "cannot use \"%s\": %s%s", path,
                 why ? why : "there is no ", why ? "" : what);
    return fault ? 0 : kept;
}

static char *path_in(const struct loading *l, const char *folder, const char *name)
{
    return name[0] == '/' ? mem_text(name) : mem_printf("%s/%s/%s", l->directory, folder, name);
}

// Calls use() for each file in one of our directories.
struct folder {
    const char *name, *type, *flag;
    const char *const *labels;
    const char *what;
};

static void folder_each(struct loading *l, const struct folder *folder,
                        void (*use)(struct loading *l, const struct folder *folder,
                                    const char *name, const char *path))
{
    AUTOFREE_MEM char *path = mem_printf("%s/%s", l->directory, folder->name);
    char **names;
    const char *why;
    size_t count = directory_read(path, &names, &why);
    if (why)
        complain(l->complaints, FAULT_OPTION_FILE, (struct place){.file = path},
                 "cannot read the directory: %s", why);
    for (size_t i = 0; i < count; i++) {
        AUTOFREE_MEM char *file = mem_printf("%s/%s", path, names[i]);
        use(l, folder, names[i], file);
    }
    names_free(names, count);
}

static void cert_send(struct loading *l, const struct folder *folder, struct bytes der)
{
    struct arena arena = {0};
    struct tree *message = tree_new(&arena);
    tree_add_text(&arena, message, "type", folder->type);
    if (folder->flag) tree_add_text(&arena, message, "flag", folder->flag);
    tree_add_value(&arena, message, "data", der);
    l->loader->request(l->loader->context, "load-cert", message);
    arena_free(&arena);
}

static void cert_file_load(struct loading *l, const struct folder *folder, const char *name,
                           const char *path)
{
    (void)name;
    struct arena arena = {0};
    size_t count =
        blocks_read(l, path, (struct place){.file = path}, folder->labels, folder->what, &arena);
    for (size_t i = 0; i < count; i++) cert_send(l, folder, l->blocks[i].der);
    arena_free(&arena);
}

// The passphrase is in a section secrets.rsa*, say, for a file in the directory rsa.
static struct bytes passphrase_find(const struct loading *l, const char *folder, const char *name,
                                    const char *path, struct arena *arena)
{
    struct bytes secret = BYTES_NONE;
    struct wrong wrong;
    TREE_EACH(item, tree_section(l->root, "secrets"))
    {
        const char *file = is_named(item, folder) ? tree_text(item, "file", "") : "";
        if (strcmp(file, name) != 0 && strcmp(file, path) != 0) continue;
        if (convert_secret(tree_value(item, "secret"), arena, &secret, &wrong)) return secret;
    }
    return BYTES_NONE;
}

static void key_send(struct loading *l, const struct folder *folder, const struct pem_block *block,
                     struct bytes secret)
{
    struct arena arena = {0};
    struct tree *message = tree_new(&arena);
    tree_add_text(&arena, message, "type", folder->type);
    tree_add_value(&arena, message, "data", block->encrypted ? block->text : block->der);
    if (block->encrypted) tree_add_value(&arena, message, "secret", secret);
    l->loader->request(l->loader->context, "load-key", message);
    arena_free(&arena);
}

static void key_file_load(struct loading *l, const struct folder *folder, const char *name,
                          const char *path)
{
    struct arena arena = {0};
    struct place place = {.file = path};
    size_t count = blocks_read(l, path, place, folder->labels, folder->what, &arena);
    struct bytes secret = passphrase_find(l, folder->name, name, path, &arena);
    for (size_t i = 0; i < count; i++) {
        if (l->blocks[i].encrypted && !secret.size)
            complain(
                l->complaints, FAULT_OPTION_MISSING, place,
                "the key is encrypted: give its passphrase in a section secrets.%s with file = %s",
                folder->name, name);
        else
            key_send(l, folder, &l->blocks[i], secret);
    }
    arena_free(&arena);
}

static void unsupported_file(struct loading *l, const struct folder *folder, const char *name,
                             const char *path)
{
    (void)name;
    complain(l->complaints, FAULT_OPTION_UNSUPPORTED, (struct place){.file = path},
             "%s are not supported yet", folder->what);
}

static void folders_load(struct loading *l)
{
    static const struct folder certs[] = {
        {"x509", "X509", "NONE", cert_labels, "certificate"},
        {"x509ca", "X509", "CA", cert_labels, "certificate"},
        {"x509ocsp", "X509", "OCSP", cert_labels, "certificate"},
        {"x509aa", "X509", "AA", cert_labels, "certificate"},
        {"x509crl", "X509_CRL", NULL, crl_labels, "revocation list"},
        {"pubkey", "PUBKEY", NULL, pubkey_labels, "public key"},
    };
    static const struct folder keys[] = {
        {"private", "any", NULL, key_labels, "private key"},
        {"rsa", "rsa", NULL, key_labels, "private key"},
        {"ecdsa", "ecdsa", NULL, key_labels, "private key"},
        {"pkcs8", "any", NULL, key_labels, "private key"},
    };
    static const struct folder unsupported[] = {
        {"x509ac", NULL, NULL, NULL, "attribute certificates"},
        {"pkcs12", NULL, NULL, NULL, "PKCS#12 containers"},
    };
    for (size_t i = 0; i < sizeof certs / sizeof *certs; i++)
        folder_each(l, &certs[i], cert_file_load);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) folder_each(l, &keys[i], key_file_load);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        folder_each(l, &unsupported[i], unsupported_file);
}

// Secrets
// ---------------------------------------------------------------------------------------------------

static void shared_load(struct loading *l, const struct tree *section, const char *type)
{
    struct arena arena = {0};
    struct bytes secret;
    struct wrong wrong;
    if (convert_secret(tree_value(section, "secret"), &arena, &secret, &wrong)) {
        struct tree *message = tree_new(&arena);
        tree_add_text(&arena, message, "id", section->name);
        tree_add_text(&arena, message, "type", type);
        tree_add_value(&arena, message, "data", secret);
        struct tree *owners = tree_add_list(&arena, message, "owners");
        TREE_EACH(item, section)
        {
            if (item->kind == TREE_VALUE && strncmp(item->name, "id", 2) == 0)
                tree_add_item(&arena, owners, item->value);
        }
        l->loader->request(l->loader->context, "load-shared", message);
    }
    arena_free(&arena);
}

// Sections
// ---------------------------------------------------------------------------------------------------

// Adds what is in a file to a list, one item a certificate.
static bool file_add(struct loading *l, const char *folder, const char *name, struct place place,
                     bool all, struct arena *arena, struct tree *list)
{
    AUTOFREE_MEM char *path = path_in(l, folder, name);
    bool pubkey = strcmp(folder, "pubkey") == 0;
    struct arena file = {0};
    size_t count = blocks_read(l, path, place, pubkey ? pubkey_labels : cert_labels,
                               pubkey ? "public key" : "certificate", &file);
    for (size_t i = 0; i < count && (all || i == 0); i++)
        tree_add_item(arena, list, l->blocks[i].der);
    arena_free(&file);
    return count > 0;
}

static bool list_add(struct loading *l, const struct tree *item, struct arena *arena,
                     struct tree *list)
{
    (void)l;
    for (struct parts parts = parts_of(item); parts_next(&parts);)
        tree_add_item(arena, list, parts.value);
    return true;
}

// Lists of files, and the sections that name one of the same kind. Of what may come from the peer
// only the certificate at the front of a bundle is meant; our own is sent with those behind it, and
// an authority's file may hold many.
static const struct file_list {
    const char *list, *section, *folder;
} file_lists[] = {
    {"certs", "cert", "x509"}, {"cacerts", "cacert", "x509ca"}, {"pubkeys", "pubkey", "pubkey"}};

static const struct file_list *file_list_of(const struct tree *item)
{
    for (size_t i = 0; i < sizeof file_lists / sizeof *file_lists; i++) {
        const struct file_list *list = &file_lists[i];
        if (strcmp(item->name, list->list) == 0 && item->kind != TREE_SECTION) return list;
        if (is_named(item, list->section)) return list;
    }
    return NULL;
}

static bool files_add(struct loading *l, const struct tree *item, const struct file_list *files,
                      bool all, struct arena *arena, struct tree *list)
{
    bool good = true;
    const struct tree *file = item->kind == TREE_SECTION ? tree_find(item, "file") : NULL;
    if (file)
        return file_add(l, files->folder, (const char *)file->value.at, value_place(file, 0), all,
                        arena, list);
    for (struct parts parts = parts_of(item); parts_next(&parts);)
        good &= file_add(l, files->folder, parts.text, value_place(item, parts.offset), all, arena,
                         list);
    return good;
}

static struct tree *list_of(struct arena *arena, struct tree *section, const char *name)
{
    for (struct tree *item = section->first; item; item = item->next)
        if (item->kind == TREE_LIST && strcmp(item->name, name) == 0) return item;
    return tree_add_list(arena, section, name);
}

static bool takes_list(const char *name)
{
    static const char *const names[] = {
        "local_addrs", "remote_addrs", "proposals", "esp_proposals", "ah_proposals", "local_ts",
        "remote_ts",   "vips",         "pools",     "groups",        "cert_policy",  "ppk_ids"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static bool section_copy(struct loading *l, const struct tree *from, struct arena *arena,
                         struct tree *to);

static bool item_copy(struct loading *l, const struct tree *item, struct arena *arena,
                      struct tree *to)
{
    const struct file_list *files =
        is_named(to, "local") || is_named(to, "remote") ? file_list_of(item) : NULL;
    struct tree *copy;
    bool good = true;
    if (files) {
        copy = list_of(arena, to, files->list);
        copy->place = item->place;
        bool all = is_named(to, "local") || strcmp(files->list, "cacerts") == 0;
        return files_add(l, item, files, all, arena, copy);
    }
    if (item->kind == TREE_SECTION) {
        copy = tree_add_section(arena, to, item->name);
        good = section_copy(l, item, arena, copy);
    } else if (takes_list(item->name)) {
        copy = tree_add_list(arena, to, item->name);
        good = list_add(l, item, arena, copy);
    } else {
        copy = tree_add_value(arena, to, item->name, item->value);
    }
    copy->place = item->place;
    return good;
}

// Settings go before sections, as clients are used to.
static bool section_copy(struct loading *l, const struct tree *from, struct arena *arena,
                         struct tree *to)
{
    bool good = true;
    to->place = from->place;
    TREE_EACH(item, from) if (item->kind != TREE_SECTION) good &= item_copy(l, item, arena, to);
    TREE_EACH(item, from) if (item->kind == TREE_SECTION) good &= item_copy(l, item, arena, to);
    return good;
}

// What options_check() has complained about is left out without another word.
static bool conn_is_good(const struct tree *section)
{
    struct complaints complaints = {0};
    struct conn *conn = conn_compile(section, FORM_FILE, section->name, &complaints);
    bool good = conn != NULL;
    conn_release(conn);
    complaints_free(&complaints);
    return good;
}

static bool section_is_good(const struct tree *section, const char *path)
{
    struct complaints complaints = {0};
    section_check(section, path, section->name, FORM_FILE, &complaints);
    bool good = complaints.errors == 0;
    complaints_free(&complaints);
    return good;
}

static void conn_load(struct loading *l, const struct tree *section)
{
    if (section->kind != TREE_SECTION || !conn_is_good(section)) return;
    struct arena arena = {0};
    struct tree *message = tree_new(&arena);
    struct tree *copy = tree_add_section(&arena, message, section->name);
    if (section_copy(l, section, &arena, copy))
        l->loader->request(l->loader->context, "load-conn", message);
    arena_free(&arena);
}

static void pool_load(struct loading *l, const struct tree *section)
{
    if (!section_is_good(section, "pools.<name>") || !tree_find(section, "addrs")) return;
    struct arena arena = {0};
    struct tree *message = tree_new(&arena);
    struct tree *copy = tree_add_section(&arena, message, section->name);
    TREE_EACH(item, section)
    {
        if (strcmp(item->name, "addrs") == 0)
            tree_add_value(&arena, copy, item->name, item->value);
        else
            (void)list_add(l, item, &arena, tree_add_list(&arena, copy, item->name));
    }
    l->loader->request(l->loader->context, "load-pool", message);
    arena_free(&arena);
}

static bool authority_cert_add(struct loading *l, const struct tree *item, struct arena *arena,
                               struct tree *to)
{
    AUTOFREE_MEM char *path = path_in(l, "x509ca", (const char *)item->value.at);
    struct arena file = {0};
    size_t count = blocks_read(l, path, value_place(item, 0), cert_labels, "certificate", &file);
    if (count) tree_add_value(arena, to, "cacert", l->blocks[0].der);
    arena_free(&file);
    return count > 0;
}

static void authority_load(struct loading *l, const struct tree *section)
{
    const struct tree *cert =
        tree_find(section, "cacert") ? tree_find(section, "cacert") : tree_find(section, "file");
    if (!section_is_good(section, "authorities.<name>") || !cert) return;
    struct arena arena = {0};
    struct tree *message = tree_new(&arena);
    struct tree *copy = tree_add_section(&arena, message, section->name);
    bool good = authority_cert_add(l, cert, &arena, copy);
    TREE_EACH(item, section)
    {
        if (strcmp(item->name, "crl_uris") == 0 || strcmp(item->name, "ocsp_uris") == 0)
            (void)list_add(l, item, &arena, tree_add_list(&arena, copy, item->name));
    }
    if (good) l->loader->request(l->loader->context, "load-authority", message);
    arena_free(&arena);
}

void options_load(const struct tree *root, const char *directory, const struct loader *loader,
                  struct complaints *complaints)
{
    struct loading l = {root, directory, loader, complaints,
                        mem_array(BLOCKS_MAX, sizeof(struct pem_block))};
    folders_load(&l);
    TREE_EACH(item, tree_section(root, "secrets"))
    {
        if (is_named(item, "ike") && section_is_good(item, "secrets.ike<suffix>"))
            shared_load(&l, item, "ike");
        if (is_named(item, "ppk") && section_is_good(item, "secrets.ppk<suffix>"))
            shared_load(&l, item, "ppk");
    }
    TREE_EACH(item, tree_section(root, "authorities")) authority_load(&l, item);
    TREE_EACH(item, tree_section(root, "pools")) pool_load(&l, item);
    TREE_EACH(item, tree_section(root, "connections")) conn_load(&l, item);
    free(l.blocks);
}
