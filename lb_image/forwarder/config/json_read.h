// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "json_node.h"

#include <fwd_config.h>

// Typed reads of an object's members. Each returns false, with an error added at the member's line,
// when the member has the wrong type or is out of range; `*out` is then unchanged. A member that is
// missing is an error when it is JSON_REQUIRED; set the default in `*out` before an optional read.
enum json_presence {
	JSON_REQUIRED,
	JSON_OPTIONAL,
};

// True when there is a value to read. A missing member is an error unless it is optional.
bool json_present(const struct json_node *node, enum json_presence presence, bool *missing_is_fine);

bool json_read_uint(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	uint64_t minimum,
	uint64_t maximum,
	uint64_t *out
);

bool json_read_bool(
	const struct json_node *object, const char *key, enum json_presence presence, bool *out
);

// Copies at most `size` - 1 bytes; a longer string and an empty one are errors.
bool json_read_string(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	char *out,
	size_t size
);

// 16 lower-case hexadecimal digits: a generation.
bool json_read_generation(const struct json_node *object, char out[FWD_GENERATION_SIZE]);

// The same, and perhaps a suffix "-" and 16 digits more: the agent's mark on a file whose weights it has changed.
bool json_read_listener_generation(
	const struct json_node *object, char out[FWD_LISTENER_GENERATION_SIZE]
);

// Index of the string in `names`, a list that ends with NULL.
bool json_read_choice(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	const char *const *names,
	unsigned *out
);

// An array of `minimum` to `maximum` elements. `*array` points into `object`'s frame.
bool json_read_array(
	const struct json_node *object,
	const char *key,
	size_t minimum,
	size_t maximum,
	struct json_node *array
);

// The same; a missing one is like an empty one.
bool json_read_optional_array(
	const struct json_node *object, const char *key, size_t maximum, struct json_node *array
);

// An error for every member whose name is not in `names`, a list that ends with NULL.
bool json_refuse_unknown(const struct json_node *object, const char *const *names);
