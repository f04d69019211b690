// SPDX-License-Identifier: Apache-2.0

// The other pods of a LoadBalancer, by ordinal: which of them are there, and what they say of themselves in each datagram of the session
// sync. Why these times: docs/design/session_sync.md.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PEER_ORDINALS 16
// They send every 50 ms at least: not a word of five.
#define PEER_SILENT_MS 250
// Three missed: others may ask the segment for what it has. If it is there it answers, and nothing has happened.
#define PEER_SUSPECT_MS 150

// A process before the one that was heard last is believed again after such a silence: the clock of its node may have been set back.
#define PEER_FORGOTTEN_MS 10000

// What a pod says of itself.
enum peer_flag {
	PEER_JOINING = 1 << 0,  // it has not all flows yet
	PEER_COMPLETE = 1 << 1, // it has
	PEER_LEAVING = 1
		<< 2, // it is about to end: forwards and syncs, but owns no local addresses any more
};

// Written by worker 0; the control thread reads it, each field old or new.
struct peer {
	_Atomic uint64_t epoch; // start of its process, microseconds; 0: never heard
	_Atomic uint64_t heard_ms;
	atomic_uint flags; // enum peer_flag, and others that are not looked at here
};

// Zeroed: nobody has been heard, and we are joining.
struct peer_table {
	struct peer peers[PEER_ORDINALS];
	atomic_bool complete; // we are; written by worker 0
	atomic_bool leaving;  // we are; written by the control thread, never taken back
};

// A datagram of the peer has come that is authentic. False when it is of a process before the one that was heard last, and must be refused.
bool peers_hear(
	struct peer_table *table, unsigned ordinal, uint64_t epoch, unsigned flags, uint64_t now_ms
);

// Whether a datagram of this epoch may be of the peer.
bool peers_take_epoch(
	const struct peer_table *table, unsigned ordinal, uint64_t epoch, uint64_t now_ms
);

// Of the process that was heard last; 0: none.
uint64_t peers_epoch(const struct peer_table *table, unsigned ordinal);

// It was heard in the last PEER_SILENT_MS.
bool peers_alive(const struct peer_table *table, unsigned ordinal, uint64_t now_ms);

// It was heard in the last PEER_SUSPECT_MS and may own local addresses: it has all flows, and does not leave.
bool peers_serves(const struct peer_table *table, unsigned ordinal, uint64_t now_ms);

// We may.
bool peers_we_serve(const struct peer_table *table);

// What we say of ourselves.
unsigned peers_own_flags(const struct peer_table *table);
