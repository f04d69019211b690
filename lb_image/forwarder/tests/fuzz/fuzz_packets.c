// SPDX-License-Identifier: Apache-2.0

// libFuzzer target: any frames, times and configurations through the packet core.
//
// Input: one byte that chooses the base, then steps. A step's first byte is its kind in the low two bits:
//   0, 1  a frame: bit 2 port; bit 3 make the IPv4 checksum right; bit 4 the L4 checksum; bit 5 aim it at the port's MAC;
//         bit 6 it is the last of its burst; then two bytes of length, little endian, and the frame. With bit 4 a datagram of
//         the session sync is younger than those before, and tagged.
//   2     time goes on by the high six bits, seconds, and the house is kept
//   3     another configuration, chosen by the high bits

#include "packet_oracle.h"

#include <siphash.h>
#include <worker.h>

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_VLAN 100 // as in the packet cases
#define CONFIGS 4     // the last one is the first with PROXY headers
#define WITH_HEADERS 3
#define LISTENERS 5 // the last two are of IPv6
#define START_S 1000u
#define HOUSEKEEPING_CALLS 16
#define GROUP_MEMORY (6u << 20)
#define WORKER_MEMORY (8u << 20)

struct input {
	const uint8_t *at;
	size_t left;
};

struct run {
	struct fwd_base base;
	struct fwd_worker *worker;
	struct fwd_config *config;
	struct fwd_packet packets[FWD_BURST_MAX];
	struct frame_copy copies[FWD_BURST_MAX];
	uint8_t *buffers[FWD_BURST_MAX];
	unsigned count;
	uint64_t now_ms;
	uint64_t sequence; // of the sync datagrams
};

static struct fwd_config configs[CONFIGS];
// Used again by every run: to allocate them costs more than the run.
static uint8_t memory[WORKER_MEMORY] __attribute__((aligned(64)));
static uint8_t group[GROUP_MEMORY] __attribute__((aligned(64)));
static struct neighbour_table neighbours;
static struct trace trace; // of all packets

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_listener(
	unsigned config, uint16_t slot, uint8_t protocol, uint16_t port, const uint16_t weights[3]
) {
	static const uint32_t addresses[] = {0x0af40005, 0x0af40006, 0x0a4d0037};
	const struct ipv6_address addresses6[] = {
		ipv6_make(0xfd44000000000000u, 5),
		ipv6_make(0xfd44000000000000u, 6),
		ipv6_make(0x20010db800770000u, 0x55),
	};
	struct fwd_listener *listener =
		calloc(1,
		       sizeof(*listener) + 3 * sizeof(listener->backends[0])
			       + FWD_HASH_PLACES * sizeof(uint16_t));

	MUST(listener != NULL);
	listener->hash_places = (_Atomic uint16_t *)&listener->backends[3];
	listener->ipv6 = slot >= 3;
	if (listener->ipv6)
		listener->vip6 = ipv6_make(0x20010db800010000u, 0x10);
	else
		listener->vip = 0xc633640a + (slot == 2);
	listener->port = port;
	listener->protocol = protocol;
	listener->arp = slot != 2;
	listener->index = slot;
	listener->scheduler = (enum fwd_scheduler)((slot + 2u * config) % 6);
	listener->hash_connection = config == 2;
	listener->reset_removed = config != 0;
	if (protocol == IPPROTO_TCP && config != 1)
		listener->client_address = config == WITH_HEADERS ? FWD_CLIENT_ADDRESS_PROXY_V2
								  : FWD_CLIENT_ADDRESS_TOA;
	listener->timeouts = (struct fwd_timeouts){20, 6, 3, 9};
	listener->n_backends = weights == NULL ? 0 : 3;
	for (unsigned i = 0; i < listener->n_backends; i++) {
		listener->backends[i] =
			(struct fwd_backend){{addresses[i]}, 8080, weights[i], slot * 3u + i, 0};
		if (listener->ipv6)
			listener->backends[i].address6 = addresses6[i];
	}
	for (unsigned i = 0; i < listener->n_backends; i++)
		fwd_config_set_backend(&configs[config], listener->backends[i].slot, true);
	fwd_listener_measure(listener);
	configs[config].listeners[slot] = listener;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	(void)argc;
	(void)argv;
	for (unsigned config = 0; config < CONFIGS; config += WITH_HEADERS) {
		add_listener(config, 0, IPPROTO_TCP, 80, (const uint16_t[]){1, 1, 0});
		add_listener(config, 1, IPPROTO_UDP, 53, (const uint16_t[]){6, 4, 1});
		add_listener(config, 3, IPPROTO_TCP, 80, (const uint16_t[]){1, 1, 1});
	}
	add_listener(0, 2, IPPROTO_TCP, 80, NULL);
	add_listener(1, 0, IPPROTO_TCP, 80, (const uint16_t[]){0, 2, 65535});
	add_listener(2, 1, IPPROTO_UDP, 53, (const uint16_t[]){0, 0, 0});
	add_listener(2, 2, IPPROTO_TCP, 80, (const uint16_t[]){3, 3, 3});
	add_listener(0, 4, IPPROTO_UDP, 53, (const uint16_t[]){1, 2, 0});
	add_listener(1, 4, IPPROTO_UDP, 53, NULL);
	add_listener(2, 3, IPPROTO_TCP, 80, (const uint16_t[]){0, 5, 1});
	fwd_config_set_backend(&configs[2], 4, false); // as if it had been removed
	for (unsigned i = 0; i < CONFIGS; i++) {
		fwd_config_index(&configs[i]);
		fwd_config_grant(&configs[i], i > 0 ? &configs[i - 1] : NULL);
	}
	return 0;
}

static uint8_t take_byte(struct input *input) {
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static void add_sync(struct fwd_base *base) {
	base->sync = (struct fwd_sync){
		.enabled = true,
		.udp_port = 5407,
		.n_peers = 1,
		.peers = {{1, 0x0a4d000c}},
		.epoch_us = 1000000000000u,
	};
	for (uint8_t i = 0; i < FWD_SYNC_KEY_SIZE; i++)
		base->sync.key[i] = i;
	base->local_addresses[2] = 0x0a4d006f;
	base->local_addresses[3] = 0x0a4d0070;
	base->local_addresses6[1] = ipv6_make(0x20010db800770000u, 0x6f);
}

// Bits of `choice`: 0 a small table, 1 a small MTU, 2 a second port, 3 no resets, 4 no share for half-open flows,
// 5 PROXY headers from the start, 6 a trace, 7 a VLAN on the last port. Bit 3 is session sync, too. One worker of many owns few
// ports: quick to set up.
static void start(struct run *run, uint8_t choice) {
	size_t flows;

	run->base = (struct fwd_base){
		.max_flows_per_worker = choice & 1 ? 5 : 2100,
		.half_open_percent = choice & 16 ? 100 : 1,
		.n_workers = FWD_MAX_WORKERS,
		.n_ports = choice & 4 ? 2 : 1,
		.n_local_addresses = 2,
		.reset_unknown_tcp = !(choice & 8),
		.local_addresses = {0x0a4d0065, choice & 4 ? 0x0a580065 : 0x0a4d0066},
		.ports =
			{
				{.address = 0x0a4d000b,
				 .gateway = 0x0a4d0001,
				 .prefix_length = 24,
				 .mac = {2, 0, 0, 0, 0, 1}},
				{.address = 0x0a58000b,
				 .gateway = 0x0a580001,
				 .prefix_length = 24,
				 .mac = {2, 0, 0, 0, 0, 2}},
			},
	};
	run->base.n_local_addresses6 = 1;
	run->base.local_addresses6[0] =
		ipv6_make(choice & 4 ? 0x20010db800880000u : 0x20010db800770000u, 0x65);
	run->base.ports[0].address6 = ipv6_make(0x20010db800770000u, 0xb);
	run->base.ports[0].gateway6 = ipv6_make(0xfe80000000000000u, 1);
	run->base.ports[1].address6 = ipv6_make(0x20010db800880000u, 0xb);
	run->base.ports[1].gateway6 = ipv6_make(0x20010db800880000u, 1);
	run->base.ports[0].prefix_length6 = run->base.ports[1].prefix_length6 = 64;
	run->base.ports[run->base.n_ports - 1u].vlan = choice & 128 ? FUZZ_VLAN : 0;
	run->base.ports[0].mtu = run->base.ports[1].mtu = choice & 2 ? 600 : 1500;
	if (choice & 8)
		add_sync(&run->base);
	run->sequence = 0;
	flows = (worker_memory_size(&run->base) + 63) & ~(size_t)63;
	MUST(flows + worker_flows_size(&run->base) <= sizeof(memory));
	memset(memory, 0, flows + worker_flows_size(&run->base));
	MUST(worker_group_size(&run->base) <= sizeof(group));
	memset(group, 0, worker_group_size(&run->base));
	memset(&neighbours, 0, sizeof(neighbours));
	run->worker = worker_init(
		memory,
		memory + flows,
		&run->base,
		&neighbours,
		worker_group_init(group, &run->base, choice),
		0,
		choice
	);
	run->config = &configs[choice & 32 ? WITH_HEADERS : 0];
	run->now_ms = START_S * 1000;
	trace.until_ms = UINT64_MAX;
	worker_set_trace(run->worker, choice & 64 ? &trace : NULL);
}

static void check_counters(const struct run *run, const uint64_t *drops) {
	const struct worker_counters *counters = &run->worker->counters;
	uint64_t active = 0, on_backends = 0, dropped = 0;

	for (unsigned i = 0; i < LISTENERS; i++)
		active += counters->listeners[i].active_flows;
	for (unsigned i = 0; i < 3 * LISTENERS; i++)
		on_backends += counters->backends[i].active_flows;
	on_backends += counters->backends[FWD_GONE_BACKEND].active_flows;
	MUST(on_backends == active);
	MUST(active == run->worker->flows.active + run->worker->flows6.active);
	MUST(run->worker->flows.active <= run->base.max_flows_per_worker);
	MUST(run->worker->flows6.active <= run->base.max_flows_per_worker);
	MUST(run->worker->flows.foreign <= run->worker->flows.max_foreign);
	MUST(run->worker->flows6.foreign <= run->worker->flows6.max_foreign);
	for (unsigned i = 0; i < 2; i++)
		MUST(run->worker->half_open[i].live <= run->worker->half_open[i].max);
	for (unsigned i = 0; i < run->count; i++)
		dropped += run->packets[i].drop_reason != DROP_NONE;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		dropped -= counters->drops[i] - drops[i];
	MUST(dropped == 0);
}

static void end_burst(struct run *run) {
	uint64_t drops[DROP_REASON_COUNT];

	if (run->count == 0)
		return;
	memcpy(drops, run->worker->counters.drops, sizeof(drops));
	worker_process(run->worker, run->config, run->packets, run->count, run->now_ms);
	check_counters(run, drops);
	for (unsigned i = 0; i < run->count; i++) {
		struct fwd_packet *packet = &run->packets[i];
		const struct fwd_port *port = &run->base.ports[0];

		if (packet->verdict == FWD_TX) {
			MUST(packet->port_out < run->base.n_ports);
			port = &run->base.ports[packet->port_out];
		}
		oracle_check_tags(
			&run->copies[i], packet, run->base.ports[packet->port_in].vlan, port->vlan
		);
		oracle_check(&run->copies[i], packet, port->mtu, port->mac);
		free(run->buffers[i]);
	}
	run->count = 0;
}

// Makes a datagram for the sync port one that is believed, if its sender is.
static void fix_sync(struct run *run, uint8_t *frame, unsigned len) {
	unsigned ip = len > 18 && oracle_read16(frame + 12) == 0x8100 ? 18 : 14;
	unsigned udp = ip + 20, at = udp + 8, length;
	uint64_t sequence = htobe64(++run->sequence), tag;

	if (len < at || frame[ip] != 0x45 || frame[ip + 9] != IPPROTO_UDP
	    || oracle_read16(frame + udp + 2) != 5407)
		return;
	length = oracle_read16(frame + udp + 4);
	if (length < 8 + sizeof(struct sync_header) + SYNC_TAG_SIZE || udp + length > len)
		return;
	memcpy(frame + at + offsetof(struct sync_header, sequence), &sequence, sizeof(sequence));
	length -= 8 + SYNC_TAG_SIZE;
	tag = htole64(siphash(run->base.sync.key, frame + at, length));
	memcpy(frame + at + length, &tag, sizeof(tag));
}

// In memory of exactly its length where that is enough for an answer, so that one byte too far is seen. Behind a shorter one
// lies what no packet holds: what depends on it does not agree with the oracle.
static void add_frame(struct run *run, struct input *input, uint8_t step) {
	struct frame_copy *copy = &run->copies[run->count];
	struct fwd_packet *packet = &run->packets[run->count];
	unsigned len = take_byte(input), room, tags;

	len |= (unsigned)take_byte(input) << 8;
	len = len < sizeof(copy->data) ? len : sizeof(copy->data);
	len = len < input->left ? len : (unsigned)input->left;
	room = len < FWD_FRAME_ROOM ? FWD_FRAME_ROOM : len;
	tags = fwd_base_has_vlan(&run->base) ? FWD_TAG_SIZE : 0;
	run->buffers[run->count] = malloc(tags + room + tags);
	MUST(run->buffers[run->count] != NULL);
	memset(run->buffers[run->count], 0xa5, tags + room + tags);
	*packet =
		(struct fwd_packet){.data = run->buffers[run->count] + tags, .len = (uint16_t)len};
	packet->port_in = (step >> 2 & 1) % run->base.n_ports;
	packet->hand_overs = step & 128 ? FWD_MAX_WORKERS - 1 : 0;
	packet->verdict = packet->drop_reason = packet->port_out = 0xff;
	memcpy(packet->data, input->at, len);
	input->at += len;
	input->left -= len;
	if (step & 16)
		fix_sync(run, packet->data, len);
	oracle_fix(packet->data, len, step & 8, step & 16);
	if ((step & 32) && len >= 6)
		memcpy(packet->data, run->base.ports[packet->port_in].mac, 6);
	copy->len = (uint16_t)len;
	memcpy(copy->data, packet->data, len);
	run->count++;
	if ((step & 64) || run->count == FWD_BURST_MAX)
		end_burst(run);
}

// Datagrams to the peer are whole, and as long as they may be.
static void check_sync(const struct run *run) {
	unsigned ip = 14u + (run->base.ports[0].vlan != 0 ? FWD_TAG_SIZE : 0), length;
	uint8_t frame[SYNC_FRAME_MAX];

	while ((length = worker_sync_frame(run->worker, frame)) > 0) {
		MUST(length <= sizeof(frame) && length <= ip + run->base.ports[0].mtu);
		MUST(oracle_read16(frame + ip + 2) == length - ip && frame[ip + 8] == SYNC_TTL);
		MUST(oracle_residue(frame + ip, 20) == 0);
	}
}

static void keep_house(struct run *run, unsigned seconds) {
	struct fwd_emit out[4];

	run->now_ms += seconds * 1000u;
	for (unsigned n = 0; n < HOUSEKEEPING_CALLS; n++) {
		unsigned made = worker_housekeeping(run->worker, run->config, run->now_ms, out, 4);

		MUST(made <= 4);
		for (unsigned i = 0; i < made; i++) {
			MUST(out[i].port_out < run->base.n_ports);
			oracle_check_emitted(&out[i], run->base.ports[out[i].port_out].vlan);
		}
		check_sync(run);
	}
}

// Every live flow can be read, and there are as many as the table says.
static void read_flows(const struct run *run) {
	struct fwd_flow_view view;
	uint32_t cursor = 0, found = 0;

	while (worker_flow_read(run->worker, &cursor, run->now_ms, &view)) {
		MUST(view.listener < FWD_MAX_LISTENERS && flow_state_name(view.state) != NULL);
		found++;
	}
	found -= run->worker->flows.foreign + run->worker->flows6.foreign;
	MUST(found == run->worker->flows.active + run->worker->flows6.active);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct run run;
	struct input input = {data, size};

	start(&run, take_byte(&input));
	while (input.left > 0) {
		uint8_t step = take_byte(&input);

		if ((step & 3) < 2) {
			add_frame(&run, &input, step);
			continue;
		}
		end_burst(&run);
		if ((step & 3) == 2)
			keep_house(&run, step >> 2);
		else
			run.config = &configs[(step >> 2) % CONFIGS];
	}
	end_burst(&run);
	read_flows(&run);
	return 0;
}
