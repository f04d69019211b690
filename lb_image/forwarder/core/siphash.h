// SPDX-License-Identifier: Apache-2.0

// SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): a MAC of 64 bits.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], const void *data, size_t length);
