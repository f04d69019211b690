// SPDX-License-Identifier: Apache-2.0

#include "worker_group.h"

size_t worker_group_size(const struct fwd_base *base) {
	(void)base;
	return sizeof(struct worker_group);
}

struct worker_group *worker_group_init(void *memory, const struct fwd_base *base) {
	struct worker_group *group = memory;

	group->n_workers = base->n_workers;
	return group;
}
