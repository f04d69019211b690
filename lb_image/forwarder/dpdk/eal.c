// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1 // sched_getaffinity
#include "eal.h"

#include "interface.h"

#include <worker.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 64
// Beside the flow tables: buffers, rings and EAL's own.
#define NO_HUGE_EXTRA_MIB 256

struct arguments {
	char *items[ARGUMENTS_MAX + 1];
	int count;
};

// EAL keeps pointers into its arguments, so they live as long as the process.
static void add(struct arguments *arguments, const char *text) {
	if (arguments->count < ARGUMENTS_MAX)
		arguments->items[arguments->count++] = strdup(text);
}

// "0,1,5"
static void cpu_list(const cpu_set_t *cpus, char *list, size_t size) {
	size_t used = 0;

	list[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && used < size; cpu++) {
		if (CPU_ISSET(cpu, cpus))
			used += (size_t
			)snprintf(list + used, size - used, "%s%d", used > 0 ? "," : "", cpu);
	}
}

static int nth_cpu(const cpu_set_t *cpus, unsigned n) {
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, cpus) && n-- == 0)
			return cpu;
	}
	return -1;
}

// Lcore 0 is the control thread, lcore 1 + i worker i. Busy workers get a CPU each when there are
// enough; in every other case all threads float over the CPUs of the process, which other processes
// may share: pinned, several forwarders would pile up on one CPU.
static void add_lcores(struct arguments *arguments, const struct base_config *config) {
	unsigned threads = config->base.n_workers + 1u;
	char list[4096];
	char map[16384];
	size_t used = 0;
	cpu_set_t cpus;
	bool pin;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	cpu_list(&cpus, list, sizeof(list));
	pin = config->poll_mode == BASE_POLL_BUSY && (unsigned)CPU_COUNT(&cpus) >= threads;
	for (unsigned i = 0; i < threads && used < sizeof(map); i++) {
		char cpu[16];

		snprintf(cpu, sizeof(cpu), "%d", nth_cpu(&cpus, i));
		used += (size_t)snprintf(
			map + used,
			sizeof(map) - used,
			"%s%u@(%s)",
			i > 0 ? "," : "",
			i,
			pin ? cpu : list
		);
	}
	add(arguments, "--lcores");
	add(arguments, map);
}

// Nothing is shared with other processes and nothing is left in the file system. EAL refuses --in-memory
// beside --no-huge, which has only one fixed area.
static void
add_memory(struct arguments *arguments, const struct base_config *config, bool no_huge) {
	size_t flows = config->base.n_workers
			* (worker_memory_size(&config->base) + worker_flows_size(&config->base))
		+ worker_group_size(&config->base);
	char mib[32];

	if (!no_huge) {
		add(arguments, "--in-memory");
		return;
	}
	snprintf(mib, sizeof(mib), "%zu", (flows >> 20) + NO_HUGE_EXTRA_MIB);
	add(arguments, "--no-huge");
	add(arguments, "--no-shconf");
	add(arguments, "-m");
	add(arguments, mib);
}

static void add_devices(
	struct arguments *arguments, const struct base_config *config, const struct devargs *devargs
) {
	bool pci = false;

	for (unsigned i = 0; i < config->base.n_ports; i++) {
		add(arguments, devargs[i].pci ? "--allow" : "--vdev");
		add(arguments, devargs[i].argument);
		pci |= devargs[i].pci;
	}
	if (!pci)
		add(arguments, "--no-pci");
}

// EAL's own message for a missing interface does not name the port, and af_xdp silently leaves to the kernel
// what arrives on a queue that no worker reads.
static bool
interface_fits(const struct base_config *config, unsigned index, char *error, size_t error_size) {
	const struct base_device *device = &config->devices[index];
	const char *port = config->base.ports[index].name;
	unsigned workers = config->base.n_workers;
	unsigned queues;

	if (device->interface[0] == '\0')
		return true;
	if (if_nametoindex(device->interface) == 0) {
		snprintf(error, error_size, "ports[%u] \"%s\": there is no network interface \"%s\"", index, port, device->interface);
		return false;
	}
	queues = interface_receive_queues(device->interface);
	if (device->driver != BASE_DRIVER_AF_XDP || queues == 0 || queues == workers)
		return true;
	snprintf(
		error,
		error_size,
		"ports[%u] \"%s\": interface \"%s\" has %u receive queues, af_xdp needs as many as "
		"there are workers, %u (ethtool -L)",
		index,
		port,
		device->interface,
		queues,
		workers
	);
	return false;
}

static struct arguments arguments;
static bool prepared;

static void add_start(const struct options *options, const struct base_config *config) {
	add(&arguments, "skylane-fwd");
	add(&arguments, "--iova-mode=va");
	add(&arguments, "--no-telemetry");
	if (options->lcores != NULL) {
		add(&arguments, "--lcores");
		add(&arguments, options->lcores);
	} else {
		add_lcores(&arguments, config);
	}
	add_memory(&arguments, config, options->no_huge);
}

static bool init(const struct options *options, char *error, size_t error_size) {
	for (int i = 0; i < options->n_eal; i++)
		add(&arguments, options->eal[i]);
	if (rte_eal_init(arguments.count, arguments.items) >= 0)
		return true;
	snprintf(
		error,
		error_size,
		"EAL does not start: %s (see its messages above)",
		rte_strerror(rte_errno)
	);
	return false;
}

static bool
probe(const struct base_config *config,
      const struct devargs *devargs,
      char *error,
      size_t error_size) {
	for (unsigned i = 0; i < config->base.n_ports; i++) {
		int result = rte_dev_probe(devargs[i].argument);

		if (result == 0)
			continue;
		snprintf(
			error,
			error_size,
			"ports[%u] \"%s\": device %s cannot be had: %s",
			i,
			config->base.ports[i].name,
			devargs[i].name,
			rte_strerror(-result)
		);
		return false;
	}
	return true;
}

bool eal_prepare(
	const struct options *options,
	const struct base_config *config,
	char *error,
	size_t error_size
) {
	add_start(options, config);
	add(&arguments, "--no-pci");
	prepared = init(options, error, error_size);
	return prepared;
}

bool eal_start(
	const struct options *options,
	const struct base_config *config,
	const struct devargs *devargs,
	char *error,
	size_t error_size
) {
	for (unsigned i = 0; i < config->base.n_ports; i++) {
		if (!interface_fits(config, i, error, error_size))
			return false;
	}
	if (prepared)
		return probe(config, devargs, error, error_size);
	add_start(options, config);
	add_devices(&arguments, config, devargs);
	return init(options, error, error_size);
}
