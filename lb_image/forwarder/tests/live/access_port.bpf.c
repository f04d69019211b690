// SPDX-License-Identifier: Apache-2.0

// An access port of a switch, in the kernel: what a link sends gets a tag, what it receives must have that tag and loses it.
// The kernel keeps the tag beside the frame, as its VLAN devices do; these need a kernel option that not every machine has.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define SECTION(name) __attribute__((section(name), used))
#define VLAN 100
#define PRIORITY 5
#define ETHER_TYPE_VLAN __builtin_bswap16(0x8100)

static long (*const push
)(struct __sk_buff *frame, __be16 type, __u16 control) = (void *)BPF_FUNC_skb_vlan_push;
static long (*const pop)(struct __sk_buff *frame) = (void *)BPF_FUNC_skb_vlan_pop;

// A frame with a mark goes as it is.
SECTION("classifier/sent") int sent(struct __sk_buff *frame) {
	if (frame->mark == 0)
		push(frame, ETHER_TYPE_VLAN, PRIORITY << 13 | VLAN);
	return TC_ACT_OK;
}

SECTION("classifier/received") int received(struct __sk_buff *frame) {
	if (!frame->vlan_present || (frame->vlan_tci & 0xfff) != VLAN)
		return TC_ACT_SHOT;
	pop(frame);
	return TC_ACT_OK;
}

SECTION("license") const char LICENSE[] = "GPL";
