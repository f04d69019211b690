// SPDX-License-Identifier: Apache-2.0

#include "control_client.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = CONTROL_QUERY_TIMEOUT_S};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool send_line(FILE *stream, const char *line) {
	return fputs(line, stream) >= 0 && fputc('\n', stream) == '\n' && fflush(stream) == 0;
}

static bool says_ok(const char *reply) {
	json_t *root = json_loads(reply, 0, NULL);
	bool ok = json_is_true(json_object_get(root, "ok"));

	json_decref(root);
	return ok;
}

int control_query(const char *path, const char *request) {
	int fd = connect_to(path);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r+");
	char *reply = NULL;
	size_t size = 0;
	int result = 2;

	if (stream == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return result;
	}
	if (send_line(stream, request) && getline(&reply, &size, stream) > 0) {
		fputs(reply, stdout);
		result = says_ok(reply) ? 0 : 1;
	} else {
		fprintf(stderr, "%s: no reply: %s\n", path, strerror(errno));
	}
	free(reply);
	fclose(stream);
	return result;
}
