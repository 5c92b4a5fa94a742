// SPDX-License-Identifier: Apache-2.0
// The sizes of algorithms, and the choice among proposals: as the responder who chooses, and as the
// initiator who checks what was chosen.
//
// For each transform type the two sides' transforms are compared by number and key length. A type
// that only one side has fits when that side says NONE as well; an unknown type never fits, an
// unknown number is like one that the other side does not have.
#include "model/proposal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// --- Sizes

struct encr_row {
    uint16_t id, bits;
    struct encr_info info;
};
struct integ_row {
    uint16_t id;
    struct integ_info info;
};
struct prf_row {
    uint16_t id;
    struct prf_info info;
};
struct ke_row {
    uint16_t id;
    struct ke_info info;
};

// clang-format off
static const struct encr_row encr_rows[] = {
#define ALG_ENCR(keyword, id, bits, key, salt, iv, block, icv, uses, strength) \
    {ENCR_##id, bits, {key, salt, iv, block, icv, (icv) != 0, (block) == 1}},
#include "model/alg.def"
};
static const struct integ_row integ_rows[] = {
    {INTEG_NONE, {0, 0}},
#define ALG_INTEG(keyword, id, key, icv, prf, uses, strength) {INTEG_##id, {key, icv}},
#include "model/alg.def"
};
static const struct prf_row prf_rows[] = {
#define ALG_PRF(keyword, id, key, output, fixed, strength) {PRF_##id, {key, output, fixed}},
#include "model/alg.def"
};
static const struct ke_row ke_rows[] = {
#define ALG_KE(keyword, id, public, answer, shared, kem, strength) \
    {KE_##id, {public, answer, shared, kem}},
#include "model/alg.def"
};
// clang-format on

bool encr_info(uint16_t encr, uint16_t key_bits, struct encr_info *info)
{
    for (size_t i = 0; i < COUNT(encr_rows); i++) {
        if (encr_rows[i].id != encr || encr_rows[i].bits != key_bits) continue;
        *info = encr_rows[i].info;
        return true;
    }
    return false;
}

bool integ_info(uint16_t integ, struct integ_info *info)
{
    for (size_t i = 0; i < COUNT(integ_rows); i++) {
        if (integ_rows[i].id != integ) continue;
        *info = integ_rows[i].info;
        return true;
    }
    return false;
}

bool prf_info(uint16_t prf, struct prf_info *info)
{
    for (size_t i = 0; i < COUNT(prf_rows); i++) {
        if (prf_rows[i].id != prf) continue;
        *info = prf_rows[i].info;
        return true;
    }
    return false;
}

bool ke_info(uint16_t ke, struct ke_info *info)
{
    for (size_t i = 0; i < COUNT(ke_rows); i++) {
        if (ke_rows[i].id != ke) continue;
        *info = ke_rows[i].info;
        return true;
    }
    return false;
}

// --- Choosing

enum { TYPES_END = TRANSFORM_ADDKE7 + 1, SEARCH_STEPS_MAX = 10000 };

static bool type_is_ke(uint8_t type)
{
    return type == TRANSFORM_KE || (type >= TRANSFORM_ADDKE1 && type <= TRANSFORM_ADDKE7);
}

// The number 0 of these types says that there need not be any.
static bool type_has_none(uint8_t type)
{
    return type == TRANSFORM_INTEG || type_is_ke(type);
}

static bool proposal_has_type(const struct proposal *proposal, uint8_t type)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == type) return true;
    return false;
}

static bool proposal_has(const struct proposal *proposal, struct transform wanted)
{
    for (size_t i = 0; i < proposal->count; i++) {
        const struct transform *at = &proposal->at[i];
        if (at->type == wanted.type && at->id == wanted.id && at->key_bits == wanted.key_bits)
            return true;
    }
    return false;
}

static bool proposal_has_none(const struct proposal *proposal, uint8_t type)
{
    return type_has_none(type) && proposal_has(proposal, (struct transform){type, 0, 0});
}

// RFC 7296 3.3.6: a proposal with a transform type that we do not know is not acceptable.
static bool proposal_is_known(const struct proposal *proposal)
{
    for (size_t i = 0; i < proposal->count; i++)
        if (proposal->at[i].type == 0 || proposal->at[i].type >= TYPES_END) return false;
    return true;
}

static uint16_t *suite_place(struct suite *suite, uint8_t type)
{
    switch (type) {
    case TRANSFORM_ENCR:
        return &suite->encr;
    case TRANSFORM_PRF:
        return &suite->prf;
    case TRANSFORM_INTEG:
        return &suite->integ;
    case TRANSFORM_KE:
        return &suite->ke;
    case TRANSFORM_SN:
        return &suite->sn;
    default:
        return &suite->addke[type - TRANSFORM_ADDKE1];
    }
}

static void suite_set(struct suite *suite, struct transform chosen)
{
    *suite_place(suite, chosen.type) = chosen.id;
    if (chosen.type == TRANSFORM_ENCR) suite->key_bits = chosen.key_bits;
    if (type_has_none(chosen.type) && chosen.id == 0) suite->nones |= (uint16_t)(1u << chosen.type);
}

struct choice {
    const struct proposal *mine, *offered;
    enum proposal_ke with_ke;
    struct suite suite;
    unsigned steps; // left for the search among additional key exchanges
};

// RFC 7296 3.3.3: a type may be left out when the only acceptable value is NONE. False when one
// side insists on the type and the other has nothing to say about it.
static bool absent_fits(struct choice *choice, uint8_t type)
{
    bool mine = proposal_has_type(choice->mine, type);
    bool offered = proposal_has_type(choice->offered, type);
    if (mine && !offered) return proposal_has_none(choice->mine, type);
    if (!mine && offered) {
        if (!proposal_has_none(choice->offered, type)) return false;
        suite_set(&choice->suite, (struct transform){type, 0, 0});
    }
    return true;
}

// Chooses the first of ours that is offered; `preferred`, when both have it, before all others.
static bool type_choose(struct choice *choice, uint8_t type, uint16_t preferred)
{
    const struct proposal *mine = choice->mine;
    struct transform first = {type, preferred, 0};
    if (preferred && proposal_has(mine, first) && proposal_has(choice->offered, first)) {
        suite_set(&choice->suite, first);
        return true;
    }
    for (size_t i = 0; i < mine->count; i++) {
        if (mine->at[i].type != type || !proposal_has(choice->offered, mine->at[i])) continue;
        suite_set(&choice->suite, mine->at[i]);
        return true;
    }
    if (proposal_has_type(mine, type) && proposal_has_type(choice->offered, type)) return false;
    return absent_fits(choice, type);
}

static bool addke_is_used(const struct suite *suite, uint8_t before, uint16_t id)
{
    for (uint8_t type = TRANSFORM_ADDKE1; type < before; type++)
        if (suite->addke[type - TRANSFORM_ADDKE1] == id) return true;
    return false;
}

// RFC 9370 2.2.2: no two additional key exchanges may be the same, NONE excepted; so an earlier
// choice may have to give way to a later one. The search is bounded.
static bool addke_choose(struct choice *choice, uint8_t type)
{
    if (type == TYPES_END) return true;
    const struct proposal *mine = choice->mine;
    bool both = proposal_has_type(mine, type) && proposal_has_type(choice->offered, type);
    struct suite before = choice->suite;
    for (size_t i = 0; both && i < mine->count; i++) {
        struct transform at = mine->at[i];
        if (at.type != type || !proposal_has(choice->offered, at)) continue;
        if (at.id && addke_is_used(&choice->suite, type, at.id)) continue;
        if (choice->steps == 0) return false;
        choice->steps--;
        suite_set(&choice->suite, at);
        if (addke_choose(choice, type + 1)) return true;
        choice->suite = before;
    }
    return !both && absent_fits(choice, type) && addke_choose(choice, type + 1);
}

// RFC 7296 1.2: the first child has no key exchange of its own; what is said about it is passed
// over, and NONE in so many words is answered so.
static void ke_leave(struct choice *choice)
{
    for (uint8_t type = TRANSFORM_KE; type < TYPES_END; type++)
        if (type_is_ke(type) && proposal_has_none(choice->offered, type))
            suite_set(&choice->suite, (struct transform){type, 0, 0});
}

// RFC 7296 3.3.3: the types that there must be. RFC 5282 8: a combined-mode cipher has no integrity
// algorithm, any other has one. RFC 7296 2.18: an IKE SA has a key exchange.
static bool suite_is_sound(const struct suite *suite, const struct proposal *chosen_from,
                           enum proposal_ke with_ke)
{
    struct encr_info info;
    bool ike = suite->protocol == PROTOCOL_IKE;
    if (ike && (!suite->prf || (with_ke == PROPOSAL_WITH_KE && !suite->ke))) return false;
    if (!ike && !proposal_has_type(chosen_from, TRANSFORM_SN)) return false;
    if (suite->protocol == PROTOCOL_AH) return suite->integ != INTEG_NONE;
    if (!encr_info(suite->encr, suite->key_bits, &info)) return false;
    return info.aead == (suite->integ == INTEG_NONE);
}

static bool proposal_choose(struct choice *choice, uint16_t ke_preferred)
{
    static const uint8_t always[] = {TRANSFORM_ENCR, TRANSFORM_PRF, TRANSFORM_INTEG, TRANSFORM_SN};
    const struct proposal *offered = choice->offered;
    if (choice->mine->protocol != offered->protocol || !proposal_is_known(offered)) return false;
    choice->suite =
        (struct suite){.protocol = offered->protocol, .proposal_number = offered->number};
    choice->steps = SEARCH_STEPS_MAX;
    for (size_t i = 0; i < COUNT(always); i++)
        if (!type_choose(choice, always[i], 0)) return false;
    if (choice->with_ke == PROPOSAL_WITHOUT_KE)
        ke_leave(choice);
    else if (!type_choose(choice, TRANSFORM_KE, ke_preferred) ||
             !addke_choose(choice, TRANSFORM_ADDKE1))
        return false;
    return suite_is_sound(&choice->suite, offered, choice->with_ke);
}

enum fault proposals_choose(const struct proposals *mine, const struct proposals *offered,
                            enum proposal_ke with_ke, uint16_t ke_preferred, struct suite *suite,
                            size_t *offered_index)
{
    for (size_t i = 0; i < mine->count; i++) {
        for (size_t j = 0; j < offered->count; j++) {
            struct choice choice = {
                .mine = &mine->at[i], .offered = &offered->at[j], .with_ke = with_ke};
            if (!proposal_choose(&choice, ke_preferred)) continue;
            *suite = choice.suite;
            *offered_index = j;
            return OK;
        }
    }
    return FAULT_NO_PROPOSAL_CHOSEN;
}

// --- Checking what was chosen

// RFC 7296 3.3.1: the answer has the number of the proposal that it takes.
static bool proposal_by_number(const struct proposals *offered, uint8_t number, size_t *index)
{
    for (size_t i = 0; i < offered->count; i++) {
        size_t own = offered->at[i].number ? offered->at[i].number : i + 1;
        if (own != number) continue;
        *index = i;
        return true;
    }
    return false;
}

// One transform of a type at most, and each of them one of ours.
static bool answer_is_offered(const struct proposal *offered, const struct proposal *answer,
                              enum proposal_ke with_ke)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct transform at = answer->at[i];
        bool none = type_has_none(at.type) && at.id == 0 && at.key_bits == 0;
        for (size_t j = 0; j < i; j++)
            if (answer->at[j].type == at.type) return false;
        if (none && !proposal_has_type(offered, at.type)) continue;
        if (with_ke == PROPOSAL_WITHOUT_KE && type_is_ke(at.type)) {
            if (!none) return false;
            continue;
        }
        if (!proposal_has(offered, at)) return false;
    }
    return true;
}

// RFC 7296 3.3.6: the answer is a complete set: each type that was offered, unless NONE was.
static bool answer_is_complete(const struct proposal *offered, const struct proposal *answer,
                               enum proposal_ke with_ke)
{
    for (uint8_t type = TRANSFORM_ENCR; type < TYPES_END; type++) {
        if (with_ke == PROPOSAL_WITHOUT_KE && type_is_ke(type)) continue;
        if (!proposal_has_type(offered, type) || proposal_has_type(answer, type)) continue;
        if (!proposal_has_none(offered, type)) return false;
    }
    return true;
}

static bool addke_are_different(const struct suite *suite)
{
    for (uint8_t type = TRANSFORM_ADDKE1; type < TYPES_END; type++) {
        uint16_t id = suite->addke[type - TRANSFORM_ADDKE1];
        if (id && addke_is_used(suite, type, id)) return false;
    }
    return true;
}

enum fault proposals_accept(const struct proposals *offered, const struct proposals *answer,
                            enum proposal_ke with_ke, struct suite *suite, size_t *offered_index)
{
    const struct proposal *chosen = &answer->at[0];
    size_t index;
    if (answer->count != 1 || !proposal_is_known(chosen)) return FAULT_PROPOSAL_NOT_OFFERED;
    if (!proposal_by_number(offered, chosen->number, &index)) return FAULT_PROPOSAL_NOT_OFFERED;
    const struct proposal *ours = &offered->at[index];
    if (ours->protocol != chosen->protocol || !answer_is_offered(ours, chosen, with_ke) ||
        !answer_is_complete(ours, chosen, with_ke))
        return FAULT_PROPOSAL_NOT_OFFERED;

    struct suite agreed = {.protocol = chosen->protocol, .proposal_number = chosen->number};
    for (size_t i = 0; i < chosen->count; i++) suite_set(&agreed, chosen->at[i]);
    if (!suite_is_sound(&agreed, chosen, with_ke) || !addke_are_different(&agreed))
        return FAULT_PROPOSAL_NOT_OFFERED;
    *suite = agreed;
    *offered_index = index;
    return OK;
}

// --- The answer

static void answer_add(struct proposal *out, const struct suite *suite, uint8_t type, uint16_t id)
{
    bool none = suite->nones >> type & 1;
    if (type_has_none(type) && id == 0 && !none) return;
    uint16_t bits = type == TRANSFORM_ENCR ? suite->key_bits : 0;
    out->at[out->count++] = (struct transform){type, id, bits};
}

void suite_proposal(const struct suite *suite, struct proposal *out)
{
    *out = (struct proposal){.number = suite->proposal_number, .protocol = suite->protocol};
    bool ike = suite->protocol == PROTOCOL_IKE;
    if (suite->protocol != PROTOCOL_AH) answer_add(out, suite, TRANSFORM_ENCR, suite->encr);
    if (ike) answer_add(out, suite, TRANSFORM_PRF, suite->prf);
    answer_add(out, suite, TRANSFORM_INTEG, suite->integ);
    answer_add(out, suite, TRANSFORM_KE, suite->ke);
    if (!ike) answer_add(out, suite, TRANSFORM_SN, suite->sn);
    for (uint8_t i = 0; i < SUITE_ADDKE_MAX; i++)
        answer_add(out, suite, TRANSFORM_ADDKE1 + i, suite->addke[i]);
}
