// SPDX-License-Identifier: Apache-2.0
// Which boxes meet a range of remote addresses: a treap of the items by the low end of their remote range, in which each subtree
// knows the highest high end below it. Many peers mean many boxes, mostly each with remote addresses of its own.
#include "os/guard.h"

static int order(const struct guard_item *a, const struct guard_item *b)
{
    int by_low = addr_compare(&a->box.remote.low, &b->box.remote.low);
    if (by_low) return by_low;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static const struct addr *higher(const struct addr *a, const struct addr *b)
{
    return addr_compare(a, b) < 0 ? b : a;
}

static void reach_update(struct guard_item *item)
{
    item->reach = &item->box.remote.high;
    if (item->left) item->reach = higher(item->reach, item->left->reach);
    if (item->right) item->reach = higher(item->reach, item->right->reach);
}

// Those before the item go to *left, the others to *right.
static void split(struct guard_item *root, const struct guard_item *at, struct guard_item **left, struct guard_item **right)
{
    if (!root) {
        *left = *right = NULL;
    } else if (order(root, at) < 0) {
        split(root->right, at, &root->right, right);
        reach_update(root);
        *left = root;
    } else {
        split(root->left, at, left, &root->left);
        reach_update(root);
        *right = root;
    }
}

// All of the left come before all of the right.
static struct guard_item *join(struct guard_item *left, struct guard_item *right)
{
    if (!left || !right) return left ? left : right;
    if (left->weight > right->weight) {
        left->right = join(left->right, right);
        reach_update(left);
        return left;
    }
    right->left = join(left, right->left);
    reach_update(right);
    return right;
}

void guard_index_add(struct guard_item **root, struct guard_item *item)
{
    struct guard_item *left, *right;
    item->left = item->right = NULL;
    reach_update(item);
    split(*root, item, &left, &right);
    *root = join(join(left, item), right);
}

static struct guard_item *without(struct guard_item *root, const struct guard_item *item)
{
    if (root == item) return join(root->left, root->right);
    if (order(item, root) < 0)
        root->left = without(root->left, item);
    else
        root->right = without(root->right, item);
    reach_update(root);
    return root;
}

void guard_index_remove(struct guard_item **root, struct guard_item *item)
{
    *root = without(*root, item);
    item->left = item->right = NULL;
}

void guard_index_visit(const struct guard_item *root, const struct range *remote,
                       void (*visit)(void *context, const struct guard_item *item), void *context)
{
    if (!root || addr_compare(root->reach, &remote->low) < 0) return;
    guard_index_visit(root->left, remote, visit, context);
    if (addr_compare(&root->box.remote.low, &remote->high) > 0) return;
    if (addr_compare(&root->box.remote.high, &remote->low) >= 0) visit(context, root);
    guard_index_visit(root->right, remote, visit, context);
}
