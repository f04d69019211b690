// SPDX-License-Identifier: Apache-2.0

// VLAN tags (IEEE 802.1Q): what they may be, and the frames without them.

#include "packet_oracle.h"

#include <drop_reason.h>

#define MACS 12
#define TAG 4
#define SHORTEST 60
#define ARP_SIZE 60
#define ND_SIZE 86
#define ND_PROBE_SIZE 78

static bool is_tag(unsigned type) {
	return type == 0x8100 || type == 0x88a8;
}

static void take_off(uint8_t *data, uint16_t *len) {
	memmove(data + MACS, data + MACS + TAG, *len - MACS - TAG);
	*len -= TAG;
}

// DROP_NONE where the frame is in the VLAN.
static enum drop_reason verdict_on(const struct frame_copy *frame, uint16_t vlan) {
	unsigned id, type;

	if (frame->len < 14)
		return vlan != 0 ? DROP_TRUNCATED : DROP_NONE;
	type = oracle_read16(frame->data + MACS);
	if (!is_tag(type))
		return vlan != 0 ? DROP_NO_VLAN_TAG : DROP_NONE;
	if (frame->len < 18)
		return DROP_TRUNCATED;
	id = oracle_read16(frame->data + MACS + 2) & 0xfff;
	if (type == 0x88a8 || (id != vlan && id != 0))
		return DROP_OTHER_VLAN;
	if (id != vlan)
		return DROP_NO_VLAN_TAG;
	return is_tag(oracle_read16(frame->data + MACS + TAG)) ? DROP_DOUBLE_VLAN_TAG : DROP_NONE;
}

void oracle_fix(uint8_t *frame, unsigned len, bool ip, bool l4) {
	uint8_t macs[MACS];

	if (len >= MACS + TAG && oracle_read16(frame + MACS) == 0x8100) {
		// The addresses do not matter here, only where the type is.
		memcpy(macs, frame + TAG, sizeof(macs));
		if (ip)
			oracle_fix_ip(frame + TAG, len - TAG);
		if (l4)
			oracle_fix_l4(frame + TAG, len - TAG);
		MUST(memcmp(macs, frame + TAG, sizeof(macs)) == 0);
		return;
	}
	if (ip)
		oracle_fix_ip(frame, len);
	if (l4)
		oracle_fix_l4(frame, len);
}

static void lengthen(struct frame_copy *frame) {
	if (frame->len >= SHORTEST)
		return;
	memset(frame->data + frame->len, 0, SHORTEST - frame->len);
	frame->len = SHORTEST;
}

// Of a port without a VLAN: a tag that gives a priority only goes, and the frame is not too short then.
static void check_priority(struct frame_copy *before) {
	if (before->len < 14 || oracle_read16(before->data + MACS) != 0x8100)
		return;
	take_off(before->data, &before->len);
	lengthen(before);
}

static void check_in_vlan(
	struct frame_copy *before, struct fwd_packet *after, uint16_t vlan_in, uint16_t vlan_out
) {
	uint16_t vlan = after->verdict == FWD_TX ? vlan_out : vlan_in;

	if (vlan_in != 0)
		take_off(before->data, &before->len);
	else
		check_priority(before);
	if (after->verdict == FWD_DROP)
		return;
	if (vlan == 0) {
		if (after->verdict == FWD_TX && after->len >= SHORTEST)
			lengthen(before);
		return;
	}
	MUST(after->len >= 18);
	MUST(oracle_read16(after->data + MACS) == 0x8100);
	MUST(oracle_read16(after->data + MACS + 2) == vlan);
	take_off(after->data, &after->len);
}

void oracle_check_tags(
	struct frame_copy *before, struct fwd_packet *after, uint16_t vlan_in, uint16_t vlan_out
) {
	enum drop_reason reason = verdict_on(before, vlan_in);

	if (reason != DROP_NONE) {
		MUST(after->verdict == FWD_DROP && after->drop_reason == reason);
		return;
	}
	check_in_vlan(before, after, vlan_in, vlan_out);
}

void oracle_check_emitted(const struct fwd_emit *frame, uint16_t vlan) {
	unsigned len = frame->len, tag = vlan != 0 ? TAG : 0;

	MUST(len == ARP_SIZE + tag || len == ND_SIZE + tag || len == ND_PROBE_SIZE + tag);
	if (vlan == 0)
		return;
	MUST(oracle_read16(frame->data + MACS) == 0x8100);
	MUST(oracle_read16(frame->data + MACS + 2) == vlan);
	MUST(!is_tag(oracle_read16(frame->data + MACS + TAG)));
}
