// SPDX-License-Identifier: Apache-2.0

#include "json_read.h"

#include <inttypes.h>
#include <string.h>

bool json_present(
	const struct json_node *node, enum json_presence presence, bool *missing_is_fine
) {
	*missing_is_fine = presence == JSON_OPTIONAL;
	if (node->value != NULL)
		return true;
	if (presence == JSON_REQUIRED)
		json_node_error(node, "is required");
	return false;
}

bool json_read_uint(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	uint64_t minimum,
	uint64_t maximum,
	uint64_t *out
) {
	struct json_node node = json_node_member(object, key);
	json_int_t value;
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	value = json_integer_value(node.value);
	if (!json_is_integer(node.value) || value < 0 || (uint64_t)value < minimum
	    || (uint64_t)value > maximum) {
		json_node_error(
			&node, "must be an integer from %" PRIu64 " to %" PRIu64, minimum, maximum
		);
		return false;
	}
	*out = (uint64_t)value;
	return true;
}

bool json_read_bool(
	const struct json_node *object, const char *key, enum json_presence presence, bool *out
) {
	struct json_node node = json_node_member(object, key);
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	if (!json_is_boolean(node.value)) {
		json_node_error(&node, "must be true or false");
		return false;
	}
	*out = json_is_true(node.value);
	return true;
}

bool json_read_string(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	char *out,
	size_t size
) {
	struct json_node node = json_node_member(object, key);
	size_t length = json_string_length(node.value);
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	if (!json_is_string(node.value) || length == 0 || length >= size) {
		json_node_error(&node, "must be a string of 1 to %zu characters", size - 1);
		return false;
	}
	memcpy(out, json_string_value(node.value), length + 1);
	return true;
}

static bool is_digest(const char *text) {
	return strspn(text, "0123456789abcdef") == 16;
}

static const char *generation_text(const struct json_node *object, struct json_node *node) {
	bool fine;

	*node = json_node_member(object, "generation");
	return json_present(node, JSON_REQUIRED, &fine) ? json_string_value(node->value) : NULL;
}

bool json_read_generation(const struct json_node *object, char out[FWD_GENERATION_SIZE]) {
	struct json_node node;
	const char *text = generation_text(object, &node);

	if (node.value == NULL)
		return false;
	if (text == NULL || strlen(text) != 16 || !is_digest(text)) {
		json_node_error(&node, "must be 16 hexadecimal digits in lower case");
		return false;
	}
	memcpy(out, text, FWD_GENERATION_SIZE);
	return true;
}

bool json_read_listener_generation(
	const struct json_node *object, char out[FWD_LISTENER_GENERATION_SIZE]
) {
	struct json_node node;
	const char *text = generation_text(object, &node);
	size_t length = text != NULL ? strlen(text) : 0;

	if (node.value == NULL)
		return false;
	if (!(length == 16 && is_digest(text))
	    && !(length == 33 && is_digest(text) && text[16] == '-' && is_digest(text + 17))) {
		json_node_error(
			&node,
			"must be 16 hexadecimal digits in lower case, and perhaps - and 16 more"
		);
		return false;
	}
	memcpy(out, text, length + 1);
	return true;
}

static void choice_error(const struct json_node *node, const char *const *names) {
	char list[128] = "";

	for (; *names != NULL; names++) {
		size_t used = strlen(list);

		snprintf(list + used, sizeof(list) - used, "%s\"%s\"", used ? ", " : "", *names);
	}
	json_node_error(node, "must be one of %s", list);
}

bool json_read_choice(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	const char *const *names,
	unsigned *out
) {
	struct json_node node = json_node_member(object, key);
	const char *value = json_string_value(node.value);
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	for (unsigned i = 0; value != NULL && names[i] != NULL; i++) {
		if (strcmp(value, names[i]) == 0) {
			*out = i;
			return true;
		}
	}
	choice_error(&node, names);
	return false;
}

static bool check_array(const struct json_node *array, size_t minimum, size_t maximum) {
	size_t size = json_array_size(array->value);

	if (json_is_array(array->value) && size >= minimum && size <= maximum)
		return true;
	json_node_error(array, "must be a list of %zu to %zu elements", minimum, maximum);
	return false;
}

bool json_read_optional_array(
	const struct json_node *object, const char *key, size_t maximum, struct json_node *array
) {
	*array = json_node_member(object, key);
	return array->value == NULL || check_array(array, 0, maximum);
}

bool json_read_array(
	const struct json_node *object,
	const char *key,
	size_t minimum,
	size_t maximum,
	struct json_node *array
) {
	bool fine;

	*array = json_node_member(object, key);
	return json_present(array, JSON_REQUIRED, &fine) && check_array(array, minimum, maximum);
}

static bool is_known(const char *name, const char *const *names) {
	for (; *names != NULL; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

bool json_refuse_unknown(const struct json_node *object, const char *const *names) {
	const char *name;
	json_t *value;
	bool known = true;

	json_object_foreach(object->value, name, value) {
		struct json_node node = json_node_member(object, name);

		if (is_known(name, names))
			continue;
		json_node_error(&node, "is not a known field");
		known = false;
	}
	return known;
}
