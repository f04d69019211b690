// SPDX-License-Identifier: Apache-2.0

#include "flow_filter.h"

#include "control_protocol.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

// 0 without such a member.
static json_t *read_number(json_t *object, const char *name, json_int_t max, json_int_t *out) {
	json_t *value = json_object_get(object, name);

	*out = 0;
	if (value == NULL)
		return NULL;
	*out = json_integer_value(value);
	if (*out >= 1 && *out <= max)
		return NULL;
	return control_refusal(name, "must be an integer from 1 to %" JSON_INTEGER_FORMAT, max);
}

// False when `text` is no address of either family, nor a prefix without bits behind its length.
static bool read_prefix(const char *text, struct flow_pattern_end *out) {
	char address[INET6_ADDRSTRLEN + 1] = "";
	const char *slash = strchr(text, '/');
	size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);
	bool ipv6 = strchr(text, ':') != NULL;
	unsigned long bits = ipv6 ? 128 : 32;
	struct ipv6_address network;
	uint32_t ipv4;
	char *end;

	if (size >= sizeof(address))
		return false;
	memcpy(address, text, size);
	if (slash != NULL) {
		unsigned long length = strtoul(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || length > bits)
			return false;
		bits = length;
	}
	if (ipv6 ? inet_pton(AF_INET6, address, &out->prefix) != 1
		 : inet_pton(AF_INET, address, &ipv4) != 1)
		return false;
	if (!ipv6)
		out->prefix = ipv6_mapped(ntohl(ipv4));
	out->length = (uint8_t)(ipv6 ? bits : 96 + bits);
	network = ipv6_network(&out->prefix, out->length);
	return ipv6_equal(&network, &out->prefix);
}

static json_t *read_end(
	json_t *object,
	const char *address_name,
	const char *port_name,
	struct flow_pattern_end *out
) {
	json_t *address = json_object_get(object, address_name);
	json_int_t port;
	json_t *refusal = read_number(object, port_name, UINT16_MAX, &port);

	*out = (struct flow_pattern_end){.port = (uint16_t)port};
	if (refusal != NULL || address == NULL)
		return refusal;
	if (json_is_string(address) && read_prefix(json_string_value(address), out))
		return NULL;
	return control_refusal(address_name, "must be an address or a prefix, like 192.0.2.0/24");
}

static json_t *read_protocol(json_t *object, uint8_t *out) {
	json_t *value = json_object_get(object, "protocol");
	const char *name = json_string_value(value);

	*out = 0;
	if (value == NULL)
		return NULL;
	if (name != NULL && strcmp(name, "tcp") == 0)
		*out = IPPROTO_TCP;
	else if (name != NULL && strcmp(name, "udp") == 0)
		*out = IPPROTO_UDP;
	else
		return control_refusal("protocol", "must be \"tcp\" or \"udp\"");
	return NULL;
}

static json_t *read_state(json_t *object, uint8_t *out) {
	json_t *value = json_object_get(object, "state");
	const char *name = json_string_value(value);

	*out = FLOW_FREE;
	if (value == NULL)
		return NULL;
	for (uint8_t state = FLOW_FREE + 1; name != NULL && state < FLOW_STATE_COUNT; state++) {
		if (strcmp(name, flow_state_name(state)) == 0) {
			*out = state;
			return NULL;
		}
	}
	return control_refusal("state", "must be a state of a flow, like \"established\"");
}

json_t *flow_pattern_read(json_t *object, struct flow_pattern *out) {
	json_t *refusal;

	*out = (struct flow_pattern){0};
	refusal = read_protocol(object, &out->protocol);
	if (refusal == NULL)
		refusal = read_end(object, "client_address", "client_port", &out->client);
	if (refusal == NULL)
		refusal = read_end(object, "vip", "vip_port", &out->vip);
	return refusal;
}

json_t *flow_filter_read(json_t *object, struct flow_filter *out) {
	json_t *listener = json_object_get(object, "listener");
	json_int_t idle_s_min = 0;
	json_t *refusal;

	*out = (struct flow_filter){.listener = json_string_value(listener)};
	if (listener != NULL && out->listener == NULL)
		return control_refusal("listener", "must be the name of a listener");
	refusal = flow_pattern_read(object, &out->pattern);
	if (refusal == NULL)
		refusal =
			read_end(object, "backend_address", "backend_port", &out->pattern.backend);
	if (refusal == NULL)
		refusal = read_state(object, &out->state);
	if (refusal == NULL)
		refusal = read_number(object, "idle_s_min", UINT32_MAX, &idle_s_min);
	out->idle_s_min = (uint32_t)idle_s_min;
	return refusal;
}

bool flow_filter_matches(
	const struct flow_filter *filter, const struct fwd_flow_view *flow, const char *listener
) {
	const struct flow_pattern *pattern = &filter->pattern;

	return (filter->listener == NULL || strcmp(filter->listener, listener) == 0)
		&& (filter->state == FLOW_FREE || filter->state == flow->state)
		&& flow->idle_s >= filter->idle_s_min && flow_pattern_takes(pattern, flow->protocol)
		&& flow_pattern_end_matches(
			&pattern->client, &flow->client_address, flow->client_port
		)
		&& flow_pattern_end_matches(&pattern->vip, &flow->vip, flow->vip_port)
		&& flow_pattern_end_matches(
			&pattern->backend, &flow->backend_address, flow->backend_port
		);
}
