// SPDX-License-Identifier: Apache-2.0

// VLAN tags (IEEE 802.1Q) at the edge of the core: a port's tag is taken off before the core looks at a frame, and put on what leaves by
// such a port. So the core knows no tag, and frames of ports without a VLAN cost nothing for it.

#pragma once

#include "worker.h"

// worker_process() where a port has a VLAN.
void vlan_process(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
);

// Puts the tag of `port`, if it has a VLAN, on a frame that the core made, in a buffer with room for it. Returns the length then.
uint16_t vlan_tag(const struct fwd_base *base, uint8_t port, uint8_t *frame, uint16_t length);

// The same for several. Returns `count`.
unsigned vlan_tag_emitted(const struct fwd_base *base, struct fwd_emit *frames, unsigned count);

// Takes the tag off a frame of a port without a VLAN, where it gives a priority only; else the reason to drop the frame.
enum drop_reason vlan_drop_priority(struct fwd_packet *packet);
