// SPDX-License-Identifier: Apache-2.0

#include "announce.h"

#include "arp_request.h"

#include <stddef.h>

static void note(struct announce_entry *entry, uint32_t address, uint8_t port) {
	entry->address = address;
	entry->port = port;
	entry->rounds = ANNOUNCE_ROUNDS;
	entry->last_s = 0;
}

void announce_init(struct announce *announce, const struct fwd_base *base) {
	struct announce_entry *entry = &announce->entries[FWD_MAX_LISTENERS];

	for (unsigned i = 0; i < base->n_local_addresses; i++) {
		uint32_t local = base->local_addresses[i];

		note(entry++, local, fwd_base_port_of(base, local));
	}
	for (uint8_t i = 0; i < base->n_ports; i++)
		note(entry++, base->ports[i].address, i);
}

// VIPs live on the first network.
static void see_listener(struct announce_entry *entry, const struct fwd_listener *listener) {
	uint32_t address = listener != NULL && listener->arp ? listener->vip : 0;

	if (entry->address != address)
		note(entry, address, 0);
}

unsigned announce_run(
	struct announce *announce,
	const struct fwd_base *base,
	const struct fwd_config *config,
	uint32_t now_s,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
) {
	unsigned made = 0;

	if (config->slots_end > announce->slots_end)
		announce->slots_end = config->slots_end;
	for (; count > 0 && made < max; count--) {
		// Slots that no listener has ever had are passed over.
		if (announce->cursor >= announce->slots_end && announce->cursor < FWD_MAX_LISTENERS)
			announce->cursor = FWD_MAX_LISTENERS;
		struct announce_entry *entry = &announce->entries[announce->cursor];

		if (announce->cursor < FWD_MAX_LISTENERS)
			see_listener(entry, config->listeners[announce->cursor]);
		announce->cursor = (announce->cursor + 1) % ANNOUNCE_ENTRIES;
		if (entry->address == 0 || entry->rounds == 0 || entry->last_s == now_s)
			continue;
		entry->rounds--;
		entry->last_s = now_s;
		arp_request_make(
			&base->ports[entry->port], entry->address, entry->address, &out[made]
		);
		out[made++].port_out = entry->port;
	}
	return made;
}
