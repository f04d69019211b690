// SPDX-License-Identifier: Apache-2.0

#include "fwd_config.h"

#include <stddef.h>
#include <string.h>

static uint32_t mix(uint64_t key) {
	key *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(key >> 32) % FWD_LOOKUP_SIZE;
}

// `vip`: an IPv4 address, or what ipv6_fold() makes of an IPv6 one.
static uint32_t listener_hash(uint32_t vip, uint16_t port, uint8_t protocol) {
	return mix((uint64_t)vip << 32 | (uint32_t)port << 8 | protocol);
}

static uint32_t vip_number(const struct fwd_listener *listener) {
	return listener->ipv6 ? ipv6_fold(&listener->vip6) : listener->vip;
}

static inline bool has_vip(const struct fwd_listener *listener, uint32_t vip) {
	return listener->vip == vip && !listener->ipv6;
}

static inline bool has_vip6(const struct fwd_listener *listener, const struct ipv6_address *vip) {
	return listener->ipv6 && ipv6_equal(&listener->vip6, vip);
}

static bool same_vip(const struct fwd_listener *a, const struct fwd_listener *b) {
	return b->ipv6 ? has_vip6(a, &b->vip6) : has_vip(a, b->vip);
}

static uint16_t gcd(uint16_t a, uint16_t b) {
	while (b != 0) {
		uint16_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void fwd_listener_measure(struct fwd_listener *listener) {
	struct fwd_policy *policy = &listener->policy;
	uint16_t max = 0, divisor = 0;

	policy->limits_clients = policy->client_max_connections != 0 || policy->client_rate != 0;
	policy->restricts =
		policy->max_connections != 0 || policy->sources != NULL || policy->limits_clients;
	policy->client_interval =
		policy->client_rate ? (uint32_t)(FWD_RATE_UNITS_PER_S / policy->client_rate) : 0;
	policy->limits_backends = false;
	for (uint32_t i = 0; i < listener->n_backends; i++) {
		uint16_t weight = listener->backends[i].weight;

		if (weight > max)
			max = weight;
		divisor = gcd(weight, divisor);
		policy->limits_backends |= listener->backends[i].max_connections != 0;
	}
	listener->weight_max = max;
	listener->weight_gcd = divisor;
}

static void index_listener(struct fwd_config *config, const struct fwd_listener *listener) {
	uint32_t i = listener_hash(vip_number(listener), listener->port, listener->protocol);

	while (config->lookup[i] != 0)
		i = (i + 1) % FWD_LOOKUP_SIZE;
	config->lookup[i] = listener->index + 1;
}

static void index_vip(struct fwd_config *config, const struct fwd_listener *listener) {
	uint32_t i = mix(vip_number(listener));

	while (config->vips[i] != 0) {
		if (same_vip(config->listeners[config->vips[i] - 1], listener))
			break;
		i = (i + 1) % FWD_LOOKUP_SIZE;
	}
	if (config->vips[i] == 0 || listener->arp)
		config->vips[i] = listener->index + 1;
}

void fwd_config_index(struct fwd_config *config) {
	memset(config->lookup, 0, sizeof(config->lookup));
	memset(config->vips, 0, sizeof(config->vips));
	config->slots_end = 0;
	for (unsigned slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];

		if (listener == NULL)
			continue;
		config->slots_end = slot + 1;
		index_listener(config, listener);
		index_vip(config, listener);
	}
}

static const struct fwd_listener *
first_of_vip(const struct fwd_config *config, const struct fwd_listener *listener) {
	return listener->ipv6 ? fwd_config_vip6(config, &listener->vip6)
			      : fwd_config_vip(config, listener->vip);
}

bool fwd_config_stands_for_vip(
	const struct fwd_config *config, const struct fwd_listener *listener
) {
	return first_of_vip(config, listener) == listener;
}

// A grant that no VIP has now; `used` has a bit for each remainder.
static uint32_t new_grant(struct fwd_config *config, const uint64_t *used) {
	uint32_t place;

	do {
		config->last_grant++;
		place = config->last_grant % FWD_MAX_GRANTS;
	} while (config->last_grant == FWD_NO_GRANT || (used[place / 64] >> place % 64 & 1));
	return config->last_grant;
}

static bool is_granted(const struct fwd_listener *listener) {
	return listener != NULL && listener->arp;
}

void fwd_config_grant(struct fwd_config *config, const struct fwd_config *running) {
	uint64_t used[FWD_MAX_GRANTS / 64] = {0};

	memset(config->grants, 0, sizeof(config->grants));
	config->last_grant = running != NULL ? running->last_grant : FWD_NO_GRANT;
	for (unsigned slot = 0; running != NULL && slot < config->slots_end; slot++) {
		const struct fwd_listener *listener = config->listeners[slot], *before;

		if (!is_granted(listener))
			continue;
		before = first_of_vip(running, listener);
		if (!is_granted(before))
			continue;
		config->grants[slot] = running->grants[before->index];
		used[config->grants[slot] % FWD_MAX_GRANTS / 64] |= 1ull
			<< config->grants[slot] % 64;
	}
	for (unsigned slot = 0; slot < config->slots_end; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];
		uint32_t *first;

		if (!is_granted(listener) || config->grants[slot] != FWD_NO_GRANT)
			continue;
		first = &config->grants[first_of_vip(config, listener)->index];
		if (*first == FWD_NO_GRANT) {
			*first = new_grant(config, used);
			used[*first % FWD_MAX_GRANTS / 64] |= 1ull << *first % 64;
		}
		config->grants[slot] = *first;
	}
}

uint16_t
fwd_config_lookup(const struct fwd_config *config, uint32_t vip, uint16_t port, uint8_t protocol) {
	uint32_t i = listener_hash(vip, port, protocol);

	for (; config->lookup[i] != 0; i = (i + 1) % FWD_LOOKUP_SIZE) {
		const struct fwd_listener *listener = config->listeners[config->lookup[i] - 1];

		if (has_vip(listener, vip) && listener->port == port
		    && listener->protocol == protocol)
			return listener->index;
	}
	return FWD_NO_SLOT;
}

uint16_t fwd_config_lookup6(
	const struct fwd_config *config,
	const struct ipv6_address *vip,
	uint16_t port,
	uint8_t protocol
) {
	uint32_t i = listener_hash(ipv6_fold(vip), port, protocol);

	for (; config->lookup[i] != 0; i = (i + 1) % FWD_LOOKUP_SIZE) {
		const struct fwd_listener *listener = config->listeners[config->lookup[i] - 1];

		if (has_vip6(listener, vip) && listener->port == port
		    && listener->protocol == protocol)
			return listener->index;
	}
	return FWD_NO_SLOT;
}

const struct fwd_listener *fwd_config_vip(const struct fwd_config *config, uint32_t vip) {
	for (uint32_t i = mix(vip); config->vips[i] != 0; i = (i + 1) % FWD_LOOKUP_SIZE) {
		const struct fwd_listener *listener = config->listeners[config->vips[i] - 1];

		if (has_vip(listener, vip))
			return listener;
	}
	return NULL;
}

const struct fwd_listener *
fwd_config_vip6(const struct fwd_config *config, const struct ipv6_address *vip) {
	uint32_t i = mix(ipv6_fold(vip));

	for (; config->vips[i] != 0; i = (i + 1) % FWD_LOOKUP_SIZE) {
		const struct fwd_listener *listener = config->listeners[config->vips[i] - 1];

		if (has_vip6(listener, vip))
			return listener;
	}
	return NULL;
}

uint8_t fwd_base_port_of(const struct fwd_base *base, uint32_t local_address) {
	for (unsigned i = 0; i < base->n_ports; i++) {
		if (fwd_port_on_link(&base->ports[i], local_address))
			return (uint8_t)i;
	}
	return 0;
}

uint8_t fwd_base_port_of6(const struct fwd_base *base, const struct ipv6_address *local_address) {
	for (unsigned i = 0; i < base->n_ports; i++) {
		if (fwd_port_on_link6(&base->ports[i], local_address))
			return (uint8_t)i;
	}
	return 0;
}
