// SPDX-License-Identifier: Apache-2.0

// What a worker did with each packet of the flows that somebody watches. A worker without a trace asks once a burst whether
// it has one.

#pragma once

#include "flow_pattern.h"
#include "packet.h"

#include <stddef.h>

// Of each worker the newest; one fewer are sure, since the worker may be writing over the oldest while it is read.
#define TRACE_RECORDS 512

// The ends of a packet: addresses with IPv4 mapped, ports in host byte order and 0 where there are none.
struct trace_ends {
	struct ipv6_address src, dst;
	uint16_t src_port, dst_port;
	uint32_t seq, ack; // TCP
	uint16_t length;   // of the datagram, bytes
	uint8_t protocol;
	uint8_t tcp_flags;
	bool is_later_fragment; // without ports
};

struct trace_record {
	uint64_t time_ms;
	struct trace_ends in; // as it came
	struct trace_ends
		out; // as it left: the packet or our answer to it; `length` 0: nothing left
	bool is_of_backend;
	uint8_t port_in;
	uint8_t port_out;    // with FWD_TX
	uint8_t owner;       // with FWD_HAND_OVER
	uint8_t verdict;     // enum fwd_verdict
	uint8_t drop_reason; // enum drop_reason; with FWD_TX: what the answer is to
};

// Zeroed but for `pattern` and `until_ms`, which are fixed before the worker sees it; the rest is written by the worker.
struct trace {
	struct flow_pattern pattern;
	uint64_t until_ms; // nothing is recorded from then on
	uint64_t written;  // records so far; record n is at n % TRACE_RECORDS
	bool is_wanted[FWD_BURST_MAX];
	struct trace_record burst[FWD_BURST_MAX]; // the one in work
	struct trace_record records[TRACE_RECORDS];
};

struct fwd_worker;

// To be called before the packets of a burst are touched, and when their verdicts are known.
void trace_before(
	const struct fwd_worker *worker,
	struct trace *trace,
	const struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
);
void trace_after(struct trace *trace, const struct fwd_packet *packets, unsigned count);

// Copies what is kept, oldest first, to `out` of TRACE_RECORDS entries and returns their number. May be called from another
// thread: a record that is overwritten meanwhile is left out. `lost`: those that are kept no more.
size_t trace_read(const struct trace *trace, struct trace_record *out, uint64_t *lost);
