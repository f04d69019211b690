// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <fwd_config.h>

#define LISTENER_DIRECTORY "listeners"

// True for a DNS label (RFC 1123), the form of a listener's name.
bool listener_name_is_valid(const char *name);

// Reads and checks `directory`/listeners/`name`.json as far as this can be done without looking at
// other listeners. `running` (may be NULL) is its present generation, with which it shares what is equal. To be freed with
// listener_free(); NULL with errors added.
struct fwd_listener *listener_read(
	const char *directory,
	const char *name,
	const struct fwd_base *base,
	const struct fwd_listener *running,
	struct config_errors *errors
);

// NULL is allowed.
void listener_free(struct fwd_listener *listener);

// "listeners/`name`.json"
void listener_file(const char *name, char *file, size_t size);
