// SPDX-License-Identifier: Apache-2.0

#include "json_address.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_unicast(uint32_t address) {
	uint32_t first_octet = address >> 24;

	return first_octet != 0 && first_octet != 127 && first_octet < 224;
}

// inet_pton takes dotted quads only: no octal, no shortened forms.
static bool parse_ipv4(const char *text, uint32_t *address) {
	struct in_addr parsed;

	if (text == NULL || inet_pton(AF_INET, text, &parsed) != 1)
		return false;
	*address = ntohl(parsed.s_addr);
	return is_unicast(*address);
}

static bool parse_ipv6(const char *text, struct ipv6_address *address) {
	return text != NULL && inet_pton(AF_INET6, text, address) == 1
		&& !ipv6_is_unspecified(address) && !ipv6_is_loopback(address)
		&& !ipv6_is_multicast(address) && !ipv6_is_mapped(address);
}

bool json_read_ipv4(
	const struct json_node *object, const char *key, enum json_presence presence, uint32_t *out
) {
	struct json_node node = json_node_member(object, key);
	uint32_t address;
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	if (!parse_ipv4(json_string_value(node.value), &address)) {
		json_node_error(&node, "must be a unicast IPv4 address");
		return false;
	}
	*out = address;
	return true;
}

bool json_read_ipv6(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *out
) {
	struct json_node node = json_node_member(object, key);
	struct ipv6_address address;
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	if (!parse_ipv6(json_string_value(node.value), &address)) {
		json_node_error(&node, "must be a unicast IPv6 address");
		return false;
	}
	*out = address;
	return true;
}

bool json_value_address(const struct json_node *node, struct ipv6_address *out) {
	const char *text = json_string_value(node->value);
	struct ipv6_address address;
	uint32_t ipv4;

	if (parse_ipv4(text, &ipv4)) {
		*out = ipv6_mapped(ipv4);
		return true;
	}
	if (!parse_ipv6(text, &address)) {
		json_node_error(node, "must be a unicast IPv4 or IPv6 address");
		return false;
	}
	if (ipv6_is_link_local(&address)) {
		json_node_error(node, "must not be link-local: no router forwards to it");
		return false;
	}
	*out = address;
	return true;
}

bool json_read_address(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *out
) {
	struct json_node node = json_node_member(object, key);
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	return json_value_address(&node, out);
}

static bool parse_prefix_length(const char *text, unsigned maximum, uint8_t *length) {
	size_t digits = strspn(text, "0123456789");
	unsigned value = 0;

	if (digits == 0 || digits > 3 || text[digits] != '\0' || text[0] == '0')
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	*length = (uint8_t)value;
	return value <= maximum;
}

#define PREFIX_SIZE (INET6_ADDRSTRLEN + sizeof("/128"))

// Copies "ADDRESS/LENGTH" and parts it. The length, or NULL where there is none.
static const char *parted(const struct json_node *node, char text[PREFIX_SIZE]) {
	char *slash;

	text[0] = '\0';
	if (json_is_string(node->value) && json_string_length(node->value) < PREFIX_SIZE)
		strcpy(text, json_string_value(node->value));
	slash = strchr(text, '/');
	if (slash == NULL)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

bool json_read_ipv4_prefix(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	uint32_t *address,
	uint8_t *prefix_length
) {
	struct json_node node = json_node_member(object, key);
	char text[PREFIX_SIZE];
	uint32_t parsed_address;
	uint8_t parsed_length;
	const char *length;
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	length = parted(&node, text);
	if (length == NULL || !parse_ipv4(text, &parsed_address)
	    || !parse_prefix_length(length, 32, &parsed_length)) {
		json_node_error(&node, "must be an IPv4 address and prefix length, as 10.0.0.2/24");
		return false;
	}
	*address = parsed_address;
	*prefix_length = parsed_length;
	return true;
}

bool json_read_ipv6_prefix(
	const struct json_node *object,
	const char *key,
	enum json_presence presence,
	struct ipv6_address *address,
	uint8_t *prefix_length
) {
	struct json_node node = json_node_member(object, key);
	struct ipv6_address parsed_address;
	char text[PREFIX_SIZE];
	uint8_t parsed_length;
	const char *length;
	bool fine;

	if (!json_present(&node, presence, &fine))
		return fine;
	length = parted(&node, text);
	if (length == NULL || !parse_ipv6(text, &parsed_address)
	    || ipv6_is_link_local(&parsed_address)
	    || !parse_prefix_length(length, 128, &parsed_length)) {
		json_node_error(
			&node,
			"must be an IPv6 address, not link-local, and prefix length, as "
			"2001:db8::2/64"
		);
		return false;
	}
	*address = parsed_address;
	*prefix_length = parsed_length;
	return true;
}

// Parts "NETWORK/LENGTH" of a family; `address` as inet_pton() has it. Lengths may be 0.
static bool parse_network(
	const struct json_node *node, int family, unsigned maximum, void *address, uint8_t *length
) {
	char text[PREFIX_SIZE];
	const char *digits = parted(node, text);

	*length = 0;
	return digits != NULL && inet_pton(family, text, address) == 1
		&& (strcmp(digits, "0") == 0 || parse_prefix_length(digits, maximum, length));
}

static bool
refuse_host_bits(const struct json_node *node, int family, const void *network, unsigned length) {
	char text[INET6_ADDRSTRLEN];

	json_node_error(
		node,
		"has bits beyond its length; it would be %s/%u",
		inet_ntop(family, network, text, sizeof(text)),
		length
	);
	return false;
}

bool json_value_ipv4_network(const struct json_node *node, uint32_t *address, uint8_t *length) {
	struct in_addr parsed;
	uint32_t mask;

	if (!parse_network(node, AF_INET, 32, &parsed, length)) {
		json_node_error(node, "must be an IPv4 network, as 10.0.0.0/8");
		return false;
	}
	*address = ntohl(parsed.s_addr);
	mask = *length ? UINT32_MAX << (32 - *length) : 0;
	if ((*address & ~mask) == 0)
		return true;
	parsed.s_addr = htonl(*address & mask);
	return refuse_host_bits(node, AF_INET, &parsed, *length);
}

bool json_value_ipv6_network(
	const struct json_node *node, struct ipv6_address *address, uint8_t *length
) {
	struct ipv6_address network;

	if (!parse_network(node, AF_INET6, 128, address, length)) {
		json_node_error(node, "must be an IPv6 network, as 2001:db8::/32");
		return false;
	}
	network = ipv6_network(address, *length);
	return ipv6_equal(address, &network) || refuse_host_bits(node, AF_INET6, &network, *length);
}
