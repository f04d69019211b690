// SPDX-License-Identifier: Apache-2.0

// The beginning of the file in which flows outlive the process: what they depend on.

#pragma once

#include <fwd_config.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_BOOT_ID_SIZE 40

struct flow_header {
	uint64_t magic;
	uint32_t layout; // FLOW_LAYOUT of the writer
	uint32_t
		in_hand; // a process is making the tables that find the flows; outside the checksum
	uint64_t checksum;  // of all that follows
	uint64_t start_tsc; // the clock of the flows
	uint64_t tsc_per_ms;
	uint64_t size; // of the file
	char boot_id
		[FLOW_BOOT_ID_SIZE]; // of the kernel: another one has another time stamp counter
	uint32_t n_workers;
	uint32_t max_flows_per_worker;
	uint32_t steered[2];        // places are those of RSS; of IPv4, of IPv6
	uint32_t n_peers;           // of session sync
	uint32_t n_local_addresses; // of this pod and the peers
	uint32_t n_local_addresses6;
	uint32_t local_addresses[FWD_MAX_LOCAL_ADDRESSES];
	struct ipv6_address local_addresses6[FWD_MAX_LOCAL_ADDRESSES];
};

// The clock of a process that starts; one that adopts flows goes on with theirs.
struct flow_clock {
	uint64_t start_tsc;
	uint64_t tsc_per_ms;
};

// What a process of this layout writes for `base` and a file of `size` bytes.
void flow_header_make(
	struct flow_header *header,
	const struct fwd_base *base,
	const struct flow_clock *clock,
	const char *boot_id,
	uint64_t size
);

// Whether a process that would write `wanted` may take over the flows behind `found`; else with the field and both values in `why`.
bool flow_header_fits(
	const struct flow_header *found, const struct flow_header *wanted, char *why, size_t size
);
