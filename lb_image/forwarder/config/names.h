// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <fwd_config.h>

// Names of listeners, sorted, each once.
struct names {
	char (*items)[FWD_NAME_SIZE];
	size_t count;
};

// Adds `name` at its place; nothing when it is there already. False without memory.
bool names_add(struct names *names, const char *name);
bool names_contain(const struct names *names, const char *name);
void names_free(struct names *names);

// The names of all `directory`/listeners/NAME.json. Files that do not end in ".json" and hidden ones
// are not ours. A missing directory holds no listeners. False, with an error added, when it cannot be
// read; a file whose name is no listener's name is an error, but the others are listed.
bool names_read(const char *directory, struct names *names, struct config_errors *errors);
