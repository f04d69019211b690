// SPDX-License-Identifier: Apache-2.0

#include "vip.h"

#include "headers.h"

// VIPs live on the first network.
#define VIP_PORT 0

struct claim_view vip_read(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener
) {
	uint32_t grant = config->grants[listener->index];

	if (grant == FWD_NO_GRANT)
		return (struct claim_view){.state = CLAIM_STANDBY};
	return claim_read(&table->entries[grant % FWD_MAX_GRANTS], &table->clock, grant);
}

bool vip_is_ours(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener,
	uint64_t now_ms
) {
	uint32_t grant = config->grants[listener->index];

	return grant != FWD_NO_GRANT
		&& claim_is_ours(
			&table->entries[grant % FWD_MAX_GRANTS], &table->clock, grant, now_ms
		);
}

bool vip_hear(
	struct vip_table *table,
	const struct fwd_base *base,
	const struct fwd_config *config,
	const struct fwd_listener *listener,
	const uint8_t mac[ETHER_ADDR_SIZE],
	bool probes
) {
	uint32_t grant = config->grants[listener->index];
	struct claim *claim = &table->entries[grant % FWD_MAX_GRANTS];

	return grant != FWD_NO_GRANT
		&& claim_hear(claim, &table->clock, grant, base, VIP_PORT, mac, probes);
}

unsigned
vip_run(struct vip_table *table,
	const struct fwd_base *base,
	const struct fwd_config *config,
	uint64_t now_ms,
	unsigned count,
	struct fwd_emit *out,
	unsigned max) {
	struct claim_turn turn = {
		.clock = &table->clock, .base = base, .port = VIP_PORT, .now_ms = now_ms};
	unsigned made = 0;

	if (atomic_load_explicit(&table->cut_off, memory_order_relaxed))
		return 0;
	claim_clock_keep(&table->clock, now_ms);
	for (; count > 0 && made < max; count--) {
		if (table->cursor >= config->slots_end)
			table->cursor = 0;
		const struct fwd_listener *listener = config->listeners[table->cursor];

		turn.grant = config->grants[table->cursor++];
		if (turn.grant == FWD_NO_GRANT || !fwd_config_stands_for_vip(config, listener))
			continue;
		turn.claim = &table->entries[turn.grant % FWD_MAX_GRANTS];
		turn.address = fwd_listener_vip(listener);
		made += claim_run(&turn, &out[made]);
	}
	return made;
}
