// SPDX-License-Identifier: Apache-2.0

// What the workers read. Built by config/ from JSON, never changed once it is published. IPv4 addresses, ports and masks are
// in host byte order, IPv6 addresses in network byte order.

#pragma once

#include "ipv6_address.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FWD_MAX_PORTS 2
#define FWD_MAX_LOCAL_ADDRESSES 256
#define FWD_MAX_ORDINALS 16 // pods of one LoadBalancer that sync sessions
#define FWD_MAX_PEERS (FWD_MAX_ORDINALS - 1)
#define FWD_SYNC_KEY_SIZE 16 // bytes
#define FWD_MAX_WORKERS 64
#define FWD_MAX_LISTENERS 16000
#define FWD_MAX_BACKENDS 10000       // of one listener
#define FWD_MAX_BACKEND_SLOTS 131072 // of all listeners together
#define FWD_NAME_SIZE 64
#define FWD_GENERATION_SIZE 17
#define FWD_LISTENER_GENERATION_SIZE 34 // with the agent's suffix

#define FWD_NO_SLOT UINT16_MAX

// Slots of what was gone before its flows were adopted: nothing is ever there, but they may be looked up and counted.
#define FWD_GONE_LISTENER FWD_MAX_LISTENERS
#define FWD_GONE_BACKEND FWD_MAX_BACKEND_SLOTS

// A VIP that this process may own has a grant. FWD_MAX_GRANTS of them live at once, and differ in their remainders.
#define FWD_NO_GRANT 0u
#define FWD_MAX_GRANTS 16384
_Static_assert(FWD_MAX_GRANTS > FWD_MAX_LISTENERS, "one for each listener");

// Places that sh and mh give to backends.
#define FWD_HASH_PLACES 65536

// Local (SNAT) ports run from here to 65535; every worker owns an equal, contiguous share.
#define FWD_LOCAL_PORT_MIN 1024

struct fwd_port {
	char name[FWD_NAME_SIZE];
	uint32_t address; // 0: no IPv4
	uint32_t gateway; // 0: none
	uint16_t mtu;
	uint16_t vlan; // id of its tags; 0: its frames have none
	uint8_t prefix_length;
	uint8_t prefix_length6;
	uint8_t mac[6]; // written by the shell when the port is up, before any worker starts
	struct ipv6_address address6; // unspecified: no IPv6
	struct ipv6_address gateway6; // unspecified: none
};

struct steering;
struct source_ranges;

// Another pod of the same LoadBalancer.
struct fwd_peer {
	uint8_t ordinal;
	uint32_t address; // of its first port
};

// Session sync: what the pods of one LoadBalancer tell each other of their flows.
struct fwd_sync {
	bool enabled;
	uint8_t ordinal; // of this pod
	uint16_t udp_port;
	uint16_t n_peers;
	struct fwd_peer peers[FWD_MAX_PEERS];
	// Written by the shell before any worker starts.
	uint8_t key[FWD_SYNC_KEY_SIZE];
	uint64_t epoch_us; // start of the process: rises over restarts of the pod
};

// Fixed for the life of the process.
struct fwd_base {
	char generation[FWD_GENERATION_SIZE];
	uint32_t max_flows_per_worker;
	uint8_t half_open_percent; // share of a worker's flows that half-open TCP connections may have
	uint16_t n_workers;
	uint16_t n_ports;
	uint16_t n_local_addresses; // of this pod: those of the peers come behind
	uint16_t n_local_addresses6;
	// Set by the shell before any worker starts. NULL: each worker owns a range of local ports, else each uses all of them and
	// chooses one whose replies come to its own queue.
	const struct steering *steering;
	const struct steering *steering6; // the same for IPv6
	bool reset_unknown_tcp;           // answer a segment that belongs to no flow with RST
	struct fwd_port ports[FWD_MAX_PORTS];
	struct fwd_sync sync;
	// Those of this pod, then those of sync.peers[0], of sync.peers[1] and so on: each has as many of a family as this pod.
	uint32_t local_addresses[FWD_MAX_LOCAL_ADDRESSES];
	struct ipv6_address local_addresses6[FWD_MAX_LOCAL_ADDRESSES];
};

enum fwd_scheduler {
	FWD_SCHEDULER_RR,
	FWD_SCHEDULER_WRR,
	FWD_SCHEDULER_LC,
	FWD_SCHEDULER_WLC,
	FWD_SCHEDULER_SH,
	FWD_SCHEDULER_MH,
};

// How a backend is told the address of its client.
enum fwd_client_address {
	FWD_CLIENT_ADDRESS_NONE,
	FWD_CLIENT_ADDRESS_TOA,      // option of the client's first TCP segments
	FWD_CLIENT_ADDRESS_PROXY_V2, // header in front of the client's first byte
	// Of a flow only: the header goes without anything behind it, since the path takes no more.
	FWD_CLIENT_ADDRESS_PROXY_V2_ALONE,
	// Of a flow whose path has no room for the option: a client's own is taken away.
	FWD_CLIENT_ADDRESS_TOA_OMITTED,
};

struct fwd_backend {
	union { // by the family of the listener
		uint32_t address;
		struct ipv6_address address6;
	};
	uint16_t port;
	uint16_t weight; // 0: no new flows
	uint32_t
		slot; // of its counters, the same in every generation of the listener that has this backend
	uint32_t max_connections; // 0: no limit
};

#define FWD_RATE_UNITS_PER_S 1024000ull

// What is asked of a new flow. Limits count the flows of all workers of this process; 0: no limit.
struct fwd_policy {
	bool restricts;       // not every flow is admitted: by fwd_listener_measure()
	bool limits_clients;  // by fwd_listener_measure()
	bool limits_backends; // some backend has a limit: by fwd_listener_measure()
	uint32_t
		affinity_s; // how long a client stays with its backend after its last new flow; 0: not at all
	uint32_t max_connections;
	uint32_t client_max_connections;
	uint32_t client_rate; // new flows of one client a second
	uint32_t
		client_interval; // 1/FWD_RATE_UNITS_PER_S s between them: by fwd_listener_measure()
	struct source_ranges *sources; // NULL: all
};

// Idle times, seconds.
struct fwd_timeouts {
	uint32_t established_s;
	uint32_t syn_s;
	uint32_t fin_s;
	uint32_t udp_s;
};

// One generation of a listener.
struct fwd_listener {
	char name[FWD_NAME_SIZE];
	char generation[FWD_LISTENER_GENERATION_SIZE];
	union {
		uint32_t vip;
		struct ipv6_address vip6; // where `ipv6` is set
	};
	uint16_t port;
	uint8_t protocol; // IPPROTO_TCP, IPPROTO_UDP
	bool ipv6;        // the family of the VIP and of all backends
	bool arp;         // the VIP is granted to this process, see vip.h
	enum fwd_scheduler scheduler;
	bool hash_connection;   // sh, mh: by addresses and ports, else by the client's address
	uint8_t client_address; // enum fwd_client_address; TOA: of TCP only
	bool reset_removed; // flows of a backend that is removed end at once, else when they are idle
	struct fwd_timeouts timeouts;
	struct fwd_policy policy;
	// sh, mh, or affinity: index of the backend + 1 by place, 0: not looked up yet. FWD_HASH_PLACES entries, else NULL. The
	// only part that workers write: whoever looks up first, and all find the same.
	_Atomic uint16_t *hash_places;
	uint16_t index;      // own slot in fwd_config, the same in every generation of this name
	uint16_t weight_max; // by fwd_listener_measure()
	uint16_t weight_gcd; // by fwd_listener_measure(); 0 when all weights are 0
	uint32_t n_backends;
	struct fwd_backend backends[];
};

// Open-addressed, at most half full.
#define FWD_LOOKUP_SIZE 32768
_Static_assert(FWD_LOOKUP_SIZE >= 2 * FWD_MAX_LISTENERS, "the lookup stays at most half full");

struct fwd_config {
	// By slot, NULL: free.
	const struct fwd_listener *listeners[FWD_MAX_LISTENERS + 1];
	uint32_t slots_end; // one more than the highest slot in use; by fwd_config_index()
	// By fwd_config_index(), from address, port and protocol to the slot + 1; 0: empty.
	uint16_t lookup[FWD_LOOKUP_SIZE];
	// By fwd_config_index(), from a VIP to the slot + 1 of one of its listeners, one that answers ARP where there is one.
	uint16_t vips[FWD_LOOKUP_SIZE];
	// By listener slot, by fwd_config_grant(): that of its VIP. The same as long as the VIP is granted without a break, over all
	// generations; another one afterwards.
	uint32_t grants[FWD_MAX_LISTENERS];
	uint32_t last_grant;
	// A bit by backend slot: some listener has this backend.
	uint64_t backends[FWD_MAX_BACKEND_SLOTS / 64 + 1];
};

static inline bool fwd_config_has_backend(const struct fwd_config *config, uint32_t slot) {
	return config->backends[slot / 64] >> slot % 64 & 1;
}

static inline void fwd_config_set_backend(struct fwd_config *config, uint32_t slot, bool has) {
	uint64_t bit = 1ull << slot % 64;

	config->backends[slot / 64] =
		has ? config->backends[slot / 64] | bit : config->backends[slot / 64] & ~bit;
}

// Mapped where it is an IPv4 address.
static inline struct ipv6_address fwd_listener_vip(const struct fwd_listener *listener) {
	return listener->ipv6 ? listener->vip6 : ipv6_mapped(listener->vip);
}

static inline struct ipv6_address
fwd_backend_address(const struct fwd_listener *listener, const struct fwd_backend *backend) {
	return listener->ipv6 ? backend->address6 : ipv6_mapped(backend->address);
}

// Fills what the schedulers need to know of the weights, and what the policy asks. Call when all else is complete.
void fwd_listener_measure(struct fwd_listener *listener);

// Fills both tables and `slots_end` from `listeners`. Call before the configuration is published.
void fwd_config_index(struct fwd_config *config);

// Fills the grants from those of `running`; NULL: nothing has run yet. Call after fwd_config_index().
void fwd_config_grant(struct fwd_config *config, const struct fwd_config *running);

// Slot of the listener, or FWD_NO_SLOT.
uint16_t
fwd_config_lookup(const struct fwd_config *config, uint32_t vip, uint16_t port, uint8_t protocol);

uint16_t fwd_config_lookup6(
	const struct fwd_config *config,
	const struct ipv6_address *vip,
	uint16_t port,
	uint8_t protocol
);

// A listener of this VIP, or NULL. It has `arp` set if any of them has.
const struct fwd_listener *fwd_config_vip(const struct fwd_config *config, uint32_t vip);
const struct fwd_listener *
fwd_config_vip6(const struct fwd_config *config, const struct ipv6_address *vip);

// Whether the listener is the one of its VIP that is found so.
bool fwd_config_stands_for_vip(
	const struct fwd_config *config, const struct fwd_listener *listener
);

static inline bool fwd_base_has_vlan(const struct fwd_base *base) {
	_Static_assert(FWD_MAX_PORTS == 2, "all ports are looked at");
	return (base->ports[0].vlan | base->ports[1].vlan) != 0;
}

static inline uint32_t fwd_port_mask(const struct fwd_port *port) {
	return port->prefix_length ? UINT32_MAX << (32 - port->prefix_length) : 0;
}

static inline bool fwd_port_on_link(const struct fwd_port *port, uint32_t address) {
	return ((address ^ port->address) & fwd_port_mask(port)) == 0;
}

static inline bool fwd_port_has_ipv6(const struct fwd_port *port) {
	return !ipv6_is_unspecified(&port->address6);
}

static inline bool
fwd_port_on_link6(const struct fwd_port *port, const struct ipv6_address *address) {
	return fwd_port_has_ipv6(port)
		&& (ipv6_is_link_local(address)
		    || ipv6_in_prefix(address, &port->address6, port->prefix_length6));
}

// The port that owns a local address: the one whose subnet contains it, else the first.
uint8_t fwd_base_port_of(const struct fwd_base *base, uint32_t local_address);
uint8_t fwd_base_port_of6(const struct fwd_base *base, const struct ipv6_address *local_address);

// Local addresses of a family: of this pod, of this pod and all peers.
static inline uint16_t fwd_own_local_addresses(const struct fwd_base *base, bool ipv6) {
	return ipv6 ? base->n_local_addresses6 : base->n_local_addresses;
}

static inline uint16_t fwd_all_local_addresses(const struct fwd_base *base, bool ipv6) {
	return (uint16_t)(fwd_own_local_addresses(base, ipv6) * (1 + base->sync.n_peers));
}

// The port of the `index`-th local address of a family.
static inline uint8_t fwd_base_local_port(const struct fwd_base *base, bool ipv6, uint16_t index) {
	return ipv6 ? fwd_base_port_of6(base, &base->local_addresses6[index])
		    : fwd_base_port_of(base, base->local_addresses[index]);
}

static inline const struct steering *fwd_steering(const struct fwd_base *base, bool ipv6) {
	return ipv6 ? base->steering6 : base->steering;
}

// Local ports that each worker may use.
static inline uint32_t fwd_ports_per_worker(const struct fwd_base *base, bool ipv6) {
	uint32_t all = UINT16_MAX + 1u - FWD_LOCAL_PORT_MIN;

	return fwd_steering(base, ipv6) != NULL ? all : all / base->n_workers;
}
