// SPDX-License-Identifier: Apache-2.0

#include "worker_group.h"

#define CLIENTS_MIN 64
#define CLIENTS_MAX (1u << 20)

static size_t own_size(void) {
	return (sizeof(struct worker_group) + 63) & ~(size_t)63;
}

uint32_t worker_group_clients(uint64_t flows) {
	uint32_t entries = CLIENTS_MIN;

	while (entries < flows && entries < CLIENTS_MAX)
		entries <<= 1;
	return entries;
}

static size_t vips_size(void) {
	return (sizeof(struct vip_table) + 63) & ~(size_t)63;
}

static uint32_t clients_of(const struct fwd_base *base) {
	return worker_group_clients((uint64_t)base->max_flows_per_worker * base->n_workers);
}

size_t worker_group_size(const struct fwd_base *base) {
	return own_size() + 2 * client_table_size(clients_of(base)) + vips_size()
		+ (base->sync.enabled ? sizeof(struct local_owner) : 0);
}

struct worker_group *worker_group_init(void *memory, const struct fwd_base *base, uint64_t seed) {
	struct worker_group *group = memory;
	uint8_t *at = (uint8_t *)memory + own_size();

	group->n_workers = base->n_workers;
	group->seed = seed;
	client_table_init(&group->affinity, at, clients_of(base));
	at += client_table_size(clients_of(base));
	client_table_init(&group->rates, at, clients_of(base));
	at += client_table_size(clients_of(base));
	group->vips = (struct vip_table *)at;
	if (base->sync.enabled) {
		group->locals = (struct local_owner *)(at + vips_size());
		local_owner_init(group->locals, &group->peers, &group->vips->clock);
	}
	return group;
}
