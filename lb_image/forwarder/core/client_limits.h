// SPDX-License-Identifier: Apache-2.0

// How many connections one client may have, and how fast it may make them.

#pragma once

#include "worker_internal.h"

// Whether the client may make another flow, and if so takes that from its rate; else with the reason.
bool client_limits_admit(
	const struct fwd_worker *worker,
	const struct fwd_listener *listener,
	uint32_t client_address,
	enum drop_reason *reason
);

// Counts a new flow of a client, where there is room to remember the client.
void client_limits_count(struct fwd_worker *worker, struct flow *flow);
