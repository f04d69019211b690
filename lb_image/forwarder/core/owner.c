// SPDX-License-Identifier: Apache-2.0

// Which worker has the flow of a packet that came to another one: the NIC's hash is unknown, or it hashes fragments and ICMP
// errors by other fields than the rest of their flow.

#include "worker_internal.h"

#include <arpa/inet.h>
#include <string.h>

// Errors that a worker passes on a second because it cannot tell whose they are: each may be looked at by all.
#define ERRORS_PASSED_PER_S 1000

static uint16_t owner_by_port(const struct fwd_worker *worker, uint16_t local_port, bool ipv6) {
	uint32_t port = ntohs(local_port);
	uint32_t owner;

	if (port < FWD_LOCAL_PORT_MIN)
		return worker->index;
	owner = (port - FWD_LOCAL_PORT_MIN) / fwd_ports_per_worker(worker->base, ipv6);
	return owner < worker->base->n_workers ? (uint16_t)owner : worker->index;
}

// Clients come in on the first port: its hash is known only where that is the steered one.
bool worker_owner_of_client_is_known(const struct fwd_worker *worker, bool ipv6) {
	const struct fwd_base *base = worker->base;

	return base->n_workers == 1
		|| (fwd_steering(base, ipv6) != NULL && fwd_base_local_port(base, ipv6, 0) == 0);
}

// The worker that the quoted packet, turned round, names is mostly the right one; where it cannot be named, the error goes to all
// workers, one after the other.
bool packet_pass_error(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	uint16_t owner,
	bool about_reply,
	bool ipv6
) {
	uint16_t n_workers = worker->base->n_workers;

	if (packet_hand_over(worker, packet, owner))
		return true;
	if (!about_reply || worker_owner_of_client_is_known(worker, ipv6)
	    || packet->hand_overs + 1 >= n_workers
	    || !budget_take(&worker->errors_passed, worker->now_s, ERRORS_PASSED_PER_S))
		return false;
	packet_give(packet, (uint16_t)((worker->index + 1) % n_workers));
	return true;
}

static const struct own_address *
own_of(const struct fwd_worker *worker, const void *address, bool ipv6) {
	uint32_t ipv4;

	if (ipv6)
		return own_address6_find(worker, address);
	memcpy(&ipv4, address, sizeof(ipv4));
	return own_address_find(worker, ipv4);
}

uint16_t worker_owner(
	const struct fwd_worker *worker,
	bool ipv6,
	const void *src,
	uint16_t src_port,
	const void *dst,
	uint16_t dst_port
) {
	const struct steering *steering = fwd_steering(worker->base, ipv6);
	const struct own_address *own = own_of(worker, dst, ipv6);
	bool is_reply = own != NULL && own->local_index != FWD_NO_SLOT;

	if (steering == NULL)
		return is_reply ? owner_by_port(worker, dst_port, ipv6) : worker->index;
	if (!is_reply && !worker_owner_of_client_is_known(worker, ipv6))
		return worker->index;
	return (uint16_t)steering_worker(
		steering,
		steering_source(steering, src, src_port)
			^ steering_destination(steering, dst, dst_port)
	);
}
