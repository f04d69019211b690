// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <flow_pattern.h>
#include <worker.h>

#include <jansson.h>

// Flows to be shown. The members of its JSON object are named like those of a flow in the reply, each may be left out: "listener",
// "protocol", "state", "client_address", "vip", "backend_address" (an address or a prefix), "client_port", "vip_port",
// "backend_port", "idle_s_min".
struct flow_filter {
	struct flow_pattern pattern;
	const char *listener; // NULL: any; lives as long as the JSON object
	uint32_t idle_s_min;
	uint8_t state; // enum flow_state; FLOW_FREE: any
};

// Members that the functions below read.
#define FLOW_PATTERN_MEMBERS "protocol", "client_address", "client_port", "vip", "vip_port"
#define FLOW_FILTER_MEMBERS \
	FLOW_PATTERN_MEMBERS, "listener", "state", "backend_address", "backend_port", "idle_s_min"

// A refusal that names the member, or NULL.
json_t *flow_pattern_read(json_t *object, struct flow_pattern *out);
json_t *flow_filter_read(json_t *object, struct flow_filter *out);

// `listener` is the name of the flow's listener, "" when it is gone.
bool flow_filter_matches(
	const struct flow_filter *filter, const struct fwd_flow_view *flow, const char *listener
);
