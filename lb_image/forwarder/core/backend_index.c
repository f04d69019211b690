// SPDX-License-Identifier: Apache-2.0

#include "backend_index.h"

#include "flow_table.h"

#define ENTRIES_MIN 16

static uint32_t entries_for(const struct fwd_config *config) {
	uint32_t backends = 0, entries = ENTRIES_MIN;

	for (uint32_t slot = 0; slot < config->slots_end; slot++) {
		if (config->listeners[slot] != NULL)
			backends += config->listeners[slot]->n_backends;
	}
	while (entries < 2 * backends)
		entries <<= 1;
	return entries;
}

size_t backend_index_size(const struct fwd_config *config) {
	return entries_for(config) * sizeof(struct backend_entry);
}

// Of one that is listed twice the first is found.
static struct backend_entry *entry_of(
	const struct backend_index *index,
	const struct fwd_listener *listener,
	const struct ipv6_address *address,
	uint16_t port
) {
	uint64_t place = flow_mix(
		address->high ^ address->low ^ 0x9e3779b97f4a7c15u,
		((uint64_t)listener->index << 16 | port) ^ 0xbf58476d1ce4e5b9u
	);
	struct backend_entry *entry;

	for (uint32_t i = (uint32_t)place;; i++) {
		const struct fwd_backend *backend;
		struct ipv6_address found;

		entry = &index->entries[i & index->mask];
		if (entry->backend == 0)
			return entry;
		if (entry->listener != listener->index)
			continue;
		backend = &listener->backends[entry->backend - 1];
		found = fwd_backend_address(listener, backend);
		if (backend->port == port && ipv6_equal(&found, address))
			return entry;
	}
}

void backend_index_init(
	struct backend_index *index, void *memory, const struct fwd_config *config
) {
	*index = (struct backend_index){config, memory, entries_for(config) - 1};
	for (uint32_t slot = 0; slot < config->slots_end; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];

		for (uint32_t i = 0; listener != NULL && i < listener->n_backends; i++) {
			const struct fwd_backend *backend = &listener->backends[i];
			struct ipv6_address address = fwd_backend_address(listener, backend);
			struct backend_entry *entry =
				entry_of(index, listener, &address, backend->port);

			if (entry->backend == 0)
				*entry = (struct backend_entry){(uint16_t)slot, (uint16_t)(i + 1)};
		}
	}
}

const struct fwd_backend *backend_index_find(
	const struct backend_index *index,
	const struct fwd_listener *listener,
	const struct ipv6_address *address,
	uint16_t port
) {
	const struct backend_entry *entry = entry_of(index, listener, address, port);

	return entry->backend == 0 ? NULL : &listener->backends[entry->backend - 1];
}
