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

// Dotted quad to host byte order. Refuses 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3 (RFC 6890).
bool json_read_ipv4(
	const struct json_node *object, const char *key, enum json_presence presence, uint32_t *out
);
bool json_value_ipv4(const struct json_node *node, uint32_t *out);

// "10.77.0.11/24" to an address in host byte order and a prefix length of 1 to 32 bits.
bool json_read_ipv4_prefix(
	const struct json_node *object, const char *key, uint32_t *address, uint8_t *prefix_length
);

// "10.0.0.0/8" to any IPv4 network: an address in host byte order without bits beyond a prefix length of 0 to 32.
bool json_value_ipv4_network(const struct json_node *node, uint32_t *address, uint8_t *length);

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
