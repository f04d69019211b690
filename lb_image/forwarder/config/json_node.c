// SPDX-License-Identifier: Apache-2.0

#include "json_node.h"

#include "json_locate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *read_text(FILE *stream, size_t *length) {
	char *text = malloc(JSON_FILE_SIZE_MAX + 1);

	if (text == NULL)
		return NULL;
	*length = fread(text, 1, JSON_FILE_SIZE_MAX + 1, stream);
	return text;
}

static bool load_text(struct json_file *file, const char *path) {
	FILE *stream = fopen(path, "r");

	if (stream == NULL) {
		config_errors_add(
			file->errors, file->name, 0, "", "cannot be read: %s", strerror(errno)
		);
		return false;
	}
	errno = 0;
	file->text = read_text(stream, &file->length);
	if (file->text == NULL || ferror(stream)) {
		config_errors_add(
			file->errors, file->name, 0, "", "cannot be read: %s", strerror(errno)
		);
		fclose(stream);
		return false;
	}
	fclose(stream);
	if (file->length <= JSON_FILE_SIZE_MAX)
		return true;
	config_errors_add(
		file->errors, file->name, 0, "", "is larger than %u bytes", JSON_FILE_SIZE_MAX
	);
	return false;
}

bool json_file_open(
	struct json_file *file,
	const char *directory,
	const char *name,
	struct config_errors *errors
) {
	json_error_t error;
	char path[4096];

	*file = (struct json_file){.name = name, .errors = errors};
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (!load_text(file, path))
		return false;
	file->root = json_loadb(file->text, file->length, JSON_REJECT_DUPLICATES, &error);
	if (file->root == NULL) {
		bool cut = json_error_code(&error) == json_error_premature_end_of_input;

		config_errors_add(
			errors,
			name,
			error.line > 0 ? (unsigned)error.line : 1,
			"",
			"%s%s",
			cut ? "the file is cut off: " : "",
			error.text
		);
		return false;
	}
	if (!json_is_object(file->root)) {
		config_errors_add(errors, name, 1, "", "must hold one JSON object");
		return false;
	}
	return true;
}

void json_file_close(struct json_file *file) {
	json_decref(file->root);
	free(file->text);
	*file = (struct json_file){0};
}

struct json_node json_node_root(struct json_file *file) {
	return (struct json_node){.file = file, .value = file->root};
}

struct json_node json_node_member(const struct json_node *object, const char *key) {
	return (struct json_node){
		.file = object->file,
		.parent = object,
		.key = key,
		.value = json_object_get(object->value, key),
	};
}

struct json_node json_node_element(const struct json_node *array, size_t index) {
	return (struct json_node){
		.file = array->file,
		.parent = array,
		.index = index,
		.value = json_array_get(array->value, index),
	};
}

void json_node_path(const struct json_node *node, char *path, size_t size) {
	size_t used;

	if (node->parent == NULL) {
		path[0] = '\0';
		return;
	}
	json_node_path(node->parent, path, size);
	used = strlen(path);
	if (node->key == NULL)
		snprintf(path + used, size - used, "[%zu]", node->index);
	else
		snprintf(path + used, size - used, "%s%s", used > 0 ? "." : "", node->key);
}

void json_node_error(const struct json_node *node, const char *format, ...) {
	char message[sizeof(((struct config_error *)0)->message)];
	char path[sizeof(((struct config_error *)0)->field)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	json_node_path(node, path, sizeof(path));
	config_errors_add(
		node->file->errors, node->file->name, json_locate(node), path, "%s", message
	);
}
