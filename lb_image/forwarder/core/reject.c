// SPDX-License-Identifier: Apache-2.0

// Answers to packets that go nowhere. An answer is made in the packet's own buffer and leaves the way the packet came.

#include "worker_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ANSWER_TTL 64
// RFC 1812, section 4.3.2.3: an error quotes as much as fits into 576 bytes.
#define ERROR_SIZE_MAX 576
#define QUOTE_MAX (ERROR_SIZE_MAX - sizeof(struct ipv4_header) - sizeof(struct icmp_header))
_Static_assert(
	sizeof(struct ether_header) + ERROR_SIZE_MAX <= FWD_FRAME_ROOM,
	"an error fits into any frame"
);
// RFC 1812, section 4.3.2.8: errors are limited in rate.
#define ICMP_ERRORS_PER_S 1000

static uint32_t checksum_pseudo(const struct ipv4_header *ip, unsigned l4_length) {
	return (uint32_t)checksum_words(&ip->src, 4) + htons(ip->protocol)
		+ htons((uint16_t)l4_length);
}

static bool tcp_checksum_good(const struct packet_view *view) {
	unsigned length =
		view->total_length - (unsigned)((uint8_t *)view->l4 - (uint8_t *)view->ip);

	return checksum_fold(checksum_pseudo(view->ip, length) + checksum_bytes(view->l4, length))
		== 0xffff;
}

// IEEE 802.3: not every driver lengthens short frames.
static void pad(struct fwd_packet *packet) {
	if (packet->len >= ETHER_FRAME_MIN)
		return;
	memset(packet->data + packet->len, 0, ETHER_FRAME_MIN - packet->len);
	packet->len = ETHER_FRAME_MIN;
}

// The header of a datagram from whom the packet was for, to whom it is from. `packet->data` still has its Ethernet header.
static void write_header(
	const struct fwd_worker *worker,
	struct fwd_packet *packet,
	uint32_t src,
	uint32_t dst,
	uint8_t protocol,
	uint16_t length
) {
	struct ether_header *ether = (struct ether_header *)packet->data;
	struct ipv4_header *ip = (struct ipv4_header *)(ether + 1);

	// RFC 6864: what cannot be fragmented needs no identification.
	*ip = (struct ipv4_header){
		.version_ihl = 0x45,
		.total_length = htons(length),
		.fragment = htons(IPV4_FLAG_DF),
		.ttl = ANSWER_TTL,
		.protocol = protocol,
		.src = src,
		.dst = dst,
	};
	ip->checksum = (uint16_t)~checksum_words(ip, sizeof(*ip) / 2);
	memcpy(ether->dst, ether->src, ETHER_ADDR_SIZE);
	memcpy(ether->src, worker->base->ports[packet->port_in].mac, ETHER_ADDR_SIZE);
	packet->len = (uint16_t)(sizeof(*ether) + length);
	pad(packet);
	packet->verdict = FWD_TX;
	packet->port_out = packet->port_in;
}

// RFC 1122, section 3.2.1.3: what may be the source of a datagram, and so be answered (network byte order).
static bool is_host(uint32_t address) {
	uint8_t first = (uint8_t)(ntohl(address) >> 24);

	return first != 0 && first != IN_LOOPBACKNET && first < 224;
}

// RFC 9293, section 3.10.7.1: what a closed connection answers. A damaged segment may be of another connection, and the first
// fragment of one may have come to a worker that has not the flow.
void reject_unknown_tcp(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	struct ipv4_header *ip = (struct ipv4_header *)(packet->data + sizeof(struct ether_header));
	const struct tcp_header asked = *(const struct tcp_header *)view->l4;
	struct tcp_header *tcp = (struct tcp_header *)(ip + 1);
	unsigned data = view->total_length - (unsigned)((uint8_t *)view->l4 - (uint8_t *)view->ip)
		- (asked.data_offset >> 4) * 4u;
	bool has_ack = asked.flags & TCP_ACK;

	if (!worker->base->reset_unknown_tcp || ip->protocol != IPPROTO_TCP
	    || (asked.flags & TCP_RST) || (ip->fragment & htons(IPV4_FRAGMENT_MASK))
	    || !is_host(ip->src) || !tcp_checksum_good(view))
		return;
	data += !!(asked.flags & TCP_SYN) + !!(asked.flags & TCP_FIN);
	write_header(worker, packet, ip->dst, ip->src, IPPROTO_TCP, sizeof(*ip) + sizeof(*tcp));
	*tcp = (struct tcp_header){
		.src = asked.dst,
		.dst = asked.src,
		.sequence = has_ack ? asked.acknowledgment : 0,
		.acknowledgment = has_ack ? 0 : htonl(ntohl(asked.sequence) + data),
		.data_offset = sizeof(*tcp) / 4 << 4,
		.flags = has_ack ? TCP_RST : TCP_RST | TCP_ACK,
	};
	tcp->checksum = (uint16_t
	)~checksum_fold(checksum_pseudo(ip, sizeof(*tcp)) + checksum_words(tcp, sizeof(*tcp) / 2));
	worker->counters.resets_sent++;
}

static bool may_send_error(struct fwd_worker *worker, uint32_t to) {
	return is_host(to) && budget_take(&worker->icmp_errors, worker->now_s, ICMP_ERRORS_PER_S);
}

static void reject_icmp(
	struct fwd_worker *worker,
	struct fwd_packet *packet,
	const struct packet_view *view,
	struct icmp_header error
) {
	struct ipv4_header *ip = view->ip;
	struct icmp_header *icmp = (struct icmp_header *)(ip + 1);
	unsigned quote = view->total_length < QUOTE_MAX ? view->total_length : QUOTE_MAX;
	unsigned length = sizeof(*icmp) + quote;
	uint32_t src = ip->dst, dst = ip->src;

	if (!may_send_error(worker, dst))
		return;
	memmove(icmp + 1, ip, quote);
	*icmp = error;
	icmp->checksum = (uint16_t)~checksum_bytes(icmp, length);
	write_header(worker, packet, src, dst, IPPROTO_ICMP, (uint16_t)(sizeof(*ip) + length));
	worker->counters.icmp_errors_sent++;
}

void reject_ttl(
	struct fwd_worker *worker, struct fwd_packet *packet, const struct packet_view *view
) {
	reject_icmp(
		worker,
		packet,
		view,
		(struct icmp_header){.type = ICMP_TIME_EXCEEDED, .code = ICMP_CODE_TTL}
	);
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

	if (view->ip->fragment & htons(IPV4_FLAG_DF))
		reject_icmp(worker, packet, view, error);
}
