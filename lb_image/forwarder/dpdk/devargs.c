// SPDX-License-Identifier: Apache-2.0

#include "devargs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCI_PATTERN "xxxx:xx:xx.x" // domain, bus, device, function

// "skylane.dev/nic" to "PCIDEVICE_SKYLANE_DEV_NIC", as the SR-IOV device plugin names it.
static void variable_of(const char *resource, char *name, size_t size) {
	size_t prefix = (size_t)snprintf(name, size, "PCIDEVICE_");
	size_t at = prefix;

	for (; *resource != '\0' && at + 1 < size; resource++, at++)
		name[at] = isalnum((unsigned char)*resource) ? (char)toupper(*resource) : '_';
	name[at] = '\0';
}

static bool is_pci_address(const char *text, size_t length) {
	if (length != strlen(PCI_PATTERN))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (PCI_PATTERN[i] == 'x' ? !isxdigit((unsigned char)text[i])
					  : text[i] != PCI_PATTERN[i])
			return false;
	}
	return true;
}

// Ports that share a resource take its addresses in order.
static unsigned place_in_resource(const struct base_config *config, unsigned index) {
	unsigned place = 0;

	for (unsigned i = 0; i < index; i++)
		place += strcmp(config->devices[i].resource, config->devices[index].resource) == 0;
	return place;
}

static bool build_pci(
	const struct base_config *config,
	unsigned index,
	struct devargs *devargs,
	char *error,
	size_t error_size
) {
	unsigned place = place_in_resource(config, index);
	char variable[160];
	const char *list;
	size_t length;

	variable_of(config->devices[index].resource, variable, sizeof(variable));
	list = getenv(variable);
	for (; list != NULL && place > 0; place--) {
		list = strchr(list, ',');
		list += list != NULL;
	}
	length = list == NULL ? 0 : strcspn(list, ",");
	if (list == NULL || !is_pci_address(list, length)) {
		snprintf(
			error,
			error_size,
			"ports[%u] \"%s\": environment variable %s holds no PCI address for it: "
			"does the pod request %s?",
			index,
			config->base.ports[index].name,
			variable,
			config->devices[index].resource
		);
		return false;
	}
	devargs->pci = true;
	snprintf(devargs->name, sizeof(devargs->name), "%.*s", (int)length, list);
	snprintf(devargs->argument, sizeof(devargs->argument), "%.*s", (int)length, list);
	return true;
}

bool devargs_build(
	const struct base_config *config,
	unsigned index,
	struct devargs *devargs,
	char *error,
	size_t error_size
) {
	const struct base_device *device = &config->devices[index];
	unsigned queues = config->base.n_workers;

	*devargs = (struct devargs){0};
	switch (device->driver) {
	case BASE_DRIVER_VFIO:
	case BASE_DRIVER_MLX5:
		return build_pci(config, index, devargs, error, error_size);
	case BASE_DRIVER_AF_PACKET:
		snprintf(devargs->name, sizeof(devargs->name), "net_af_packet%u", index);
		snprintf(
			devargs->argument,
			sizeof(devargs->argument),
			"%s,iface=%s,qpairs=%u",
			devargs->name,
			device->interface,
			queues
		);
		return true;
	case BASE_DRIVER_AF_XDP:
		snprintf(devargs->name, sizeof(devargs->name), "net_af_xdp%u", index);
		snprintf(
			devargs->argument,
			sizeof(devargs->argument),
			"%s,iface=%s,start_queue=0,queue_count=%u",
			devargs->name,
			device->interface,
			queues
		);
		return true;
	case BASE_DRIVER_VDEV:
		snprintf(
			devargs->name,
			sizeof(devargs->name),
			"%.*s",
			(int)strcspn(device->device, ","),
			device->device
		);
		snprintf(devargs->argument, sizeof(devargs->argument), "%s", device->device);
		return true;
	}
	return false;
}
