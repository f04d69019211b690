// SPDX-License-Identifier: Apache-2.0

// Session sync between the pods of one LoadBalancer. Each tells the others of its flows, so that any of them can forward either direction of
// any flow. Soft state over UDP: what is lost is told again. All of it runs on the thread of worker 0; the control thread reads the
// counters and peers.

#pragma once

#include "sync_wire.h"

#define SYNC_HEARTBEAT_MS 50
#define SYNC_REFRESH_S 20
// Foreign flows outlive those of their owner by three refreshes, so that not one lost datagram ends them.
#define SYNC_GRACE_S 60
// Datagrams that one call of worker_housekeeping() makes for flows that are new or have changed, and with those of the bulk.
#define SYNC_CALL_CHANGES 4
#define SYNC_CALL_MAX 8
#define SYNC_HINTS 1024

// Why a record was not taken.
enum sync_refusal {
	SYNC_REFUSAL_MALFORMED, // no forwarder writes it
	SYNC_REFUSAL_UNKNOWN,   // its local address is none of our pods', or its port of no worker
	SYNC_REFUSAL_OWN,       // of a flow of this pod that is another one now, or is gone
	SYNC_REFUSAL_NO_LISTENER, // or the listener ends flows of backends that are gone
	SYNC_REFUSAL_IDLE,        // for longer than the flow may be
	SYNC_REFUSAL_NO_ROOM,     // in the flow table or among the next hops
	SYNC_REFUSAL_COUNT
};

// Written by worker 0 only.
struct sync_counters {
	uint64_t datagrams_sent; // one for each peer
	uint64_t datagrams_received;
	uint64_t records_sent;
	uint64_t records_received;
	uint64_t records_refused[SYNC_REFUSAL_COUNT];
	uint64_t unresolved; // datagrams for a peer whose MAC address is not known yet
};

struct sync_datagram {
	uint16_t length;
	uint16_t to; // a bit for each peer that has yet to get it
	uint8_t bytes[SYNC_DATAGRAM_MAX];
};

// Of a peer, in the order of the base.
struct sync_peer {
	uint64_t sequence; // heard last, of its epoch
	// What it asks of us: all flows.
	uint64_t bulk_epoch_us; // the process that asked last; 0: none did
	uint32_t bulk_cursor;   // the next place of both tables in a row
	uint32_t bulk_records;  // sent so far
	uint64_t ended_ms;      // when the end was told last
	uint16_t bulk_round;
	bool bulk_requested; // its last datagram asked
	// What we ask of it.
	uint32_t received;   // records of the bulk
	uint16_t told_round; // the last one that it has told all in
	uint16_t neighbour;
};

struct sync {
	const struct fwd_base *base;
	struct peer_table *peers;
	uint64_t epoch_us;
	uint64_t sequence;
	uint64_t started_ms; // 0: not yet
	uint64_t sent_ms;    // the last datagram to all
	uint64_t opened_ms;  // the first record of `open`
	uint16_t round;      // of our bulk requests; 0: we ask no more
	uint16_t room;       // bytes of a datagram, by the MTU
	uint8_t n_queued;
	uint8_t taken; // by the shell
	struct sync_peer peer[FWD_MAX_PEERS];
	struct sync_datagram open; // of flows that are new or have changed
	struct sync_datagram queue[SYNC_CALL_MAX + 2];
	uint16_t hints[SYNC_HINTS]; // index of the backend in its listener, by its hash
	struct sync_counters counters;
};

struct fwd_worker;
struct fwd_config;
struct fwd_packet;
struct packet_view;

// Sends nothing before the first call of sync_run(). `memory` is zeroed.
struct sync *sync_init(void *memory, const struct fwd_base *base, struct peer_table *peers);

// Whether new flows may begin: this pod knows which of its places have flows.
bool sync_is_complete(const struct sync *sync);

// The flows are those of a process before: they are served while peers are asked for more.
void sync_adopted(struct sync *sync);

// A datagram for us: takes it and what it says. False when the packet is none.
bool sync_handle(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packet,
	struct packet_view *view
);

// Called for each flow by the sweep: tells the peers, if they are to be told and there is room now.
void sync_note(struct fwd_worker *worker, struct flow *flow);

// To be called about every millisecond: heartbeats, bulk, joining.
void sync_run(struct fwd_worker *worker, uint64_t now_ms);

const char *sync_refusal_name(unsigned refusal);
