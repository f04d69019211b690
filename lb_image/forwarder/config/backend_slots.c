// SPDX-License-Identifier: Apache-2.0

#include "backend_slots.h"

#include <stdlib.h>

struct named_slot {
	uint64_t name; // address and port
	uint32_t slot;
};

static uint64_t name_of(const struct fwd_backend *backend) {
	return (uint64_t)backend->address << 16 | backend->port;
}

static int compare_names(const void *left, const void *right) {
	const struct named_slot *a = left, *b = right;

	return (a->name > b->name) - (a->name < b->name);
}

// The backends by name; their slots, or, where they have none yet, their indexes.
static struct named_slot *
sorted(const struct fwd_listener *listener, uint32_t count, bool indexes) {
	struct named_slot *items = calloc(count + 1, sizeof(*items));

	for (uint32_t i = 0; items != NULL && i < count; i++)
		items[i] = (struct named_slot
		){name_of(&listener->backends[i]), indexes ? i : listener->backends[i].slot};
	if (items != NULL)
		qsort(items, count, sizeof(*items), compare_names);
	return items;
}

// Next slot that is free in both. At most one round.
static bool
take(const struct fwd_config *now,
     const struct fwd_config *next,
     uint32_t *cursor,
     uint32_t *left,
     uint32_t *slot) {
	for (; *left > 0; (*left)--) {
		uint32_t at = *cursor;

		*cursor = (at + 1) % FWD_MAX_BACKEND_SLOTS;
		if ((now != NULL && fwd_config_has_backend(now, at))
		    || fwd_config_has_backend(next, at))
			continue;
		(*left)--;
		*slot = at;
		return true;
	}
	return false;
}

bool backend_slots_assign(
	struct fwd_listener *fresh,
	const struct fwd_listener *running,
	const struct fwd_config *now,
	const struct fwd_config *next,
	uint32_t *cursor
) {
	uint32_t count = running == NULL ? 0 : running->n_backends;
	struct named_slot *known = sorted(running, count, false);
	struct named_slot *wanted = sorted(fresh, fresh->n_backends, true);
	uint32_t left = FWD_MAX_BACKEND_SLOTS;
	uint32_t slot = 0;
	bool ok = known != NULL && wanted != NULL;

	for (uint32_t i = 0; ok && i < fresh->n_backends; i++) {
		const struct named_slot *found =
			bsearch(&wanted[i], known, count, sizeof(*known), compare_names);

		// One that is listed twice is one backend.
		if (found != NULL)
			slot = found->slot;
		else if (i == 0 || wanted[i].name != wanted[i - 1].name)
			ok = take(now, next, cursor, &left, &slot);
		fresh->backends[wanted[i].slot].slot = slot;
	}
	free(known);
	free(wanted);
	return ok;
}
