// SPDX-License-Identifier: Apache-2.0

// A frame as the core sees it, whatever shell carries it.

#pragma once

#include <stdint.h>

// Largest burst that worker_process() takes.
#define FWD_BURST_MAX 32
// Frames that the core makes itself (ARP requests) fit in this many bytes.
#define FWD_EMIT_SIZE 60

enum fwd_verdict {
	FWD_DROP,
	FWD_TX,
};

struct fwd_packet {
	uint8_t *data;       // set by the shell: start of the Ethernet header, writable
	uint16_t len;        // set by the shell: bytes of the frame without FCS, contiguous
	uint8_t port_in;     // set by the shell
	uint8_t port_out;    // set by the core when verdict is FWD_TX
	uint8_t verdict;     // set by the core: enum fwd_verdict
	uint8_t drop_reason; // set by the core when verdict is FWD_DROP: enum drop_reason
};

// A frame made by the core.
struct fwd_emit {
	uint8_t data[FWD_EMIT_SIZE];
	uint16_t len;
	uint8_t port_out;
};
