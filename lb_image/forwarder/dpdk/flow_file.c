// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE 1 // fallocate
#include "flow_file.h"

#include <worker.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct failure {
	const char *path;
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool
fail(const struct failure *failure, const char *format, ...) {
	char reason[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	snprintf(failure->text, failure->size, "%s: %s", failure->path, reason);
	return false;
}

static size_t round_up(size_t size, size_t unit) {
	return (size + unit - 1) / unit * unit;
}

static size_t neighbours_at(void) {
	return round_up(sizeof(struct flow_header), 64);
}

static size_t flows_at(const struct fwd_base *base, unsigned worker) {
	return neighbours_at() + round_up(sizeof(struct neighbour_table), 64)
		+ worker * round_up(worker_flows_size(base), 64);
}

static void read_boot_id(char boot_id[FLOW_BOOT_ID_SIZE]) {
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	boot_id[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(boot_id, FLOW_BOOT_ID_SIZE, file) != NULL)
		boot_id[strcspn(boot_id, "\n")] = '\0';
	fclose(file);
}

static bool
open_locked(struct flow_file *file, const struct failure *failure, size_t wanted, off_t *found) {
	struct statfs filesystem;
	struct stat stat;

	file->fd = open(failure->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return fail(failure, "%s", strerror(errno));
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		return fail(failure, "another process has its flows there");
	if (fstatfs(file->fd, &filesystem) != 0 || fstat(file->fd, &stat) != 0)
		return fail(failure, "%s", strerror(errno));
	file->size = round_up(wanted, (size_t)filesystem.f_bsize);
	*found = stat.st_size;
	return true;
}

// What could be had of it is given back: others need it.
static bool no_room(const struct flow_file *file, const struct failure *failure) {
	int number = errno;

	if (ftruncate(file->fd, 0) != 0)
		return fail(failure, "%s", strerror(errno));
	return fail(failure, "%zu MiB: %s", file->size >> 20, strerror(number));
}

// All of it is there or nothing is: a page that is missing later would be a SIGBUS.
static bool map(struct flow_file *file, const struct failure *failure) {
	void *memory;
	int result;

	if (ftruncate(file->fd, (off_t)file->size) != 0)
		return no_room(file, failure);
	do
		result = fallocate(file->fd, 0, 0, (off_t)file->size);
	while (result != 0 && errno == EINTR);
	if (result != 0)
		return no_room(file, failure);
	memory = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (memory == MAP_FAILED)
		return no_room(file, failure);
	file->header = memory;
	return true;
}

// Whether what the file held is taken; else it is empty afterwards.
static bool judge(struct flow_file *file, const struct flow_header *wanted, off_t found) {
	char why[sizeof(file->verdict) - 16];

	snprintf(file->verdict, sizeof(file->verdict), "none");
	if (found == 0)
		return false;
	if ((size_t)found < sizeof(*wanted))
		snprintf(why, sizeof(why), "size is %jd: cut off", (intmax_t)found);
	else if (flow_header_fits(file->header, wanted, why, sizeof(why))) {
		snprintf(file->verdict, sizeof(file->verdict), "adopted");
		return true;
	}
	snprintf(file->verdict, sizeof(file->verdict), "refused: %s", why);
	return false;
}

static bool empty(struct flow_file *file, const struct failure *failure) {
	munmap(file->header, file->size);
	file->header = NULL;
	if (ftruncate(file->fd, 0) != 0)
		return fail(failure, "%s", strerror(errno));
	return map(file, failure);
}

static bool copy_neighbours(struct flow_file *file, const struct failure *failure) {
	file->before = malloc(sizeof(*file->before));
	if (file->before == NULL)
		return fail(failure, "no memory");
	memcpy(file->before, file->neighbours, sizeof(*file->before));
	memset(file->neighbours, 0, sizeof(*file->neighbours));
	return true;
}

static bool open_file(
	struct flow_file *file,
	const struct failure *failure,
	const struct fwd_base *base,
	struct flow_clock *clock
) {
	size_t wanted = flows_at(base, base->n_workers);
	char boot_id[FLOW_BOOT_ID_SIZE];
	struct flow_header header;
	bool adopts;
	off_t found = 0;

	if (!open_locked(file, failure, wanted, &found))
		return false;
	read_boot_id(boot_id);
	flow_header_make(&header, base, clock, boot_id, file->size);
	if (!map(file, failure))
		return false;
	adopts = judge(file, &header, found);
	if (!adopts) {
		if (found != 0 && !empty(file, failure))
			return false;
		*file->header = header;
	}
	file->header->in_hand = 1;
	*clock = (struct flow_clock){file->header->start_tsc, file->header->tsc_per_ms};
	file->neighbours = (void *)((uint8_t *)file->header + neighbours_at());
	for (unsigned i = 0; i < base->n_workers; i++)
		file->flows[i] = (uint8_t *)file->header + flows_at(base, i);
	return !adopts || copy_neighbours(file, failure);
}

bool flow_file_open(
	struct flow_file *file,
	const char *path,
	const struct fwd_base *base,
	struct flow_clock *clock,
	char *error,
	size_t error_size
) {
	const struct failure failure = {path, error, error_size};

	*file = (struct flow_file){.fd = -1};
	if (open_file(file, &failure, base, clock))
		return true;
	flow_file_close(file);
	return false;
}

void flow_file_settle(struct flow_file *file) {
	if (file->header != NULL)
		file->header->in_hand = 0;
	free(file->before);
	file->before = NULL;
}

void flow_file_close(struct flow_file *file) {
	if (file->header != NULL)
		munmap(file->header, file->size);
	if (file->fd >= 0)
		close(file->fd);
	free(file->before);
	*file = (struct flow_file){.fd = -1};
}
