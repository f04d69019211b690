// SPDX-License-Identifier: Apache-2.0

#include "listener.h"

#include "json_address.h"
#include "source_ranges_build.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX_S 86400
#define CLIENT_RATE_MAX 1000000

static const char *const scheduler_names[] = {
	[FWD_SCHEDULER_RR] = "rr",
	[FWD_SCHEDULER_WRR] = "wrr",
	[FWD_SCHEDULER_LC] = "lc",
	[FWD_SCHEDULER_WLC] = "wlc",
	[FWD_SCHEDULER_SH] = "sh",
	[FWD_SCHEDULER_MH] = "mh",
	NULL,
};

enum hash_on {
	HASH_ON_SOURCE,
	HASH_ON_CONNECTION,
};

static const char *const hash_on_names[] = {
	[HASH_ON_SOURCE] = "source",
	[HASH_ON_CONNECTION] = "connection",
	NULL,
};

enum backend_removal {
	BACKEND_REMOVAL_DRAIN,
	BACKEND_REMOVAL_RESET,
};

static const char *const backend_removal_names[] = {
	[BACKEND_REMOVAL_DRAIN] = "drain",
	[BACKEND_REMOVAL_RESET] = "reset",
	NULL,
};

static const char *const client_address_names[] = {
	[FWD_CLIENT_ADDRESS_NONE] = "none",
	[FWD_CLIENT_ADDRESS_TOA] = "toa",
	[FWD_CLIENT_ADDRESS_PROXY_V2] = "proxy_v2",
	NULL,
};

static const char *const protocol_names[] = {"tcp", "udp", NULL};
static const uint8_t protocol_numbers[] = {IPPROTO_TCP, IPPROTO_UDP};

bool listener_name_is_valid(const char *name) {
	size_t length = strlen(name);

	return length > 0 && length < FWD_NAME_SIZE && name[0] != '-' && name[length - 1] != '-'
		&& strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

void listener_file(const char *name, char *file, size_t size) {
	snprintf(file, size, LISTENER_DIRECTORY "/%s.json", name);
}

static bool
read_name(const struct json_node *root, const char *expected, struct fwd_listener *listener) {
	struct json_node name = json_node_member(root, "name");

	if (!json_read_string(root, "name", JSON_REQUIRED, listener->name, sizeof(listener->name)))
		return false;
	if (strcmp(listener->name, expected) != 0) {
		json_node_error(&name, "must be \"%s\", as the file is named", expected);
		return false;
	}
	return true;
}

// The `index`-th local address of the family, or the address of a port; IPv4 mapped.
static struct ipv6_address local_address(const struct fwd_base *base, bool ipv6, unsigned index) {
	return ipv6 ? base->local_addresses6[index] : ipv6_mapped(base->local_addresses[index]);
}

static struct ipv6_address port_address(const struct fwd_port *port, bool ipv6) {
	return ipv6 ? port->address6 : ipv6_mapped(port->address);
}

// False, with an error, for an address that we use ourselves. Unread parts of a bad base are no address of anybody's.
static bool is_foreign(
	const struct json_node *node,
	const struct fwd_base *base,
	const struct ipv6_address *address
) {
	bool ipv6 = !ipv6_is_mapped(address);
	unsigned n_local = fwd_all_local_addresses(base, ipv6);

	for (unsigned i = 0; i < base->n_ports; i++) {
		struct ipv6_address port = port_address(&base->ports[i], ipv6);

		if (ipv6_equal(&port, address)) {
			json_node_error(node, "is the address of port \"%s\"", base->ports[i].name);
			return false;
		}
	}
	for (unsigned i = 0; i < n_local; i++) {
		struct ipv6_address local = local_address(base, ipv6, i);

		if (ipv6_equal(&local, address)) {
			json_node_error(node, "is one of the base's local addresses");
			return false;
		}
	}
	for (unsigned i = 0; i < base->sync.n_peers; i++) {
		struct ipv6_address peer = ipv6_mapped(base->sync.peers[i].address);

		if (ipv6_equal(&peer, address)) {
			json_node_error(node, "is the address of sync.peers[%u] of the base", i);
			return false;
		}
	}
	return true;
}

// Clients come in on the first port, and connections to backends need a local address.
static bool family_is_served(const struct json_node *vip, const struct fwd_base *base, bool ipv6) {
	bool has_ipv4 = base->ports[0].address != 0, has_ipv6 = fwd_port_has_ipv6(&base->ports[0]);
	bool on_first = ipv6 ? has_ipv6 : has_ipv4;
	unsigned n_local = ipv6 ? base->n_local_addresses6 : base->n_local_addresses;
	unsigned n_all_local = base->n_local_addresses6 + base->n_local_addresses;

	// Of a base that could not be read enough has been said.
	if ((!has_ipv4 && !has_ipv6) || n_all_local == 0 || (on_first && n_local > 0))
		return true;
	json_node_error(
		vip,
		"is %s: base.json needs %s",
		ipv6 ? "IPv6" : "IPv4",
		!on_first      ? ipv6 ? "ports[0].address6" : "ports[0].address"
			: ipv6 ? "an IPv6 address in local_addresses"
			       : "an IPv4 address in local_addresses"
	);
	return false;
}

// A virtual address may be on no subnet of ours, but never one that we use ourselves.
static bool
read_vip(const struct json_node *root, const struct fwd_base *base, struct fwd_listener *listener) {
	struct json_node vip = json_node_member(root, "vip");
	struct ipv6_address address;
	bool ipv6;

	if (!json_read_address(root, "vip", JSON_REQUIRED, &address))
		return false;
	ipv6 = !ipv6_is_mapped(&address);
	if (!is_foreign(&vip, base, &address))
		return false;
	for (unsigned i = 0; i < base->n_ports; i++) {
		struct ipv6_address gateway =
			ipv6 ? base->ports[i].gateway6 : ipv6_mapped(base->ports[i].gateway);

		if (ipv6_equal(&gateway, &address)) {
			json_node_error(&vip, "is the gateway of port \"%s\"", base->ports[i].name);
			return false;
		}
	}
	listener->ipv6 = ipv6;
	if (ipv6)
		listener->vip6 = address;
	else
		listener->vip = ipv6_to_ipv4(&address);
	return family_is_served(&vip, base, ipv6);
}

static bool
read_timeout(const struct json_node *timeouts, const char *key, uint64_t value, uint32_t *out) {
	bool ok = json_read_uint(timeouts, key, JSON_OPTIONAL, 1, TIMEOUT_MAX_S, &value);

	*out = (uint32_t)value;
	return ok;
}

static bool read_timeouts(const struct json_node *root, struct fwd_timeouts *out) {
	static const char *const known[] = {"established_s", "syn_s", "fin_s", "udp_s", NULL};
	struct json_node timeouts = json_node_member(root, "timeouts");
	bool ok;

	if (timeouts.value != NULL && !json_is_object(timeouts.value)) {
		json_node_error(&timeouts, "must be an object");
		return false;
	}
	ok = json_refuse_unknown(&timeouts, known);
	ok &= read_timeout(&timeouts, "established_s", 900, &out->established_s);
	ok &= read_timeout(&timeouts, "syn_s", 60, &out->syn_s);
	ok &= read_timeout(&timeouts, "fin_s", 60, &out->fin_s);
	ok &= read_timeout(&timeouts, "udp_s", 180, &out->udp_s);
	return ok;
}

// A packet that we send to one of our own addresses would never leave.
static bool read_backend_address(
	const struct json_node *node,
	const struct fwd_base *base,
	const struct fwd_listener *listener,
	struct fwd_backend *backend
) {
	struct json_node address_node = json_node_member(node, "address");
	bool vip_known = listener->ipv6 || listener->vip != 0;
	struct ipv6_address address;
	bool ipv6;

	if (!json_read_address(node, "address", JSON_REQUIRED, &address)
	    || !is_foreign(&address_node, base, &address))
		return false;
	ipv6 = !ipv6_is_mapped(&address);
	if (vip_known && ipv6 != listener->ipv6) {
		json_node_error(
			&address_node,
			"is %s, the vip is %s: a listener has backends of its own family",
			ipv6 ? "IPv6" : "IPv4",
			ipv6 ? "IPv4" : "IPv6"
		);
		return false;
	}
	if (ipv6)
		backend->address6 = address;
	else
		backend->address = ipv6_to_ipv4(&address);
	return true;
}

// 0: no limit.
static bool read_limit(const struct json_node *node, const char *key, uint64_t *limit) {
	return json_read_uint(node, key, JSON_OPTIONAL, 0, UINT32_MAX, limit);
}

static bool read_backend(
	const struct json_node *node,
	const struct fwd_base *base,
	const struct fwd_listener *listener,
	struct fwd_backend *backend
) {
	static const char *const known[] = {"address", "port", "weight", "max_connections", NULL};
	uint64_t max_connections = 0;
	uint64_t weight = 1;
	uint64_t port = 0;
	bool ok;

	if (!json_is_object(node->value)) {
		json_node_error(node, "must be an object");
		return false;
	}
	ok = json_refuse_unknown(node, known);
	ok &= json_read_uint(node, "port", JSON_REQUIRED, 1, UINT16_MAX, &port);
	ok &= json_read_uint(node, "weight", JSON_OPTIONAL, 0, UINT16_MAX, &weight);
	ok &= read_limit(node, "max_connections", &max_connections);
	ok &= read_backend_address(node, base, listener, backend);
	backend->port = (uint16_t)port;
	backend->weight = (uint16_t)weight;
	backend->max_connections = (uint32_t)max_connections;
	return ok;
}

static bool read_backends(
	const struct json_node *backends, const struct fwd_base *base, struct fwd_listener *listener
) {
	size_t count = json_array_size(backends->value);
	bool ok = true;

	listener->n_backends = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		struct json_node node = json_node_element(backends, i);

		ok &= read_backend(&node, base, listener, &listener->backends[i]);
	}
	return ok;
}

// How backends are chosen, and what becomes of the flows of one that is removed.
static bool read_policies(const struct json_node *root, struct fwd_listener *listener) {
	unsigned scheduler = FWD_SCHEDULER_WRR;
	unsigned hash_on = HASH_ON_SOURCE;
	unsigned removal = BACKEND_REMOVAL_DRAIN;
	bool ok = json_read_choice(root, "scheduler", JSON_OPTIONAL, scheduler_names, &scheduler);

	ok &= json_read_choice(root, "hash_on", JSON_OPTIONAL, hash_on_names, &hash_on);
	ok &= json_read_choice(
		root, "on_backend_removal", JSON_OPTIONAL, backend_removal_names, &removal
	);
	listener->scheduler = scheduler;
	listener->hash_connection = hash_on == HASH_ON_CONNECTION;
	listener->reset_removed = removal == BACKEND_REMOVAL_RESET;
	return ok;
}

static bool read_client_limits(const struct json_node *root, struct fwd_policy *policy) {
	static const char *const known[] = {"max_connections", "new_connections_per_second", NULL};
	struct json_node limits = json_node_member(root, "client_limits");
	uint64_t max_connections = 0, rate = 0;
	bool ok;

	if (limits.value != NULL && !json_is_object(limits.value)) {
		json_node_error(&limits, "must be an object");
		return false;
	}
	ok = json_refuse_unknown(&limits, known);
	ok &= read_limit(&limits, "max_connections", &max_connections);
	ok &= json_read_uint(
		&limits, "new_connections_per_second", JSON_OPTIONAL, 0, CLIENT_RATE_MAX, &rate
	);
	policy->client_max_connections = (uint32_t)max_connections;
	policy->client_rate = (uint32_t)rate;
	return ok;
}

// What is asked of a new flow.
static bool read_admission(
	const struct json_node *root,
	const struct fwd_listener *running,
	struct fwd_listener *listener
) {
	struct fwd_policy *policy = &listener->policy;
	bool comparable = running != NULL && running->ipv6 == listener->ipv6;
	struct source_ranges *known = comparable ? running->policy.sources : NULL;
	uint64_t max_connections = 0;
	bool ok = read_limit(root, "max_connections", &max_connections);

	ok &= read_client_limits(root, policy);
	ok &= source_ranges_read(root, listener->ipv6, known, &policy->sources);
	policy->max_connections = (uint32_t)max_connections;
	return ok;
}

// Which backend a client had; an affinity that connections share with none makes no sense.
static bool read_affinity(const struct json_node *root, struct fwd_listener *listener) {
	struct json_node node = json_node_member(root, "session_affinity_s");
	uint64_t affinity_s = 0;

	if (!json_read_uint(
		    root, "session_affinity_s", JSON_OPTIONAL, 0, TIMEOUT_MAX_S, &affinity_s
	    ))
		return false;
	listener->policy.affinity_s = (uint32_t)affinity_s;
	if (affinity_s == 0 || !listener->hash_connection)
		return true;
	json_node_error(&node, "goes by the client's address: hash_on must be \"source\"");
	return false;
}

// How backends are told who the client is.
static bool read_client_address(const struct json_node *root, struct fwd_listener *listener) {
	struct json_node node = json_node_member(root, "client_address");
	unsigned choice = FWD_CLIENT_ADDRESS_NONE;

	if (!json_read_choice(root, "client_address", JSON_OPTIONAL, client_address_names, &choice))
		return false;
	listener->client_address = (uint8_t)choice;
	if (choice == FWD_CLIENT_ADDRESS_NONE || listener->protocol == IPPROTO_TCP)
		return true;
	json_node_error(
		&node,
		"\"%s\" goes with TCP: protocol must be \"tcp\"",
		client_address_names[choice]
	);
	return false;
}

static bool read_fields(
	const struct json_node *root,
	const char *name,
	const struct fwd_base *base,
	const struct fwd_listener *running,
	struct fwd_listener *listener
) {
	static const char *const known[] = {
		"version",
		"name",
		"generation",
		"vip",
		"port",
		"protocol",
		"scheduler",
		"hash_on",
		"on_backend_removal",
		"arp",
		"timeouts",
		"client_address",
		"session_affinity_s",
		"max_connections",
		"client_limits",
		"allowed_source_ranges",
		"denied_source_ranges",
		"backends",
		NULL,
	};
	unsigned protocol = 0;
	uint64_t version;
	uint64_t port = 0;
	bool arp = true;
	bool ok = json_refuse_unknown(root, known);

	ok &= json_read_uint(root, "version", JSON_REQUIRED, 1, 1, &version);
	ok &= read_name(root, name, listener);
	ok &= json_read_listener_generation(root, listener->generation);
	ok &= read_vip(root, base, listener);
	ok &= json_read_uint(root, "port", JSON_REQUIRED, 1, UINT16_MAX, &port);
	ok &= json_read_choice(root, "protocol", JSON_REQUIRED, protocol_names, &protocol);
	ok &= read_policies(root, listener);
	ok &= read_affinity(root, listener);
	ok &= json_read_bool(root, "arp", JSON_OPTIONAL, &arp);
	ok &= read_timeouts(root, &listener->timeouts);
	ok &= read_admission(root, running, listener);
	listener->port = (uint16_t)port;
	listener->protocol = protocol_numbers[protocol];
	listener->arp = arp;
	ok &= read_client_address(root, listener);
	return ok;
}

void listener_free(struct fwd_listener *listener) {
	if (listener != NULL)
		source_ranges_free(listener->policy.sources);
	free(listener);
}

// What the hashing schedulers remember lies behind the backends. NULL without memory; the
// listener is then freed.
static struct fwd_listener *add_hash_places(struct fwd_listener *listener) {
	size_t size = sizeof(*listener) + listener->n_backends * sizeof(listener->backends[0]);
	struct fwd_listener *larger =
		realloc(listener, size + FWD_HASH_PLACES * sizeof(listener->hash_places[0]));

	if (larger == NULL) {
		listener_free(listener);
		return NULL;
	}
	memset((char *)larger + size, 0, FWD_HASH_PLACES * sizeof(larger->hash_places[0]));
	larger->hash_places = (_Atomic uint16_t *)((char *)larger + size);
	return larger;
}

static struct fwd_listener *read_root(
	const struct json_node *root,
	const char *name,
	const struct fwd_base *base,
	const struct fwd_listener *running
) {
	struct json_node backends;
	bool ok = json_read_array(root, "backends", 0, FWD_MAX_BACKENDS, &backends);
	size_t count = ok ? json_array_size(backends.value) : 0;
	struct fwd_listener *listener;

	listener = calloc(1, sizeof(*listener) + count * sizeof(listener->backends[0]));
	if (listener != NULL) {
		ok &= read_fields(root, name, base, running, listener);
		if (count > 0)
			ok &= read_backends(&backends, base, listener);
		if (!ok) {
			listener_free(listener);
			return NULL;
		}
		fwd_listener_measure(listener);
		if (listener->scheduler == FWD_SCHEDULER_SH
		    || listener->scheduler == FWD_SCHEDULER_MH || listener->policy.affinity_s != 0)
			listener = add_hash_places(listener);
	}
	if (listener == NULL)
		json_node_error(root, "no memory for the listener");
	return listener;
}

struct fwd_listener *listener_read(
	const char *directory,
	const char *name,
	const struct fwd_base *base,
	const struct fwd_listener *running,
	struct config_errors *errors
) {
	struct fwd_listener *listener = NULL;
	char path[sizeof(LISTENER_DIRECTORY "/.json") + FWD_NAME_SIZE];
	struct json_file file;

	listener_file(name, path, sizeof(path));
	if (json_file_open(&file, directory, path, errors)) {
		struct json_node root = json_node_root(&file);

		listener = read_root(&root, name, base, running);
	}
	json_file_close(&file);
	return listener;
}
