// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "flow_memory.h"
#include "lcore.h"
#include "options.h"

#include <base.h>

struct steering_choice {
	struct steering steering; // in use when the base points to it
	char reason[192];         // why it is, or is not
};

// EAL, ports and worker threads. All of it belongs to the control thread but for what lcore.h says.
struct dataplane {
	struct fwd_base base; // with the MAC addresses of the ports
	struct lcore_shared shared;
	struct flow_memory memory; // next hops and flows
	struct worker_group *group;
	struct steering_choice steering[2]; // of IPv4, of IPv6
	struct rte_mempool *pool;
	uint16_t port_ids[FWD_MAX_PORTS];
	uint16_t n_open_ports;
	struct lcore_worker *workers[FWD_MAX_WORKERS];
};

// Starts forwarding `first`. The calling thread becomes EAL's main lcore and must be the one that calls
// the other functions. NULL with the reason in `error`; EAL cannot be started a second time.
struct dataplane *dataplane_open(
	const struct options *options,
	const struct base_config *config,
	const struct fwd_config *first,
	char *error,
	size_t error_size
);

// Makes `next` the configuration of all workers. Returns when none of them can still see the one
// before, which the caller may then free.
void dataplane_publish(struct dataplane *dataplane, const struct fwd_config *next);

// Who is cut off from its segment cannot know who owns a VIP there. To be called several times a second.
void dataplane_watch_link(struct dataplane *dataplane);

// Ends the workers and closes the ports.
void dataplane_close(struct dataplane *dataplane);
