// SPDX-License-Identifier: Apache-2.0

// Next hops and their MAC addresses, one table for all workers (RFC 826). An entry is found by address once, when a flow
// is made; packets read it by index, so that a changed MAC reaches running flows at once.

#pragma once

#include "fwd_config.h"
#include "packet.h"

#include <stdatomic.h>
#include <stddef.h>

#define NEIGHBOUR_MAX 4096
#define NEIGHBOUR_NONE UINT16_MAX

#define NEIGHBOUR_CONFIRM_S 30 // a known MAC is asked for again after this long
#define NEIGHBOUR_FORGET_S 36  // and given up after this long without an answer
#define NEIGHBOUR_RETRY_S 1    // an unknown one is asked for this often

struct neighbour {
	// Written once by whichever worker adds the entry (compare and swap): port << 32 | address, bit 63 set.
	_Atomic uint64_t key;
	// Written by the worker that sees an ARP packet, and by worker 0 when it gives the entry up: bit 63 set when the MAC in
	// the low 48 bits (as it lies in memory) is usable.
	_Atomic uint64_t mac;
	_Atomic uint32_t confirmed_s; // written with mac
	_Atomic uint32_t asked_s;     // written by worker 0 only
};

struct neighbour_table {
	struct neighbour entries[NEIGHBOUR_MAX];
};

// Finds or adds; NEIGHBOUR_NONE when the table is full.
uint16_t neighbour_get(struct neighbour_table *table, uint8_t port, uint32_t address);

// Takes what an ARP packet says of its sender, if anyone asked. True when it was an entry.
bool neighbour_learn(
	struct neighbour_table *table,
	uint8_t port,
	uint32_t address,
	const uint8_t mac[6],
	uint32_t now_s
);

// By worker 0: walks `count` entries from `*cursor` and writes ARP requests for those due. Returns how many were written.
unsigned neighbour_refresh(
	struct neighbour_table *table,
	const struct fwd_base *base,
	uint32_t now_s,
	uint16_t *cursor,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
);

// The MAC with bit 63 set, or 0 when it is not known.
static inline uint64_t neighbour_mac(const struct neighbour_table *table, uint16_t index) {
	return atomic_load_explicit(&table->entries[index].mac, memory_order_relaxed);
}

struct neighbour_view {
	uint32_t address;
	uint8_t port;
	uint8_t mac[6];
	bool resolved;
};

// Entry at `index` for display; false where there is none.
bool neighbour_read(
	const struct neighbour_table *table, uint16_t index, struct neighbour_view *out
);
