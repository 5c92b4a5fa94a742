// SPDX-License-Identifier: Apache-2.0
// Distinguished names (X.501 Name): text to DER and back, comparison, matching.
#pragma once
#include "base/bytes.h"
#include "base/fault.h"
#include "base/wr.h"

// Reads "C=CH, O=Example, CN=host" or "/C=CH/O=Example/CN=host" and writes the DER. A value may be quoted or have characters
// escaped by a backslash (RFC 4514 2.4); a plus sign before another attribute makes an RDN of several values. Attributes are
// known names or dotted numbers; "#" and hexadecimal is a value's DER. Faults: DN_SYNTAX, NO_ROOM.
CHECKED enum fault dn_parse(struct bytes text, struct wr *out);
// Prints in the first form; what is no visible character is escaped. False, with out empty, when the DER is not a name,
// has no RDN, or the text does not fit.
bool dn_print(struct bytes der, char *out, size_t out_size);
// Equal RDN by RDN, regardless of the string type and of ASCII case. Names that cannot be read are equal byte by byte.
bool dn_equal(struct bytes a, struct bytes b);
// Writes bytes that are the same for names that are equal.
void dn_fold(struct bytes der, struct wr *out);
// Like dn_equal, but a value "*" in the pattern fits each; *wildcards counts how many did.
bool dn_matches(struct bytes pattern, struct bytes name, unsigned *wildcards);
