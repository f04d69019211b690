// SPDX-License-Identifier: Apache-2.0

#include "flow_memory.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool open_heap(struct flow_memory *memory, const struct fwd_base *base, const int *sockets) {
	memory->neighbours =
		rte_zmalloc("neighbours", sizeof(*memory->neighbours), RTE_CACHE_LINE_SIZE);
	for (unsigned i = 0; memory->neighbours != NULL && i < base->n_workers; i++) {
		memory->flows[i] = rte_zmalloc_socket(
			"flows", worker_flows_size(base), RTE_CACHE_LINE_SIZE, sockets[i]
		);
		if (memory->flows[i] == NULL)
			return false;
	}
	return memory->neighbours != NULL;
}

bool flow_memory_open(
	struct flow_memory *memory,
	const char *path,
	const struct fwd_base *base,
	struct flow_clock *clock,
	const int *sockets
) {
	char reason[192];

	*memory = (struct flow_memory){.file.fd = -1};
	snprintf(memory->verdict, sizeof(memory->verdict), "off");
	if (path == NULL)
		return open_heap(memory, base, sockets);
	if (!flow_file_open(&memory->file, path, base, clock, reason, sizeof(reason))) {
		snprintf(memory->verdict, sizeof(memory->verdict), "off: %s", reason);
		fprintf(stderr, "skylane-fwd: flows will not outlive this process: %s\n", reason);
		return open_heap(memory, base, sockets);
	}
	memcpy(memory->verdict, memory->file.verdict, sizeof(memory->verdict));
	memory->neighbours = memory->file.neighbours;
	memcpy(memory->flows, memory->file.flows, sizeof(memory->flows));
	return true;
}

struct adopter {
	struct lcore_worker *worker;
	const struct backend_index *backends;
	struct adoption *adoption;
	uint32_t now_s;
};

static int adopt(void *argument) {
	const struct adopter *adopter = argument;

	worker_adopt(adopter->worker->core, adopter->backends, adopter->now_s, adopter->adoption);
	return 0;
}

static void adopt_all(
	struct flow_memory *memory,
	struct lcore_worker *const *workers,
	const struct backend_index *backends,
	uint32_t now_s
) {
	struct adopter adopters[FWD_MAX_WORKERS];
	unsigned n = 0, lcore;

	RTE_LCORE_FOREACH_WORKER(lcore) {
		if (n == FWD_MAX_WORKERS || workers[n] == NULL)
			break;
		adopters[n] = (struct adopter){workers[n], backends, &memory->adoptions[n], now_s};
		rte_eal_remote_launch(adopt, &adopters[n], lcore);
		n++;
	}
	rte_eal_mp_wait_lcore();
}

static void tell(const struct flow_memory *memory) {
	struct adoption all = {0};

	for (unsigned i = 0; i < FWD_MAX_WORKERS; i++) {
		all.adopted += memory->adoptions[i].adopted;
		all.ended += memory->adoptions[i].ended;
		all.damaged += memory->adoptions[i].damaged;
	}
	fprintf(stderr,
		"skylane-fwd: flows of the process before: %u adopted, %u ended, %u damaged\n",
		all.adopted,
		all.ended,
		all.damaged);
}

bool flow_memory_adopt(
	struct flow_memory *memory,
	struct lcore_worker *const *workers,
	const struct fwd_config *config,
	uint32_t now_s
) {
	uint64_t begin_tsc = rte_rdtsc();
	struct backend_index backends;
	void *entries;

	if (memory->file.before != NULL) {
		entries = calloc(1, backend_index_size(config));
		if (entries == NULL)
			return false;
		backend_index_init(&backends, entries, config);
		adopt_all(memory, workers, &backends, now_s);
		free(entries);
		memory->adoption_us = (rte_rdtsc() - begin_tsc) * US_PER_S / rte_get_tsc_hz();
		tell(memory);
	} else if (strncmp(memory->verdict, "refused", 7) == 0) {
		fprintf(stderr, "skylane-fwd: flows of the process before are %s\n", memory->verdict
		);
	}
	flow_file_settle(&memory->file);
	return true;
}

void flow_memory_close(struct flow_memory *memory) {
	if (memory->file.header == NULL) {
		for (unsigned i = 0; i < FWD_MAX_WORKERS; i++)
			rte_free(memory->flows[i]);
		rte_free(memory->neighbours);
	}
	flow_file_close(&memory->file);
	memset(memory->flows, 0, sizeof(memory->flows));
	memory->neighbours = NULL;
}
