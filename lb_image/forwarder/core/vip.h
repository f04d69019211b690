// SPDX-License-Identifier: Apache-2.0

// Which VIPs are ours: the configuration grants a VIP to this process (a listener with `arp`), and claim.h says how it becomes ours.

#pragma once

#include "claim.h"

struct vip_table {
	struct claim_clock clock;
	// Written by the control thread: the first port has no link. Nothing is probed for or owned meanwhile.
	atomic_bool cut_off;
	uint32_t cursor; // listener slot that is looked at next
	struct claim entries[FWD_MAX_GRANTS];
};

// The listener must be what fwd_config_vip() or fwd_config_vip6() found.
struct claim_view vip_read(
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
