// SPDX-License-Identifier: Apache-2.0
// Why two sets of proposals have nothing in common, for people: the closest pair type by type, then
// what to write where to make it fit.
#include "model/proposal.h"
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { NAME_TEXT = 96, PROPOSAL_TEXT = 512, TYPES_END = TRANSFORM_ADDKE7 + 1 };

static const uint8_t type_order[] = {
    TRANSFORM_ENCR,   TRANSFORM_INTEG,  TRANSFORM_PRF,    TRANSFORM_KE,
    TRANSFORM_ADDKE1, TRANSFORM_ADDKE2, TRANSFORM_ADDKE3, TRANSFORM_ADDKE4,
    TRANSFORM_ADDKE5, TRANSFORM_ADDKE6, TRANSFORM_ADDKE7, TRANSFORM_SN,
};

struct pair {
    const struct proposal *mine, *offered;
    enum proposal_ke with_ke;
};

static bool type_is_ke(uint8_t type)
{
    return type == TRANSFORM_KE || (type >= TRANSFORM_ADDKE1 && type <= TRANSFORM_ADDKE7);
}

static bool proposal_has(const struct proposal *proposal, const struct transform *wanted)
{
    for (size_t i = 0; i < proposal->count; i++) {
        const struct transform *at = &proposal->at[i];
        if (at->type == wanted->type && at->id == wanted->id && at->key_bits == wanted->key_bits)
            return true;
    }
    return false;
}

static bool proposal_has_type(const struct proposal *proposal, uint8_t type)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == type) return true;
    return false;
}

static bool proposal_has_none(const struct proposal *proposal, uint8_t type)
{
    struct transform none = {type, 0, 0};
    return (type == TRANSFORM_INTEG || type_is_ke(type)) && proposal_has(proposal, &none);
}

static bool type_is_shown(const struct pair *pair, uint8_t type)
{
    if (pair->with_ke == PROPOSAL_WITHOUT_KE && type_is_ke(type)) return false;
    return proposal_has_type(pair->mine, type) || proposal_has_type(pair->offered, type);
}

static bool type_fits(const struct pair *pair, uint8_t type)
{
    for (size_t i = 0; i < pair->mine->count; i++)
        if (pair->mine->at[i].type == type && proposal_has(pair->offered, &pair->mine->at[i]))
            return true;
    bool mine = proposal_has_type(pair->mine, type),
         offered = proposal_has_type(pair->offered, type);
    if (mine && offered) return false;
    return mine ? proposal_has_none(pair->mine, type) : proposal_has_none(pair->offered, type);
}

static bool has_aead(const struct proposal *proposal)
{
    for (size_t i = 0; i < proposal->count; i++) {
        struct encr_info info;
        const struct transform *at = &proposal->at[i];
        if (at->type == TRANSFORM_ENCR && encr_info(at->id, at->key_bits, &info) && info.aead)
            return true;
    }
    return false;
}

static const struct transform *unknown_type(const struct proposal *proposal)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == 0 || proposal->at[i].type >= TYPES_END) return &proposal->at[i];
    return NULL;
}

// How many types fit; that both are of one kind of cipher counts a little.
static unsigned pair_score(const struct pair *pair)
{
    unsigned score = has_aead(pair->mine) == has_aead(pair->offered);
    for (size_t i = 0; i < COUNT(type_order); i++)
        if (type_is_shown(pair, type_order[i]) && type_fits(pair, type_order[i])) score += 2;
    return unknown_type(pair->offered) ? 0 : score;
}

static bool pair_closest(const struct proposals *mine, const struct proposals *offered,
                         struct pair *best)
{
    bool found = false;
    unsigned most = 0;
    for (size_t i = 0; i < mine->count; i++) {
        for (size_t j = 0; j < offered->count; j++) {
            struct pair pair = {&mine->at[i], &offered->at[j], best->with_ke};
            if (pair.mine->protocol != pair.offered->protocol) continue;
            unsigned score = pair_score(&pair);
            if (found && score <= most) continue;
            found = true;
            most = score;
            *best = pair;
        }
    }
    return found;
}

static const char *transform_text(const struct transform *transform, char out[NAME_TEXT])
{
    struct proposal one = {.count = 1, .at = {*transform}};
    return proposal_print(&one, out, NAME_TEXT);
}

// One line of the table: the transforms of a type, of them only those that `also` has too.
static void list_write(const char *label, const struct proposal *of, const struct proposal *also,
                       uint8_t type, struct wr *out)
{
    char name[NAME_TEXT];
    bool any = false;
    wr_printf(out, "    %-13s", label);
    for (size_t i = 0; i < of->count; i++) {
        const struct transform *at = &of->at[i];
        if (at->type != type || (also && !proposal_has(also, at))) continue;
        wr_printf(out, "%s%s", any ? ", " : "", transform_text(at, name));
        any = true;
    }
    wr_text(out, any ? "\n" : "nothing\n");
}

static void table_write(const struct pair *pair, struct wr *out)
{
    for (size_t i = 0; i < COUNT(type_order); i++) {
        uint8_t type = type_order[i];
        if (!type_is_shown(pair, type)) continue;
        wr_printf(out, "  %s%s\n", iana_transform_name(type),
                  type_fits(pair, type) ? "" : " - does not fit");
        list_write("peer offers", pair->offered, NULL, type, out);
        list_write("we accept", pair->mine, NULL, type, out);
        list_write("in common", pair->mine, pair->offered, type, out);
    }
}

// --- Advice

static const char *option_name(uint8_t protocol)
{
    switch (protocol) {
    case PROTOCOL_IKE:
        return "proposals";
    case PROTOCOL_AH:
        return "ah_proposals";
    default:
        return "esp_proposals";
    }
}

// The best of a type: the first that is no legacy, else the first that has a keyword at all.
static const struct transform *best_of(const struct proposal *proposal, uint8_t type)
{
    const struct transform *best = NULL;
    for (size_t i = 0; i < proposal->count; i++) {
        const struct transform *at = &proposal->at[i];
        if (at->type != type || !transform_keyword(*at)) continue;
        if (!transform_is_weak(*at)) return at;
        if (!best) best = at;
    }
    return best;
}

// Of the types that do not fit: how many, whether each of them has something that we know, and
// which is the last one.
struct misfit {
    unsigned count;
    bool known, weak;
    uint8_t type;
};

static struct misfit pair_misfit(const struct pair *pair)
{
    struct misfit misfit = {.known = true};
    for (size_t i = 0; i < COUNT(type_order); i++) {
        uint8_t type = type_order[i];
        if (!type_is_shown(pair, type) || type_fits(pair, type)) continue;
        const struct transform *best = best_of(pair->offered, type);
        misfit.count++;
        misfit.type = type;
        if (!best && proposal_has_type(pair->offered, type)) misfit.known = false;
        if (best && transform_is_weak(*best)) misfit.weak = true;
    }
    return misfit;
}

// A proposal out of the best that the peer has of each type.
static void example_write(const struct pair *pair, struct wr *out)
{
    struct proposal example = {.protocol = pair->offered->protocol};
    char text[PROPOSAL_TEXT];
    for (size_t i = 0; i < COUNT(type_order); i++) {
        const struct transform *best = best_of(pair->offered, type_order[i]);
        if (best && type_is_shown(pair, type_order[i])) example.at[example.count++] = *best;
    }
    wr_text(out, proposal_print(&example, text, sizeof text));
}

static void advice_write(const struct pair *pair, struct wr *out)
{
    const char *option = option_name(pair->mine->protocol);
    struct misfit misfit = pair_misfit(pair);
    char theirs[NAME_TEXT], ours[NAME_TEXT];
    const struct transform *unknown = unknown_type(pair->offered);
    if (unknown) {
        wr_printf(out,
                  "The peer's proposal has a transform of the unknown type %u, so it cannot be "
                  "taken: let the peer offer one without it.\n",
                  unknown->type);
        return;
    }
    if (!misfit.count) {
        wr_text(
            out,
            "Each type has something in common, but together they make no suite: ciphers with "
            "and without integrity of their own are mixed, or additional key exchanges repeat.\n");
        return;
    }
    if (!misfit.known) {
        wr_printf(out, "The peer offers nothing for %s that is known here: change its proposals.\n",
                  iana_transform_name(misfit.type));
        return;
    }
    const struct transform *their_best = best_of(pair->offered, misfit.type);
    const struct transform *our_best = best_of(pair->mine, misfit.type);
    bool same_kind = has_aead(pair->mine) == has_aead(pair->offered);
    if (misfit.count == 1 && their_best && same_kind) {
        wr_printf(out, "To make it fit, add %s to \"%s\" here", transform_text(their_best, theirs),
                  option);
        if (our_best) wr_printf(out, ", or %s on the peer", transform_text(our_best, ours));
    } else if (misfit.count == 1 && our_best && !their_best) {
        wr_printf(out, "To make it fit, add %s on the peer, or take %s out of \"%s\" here",
                  transform_text(our_best, ours), iana_transform_name(misfit.type), option);
    } else {
        wr_text(out, "To make it fit, add the proposal ");
        example_write(pair, out);
        wr_printf(out, " to \"%s\" here", option);
    }
    wr_text(out,
            misfit.weak ? ". What the peer offers is legacy: better change the peer.\n" : ".\n");
}

static unsigned place_of(const struct proposals *set, const struct proposal *proposal)
{
    return proposal->number ? proposal->number : (unsigned)(proposal - set->at) + 1;
}

void proposals_explain(const struct proposals *mine, const struct proposals *offered,
                       enum proposal_ke with_ke, struct wr *out)
{
    struct pair closest = {.with_ke = with_ke};
    if (!offered->count) {
        wr_text(out, "The peer offers no proposal.\n");
        return;
    }
    if (!mine->count) {
        wr_text(out, "We have no proposal configured.\n");
        return;
    }
    if (!pair_closest(mine, offered, &closest)) {
        const char *theirs = iana_protocol_name(offered->at[0].protocol);
        const char *ours = iana_protocol_name(mine->at[0].protocol);
        wr_printf(out, "The peer's proposals are for %s, ours for %s.\n",
                  theirs ? theirs : "an unknown protocol", ours ? ours : "an unknown protocol");
        return;
    }
    const char *protocol = iana_protocol_name(closest.mine->protocol);
    wr_printf(out,
              "No %s proposal in common. The closest are the peer's number %u of %u and our number "
              "%u of %u:\n",
              protocol ? protocol : "such", place_of(offered, closest.offered), offered->count,
              place_of(mine, closest.mine), mine->count);
    table_write(&closest, out);
    advice_write(&closest, out);
}
