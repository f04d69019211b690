// SPDX-License-Identifier: Apache-2.0

// Loaded before a DPDK program (LD_PRELOAD): how long packets are under way in it, and how long its ports wait for it, by the time-stamp
// counter. It hangs callbacks on each port's first queues, where ethdev calls them, and counts into a file that SKYLANE_LATENCY_FILE
// names; one worker only.

#define _GNU_SOURCE
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PORTS_MAX 4
// Buckets: 32 of equal width for each power of two, so that each is right to 3 %.
#define BUCKETS_OF_OCTAVE 32
#define OCTAVES 40
#define BUCKETS (OCTAVES * BUCKETS_OF_OCTAVE)

// Read by bench.reloads. Written by the worker's thread only.
struct latency_file {
	uint64_t tsc_hz;
	uint64_t under_way
		[BUCKETS]; // packets by cycles from their receive burst to their transmit burst
	uint64_t waits[BUCKETS]; // receive bursts by cycles since the one before on the same port
};

static struct latency_file *file;
static uint64_t received_tsc; // of the burst in work
static uint64_t last_tsc[PORTS_MAX];

static unsigned bucket_of(uint64_t cycles) {
	unsigned octave = 0;

	while (cycles >= 2 * BUCKETS_OF_OCTAVE) {
		cycles >>= 1;
		octave++;
	}
	return octave * BUCKETS_OF_OCTAVE + (unsigned)cycles;
}

static void count(uint64_t *buckets, uint64_t cycles, unsigned n) {
	unsigned bucket = bucket_of(cycles);

	buckets[bucket < BUCKETS ? bucket : BUCKETS - 1] += n;
}

static uint16_t on_receive(
	uint16_t port,
	uint16_t queue,
	struct rte_mbuf **packets,
	uint16_t n,
	uint16_t max,
	void *context
) {
	(void)queue, (void)packets, (void)max, (void)context;
	received_tsc = rte_rdtsc();
	if (last_tsc[port] != 0)
		count(file->waits, received_tsc - last_tsc[port], 1);
	last_tsc[port] = received_tsc;
	return n;
}

static uint16_t
on_transmit(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t n, void *context) {
	(void)port, (void)queue, (void)packets, (void)context;
	count(file->under_way, rte_rdtsc() - received_tsc, n);
	return n;
}

static struct latency_file *open_file(void) {
	const char *path = getenv("SKYLANE_LATENCY_FILE");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT, 0600);
	void *memory = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(struct latency_file)) == 0)
		memory = mmap(
			NULL, sizeof(struct latency_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0
		);
	if (memory == MAP_FAILED)
		abort();
	close(fd);
	return memory;
}

int rte_eth_dev_start(uint16_t port) {
	int (*start)(uint16_t) = (int (*)(uint16_t))dlsym(RTLD_NEXT, "rte_eth_dev_start");

	if (file == NULL) {
		file = open_file();
		file->tsc_hz = rte_get_tsc_hz();
	}
	if (port >= PORTS_MAX || rte_eth_add_rx_callback(port, 0, on_receive, NULL) == NULL
	    || rte_eth_add_tx_callback(port, 0, on_transmit, NULL) == NULL)
		abort();
	return start(port);
}
