// SPDX-License-Identifier: Apache-2.0

#include "announce.h"

#include "arp_request.h"
#include "nd_make.h"

#include <stddef.h>

static void note(struct announce_entry *entry, const struct ipv6_address *address, uint8_t port) {
	entry->address = *address;
	entry->port = port;
	entry->rounds = ANNOUNCE_ROUNDS;
	entry->last_s = 0;
}

static void note4(struct announce_entry *entry, uint32_t address, uint8_t port) {
	struct ipv6_address mapped = ipv6_mapped(address);

	note(entry, &mapped, port);
}

void announce_init(struct announce *announce, const struct fwd_base *base) {
	struct announce_entry *entry = &announce->entries[FWD_MAX_LISTENERS];

	for (unsigned i = 0; i < base->n_local_addresses; i++) {
		uint32_t local = base->local_addresses[i];

		note4(entry++, local, fwd_base_port_of(base, local));
	}
	for (unsigned i = 0; i < base->n_local_addresses6; i++) {
		const struct ipv6_address *local = &base->local_addresses6[i];

		note(entry++, local, fwd_base_port_of6(base, local));
	}
	for (uint8_t i = 0; i < base->n_ports; i++) {
		if (base->ports[i].address != 0)
			note4(entry++, base->ports[i].address, i);
		if (fwd_port_has_ipv6(&base->ports[i]))
			note(entry++, &base->ports[i].address6, i);
	}
}

// VIPs live on the first network.
static void see_listener(struct announce_entry *entry, const struct fwd_listener *listener) {
	struct ipv6_address address = {0, 0};

	if (listener != NULL && listener->arp)
		address = fwd_listener_vip(listener);
	if (!ipv6_equal(&entry->address, &address))
		note(entry, &address, 0);
}

static void announce_make(
	const struct fwd_port *port, const struct ipv6_address *address, struct fwd_emit *out
) {
	uint32_t ipv4 = ipv6_to_ipv4(address);

	if (ipv6_is_mapped(address))
		arp_request_make(port, ipv4, ipv4, out);
	else
		nd_announcement_make(port, address, out);
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
		if (ipv6_is_unspecified(&entry->address) || entry->rounds == 0
		    || entry->last_s == now_s)
			continue;
		entry->rounds--;
		entry->last_s = now_s;
		announce_make(&base->ports[entry->port], &entry->address, &out[made]);
		out[made++].port_out = entry->port;
	}
	return made;
}
