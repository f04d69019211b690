// SPDX-License-Identifier: Apache-2.0

#include "config_error.h"

#include <stdarg.h>
#include <stdlib.h>

void config_errors_add(
	struct config_errors *errors,
	const char *file,
	unsigned line,
	const char *field,
	const char *format,
	...
) {
	struct config_error *items;
	struct config_error *error;
	va_list arguments;

	if (errors->count == CONFIG_ERRORS_MAX) {
		errors->dropped++;
		return;
	}
	items = realloc(errors->items, (errors->count + 1) * sizeof(*items));
	if (items == NULL) {
		errors->dropped++;
		return;
	}
	errors->items = items;
	error = &items[errors->count++];
	snprintf(error->file, sizeof(error->file), "%s", file);
	snprintf(error->field, sizeof(error->field), "%s", field);
	error->line = line;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
}

void config_errors_print(const struct config_errors *errors, const char *directory, FILE *out) {
	for (size_t i = 0; i < errors->count; i++) {
		const struct config_error *error = &errors->items[i];

		fprintf(out, "%s/%s:%u: ", directory, error->file, error->line);
		if (error->field[0] != '\0')
			fprintf(out, "%s: ", error->field);
		fprintf(out, "%s\n", error->message);
	}
	if (errors->dropped > 0)
		fprintf(out, "%s: %zu more errors\n", directory, errors->dropped);
}

void config_errors_free(struct config_errors *errors) {
	free(errors->items);
	*errors = (struct config_errors){0};
}
