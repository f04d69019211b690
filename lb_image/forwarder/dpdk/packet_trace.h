// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "dataplane.h"

#include <flow_pattern.h>

#include <jansson.h>

// Has every worker record what it does with the packets of these flows, for `seconds`, and forgets what was recorded before. False
// without memory; the trace before goes on then. Returns when no worker writes to the one before.
bool packet_trace_start(
	struct dataplane *dataplane, const struct flow_pattern *pattern, unsigned seconds
);

// Adds "records", in the order of their milliseconds, and "lost", the number of those that are kept no more, to `reply`. False
// when no trace was started or there is no memory.
bool packet_trace_read(const struct dataplane *dataplane, json_t *reply);

// Ends the trace, if there is one.
void packet_trace_stop(struct dataplane *dataplane);
