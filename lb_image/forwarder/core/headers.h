// SPDX-License-Identifier: Apache-2.0

// Wire formats and constants. Fields are in network byte order.

#pragma once

#include <stdint.h>

#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_ARP 0x0806
#define ETHER_ADDR_SIZE 6
#define ETHER_FRAME_MIN 60 // without FCS

struct ether_header {
	uint8_t dst[ETHER_ADDR_SIZE];
	uint8_t src[ETHER_ADDR_SIZE];
	uint16_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct ether_header) == 14, "IEEE 802.3");

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

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

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
