// SPDX-License-Identifier: Apache-2.0

#include "vlan.h"

#include "worker_internal.h"

#include <arpa/inet.h>
#include <string.h>

#define MACS_SIZE (2 * ETHER_ADDR_SIZE)
_Static_assert(sizeof(struct vlan_tag) == FWD_TAG_SIZE, "what the shells make room for");

struct tagged_header {
	uint8_t macs[MACS_SIZE];
	struct vlan_tag tag;
	uint16_t type; // of what is tagged
} __attribute__((packed));

static bool is_tag(uint16_t type) {
	return type == htons(ETHER_TYPE_VLAN) || type == htons(ETHER_TYPE_SERVICE_VLAN);
}

static uint16_t id_of(const struct tagged_header *header) {
	return ntohs(header->tag.control) & VLAN_ID_MASK;
}

static enum drop_reason check_tag(const struct fwd_packet *packet, uint16_t vlan) {
	const struct tagged_header *header = (const struct tagged_header *)packet->data;

	if (packet->len < sizeof(struct ether_header))
		return DROP_TRUNCATED;
	if (!is_tag(header->tag.type))
		return DROP_NO_VLAN_TAG;
	if (packet->len < sizeof(*header))
		return DROP_TRUNCATED;
	if (header->tag.type != htons(ETHER_TYPE_VLAN))
		return DROP_OTHER_VLAN;
	if (id_of(header) != vlan)
		return id_of(header) == 0 ? DROP_NO_VLAN_TAG : DROP_OTHER_VLAN;
	return is_tag(header->type) ? DROP_DOUBLE_VLAN_TAG : DROP_NONE;
}

enum drop_reason vlan_drop_priority(struct fwd_packet *packet) {
	struct tagged_header *header = (struct tagged_header *)packet->data;
	enum drop_reason reason = check_tag(packet, 0);

	if (reason != DROP_NONE)
		return reason;
	// Hardly any network sends these: the shells need not look where the frame begins afterwards.
	packet->len = (uint16_t)(packet->len - sizeof(header->tag));
	memmove(&header->tag, &header->type, packet->len - sizeof(header->macs));
	packet_pad(packet);
	return DROP_NONE;
}

// True when the frame is in the VLAN of its port; its tag is off, if it has one to have.
static bool take_off(struct fwd_worker *worker, struct fwd_packet *packet) {
	uint16_t vlan = worker->base->ports[packet->port_in].vlan;
	enum drop_reason reason;

	if (vlan == 0)
		return true;
	reason = check_tag(packet, vlan);
	if (reason != DROP_NONE) {
		packet_drop(packet, reason);
		worker->counters.drops[reason]++;
		return false;
	}
	memmove(packet->data + FWD_TAG_SIZE, packet->data, MACS_SIZE);
	packet->data += FWD_TAG_SIZE;
	packet->len -= FWD_TAG_SIZE;
	return true;
}

// A packet for another worker gets the tag that it came with. What came with a tag may be too short without it.
static void put_on(const struct fwd_worker *worker, struct fwd_packet *packet) {
	const struct fwd_port *ports = worker->base->ports;
	struct tagged_header *header;
	uint16_t vlan;

	if (packet->verdict == FWD_DROP)
		return;
	vlan = ports[packet->verdict == FWD_TX ? packet->port_out : packet->port_in].vlan;
	if (vlan == 0) {
		if (packet->verdict == FWD_TX)
			packet_pad(packet);
		return;
	}
	packet->data -= FWD_TAG_SIZE;
	packet->len += FWD_TAG_SIZE;
	header = (struct tagged_header *)packet->data;
	memmove(header->macs, packet->data + FWD_TAG_SIZE, MACS_SIZE);
	header->tag = (struct vlan_tag){htons(ETHER_TYPE_VLAN), htons(vlan)};
}

// What lies between two frames that are dropped for their tags goes through the core at once.
void vlan_process(
	struct fwd_worker *worker,
	const struct fwd_config *config,
	struct fwd_packet *packets,
	unsigned count,
	uint64_t now_ms
) {
	for (unsigned begin = 0, end; begin < count; begin = end + 1) {
		for (end = begin; end < count && take_off(worker, &packets[end]); end++)
			;
		if (end == begin)
			continue;
		worker_process_untagged(worker, config, packets + begin, end - begin, now_ms);
		for (unsigned i = begin; i < end; i++)
			put_on(worker, &packets[i]);
	}
}

uint16_t vlan_tag(const struct fwd_base *base, uint8_t port, uint8_t *frame, uint16_t length) {
	struct tagged_header *header = (struct tagged_header *)frame;
	uint16_t vlan = base->ports[port].vlan;

	if (vlan == 0)
		return length;
	memmove(&header->type, &header->tag, length - sizeof(header->macs));
	header->tag = (struct vlan_tag){htons(ETHER_TYPE_VLAN), htons(vlan)};
	return length + FWD_TAG_SIZE;
}

unsigned vlan_tag_emitted(const struct fwd_base *base, struct fwd_emit *frames, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		frames[i].len = vlan_tag(base, frames[i].port_out, frames[i].data, frames[i].len);
	return count;
}
