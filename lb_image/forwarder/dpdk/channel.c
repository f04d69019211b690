// SPDX-License-Identifier: Apache-2.0

#include "channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

// A supervisor that has gone is no reason to end.
void channel_tell(int fd, char what) {
	ssize_t sent;

	if (fd == CHANNEL_NONE)
		return;
	do
		sent = send(fd, &what, 1, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
}

bool channel_wait(int fd, struct channel_go *go) {
	ssize_t received;

	do
		received = recv(fd, go, sizeof(*go), 0);
	while (received < 0 && errno == EINTR);
	return received == (ssize_t)sizeof(*go);
}
