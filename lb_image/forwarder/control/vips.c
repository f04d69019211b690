// SPDX-License-Identifier: Apache-2.0

#include "vips.h"

#include <arpa/inet.h>
#include <stdio.h>

static json_t *vip_json(const struct fwd_listener *listener, const struct claim_view *view) {
	struct ipv6_address address = fwd_listener_vip(listener);
	const uint8_t *mac = view->other;
	char text[INET6_ADDRSTRLEN], mac_text[18];
	json_t *object = json_pack(
		"{s:s, s:s}",
		"address",
		ipv6_text(&address, text),
		"state",
		claim_state_name(view->state)
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
	if (view->state == CLAIM_CONFLICT)
		json_object_set_new(object, "mac", json_string(mac_text));
	return object;
}

struct vips {
	json_int_t counts[CLAIM_STATES];
	json_t *named; // NULL: they are counted only
};

static void
look_at(struct vips *vips, const struct vip_table *table, const struct fwd_config *config) {
	for (uint32_t slot = 0; slot < config->slots_end; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];
		struct claim_view view;

		if (listener == NULL || !fwd_config_stands_for_vip(config, listener))
			continue;
		view = vip_read(table, config, listener);
		if (vips->counts[view.state]++ < VIPS_NAMED && vips->named != NULL)
			json_array_append_new(vips->named, vip_json(listener, &view));
	}
}

static void add_counts(const struct vips *vips, json_t *object) {
	for (unsigned state = 0; state < CLAIM_STATES; state++)
		json_object_set_new(
			object, claim_state_name(state), json_integer(vips->counts[state])
		);
}

void vips_report(const struct vip_table *table, const struct fwd_config *config, json_t *reply) {
	struct vips vips = {.named = json_array()};

	look_at(&vips, table, config);
	add_counts(&vips, reply);
	json_object_set_new(reply, "vips", vips.named);
}

json_t *vips_counts(const struct vip_table *table, const struct fwd_config *config) {
	struct vips vips = {.named = NULL};
	json_t *object = json_object();

	look_at(&vips, table, config);
	add_counts(&vips, object);
	return object;
}
