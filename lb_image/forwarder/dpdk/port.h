// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <rte_mempool.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_DESCRIPTORS 1024

struct port_request {
	const char *label;  // for errors: `ports[0] "external"`
	const char *device; // ethdev name
	uint16_t n_queues;  // receive and transmit, one pair a worker
	uint16_t mtu;
	uint16_t vlan;  // 0: none
	bool multicast; // frames to groups are wanted: IPv6 hosts ask for each other that way
	struct rte_mempool *pool;
};

// Configures and starts a port. False with the reason in `error`.
bool port_open(
	const struct port_request *request,
	uint16_t *id,
	uint8_t mac[6],
	char *error,
	size_t error_size
);

void port_close(uint16_t id);
