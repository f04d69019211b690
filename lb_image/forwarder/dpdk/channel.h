// SPDX-License-Identifier: Apache-2.0

// Between the supervisor and the processes that it starts: one byte each, over a pair of sockets.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_NONE (-1)

// What a process says.
#define CHANNEL_READY 'w'   // a spare has done what it can before it is needed
#define CHANNEL_RUNNING 'r' // it forwards

// To a spare: be the forwarder.
struct channel_go {
	uint32_t restarts;
};

// `fd`: CHANNEL_NONE: nobody is told.
void channel_tell(int fd, char what);

// Waits for as long as it takes. False when the supervisor has gone.
bool channel_wait(int fd, struct channel_go *go);
