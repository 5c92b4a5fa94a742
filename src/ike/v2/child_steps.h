// SPDX-License-Identifier: Apache-2.0
// Steps that creating a child and rekeying one have in common.
#pragma once
#include "ike/internal.h"

enum fault child_make_key(struct exchange *x); // x->child says for which proposals
enum fault child_heed(struct exchange *x, const struct step *make_key); // errors in the response
enum fault child_take_answer(struct exchange *x);
enum fault child_keys(struct exchange *x, struct secret *keymat);
enum fault child_read_request(struct exchange *x);
enum fault child_answer_nonce(struct exchange *x);
enum fault child_answer_first(struct exchange *x, const struct recipe *resume);
void child_answer_last(struct exchange *x); // writes the last answer of it
