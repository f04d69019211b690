// SPDX-License-Identifier: Apache-2.0

#include "source_ranges_build.h"

#include "json_address.h"

#include <stdlib.h>
#include <string.h>

#define ALLOWED "allowed_source_ranges"
#define DENIED "denied_source_ranges"

enum edge_kind {
	EDGE_START, // of the address space
	EDGE_ALLOW,
	EDGE_ALLOW_END,
	EDGE_DENY,
	EDGE_DENY_END,
	EDGE_KINDS,
};

// Where a prefix begins, or the address behind its last one.
struct edge {
	unsigned __int128 address;
	enum edge_kind kind;
};

static int compare_edges(const void *left, const void *right) {
	const struct edge *a = left, *b = right;

	return (a->address > b->address) - (a->address < b->address);
}

// A prefix that ends with the address space has no end here: there is nothing behind it.
static size_t sorted_edges(const struct source_prefix *prefixes, size_t count, struct edge *edges) {
	size_t found = 1;

	edges[0] = (struct edge){0, EDGE_START};
	for (size_t i = 0; i < count; i++) {
		const struct source_prefix *prefix = &prefixes[i];
		unsigned __int128 first = (unsigned __int128)prefix->high << 64 | prefix->low;
		unsigned __int128 end = 0;

		if (prefix->length > 0)
			end = first + ((unsigned __int128)1 << (128 - prefix->length));
		edges[found++] = (struct edge){first, prefix->denied ? EDGE_DENY : EDGE_ALLOW};
		if (end != 0)
			edges[found++] =
				(struct edge){end, prefix->denied ? EDGE_DENY_END : EDGE_ALLOW_END};
	}
	qsort(edges, found, sizeof(*edges), compare_edges);
	return found;
}

// Walks over the edges; a border is where what holds behind all edges of an address differs from what held before them. Borders take
// the places of edges that were passed.
static uint32_t find_borders(struct edge *edges, size_t count, bool takes_by_default) {
	uint32_t depth[EDGE_KINDS] = {0}, found = 0;
	bool taken = false;

	for (size_t i = 0; i < count; i++) {
		bool takes;

		depth[edges[i].kind]++;
		if (i + 1 < count && edges[i + 1].address == edges[i].address)
			continue;
		takes = (takes_by_default || depth[EDGE_ALLOW] > depth[EDGE_ALLOW_END])
			&& depth[EDGE_DENY] == depth[EDGE_DENY_END];
		if (takes != taken)
			edges[found++].address = edges[i].address;
		taken = takes;
	}
	return found;
}

static size_t border_size(bool ipv6) {
	return ipv6 ? sizeof(struct source_border6) : sizeof(uint32_t);
}

static struct source_ranges *with_borders(const struct edge *edges, uint32_t count, bool ipv6) {
	struct source_ranges *ranges = malloc(sizeof(*ranges) + count * border_size(ipv6));
	struct source_border6 *borders6;
	uint32_t *borders;

	if (ranges == NULL)
		return NULL;
	*ranges = (struct source_ranges){.references = 1, .n_borders = count};
	if (ipv6) {
		ranges->borders6 = borders6 = (struct source_border6 *)(ranges + 1);
		for (uint32_t i = 0; i < count; i++)
			borders6[i] = (struct source_border6
			){(uint64_t)(edges[i].address >> 64), (uint64_t)edges[i].address};
	} else {
		ranges->borders = borders = (uint32_t *)(ranges + 1);
		for (uint32_t i = 0; i < count; i++)
			borders[i] = (uint32_t)(edges[i].address >> 96);
	}
	return ranges;
}

struct source_ranges *
source_ranges_build(const struct source_prefix *prefixes, size_t count, bool ipv6) {
	struct edge *edges = calloc(2 * count + 1, sizeof(*edges));
	struct source_ranges *ranges;
	bool takes_by_default = true;
	size_t n_edges;

	if (edges == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		takes_by_default &= prefixes[i].denied;
	n_edges = sorted_edges(prefixes, count, edges);
	ranges = with_borders(edges, find_borders(edges, n_edges, takes_by_default), ipv6);
	free(edges);
	return ranges;
}

static bool read_prefix(const struct json_node *node, bool ipv6, struct source_prefix *prefix) {
	struct ipv6_address address6;
	uint32_t address;

	if (ipv6) {
		if (!json_value_ipv6_network(node, &address6, &prefix->length))
			return false;
		prefix->high = ipv6_half(address6.high);
		prefix->low = ipv6_half(address6.low);
		return true;
	}
	if (!json_value_ipv4_network(node, &address, &prefix->length))
		return false;
	prefix->high = (uint64_t)address << 32;
	return true;
}

static bool read_prefixes(
	const struct json_node *array, bool denied, bool ipv6, struct source_prefix *prefixes
) {
	size_t count = json_array_size(array->value);
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		struct json_node node = json_node_element(array, i);

		prefixes[i].denied = denied;
		ok &= read_prefix(&node, ipv6, &prefixes[i]);
	}
	return ok;
}

// The running ones where they are the same: a reload for the sake of a backend costs no memory.
static struct source_ranges *
shared(struct source_ranges *fresh, bool ipv6, struct source_ranges *running) {
	if (running == NULL || fresh->n_borders != running->n_borders
	    || memcmp(fresh->borders, running->borders, fresh->n_borders * border_size(ipv6)) != 0)
		return fresh;
	free(fresh);
	running->references++;
	return running;
}

bool source_ranges_read(
	const struct json_node *root,
	bool ipv6,
	struct source_ranges *running,
	struct source_ranges **ranges
) {
	struct source_prefix *prefixes;
	struct json_node allowed, denied;
	size_t n_allowed, count;
	bool ok = json_read_optional_array(root, ALLOWED, SOURCE_RANGES_MAX, &allowed)
		&& json_read_optional_array(root, DENIED, SOURCE_RANGES_MAX, &denied);

	*ranges = NULL;
	if (!ok)
		return false;
	n_allowed = json_array_size(allowed.value);
	count = n_allowed + json_array_size(denied.value);
	if (count == 0)
		return true;
	if (count > SOURCE_RANGES_MAX) {
		json_node_error(
			&denied, "is, with " ALLOWED ", more than %d prefixes", SOURCE_RANGES_MAX
		);
		return false;
	}
	prefixes = calloc(count, sizeof(*prefixes));
	if (prefixes == NULL) {
		json_node_error(&allowed, "no memory");
		return false;
	}
	ok = read_prefixes(&allowed, false, ipv6, prefixes);
	ok &= read_prefixes(&denied, true, ipv6, prefixes + n_allowed);
	if (ok)
		*ranges = source_ranges_build(prefixes, count, ipv6);
	free(prefixes);
	if (ok && *ranges == NULL)
		json_node_error(&allowed, "no memory");
	if (*ranges != NULL)
		*ranges = shared(*ranges, ipv6, running);
	return *ranges != NULL;
}

void source_ranges_free(struct source_ranges *ranges) {
	if (ranges != NULL && --ranges->references == 0)
		free(ranges);
}
