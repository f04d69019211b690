// SPDX-License-Identifier: Apache-2.0

// Next hops and their MAC addresses, one table for all workers and both families (RFC 826, RFC 4861). An entry is found by address once, when a flow
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
#define NEIGHBOUR_KEEP_S \
	120 // an entry that no flow needs is kept this long after it was last looked up

struct neighbour {
	// Written by whichever worker adds the entry (compare and swap): port << 32 | address, bit 63 set; of IPv6 bit 61 too, and a
	// hash in place of the address, and NEIGHBOUR_TAKEN while that address is being written. 0: never used. By worker 0, when
	// nobody needs it: bit 62 set, then NEIGHBOUR_FREED.
	_Atomic uint64_t key;
	// Written by the worker that sees an answer, and by worker 0 when it gives the entry up: bit 63 set when the MAC in
	// the low 48 bits (as it lies in memory) is usable.
	_Atomic uint64_t mac;
	_Atomic uint32_t confirmed_s; // written with mac
	_Atomic uint32_t asked_s;     // written by worker 0 only
	_Atomic uint32_t used_s;      // last looked up; written by whichever worker does
};

#define NEIGHBOUR_FREED 1u
#define NEIGHBOUR_TAKEN 2u

// Written by whoever adds the entry, before the key tells of it.
struct neighbour_address6 {
	_Atomic uint64_t high;
	_Atomic uint64_t low;
};

// Which entries the flows of a worker need, as its last look at all its flows found. Written by that worker.
struct neighbour_hold {
	_Atomic uint64_t bits[NEIGHBOUR_MAX / 64];
	_Atomic uint32_t since_s; // when that look began; 0: never
};

struct neighbour_table {
	struct neighbour entries[NEIGHBOUR_MAX];
	struct neighbour_address6 addresses6[NEIGHBOUR_MAX];
	struct neighbour_hold holds[FWD_MAX_WORKERS];
};

// Finds or adds; NEIGHBOUR_NONE when the table is full. The entry is the caller's for NEIGHBOUR_KEEP_S, and for as long as its
// worker says so in neighbour_hold().
uint16_t
neighbour_get(struct neighbour_table *table, uint8_t port, uint32_t address, uint32_t now_s);
uint16_t neighbour_get6(
	struct neighbour_table *table,
	uint8_t port,
	const struct ipv6_address *address,
	uint32_t now_s
);

// Takes MACs that were known a moment ago into a table without entries; they are used, but asked for again at once.
void neighbour_adopt(
	struct neighbour_table *table,
	const struct neighbour_table *before,
	unsigned n_ports,
	uint32_t now_s
);

// Says which entries a worker's flows need; `began_s` is when it began to look, before the first flow.
void neighbour_hold(
	struct neighbour_table *table,
	unsigned worker,
	const uint64_t bits[NEIGHBOUR_MAX / 64],
	uint32_t began_s
);

// By worker 0: frees what nobody has needed for NEIGHBOUR_KEEP_S.
void neighbour_collect(struct neighbour_table *table, unsigned n_workers, uint32_t now_s);

// Takes what an ARP packet says of its sender, if anyone asked. True when it was an entry.
bool neighbour_learn(
	struct neighbour_table *table,
	uint8_t port,
	uint32_t address,
	const uint8_t mac[6],
	uint32_t now_s
);

// How sure a neighbour discovery message is (RFC 4861, section 7.2.5). One that was not asked for makes us ask; one that does not
// override leaves another MAC that we know, and makes us ask.
struct neighbour_news {
	bool solicited;
	bool override;
};

// The same for IPv6.
bool neighbour_learn6(
	struct neighbour_table *table,
	uint8_t port,
	const struct ipv6_address *address,
	const uint8_t mac[6],
	struct neighbour_news news,
	uint32_t now_s
);

// By worker 0: walks `count` entries from `*cursor` and writes ARP requests and neighbour solicitations for those due. Returns how many were written.
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
	struct ipv6_address address; // IPv4 mapped
	uint8_t port;
	uint8_t mac[6];
	bool resolved;
};

// Entry at `index` for display; false where there is none.
bool neighbour_read(
	const struct neighbour_table *table, uint16_t index, struct neighbour_view *out
);
