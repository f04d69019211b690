// SPDX-License-Identifier: Apache-2.0

#include "sync_base.h"

#include "json_address.h"

#include <assert.h>

#define UDP_PORT 5407

// A port has an address of each family.
#define ADDRESSES_MAX (FWD_MAX_LOCAL_ADDRESSES + 2 * FWD_MAX_PORTS + FWD_MAX_PEERS)

// All addresses of the pods, in the order in which they are read.
struct pods {
	struct ipv6_address addresses[ADDRESSES_MAX];
	unsigned count;
};

static void add(struct pods *pods, struct ipv6_address address) {
	assert(pods->count < ADDRESSES_MAX);
	pods->addresses[pods->count++] = address;
}

// Takes the address unless somebody has it.
static bool
take_address(const struct json_node *node, struct pods *pods, const struct ipv6_address *address) {
	for (unsigned i = 0; i < pods->count; i++) {
		if (!ipv6_equal(&pods->addresses[i], address))
			continue;
		json_node_error(node, "is already an address of this pod or of another peer");
		return false;
	}
	add(pods, *address);
	return true;
}

// A local address goes to another pod when its own one is gone: it must be apart from what the pod itself is reached by.
static bool take_own(const struct json_node *sync, const struct fwd_base *base, struct pods *pods) {
	for (unsigned i = 0; i < base->n_ports; i++) {
		if (base->ports[i].address != 0)
			add(pods, ipv6_mapped(base->ports[i].address));
		if (fwd_port_has_ipv6(&base->ports[i]))
			add(pods, base->ports[i].address6);
	}
	for (unsigned i = 0; i < base->n_local_addresses + base->n_local_addresses6; i++) {
		bool ipv6 = i >= base->n_local_addresses;
		struct ipv6_address local = ipv6
			? base->local_addresses6[i - base->n_local_addresses]
			: ipv6_mapped(base->local_addresses[i]);

		for (unsigned j = 0; j < pods->count; j++) {
			if (!ipv6_equal(&pods->addresses[j], &local))
				continue;
			json_node_error(
				sync, "needs local_addresses that are no port's own address"
			);
			return false;
		}
		add(pods, local);
	}
	return true;
}

static bool read_peer_ordinal(const struct json_node *peer, struct fwd_sync *sync) {
	struct json_node node = json_node_member(peer, "ordinal");
	uint64_t ordinal;

	if (!json_read_uint(peer, "ordinal", JSON_REQUIRED, 0, FWD_MAX_ORDINALS - 1, &ordinal))
		return false;
	if (ordinal == sync->ordinal) {
		json_node_error(&node, "%u is this pod's own", (unsigned)ordinal);
		return false;
	}
	for (unsigned i = 0; i < peer->index; i++) {
		if (sync->peers[i].ordinal != ordinal)
			continue;
		json_node_error(&node, "%u is already sync.peers[%u]", (unsigned)ordinal, i);
		return false;
	}
	sync->peers[peer->index].ordinal = (uint8_t)ordinal;
	return true;
}

static bool
read_peer_address(const struct json_node *peer, struct fwd_base *base, struct pods *pods) {
	struct json_node node = json_node_member(peer, "address");
	struct ipv6_address mapped;
	uint32_t address;

	if (!json_read_ipv4(peer, "address", JSON_REQUIRED, &address))
		return false;
	if (address == base->ports[0].gateway || !fwd_port_on_link(&base->ports[0], address)) {
		json_node_error(&node, "must be an address of ports[0]'s subnet, not the gateway");
		return false;
	}
	mapped = ipv6_mapped(address);
	base->sync.peers[peer->index].address = address;
	return take_address(&node, pods, &mapped);
}

// Behind those of this pod and of the peers before.
static bool
read_peer_locals(const struct json_node *peer, struct fwd_base *base, struct pods *pods) {
	unsigned first = base->n_local_addresses * (unsigned)(peer->index + 1);
	unsigned first6 = base->n_local_addresses6 * (unsigned)(peer->index + 1);
	unsigned n = 0, n6 = 0;
	struct json_node locals;
	bool ok = true;

	if (!json_read_array(peer, "local_addresses", 1, FWD_MAX_LOCAL_ADDRESSES, &locals))
		return false;
	for (size_t i = 0; i < json_array_size(locals.value); i++) {
		struct json_node node = json_node_element(&locals, i);
		struct ipv6_address address;

		if (!json_value_address(&node, &address)
		    || !base_local_address_is_free(&node, base, &address)) {
			ok = false;
			continue;
		}
		if (ipv6_is_mapped(&address) && n++ < base->n_local_addresses) {
			base->local_addresses[first + n - 1] = ipv6_to_ipv4(&address);
			ok &= take_address(&node, pods, &address);
		} else if (!ipv6_is_mapped(&address) && n6++ < base->n_local_addresses6) {
			base->local_addresses6[first6 + n6 - 1] = address;
			ok &= take_address(&node, pods, &address);
		}
	}
	if (!ok || (n == base->n_local_addresses && n6 == base->n_local_addresses6))
		return ok;
	json_node_error(
		&locals,
		"must be %u of IPv4 and %u of IPv6, as this pod has itself",
		base->n_local_addresses,
		base->n_local_addresses6
	);
	return false;
}

static bool read_peer(const struct json_node *peer, struct fwd_base *base, struct pods *pods) {
	static const char *const known[] = {"ordinal", "address", "local_addresses", NULL};
	bool ok;

	if (!json_is_object(peer->value)) {
		json_node_error(peer, "must be an object");
		return false;
	}
	ok = json_refuse_unknown(peer, known);
	ok &= read_peer_ordinal(peer, &base->sync);
	ok &= read_peer_address(peer, base, pods);
	ok &= read_peer_locals(peer, base, pods);
	return ok;
}

static bool read_peers(const struct json_node *sync, struct fwd_base *base) {
	unsigned n_local = base->n_local_addresses + base->n_local_addresses6;
	struct pods pods = {.count = 0};
	struct json_node peers;
	size_t count;
	bool ok;

	if (!take_own(sync, base, &pods)
	    || !json_read_array(sync, "peers", 0, FWD_MAX_PEERS, &peers))
		return false;
	count = json_array_size(peers.value);
	if (n_local * (count + 1) > FWD_MAX_LOCAL_ADDRESSES) {
		json_node_error(
			&peers,
			"all pods together have more than %u local addresses",
			FWD_MAX_LOCAL_ADDRESSES
		);
		return false;
	}
	ok = true;
	for (size_t i = 0; i < count; i++) {
		struct json_node peer = json_node_element(&peers, i);

		ok &= read_peer(&peer, base, &pods);
	}
	if (ok)
		base->sync.n_peers = (uint16_t)count;
	return ok;
}

// Of a base whose other parts could not be read, enough has been said.
static bool base_takes_sync(const struct json_node *sync, const struct fwd_base *base) {
	if (base->n_workers > 1) {
		json_node_error(sync, "needs workers to be 1: session sync is of one worker");
		return false;
	}
	if (base->n_ports > 0 && base->ports[0].address == 0) {
		json_node_error(sync, "needs ports[0].address: peers are reached over IPv4");
		return false;
	}
	return base->n_ports > 0 && base->n_local_addresses + base->n_local_addresses6 > 0;
}

bool sync_read(const struct json_node *root, struct base_config *config) {
	static const char *const known[] = {"ordinal", "udp_port", "key_file", "peers", NULL};
	struct json_node node = json_node_member(root, "sync");
	struct fwd_sync *sync = &config->base.sync;
	uint64_t ordinal = 0, udp_port = UDP_PORT;
	bool ok;

	if (node.value == NULL)
		return true;
	if (!json_is_object(node.value)) {
		json_node_error(&node, "must be an object");
		return false;
	}
	ok = json_refuse_unknown(&node, known);
	ok &= json_read_uint(&node, "ordinal", JSON_REQUIRED, 0, FWD_MAX_ORDINALS - 1, &ordinal);
	ok &= json_read_uint(&node, "udp_port", JSON_OPTIONAL, 1, UINT16_MAX, &udp_port);
	ok &= json_read_string(
		&node,
		"key_file",
		JSON_REQUIRED,
		config->sync_key_file,
		sizeof(config->sync_key_file)
	);
	sync->ordinal = (uint8_t)ordinal;
	sync->udp_port = (uint16_t)udp_port;
	sync->enabled = true;
	return base_takes_sync(&node, &config->base) && read_peers(&node, &config->base) && ok;
}
