// SPDX-License-Identifier: Apache-2.0

// Finds a backend of a listener by its address and port, for as long as flows are adopted. Open-addressed, at most half full.

#pragma once

#include "fwd_config.h"

#include <stddef.h>

struct backend_entry {
	uint16_t listener;
	uint16_t backend; // index + 1; 0: empty
};

struct backend_index {
	const struct fwd_config *config;
	struct backend_entry *entries;
	uint32_t mask;
};

// Bytes that backend_index_init() needs.
size_t backend_index_size(const struct fwd_config *config);

// `memory` is zeroed.
void backend_index_init(struct backend_index *index, void *memory, const struct fwd_config *config);

// NULL: the listener has no such backend. Addresses of IPv4 mapped, `port` in host byte order.
const struct fwd_backend *backend_index_find(
	const struct backend_index *index,
	const struct fwd_listener *listener,
	const struct ipv6_address *address,
	uint16_t port
);
