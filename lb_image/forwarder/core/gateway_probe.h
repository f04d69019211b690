// SPDX-License-Identifier: Apache-2.0

// Whether the gateways answer. While somebody wants to know, each is asked for its MAC again and again, by unicast (RFC 1122,
// section 2.3.2.1; RFC 4861, section 7.3.3): a packet through the NIC and back, over the link that clients' packets come by.

#pragma once

#include "fwd_config.h"
#include "neighbour.h"
#include "packet.h"

#include <stdatomic.h>

#define GATEWAY_PROBE_MS 200
// Probing goes on for so long after it was last asked for.
#define GATEWAY_PROBE_WANTED_MS 2000

#define GATEWAY_NEVER UINT64_MAX

struct gateway_probe {
	_Atomic uint64_t wanted_until_ms; // written by the control thread
	// By family, IPv4 first, and port: the last answer, 0: none. Written by whichever worker receives it.
	_Atomic uint64_t heard_ms[2][FWD_MAX_PORTS];
	uint64_t sent_ms; // written by worker 0
};

// By the control thread: somebody wants to know.
void gateway_probe_want(struct gateway_probe *probe, uint64_t now_ms);

// Milliseconds since the gateway's last answer; GATEWAY_NEVER without one.
uint64_t
gateway_probe_silence(const struct gateway_probe *probe, bool ipv6, uint8_t port, uint64_t now_ms);

// An answer to us has come from this address, IPv4 mapped.
void gateway_probe_hear(
	struct gateway_probe *probe,
	const struct fwd_base *base,
	uint8_t port,
	const struct ipv6_address *address,
	uint64_t now_ms
);

// By worker 0: writes the requests that are due, to gateways whose MAC is known. `gateways`: indices in `neighbours`, by family and
// port. Returns how many were written.
unsigned gateway_probe_run(
	struct gateway_probe *probe,
	const struct fwd_base *base,
	const struct neighbour_table *neighbours,
	const uint16_t *const gateways[2],
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
);
