// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "dataplane.h"

#include <flow_filter.h>

#include <jansson.h>

// What the data plane says of itself on the control socket. Reads counters and flows that the workers go
// on writing: every value is a recent one, not all of them of one instant.

// Adds "workers", "vips", "ports", "drops", "listeners", "neighbours", "answers", "half_open" and "steering" to `reply`.
void report_stats(
	const struct dataplane *dataplane, const struct fwd_config *config, json_t *reply
);

// Backends of a listener, or NULL when no listener has this name.
json_t *report_backends(
	const struct dataplane *dataplane, const struct fwd_config *config, const char *listener
);

// At most `limit` flows.
json_t *report_flows(
	const struct dataplane *dataplane,
	const struct fwd_config *config,
	size_t limit,
	const struct flow_filter *filter
);

// The gateways of all ports and how long they have been silent, which is looked at from now on.
json_t *report_gateways(struct dataplane *dataplane);
