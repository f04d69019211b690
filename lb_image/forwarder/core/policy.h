// SPDX-License-Identifier: Apache-2.0

// What a listener asks of a new flow. Flows that are there are never looked at again. See docs/design/policy.md.

#pragma once

#include "worker_internal.h"

// Whether the listener takes another flow; else with the reason. `client6`: the client's address, of IPv6 only; `key` has 32 hashed
// bits of it.
bool policy_admits(
	const struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	const struct ipv6_address *client6,
	enum drop_reason *reason
);

// Index of the backend for a new flow: the one that its client has, and one that has room, as the listener wants it. SCHEDULER_NONE
// with the reason.
uint32_t policy_pick(
	struct fwd_worker *worker,
	const struct fwd_listener *listener,
	const struct flow_key *key,
	enum drop_reason *reason
);
