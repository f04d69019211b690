// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// What is wrong with one place of one configuration file. Errors are collected, so that a user sees
// all faults of a file at once.
struct config_error {
	char file[96];  // relative to the configuration directory
	unsigned line;  // 0 when the file could not be read at all
	char field[96]; // "backends[2].address"; empty when the text is no JSON
	char message[160];
};

struct config_errors {
	struct config_error *items;
	size_t count;
	size_t dropped; // errors beyond CONFIG_ERRORS_MAX
};

#define CONFIG_ERRORS_MAX 1000

__attribute__((format(printf, 5, 6))) void config_errors_add(
	struct config_errors *errors,
	const char *file,
	unsigned line,
	const char *field,
	const char *format,
	...
);

// One line for each error: `FILE:LINE: field: message`, FILE prefixed by `directory`/.
void config_errors_print(const struct config_errors *errors, const char *directory, FILE *out);

void config_errors_free(struct config_errors *errors);
