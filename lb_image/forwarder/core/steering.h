// SPDX-License-Identifier: Apache-2.0

// Receive-side scaling, foreseen: the NIC puts a packet into the queue that a Toeplitz hash of its addresses and ports names
// in an indirection table (RETA). The hash is linear over XOR: the part of the backend and the part of the local address and
// port can be computed apart, so that a worker chooses a local port for which the reply comes to its own queue.
// Source: Microsoft, "RSS hashing types", for IPv4 and IPv6 with TCP or UDP: source and destination address, then the ports.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEERING_INPUT_IPV4 12 // bytes
#define STEERING_INPUT_IPV6 36
#define STEERING_KEY_MIN 16 // bytes, for IPv4: the input and a word behind it
#define STEERING_KEY_MAX 64
#define STEERING_RETA_MAX 2048

// Of one family, and the port that its replies come in on. Written by the shell before the workers start.
struct steering {
	uint32_t parts[STEERING_INPUT_IPV6][256]; // of the hash, by byte of the input and its value
	uint8_t address_size;                     // bytes: 4 or 16
	uint16_t reta_size;                       // power of two
	uint8_t reta[STEERING_RETA_MAX];          // worker by entry
};

// False when the key is too short, the table no power of two or too long, or not each of `n_workers` queues in it and no other;
// or when the key is such that the choice of a local port does not reach every entry.
bool steering_init(
	struct steering *steering,
	const uint8_t *key,
	size_t key_size,
	const uint16_t *reta,
	size_t reta_size,
	unsigned n_workers,
	bool ipv6
);

// Part of the sender of a packet; `address` is as it lies in the packet, `port` in network byte order.
uint32_t steering_source(const struct steering *steering, const void *address, uint16_t port);

// Part of the receiver.
uint32_t steering_destination(const struct steering *steering, const void *address, uint16_t port);

// Worker whose queue a packet comes to, by the XOR of both parts.
static inline unsigned steering_worker(const struct steering *steering, uint32_t hash) {
	return steering->reta[hash & (steering->reta_size - 1u)];
}
