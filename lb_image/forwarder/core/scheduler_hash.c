// SPDX-License-Identifier: Apache-2.0

// sh and mh: weighted rendezvous hashing over a fixed number of places. A client's hash names a place; a place belongs to the
// backend with the best draw for it. A backend that goes takes only its own places with it, one that comes takes only its
// share, and nothing depends on the order of backends or on what was before.
// Sources: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998), and for weights the
// exponential race: the smallest of independent exponential draws falls to each in proportion to its rate. Why not Maglev's own table: docs/design/hashing.md.

#include "scheduler.h"

#include <arpa/inet.h>
#include <stdatomic.h>

#define LN2_Q32 2977044472u // ln 2 * 2^32

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input reaches every bit of the result.
static uint64_t mix(uint64_t x) {
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

// In host byte order, so that nodes of either order agree.
static uint64_t hash_of(const struct ipv6_address *address) {
	return mix(mix(ipv6_half(address->high)) ^ ipv6_half(address->low));
}

struct flow_key scheduler_key6(const struct flow_key6 *key) {
	return (struct flow_key){
		.client_address = htonl((uint32_t)(hash_of(key->client_address) >> 32)),
		.vip = htonl((uint32_t)(hash_of(key->vip) >> 32)),
		.client_port = key->client_port,
		.vip_port = key->vip_port,
		.protocol = key->protocol,
	};
}

static uint32_t place_of(const struct fwd_listener *listener, const struct flow_key *key) {
	uint64_t hash = mix(ntohl(key->client_address));

	if (listener->hash_connection)
		hash =
			mix(hash
			    ^ ((uint64_t)ntohl(key->vip) << 32
			       | (uint32_t)ntohs(key->client_port) << 16 | ntohs(key->vip_port)));
	return (uint32_t)(hash >> 32) % FWD_HASH_PLACES;
}

static uint32_t
draw(uint32_t place, const struct fwd_listener *listener, const struct fwd_backend *backend) {
	uint64_t name = listener->ipv6 ? hash_of(&backend->address6) + backend->port
				       : (uint64_t)backend->address << 16 | backend->port;

	return (uint32_t)(mix(mix(name) ^ place) >> 32);
}

// -ln((u + 1) / 2^32) * 2^32, in integers: floating point may differ in the last bit from one processor to the next.
// -ln(1 - v) = 2 atanh(v / (2 - v)), four terms: wrong by less than 2e-5 of itself.
static uint64_t negative_log(uint32_t u) {
	uint64_t x = (uint64_t)u + 1, v, z, z2, series;
	unsigned shift = 0;

	while (x < (1ull << 31)) {
		x <<= 1;
		shift++;
	}
	v = (1ull << 32) - x;
	z = (v << 32) / ((2ull << 32) - v);
	z2 = z * z >> 32;
	series = z2 / 7;
	series = (z2 * ((1ull << 32) / 5 + series)) >> 32;
	series = (z2 * ((1ull << 32) / 3 + series)) >> 32;
	return 2 * (z + (z * series >> 32)) + (uint64_t)shift * LN2_Q32;
}

// Index of the owner among those that `takes` says true of (NULL: all), SCHEDULER_NONE without one. Where all weights are alike the largest draw wins; else the smallest -ln(draw) / weight does, which
// gives each backend a part in proportion to its weight.
static inline __attribute__((always_inline)) uint32_t owner_of(
	const struct fwd_listener *listener,
	uint32_t place,
	scheduler_filter takes,
	const void *context
) {
	bool weighted = listener->weight_gcd != listener->weight_max;
	uint32_t best = SCHEDULER_NONE, best_draw = 0;
	uint64_t best_cost = 0;
	uint16_t best_weight = 0;

	for (uint32_t i = 0; i < listener->n_backends; i++) {
		const struct fwd_backend *backend = &listener->backends[i];
		uint32_t drawn = draw(place, listener, backend);
		uint64_t cost;

		if (backend->weight == 0 || (takes != NULL && !takes(context, backend)))
			continue;
		if (!weighted) {
			if (best_weight == 0 || drawn > best_draw)
				best = i, best_draw = drawn, best_weight = 1;
			continue;
		}
		cost = negative_log(drawn);
		if (best_weight == 0 || cost * best_weight < best_cost * backend->weight)
			best = i, best_cost = cost, best_weight = backend->weight;
	}
	return best;
}

// Found when first asked for: a new generation costs nothing where no client comes. Workers that look at once find the same.
uint32_t scheduler_pick_hashed(const struct fwd_listener *listener, const struct flow_key *key) {
	uint32_t place = place_of(listener, key), owner;
	_Atomic uint16_t *known = &listener->hash_places[place];
	uint16_t found = atomic_load_explicit(known, memory_order_relaxed);

	if (found != 0)
		return found - 1u;
	owner = owner_of(listener, place, NULL, NULL);
	atomic_store_explicit(known, (uint16_t)(owner + 1), memory_order_relaxed);
	return owner;
}

uint32_t scheduler_pick_hashed_among(
	const struct fwd_listener *listener,
	const struct flow_key *key,
	scheduler_filter takes,
	const void *context
) {
	return owner_of(listener, place_of(listener, key), takes, context);
}
