// SPDX-License-Identifier: Apache-2.0

#include "json_locate.h"

#include <string.h>

struct cursor {
	const char *at;
	const char *end;
	unsigned line;
};

static void skip_space(struct cursor *c) {
	while (c->at < c->end && strchr(" \t\r\n", *c->at) != NULL) {
		c->line += *c->at == '\n';
		c->at++;
	}
}

static void skip_string(struct cursor *c) {
	for (c->at++; c->at < c->end && *c->at != '"'; c->at++) {
		if (*c->at == '\\')
			c->at++;
	}
	if (c->at < c->end)
		c->at++;
}

static void skip_scalar(struct cursor *c) {
	while (c->at < c->end && strchr(",]} \t\r\n", *c->at) == NULL)
		c->at++;
}

static void skip_value(struct cursor *c) {
	unsigned depth = 0;

	do {
		skip_space(c);
		if (c->at >= c->end)
			return;
		if (*c->at == '"') {
			skip_string(c);
		} else if (*c->at == '{' || *c->at == '[') {
			depth++;
			c->at++;
		} else if (*c->at == '}' || *c->at == ']') {
			depth--;
			c->at++;
		} else if (*c->at == ',' || *c->at == ':') {
			c->at++;
		} else {
			skip_scalar(c);
		}
	} while (depth > 0);
}

// Steps over `character` and the space around it.
static bool accept(struct cursor *c, char character) {
	skip_space(c);
	if (c->at >= c->end || *c->at != character)
		return false;
	c->at++;
	skip_space(c);
	return true;
}

// From the opening brace of an object to the value of `key`.
static bool enter_member(struct cursor *c, const char *key) {
	size_t key_length = strlen(key);

	if (!accept(c, '{'))
		return false;
	while (c->at < c->end && *c->at == '"') {
		const char *name = c->at + 1;
		size_t name_length;

		skip_string(c);
		name_length = (size_t)(c->at - name) - 1;
		accept(c, ':');
		if (name_length == key_length && memcmp(name, key, key_length) == 0)
			return true;
		skip_value(c);
		if (!accept(c, ','))
			return false;
	}
	return false;
}

// From the opening bracket of an array to its element `index`.
static bool enter_element(struct cursor *c, size_t index) {
	if (!accept(c, '['))
		return false;
	while (index-- > 0) {
		skip_value(c);
		if (!accept(c, ','))
			return false;
	}
	return true;
}

// False leaves the cursor at the innermost enclosing value that the text has.
static bool locate(const struct json_node *node, struct cursor *c) {
	struct cursor outer;

	if (node->parent == NULL) {
		skip_space(c);
		return true;
	}
	if (!locate(node->parent, c))
		return false;
	outer = *c;
	if (node->key != NULL ? enter_member(c, node->key) : enter_element(c, node->index))
		return true;
	*c = outer;
	return false;
}

unsigned json_locate(const struct json_node *node) {
	struct cursor cursor = {
		.at = node->file->text,
		.end = node->file->text + node->file->length,
		.line = 1,
	};

	locate(node, &cursor);
	return cursor.line;
}
