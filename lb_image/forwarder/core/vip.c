// SPDX-License-Identifier: Apache-2.0

#include "vip.h"

#include "arp_request.h"
#include "nd_make.h"

#include <string.h>

// VIPs live on the first network.
#define VIP_PORT 0
#define FENCE_MASK 0xffffffu

static uint64_t word_of(const struct vip_table *table, uint32_t grant, enum vip_state state) {
	uint32_t fence = atomic_load_explicit(&table->fence, memory_order_relaxed) & FENCE_MASK;

	return (uint64_t)grant << 32 | fence << 8 | state;
}

// True when the word is of this grant, and of the present fence.
static bool holds(const struct vip_table *table, uint64_t word, uint32_t grant) {
	return (word ^ word_of(table, grant, 0)) >> 8 == 0;
}

static enum vip_state state_of(uint64_t word) {
	return word & 0xff;
}

static uint64_t mac_number(const uint8_t mac[ETHER_ADDR_SIZE]) {
	uint64_t number = 0;

	for (unsigned i = 0; i < ETHER_ADDR_SIZE; i++)
		number = number << 8 | mac[i];
	return number;
}

const char *vip_state_name(enum vip_state state) {
	static const char *const names[] = {
		[VIP_STANDBY] = "standby",
		[VIP_PROBING] = "probing",
		[VIP_OWNER] = "owner",
		[VIP_CONFLICT] = "conflict",
	};

	return names[state];
}

// A grant that nobody has looked at yet is probed for.
static enum vip_state read_state(const struct vip_table *table, uint32_t grant) {
	const struct vip_entry *entry = &table->entries[grant % FWD_MAX_GRANTS];
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_acquire);

	return holds(table, word, grant) ? state_of(word) : VIP_PROBING;
}

struct vip_view vip_read(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener
) {
	uint32_t grant = config->grants[listener->index];
	const struct vip_entry *entry = &table->entries[grant % FWD_MAX_GRANTS];
	uint64_t other = atomic_load_explicit(&entry->other, memory_order_relaxed);
	struct vip_view view = {.state = VIP_STANDBY};

	if (grant == FWD_NO_GRANT)
		return view;
	view.state = read_state(table, grant);
	for (unsigned i = ETHER_ADDR_SIZE; i-- > 0 && view.state == VIP_CONFLICT; other >>= 8)
		view.other[i] = (uint8_t)other;
	return view;
}

// What came while everything stood still waits in the receive queue: whoever takes it sees that nobody has looked after the
// table, even if worker 0 has not seen it yet.
bool vip_is_ours(
	const struct vip_table *table,
	const struct fwd_config *config,
	const struct fwd_listener *listener,
	uint64_t now_ms
) {
	uint32_t grant = config->grants[listener->index];
	const struct vip_entry *entry = &table->entries[grant % FWD_MAX_GRANTS];
	uint64_t kept_ms = atomic_load_explicit(&table->kept_ms, memory_order_acquire);

	// The clocks of two workers differ by about a millisecond, either way.
	return grant != FWD_NO_GRANT && (int64_t)(now_ms - kept_ms) <= VIP_STANDSTILL_MS
		&& atomic_load_explicit(&entry->word, memory_order_acquire)
		== word_of(table, grant, VIP_OWNER);
}

static bool is_own_mac(const struct fwd_base *base, const uint8_t mac[ETHER_ADDR_SIZE]) {
	for (unsigned i = 0; i < base->n_ports; i++) {
		if (memcmp(base->ports[i].mac, mac, ETHER_ADDR_SIZE) == 0)
			return true;
	}
	return false;
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
	struct vip_entry *entry = &table->entries[grant % FWD_MAX_GRANTS];

	// A switch may send our own frames back.
	if (grant == FWD_NO_GRANT || is_own_mac(base, mac))
		return false;
	// An owner answers a probe. Of two that probe, the one with the lower MAC goes on: both would wait for ever, or both take it.
	if (probes
	    && (read_state(table, grant) == VIP_OWNER
		|| mac_number(base->ports[VIP_PORT].mac) < mac_number(mac)))
		return false;
	atomic_store_explicit(&entry->heard, mac_number(mac), memory_order_release);
	return true;
}

struct turn {
	struct vip_table *table;
	const struct fwd_port *port;
	const struct fwd_listener *listener;
	struct vip_entry *entry;
	uint32_t grant;
	uint64_t now_ms;
	struct fwd_emit *out;
};

static void set_state(const struct turn *turn, enum vip_state state) {
	atomic_store_explicit(
		&turn->entry->word, word_of(turn->table, turn->grant, state), memory_order_release
	);
}

static unsigned probe(const struct turn *turn) {
	if (turn->listener->ipv6)
		nd_probe_make(turn->port, &turn->listener->vip6, turn->out);
	else
		arp_request_make(turn->port, 0, turn->listener->vip, turn->out);
	turn->out->port_out = VIP_PORT;
	return 1;
}

static unsigned announce(const struct turn *turn) {
	const struct fwd_listener *listener = turn->listener;

	if (listener->ipv6)
		nd_announcement_make(turn->port, &listener->vip6, turn->out);
	else
		arp_request_make(turn->port, listener->vip, listener->vip, turn->out);
	turn->out->port_out = VIP_PORT;
	return 1;
}

static void yield_to(const struct turn *turn, uint64_t other) {
	atomic_store_explicit(&turn->entry->other, other, memory_order_relaxed);
	turn->entry->sent = 0;
	turn->entry->due_ms = turn->now_ms + VIP_CONFLICT_WAIT_MS;
	set_state(turn, VIP_CONFLICT);
}

static unsigned own(const struct turn *turn, uint64_t heard) {
	struct vip_entry *entry = turn->entry;

	if (heard != 0 && entry->defended_ms != 0
	    && turn->now_ms - entry->defended_ms < VIP_DEFEND_INTERVAL_MS) {
		yield_to(turn, heard);
		return 0;
	}
	if (heard != 0)
		entry->defended_ms = turn->now_ms;
	else if (turn->now_ms < entry->due_ms)
		return 0;
	if (entry->sent < VIP_ANNOUNCE_ROUNDS)
		entry->sent++;
	entry->due_ms = turn->now_ms
		+ (entry->sent < VIP_ANNOUNCE_ROUNDS ? VIP_ANNOUNCE_INTERVAL_MS
						     : VIP_REFRESH_INTERVAL_MS);
	return announce(turn);
}

// VIP_CONFLICT is probing after a pause.
static unsigned seek(const struct turn *turn, uint64_t heard) {
	struct vip_entry *entry = turn->entry;

	if (heard != 0) {
		yield_to(turn, heard);
		return 0;
	}
	if (turn->now_ms < entry->due_ms)
		return 0;
	if (entry->sent < VIP_PROBES) {
		entry->sent++;
		entry->due_ms = turn->now_ms + VIP_PROBE_INTERVAL_MS;
		return probe(turn);
	}
	entry->sent = 0;
	entry->defended_ms = 0;
	set_state(turn, VIP_OWNER);
	return own(turn, 0);
}

static unsigned look_after(const struct turn *turn) {
	struct vip_entry *entry = turn->entry;
	uint64_t word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	uint64_t heard;

	if (!holds(turn->table, word, turn->grant)) {
		entry->sent = 0;
		entry->due_ms = turn->now_ms;
		set_state(turn, VIP_PROBING);
		atomic_store_explicit(&entry->heard, 0, memory_order_relaxed);
		return seek(turn, 0);
	}
	heard = atomic_exchange_explicit(&entry->heard, 0, memory_order_acquire);
	return state_of(word) == VIP_OWNER ? own(turn, heard) : seek(turn, heard);
}

// False where nothing is to be done now. Void before anybody may see that we are here again.
static bool is_there(struct vip_table *table, uint64_t now_ms) {
	uint64_t kept_ms = atomic_load_explicit(&table->kept_ms, memory_order_relaxed);

	if (atomic_load_explicit(&table->cut_off, memory_order_relaxed))
		return false;
	if ((int64_t)(now_ms - kept_ms) > VIP_STANDSTILL_MS)
		atomic_fetch_add_explicit(&table->fence, 1, memory_order_release);
	atomic_store_explicit(&table->kept_ms, now_ms, memory_order_release);
	return true;
}

unsigned
vip_run(struct vip_table *table,
	const struct fwd_base *base,
	const struct fwd_config *config,
	uint64_t now_ms,
	unsigned count,
	struct fwd_emit *out,
	unsigned max) {
	struct turn turn = {.table = table, .port = &base->ports[VIP_PORT], .now_ms = now_ms};
	unsigned made = 0;

	if (!is_there(table, now_ms))
		return 0;
	for (; count > 0 && made < max; count--) {
		if (table->cursor >= config->slots_end)
			table->cursor = 0;
		turn.listener = config->listeners[table->cursor];
		turn.grant = config->grants[table->cursor++];
		if (turn.grant == FWD_NO_GRANT || !fwd_config_stands_for_vip(config, turn.listener))
			continue;
		turn.entry = &table->entries[turn.grant % FWD_MAX_GRANTS];
		turn.out = &out[made];
		made += look_after(&turn);
	}
	return made;
}
