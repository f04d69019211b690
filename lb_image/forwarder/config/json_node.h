// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The text of one JSON file beside its parsed tree. jansson keeps no positions, so the text is kept
// until all checks are done: the line of a value is looked up only when there is an error to report.
struct json_file {
	const char *name; // relative to the configuration directory; owned by the caller
	char *text;
	size_t length;
	json_t *root;
	struct config_errors *errors; // owned by the caller
};

// A place in a file: the chain of parents up to the root is its path. Lives on the reader's stack.
struct json_node {
	struct json_file *file;
	const struct json_node *parent; // NULL for the root
	const char *key;                // NULL for an element of an array
	size_t index;
	json_t *value; // NULL when the object has no such member
};

// Reads and parses `directory`/`name`, which must hold one JSON object. False, with an error added,
// when it cannot be read, is larger than JSON_FILE_SIZE_MAX or is no JSON object.
bool json_file_open(
	struct json_file *file,
	const char *directory,
	const char *name,
	struct config_errors *errors
);
void json_file_close(struct json_file *file);

#define JSON_FILE_SIZE_MAX (4u << 20)

struct json_node json_node_root(struct json_file *file);
struct json_node json_node_member(const struct json_node *object, const char *key);
struct json_node json_node_element(const struct json_node *array, size_t index);

// "backends[2].address"
void json_node_path(const struct json_node *node, char *path, size_t size);

__attribute__((format(printf, 2, 3))) void
json_node_error(const struct json_node *node, const char *format, ...);
