// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "json_read.h"

#include <ipv6_address.h>

// Reads of addresses, in the manner of json_read.h. All refuse what is no unicast address of a host: for IPv4 0.0.0.0/8,
// 127.0.0.0/8 and 224.0.0.0/3 (RFC 6890), for IPv6 ::, ::1, multicast and mapped IPv4 addresses (RFC 4291).

// Dotted quad to host byte order.
bool json_read_ipv4(
	const struct json_node *object, const char *key, enum json_presence presence, uint32_t *out
);

// An IPv6 address; it may be link-local.
bool json_read_ipv6(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *out
);

// An address of either family, IPv4 mapped (see ipv6_is_mapped()). A link-local one is refused: nobody could reach it through
// a router.
bool json_read_address(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *out
);
bool json_value_address(const struct json_node *node, struct ipv6_address *out);

// "10.77.0.11/24" to an address in host byte order and a prefix length of 1 to 32 bits.
bool json_read_ipv4_prefix(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	uint32_t *address,
	uint8_t *prefix_length
);

// "2001:db8:77::11/64" to an address that is not link-local and a prefix length of 1 to 128 bits.
bool json_read_ipv6_prefix(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *address,
	uint8_t *prefix_length
);

// "10.0.0.0/8" to any IPv4 network: an address in host byte order without bits beyond a prefix length of 0 to 32.
bool json_value_ipv4_network(const struct json_node *node, uint32_t *address, uint8_t *length);

// "2001:db8::/32" to any IPv6 network: an address without bits beyond a prefix length of 0 to 128.
bool json_value_ipv6_network(
	const struct json_node *node, struct ipv6_address *address, uint8_t *length
);
