// SPDX-License-Identifier: Apache-2.0

// The control plane's side of the forwarder: one thread that answers the control socket and builds
// generations.

#define _GNU_SOURCE 1 // sigset_t with ppoll
#include "process.h"

#include "dataplane.h"
#include "eal.h"
#include "packet_trace.h"
#include "report.h"

#include <control_server.h>
#include <generation.h>
#include <sync_base.h>
#include <vips.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// How often a missing base.json and the link are looked for, and the longest wait for a signal to be noticed.
#define WAIT_MS 200

struct process {
	const struct options *options;
	struct base_config base;     // valid when `dataplane` is not NULL
	struct dataplane *dataplane; // NULL: waiting for base.json
	struct fwd_config *running;
	struct generation_source source;
	uint32_t restarts; // in place, before this process
	char failure[512]; // why the data plane did not start: the process ends
};

static volatile sig_atomic_t end_requested;

static void on_signal(int number) {
	(void)number;
	end_requested = 1;
}

// The signals are blocked but during the wait of the control server.
static sigset_t catch_signals(void) {
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	return before;
}

static json_t *listeners_json(const struct fwd_config *config) {
	json_t *object = json_object();

	for (size_t slot = 0; config != NULL && slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = config->listeners[slot];

		if (listener != NULL)
			json_object_set_new(
				object, listener->name, json_string(listener->generation)
			);
	}
	return object;
}

static json_t *errors_json(const struct config_errors *errors) {
	json_t *array = json_array();

	for (size_t i = 0; i < errors->count; i++) {
		const struct config_error *error = &errors->items[i];

		json_array_append_new(
			array,
			json_pack(
				"{s:s, s:i, s:s, s:s}",
				"file",
				error->file,
				"line",
				(int)error->line,
				"field",
				error->field,
				"message",
				error->message
			)
		);
	}
	return array;
}

static json_t *state_json(const struct process *process, bool ok) {
	bool running = process->dataplane != NULL;

	return json_pack(
		"{s:b, s:s, s:s, s:s, s:o}",
		"ok",
		ok,
		"state",
		running ? "running" : "waiting",
		"version",
		SKYLANE_VERSION,
		"base_generation",
		running ? process->base.base.generation : "",
		"listeners",
		listeners_json(process->running)
	);
}

// Of a process that waited as a spare: EAL is started for the base of then.
static bool base_is_that_of_eal(struct process *process, const char *generation) {
	if (generation[0] == '\0' || strcmp(generation, process->base.base.generation) == 0)
		return true;
	snprintf(
		process->failure,
		sizeof(process->failure),
		"base %s was prepared for, %s is there now",
		generation,
		process->base.base.generation
	);
	return false;
}

static bool base_exists(const struct process *process) {
	char path[4096];

	snprintf(path, sizeof(path), "%s/" BASE_FILE, process->options->config_directory);
	return access(path, F_OK) == 0;
}

static struct fwd_config *
build(struct process *process, const char *const *names, size_t count, struct config_errors *errors
) {
	process->source.running = process->running;
	return generation_build(&process->source, names, count, errors);
}

static uint64_t now_us(void) {
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

// From waiting to running. A bad base.json leaves the process waiting; a device that cannot be opened ends
// it, since EAL starts only once.
static void start(struct process *process, struct config_errors *errors) {
	const struct options *options = process->options;
	char prepared[FWD_GENERATION_SIZE];
	struct fwd_config *first;

	snprintf(prepared, sizeof(prepared), "%s", process->base.base.generation);
	if (!base_read(options->config_directory, options->allow_vdev, &process->base, errors)
	    || !sync_key_read(&process->base, errors) || !base_is_that_of_eal(process, prepared))
		return;
	process->base.base.sync.epoch_us = now_us();
	process->source.directory = options->config_directory;
	process->source.base = &process->base.base;
	first = build(process, NULL, 0, errors);
	if (first == NULL) {
		snprintf(process->failure, sizeof(process->failure), "no memory");
		return;
	}
	process->dataplane = dataplane_open(
		options, &process->base, first, process->failure, sizeof(process->failure)
	);
	if (process->dataplane != NULL) {
		process->running = first;
		fprintf(stderr, "skylane-fwd: running, base %s\n", process->base.base.generation);
		channel_tell(options->channel, CHANNEL_RUNNING);
	} else {
		generation_free(first, NULL);
		config_errors_add(errors, BASE_FILE, 1, "ports", "%s", process->failure);
	}
}

// The base of a running process is fixed: another one needs a new process.
static void check_base(const struct process *process, struct config_errors *errors) {
	struct base_config now;

	if (!base_read(
		    process->options->config_directory, process->options->allow_vdev, &now, errors
	    ))
		return;
	if (strcmp(now.base.generation, process->base.base.generation) != 0)
		config_errors_add(
			errors,
			BASE_FILE,
			1,
			"generation",
			"%s needs a restart; %s goes on running",
			now.base.generation,
			process->base.base.generation
		);
}

static void
reload(struct process *process, const char *const *names, size_t count, struct config_errors *errors
) {
	struct fwd_config *next = build(process, names, count, errors);

	if (next == NULL) {
		config_errors_add(errors, "", 0, "", "no memory for a new generation");
		return;
	}
	dataplane_publish(process->dataplane, next);
	generation_free(process->running, next);
	process->running = next;
	if (names == NULL)
		check_base(process, errors);
}

static json_t *on_status(void *context) {
	return state_json(context, true);
}

static json_t *on_load(void *context, const char *const *names, size_t count) {
	struct config_errors errors = {0};
	struct process *process = context;
	json_t *reply;

	if (process->dataplane != NULL)
		reload(process, names, count, &errors);
	else
		start(process, &errors);
	reply = state_json(process, errors.count == 0);
	json_object_set_new(reply, "errors", errors_json(&errors));
	config_errors_print(&errors, process->options->config_directory, stderr);
	config_errors_free(&errors);
	return reply;
}

static json_t *on_stats(void *context) {
	struct process *process = context;
	json_t *reply;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	reply = json_pack("{s:b, s:I}", "ok", 1, "restarts", (json_int_t)process->restarts);
	report_stats(process->dataplane, process->running, reply);
	return reply;
}

static json_t *on_flows(void *context, size_t limit, const struct flow_filter *filter) {
	struct process *process = context;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	return json_pack(
		"{s:b, s:o}",
		"ok",
		1,
		"flows",
		report_flows(process->dataplane, process->running, limit, filter)
	);
}

static json_t *on_backends(void *context, const char *listener) {
	struct process *process = context;
	json_t *backends;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	backends = report_backends(process->dataplane, process->running, listener);
	if (backends == NULL)
		return control_refusal("listener", "there is no listener \"%.63s\"", listener);
	return json_pack("{s:b, s:o}", "ok", 1, "backends", backends);
}

static json_t *on_trace_start(void *context, const struct flow_pattern *pattern, unsigned seconds) {
	struct process *process = context;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	if (!packet_trace_start(process->dataplane, pattern, seconds))
		return control_refusal("", "no memory for a trace");
	return json_pack("{s:b}", "ok", 1);
}

static json_t *on_trace_read(void *context) {
	struct process *process = context;
	json_t *reply;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	reply = json_pack("{s:b}", "ok", 1);
	if (packet_trace_read(process->dataplane, reply))
		return reply;
	json_decref(reply);
	return control_refusal("client_address", "no trace was started");
}

static json_t *on_gateways(void *context) {
	struct process *process = context;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	return json_pack("{s:b, s:o}", "ok", 1, "gateways", report_gateways(process->dataplane));
}

static json_t *on_vips(void *context) {
	struct process *process = context;
	json_t *reply;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	reply = json_pack("{s:b}", "ok", 1);
	vips_report(process->dataplane->group->vips, process->running, reply);
	return reply;
}

// Once is enough: it is never taken back.
static json_t *on_leave(void *context) {
	struct process *process = context;

	if (process->dataplane == NULL)
		return control_refusal("", "waiting for " BASE_FILE);
	if (!process->dataplane->base.sync.enabled)
		return control_refusal("", "there are no peers: " BASE_FILE " has no \"sync\"");
	atomic_store(&process->dataplane->group->peers.leaving, true);
	return json_pack("{s:b}", "ok", 1);
}

// A base.json that is there but bad is told once; the next try is a `load` or a restart.
static void start_when_ready(struct process *process, bool *tried) {
	struct config_errors errors = {0};

	if (*tried || process->dataplane != NULL || !base_exists(process))
		return;
	*tried = true;
	start(process, &errors);
	config_errors_print(&errors, process->options->config_directory, stderr);
	config_errors_free(&errors);
}

static bool has_pci(const struct base_config *base) {
	for (unsigned i = 0; i < base->base.n_ports; i++) {
		if (base->devices[i].driver == BASE_DRIVER_VFIO
		    || base->devices[i].driver == BASE_DRIVER_MLX5)
			return true;
	}
	return false;
}

// Returns when this process is needed; false when it never will be.
static bool wait_as_spare(struct process *process) {
	const struct options *options = process->options;
	struct config_errors errors = {0};
	struct channel_go go;
	bool ok = base_read(options->config_directory, options->allow_vdev, &process->base, &errors)
		&& !has_pci(&process->base)
		&& eal_prepare(options, &process->base, process->failure, sizeof(process->failure));

	config_errors_free(&errors);
	if (!ok)
		return false;
	channel_tell(options->channel, CHANNEL_READY);
	if (!channel_wait(options->channel, &go))
		return false;
	process->restarts = go.restarts;
	return true;
}

static int run(struct process *process) {
	struct control_operations operations = {
		.status = on_status,
		.load = on_load,
		.stats = on_stats,
		.flows = on_flows,
		.backends = on_backends,
		.trace_start = on_trace_start,
		.trace_read = on_trace_read,
		.gateways = on_gateways,
		.vips = on_vips,
		.leave = on_leave,
		.context = process,
	};
	const char *path = process->options->control_path;
	struct control_server *server = control_server_open(path, &operations);
	sigset_t mask = catch_signals();
	bool tried = false;

	if (server == NULL) {
		fprintf(stderr, "skylane-fwd: %s: %s\n", path, strerror(errno));
		return 1;
	}
	while (!end_requested && process->failure[0] == '\0') {
		start_when_ready(process, &tried);
		if (process->dataplane != NULL)
			dataplane_watch_link(process->dataplane);
		if (process->failure[0] == '\0')
			control_server_run(server, WAIT_MS, &mask);
	}
	if (process->failure[0] != '\0')
		fprintf(stderr, "skylane-fwd: %s\n", process->failure);
	control_server_close(server);
	if (process->dataplane != NULL) {
		packet_trace_stop(process->dataplane);
		dataplane_close(process->dataplane);
	}
	if (process->running != NULL)
		generation_free(process->running, NULL);
	return process->failure[0] != '\0';
}

int process_run(const struct options *options) {
	struct process process = {.options = options, .restarts = options->restarts};

	if (options->spare && !wait_as_spare(&process)) {
		fprintf(stderr, "skylane-fwd: no spare process is kept\n");
		return 0;
	}
	return run(&process);
}
