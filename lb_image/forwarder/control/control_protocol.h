// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "flow_filter.h"

#include <jansson.h>
#include <stddef.h>

// The commands of the control socket: one JSON object a line in, one out. What a command does is the
// process's business; it hands over these functions. Each returns a new reply object.
struct control_operations {
	json_t *(*status)(void *context);
	// `names` holds `count` listener names; NULL loads the whole directory.
	json_t *(*load)(void *context, const char *const *names, size_t count);
	json_t *(*stats)(void *context);
	// At most `limit` flows.
	json_t *(*flows)(void *context, size_t limit, const struct flow_filter *filter);
	// Of the listener of this name.
	json_t *(*backends)(void *context, const char *listener);
	// Records what becomes of the packets of these flows for `seconds`, instead of what was recorded before.
	json_t *(*trace_start)(void *context, const struct flow_pattern *pattern, unsigned seconds);
	// What was recorded since.
	json_t *(*trace_read)(void *context);
	// How long each gateway has been silent; the process goes on probing them while this is asked for.
	json_t *(*gateways)(void *context);
	json_t *(*vips)(void *context);
	// This pod is about to end: it gives its local addresses away to its peers, and goes on with all else.
	json_t *(*leave)(void *context);
	void *context;
};

#define CONTROL_FLOWS_MAX 10000
#define CONTROL_LOAD_MAX 1000
#define CONTROL_TRACE_SECONDS_MAX 3600

// Reply to one line, ending with a newline; to be freed by the caller. NULL only without memory.
char *control_reply(const struct control_operations *operations, const char *line, size_t length);

// {"ok":false,"errors":[{"file":"","line":0,"field":`field`,"message":…}]}
__attribute__((format(printf, 2, 3))) json_t *
control_refusal(const char *field, const char *format, ...);
