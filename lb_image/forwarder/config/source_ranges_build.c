// SPDX-License-Identifier: Apache-2.0

#include "source_ranges_build.h"

#include "json_address.h"

#include <stdlib.h>
#include <string.h>

#define ALLOWED "allowed_source_ranges"
#define DENIED "denied_source_ranges"

// Where a prefix begins or ends, in one number that sorts by address: address << 2 | kind. An end is the address behind the last
// one, which for the end of the address space needs a bit more than an address has.
enum edge {
	EDGE_ALLOW,
	EDGE_ALLOW_END,
	EDGE_DENY,
	EDGE_DENY_END,
};

static int compare_edges(const void *left, const void *right) {
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static uint64_t *sorted_edges(const struct source_prefix *prefixes, size_t count) {
	uint64_t *edges = calloc(2 * count + 1, sizeof(*edges));

	for (size_t i = 0; edges != NULL && i < count; i++) {
		uint64_t first = prefixes[i].address, size = 1ull << (32 - prefixes[i].length);

		edges[2 * i] = first << 2 | (prefixes[i].denied ? EDGE_DENY : EDGE_ALLOW);
		edges[2 * i + 1] =
			(first + size) << 2 | (prefixes[i].denied ? EDGE_DENY_END : EDGE_ALLOW_END);
	}
	if (edges != NULL)
		qsort(edges, 2 * count, sizeof(*edges), compare_edges);
	return edges;
}

// Walks over the edges; a border is where what holds behind all edges of an address differs from what held before them.
static uint32_t
find_borders(const uint64_t *edges, size_t count, bool takes_by_default, uint32_t *borders) {
	uint32_t depth[4] = {0}, found = 0;
	bool taken = false;

	for (size_t i = 0; i <= count; i++) {
		uint64_t address = i == 0 ? 0 : edges[i - 1] >> 2;
		bool takes;

		if (i > 0)
			depth[edges[i - 1] & 3]++;
		if (i < count && edges[i] >> 2 == address)
			continue;
		takes = (takes_by_default || depth[EDGE_ALLOW] > depth[EDGE_ALLOW_END])
			&& depth[EDGE_DENY] == depth[EDGE_DENY_END];
		if (takes != taken && address <= UINT32_MAX)
			borders[found++] = (uint32_t)address;
		taken = takes;
	}
	return found;
}

struct source_ranges *source_ranges_build(const struct source_prefix *prefixes, size_t count) {
	uint64_t *edges = sorted_edges(prefixes, count);
	struct source_ranges *ranges =
		calloc(1, sizeof(*ranges) + (2 * count + 1) * sizeof(ranges->borders[0]));
	struct source_ranges *fitting = NULL;
	bool takes_by_default = true;

	for (size_t i = 0; i < count; i++)
		takes_by_default &= prefixes[i].denied;
	if (edges != NULL && ranges != NULL) {
		ranges->references = 1;
		ranges->n_borders =
			find_borders(edges, 2 * count, takes_by_default, ranges->borders);
		fitting =
			realloc(ranges,
				sizeof(*ranges) + ranges->n_borders * sizeof(ranges->borders[0]));
	}
	if (fitting == NULL)
		free(ranges);
	free(edges);
	return fitting;
}

static bool
read_prefixes(const struct json_node *array, bool denied, struct source_prefix *prefixes) {
	size_t count = json_array_size(array->value);
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		struct json_node node = json_node_element(array, i);

		prefixes[i].denied = denied;
		ok &= json_value_ipv4_network(&node, &prefixes[i].address, &prefixes[i].length);
	}
	return ok;
}

// The running ones where they are the same: a reload for the sake of a backend costs no memory.
static struct source_ranges *shared(struct source_ranges *fresh, struct source_ranges *running) {
	if (running == NULL || fresh->n_borders != running->n_borders
	    || memcmp(fresh->borders, running->borders, fresh->n_borders * sizeof(fresh->borders[0])
	       ) != 0)
		return fresh;
	free(fresh);
	running->references++;
	return running;
}

bool source_ranges_read(
	const struct json_node *root, struct source_ranges *running, struct source_ranges **ranges
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
	ok = read_prefixes(&allowed, false, prefixes);
	ok &= read_prefixes(&denied, true, prefixes + n_allowed);
	if (ok)
		*ranges = source_ranges_build(prefixes, count);
	free(prefixes);
	if (ok && *ranges == NULL)
		json_node_error(&allowed, "no memory");
	if (*ranges != NULL)
		*ranges = shared(*ranges, running);
	return *ranges != NULL;
}

void source_ranges_free(struct source_ranges *ranges) {
	if (ranges != NULL && --ranges->references == 0)
		free(ranges);
}
