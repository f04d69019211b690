// SPDX-License-Identifier: Apache-2.0

// Answers to packets that go nowhere. An answer is made in the packet's own buffer and leaves the way the packet came.

#include "worker_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define ANSWER_TTL 64
// RFC 1812, section 4.3.2.3: an error quotes as much as fits into 576 bytes. RFC 4443, section 2.4: into the smallest MTU.
#define ERROR_SIZE_MAX 576
#define ERROR_SIZE_MAX6 1280
_Static_assert(
	sizeof(struct ether_header) + ERROR_SIZE_MAX6 <= FWD_FRAME_ROOM,
	"an error fits into any frame"
);
// RFC 1812, section 4.3.2.8, and RFC 4443, section 2.4: errors are limited in rate.
#define ICMP_ERRORS_PER_S 1000

// An answer from whom the packet was for, to whom it is from. It is laid out in the buffer of the packet, whose Ethernet header
// still stands.
struct answer {
	struct ipv6_address src, dst; // of IPv4 mapped
	void *ip;                     // its own header
	void *l4;
	bool ipv6;
};

static struct answer answer_to(struct fwd_packet *packet, const struct packet_view *view) {
	struct answer answer = {
		.ip = packet->data + sizeof(struct ether_header),
		.ipv6 = view->ipv6,
	};

	if (view->ipv6) {
		answer.src = view->ip6->dst;
		answer.dst = view->ip6->src;
		answer.l4 = (struct ipv6_header *)answer.ip + 1;
	} else {
		answer.src = ipv6_mapped(ntohl(view->ip->dst));
		answer.dst = ipv6_mapped(ntohl(view->ip->src));
		answer.l4 = (struct ipv4_header *)answer.ip + 1;
	}
	return answer;
}

static void write_ipv4(const struct answer *answer, uint8_t protocol, unsigned length) {
	struct ipv4_header *ip = answer->ip;

	// RFC 6864: what cannot be fragmented needs no identification.
	*ip = (struct ipv4_header){
		.version_ihl = 0x45,
		.total_length = htons((uint16_t)(sizeof(*ip) + length)),
		.fragment = htons(IPV4_FLAG_DF),
		.ttl = ANSWER_TTL,
		.protocol = protocol,
		.src = htonl(ipv6_to_ipv4(&answer->src)),
		.dst = htonl(ipv6_to_ipv4(&answer->dst)),
	};
	ip->checksum = (uint16_t)~checksum_words(ip, sizeof(*ip) / 2);
}

static void write_ipv6(const struct answer *answer, uint8_t protocol, unsigned length) {
	struct ipv6_header *ip = answer->ip;

	*ip = (struct ipv6_header){
		.version_class_label = htonl(6u << 28),
		.payload_length = htons((uint16_t)length),
		.next_header = protocol,
		.hop_limit = ANSWER_TTL,
		.src = answer->src,
		.dst = answer->dst,
	};
}

// Writes the header, makes the checksum and sends it. What stands at answer->l4 is `length` bytes long and has its checksum, 0 yet,
// at `checksum_at`.
static void send_answer(
	const struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct answer *answer,
	uint8_t protocol,
	unsigned length,
	size_t checksum_at
) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	bool has_pseudo = answer->ipv6 || protocol == IPPROTO_TCP;
	uint32_t sum = 0;
	uint16_t checksum;

	if (answer->ipv6)
		write_ipv6(answer, protocol, length);
	else
		write_ipv4(answer, protocol, length);
	if (has_pseudo)
		sum = answer->ipv6 ? checksum_pseudo6(answer->ip, protocol, length)
				   : checksum_pseudo(answer->ip, protocol, length);
	checksum = (uint16_t)~checksum_fold(sum + checksum_bytes(answer->l4, length));
	memcpy((uint8_t *)answer->l4 + checksum_at, &checksum, sizeof(checksum));
	memcpy(ether->dst, ether->src, ETHER_ADDR_SIZE);
	memcpy(ether->src, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE);
	packet->len = (uint16_t)((uint8_t *)answer->l4 - packet->data + length);
	packet_pad(packet);
	packet->verdict = FWD_TX;
	packet->port_out = packet->port_in;
}

static bool tcp_checksum_good(const struct packet_view *view) {
	unsigned length = view_l4_length(view);
	uint32_t pseudo = view->ipv6 ? checksum_pseudo6(view->ip6, IPPROTO_TCP, length)
				     : checksum_pseudo(view->ip, IPPROTO_TCP, length);

	return checksum_fold(pseudo + checksum_bytes(view->l4, length)) == 0xffff;
}

// RFC 1122, section 3.2.1.3, and RFC 4443, section 2.4: what may be the source of a datagram, and so be answered.
static bool is_host(const struct answer *answer) {
	uint8_t first = (uint8_t)(ipv6_to_ipv4(&answer->dst) >> 24);

	if (answer->ipv6)
		return !ipv6_is_unspecified(&answer->dst) && !ipv6_is_loopback(&answer->dst)
			&& !ipv6_is_multicast(&answer->dst);
	return first != 0 && first != IN_LOOPBACKNET && first < 224;
}

static bool is_fragment(const struct packet_view *view) {
	return view->ipv6 ? view->fragment6 != NULL
			  : (view->ip->fragment & htons(IPV4_FRAGMENT_MASK)) != 0;
}

// RFC 9293, section 3.10.7.1: what a closed connection answers. A damaged segment may be of another connection, and the first
// fragment of one may have come to a worker that has not the flow.
void reject_unknown_tcp(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	const struct tcp_header asked = *(const struct tcp_header *)view->l4;
	unsigned data = view_l4_length(view) - (asked.data_offset >> 4) * 4u;
	bool has_ack = asked.flags & TCP_ACK;
	struct answer answer = answer_to(packet, view);
	struct tcp_header *tcp = answer.l4;

	if (!worker->base->reset_unknown_tcp || view_protocol(view, view->ipv6) != IPPROTO_TCP
	    || (asked.flags & TCP_RST) || is_fragment(view) || !is_host(&answer)
	    || !tcp_checksum_good(view))
		return;
	data += !!(asked.flags & TCP_SYN) + !!(asked.flags & TCP_FIN);
	*tcp = (struct tcp_header){
		.src = asked.dst,
		.dst = asked.src,
		.sequence = has_ack ? asked.acknowledgment : 0,
		.acknowledgment = has_ack ? 0 : htonl(ntohl(asked.sequence) + data),
		.data_offset = sizeof(*tcp) / 4 << 4,
		.flags = has_ack ? TCP_RST : TCP_RST | TCP_ACK,
	};
	send_answer(
		worker,
		packet,
		&answer,
		IPPROTO_TCP,
		sizeof(*tcp),
		offsetof(struct tcp_header, checksum)
	);
	worker->counters.resets_sent++;
}

static bool may_send_error(struct fwd_worker *worker, const struct answer *answer) {
	return is_host(answer)
		&& budget_take(&worker->icmp_errors, worker->now_s, ICMP_ERRORS_PER_S);
}

static void reject_icmp(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct icmp_header error
) {
	struct answer answer = answer_to(packet, view);
	struct icmp_header *icmp = answer.l4;
	unsigned size_max = view->ipv6 ? ERROR_SIZE_MAX6 : ERROR_SIZE_MAX;
	unsigned head = (unsigned)((uint8_t *)(icmp + 1) - (uint8_t *)answer.ip);
	unsigned quote = view->total_length;

	if (!may_send_error(worker, &answer))
		return;
	if (quote > size_max - head)
		quote = size_max - head;
	memmove(icmp + 1, view->ip, quote);
	*icmp = error;
	send_answer(
		worker,
		packet,
		&answer,
		view->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		(unsigned)sizeof(*icmp) + quote,
		offsetof(struct icmp_header, checksum)
	);
	worker->counters.icmp_errors_sent++;
}

void reject_ttl(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	struct icmp_header error = {.type = ICMP_TIME_EXCEEDED, .code = ICMP_CODE_TTL};
	struct icmp_header error6 = {.type = ICMPV6_TIME_EXCEEDED, .code = ICMPV6_CODE_HOP_LIMIT};

	reject_icmp(worker, packet, view, view->ipv6 ? error6 : error);
}

void reject_mtu(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	uint16_t mtu
) {
	struct icmp_header error = {
		.type = ICMP_UNREACHABLE,
		.code = ICMP_CODE_FRAGMENTATION,
		.rest = htonl(mtu), // RFC 1191, section 4
	};
	struct icmp_header error6 = {.type = ICMPV6_TOO_BIG, .rest = htonl(mtu)};

	if (view->ipv6)
		reject_icmp(worker, packet, view, error6);
	else if (view->ip->fragment & htons(IPV4_FLAG_DF))
		reject_icmp(worker, packet, view, error);
}
