// SPDX-License-Identifier: Apache-2.0
// What every fuzz target gives: libFuzzer calls it, and so does driver.c, which any compiler
// builds. It returns 0 for every input and aborts when something is wrong.
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
