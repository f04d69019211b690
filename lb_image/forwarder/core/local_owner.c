// SPDX-License-Identifier: Apache-2.0

#include "local_owner.h"

#include "headers.h"

#define NOT_GRANTED 0u

void local_owner_init(
	struct local_owner *owner, const struct peer_table *peers, const struct claim_clock *clock
) {
	owner->peers = peers;
	owner->clock = clock;
}

static unsigned ordinal_of(const struct fwd_base *base, unsigned range) {
	return range == 0 ? base->sync.ordinal : base->sync.peers[range - 1].ordinal;
}

static unsigned range_of(const struct fwd_base *base, unsigned ordinal) {
	unsigned range = 0;

	while (range <= base->sync.n_peers && ordinal_of(base, range) != ordinal)
		range++;
	return range;
}

static uint32_t
grant_of(const struct local_owner *owner, const struct fwd_base *base, bool ipv6, unsigned index) {
	unsigned range = index / fwd_own_local_addresses(base, ipv6);

	return atomic_load_explicit(&owner->grants[range], memory_order_acquire);
}

bool local_owner_is_ours(
	const struct local_owner *owner,
	const struct fwd_base *base,
	bool ipv6,
	uint16_t index,
	uint64_t now_ms
) {
	uint32_t grant = grant_of(owner, base, ipv6, index);

	return grant != NOT_GRANTED && !atomic_load(&owner->peers->leaving)
		&& claim_is_ours(&owner->claims[ipv6][index], owner->clock, grant, now_ms);
}

bool local_owner_hear(
	struct local_owner *owner,
	const struct fwd_base *base,
	bool ipv6,
	uint16_t index,
	const uint8_t mac[ETHER_ADDR_SIZE],
	bool probes
) {
	uint32_t grant = grant_of(owner, base, ipv6, index);
	uint8_t port = fwd_base_local_port(base, ipv6, index);

	return grant != NOT_GRANTED
		&& claim_hear(
			&owner->claims[ipv6][index], owner->clock, grant, base, port, mac, probes
		);
}

struct tally {
	unsigned states[CLAIM_STATES];
};

static struct tally
count_states(const struct local_owner *owner, const struct fwd_base *base, unsigned range) {
	uint32_t grant = atomic_load_explicit(&owner->grants[range], memory_order_acquire);
	struct tally tally = {0};

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		unsigned count = fwd_own_local_addresses(base, ipv6);

		for (unsigned i = range * count; i < (range + 1) * count; i++) {
			const struct claim *claim = &owner->claims[ipv6][i];

			tally.states[claim_read(claim, owner->clock, grant).state]++;
		}
	}
	return tally;
}

enum claim_state
local_owner_state(const struct local_owner *owner, const struct fwd_base *base, unsigned ordinal) {
	unsigned range = range_of(base, ordinal);
	struct tally tally;

	if (range > base->sync.n_peers || atomic_load(&owner->grants[range]) == NOT_GRANTED)
		return CLAIM_STANDBY;
	tally = count_states(owner, base, range);
	if (tally.states[CLAIM_CONFLICT] > 0)
		return CLAIM_CONFLICT;
	return tally.states[CLAIM_PROBING] > 0 ? CLAIM_PROBING : CLAIM_OWNER;
}

bool local_owner_holds(
	const struct local_owner *owner, const struct fwd_base *base, unsigned ordinal
) {
	unsigned range = range_of(base, ordinal);

	return range == 0
		|| (range <= base->sync.n_peers && atomic_load(&owner->grants[range]) != NOT_GRANTED
		);
}

// A bit by ordinal.
static uint32_t
who_serves(const struct local_owner *owner, const struct fwd_base *base, uint64_t now_ms) {
	uint32_t serving = 0;

	for (unsigned i = 0; i < base->sync.n_peers; i++) {
		unsigned ordinal = base->sync.peers[i].ordinal;

		serving |= (uint32_t)peers_serves(owner->peers, ordinal, now_ms) << ordinal;
	}
	return serving;
}

// Of those that serve: the pod itself, else the next one.
static unsigned grantee(uint32_t serving, unsigned ordinal) {
	uint32_t from = serving >> ordinal << ordinal;

	return (unsigned)__builtin_ctz(from != 0 ? from : serving);
}

// A peer that is here again may have thought that we are gone, and have what is ours: others shall know whose it is.
static void renew(struct local_owner *owner, const struct fwd_base *base) {
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		for (uint16_t i = 0; i < fwd_all_local_addresses(base, ipv6); i++) {
			uint32_t grant = grant_of(owner, base, ipv6, i);

			if (grant != NOT_GRANTED)
				claim_renew(&owner->claims[ipv6][i], owner->clock, grant);
		}
	}
}

static void grant(struct local_owner *owner, const struct fwd_base *base, uint32_t serving) {
	uint32_t own = 1u << base->sync.ordinal;

	for (unsigned range = 0; range <= base->sync.n_peers; range++) {
		bool ours = (serving & own)
			&& grantee(serving, ordinal_of(base, range)) == base->sync.ordinal;
		bool was = atomic_load(&owner->grants[range]) != NOT_GRANTED;

		if (ours && !was && ++owner->last_grant == NOT_GRANTED)
			owner->last_grant++;
		if (ours != was)
			atomic_store_explicit(
				&owner->grants[range],
				ours ? owner->last_grant : NOT_GRANTED,
				memory_order_release
			);
	}
}

static void regrant(struct local_owner *owner, const struct fwd_base *base, uint64_t now_ms) {
	uint32_t fence = atomic_load_explicit(&owner->clock->fence, memory_order_relaxed);
	uint32_t serving = who_serves(owner, base, now_ms);

	if (fence != owner->fence || !peers_we_serve(owner->peers))
		owner->settled_ms = now_ms + LOCAL_OWNER_SETTLE_MS;
	owner->fence = fence;
	if (now_ms >= owner->settled_ms)
		serving |= 1u << base->sync.ordinal;
	if (serving == owner->served)
		return;
	grant(owner, base, serving);
	if (serving & ~owner->served)
		renew(owner, base);
	owner->served = serving;
}

static unsigned look_after(
	struct local_owner *owner,
	const struct fwd_base *base,
	uint32_t at,
	uint64_t now_ms,
	struct fwd_emit *out
) {
	bool ipv6 = at >= fwd_all_local_addresses(base, false);
	uint16_t index = (uint16_t)(at - (ipv6 ? fwd_all_local_addresses(base, false) : 0));
	struct claim_turn turn = {
		.claim = &owner->claims[ipv6][index],
		.clock = owner->clock,
		.base = base,
		.grant = grant_of(owner, base, ipv6, index),
		.now_ms = now_ms,
	};

	if (turn.grant == NOT_GRANTED)
		return 0;
	turn.port = fwd_base_local_port(base, ipv6, index);
	turn.address =
		ipv6 ? base->local_addresses6[index] : ipv6_mapped(base->local_addresses[index]);
	return claim_run(&turn, out);
}

unsigned local_owner_run(
	struct local_owner *owner,
	const struct fwd_base *base,
	uint64_t now_ms,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
) {
	uint32_t end = fwd_all_local_addresses(base, false)
		+ (uint32_t)fwd_all_local_addresses(base, true);
	unsigned made = 0;

	// Nobody keeps it while the port has no link.
	if (atomic_load_explicit(&owner->clock->kept_ms, memory_order_relaxed) != now_ms)
		return 0;
	regrant(owner, base, now_ms);
	if (count > end)
		count = end;
	for (; count > 0 && made < max; count--) {
		if (owner->cursor >= end)
			owner->cursor = 0;
		made += look_after(owner, base, owner->cursor++, now_ms, &out[made]);
	}
	return made;
}
