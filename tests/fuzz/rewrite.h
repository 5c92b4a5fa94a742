// SPDX-License-Identifier: Apache-2.0
// Payload bodies read and written back: what the unit tests and the fuzz targets of messages hold
// against every input.
#pragma once
#include "wire/payload.h"

// Reads a body as its type wants it and writes what was understood. A body of which nothing is
// understood (selectors of unknown types only) writes nothing. Types without a form are copied.
CHECKED enum fault body_rewrite(uint8_t type, struct bytes body, struct wr *out);

// NULL, or what is wrong with how this body was read: what is written back must not be longer than
// what came, must be read again without a fault, and must then be written to the same bytes.
const char *body_complaint(uint8_t type, struct bytes body);
