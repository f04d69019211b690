// SPDX-License-Identifier: Apache-2.0

#include "drop_reason.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *help;
} reasons[DROP_REASON_COUNT] = {
	[DROP_NONE] = {"none", NULL},
#define X(id, name, help) [DROP_##id] = {name, help},
	DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(unsigned reason) {
	return reason < DROP_REASON_COUNT ? reasons[reason].name : NULL;
}

const char *drop_reason_help(unsigned reason) {
	return reason < DROP_REASON_COUNT ? reasons[reason].help : NULL;
}
