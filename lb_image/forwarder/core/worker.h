// SPDX-License-Identifier: Apache-2.0

// One worker: shared-nothing but for the neighbour table. Its thread calls worker_process() and worker_housekeeping(); the
// control thread may read the counters and flows at any time and sees each field old or new.

#pragma once

#include "announce.h"
#include "drop_reason.h"
#include "flow_table.h"
#include "fragment.h"
#include "half_open.h"
#include "fwd_config.h"
#include "neighbour.h"
#include "packet.h"
#include "scheduler.h"
#include "sync.h"
#include "trace.h"
#include "worker_group.h"

// Written by the worker only.
struct listener_counters {
	uint64_t packets_in;  // from clients, sent on
	uint64_t bytes_in;    // of their datagrams
	uint64_t packets_out; // to clients
	uint64_t bytes_out;
	// A line of its own: other workers look at it, but not for every packet.
	uint64_t connections __attribute__((aligned(64))); // flows made
	uint64_t active_flows;
	uint64_t closed_flows; // of the active ones, those in state FLOW_TCP_CLOSED
	struct scheduler_state scheduler;
};

// Written by the worker only; `rx`, `tx` and TX_FULL drops by the shell, on the worker's thread.
struct worker_counters {
	uint64_t rx_packets;
	uint64_t tx_packets;
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t resets_sent;
	uint64_t icmp_errors_sent;
	uint64_t half_open_evicted;
	uint64_t client_address_omitted; // segments that had no room for it
	// By slot, the last one is of those that were gone before their flows were adopted.
	struct listener_counters listeners[FWD_MAX_LISTENERS + 1];
	struct backend_counters backends[FWD_MAX_BACKEND_SLOTS + 1];
};

// Our own addresses by value, for the first look at a packet. Open-addressed, at most half full.
#define ADDRESS_TABLE_SIZE 1024
_Static_assert(
	ADDRESS_TABLE_SIZE >= 2 * (FWD_MAX_LOCAL_ADDRESSES + FWD_MAX_PORTS), "at most half full"
);

struct own_address {
	uint32_t address;     // network byte order
	uint16_t local_index; // of the local address; FWD_NO_SLOT: a port's own address
	uint8_t port;
	bool used;
};

struct own_address6 {
	struct ipv6_address address;
	struct own_address own; // its address is not used
};

// So many a second, and no more.
struct second_budget {
	uint32_t second;
	uint32_t left; // in that second
};

struct fwd_worker {
	const struct fwd_base *base;
	struct neighbour_table *neighbours;
	struct worker_group *group;
	uint16_t index;
	uint16_t neighbour_cursor;
	uint16_t
		prefetch_slot; // next listener whose on-link backends are resolved ahead of traffic
	uint32_t prefetch_backend; // the next one of that listener
	uint32_t sweep_step;
	uint32_t now_s;                   // of the present burst
	uint64_t now_ms;                  // of the present burst
	struct second_budget icmp_errors; // that it may still send
	struct second_budget
		errors_passed;  // to the next worker, because nobody knows whose they are
	uint32_t sweep_began_s; // the present look at all flows
	uint64_t needed[NEIGHBOUR_MAX / 64]; // neighbours that it has found in use so far
	struct flow_table flows;
	struct flow_table flows6; // of IPv6
	bool sweeps_flows6;       // the present look is at these
	struct own_address own[ADDRESS_TABLE_SIZE];
	struct own_address6 own6[ADDRESS_TABLE_SIZE];
	uint16_t gateways
		[FWD_MAX_PORTS]; // neighbour index of each port's gateway, NEIGHBOUR_NONE: none
	uint16_t gateways6[FWD_MAX_PORTS];
	struct announce announce; // of worker 0
	struct fragment_table fragments;
	struct half_open half_open[2]; // of IPv4, of IPv6
	struct client_table clients;   // value: open connections; other workers read it
	struct sync *sync;             // of worker 0; NULL: without session sync
	struct trace
		*trace; // NULL: none; set at any time by the control thread, see worker_set_trace()
	struct worker_counters counters;
};

// Bytes for a worker, aligned to 64, and for its flows, which may outlive it.
size_t worker_memory_size(const struct fwd_base *base);
size_t worker_flows_size(const struct fwd_base *base);

// Makes a worker in zeroed, 64-byte aligned memory of worker_memory_size(); its `flows`, of worker_flows_size(), are zeroed or what a worker
// of an equal base left, which worker_adopt() must then take. Never fails. `seed` keys the hash of the flow
// table; the choice of local ports does not depend on it. The worker joins `group`.
struct fwd_worker *worker_init(
	void *memory,
	void *flows,
	const struct fwd_base *base,
	struct neighbour_table *neighbours,
	struct worker_group *group,
	unsigned index,
	uint64_t seed
);

// Handles a burst of at most FWD_BURST_MAX frames: fills port_out, verdict and drop_reason of each, rewrites those to be
// sent, counts drops.
void worker_process(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
);

// To be called about every millisecond: ends idle flows, resolves next hops. Returns how many frames it made.
unsigned worker_housekeeping(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
);

// The next datagram of the session sync that housekeeping has made, as a frame for the first port: into SYNC_FRAME_MAX bytes. Its
// length, 0: there is none. To be called after housekeeping until then.
unsigned worker_sync_frame(struct fwd_worker *worker, uint8_t *frame);

// Shows the worker's next bursts in `trace` (NULL: no more). To be called by the control thread, which may free the one before when
// the worker has begun another burst since.
void worker_set_trace(struct fwd_worker *worker, struct trace *trace);

// Its part that has to do with the ownership of VIPs and local addresses, of worker 0: for a shell whose time runs in larger steps. Looks at so many
// listener slots.
#define WORKER_VIP_STEP 16
unsigned worker_vip_housekeeping(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
);

// A flow for display; IPv4 addresses are mapped, ports in host byte order.
struct fwd_flow_view {
	struct ipv6_address client_address, vip, local_address, backend_address;
	uint16_t client_port, vip_port, local_port, backend_port;
	uint16_t listener; // slot
	uint8_t protocol;
	uint8_t state; // enum flow_state
	uint32_t idle_s;
	uint32_t age_s;
};

// Calls of worker_housekeeping() after which it has looked at every flow.
uint32_t worker_sweep_calls(const struct fwd_worker *worker);

// Next live flow from `*cursor` on (start with 0); false at the end. May be called from another thread: an entry that
// changes meanwhile may be shown half old, half new.
bool worker_flow_read(
	const struct fwd_worker *worker,
	uint32_t *cursor,
	uint64_t now_ms,
	struct fwd_flow_view *out
);

const char *flow_state_name(unsigned state);
