// SPDX-License-Identifier: Apache-2.0

#include "claim.h"

#include "arp_request.h"
#include "nd_make.h"

#include <string.h>

#define FENCE_MASK 0xffffffu

static uint64_t word_of(const struct claim_clock *clock, uint32_t grant, enum claim_state state) {
	uint32_t fence = atomic_load_explicit(&clock->fence, memory_order_relaxed) & FENCE_MASK;

	return (uint64_t)grant << 32 | fence << 8 | state;
}

// True when the word is of this grant, and of the present fence.
static bool holds(const struct claim_clock *clock, uint64_t word, uint32_t grant) {
	return (word ^ word_of(clock, grant, 0)) >> 8 == 0;
}

static enum claim_state state_of(uint64_t word) {
	return word & 0xff;
}

static uint64_t mac_number(const uint8_t mac[ETHER_ADDR_SIZE]) {
	uint64_t number = 0;

	for (unsigned i = 0; i < ETHER_ADDR_SIZE; i++)
		number = number << 8 | mac[i];
	return number;
}

const char *claim_state_name(enum claim_state state) {
	static const char *const names[] = {
		[CLAIM_STANDBY] = "standby",
		[CLAIM_PROBING] = "probing",
		[CLAIM_OWNER] = "owner",
		[CLAIM_CONFLICT] = "conflict",
	};

	return names[state];
}

static enum claim_state
read_state(const struct claim *claim, const struct claim_clock *clock, uint32_t grant) {
	uint64_t word = atomic_load_explicit(&claim->word, memory_order_acquire);

	return holds(clock, word, grant) ? state_of(word) : CLAIM_PROBING;
}

struct claim_view
claim_read(const struct claim *claim, const struct claim_clock *clock, uint32_t grant) {
	uint64_t other = atomic_load_explicit(&claim->other, memory_order_relaxed);
	struct claim_view view = {.state = read_state(claim, clock, grant)};

	for (unsigned i = ETHER_ADDR_SIZE; i-- > 0 && view.state == CLAIM_CONFLICT; other >>= 8)
		view.other[i] = (uint8_t)other;
	return view;
}

// What came while everything stood still waits in the receive queue: whoever takes it sees that nobody has looked after the
// address, even if worker 0 has not seen it yet.
bool claim_is_ours(
	const struct claim *claim, const struct claim_clock *clock, uint32_t grant, uint64_t now_ms
) {
	uint64_t kept_ms = atomic_load_explicit(&clock->kept_ms, memory_order_acquire);

	// The clocks of two workers differ by about a millisecond, either way.
	return (int64_t)(now_ms - kept_ms) <= CLAIM_STANDSTILL_MS
		&& atomic_load_explicit(&claim->word, memory_order_acquire)
		== word_of(clock, grant, CLAIM_OWNER);
}

static bool is_own_mac(const struct fwd_base *base, const uint8_t mac[ETHER_ADDR_SIZE]) {
	for (unsigned i = 0; i < base->n_ports; i++) {
		if (memcmp(base->ports[i].mac, mac, ETHER_ADDR_SIZE) == 0)
			return true;
	}
	return false;
}

bool claim_hear(
	struct claim *claim,
	const struct claim_clock *clock,
	uint32_t grant,
	const struct fwd_base *base,
	uint8_t port,
	const uint8_t mac[ETHER_ADDR_SIZE],
	bool probes
) {
	// A switch may send our own frames back.
	if (is_own_mac(base, mac))
		return false;
	// An owner answers a probe. Of two that probe, the one with the lower MAC goes on: both would wait for ever, or both take it.
	if (probes
	    && (read_state(claim, clock, grant) == CLAIM_OWNER
		|| mac_number(base->ports[port].mac) < mac_number(mac)))
		return false;
	atomic_store_explicit(&claim->heard, mac_number(mac), memory_order_release);
	return true;
}

static void set_state(const struct claim_turn *turn, enum claim_state state) {
	atomic_store_explicit(
		&turn->claim->word, word_of(turn->clock, turn->grant, state), memory_order_release
	);
}

static unsigned probe(const struct claim_turn *turn, struct fwd_emit *out) {
	const struct fwd_port *port = &turn->base->ports[turn->port];

	if (ipv6_is_mapped(&turn->address))
		arp_request_make(port, 0, ipv6_to_ipv4(&turn->address), out);
	else
		nd_probe_make(port, &turn->address, out);
	out->port_out = turn->port;
	return 1;
}

static unsigned announce(const struct claim_turn *turn, struct fwd_emit *out) {
	const struct fwd_port *port = &turn->base->ports[turn->port];
	uint32_t ipv4 = ipv6_to_ipv4(&turn->address);

	if (ipv6_is_mapped(&turn->address))
		arp_request_make(port, ipv4, ipv4, out);
	else
		nd_announcement_make(port, &turn->address, out);
	out->port_out = turn->port;
	return 1;
}

static void yield_to(const struct claim_turn *turn, uint64_t other) {
	atomic_store_explicit(&turn->claim->other, other, memory_order_relaxed);
	turn->claim->sent = 0;
	turn->claim->due_ms = turn->now_ms + CLAIM_CONFLICT_WAIT_MS;
	set_state(turn, CLAIM_CONFLICT);
}

static unsigned own(const struct claim_turn *turn, uint64_t heard, struct fwd_emit *out) {
	struct claim *claim = turn->claim;

	if (heard != 0 && claim->defended_ms != 0
	    && turn->now_ms - claim->defended_ms < CLAIM_DEFEND_INTERVAL_MS) {
		yield_to(turn, heard);
		return 0;
	}
	if (heard != 0)
		claim->defended_ms = turn->now_ms;
	else if (turn->now_ms < claim->due_ms)
		return 0;
	if (claim->sent < CLAIM_ANNOUNCE_ROUNDS)
		claim->sent++;
	claim->due_ms = turn->now_ms
		+ (claim->sent < CLAIM_ANNOUNCE_ROUNDS ? CLAIM_ANNOUNCE_INTERVAL_MS
						       : CLAIM_REFRESH_INTERVAL_MS);
	return announce(turn, out);
}

// CLAIM_CONFLICT is probing after a pause.
static unsigned seek(const struct claim_turn *turn, uint64_t heard, struct fwd_emit *out) {
	struct claim *claim = turn->claim;

	if (heard != 0) {
		yield_to(turn, heard);
		return 0;
	}
	if (turn->now_ms < claim->due_ms)
		return 0;
	if (claim->sent < CLAIM_PROBES) {
		claim->sent++;
		claim->due_ms = turn->now_ms + CLAIM_PROBE_INTERVAL_MS;
		return probe(turn, out);
	}
	claim->sent = 0;
	claim->defended_ms = 0;
	set_state(turn, CLAIM_OWNER);
	return own(turn, 0, out);
}

void claim_renew(struct claim *claim, const struct claim_clock *clock, uint32_t grant) {
	if (read_state(claim, clock, grant) != CLAIM_OWNER)
		return;
	claim->sent = 0;
	claim->due_ms = 0;
}

unsigned claim_run(const struct claim_turn *turn, struct fwd_emit *out) {
	struct claim *claim = turn->claim;
	uint64_t word = atomic_load_explicit(&claim->word, memory_order_relaxed);
	uint64_t heard;

	if (!holds(turn->clock, word, turn->grant)) {
		claim->sent = 0;
		claim->due_ms = turn->now_ms;
		set_state(turn, CLAIM_PROBING);
		atomic_store_explicit(&claim->heard, 0, memory_order_relaxed);
		return seek(turn, 0, out);
	}
	heard = atomic_exchange_explicit(&claim->heard, 0, memory_order_acquire);
	return state_of(word) == CLAIM_OWNER ? own(turn, heard, out) : seek(turn, heard, out);
}

// Void before anybody may see that we are here again.
void claim_clock_keep(struct claim_clock *clock, uint64_t now_ms) {
	uint64_t kept_ms = atomic_load_explicit(&clock->kept_ms, memory_order_relaxed);

	if ((int64_t)(now_ms - kept_ms) > CLAIM_STANDSTILL_MS)
		atomic_fetch_add_explicit(&clock->fence, 1, memory_order_release);
	atomic_store_explicit(&clock->kept_ms, now_ms, memory_order_release);
}
