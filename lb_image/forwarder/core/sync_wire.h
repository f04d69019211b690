// SPDX-License-Identifier: Apache-2.0

// Datagrams of the session sync: a header, records of flows of one family, a tag over all of it. In network byte order. The layout is
// told in docs/design/session_sync.md.

#pragma once

#include "flow_table.h"
#include "headers.h"
#include "packet.h"
#include "peers.h"

#define SYNC_MAGIC 0x534b5953u // "SKYS"
#define SYNC_VERSION 1
#define SYNC_TTL 255           // RFC 5082: nobody beyond the link can send with it
#define SYNC_DATAGRAM_MAX 1472 // bytes, of Ethernet's MTU
#define SYNC_TAG_SIZE 8
#define SYNC_FRAME_MAX \
	(sizeof(struct ether_header) + sizeof(struct ipv4_header) + sizeof(struct udp_header) \
	 + SYNC_DATAGRAM_MAX + FWD_TAG_SIZE)

// Beside those of enum peer_flag.
enum sync_flag {
	SYNC_BULK_REQUEST = 1 << 3, // send me all flows of your places and of mine
	SYNC_BULK = 1 << 4,         // a part of what was asked for
	SYNC_BULK_END = 1 << 5,     // that was all
};

struct sync_header {
	uint32_t magic;
	uint8_t version;
	uint8_t family; // of the records: 4, 6; 0: there are none
	uint8_t sender; // ordinal
	uint8_t flags;
	uint64_t epoch_us;      // start of the sender's process; rises over restarts
	uint64_t sequence;      // rises within the epoch
	uint64_t bulk_epoch_us; // of the process that asked: bulk and its end
	uint16_t count;         // of the records
	uint16_t bulk_round;    // how often the bulk was asked for
	uint32_t bulk_records;  // that the whole bulk had: its end
} __attribute__((packed));
_Static_assert(sizeof(struct sync_header) == 40, "no padding");

struct sync_record {
	uint16_t client_port;
	uint16_t vip_port;
	uint16_t local_port;
	uint16_t backend_port;
	uint8_t protocol;
	uint8_t state; // enum flow_state
	uint8_t tells; // enum fwd_client_address
	uint8_t reserved;
	uint32_t idle_s;
	uint32_t age_s;
} __attribute__((packed));

struct sync_record4 {
	struct sync_record common;
	uint32_t client_address, vip, local_address, backend_address;
} __attribute__((packed));
_Static_assert(sizeof(struct sync_record4) == 36, "no padding");

struct sync_record6 {
	struct sync_record common;
	struct ipv6_address client_address, vip, local_address, backend_address;
} __attribute__((packed));
_Static_assert(sizeof(struct sync_record6) == 84, "no padding");

static inline size_t sync_record_size(bool ipv6) {
	return ipv6 ? sizeof(struct sync_record6) : sizeof(struct sync_record4);
}

// Writes the record of a flow.
void sync_record_write(const struct flow *flow, uint32_t now_s, void *record);

// Reads one into a flow that lies nowhere yet: addresses, ports, protocol, state, times; all else is zero. False when no forwarder writes
// such a record.
bool sync_record_read(const void *record, bool ipv6, uint32_t now_s, struct flow6 *out);
