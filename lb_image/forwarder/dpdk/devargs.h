// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <base.h>

#include <stdbool.h>
#include <stddef.h>

// How EAL is told about a port's device.
struct devargs {
	char name[64];       // ethdev name: PCI address or name of the virtual device
	char argument[1200]; // of --vdev, or of --allow when `pci`
	bool pci;
};

// Device of port `index` of `config`, with one queue pair a worker. PCI addresses are read from the
// environment variable PCIDEVICE_<RESOURCE> that the device plugin sets. False with the reason in
// `error` when there is no such device.
bool devargs_build(
	const struct base_config *config,
	unsigned index,
	struct devargs *devargs,
	char *error,
	size_t error_size
);
