// SPDX-License-Identifier: Apache-2.0

#include "control_protocol.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *control_refusal(const char *field, const char *format, ...) {
	char message[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return json_pack(
		"{s:b, s:[{s:s, s:i, s:s, s:s+}]}",
		"ok",
		0,
		"errors",
		"file",
		"",
		"line",
		0,
		"field",
		field,
		"message",
		message,
		""
	);
}

static bool is_known(const char *name, const char *const *known) {
	while (*known != NULL && strcmp(*known, name) != 0)
		known++;
	return *known != NULL;
}

// NULL when every member of `request` is "command" or one of `known`, which ends with NULL.
static json_t *unknown_member(json_t *request, const char *const *known) {
	const char *name;
	json_t *value;

	json_object_foreach(request, name, value) {
		if (strcmp(name, "command") != 0 && !is_known(name, known))
			return control_refusal(name, "is not a known field of this command");
	}
	return NULL;
}

static json_t *command_status(const struct control_operations *operations, json_t *request) {
	json_t *refusal = unknown_member(request, (const char *const[]){NULL});

	return refusal != NULL ? refusal : operations->status(operations->context);
}

static json_t *command_stats(const struct control_operations *operations, json_t *request) {
	json_t *refusal = unknown_member(request, (const char *const[]){NULL});

	return refusal != NULL ? refusal : operations->stats(operations->context);
}

static json_t *command_gateways(const struct control_operations *operations, json_t *request) {
	json_t *refusal = unknown_member(request, (const char *const[]){NULL});

	return refusal != NULL ? refusal : operations->gateways(operations->context);
}

static json_t *command_load(const struct control_operations *operations, json_t *request) {
	json_t *listeners = json_object_get(request, "listeners");
	json_t *refusal = unknown_member(request, (const char *const[]){"listeners", NULL});
	const char *names[CONTROL_LOAD_MAX];
	size_t count = json_array_size(listeners);

	if (refusal != NULL)
		return refusal;
	if (listeners == NULL)
		return operations->load(operations->context, NULL, 0);
	if (!json_is_array(listeners) || count > CONTROL_LOAD_MAX)
		return control_refusal(
			"listeners", "must be a list of at most %d names", CONTROL_LOAD_MAX
		);
	for (size_t i = 0; i < count; i++) {
		names[i] = json_string_value(json_array_get(listeners, i));
		if (names[i] == NULL)
			return control_refusal("listeners", "must be a list of names");
	}
	return operations->load(operations->context, names, count);
}

static json_t *command_flows(const struct control_operations *operations, json_t *request) {
	json_t *limit = json_object_get(request, "limit");
	json_t *refusal =
		unknown_member(request, (const char *const[]){"limit", FLOW_FILTER_MEMBERS, NULL});
	json_int_t count = limit == NULL ? 100 : json_integer_value(limit);
	struct flow_filter filter;

	if (refusal != NULL)
		return refusal;
	if (count < 1 || count > CONTROL_FLOWS_MAX)
		return control_refusal(
			"limit", "must be an integer from 1 to %d", CONTROL_FLOWS_MAX
		);
	refusal = flow_filter_read(request, &filter);
	if (refusal != NULL)
		return refusal;
	return operations->flows(operations->context, (size_t)count, &filter);
}

// With an address it starts a trace, without one it reads the one that was started.
static json_t *command_trace(const struct control_operations *operations, json_t *request) {
	json_t *seconds = json_object_get(request, "seconds");
	json_t *refusal = unknown_member(
		request, (const char *const[]){"seconds", FLOW_PATTERN_MEMBERS, NULL}
	);
	json_int_t count = seconds == NULL ? 60 : json_integer_value(seconds);
	struct flow_pattern pattern;

	if (refusal != NULL)
		return refusal;
	if (json_object_size(request) == 1)
		return operations->trace_read(operations->context);
	if (count < 1 || count > CONTROL_TRACE_SECONDS_MAX)
		return control_refusal(
			"seconds", "must be an integer from 1 to %d", CONTROL_TRACE_SECONDS_MAX
		);
	refusal = flow_pattern_read(request, &pattern);
	if (refusal != NULL)
		return refusal;
	if (json_object_get(request, "client_address") == NULL)
		return control_refusal("client_address", "is required to start a trace");
	return operations->trace_start(operations->context, &pattern, (unsigned)count);
}

static json_t *command_backends(const struct control_operations *operations, json_t *request) {
	json_t *listener = json_object_get(request, "listener");
	json_t *refusal = unknown_member(request, (const char *const[]){"listener", NULL});

	if (refusal != NULL)
		return refusal;
	if (!json_is_string(listener))
		return control_refusal("listener", "must be the name of a listener");
	return operations->backends(operations->context, json_string_value(listener));
}

static json_t *command_vips(const struct control_operations *operations, json_t *request) {
	json_t *refusal = unknown_member(request, (const char *const[]){NULL});

	return refusal != NULL ? refusal : operations->vips(operations->context);
}

static json_t *command_leave(const struct control_operations *operations, json_t *request) {
	json_t *refusal = unknown_member(request, (const char *const[]){NULL});

	return refusal != NULL ? refusal : operations->leave(operations->context);
}

static const struct {
	const char *name;
	json_t *(*run)(const struct control_operations *operations, json_t *request);
} commands[] = {
	{"status", command_status},
	{"load", command_load},
	{"stats", command_stats},
	{"flows", command_flows},
	{"backends", command_backends},
	{"trace", command_trace},
	{"gateways", command_gateways},
	{"vips", command_vips},
	{"leave", command_leave},
};

static json_t *reply_to(const struct control_operations *operations, json_t *request) {
	const char *name = json_string_value(json_object_get(request, "command"));

	if (name == NULL)
		return control_refusal("command", "must name a command");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(operations, request);
	}
	return control_refusal("command", "unknown command \"%.40s\"", name);
}

static char *text_of(json_t *reply) {
	char *body = reply == NULL ? NULL : json_dumps(reply, JSON_COMPACT);
	size_t length = body == NULL ? 0 : strlen(body);
	char *text = body == NULL ? NULL : realloc(body, length + 2);

	if (text == NULL) {
		free(body);
		return NULL;
	}
	text[length] = '\n';
	text[length + 1] = '\0';
	return text;
}

char *control_reply(const struct control_operations *operations, const char *line, size_t length) {
	json_error_t error;
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	json_t *reply = request == NULL ? control_refusal("", "not JSON: %s", error.text)
					: reply_to(operations, request);
	char *text = text_of(reply);

	json_decref(reply);
	json_decref(request);
	return text;
}
