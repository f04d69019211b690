// SPDX-License-Identifier: Apache-2.0

#include "port.h"

#include <rte_ethdev.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct failure {
	const char *label;
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool
fail(const struct failure *failure, const char *format, ...) {
	char reason[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(failure->text, failure->size, "%s: %s", failure->label, reason);
	return false;
}

static bool check_queues(
	const struct port_request *request,
	const struct rte_eth_dev_info *info,
	const struct failure *failure
) {
	unsigned offered = RTE_MIN(info->max_rx_queues, info->max_tx_queues);

	if (offered >= request->n_queues)
		return true;
	return fail(
		failure,
		"the device has %u queue pairs (driver %s), %u workers need one each",
		offered,
		info->driver_name,
		request->n_queues
	);
}

// Receive-side scaling spreads clients over the workers; a device without it needs one queue only.
static struct rte_eth_conf
configuration_of(const struct port_request *request, const struct rte_eth_dev_info *info) {
	uint64_t hash =
		info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	struct rte_eth_conf conf = {0};

	if (request->n_queues > 1 && hash != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = hash;
	}
	if (request->vlan != 0)
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	return conf;
}

static bool
set_up_queues(const struct port_request *request, uint16_t id, const struct failure *failure) {
	int socket = rte_eth_dev_socket_id(id);
	uint16_t n_rx = PORT_DESCRIPTORS;
	uint16_t n_tx = PORT_DESCRIPTORS;
	int result = rte_eth_dev_adjust_nb_rx_tx_desc(id, &n_rx, &n_tx);

	for (uint16_t queue = 0; queue < request->n_queues && result == 0; queue++) {
		result = rte_eth_rx_queue_setup(
			id, queue, n_rx, (unsigned)socket, NULL, request->pool
		);
		if (result == 0)
			result = rte_eth_tx_queue_setup(id, queue, n_tx, (unsigned)socket, NULL);
	}
	if (result == 0)
		return true;
	return fail(failure, "its queues cannot be set up: %s", rte_strerror(-result));
}

// Only a larger MTU than the device has must be set: that may need a right that the pod lacks.
static bool
check_mtu(const struct port_request *request, uint16_t id, const struct failure *failure) {
	uint16_t mtu = 0;
	int result = rte_eth_dev_get_mtu(id, &mtu);

	if (result == 0 && mtu < request->mtu)
		result = rte_eth_dev_set_mtu(id, request->mtu);
	if (result == 0)
		return true;
	return fail(
		failure,
		"its MTU is %u and cannot be made %u: %s",
		mtu,
		request->mtu,
		rte_strerror(-result)
	);
}

static bool start(const struct port_request *request, uint16_t id, const struct failure *failure) {
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int result = rte_eth_dev_info_get(id, &info);

	if (result != 0)
		return fail(failure, "no device information: %s", rte_strerror(-result));
	if (!check_queues(request, &info, failure))
		return false;
	conf = configuration_of(request, &info);
	result = rte_eth_dev_configure(id, request->n_queues, request->n_queues, &conf);
	if (result != 0)
		return fail(failure, "cannot be configured: %s", rte_strerror(-result));
	if (!check_mtu(request, id, failure) || !set_up_queues(request, id, failure))
		return false;
	result = rte_eth_dev_start(id);
	if (result != 0)
		return fail(failure, "cannot be started: %s", rte_strerror(-result));
	return true;
}

// A filter that lets only some groups through would hide neighbour solicitations. Drivers without a switch for all groups may
// have one for everything; af_packet and af_xdp get what the kernel's device gets, and need neither.
static void let_groups_in(uint16_t id) {
	if (rte_eth_allmulticast_enable(id) != 0)
		rte_eth_promiscuous_enable(id);
}

// A VF gets frames of the VLANs only that its driver has asked the physical function for; a device without a filter gets all.
static bool
join_vlan(const struct port_request *request, uint16_t id, const struct failure *failure) {
	struct rte_eth_dev_info info;
	int result;

	if (request->vlan == 0 || rte_eth_dev_info_get(id, &info) != 0
	    || !(info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER))
		return true;
	result = rte_eth_dev_vlan_filter(id, request->vlan, 1);
	if (result == 0)
		return true;
	return fail(
		failure,
		"its VLAN filter does not take VLAN %u: %s (does the physical function allow it?)",
		request->vlan,
		rte_strerror(-result)
	);
}

bool port_open(
	const struct port_request *request,
	uint16_t *id,
	uint8_t mac[6],
	char *error,
	size_t error_size
) {
	struct failure failure = {request->label, error, error_size};
	struct rte_ether_addr address;

	if (rte_eth_dev_get_port_by_name(request->device, id) != 0)
		return fail(&failure, "EAL found no device \"%s\"", request->device);
	if (!start(request, *id, &failure))
		return false;
	if (!join_vlan(request, *id, &failure))
		return false;
	if (request->multicast)
		let_groups_in(*id);
	if (rte_eth_macaddr_get(*id, &address) != 0)
		return fail(&failure, "has no MAC address");
	memcpy(mac, address.addr_bytes, sizeof(address.addr_bytes));
	return true;
}

void port_close(uint16_t id) {
	rte_eth_dev_stop(id);
	rte_eth_dev_close(id);
}
