// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <fwd_config.h>

// What a new generation is built from.
struct generation_source {
	const char *directory;
	const struct fwd_base *base;
	const struct fwd_config *running; // NULL at start
	// Next slot to try for a new listener: slots go round, so that one which was freed stays
	// unused for as long as possible.
	uint16_t next_slot;
	uint32_t next_backend_slot; // the same for backends
};

// Builds the configuration that follows `source->running`: the listeners in `names`, or all of the
// directory when `names` is NULL, are read anew; one whose file is gone is left out; one whose file
// is bad, or claims the address of another, keeps its running generation. Unchanged listeners are
// shared with the running configuration. NULL only without memory.
struct fwd_config *generation_build(
	struct generation_source *source,
	const char *const *names,
	size_t count,
	struct config_errors *errors
);

// Frees `old` and those of its listeners that `next` does not share; all when `next` is NULL.
// The caller has made sure that no worker reads `old` any more.
void generation_free(struct fwd_config *old, const struct fwd_config *next);
