// SPDX-License-Identifier: Apache-2.0

#include "packet_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#define NAME "packets"

static struct rte_mempool *failed(struct rte_mempool *pool, int error) {
	rte_mempool_free(pool);
	rte_errno = error;
	return NULL;
}

// As rte_pktmbuf_pool_create(), which has no way to say that buffers need not keep within pages.
static struct rte_mempool *make_packed(unsigned count, int socket) {
	struct rte_pktmbuf_pool_private layout = {.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE};
	struct rte_mempool *pool = rte_mempool_create_empty(
		NAME,
		count,
		sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
		PACKET_POOL_CACHE,
		sizeof(layout),
		socket,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG
	);
	int result;

	if (pool == NULL)
		return NULL;
	result = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (result != 0)
		return failed(pool, -result);
	rte_pktmbuf_pool_init(pool, &layout);
	result = rte_mempool_populate_default(pool);
	if (result < 0)
		return failed(pool, -result);
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

struct rte_mempool *packet_pool_make(unsigned count, int socket, bool packed) {
	if (packed)
		return make_packed(count, socket);
	return rte_pktmbuf_pool_create(
		NAME, count, PACKET_POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, socket
	);
}
