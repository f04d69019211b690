// SPDX-License-Identifier: Apache-2.0

// The forwarder over pcap files: the same core, no NIC, no hugepages. Time is that of the frames.
//
//   skylane-fwd-pcap --config-dir DIR --port external=send.pcap:out.pcap [--at SECONDS=DIR] [--cold] [--stats]
//
// Every --port names a port of base.json; its MAC address is 02:00:00:00:00:01 for the first, ...:02 for the second. Frames
// of all ports are taken in order of time; consecutive ones of one port and one time form a burst. --at swaps in the listeners
// of another directory that many seconds after the first frame; it may be given several times, in order. VIPs of the first
// directory are owned from the first frame on, and announced then; with --cold they are probed for first.

#include "base.h"
#include "frames.h"
#include "generation.h"
#include "report.h"
#include "sync_base.h"

#include <worker.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWITCHES_MAX 1024
// Fixed: a run with the same input gives the same output.
#define SEED 0x5eedu
// The core's clock at the first frame, so that no time in a test is near its zero.
#define START_S 1000000u
// Calls of worker_housekeeping() that cover all listeners and the neighbour table.
#define HOUSEKEEPING_MIN 520
#define EMITTED_MAX 32

// Ownership of VIPs goes on in steps of this, also while no frame comes.
#define TICK_US 100000

struct config_switch {
	uint64_t at_us;
	const char *directory;
};

struct shell {
	struct base_config base;
	struct fwd_config *config;
	uint16_t next_slot;         // for the next new listener
	uint32_t next_backend_slot; // for the next new backend
	struct fwd_worker *worker;
	struct neighbour_table *neighbours;
	struct worker_group *group;
	struct frame_source sources[FWD_MAX_PORTS];
	struct frame_sink sinks[FWD_MAX_PORTS];
	struct config_switch switches[SWITCHES_MAX];
	unsigned n_switches, next_switch;
	uint64_t start_us, now_us; // of the frames
	uint64_t tick_us;          // of the next look at the VIPs
	uint32_t kept_s;           // second of the last housekeeping
};

static uint64_t now_ms(const struct shell *shell) {
	return (START_S * 1000000ull + shell->now_us - shell->start_us) / 1000;
}

static bool load(struct shell *shell, const char *directory) {
	struct config_errors errors = {0};
	struct generation_source source = {
		.directory = directory,
		.base = &shell->base.base,
		.running = shell->config,
		.next_slot = shell->next_slot,
		.next_backend_slot = shell->next_backend_slot,
	};
	struct fwd_config *next = generation_build(&source, NULL, 0, &errors);
	bool ok = next != NULL && errors.count == 0;

	config_errors_print(&errors, directory, stderr);
	config_errors_free(&errors);
	shell->next_slot = source.next_slot;
	shell->next_backend_slot = source.next_backend_slot;
	if (next == NULL)
		return false;
	if (shell->config != NULL)
		generation_free(shell->config, next);
	shell->config = next;
	return ok;
}

static bool start(struct shell *shell, const char *directory) {
	struct config_errors errors = {0};
	bool ok = base_read(directory, true, &shell->base, &errors)
		&& sync_key_read(&shell->base, &errors);
	size_t own, size, group_size;
	void *memory, *group;

	config_errors_print(&errors, directory, stderr);
	config_errors_free(&errors);
	if (!ok || !load(shell, directory))
		return false;
	for (unsigned i = 0; i < shell->base.base.n_ports; i++)
		memcpy(shell->base.base.ports[i].mac,
		       (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)},
		       6);
	shell->base.base.n_workers = 1;
	shell->base.base.sync.epoch_us = START_S * 1000000ull;
	own = (worker_memory_size(&shell->base.base) + 63) & ~(size_t)63;
	size = own + ((worker_flows_size(&shell->base.base) + 63) & ~(size_t)63);
	group_size = (worker_group_size(&shell->base.base) + 63) & ~(size_t)63;
	shell->neighbours = calloc(1, sizeof(*shell->neighbours));
	memory = aligned_alloc(64, size);
	group = aligned_alloc(64, group_size);
	if (shell->neighbours == NULL || memory == NULL || group == NULL)
		return false;
	memset(memory, 0, size);
	memset(group, 0, group_size);
	shell->group = worker_group_init(group, &shell->base.base, SEED);
	shell->worker = worker_init(
		memory,
		(uint8_t *)memory + own,
		&shell->base.base,
		shell->neighbours,
		shell->group,
		0,
		SEED
	);
	return true;
}

static void write_emitted(struct shell *shell, const struct fwd_emit *emitted, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		frame_sink_write(
			&shell->sinks[emitted[i].port_out],
			shell->now_us,
			emitted[i].data,
			emitted[i].len
		);
}

// What goes to the peers is written nowhere: its tag and times are of no use to a test.
static void sync_peers(struct shell *shell) {
	uint8_t frame[SYNC_FRAME_MAX];

	if (shell->worker->sync == NULL)
		return;
	sync_run(shell->worker, now_ms(shell));
	while (worker_sync_frame(shell->worker, frame) > 0)
		;
}

static void keep_vips(struct shell *shell, bool silent) {
	struct fwd_emit emitted[EMITTED_MAX];

	sync_peers(shell);
	for (uint32_t slot = 0; slot < shell->config->slots_end; slot += WORKER_VIP_STEP) {
		unsigned made = worker_vip_housekeeping(
			shell->worker, shell->config, now_ms(shell), emitted, EMITTED_MAX
		);

		write_emitted(shell, emitted, silent ? 0 : made);
	}
}

static void keep_house(struct shell *shell) {
	struct fwd_emit emitted[EMITTED_MAX];
	uint32_t now_s = (uint32_t)(now_ms(shell) / 1000);
	uint32_t calls = worker_sweep_calls(shell->worker);

	if (shell->kept_s == now_s)
		return;
	shell->kept_s = now_s;
	if (calls < HOUSEKEEPING_MIN)
		calls = HOUSEKEEPING_MIN;
	for (uint32_t n = 0; n < calls; n++) {
		unsigned made = worker_housekeeping(
			shell->worker, shell->config, now_ms(shell), emitted, EMITTED_MAX
		);

		write_emitted(shell, emitted, made);
	}
}

// The VIPs that are there at the start have been probed for when the first frame comes.
static void warm_up(struct shell *shell) {
	for (unsigned n = CLAIM_PROBES; n > 0; n--) {
		shell->now_us = shell->start_us - n * TICK_US;
		keep_vips(shell, true);
	}
}

static uint64_t switch_time_us(const struct shell *shell) {
	return shell->next_switch < shell->n_switches
		? shell->start_us + shell->switches[shell->next_switch].at_us
		: UINT64_MAX;
}

static void advance(struct shell *shell, uint64_t to_us) {
	for (;;) {
		uint64_t switch_us = switch_time_us(shell);

		shell->now_us = switch_us < shell->tick_us ? switch_us : shell->tick_us;
		if (shell->now_us > to_us || (shell->now_us == to_us && switch_us != to_us))
			break;
		if (switch_us > shell->tick_us) {
			keep_vips(shell, false);
			shell->tick_us += TICK_US;
		} else if (!load(shell, shell->switches[shell->next_switch++].directory)) {
			// A bad directory is reported and its good listeners are taken, as in the DPDK shell.
			fprintf(stderr, "some listeners keep their generation\n");
		}
	}
	shell->now_us = to_us;
	keep_house(shell);
}

// Port with the earliest frame, or -1 at the end.
static int earliest(const struct shell *shell) {
	int best = -1;

	for (int i = 0; i < shell->base.base.n_ports; i++) {
		if (shell->sources[i].data == NULL)
			continue;
		if (best < 0
		    || frame_time_us(&shell->sources[i]) < frame_time_us(&shell->sources[best]))
			best = i;
	}
	return best;
}

static void run_burst(struct shell *shell, int port) {
	static uint8_t buffers[FWD_BURST_MAX][FWD_TAG_SIZE + FRAME_MAX];
	struct fwd_packet packets[FWD_BURST_MAX];
	struct frame_source *source = &shell->sources[port];
	unsigned count = 0;

	while (count < FWD_BURST_MAX && source->data != NULL
	       && frame_time_us(source) == shell->now_us) {
		uint32_t len =
			source->header->caplen < FRAME_MAX ? source->header->caplen : FRAME_MAX;

		memcpy(buffers[count] + FWD_TAG_SIZE, source->data, len);
		packets[count] = (struct fwd_packet
		){.data = buffers[count] + FWD_TAG_SIZE,
		  .len = (uint16_t)len,
		  .port_in = (uint8_t)port};
		count++;
		frame_source_next(source);
	}
	worker_process(shell->worker, shell->config, packets, count, now_ms(shell));
	shell->worker->counters.rx_packets += count;
	for (unsigned i = 0; i < count; i++) {
		if (packets[i].verdict != FWD_TX)
			continue;
		shell->worker->counters.tx_packets++;
		frame_sink_write(
			&shell->sinks[packets[i].port_out],
			shell->now_us,
			packets[i].data,
			packets[i].len
		);
	}
}

static void run(struct shell *shell, bool cold) {
	int port = earliest(shell);

	if (port < 0)
		return;
	shell->start_us = shell->tick_us = frame_time_us(&shell->sources[port]);
	if (!cold)
		warm_up(shell);
	for (; port >= 0; port = earliest(shell)) {
		advance(shell, frame_time_us(&shell->sources[port]));
		run_burst(shell, port);
	}
}

// `text` is NAME=IN:OUT.
static bool open_port(struct shell *shell, const char *text) {
	char *copy = strdup(text), *in = strchr(copy, '='), *out;
	bool ok = false;

	if (in != NULL && (out = strchr(in + 1, ':')) != NULL) {
		*in++ = '\0';
		*out++ = '\0';
		for (unsigned i = 0; i < shell->base.base.n_ports; i++) {
			if (strcmp(shell->base.base.ports[i].name, copy) == 0)
				ok = frame_source_open(&shell->sources[i], in)
					&& frame_sink_open(&shell->sinks[i], out);
		}
	}
	if (!ok)
		fprintf(stderr, "--port %s: want NAME=IN:OUT with a name of base.json\n", text);
	free(copy);
	return ok;
}

// `text` is SECONDS=DIR.
static bool add_switch(struct shell *shell, const char *text) {
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '=' || seconds < 0 || shell->n_switches == SWITCHES_MAX) {
		fprintf(stderr, "--at %s: want SECONDS=DIR, at most %u times\n", text, SWITCHES_MAX
		);
		return false;
	}
	shell->switches[shell->n_switches++] =
		(struct config_switch){.at_us = (uint64_t)(seconds * 1e6), .directory = end + 1};
	return true;
}

static void stop(struct shell *shell) {
	for (unsigned i = 0; i < FWD_MAX_PORTS; i++) {
		frame_source_close(&shell->sources[i]);
		frame_sink_close(&shell->sinks[i]);
	}
	if (shell->config != NULL)
		generation_free(shell->config, NULL);
	free(shell->worker);
	free(shell->neighbours);
	free(shell->group);
}

struct options {
	const char *directory;
	const char *ports[FWD_MAX_PORTS];
	unsigned n_ports;
	bool cold;
	bool stats;
};

static bool read_options(struct shell *shell, int argc, char **argv, struct options *options) {
	static const struct option known[] = {
		{"config-dir", required_argument, NULL, 'c'},
		{"port", required_argument, NULL, 'p'},
		{"at", required_argument, NULL, 'a'},
		{"cold", no_argument, NULL, 'o'},
		{"stats", no_argument, NULL, 's'},
		{0},
	};
	int found;

	while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (found == 'c')
			options->directory = optarg;
		else if (found == 'p' && options->n_ports < FWD_MAX_PORTS)
			options->ports[options->n_ports++] = optarg;
		else if (found == 'o')
			options->cold = true;
		else if (found == 's')
			options->stats = true;
		else if (found != 'a' || !add_switch(shell, optarg))
			return false;
	}
	return options->directory != NULL && options->n_ports > 0 && optind == argc;
}

int main(int argc, char **argv) {
	struct shell *shell = calloc(1, sizeof(*shell));
	struct options options = {0};
	bool ok;

	if (shell == NULL)
		return EXIT_FAILURE;
	if (!read_options(shell, argc, argv, &options)) {
		fprintf(stderr,
			"usage: skylane-fwd-pcap --config-dir DIR --port NAME=IN:OUT... "
			"[--at SECONDS=DIR]... [--cold] [--stats]\n");
		free(shell);
		return 2;
	}
	ok = start(shell, options.directory);
	for (unsigned i = 0; ok && i < options.n_ports; i++)
		ok = open_port(shell, options.ports[i]);
	if (ok)
		run(shell, options.cold);
	if (ok && options.stats)
		ok = report_print(shell->worker, shell->config, stdout);
	stop(shell);
	free(shell);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
