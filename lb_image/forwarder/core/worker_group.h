// SPDX-License-Identifier: Apache-2.0

// What the workers of one process share, beside the neighbour table: sight of each other, and what is remembered of clients,
// whose connections come to any of them. A limit holds for all of them, but
// each counts its own flows: whoever makes a new flow adds up what the others say. No lock and no atomic read-modify-write:
// workers that make flows in the same instant may miss each other's, and so pass a limit by one each.

#pragma once

#include "client_table.h"
#include "fwd_config.h"
#include "gateway_probe.h"
#include "local_owner.h"
#include "peers.h"
#include "vip.h"

#include <stddef.h>

struct fwd_worker;

struct worker_group {
	// By index, written by worker_init() before any of them runs; NULL where there is none (yet).
	const struct fwd_worker *workers[FWD_MAX_WORKERS];
	uint16_t n_workers;
	uint64_t seed;                // of the clients' hash
	struct client_table affinity; // value: slot of the backend, second of the last new flow
	struct client_table rates;    // value: when the client's bucket of tokens will be full
	struct gateway_probe gateways;
	struct vip_table *vips;
	struct peer_table peers; // of session sync
	struct local_owner
		*locals; // NULL without session sync: a pod has its local addresses, and no others
};

// Entries of a table of clients for so many flows: a power of two, of bounded size.
uint32_t worker_group_clients(uint64_t flows);

// Bytes for the group of `base`.
size_t worker_group_size(const struct fwd_base *base);

// Makes a group in zeroed, 64-byte aligned memory of worker_group_size(). `seed` keys the hash of clients.
struct worker_group *worker_group_init(void *memory, const struct fwd_base *base, uint64_t seed);
