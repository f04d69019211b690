// SPDX-License-Identifier: Apache-2.0

#include "generation.h"

#include "backend_slots.h"
#include "json_node.h"
#include "listener.h"
#include "names.h"

#include <netinet/in.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One listener name on its way into the next configuration.
struct candidate {
	struct fwd_listener *fresh; // just read, not yet running; owned
	const struct fwd_listener *running;
	const struct fwd_listener *chosen; // fresh, running, or NULL: left out
};

struct candidates {
	struct candidate *items;
	size_t count;
};

static const struct fwd_listener *
running_listener(const struct fwd_config *running, const char *name) {
	for (size_t slot = 0; running != NULL && slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = running->listeners[slot];

		if (listener != NULL && strcmp(listener->name, name) == 0)
			return listener;
	}
	return NULL;
}

static bool file_exists(const char *directory, const char *name) {
	char file[128];
	char path[4096];

	listener_file(name, file, sizeof(file));
	snprintf(path, sizeof(path), "%s/%s", directory, file);
	return access(path, F_OK) == 0 || errno != ENOENT;
}

// Equal generations are equal configurations: the running one is kept, with its state.
static void read_candidate(
	struct candidate *candidate,
	const struct generation_source *source,
	const char *name,
	struct config_errors *errors
) {
	candidate->chosen = candidate->running;
	if (!listener_name_is_valid(name)) {
		config_errors_add(
			errors, LISTENER_DIRECTORY, 0, "", "\"%.64s\" is no DNS label", name
		);
		return;
	}
	if (!file_exists(source->directory, name)) {
		candidate->chosen = NULL;
		return;
	}
	candidate->fresh =
		listener_read(source->directory, name, source->base, candidate->running, errors);
	if (candidate->fresh == NULL)
		return;
	if (candidate->running == NULL
	    || strcmp(candidate->fresh->generation, candidate->running->generation) != 0)
		candidate->chosen = candidate->fresh;
}

static bool all_names(
	const struct generation_source *source,
	const char *const *names,
	size_t count,
	struct names *all,
	struct names *to_read,
	struct config_errors *errors
) {
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		ok &= names_add(to_read, names[i]) && names_add(all, names[i]);
	if (names == NULL && names_read(source->directory, to_read, errors)) {
		for (size_t i = 0; i < to_read->count; i++)
			ok &= names_add(all, to_read->items[i]);
	}
	for (size_t slot = 0; source->running != NULL && slot < FWD_MAX_LISTENERS; slot++) {
		const struct fwd_listener *listener = source->running->listeners[slot];

		if (listener == NULL)
			continue;
		ok &= names_add(all, listener->name);
		if (names == NULL)
			ok &= names_add(to_read, listener->name);
	}
	return ok;
}

static bool
gather(const struct generation_source *source,
       const char *const *names,
       size_t count,
       struct candidates *candidates,
       struct config_errors *errors) {
	struct names to_read = {0};
	struct names all = {0};
	bool ok = all_names(source, names, count, &all, &to_read, errors);

	candidates->items = calloc(all.count + 1, sizeof(*candidates->items));
	ok &= candidates->items != NULL;
	candidates->count = ok ? all.count : 0;
	for (size_t i = 0; i < candidates->count; i++) {
		struct candidate *candidate = &candidates->items[i];

		candidate->running = running_listener(source->running, all.items[i]);
		if (names_contain(&to_read, all.items[i]))
			read_candidate(candidate, source, all.items[i], errors);
		else
			candidate->chosen = candidate->running;
	}
	names_free(&to_read);
	names_free(&all);
	return ok;
}

static int compare_keys(const struct fwd_listener *a, const struct fwd_listener *b) {
	struct ipv6_address vip_a = fwd_listener_vip(a), vip_b = fwd_listener_vip(b);
	int order = memcmp(&vip_a, &vip_b, sizeof(vip_a));

	if (order != 0)
		return order;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return (int)a->protocol - (int)b->protocol;
}

// By address, then running ones first, then by name: of two with one address the second has to yield.
static int compare_candidates(const void *left, const void *right) {
	const struct candidate *a = *(const struct candidate *const *)left;
	const struct candidate *b = *(const struct candidate *const *)right;
	int order = compare_keys(a->chosen, b->chosen);

	if (order != 0)
		return order;
	if ((a->chosen == a->running) != (b->chosen == b->running))
		return a->chosen == a->running ? -1 : 1;
	return strcmp(a->chosen->name, b->chosen->name);
}

static void conflict_error(
	const char *directory,
	const struct fwd_listener *loser,
	const struct fwd_listener *winner,
	struct config_errors *errors
) {
	struct config_errors ignored = {0};
	struct json_file file;
	char name[128];

	listener_file(loser->name, name, sizeof(name));
	if (json_file_open(&file, directory, name, &ignored)) {
		struct json_node root = json_node_root(&file);
		struct json_node vip = json_node_member(&root, "vip");
		struct ipv6_address address = fwd_listener_vip(loser);
		char text[INET6_ADDRSTRLEN];

		file.errors = errors;
		json_node_error(
			&vip,
			"%s port %u (%s) is already taken by listener \"%s\"",
			ipv6_text(&address, text),
			loser->port,
			loser->protocol == IPPROTO_TCP ? "tcp" : "udp",
			winner->name
		);
	}
	json_file_close(&file);
	config_errors_free(&ignored);
}

// One pass; true when a listener had to yield: what it falls back to may be taken as well.
static bool yield_conflicts(
	struct candidates *candidates,
	struct candidate **sorted,
	const char *directory,
	struct config_errors *errors
) {
	bool yielded = false;
	size_t count = 0;

	for (size_t i = 0; i < candidates->count; i++) {
		if (candidates->items[i].chosen != NULL)
			sorted[count++] = &candidates->items[i];
	}
	qsort(sorted, count, sizeof(*sorted), compare_candidates);
	for (size_t i = 1, winner = 0; i < count; i++) {
		if (compare_keys(sorted[i]->chosen, sorted[winner]->chosen) != 0) {
			winner = i;
			continue;
		}
		conflict_error(directory, sorted[i]->chosen, sorted[winner]->chosen, errors);
		sorted[i]->chosen = sorted[i]->running;
		yielded = true;
	}
	return yielded;
}

static bool resolve_conflicts(
	struct candidates *candidates, const char *directory, struct config_errors *errors
) {
	struct candidate **sorted = calloc(candidates->count + 1, sizeof(*sorted));

	if (sorted == NULL)
		return false;
	// Ends: every pass turns a fresh choice into a running one, and those do not conflict.
	while (yield_conflicts(candidates, sorted, directory, errors))
		;
	free(sorted);
	return true;
}

static bool take_slot(struct generation_source *source, struct fwd_config *next, uint16_t *slot) {
	for (size_t tried = 0; tried < FWD_MAX_LISTENERS; tried++) {
		uint16_t at = source->next_slot;

		source->next_slot = (uint16_t)((at + 1) % FWD_MAX_LISTENERS);
		if (next->listeners[at] == NULL
		    && (source->running == NULL || source->running->listeners[at] == NULL)) {
			*slot = at;
			return true;
		}
	}
	return false;
}

static void set_backends(struct fwd_config *config, const struct fwd_listener *listener, bool has) {
	for (uint32_t i = 0; listener != NULL && i < listener->n_backends; i++)
		fwd_config_set_backend(config, listener->backends[i].slot, has);
}

static bool no_room(const struct candidate *candidate, struct config_errors *errors) {
	char file[128];

	listener_file(candidate->chosen->name, file, sizeof(file));
	config_errors_add(
		errors,
		file,
		1,
		"",
		"is more than %d listeners or %d backends in all",
		FWD_MAX_LISTENERS,
		FWD_MAX_BACKEND_SLOTS
	);
	return false;
}

// Slots for a listener that was just read.
static bool
settle(struct candidate *candidate,
       struct generation_source *source,
       struct fwd_config *next,
       struct config_errors *errors) {
	struct fwd_listener *fresh = candidate->fresh;
	uint16_t slot;

	if (!backend_slots_assign(
		    fresh, candidate->running, source->running, next, &source->next_backend_slot
	    ))
		return no_room(candidate, errors);
	if (candidate->running != NULL)
		slot = candidate->running->index;
	else if (!take_slot(source, next, &slot))
		return no_room(candidate, errors);
	fresh->index = slot;
	return true;
}

static void
place(struct candidates *candidates,
      struct generation_source *source,
      struct fwd_config *next,
      struct config_errors *errors) {
	if (source->running != NULL)
		memcpy(next->backends, source->running->backends, sizeof(next->backends));
	for (size_t i = 0; i < candidates->count; i++) {
		struct candidate *candidate = &candidates->items[i];

		if (candidate->chosen == candidate->fresh && candidate->fresh != NULL
		    && !settle(candidate, source, next, errors))
			candidate->chosen = candidate->running;
		if (candidate->chosen != candidate->running)
			set_backends(next, candidate->running, false);
		if (candidate->chosen == NULL)
			continue;
		next->listeners[candidate->chosen->index] = candidate->chosen;
		if (candidate->chosen == candidate->fresh) {
			set_backends(next, candidate->fresh, true);
			candidate->fresh = NULL;
		}
	}
}

struct fwd_config *generation_build(
	struct generation_source *source,
	const char *const *names,
	size_t count,
	struct config_errors *errors
) {
	struct fwd_config *next = calloc(1, sizeof(*next));
	struct candidates candidates = {0};
	bool ok = next != NULL && gather(source, names, count, &candidates, errors)
		&& resolve_conflicts(&candidates, source->directory, errors);

	if (ok) {
		place(&candidates, source, next, errors);
		fwd_config_index(next);
		fwd_config_grant(next, source->running);
	} else {
		free(next);
		next = NULL;
	}
	for (size_t i = 0; i < candidates.count; i++)
		listener_free(candidates.items[i].fresh);
	free(candidates.items);
	return next;
}

void generation_free(struct fwd_config *old, const struct fwd_config *next) {
	for (size_t slot = 0; slot < FWD_MAX_LISTENERS; slot++) {
		if (next == NULL || old->listeners[slot] != next->listeners[slot])
			listener_free((struct fwd_listener *)old->listeners[slot]);
	}
	free(old);
}
