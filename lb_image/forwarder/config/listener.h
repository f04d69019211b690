// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <fwd_config.h>

#define LISTENER_DIRECTORY "listeners"

// True for a DNS label (RFC 1123), the form of a listener's name.
bool listener_name_is_valid(const char *name);

// Reads and checks `directory`/listeners/`name`.json as far as this can be done without looking at
// other listeners. The listener is to be freed with free(); NULL with errors added.
struct fwd_listener *listener_read(
	const char *directory,
	const char *name,
	const struct fwd_base *base,
	struct config_errors *errors
);

// "listeners/`name`.json"
void listener_file(const char *name, char *file, size_t size);
