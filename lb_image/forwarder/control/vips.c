// SPDX-License-Identifier: Apache-2.0

#include "vips.h"

#include <arpa/inet.h>
#include <stdio.h>

static json_t *vip_json(const struct fwd_listener *listener, const struct vip_view *view) {
	struct ipv6_address address = fwd_listener_vip(listener);
	const uint8_t *mac = view->other;
	char text[INET6_ADDRSTRLEN], mac_text[18];
	json_t *object = json_pack(
		"{s:s, s:s}",
		"address",
		ipv6_text(&address, text),
		"state",
		vip_state_name(view->state)
	);

	snprintf(
		mac_text,
		sizeof(mac_text),
		"%02x:%02x:%02x:%02x:%02x:%02x",
		mac[0],
		mac[1],
		mac[2],
		mac[3],
		mac[4],
		mac[5]
	);
	if (view->state == VIP_CONFLICT)
		json_object_set_new(object, "mac", json_string(mac_text));
	return object;
}

void vips_report(const struct vip_table *table, const struct fwd_config *config, json_t *reply) {
	json_int_t counts[VIP_STATES] = {0};
	json_t *vips = json_array();

	for (uint32_t slot = 0; slot < config->slots_end; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];
		struct vip_view view;

		if (listener == NULL || !fwd_config_stands_for_vip(config, listener))
			continue;
		view = vip_read(table, config, listener);
		if (counts[view.state]++ < VIPS_NAMED)
			json_array_append_new(vips, vip_json(listener, &view));
	}
	for (unsigned state = 0; state < VIP_STATES; state++)
		json_object_set_new(reply, vip_state_name(state), json_integer(counts[state]));
	json_object_set_new(reply, "vips", vips);
}
