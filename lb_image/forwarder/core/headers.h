// SPDX-License-Identifier: Apache-2.0

// Wire formats and constants. Fields are in network byte order.

#pragma once

#include "ipv6_address.h"

#include <stdint.h>

#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_IPV6 0x86dd
#define ETHER_TYPE_ARP 0x0806
#define ETHER_TYPE_VLAN 0x8100         // IEEE 802.1Q
#define ETHER_TYPE_SERVICE_VLAN 0x88a8 // IEEE 802.1ad
#define ETHER_ADDR_SIZE 6
#define ETHER_FRAME_MIN 60 // without FCS

struct ether_header {
	uint8_t dst[ETHER_ADDR_SIZE];
	uint8_t src[ETHER_ADDR_SIZE];
	uint16_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct ether_header) == 14, "IEEE 802.3");

#define VLAN_ID_MASK 0x0fff

// IEEE 802.1Q, behind the addresses; the type of what it carries follows.
struct vlan_tag {
	uint16_t type;
	uint16_t control; // priority, and the id in the low 12 bits
} __attribute__((packed));
_Static_assert(sizeof(struct vlan_tag) == 4, "IEEE 802.1Q");

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

// RFC 826, for Ethernet and IPv4.
struct arp_header {
	uint16_t hardware_type;
	uint16_t protocol_type;
	uint8_t hardware_size;
	uint8_t protocol_size;
	uint16_t operation;
	uint8_t sender_mac[ETHER_ADDR_SIZE];
	uint32_t sender_ip;
	uint8_t target_mac[ETHER_ADDR_SIZE];
	uint32_t target_ip;
} __attribute__((packed));
_Static_assert(sizeof(struct arp_header) == 28, "RFC 826");

#define IPV4_FLAG_DF 0x4000
#define IPV4_FRAGMENT_MASK 0x3fff // MF and the offset
#define IPV4_OFFSET_MASK 0x1fff

// RFC 791
struct ipv4_header {
	uint8_t version_ihl;
	uint8_t tos;
	uint16_t total_length;
	uint16_t id;
	uint16_t fragment;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t checksum;
	uint32_t src;
	uint32_t dst;
} __attribute__((packed));
_Static_assert(sizeof(struct ipv4_header) == 20, "RFC 791");

#define IPV6_MTU_MIN 1280

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTION_MSS_SIZE 4
// Not of RFC 9293: "TCP option address", as LVS's FULLNAT began it. The client's port, then its address.
#define TCP_OPTION_ADDRESS 254
#define TCP_OPTION_ADDRESS_SIZE 8
#define TCP_OPTION_ADDRESS6_SIZE 20
#define TCP_HEADER_MAX 60

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

// RFC 9293
struct tcp_header {
	uint16_t src;
	uint16_t dst;
	uint32_t sequence;
	uint32_t acknowledgment;
	uint8_t data_offset;
	uint8_t flags;
	uint16_t window;
	uint16_t checksum;
	uint16_t urgent;
} __attribute__((packed));
_Static_assert(sizeof(struct tcp_header) == 20, "RFC 9293");

// RFC 768
struct udp_header {
	uint16_t src;
	uint16_t dst;
	uint16_t length;
	uint16_t checksum;
} __attribute__((packed));
_Static_assert(sizeof(struct udp_header) == 8, "RFC 768");

#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP_CODE_TTL 0           // of ICMP_TIME_EXCEEDED
#define ICMP_CODE_FRAGMENTATION 4 // of ICMP_UNREACHABLE: needed, but DF is set

// RFC 792
struct icmp_header {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint32_t rest;
} __attribute__((packed));
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");

// RFC 8200
struct ipv6_header {
	uint32_t version_class_label;
	uint16_t payload_length;
	uint8_t next_header;
	uint8_t hop_limit;
	struct ipv6_address src;
	struct ipv6_address dst;
} __attribute__((packed));
_Static_assert(sizeof(struct ipv6_header) == 40, "RFC 8200");

// RFC 8200, section 4: hop-by-hop, destination options and routing headers begin like this.
struct ipv6_extension {
	uint8_t next_header;
	uint8_t length; // units of 8 bytes behind the first 8
	uint8_t type;   // of a routing header
	uint8_t segments_left;
	uint32_t rest;
} __attribute__((packed));
_Static_assert(sizeof(struct ipv6_extension) == 8, "RFC 8200");

#define IPV6_FRAGMENT_OFFSET_MASK 0xfff8
#define IPV6_FRAGMENT_MASK 0xfff9 // M and the offset

struct ipv6_fragment {
	uint8_t next_header;
	uint8_t reserved;
	uint16_t offset;
	uint32_t id;
} __attribute__((packed));
_Static_assert(sizeof(struct ipv6_fragment) == 8, "RFC 8200");

// RFC 4443; the header is that of ICMP.
#define ICMPV6_UNREACHABLE 1
#define ICMPV6_TOO_BIG 2
#define ICMPV6_TIME_EXCEEDED 3
#define ICMPV6_PARAMETER_PROBLEM 4
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define ICMPV6_CODE_HOP_LIMIT 0 // of ICMPV6_TIME_EXCEEDED

// RFC 4861
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_HOP_LIMIT 255
#define ND_FLAG_SOLICITED 0x40000000u
#define ND_FLAG_OVERRIDE 0x20000000u
#define ND_OPTION_SOURCE_LINK_ADDRESS 1
#define ND_OPTION_TARGET_LINK_ADDRESS 2

struct nd_header {
	struct icmp_header icmp; // `rest`: flags of an advertisement
	struct ipv6_address target;
} __attribute__((packed));
_Static_assert(sizeof(struct nd_header) == 24, "RFC 4861");

struct nd_link_address {
	uint8_t type;
	uint8_t length; // units of 8 bytes
	uint8_t mac[ETHER_ADDR_SIZE];
} __attribute__((packed));
_Static_assert(sizeof(struct nd_link_address) == 8, "RFC 4861");
