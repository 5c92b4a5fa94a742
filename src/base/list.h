// SPDX-License-Identifier: Apache-2.0
// Doubly linked list through a member of the element; the head is a struct list of its own.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head) { head->next = head->prev = head; }
static inline bool list_is_empty(const struct list *head) { return head->next == head; }
static inline void list_add_before_(struct list *at, struct list *item)
{
    item->prev = at->prev;
    item->next = at;
    at->prev->next = item;
    at->prev = item;
}
static inline void list_append(struct list *head, struct list *item) { list_add_before_(head, item); }
static inline void list_prepend(struct list *head, struct list *item) { list_add_before_(head->next, item); }
static inline void list_remove(struct list *item)  // harmless on an item that is removed already
{
    if (!item->next) return;
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->next = item->prev = NULL;
}

#define LIST_OWNER(type, member, item) ((type *)(void *)((char *)(item) - offsetof(type, member)))
// The element may be removed inside the loop.
#define LIST_EACH(type, member, var, head)                                                                      \
    for (struct list *var##_at_ = (head)->next, *var##_next_ = var##_at_->next;                                 \
         var##_at_ != (head); var##_at_ = var##_next_, var##_next_ = var##_at_->next)                           \
        for (type *var = LIST_OWNER(type, member, var##_at_); var; var = NULL)
// The first element or NULL.
#define LIST_FIRST(type, member, head) (list_is_empty(head) ? NULL : LIST_OWNER(type, member, (head)->next))
