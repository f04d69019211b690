// SPDX-License-Identifier: Apache-2.0

#include "gateway_probe.h"

#include "arp_request.h"
#include "headers.h"
#include "nd_make.h"

#include <string.h>

void gateway_probe_want(struct gateway_probe *probe, uint64_t now_ms) {
	atomic_store_explicit(
		&probe->wanted_until_ms, now_ms + GATEWAY_PROBE_WANTED_MS, memory_order_relaxed
	);
}

uint64_t
gateway_probe_silence(const struct gateway_probe *probe, bool ipv6, uint8_t port, uint64_t now_ms) {
	uint64_t heard_ms =
		atomic_load_explicit(&probe->heard_ms[ipv6][port], memory_order_relaxed);

	if (heard_ms == 0)
		return GATEWAY_NEVER;
	return now_ms > heard_ms ? now_ms - heard_ms : 0;
}

void gateway_probe_hear(
	struct gateway_probe *probe,
	const struct fwd_base *base,
	uint8_t port,
	const struct ipv6_address *address,
	uint64_t now_ms
) {
	bool ipv6 = !ipv6_is_mapped(address);
	struct ipv6_address gateway =
		ipv6 ? base->ports[port].gateway6 : ipv6_mapped(base->ports[port].gateway);

	if (ipv6_equal(address, &gateway))
		atomic_store_explicit(&probe->heard_ms[ipv6][port], now_ms, memory_order_relaxed);
}

static void
request_make(const struct fwd_port *port, uint64_t mac, bool ipv6, struct fwd_emit *out) {
	if (ipv6)
		nd_solicitation_make(port, &port->gateway6, &port->gateway6, out);
	else
		arp_request_make(port, port->address, port->gateway, out);
	memcpy(out->data, &mac, ETHER_ADDR_SIZE);
}

unsigned gateway_probe_run(
	struct gateway_probe *probe,
	const struct fwd_base *base,
	const struct neighbour_table *neighbours,
	const uint16_t *const gateways[2],
	uint64_t now_ms,
	struct fwd_emit *out,
	unsigned max
) {
	unsigned made = 0;

	if (now_ms >= atomic_load_explicit(&probe->wanted_until_ms, memory_order_relaxed)
	    || now_ms - probe->sent_ms < GATEWAY_PROBE_MS)
		return 0;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		for (uint8_t port = 0; port < base->n_ports && made < max; port++) {
			uint16_t index = gateways[ipv6][port];
			uint64_t mac =
				index == NEIGHBOUR_NONE ? 0 : neighbour_mac(neighbours, index);

			if (mac == 0)
				continue;
			request_make(&base->ports[port], mac, ipv6, &out[made]);
			out[made++].port_out = port;
		}
	}
	probe->sent_ms = now_ms;
	return made;
}
