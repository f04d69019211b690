// SPDX-License-Identifier: Apache-2.0

#include "steering.h"

#include "fwd_config.h"

#include <arpa/inet.h>

_Static_assert(FWD_MAX_WORKERS <= 64, "workers are bits of a word");

// 32 bits of the key from `bit` on.
static uint32_t window(const uint8_t *key, unsigned bit) {
	uint64_t bits = 0;

	for (unsigned i = 0; i < 5; i++)
		bits = bits << 8 | key[bit / 8 + i];
	return (uint32_t)(bits >> (8 - bit % 8));
}

static bool
fill_reta(struct steering *steering, const uint16_t *reta, size_t reta_size, unsigned n_workers) {
	uint64_t named = 0;

	steering->reta_size = (uint16_t)reta_size;
	for (size_t i = 0; i < reta_size; i++) {
		if (reta[i] >= n_workers)
			return false;
		steering->reta[i] = (uint8_t)reta[i];
		named |= 1ull << reta[i];
	}
	return (unsigned)__builtin_popcountll(named) == n_workers;
}

// Whether a local port can be found for every entry of the RETA: it may choose only the hash's part of the port.
static bool ports_reach_all_entries(const struct steering *steering) {
	static const struct ipv6_address any; // as good as every other
	uint64_t seen[STEERING_RETA_MAX / 64] = {0};
	unsigned count = 0;

	for (uint32_t port = FWD_LOCAL_PORT_MIN; port <= UINT16_MAX; port++) {
		uint32_t entry = steering_destination(steering, &any, htons((uint16_t)port))
			& (steering->reta_size - 1u);

		count += !(seen[entry / 64] >> entry % 64 & 1);
		seen[entry / 64] |= 1ull << entry % 64;
	}
	return count == steering->reta_size;
}

bool steering_init(
	struct steering *steering,
	const uint8_t *key,
	size_t key_size,
	const uint16_t *reta,
	size_t reta_size,
	unsigned n_workers,
	bool ipv6
) {
	unsigned input_size = ipv6 ? STEERING_INPUT_IPV6 : STEERING_INPUT_IPV4;

	if (key_size < input_size + sizeof(uint32_t) || reta_size == 0
	    || reta_size > STEERING_RETA_MAX || (reta_size & (reta_size - 1)) != 0)
		return false;
	for (unsigned byte = 0; byte < input_size; byte++) {
		for (unsigned value = 0; value < 256; value++) {
			uint32_t part = 0;

			for (unsigned bit = 0; bit < 8; bit++) {
				if (value & 0x80u >> bit)
					part ^= window(key, byte * 8 + bit);
			}
			steering->parts[byte][value] = part;
		}
	}
	steering->address_size = (uint8_t)(input_size / 2 - sizeof(uint16_t));
	return fill_reta(steering, reta, reta_size, n_workers) && ports_reach_all_entries(steering);
}

static uint32_t sum(const struct steering *steering, unsigned at, const void *data, unsigned size) {
	const uint8_t *bytes = data;
	uint32_t hash = 0;

	for (unsigned i = 0; i < size; i++)
		hash ^= steering->parts[at + i][bytes[i]];
	return hash;
}

uint32_t steering_source(const struct steering *steering, const void *address, uint16_t port) {
	unsigned size = steering->address_size;

	return sum(steering, 0, address, size) ^ sum(steering, 2 * size, &port, sizeof(port));
}

uint32_t steering_destination(const struct steering *steering, const void *address, uint16_t port) {
	unsigned size = steering->address_size;

	return sum(steering, size, address, size)
		^ sum(steering, 2 * size + sizeof(port), &port, sizeof(port));
}
