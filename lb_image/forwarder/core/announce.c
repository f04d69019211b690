// SPDX-License-Identifier: Apache-2.0

#include "announce.h"

#include "arp_request.h"
#include "nd_make.h"

static void note(struct announce *announce, struct ipv6_address address, uint8_t port) {
	announce->entries[announce->count++] = (struct announce_entry
	){.address = address, .port = port, .rounds = ANNOUNCE_ROUNDS};
}

static void note_locals(struct announce *announce, const struct fwd_base *base) {
	for (unsigned i = 0; i < base->n_local_addresses; i++) {
		uint32_t local = base->local_addresses[i];

		note(announce, ipv6_mapped(local), fwd_base_port_of(base, local));
	}
	for (unsigned i = 0; i < base->n_local_addresses6; i++) {
		const struct ipv6_address *local = &base->local_addresses6[i];

		note(announce, *local, fwd_base_port_of6(base, local));
	}
}

// With session sync local addresses are announced when they are ours: local_owner.h.
void announce_init(struct announce *announce, const struct fwd_base *base) {
	if (!base->sync.enabled)
		note_locals(announce, base);
	for (uint8_t i = 0; i < base->n_ports; i++) {
		if (base->ports[i].address != 0)
			note(announce, ipv6_mapped(base->ports[i].address), i);
		if (fwd_port_has_ipv6(&base->ports[i]))
			note(announce, base->ports[i].address6, i);
	}
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
	uint32_t now_s,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
) {
	unsigned made = 0;

	for (; count > 0 && made < max && announce->count > 0; count--) {
		struct announce_entry *entry = &announce->entries[announce->cursor];

		announce->cursor = (announce->cursor + 1) % announce->count;
		if (entry->rounds == 0 || entry->last_s == now_s)
			continue;
		entry->rounds--;
		entry->last_s = now_s;
		announce_make(&base->ports[entry->port], &entry->address, &out[made]);
		out[made++].port_out = entry->port;
	}
	return made;
}
