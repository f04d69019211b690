// SPDX-License-Identifier: Apache-2.0

// A frame as the core sees it, whatever shell carries it.

#pragma once

#include <stdint.h>

// Largest burst that worker_process() takes.
#define FWD_BURST_MAX 32
// Bytes that the buffer of every frame holds from `data` on, whatever `len` is: an answer may be longer than the packet,
// and so may a segment that something is added to.
#define FWD_FRAME_ROOM 1536
// A VLAN's tag; where a port has a VLAN, the buffer of every frame holds that much more, in front of `data` and at its end.
#define FWD_TAG_SIZE 4
// Frames that the core makes itself (ARP requests, neighbour solicitations) fit in this many bytes.
#define FWD_EMIT_SIZE (86 + FWD_TAG_SIZE)

enum fwd_verdict {
	FWD_DROP,
	FWD_TX,
	FWD_HAND_OVER, // to the worker `owner`, who has the flow; the packet is as it came, but for the priority in its tag
};

struct fwd_packet {
	// Set by the shell: start of the Ethernet header, writable. The core moves it where a port has a VLAN.
	uint8_t *data;
	uint16_t
		len; // set by the shell: bytes of the frame without FCS, contiguous; by the core in an answer
	uint8_t port_in;    // set by the shell
	uint8_t port_out;   // set by the core when verdict is FWD_TX
	uint8_t owner;      // set by the core when verdict is FWD_HAND_OVER
	uint8_t hand_overs; // set by the shell: how often a worker gave it to another
	uint8_t verdict;    // set by the core: enum fwd_verdict
	// Set by the core: enum drop_reason. Not DROP_NONE and FWD_TX: the packet ended, the frame is now our answer to it.
	uint8_t drop_reason;
};

// A frame made by the core.
struct fwd_emit {
	uint8_t data[FWD_EMIT_SIZE];
	uint16_t len;
	uint8_t port_out;
};
