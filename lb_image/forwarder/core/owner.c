// SPDX-License-Identifier: Apache-2.0

// Which worker has the flow of a packet that came to another one: the NIC's hash is unknown, or it hashes fragments and ICMP
// errors by other fields than the rest of their flow.

#include "worker_internal.h"

#include <arpa/inet.h>

static uint16_t owner_by_port(const struct fwd_worker *worker, uint16_t local_port) {
	uint32_t port = ntohs(local_port);
	uint32_t owner;

	if (port < FWD_LOCAL_PORT_MIN)
		return worker->index;
	owner = (port - FWD_LOCAL_PORT_MIN) / fwd_ports_per_worker(worker->base);
	return owner < worker->base->n_workers ? (uint16_t)owner : worker->index;
}

// Clients come in on the first port: its hash is known only where that is the steered one.
bool worker_owner_of_client_is_known(const struct fwd_worker *worker) {
	const struct fwd_base *base = worker->base;

	return base->n_workers == 1
		|| (base->steering != NULL && fwd_base_port_of(base, base->local_addresses[0]) == 0
		);
}

uint16_t worker_owner(
	const struct fwd_worker *worker,
	uint32_t src,
	uint16_t src_port,
	uint32_t dst,
	uint16_t dst_port
) {
	const struct steering *steering = worker->base->steering;
	const struct own_address *own = own_address_find(worker, dst);
	bool is_reply = own != NULL && own->local_index != FWD_NO_SLOT;

	if (steering == NULL)
		return is_reply ? owner_by_port(worker, dst_port) : worker->index;
	if (!is_reply && !worker_owner_of_client_is_known(worker))
		return worker->index;
	return (uint16_t)steering_worker(
		steering,
		steering_source(steering, src, src_port)
			^ steering_destination(steering, dst, dst_port)
	);
}
