// SPDX-License-Identifier: Apache-2.0

// libFuzzer target: any text as base.json and as two listener files, parted by bytes of 0.

#include "must.h"

#include <base.h>
#include <check.h>
#include <generation.h>
#include <listener.h>
#include <worker.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 3

static char directory[] = "/tmp/skylane-fuzz-config-XXXXXX";
static const char *const files[FILES] = {"base.json", "listeners/web.json", "listeners/dns.json"};
static FILE *nowhere;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path_of(const char *file, char *path, size_t size) {
	snprintf(path, size, "%s/%s", directory, file);
}

static void remove_directory(void) {
	char path[96];

	for (unsigned i = 0; i < FILES; i++) {
		path_of(files[i], path, sizeof(path));
		unlink(path);
	}
	path_of(LISTENER_DIRECTORY, path, sizeof(path));
	rmdir(path);
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	char path[96];

	(void)argc;
	(void)argv;
	MUST(mkdtemp(directory) != NULL);
	atexit(remove_directory);
	path_of(LISTENER_DIRECTORY, path, sizeof(path));
	MUST(mkdir(path, 0700) == 0);
	nowhere = fopen("/dev/null", "w");
	MUST(nowhere != NULL);
	return 0;
}

// The file is gone where the input has no part for it.
static void write_part(const char *file, const uint8_t **data, size_t *size) {
	const uint8_t *end = memchr(*data, 0, *size);
	size_t length = end == NULL ? *size : (size_t)(end - *data);
	char path[96];
	FILE *stream;

	path_of(file, path, sizeof(path));
	if (*size == 0) {
		unlink(path);
		return;
	}
	stream = fopen(path, "w");
	MUST(stream != NULL);
	MUST(fwrite(*data, 1, length, stream) == length);
	MUST(fclose(stream) == 0);
	*data += length;
	*size -= length;
	if (*size > 0) {
		++*data;
		--*size;
	}
}

// What the core relies on.
static void check_vip(const struct fwd_config *config, const struct fwd_listener *listener) {
	uint16_t port = listener->port;
	uint8_t protocol = listener->protocol;

	MUST(port != 0);
	if (listener->ipv6) {
		const struct ipv6_address vip = listener->vip6;

		MUST(!ipv6_is_unspecified(&vip) && !ipv6_is_mapped(&vip));
		MUST(!ipv6_is_multicast(&vip) && !ipv6_is_link_local(&vip));
		MUST(fwd_config_lookup6(config, &vip, port, protocol) == listener->index);
		MUST(fwd_config_vip6(config, &vip) != NULL);
		MUST(listener->policy.sources == NULL);
	} else {
		MUST(listener->vip != 0);
		MUST(fwd_config_lookup(config, listener->vip, port, protocol) == listener->index);
		MUST(fwd_config_vip(config, listener->vip) != NULL);
	}
}

static void check_listener(const struct fwd_config *config, uint16_t slot) {
	const struct fwd_listener *listener = config->listeners[slot];

	MUST(listener->index == slot);
	MUST(listener->n_backends <= FWD_MAX_BACKENDS);
	MUST(memchr(listener->name, 0, sizeof(listener->name)) != NULL);
	MUST(listener->timeouts.established_s > 0 && listener->timeouts.udp_s > 0);
	check_vip(config, listener);
	for (uint32_t i = 0; i < listener->n_backends; i++) {
		struct ipv6_address address = fwd_backend_address(listener, &listener->backends[i]);

		MUST(ipv6_is_mapped(&address) == !listener->ipv6);
	}
}

static void check_sync(const struct fwd_base *base) {
	unsigned all = fwd_all_local_addresses(base, false) + fwd_all_local_addresses(base, true);
	const struct fwd_sync *sync = &base->sync;

	MUST(sync->enabled || sync->n_peers == 0);
	if (!sync->enabled)
		return;
	MUST(base->n_workers == 1 && base->ports[0].address != 0 && sync->udp_port != 0);
	MUST(sync->n_peers <= FWD_MAX_PEERS && all <= FWD_MAX_LOCAL_ADDRESSES);
	MUST(sync->ordinal < FWD_MAX_ORDINALS);
	for (unsigned i = 0; i < sync->n_peers; i++) {
		MUST(sync->peers[i].ordinal < FWD_MAX_ORDINALS);
		MUST(sync->peers[i].ordinal != sync->ordinal);
		MUST(fwd_port_on_link(&base->ports[0], sync->peers[i].address));
	}
}

static void check_base(const struct fwd_base *base) {
	unsigned n_local = base->n_local_addresses + base->n_local_addresses6;

	MUST(base->n_workers >= 1 && base->n_workers <= FWD_MAX_WORKERS);
	MUST(base->n_ports >= 1 && base->n_ports <= FWD_MAX_PORTS);
	MUST(n_local >= 1 && n_local <= FWD_MAX_LOCAL_ADDRESSES);
	MUST(base->max_flows_per_worker >= 1);
	MUST(worker_flows_size(base) > base->max_flows_per_worker);
	for (unsigned i = 0; i < base->n_ports; i++) {
		const struct fwd_port *port = &base->ports[i];

		MUST(port->prefix_length <= 32 && port->prefix_length6 <= 128 && port->mtu > 0);
		MUST(port->address != 0 || fwd_port_has_ipv6(port));
		MUST(!fwd_port_has_ipv6(port) || port->mtu >= 1280);
	}
	check_sync(base);
}

static struct fwd_config *
load(struct generation_source *source,
     const struct fwd_config *running,
     struct config_errors *errors) {
	struct fwd_config *config;

	source->running = running;
	config = generation_build(source, NULL, 0, errors);
	MUST(config != NULL);
	for (uint16_t slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		if (config->listeners[slot] != NULL)
			check_listener(config, slot);
	}
	return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct config_errors errors = {0}, again = {0};
	struct base_config base = {0};
	struct generation_source source = {.directory = directory, .base = &base.base};
	struct fwd_config *first, *second;
	size_t full = size;
	bool ok;

	for (unsigned i = 0; i < FILES; i++)
		write_part(files[i], &data, &size);
	ok = base_read(directory, true, &base, &errors);
	MUST(ok == (errors.count == 0));
	if (ok)
		check_base(&base.base);
	first = load(&source, NULL, &errors);
	second = load(&source, first, &again);
	// The same files make the same generation, all of whose listeners are the running ones.
	MUST(memcmp(first->listeners, second->listeners, sizeof(first->listeners)) == 0);
	// `--check` reads all that once more: for some inputs only, it halves the speed.
	if (full % 8 == 0)
		MUST(check_directory(directory, true, nowhere) == (errors.count == 0));
	config_errors_print(&errors, directory, nowhere);
	config_errors_free(&errors);
	config_errors_free(&again);
	generation_free(first, second);
	generation_free(second, NULL);
	return 0;
}
