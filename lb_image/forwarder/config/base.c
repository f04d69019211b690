// SPDX-License-Identifier: Apache-2.0

#include "base.h"

#include "json_address.h"
#include "sync_base.h"

#include <string.h>

#define MTU_MIN 576       // RFC 791: every host takes datagrams of this size
#define MTU_MIN_IPV6 1280 // RFC 8200, section 5
#define MTU_MAX 9000
#define VLAN_ID_MIN 1 // IEEE 802.1Q: 0 is none, 4095 is reserved
#define VLAN_ID_MAX 4094
#define FLOWS_MIN 1024
#define FLOWS_MAX (1u << 25)

static const char *const driver_names[] = {
	[BASE_DRIVER_VFIO] = "vfio",
	[BASE_DRIVER_MLX5] = "mlx5",
	[BASE_DRIVER_AF_XDP] = "af_xdp",
	[BASE_DRIVER_AF_PACKET] = "af_packet",
	[BASE_DRIVER_VDEV] = "vdev",
	NULL,
};

static const char *const poll_mode_names[] = {
	[BASE_POLL_BUSY] = "busy",
	[BASE_POLL_ADAPTIVE] = "adaptive",
	NULL,
};

static const char *const steering_names[] = {
	[BASE_STEERING_AUTO] = "auto",
	[BASE_STEERING_RSS] = "rss",
	[BASE_STEERING_RING] = "ring",
	NULL,
};

enum unknown_tcp {
	UNKNOWN_TCP_RESET,
	UNKNOWN_TCP_DROP,
};

static const char *const unknown_tcp_names[] = {
	[UNKNOWN_TCP_RESET] = "reset",
	[UNKNOWN_TCP_DROP] = "drop",
	NULL,
};

const char *base_driver_name(enum base_driver driver) {
	return driver_names[driver];
}

// The member that tells which device it is depends on the driver.
static bool read_device(const struct json_node *port, bool allow_vdev, struct base_device *device) {
	struct json_node driver_node = json_node_member(port, "driver");
	unsigned driver;

	if (!json_read_choice(port, "driver", JSON_REQUIRED, driver_names, &driver))
		return false;
	device->driver = driver;
	switch (device->driver) {
	case BASE_DRIVER_AF_XDP:
	case BASE_DRIVER_AF_PACKET:
		return json_read_string(
			port,
			"interface",
			JSON_REQUIRED,
			device->interface,
			sizeof(device->interface)
		);
	case BASE_DRIVER_VFIO:
	case BASE_DRIVER_MLX5:
		return json_read_string(
			port, "resource", JSON_REQUIRED, device->resource, sizeof(device->resource)
		);
	case BASE_DRIVER_VDEV:
		if (!allow_vdev) {
			json_node_error(&driver_node, "\"vdev\" needs the option --allow-vdev");
			return false;
		}
		return json_read_string(
			port, "device", JSON_REQUIRED, device->device, sizeof(device->device)
		);
	}
	return false;
}

static bool read_ipv4(const struct json_node *node, struct fwd_port *port) {
	struct json_node gateway = json_node_member(node, "gateway");
	struct json_node address6 = json_node_member(node, "address6");
	enum json_presence presence = address6.value != NULL ? JSON_OPTIONAL : JSON_REQUIRED;

	port->prefix_length = 32; // without an address nothing is on the link
	if (!json_read_ipv4_prefix(node, "address", presence, &port->address, &port->prefix_length))
		return false;
	if (!json_read_ipv4(node, "gateway", JSON_OPTIONAL, &port->gateway))
		return false;
	if (port->gateway == 0)
		return true;
	if (port->gateway == port->address || !fwd_port_on_link(port, port->gateway)) {
		json_node_error(&gateway, "must be another address of the port's subnet");
		return false;
	}
	return true;
}

// Routers tell hosts their link-local address, so that a gateway may be one.
static bool read_ipv6(const struct json_node *node, struct fwd_port *port) {
	struct json_node gateway = json_node_member(node, "gateway6");
	struct json_node mtu = json_node_member(node, "mtu");

	if (!json_read_ipv6_prefix(
		    node, "address6", JSON_OPTIONAL, &port->address6, &port->prefix_length6
	    ))
		return false;
	if (fwd_port_has_ipv6(port) && port->mtu < MTU_MIN_IPV6) {
		json_node_error(&mtu, "must be at least %d with address6", MTU_MIN_IPV6);
		return false;
	}
	if (!json_read_ipv6(node, "gateway6", JSON_OPTIONAL, &port->gateway6))
		return false;
	if (ipv6_is_unspecified(&port->gateway6))
		return true;
	if (ipv6_equal(&port->gateway6, &port->address6)
	    || !fwd_port_on_link6(port, &port->gateway6)) {
		json_node_error(
			&gateway, "must be link-local or another address of address6's subnet"
		);
		return false;
	}
	return true;
}

static bool read_port(
	const struct json_node *node,
	bool allow_vdev,
	struct fwd_port *port,
	struct base_device *device
) {
	static const char *const known[] = {
		"name",
		"driver",
		"interface",
		"resource",
		"device",
		"address",
		"gateway",
		"address6",
		"gateway6",
		"mtu",
		"vlan",
		NULL,
	};
	uint64_t mtu = 1500, vlan = 0;
	bool ok = json_refuse_unknown(node, known);

	ok &= json_read_string(node, "name", JSON_REQUIRED, port->name, sizeof(port->name));
	ok &= read_device(node, allow_vdev, device);
	ok &= json_read_uint(node, "mtu", JSON_OPTIONAL, MTU_MIN, MTU_MAX, &mtu);
	port->mtu = (uint16_t)mtu;
	ok &= json_read_uint(node, "vlan", JSON_OPTIONAL, VLAN_ID_MIN, VLAN_ID_MAX, &vlan);
	port->vlan = (uint16_t)vlan;
	ok &= read_ipv4(node, port);
	ok &= read_ipv6(node, port);
	return ok;
}

static bool names_are_unique(const struct json_node *ports, const struct fwd_base *base) {
	for (unsigned i = 1; i < base->n_ports; i++) {
		struct json_node port = json_node_element(ports, i);
		struct json_node name = json_node_member(&port, "name");

		if (strcmp(base->ports[i].name, base->ports[0].name) == 0) {
			json_node_error(&name, "\"%s\" is already ports[0]", base->ports[i].name);
			return false;
		}
	}
	return true;
}

static bool read_ports(const struct json_node *root, bool allow_vdev, struct base_config *config) {
	struct json_node ports;
	bool ok = true;

	if (!json_read_array(root, "ports", 1, FWD_MAX_PORTS, &ports))
		return false;
	config->base.n_ports = (uint16_t)json_array_size(ports.value);
	for (unsigned i = 0; i < config->base.n_ports; i++) {
		struct json_node port = json_node_element(&ports, i);

		if (!json_is_object(port.value)) {
			json_node_error(&port, "must be an object");
			ok = false;
			continue;
		}
		ok &= read_port(&port, allow_vdev, &config->base.ports[i], &config->devices[i]);
	}
	return ok && names_are_unique(&ports, &config->base);
}

bool base_local_address_is_free(
	const struct json_node *node,
	const struct fwd_base *base,
	const struct ipv6_address *address
) {
	bool ipv6 = !ipv6_is_mapped(address);
	bool has_port = false;

	for (unsigned i = 0; i < base->n_ports; i++) {
		const struct fwd_port *port = &base->ports[i];
		bool has_family = ipv6 ? fwd_port_has_ipv6(port) : port->address != 0;
		struct ipv6_address gateway = ipv6 ? port->gateway6 : ipv6_mapped(port->gateway);

		has_port |= has_family;
		if (!has_family || !ipv6_equal(&gateway, address))
			continue;
		json_node_error(node, "is the gateway of ports[%u]", i);
		return false;
	}
	if (!has_port && base->n_ports > 0)
		json_node_error(node, "needs a port with %s", ipv6 ? "address6" : "address");
	return has_port;
}

static bool is_repeated(
	const struct json_node *node,
	const struct ipv6_address *seen,
	const struct ipv6_address *address
) {
	for (size_t i = 0; i < node->index; i++) {
		if (!ipv6_equal(&seen[i], address))
			continue;
		json_node_error(node, "is already local_addresses[%zu]", i);
		return true;
	}
	return false;
}

static bool read_local_addresses(const struct json_node *root, struct fwd_base *base) {
	struct ipv6_address seen[FWD_MAX_LOCAL_ADDRESSES] = {0};
	struct json_node addresses;
	bool ok = true;
	size_t count;

	if (!json_read_array(root, "local_addresses", 1, FWD_MAX_LOCAL_ADDRESSES, &addresses))
		return false;
	count = json_array_size(addresses.value);
	for (size_t i = 0; i < count; i++) {
		struct json_node node = json_node_element(&addresses, i);

		if (!json_value_address(&node, &seen[i]) || is_repeated(&node, seen, &seen[i])
		    || !base_local_address_is_free(&node, base, &seen[i])) {
			ok = false;
			continue;
		}
		if (ipv6_is_mapped(&seen[i]))
			base->local_addresses[base->n_local_addresses++] = ipv6_to_ipv4(&seen[i]);
		else
			base->local_addresses6[base->n_local_addresses6++] = seen[i];
	}
	return ok;
}

static bool read_root(const struct json_node *root, bool allow_vdev, struct base_config *config) {
	static const char *const known[] = {
		"version",
		"generation",
		"workers",
		"poll_mode",
		"max_flows_per_worker",
		"half_open_percent",
		"unknown_tcp",
		"steering",
		"ports",
		"local_addresses",
		"sync",
		NULL,
	};
	struct fwd_base *base = &config->base;
	unsigned poll_mode = BASE_POLL_BUSY;
	unsigned unknown_tcp = UNKNOWN_TCP_RESET;
	unsigned steering = BASE_STEERING_AUTO;
	uint64_t max_flows = 262144;
	uint64_t half_open_percent = 50;
	uint64_t workers = 1;
	uint64_t version;
	bool ok = json_refuse_unknown(root, known);

	ok &= json_read_uint(root, "version", JSON_REQUIRED, 1, 1, &version);
	ok &= json_read_generation(root, base->generation);
	ok &= json_read_uint(root, "workers", JSON_OPTIONAL, 1, FWD_MAX_WORKERS, &workers);
	ok &= json_read_choice(root, "poll_mode", JSON_OPTIONAL, poll_mode_names, &poll_mode);
	ok &= json_read_uint(
		root, "max_flows_per_worker", JSON_OPTIONAL, FLOWS_MIN, FLOWS_MAX, &max_flows
	);
	ok &= json_read_uint(root, "half_open_percent", JSON_OPTIONAL, 1, 100, &half_open_percent);
	ok &= json_read_choice(root, "unknown_tcp", JSON_OPTIONAL, unknown_tcp_names, &unknown_tcp);
	ok &= json_read_choice(root, "steering", JSON_OPTIONAL, steering_names, &steering);
	ok &= read_ports(root, allow_vdev, config);
	ok &= read_local_addresses(root, base);
	base->n_workers = (uint16_t)workers;
	ok &= sync_read(root, config);
	base->max_flows_per_worker = (uint32_t)max_flows;
	base->half_open_percent = (uint8_t)half_open_percent;
	base->reset_unknown_tcp = unknown_tcp == UNKNOWN_TCP_RESET;
	config->poll_mode = poll_mode;
	config->steering = steering;
	return ok;
}

bool base_read(
	const char *directory,
	bool allow_vdev,
	struct base_config *config,
	struct config_errors *errors
) {
	struct json_file file;
	bool ok = false;

	memset(config, 0, sizeof(*config));
	if (json_file_open(&file, directory, BASE_FILE, errors)) {
		struct json_node root = json_node_root(&file);

		ok = read_root(&root, allow_vdev, config);
	}
	json_file_close(&file);
	return ok;
}
