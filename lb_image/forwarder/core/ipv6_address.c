// SPDX-License-Identifier: Apache-2.0

#include "ipv6_address.h"

const char *ipv6_text(const struct ipv6_address *address, char text[INET6_ADDRSTRLEN]) {
	uint32_t ipv4 = htonl(ipv6_to_ipv4(address));

	if (ipv6_is_mapped(address))
		return inet_ntop(AF_INET, &ipv4, text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}
