// SPDX-License-Identifier: Apache-2.0

#include "tcp_state.h"

#include "headers.h"

static enum flow_state after_fin(enum flow_state state, bool from_backend) {
	enum flow_state mine = from_backend ? FLOW_TCP_FIN_BACKEND : FLOW_TCP_FIN_CLIENT;
	enum flow_state other = from_backend ? FLOW_TCP_FIN_CLIENT : FLOW_TCP_FIN_BACKEND;

	if (state == other || state == FLOW_TCP_CLOSED)
		return FLOW_TCP_CLOSED;
	return mine;
}

enum flow_state tcp_state_next(enum flow_state state, uint8_t flags, bool from_backend) {
	if (flags & TCP_RST)
		return FLOW_TCP_CLOSED;
	if (flags & TCP_FIN)
		return after_fin(state, from_backend);
	if (state == FLOW_TCP_SYN && from_backend && (flags & TCP_SYN) && (flags & TCP_ACK))
		return FLOW_TCP_SYN_ACK;
	if (state == FLOW_TCP_SYN_ACK && !from_backend && !(flags & TCP_SYN) && (flags & TCP_ACK))
		return FLOW_TCP_ESTABLISHED;
	return state;
}

uint32_t flow_idle_timeout_s(const struct fwd_timeouts *timeouts, enum flow_state state) {
	switch (state) {
	case FLOW_UDP:
		return timeouts->udp_s;
	case FLOW_TCP_SYN:
	case FLOW_TCP_SYN_ACK:
		return timeouts->syn_s;
	case FLOW_TCP_FIN_CLIENT:
	case FLOW_TCP_FIN_BACKEND:
	case FLOW_TCP_CLOSED:
		return timeouts->fin_s;
	default:
		return timeouts->established_s;
	}
}
