// SPDX-License-Identifier: Apache-2.0

// Who owns a VIP on the segment: only the owner answers ARP and neighbour solicitations for it, and announces it. The
// configuration grants a VIP to this process (a listener with `arp`); the segment confirms: before a VIP is ours we probe
// for it (RFC 5227, section 2.1; RFC 4862, section 5.4), and do not take it while anybody answers. A grant has no expiry.
// Why so, and why these times: docs/design/l2.md.

#pragma once

#include "fwd_config.h"
#include "packet.h"

#include <stdatomic.h>

#define VIP_PROBES 3
#define VIP_PROBE_INTERVAL_MS 100
// Somebody else has it: so long until it is probed for again.
#define VIP_CONFLICT_WAIT_MS 1000
// Announcements after it has become ours, and from then on: caches are refreshed, and two owners would hear of each other.
#define VIP_ANNOUNCE_ROUNDS 3
#define VIP_ANNOUNCE_INTERVAL_MS 1000
#define VIP_REFRESH_INTERVAL_MS 10000
// RFC 5227, section 2.4: one answer to a claim in so long, the next claim makes us yield.
#define VIP_DEFEND_INTERVAL_MS 10000
// Who was not there for so long cannot know whether another has probed in vain meanwhile: that takes 300 ms, and we must have
// noticed before.
#define VIP_STANDSTILL_MS 200

enum vip_state {
	VIP_STANDBY, // not granted
	VIP_PROBING,
	VIP_OWNER,
	VIP_CONFLICT, // granted, but somebody else has it
	VIP_STATES,
};

// Of one grant. Written by worker 0 only, but for `heard`; `word` and `other` are read by all, and by the control thread.
struct vip_entry {
	_Atomic uint64_t word; // grant, fence and state
	_Atomic uint64_t
		heard; // MAC of another who claims it, by whichever worker heard him; 0: nobody
	_Atomic uint64_t other; // MAC of who has it while we are in VIP_CONFLICT; 0: nobody
	uint64_t due_ms;        // of the next probe or announcement
	uint64_t defended_ms;   // when we last answered a claim; 0: never
	uint8_t sent;           // probes, or announcements up to VIP_ANNOUNCE_ROUNDS
};

struct vip_table {
	// Written by worker 0: when it last looked after the table. Others answer for no VIP when that is too long ago.
	_Atomic uint64_t kept_ms;
	_Atomic uint32_t fence; // states of another fence are void
	// Written by the control thread: the first port has no link. Nothing is probed for or owned meanwhile.
	atomic_bool cut_off;
	uint32_t cursor; // listener slot that is looked at next
	struct vip_entry entries[FWD_MAX_GRANTS];
};

// What is known of a VIP; `other` is the MAC of who has it, all zeroes: nobody.
struct vip_view {
	enum vip_state state;
	uint8_t other[6];
};

const char *vip_state_name(enum vip_state state);

// The listener must be what fwd_config_vip() or fwd_config_vip6() found.
struct vip_view vip_read(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener
);

// Whether to answer for the VIP of such a listener.
bool vip_is_ours(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener,
	uint64_t now_ms
);

// Somebody with this MAC says that he has the VIP of such a listener; `probes`: that he would like to have it. True when that
// is news for whoever decides.
bool vip_hear(
	struct vip_table *table,
	const struct fwd_base *base,
	const struct fwd_config *config,
	const struct fwd_listener *listener,
	const uint8_t mac[6],
	bool probes
);

// Looks at the VIPs of the next `count` listener slots and writes the probes and announcements that are due. Returns how
// many. For worker 0, about every millisecond.
unsigned
vip_run(struct vip_table *table,
	const struct fwd_base *base,
	const struct fwd_config *config,
	uint64_t now_ms,
	unsigned count,
	struct fwd_emit *out,
	unsigned max);
