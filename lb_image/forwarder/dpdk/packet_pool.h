// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <rte_mempool.h>

#include <stdbool.h>

// A pool of packet buffers, each worker with a cache of PACKET_POOL_CACHE; NULL with rte_errno. `packed`: buffers follow one another
// without gaps, across the borders of pages.
#define PACKET_POOL_CACHE 256

struct rte_mempool *packet_pool_make(unsigned count, int socket, bool packed);
