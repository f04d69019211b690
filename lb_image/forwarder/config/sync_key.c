// SPDX-License-Identifier: Apache-2.0

#include "sync_base.h"

#include <errno.h>
#include <string.h>

static int digit_value(char digit) {
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

// `text` ends behind the digits or with one newline.
static bool parse_key(const char *text, uint8_t key[FWD_SYNC_KEY_SIZE]) {
	for (unsigned i = 0; i < 2 * FWD_SYNC_KEY_SIZE; i++) {
		int value = digit_value(text[i]);

		if (value < 0)
			return false;
		key[i / 2] = (uint8_t)(key[i / 2] << 4 | value);
	}
	text += 2 * FWD_SYNC_KEY_SIZE;
	return strcmp(text, "") == 0 || strcmp(text, "\n") == 0;
}

// What is in the file is never told.
bool sync_key_read(struct base_config *config, struct config_errors *errors) {
	char text[2 * FWD_SYNC_KEY_SIZE + 3] = {0};
	const char *path = config->sync_key_file, *fault = NULL;
	FILE *stream;

	if (!config->base.sync.enabled)
		return true;
	stream = fopen(path, "re");
	if (stream != NULL)
		fread(text, 1, sizeof(text) - 1, stream);
	if (stream == NULL || ferror(stream))
		fault = strerror(errno);
	else if (!parse_key(text, config->base.sync.key))
		fault = "must hold 32 hexadecimal digits in lower case and nothing else";
	if (stream != NULL)
		fclose(stream);
	explicit_bzero(text, sizeof(text));
	if (fault == NULL)
		return true;
	config_errors_add(
		errors,
		BASE_FILE,
		1,
		"sync.key_file",
		"%.48s: %s; mount its Secret there",
		path,
		fault
	);
	return false;
}
