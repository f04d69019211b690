// SPDX-License-Identifier: Apache-2.0

#include "backend_slots.h"

#include <stdlib.h>
#include <string.h>

struct named_slot {
	struct backend_name {
		struct ipv6_address address;
		uint16_t port;
	} name;
	uint32_t slot;
};

static struct backend_name
name_of(const struct fwd_listener *listener, const struct fwd_backend *backend) {
	return (struct backend_name){fwd_backend_address(listener, backend), backend->port};
}

static int compare_names(const void *left, const void *right) {
	const struct named_slot *a = left, *b = right;

	int order = memcmp(&a->name.address, &b->name.address, sizeof(a->name.address));

	return order != 0 ? order : (int)a->name.port - (int)b->name.port;
}

// The backends by name; their slots, or, where they have none yet, their indexes.
static struct named_slot *
sorted(const struct fwd_listener *listener, uint32_t count, bool indexes) {
	struct named_slot *items = calloc(count + 1, sizeof(*items));

	for (uint32_t i = 0; items != NULL && i < count; i++)
		items[i] = (struct named_slot
		){name_of(listener, &listener->backends[i]),
		  indexes ? i : listener->backends[i].slot};
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
		else if (i == 0 || compare_names(&wanted[i], &wanted[i - 1]) != 0)
			ok = take(now, next, cursor, &left, &slot);
		fresh->backends[wanted[i].slot].slot = slot;
	}
	free(known);
	free(wanted);
	return ok;
}
