// SPDX-License-Identifier: Apache-2.0

// Which local addresses are ours while pods sync their sessions. The peers grant them: a pod has its own ones when it has all flows; those
// of a pod that is not there, or has not all flows, or leaves, go to the next pod that serves, by ordinals, the lowest after the
// highest. All pods come to the same answer while they hear each other; where they do not, the segment decides (claim.h). Replies to
// the flows of a dead pod so find one that has these flows. Why these times: docs/design/session_sync.md.

#pragma once

#include "claim.h"
#include "peers.h"

// Whoever begins to serve, or stood still, listens for so long before it probes: two of the peers' datagrams, and one of its own,
// so that a holder has let go when it is asked.
#define LOCAL_OWNER_SETTLE_MS 100

// Zeroed, then local_owner_init(). Written by worker 0, but for what others hear.
struct local_owner {
	const struct peer_table *peers;
	const struct claim_clock *clock;
	uint64_t settled_ms; // from then on
	uint32_t fence;      // of the clock, at the last look
	uint32_t served;     // a bit by ordinal: who served then, ourselves too
	uint32_t last_grant;
	uint32_t cursor; // address that is looked at next
	// By range: the addresses of this pod, of sync.peers[0], and so on; 0: not granted.
	_Atomic uint32_t grants[FWD_MAX_ORDINALS];
	// By index of the address, IPv4 and IPv6.
	struct claim claims[2][FWD_MAX_LOCAL_ADDRESSES];
};

void local_owner_init(
	struct local_owner *owner, const struct peer_table *peers, const struct claim_clock *clock
);

// Whether to answer for the `index`-th local address.
bool local_owner_is_ours(
	const struct local_owner *owner,
	const struct fwd_base *base,
	bool ipv6,
	uint16_t index,
	uint64_t now_ms
);

// Somebody with this MAC says that he has this address; `probes`: that he would like to have it. True when that is news.
bool local_owner_hear(
	struct local_owner *owner,
	const struct fwd_base *base,
	bool ipv6,
	uint16_t index,
	const uint8_t mac[6],
	bool probes
);

// How far the addresses of the pod with this ordinal are ours: the least of them counts, and a conflict before all.
enum claim_state
local_owner_state(const struct local_owner *owner, const struct fwd_base *base, unsigned ordinal);

// Whether we tell others of the flows of the pod with this ordinal: our own, and those of a pod whose addresses are granted to us, so that
// one pod does.
bool local_owner_holds(
	const struct local_owner *owner, const struct fwd_base *base, unsigned ordinal
);

// Looks at the next `count` addresses and writes the probes and announcements that are due. Returns how many. For worker 0, after
// the clock was kept.
unsigned local_owner_run(
	struct local_owner *owner,
	const struct fwd_base *base,
	uint64_t now_ms,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
);
