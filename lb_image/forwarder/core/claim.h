// SPDX-License-Identifier: Apache-2.0

// Who owns an address on its segment: only the owner answers ARP and neighbour solicitations for it, and announces it. Somebody grants
// the address to this process (vip.h: the configuration; local_owner.h: the peers); the segment confirms: before it is ours we
// probe for it (RFC 5227, section 2.1; RFC 4862, section 5.4), and do not take it while anybody answers. A grant has no expiry.
// Why so, and why these times: docs/design/l2.md.

#pragma once

#include "fwd_config.h"
#include "packet.h"

#include <stdatomic.h>

#define CLAIM_PROBES 3
#define CLAIM_PROBE_INTERVAL_MS 100
// Somebody else has it: so long until it is probed for again.
#define CLAIM_CONFLICT_WAIT_MS 1000
// Announcements after it has become ours, and from then on: caches are refreshed, and two owners would hear of each other.
#define CLAIM_ANNOUNCE_ROUNDS 3
#define CLAIM_ANNOUNCE_INTERVAL_MS 1000
#define CLAIM_REFRESH_INTERVAL_MS 10000
// RFC 5227, section 2.4: one answer to a claim in so long, the next claim makes us yield.
#define CLAIM_DEFEND_INTERVAL_MS 10000
// Who was not there for so long cannot know whether another has probed in vain meanwhile: that takes 300 ms, and we must have
// noticed before.
#define CLAIM_STANDSTILL_MS 200

enum claim_state {
	CLAIM_STANDBY, // not granted
	CLAIM_PROBING,
	CLAIM_OWNER,
	CLAIM_CONFLICT, // granted, but somebody else has it
	CLAIM_STATES,
};

// Of all addresses of this process.
struct claim_clock {
	// Written by worker 0: when it last looked after the addresses. Others answer for none when that is too long ago.
	_Atomic uint64_t kept_ms;
	_Atomic uint32_t fence; // states of another fence are void
};

// Of one grant. Written by worker 0 only, but for `heard`; `word` and `other` are read by all, and by the control thread.
struct claim {
	_Atomic uint64_t word; // grant, fence and state
	_Atomic uint64_t
		heard; // MAC of another who claims it, by whichever worker heard him; 0: nobody
	_Atomic uint64_t other; // MAC of who has it while we are in CLAIM_CONFLICT; 0: nobody
	uint64_t due_ms;        // of the next probe or announcement
	uint64_t defended_ms;   // when we last answered a claim; 0: never
	uint8_t sent;           // probes, or announcements up to CLAIM_ANNOUNCE_ROUNDS
};

// What is known of an address; `other` is the MAC of who has it, all zeroes: nobody.
struct claim_view {
	enum claim_state state;
	uint8_t other[6];
};

const char *claim_state_name(enum claim_state state);

// `grant`: of the address, 1 and up. A grant that nobody has looked at yet is probed for.
struct claim_view
claim_read(const struct claim *claim, const struct claim_clock *clock, uint32_t grant);

// Whether to answer for the address.
bool claim_is_ours(
	const struct claim *claim, const struct claim_clock *clock, uint32_t grant, uint64_t now_ms
);

// Somebody with this MAC says that he has the address; `probes`: that he would like to have it. True when that is news for whoever
// decides.
bool claim_hear(
	struct claim *claim,
	const struct claim_clock *clock,
	uint32_t grant,
	const struct fwd_base *base,
	uint8_t port,
	const uint8_t mac[6],
	bool probes
);

// Where the address is ours it is announced as often as when it had just become so: somebody else may have had it, too. For worker 0.
void claim_renew(struct claim *claim, const struct claim_clock *clock, uint32_t grant);

// The clock runs on. For worker 0, before it looks after the addresses.
void claim_clock_keep(struct claim_clock *clock, uint64_t now_ms);

// A look at one address.
struct claim_turn {
	struct claim *claim;
	const struct claim_clock *clock;
	const struct fwd_base *base;
	struct ipv6_address address; // IPv4 mapped
	uint32_t grant;
	uint8_t port; // of its segment
	uint64_t now_ms;
};

// Writes the probe or announcement that is due. Returns how many, 0 or 1. For worker 0, about every millisecond.
unsigned claim_run(const struct claim_turn *turn, struct fwd_emit *out);
