// SPDX-License-Identifier: Apache-2.0

#include "neighbour.h"

#include "arp_request.h"
#include "headers.h"
#include "nd_make.h"

#include <string.h>

#define USABLE (1ull << 63)
// In a key: neighbour_collect() is about to free the entry. Who looks it up takes it back; nobody puts another key there.
#define LEAVING (1ull << 62)
#define IPV6 (1ull << 61)

static uint64_t key_of(uint8_t port, uint32_t address) {
	return USABLE | (uint64_t)port << 32 | address;
}

static uint64_t key_of6(uint8_t port, const struct ipv6_address *address) {
	return IPV6 | key_of(port, ipv6_fold(address));
}

static uint8_t port_of(uint64_t key) {
	return (uint8_t)(key >> 32);
}

static uint16_t home_of(uint64_t key) {
	return (uint16_t)((key * 0x9e3779b97f4a7c15u) >> 52) % NEIGHBOUR_MAX;
}

static struct ipv6_address address6_of(const struct neighbour_table *table, unsigned index) {
	const struct neighbour_address6 *from = &table->addresses6[index];

	return (struct ipv6_address
	){atomic_load_explicit(&from->high, memory_order_relaxed),
	  atomic_load_explicit(&from->low, memory_order_relaxed)};
}

// Whether the entry with this key is the one that is looked for. `address`: of an IPv6 one, whose key may be another's too.
static inline bool is_entry(
	const struct neighbour_table *table,
	unsigned index,
	uint64_t found,
	uint64_t key,
	const struct ipv6_address *address
) {
	struct ipv6_address is;

	if (found != key || address == NULL)
		return found == key;
	is = address6_of(table, index);
	return ipv6_equal(&is, address);
}

// Index of the entry, or of the first one where it may be put; NEIGHBOUR_NONE when there is neither. `*found` is what is there:
// the key, the key LEAVING, 0 or NEIGHBOUR_FREED.
static inline __attribute__((always_inline)) uint16_t
probe(struct neighbour_table *table,
      uint64_t key,
      const struct ipv6_address *address,
      uint64_t *found) {
	uint16_t i = home_of(key), place = NEIGHBOUR_NONE;
	uint64_t at_place = 0;

	for (unsigned n = 0; n < NEIGHBOUR_MAX; n++, i = (i + 1) % NEIGHBOUR_MAX) {
		*found = atomic_load_explicit(&table->entries[i].key, memory_order_acquire);
		if (is_entry(table, i, *found & ~LEAVING, key, address))
			return i;
		if (place == NEIGHBOUR_NONE && (*found == 0 || *found == NEIGHBOUR_FREED)) {
			place = i;
			at_place = *found;
		}
		// Behind an entry that was never used lies nothing; behind one that was freed there may be.
		if (*found == 0)
			break;
	}
	*found = at_place;
	return place;
}

// Puts the entry into a free place, or takes it back; false when another was faster. An IPv6 address is written before its key is
// seen.
static inline __attribute__((always_inline)) bool
put(struct neighbour_table *table,
    uint16_t index,
    uint64_t found,
    uint64_t key,
    const struct ipv6_address *address) {
	struct neighbour *entry = &table->entries[index];

	if (address == NULL || found == (key | LEAVING))
		return atomic_compare_exchange_strong(&entry->key, &found, key);
	if (!atomic_compare_exchange_strong(&entry->key, &found, NEIGHBOUR_TAKEN))
		return false;
	atomic_store_explicit(&table->addresses6[index].high, address->high, memory_order_relaxed);
	atomic_store_explicit(&table->addresses6[index].low, address->low, memory_order_relaxed);
	atomic_store_explicit(&entry->key, key, memory_order_release);
	return true;
}

// The use is told before the key is looked at again: either neighbour_collect() sees the use, or this sees that it is leaving.
// Of IPv6 the address is looked at again too: the key may be another's by now.
static inline __attribute__((always_inline)) uint16_t
get(struct neighbour_table *table, uint64_t key, const struct ipv6_address *address, uint32_t now_s
) {
	uint64_t found;
	uint16_t i;

	while ((i = probe(table, key, address, &found)) != NEIGHBOUR_NONE) {
		struct neighbour *entry = &table->entries[i];

		if (atomic_load(&entry->used_s) != now_s)
			atomic_store(&entry->used_s, now_s);
		if (found == key && is_entry(table, i, atomic_load(&entry->key), key, address))
			return i;
		if (found != key && put(table, i, found, key, address))
			return i;
	}
	return i;
}

uint16_t
neighbour_get(struct neighbour_table *table, uint8_t port, uint32_t address, uint32_t now_s) {
	return get(table, key_of(port, address), NULL, now_s);
}

uint16_t neighbour_get6(
	struct neighbour_table *table,
	uint8_t port,
	const struct ipv6_address *address,
	uint32_t now_s
) {
	return get(table, key_of6(port, address), address, now_s);
}

void neighbour_hold(
	struct neighbour_table *table,
	unsigned worker,
	const uint64_t bits[NEIGHBOUR_MAX / 64],
	uint32_t began_s
) {
	struct neighbour_hold *hold = &table->holds[worker];

	for (unsigned i = 0; i < NEIGHBOUR_MAX / 64; i++)
		atomic_store_explicit(&hold->bits[i], bits[i], memory_order_relaxed);
	atomic_store_explicit(&hold->since_s, began_s, memory_order_release);
}

// A flow that was made after a worker began to look may have been missed, but then the entry was looked up after that.
static bool
is_held(struct neighbour_table *table, unsigned n_workers, unsigned index, uint32_t used_s) {
	for (unsigned worker = 0; worker < n_workers; worker++) {
		struct neighbour_hold *hold = &table->holds[worker];
		uint32_t since_s = atomic_load_explicit(&hold->since_s, memory_order_acquire);
		uint64_t bits = atomic_load_explicit(&hold->bits[index / 64], memory_order_relaxed);

		if (since_s <= used_s || (bits >> index % 64 & 1))
			return true;
	}
	return false;
}

void neighbour_collect(struct neighbour_table *table, unsigned n_workers, uint32_t now_s) {
	for (unsigned i = 0; i < NEIGHBOUR_MAX; i++) {
		struct neighbour *entry = &table->entries[i];
		uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed);
		uint32_t used_s = atomic_load_explicit(&entry->used_s, memory_order_relaxed);
		uint64_t leaving;

		if (!(key & USABLE) || (int32_t)(now_s - used_s) < NEIGHBOUR_KEEP_S
		    || is_held(table, n_workers, i, used_s))
			continue;
		leaving = key | LEAVING;
		atomic_store(&entry->key, leaving);
		if (atomic_load(&entry->used_s) != used_s) {
			atomic_compare_exchange_strong(&entry->key, &leaving, key);
			continue;
		}
		// Before anybody can put another address here. One who took it back meanwhile asks again.
		atomic_store(&entry->mac, 0);
		atomic_store_explicit(&entry->asked_s, 0, memory_order_relaxed);
		atomic_compare_exchange_strong(&entry->key, &leaving, NEIGHBOUR_FREED);
	}
}

// Asks for the MAC again: it goes on being used, but not for long.
static void doubt(struct neighbour *entry, uint32_t now_s) {
	uint32_t confirmed_s = atomic_load_explicit(&entry->confirmed_s, memory_order_relaxed);

	if ((int32_t)(now_s - confirmed_s) < NEIGHBOUR_CONFIRM_S)
		atomic_store_explicit(
			&entry->confirmed_s, now_s - NEIGHBOUR_CONFIRM_S, memory_order_relaxed
		);
}

static void take_news(
	struct neighbour *entry,
	uint64_t key,
	uint64_t value,
	struct neighbour_news news,
	uint32_t now_s
) {
	uint64_t known = atomic_load_explicit(&entry->mac, memory_order_relaxed);

	if (known != 0 && known != value && !news.override) {
		doubt(entry, now_s);
		return;
	}
	if (news.solicited)
		atomic_store_explicit(&entry->confirmed_s, now_s, memory_order_relaxed);
	else if (known != value)
		atomic_store_explicit(
			&entry->confirmed_s, now_s - NEIGHBOUR_CONFIRM_S, memory_order_relaxed
		);
	atomic_store(&entry->mac, value);
	// The entry may have left meanwhile, and be another address's.
	if (atomic_load(&entry->key) != key)
		atomic_compare_exchange_strong(&entry->mac, &value, 0);
}

// Two workers that add an address at once may put it into two entries, when one that lies before the other's is freed just
// then: so the search does not end at the first.
static bool
learn(struct neighbour_table *table,
      uint64_t key,
      const struct ipv6_address *address,
      const uint8_t mac[6],
      struct neighbour_news news,
      uint32_t now_s) {
	uint16_t i = home_of(key);
	uint64_t value = 0;
	bool known = false;

	memcpy(&value, mac, ETHER_ADDR_SIZE);
	for (unsigned n = 0; n < NEIGHBOUR_MAX; n++, i = (i + 1) % NEIGHBOUR_MAX) {
		uint64_t found = atomic_load_explicit(&table->entries[i].key, memory_order_acquire);

		if (found == 0)
			break;
		if (!is_entry(table, i, found, key, address))
			continue;
		take_news(&table->entries[i], key, value | USABLE, news, now_s);
		known = true;
	}
	return known;
}

bool neighbour_learn(
	struct neighbour_table *table,
	uint8_t port,
	uint32_t address,
	const uint8_t mac[6],
	uint32_t now_s
) {
	const struct neighbour_news sure = {true, true};

	return learn(table, key_of(port, address), NULL, mac, sure, now_s);
}

bool neighbour_learn6(
	struct neighbour_table *table,
	uint8_t port,
	const struct ipv6_address *address,
	const uint8_t mac[6],
	struct neighbour_news news,
	uint32_t now_s
) {
	return learn(table, key_of6(port, address), address, mac, news, now_s);
}

static bool is_due(struct neighbour *entry, uint32_t now_s) {
	bool known = atomic_load_explicit(&entry->mac, memory_order_relaxed) != 0;
	uint32_t asked_s = atomic_load_explicit(&entry->asked_s, memory_order_relaxed);
	uint32_t age_s = now_s - atomic_load_explicit(&entry->confirmed_s, memory_order_relaxed);

	// Another worker's clock may be a moment ahead: then the age wraps, and the entry is fresh.
	if (known && (int32_t)age_s >= NEIGHBOUR_FORGET_S) {
		atomic_store_explicit(&entry->mac, 0, memory_order_relaxed);
		known = false;
	}
	if (known && (int32_t)age_s < NEIGHBOUR_CONFIRM_S)
		return false;
	// 0: never asked. The clock of a shell may start at 0, so asked_s is kept one ahead.
	if (asked_s != 0 && now_s + 1 - asked_s < NEIGHBOUR_RETRY_S)
		return false;
	atomic_store_explicit(&entry->asked_s, now_s + 1, memory_order_relaxed);
	return true;
}

static void
ask(const struct neighbour_table *table,
    const struct fwd_port *port,
    unsigned index,
    uint64_t key,
    struct fwd_emit *out) {
	struct ipv6_address address, group;

	if (key & IPV6) {
		address = address6_of(table, index);
		group = ipv6_solicited_node(&address);
		nd_solicitation_make(port, &address, &group, out);
	} else {
		arp_request_make(port, port->address, (uint32_t)key, out);
	}
}

unsigned neighbour_refresh(
	struct neighbour_table *table,
	const struct fwd_base *base,
	uint32_t now_s,
	uint16_t *cursor,
	unsigned count,
	struct fwd_emit *out,
	unsigned max
) {
	unsigned made = 0;

	for (; count > 0 && made < max; count--, *cursor = (*cursor + 1) % NEIGHBOUR_MAX) {
		struct neighbour *entry = &table->entries[*cursor];
		uint64_t key = atomic_load_explicit(&entry->key, memory_order_acquire);

		if (!(key & USABLE) || !is_due(entry, now_s))
			continue;
		ask(table, &base->ports[port_of(key)], *cursor, key, &out[made]);
		out[made++].port_out = port_of(key);
	}
	return made;
}

static uint16_t
adopt(struct neighbour_table *table,
      const struct neighbour_table *before,
      unsigned index,
      uint64_t key,
      uint32_t now_s) {
	struct ipv6_address address;

	if (!(key & IPV6))
		return get(table, key, NULL, now_s);
	address = address6_of(before, index);
	if (key_of6(port_of(key), &address) != key)
		return NEIGHBOUR_NONE;
	return get(table, key, &address, now_s);
}

void neighbour_adopt(
	struct neighbour_table *table,
	const struct neighbour_table *before,
	unsigned n_ports,
	uint32_t now_s
) {
	for (unsigned i = 0; i < NEIGHBOUR_MAX; i++) {
		const struct neighbour *entry = &before->entries[i];
		uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed) & ~LEAVING;
		uint64_t mac = atomic_load_explicit(&entry->mac, memory_order_relaxed);
		uint32_t confirmed_s =
			atomic_load_explicit(&entry->confirmed_s, memory_order_relaxed);
		uint16_t to;

		if (!(key & USABLE) || !(mac & USABLE) || port_of(key) >= n_ports
		    || now_s - confirmed_s >= NEIGHBOUR_FORGET_S)
			continue;
		to = adopt(table, before, i, key, now_s);
		if (to == NEIGHBOUR_NONE)
			continue;
		atomic_store_explicit(
			&table->entries[to].confirmed_s,
			now_s - NEIGHBOUR_CONFIRM_S,
			memory_order_relaxed
		);
		atomic_store_explicit(&table->entries[to].mac, mac, memory_order_relaxed);
	}
}

bool neighbour_read(
	const struct neighbour_table *table, uint16_t index, struct neighbour_view *out
) {
	const struct neighbour *entry = &table->entries[index];
	uint64_t key = atomic_load_explicit(&entry->key, memory_order_acquire);
	uint64_t mac = atomic_load_explicit(&entry->mac, memory_order_relaxed);

	if (!(key & USABLE))
		return false;
	out->address = key & IPV6 ? address6_of(table, index) : ipv6_mapped((uint32_t)key);
	out->port = port_of(key);
	out->resolved = mac != 0;
	memcpy(out->mac, &mac, sizeof(out->mac));
	return true;
}
