// SPDX-License-Identifier: Apache-2.0
#include "daemon/post.h"
#include "base/mem.h"
#include "base/secret.h"
#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

void post_init(struct post *post, unsigned self, unsigned workers)
{
    *post = (struct post){.self = self, .workers = workers};
    post->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(post->wake >= 0);
    pthread_mutex_init(&post->lock, NULL);
    for (unsigned i = 0; i < workers; i++) {
        if (i == self) continue;
        void *space = aligned_alloc(RING_LINE, (sizeof *post->from[i] + RING_LINE - 1) / RING_LINE *
                                                   RING_LINE);
        assert(space);
        memset(space, 0, sizeof *post->from[i]);
        post->from[i] = space;
        ring_init(&post->from[i]->ring, HANDED_MAX);
    }
}

static void handing_free(struct handing *handing)
{
    for (unsigned i = 0; handing && i < HANDED_MAX; i++) {
        uint8_t *space = handing->at[i].packet.space;
        if (space) memory_wipe(space, PACKET_BUFFER);
        free(space);
    }
    free(handing);
}

void post_wipe(struct post *post)
{
    assert(!post->waiting);
    for (unsigned i = 0; i < post->workers; i++) handing_free(post->from[i]);
    free(post->letters);
    pthread_mutex_destroy(&post->lock);
    close(post->wake);
}

// --- writing

static struct handed *place_of(struct handing *handing)
{
    uint32_t place;
    if (!ring_write(&handing->ring, &place)) return NULL;
    struct handed *handed = &handing->at[place];
    if (!handed->packet.space) handed->packet.space = mem_new(PACKET_BUFFER);
    return handed;
}

bool post_hand(struct post *post, unsigned from, struct packet *packet, enum hand kind)
{
    struct handed *handed = place_of(post->from[from]);
    if (!handed) return false;
    packet_spread(packet);
    uint8_t *empty = handed->packet.space;
    handed->packet = *packet;
    handed->kind = kind;
    packet->space = packet->at = empty;
    ring_written(&post->from[from]->ring);
    return true;
}

bool post_hand_copy(struct post *post, unsigned from, const struct packet *packet, enum hand kind)
{
    struct handed *handed = packet->size <= PACKET_MAX ? place_of(post->from[from]) : NULL;
    if (!handed) return false;
    uint8_t *space = handed->packet.space;
    handed->packet = *packet;
    handed->packet.space = space;
    handed->packet.spare = NULL;
    handed->packet.room = PACKET_BUFFER;
    handed->packet.at = space + PACKET_HEAD;
    handed->kind = kind;
    memcpy(handed->packet.at, packet->at, packet->size);
    ring_written(&post->from[from]->ring);
    return true;
}

void post_letter(struct post *post, void *letter)
{
    pthread_mutex_lock(&post->lock);
    size_t count = atomic_load_explicit(&post->waiting, memory_order_relaxed);
    if (count == post->room) {
        size_t room = post->room ? 2 * post->room : 64;
        void **larger = mem_array(room, sizeof *larger);
        if (count) memcpy(larger, post->letters, count * sizeof *larger);
        free(post->letters);
        post->letters = larger;
        post->room = room;
    }
    post->letters[count] = letter;
    atomic_store_explicit(&post->waiting, count + 1, memory_order_release);
    pthread_mutex_unlock(&post->lock);
}

// What was written is seen by a reader that goes to sleep after this, or this sees that he sleeps.
void post_call(struct post *post)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&post->asleep, memory_order_relaxed)) return;
    uint64_t one = 1;
    if (atomic_exchange(&post->asleep, false) && write(post->wake, &one, sizeof one) < 0)
        return; // it is full of calls already
}

// --- reading

size_t post_letters(struct post *post, void ***letters)
{
    if (!atomic_load_explicit(&post->waiting, memory_order_acquire)) return 0;
    pthread_mutex_lock(&post->lock);
    size_t count = atomic_load_explicit(&post->waiting, memory_order_relaxed);
    *letters = post->letters;
    post->letters = NULL;
    post->room = 0;
    atomic_store_explicit(&post->waiting, 0, memory_order_relaxed);
    pthread_mutex_unlock(&post->lock);
    return count;
}

unsigned post_packets(struct post *post, unsigned from, unsigned most, struct packet *packets,
                      enum hand *kind)
{
    struct handing *handing = post->from[from];
    uint32_t filled = handing ? ring_filled(&handing->ring) : 0;
    unsigned count = 0;
    while (count < most && count < filled) {
        struct handed *handed = &handing->at[ring_read(&handing->ring)];
        if (count && handed->kind != *kind) break;
        *kind = handed->kind;
        uint8_t *empty = packet_buffer(&packets[count]);
        packets[count++] = handed->packet;
        handed->packet.space = empty;
        ring_done(&handing->ring);
    }
    return count;
}

static bool has_any(const struct post *post)
{
    if (atomic_load_explicit(&post->waiting, memory_order_relaxed)) return true;
    for (unsigned i = 0; i < post->workers; i++)
        if (post->from[i] && ring_filled(&post->from[i]->ring)) return true;
    return false;
}

bool post_rest(struct post *post)
{
    atomic_store_explicit(&post->asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_any(post)) return true;
    post_awake(post);
    return false;
}

void post_awake(struct post *post)
{
    atomic_store_explicit(&post->asleep, false, memory_order_relaxed);
}
