// SPDX-License-Identifier: Apache-2.0

// Counters of all workers, added up, as the parts of the `stats` reply. Reads what running workers write: every counter is
// old or new, the sum is of no single instant.

#pragma once

#include <jansson.h>
#include <worker.h>

// {"<drop reason>": n, ...}, every reason also when 0.
json_t *counters_drops(struct fwd_worker *const *workers, unsigned count);

// {"resets": n, "icmp_errors": n}: what was sent in answer to dropped packets.
json_t *counters_answers(struct fwd_worker *const *workers, unsigned count);

// {"live": n, "evicted": n}: TCP connections that are being opened, and those that gave way to others.
json_t *counters_half_open(struct fwd_worker *const *workers, unsigned count);

// {"omitted": n}: segments that had no room for the client's address, where the listener adds it.
json_t *counters_client_address(struct fwd_worker *const *workers, unsigned count);

// [{"address": "10.244.0.5", "port": 8080, "weight": 1, "connections": n, "active_flows": n}, ...]
json_t *counters_backends(
	struct fwd_worker *const *workers, unsigned count, const struct fwd_listener *listener
);

// {"<listener>": {"packets_in": n, ...}, ...} of the listeners of `config`.
json_t *counters_listeners(
	struct fwd_worker *const *workers, unsigned count, const struct fwd_config *config
);
