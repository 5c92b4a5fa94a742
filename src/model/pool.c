// SPDX-License-Identifier: Apache-2.0
#include "model/pool.h"

bool domain_name_is_good(struct bytes name)
{
    if (!name.size || name.size > DOMAIN_NAME_MAX) return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.at[i];
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'z', digit = c >= '0' && c <= '9';
        bool inside = i > 0 && (c == '-' || (c == '.' && name.at[i - 1] != '.'));
        if (!letter && !digit && c != '_' && !inside) return false;
    }
    return true;
}
