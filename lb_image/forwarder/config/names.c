// SPDX-License-Identifier: Apache-2.0

#include "names.h"

#include "listener.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Index of the first name that is not before `name`.
static size_t lower_bound(const struct names *names, const char *name) {
	size_t low = 0;
	size_t high = names->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(names->items[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool names_contain(const struct names *names, const char *name) {
	size_t at = lower_bound(names, name);

	return at < names->count && strcmp(names->items[at], name) == 0;
}

bool names_add(struct names *names, const char *name) {
	size_t at = lower_bound(names, name);
	void *items;

	if (names_contain(names, name))
		return true;
	items = realloc(names->items, (names->count + 1) * sizeof(names->items[0]));
	if (items == NULL)
		return false;
	names->items = items;
	memmove(names->items + at + 1,
		names->items + at,
		(names->count - at) * sizeof(names->items[0]));
	snprintf(names->items[at], sizeof(names->items[at]), "%s", name);
	names->count++;
	return true;
}

void names_free(struct names *names) {
	free(names->items);
	*names = (struct names){0};
}

static void add_file(const char *file, struct names *names, struct config_errors *errors) {
	size_t length = strlen(file);
	char name[FWD_NAME_SIZE] = "";

	if (file[0] == '.' || length < 5 || strcmp(file + length - 5, ".json") != 0)
		return;
	if (length - 5 < sizeof(name))
		memcpy(name, file, length - 5);
	if (listener_name_is_valid(name)) {
		names_add(names, name);
		return;
	}
	config_errors_add(
		errors,
		LISTENER_DIRECTORY,
		0,
		"",
		"\"%.70s\" is not named after a listener (a DNS label and .json)",
		file
	);
}

bool names_read(const char *directory, struct names *names, struct config_errors *errors) {
	char path[4096];
	struct dirent *entry;
	DIR *stream;

	snprintf(path, sizeof(path), "%s/" LISTENER_DIRECTORY, directory);
	stream = opendir(path);
	if (stream == NULL && errno == ENOENT)
		return true;
	if (stream == NULL) {
		config_errors_add(
			errors, LISTENER_DIRECTORY, 0, "", "cannot be read: %s", strerror(errno)
		);
		return false;
	}
	while ((entry = readdir(stream)) != NULL)
		add_file(entry->d_name, names, errors);
	closedir(stream);
	return true;
}
