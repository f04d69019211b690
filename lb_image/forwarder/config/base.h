// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "config_error.h"

#include <fwd_config.h>

#define BASE_FILE "base.json"
#define BASE_PATH_SIZE 256

enum base_driver {
	BASE_DRIVER_VFIO,
	BASE_DRIVER_MLX5,
	BASE_DRIVER_AF_XDP,
	BASE_DRIVER_AF_PACKET,
	BASE_DRIVER_VDEV, // tests and benches: any EAL virtual device
};

enum base_poll_mode {
	BASE_POLL_BUSY,
	BASE_POLL_ADAPTIVE,
};

// How replies come to the worker that has their flow.
enum base_steering {
	BASE_STEERING_AUTO, // RSS where the port tells how it hashes, else the ring
	BASE_STEERING_RSS,  // local ports chosen so that the NIC does it, or no start
	BASE_STEERING_RING, // from whichever worker received them, over a ring
};

// What the DPDK shell must open for a port of `struct fwd_base`; the core never sees it.
struct base_device {
	enum base_driver driver;
	char interface[16]; // af_xdp, af_packet: kernel interface
	char resource[128]; // vfio, mlx5: extended resource that the device plugin allocated
	char device[1024];  // vdev: EAL device arguments
};

// base.json: fixed for the life of the process.
struct base_config {
	struct fwd_base base;
	struct base_device devices[FWD_MAX_PORTS];
	enum base_poll_mode poll_mode;
	enum base_steering steering;
	char sync_key_file[BASE_PATH_SIZE]; // see sync_key_read()
};

const char *base_driver_name(enum base_driver driver);

// Reads and checks `directory`/base.json. False with errors added when it is not usable.
bool base_read(
	const char *directory,
	bool allow_vdev,
	struct base_config *config,
	struct config_errors *errors
);
