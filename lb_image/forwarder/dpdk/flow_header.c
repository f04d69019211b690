// SPDX-License-Identifier: Apache-2.0

#include "flow_header.h"

#include <flow_table.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAGIC 0x53574f4c464c4b53u // "SKLFLOWS"

_Static_assert(
	offsetof(struct flow_header, layout) == 8 && offsetof(struct flow_header, checksum) == 16,
	"what is read before the layout is known"
);

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool
refuse(const struct reason *why, const char *format, ...) {
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, why->size, format, arguments);
	va_end(arguments);
	return false;
}

// FNV-1a.
static uint64_t checksum_of(const struct flow_header *header) {
	const uint8_t *at = (const uint8_t *)&header->start_tsc;
	const uint8_t *end = (const uint8_t *)(header + 1);
	uint64_t hash = 0xcbf29ce484222325u;

	for (; at < end; at++)
		hash = (hash ^ *at) * 0x100000001b3u;
	return hash;
}

void flow_header_make(
	struct flow_header *header,
	const struct fwd_base *base,
	const struct flow_clock *clock,
	const char *boot_id,
	uint64_t size
) {
	memset(header, 0, sizeof(*header));
	header->magic = MAGIC;
	header->layout = FLOW_LAYOUT;
	header->start_tsc = clock->start_tsc;
	header->tsc_per_ms = clock->tsc_per_ms;
	header->size = size;
	snprintf(header->boot_id, sizeof(header->boot_id), "%s", boot_id);
	header->n_workers = base->n_workers;
	header->max_flows_per_worker = base->max_flows_per_worker;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
		header->steered[ipv6] = fwd_steering(base, ipv6) != NULL;
	header->n_peers = base->sync.n_peers;
	header->n_local_addresses = fwd_all_local_addresses(base, false);
	header->n_local_addresses6 = fwd_all_local_addresses(base, true);
	memcpy(header->local_addresses,
	       base->local_addresses,
	       header->n_local_addresses * sizeof(base->local_addresses[0]));
	memcpy(header->local_addresses6,
	       base->local_addresses6,
	       header->n_local_addresses6 * sizeof(base->local_addresses6[0]));
	header->checksum = checksum_of(header);
}

static bool
number_fits(const struct reason *why, const char *field, uint64_t found, uint64_t wanted) {
	return found == wanted
		|| refuse(why, "%s was %" PRIu64 " and is %" PRIu64 " now", field, found, wanted);
}

static bool addresses_fit(
	const struct flow_header *found, const struct flow_header *wanted, const struct reason *why
) {
	char before[INET6_ADDRSTRLEN], now[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < wanted->n_local_addresses + wanted->n_local_addresses6; i++) {
		unsigned j = i - wanted->n_local_addresses;
		bool ipv6 = i >= wanted->n_local_addresses;
		struct ipv6_address a =
			ipv6 ? found->local_addresses6[j] : ipv6_mapped(found->local_addresses[i]);
		struct ipv6_address b = ipv6 ? wanted->local_addresses6[j]
					     : ipv6_mapped(wanted->local_addresses[i]);

		if (!ipv6_equal(&a, &b))
			return refuse(
				why,
				"local_addresses[%u] was %s and is %s now",
				i,
				ipv6_text(&a, before),
				ipv6_text(&b, now)
			);
	}
	return true;
}

// What may differ because somebody wanted it so comes after what may not.
bool flow_header_fits(
	const struct flow_header *found, const struct flow_header *wanted, char *text, size_t size
) {
	const struct reason why = {text, size};

	if (found->magic != wanted->magic)
		return refuse(
			&why,
			"magic is %016" PRIx64 ", not %016" PRIx64 ": no file of ours",
			found->magic,
			wanted->magic
		);
	if (!number_fits(&why, "layout", found->layout, wanted->layout))
		return false;
	if (found->checksum != checksum_of(found))
		return refuse(
			&why,
			"checksum is %016" PRIx64 ", not %016" PRIx64 ": the header is damaged",
			found->checksum,
			checksum_of(found)
		);
	if (found->in_hand != 0)
		return refuse(&why, "in_hand is 1, not 0: a process ended while it took the flows");
	if (strcmp(found->boot_id, wanted->boot_id) != 0 || found->start_tsc > wanted->start_tsc)
		return refuse(
			&why, "boot_id was %.39s and is %.39s now", found->boot_id, wanted->boot_id
		);
	return number_fits(&why, "workers", found->n_workers, wanted->n_workers)
		&& number_fits(
			&why,
			"max_flows_per_worker",
			found->max_flows_per_worker,
			wanted->max_flows_per_worker
		)
		&& number_fits(&why, "sync.peers", found->n_peers, wanted->n_peers)
		&& number_fits(
			&why,
			"local_addresses of IPv4",
			found->n_local_addresses,
			wanted->n_local_addresses
		)
		&& number_fits(
			&why,
			"local_addresses of IPv6",
			found->n_local_addresses6,
			wanted->n_local_addresses6
		)
		&& addresses_fit(found, wanted, &why)
		&& number_fits(&why, "steering by rss", found->steered[0], wanted->steered[0])
		&& number_fits(&why, "steering6 by rss", found->steered[1], wanted->steered[1])
		&& number_fits(&why, "size", found->size, wanted->size);
}
