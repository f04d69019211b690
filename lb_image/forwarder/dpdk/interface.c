// SPDX-License-Identifier: Apache-2.0

#include "interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// By ioctl, not by /sys: that is the view of another network namespace where only the network was entered.
unsigned interface_receive_queues(const char *name) {
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (void *)&channels};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = -1;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0) {
		result = ioctl(fd, SIOCETHTOOL, &request);
		close(fd);
	}
	return result == 0 ? channels.rx_count + channels.combined_count : 0;
}
