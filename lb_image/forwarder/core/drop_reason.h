// SPDX-License-Identifier: Apache-2.0

// Every way a packet can end without being sent. The names are the same here, in the stats of the control socket,
// in the metrics and in the docs.

#pragma once

// X(ENUM, name, help)
#define DROP_REASONS(X) \
	X(TRUNCATED, "truncated", "a header or the datagram is longer than the frame") \
	X(NOT_OUR_MAC, "not_our_mac", "unicast frame for another MAC address") \
	X(UNKNOWN_ETHERTYPE, "unknown_ethertype", "neither IPv4, IPv6 nor ARP") \
	X(NO_VLAN_TAG, \
	  "no_vlan_tag", \
	  "the port has a VLAN, the frame no tag, or one that gives a priority only") \
	X(OTHER_VLAN, "other_vlan", "tag of a VLAN that the port is not in, or of a provider") \
	X(DOUBLE_VLAN_TAG, "double_vlan_tag", "another tag behind the port's") \
	X(BAD_ARP, "bad_arp", "ARP that is not Ethernet over IPv4, or not for us") \
	X(BAD_ND, "bad_nd", "neighbour discovery that RFC 4861 refuses, or that is not for us") \
	X(BAD_IP_HEADER, "bad_ip_header", "IP version, header length or total length is wrong") \
	X(BAD_IP_CHECKSUM, "bad_ip_checksum", "IPv4 header checksum is wrong") \
	X(TTL_EXCEEDED, "ttl_exceeded", "TTL or hop limit would reach zero") \
	X(FRAGMENT, "fragment", "fragment of ICMP, or one whose first part has not passed") \
	X(FRAGMENT_UNTOLD, \
	  "fragment_untold", \
	  "fragment of a client whose PROXY header the backend has not confirmed") \
	X(EXTENSION_HEADERS, \
	  "extension_headers", \
	  "IPv6 extension headers beyond what is looked at") \
	X(ROUTING_HEADER, "routing_header", "IPv6 routing header of type 0, or with segments left" \
	) \
	X(UNKNOWN_PROTOCOL, "unknown_protocol", "neither TCP, UDP nor ICMP") \
	X(BAD_L4_HEADER, "bad_l4_header", "TCP or UDP header length is wrong") \
	X(NO_UDP_CHECKSUM, "no_udp_checksum", "UDP over IPv6 without a checksum") \
	X(ICMP_OTHER, "icmp_other", "ICMP that is neither an echo request nor an error") \
	X(BAD_ICMP_CHECKSUM, \
	  "bad_icmp_checksum", \
	  "checksum of an ICMP error or of neighbour discovery is wrong") \
	X(NOT_OURS, "not_ours", "destination is none of our addresses") \
	X(NO_LISTENER, "no_listener", "no listener on this address, port and protocol") \
	X(NO_BACKENDS, "no_backends", "the listener has no backend with a weight above zero") \
	X(SOURCE_DENIED, "source_denied", "the listener takes no client of this address") \
	X(CONNECTION_LIMIT, "connection_limit", "the listener has as many connections as it may") \
	X(CLIENT_LIMIT, "client_limit", "the client has as many connections as it may") \
	X(CLIENT_RATE, "client_rate", "the client makes connections faster than it may") \
	X(BACKEND_LIMIT, "backend_limit", "every backend has as many connections as it may") \
	X(NO_FLOW, "no_flow", "TCP without SYN, or a reply, that belongs to no flow") \
	X(FLOW_TABLE_FULL, "flow_table_full", "the worker's flow table is at its limit") \
	X(LOCAL_PORTS_EXHAUSTED, "local_ports_exhausted", "no local port is free for this backend" \
	) \
	X(NEIGHBOUR_UNRESOLVED, "neighbour_unresolved", "next hop's MAC address is not known yet") \
	X(NEIGHBOUR_TABLE_FULL, "neighbour_table_full", "no room for another next hop") \
	X(NO_ROUTE, "no_route", "next hop is off-link and the port has no gateway") \
	X(MTU_EXCEEDED, "mtu_exceeded", "datagram is longer than the port's MTU") \
	X(SYNC_MALFORMED, \
	  "sync_malformed", \
	  "session sync datagram of another layout or length, or none at all") \
	X(SYNC_UNKNOWN_PEER, \
	  "sync_unknown_peer", \
	  "session sync datagram of no peer's ordinal and address, or from beyond the link") \
	X(SYNC_BAD_TAG, "sync_bad_tag", "session sync datagram that was not made with our key") \
	X(SYNC_REPLAYED, \
	  "sync_replayed", \
	  "session sync datagram that is not younger than one heard before") \
	X(SYNC_JOINING, \
	  "sync_joining", \
	  "new flow, or a packet of an unknown one, while the flows of this pod are asked for") \
	X(TX_FULL, "tx_full", "the port's transmit queue was full") \
	X(HANDOVER_FULL, "handover_full", "the ring to the worker that owns the flow was full")

enum drop_reason {
	DROP_NONE,
#define X(id, name, help) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT
};

// Name as in the stats; "none" for DROP_NONE, NULL beyond the list.
const char *drop_reason_name(unsigned reason);

// One line for the metrics' HELP; NULL for DROP_NONE and beyond the list.
const char *drop_reason_help(unsigned reason);
