// SPDX-License-Identifier: Apache-2.0

#include "devargs.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct base_config two_ports(enum base_driver driver) {
	struct base_config config = {.base = {.n_ports = 2, .n_workers = 2}};

	for (unsigned i = 0; i < 2; i++) {
		strcpy(config.base.ports[i].name, i == 0 ? "external" : "internal");
		config.devices[i].driver = driver;
		strcpy(config.devices[i].interface, i == 0 ? "net1" : "net2");
		strcpy(config.devices[i].resource, "skylane.dev/nic-vf");
		strcpy(config.devices[i].device, "net_null0,copy=1");
	}
	return config;
}

static void test_kernel_interfaces(void **state) {
	(void)state;
	struct base_config config = two_ports(BASE_DRIVER_AF_PACKET);
	struct devargs devargs;
	char error[256];

	assert_true(devargs_build(&config, 1, &devargs, error, sizeof(error)));
	assert_false(devargs.pci);
	assert_string_equal(devargs.argument, "net_af_packet1,iface=net2,qpairs=2");
	config = two_ports(BASE_DRIVER_AF_XDP);
	assert_true(devargs_build(&config, 0, &devargs, error, sizeof(error)));
	assert_string_equal(devargs.name, "net_af_xdp0");
	assert_string_equal(devargs.argument, "net_af_xdp0,iface=net1,start_queue=0,queue_count=2");
}

static void test_vdev(void **state) {
	(void)state;
	struct base_config config = two_ports(BASE_DRIVER_VDEV);
	struct devargs devargs;
	char error[256];

	assert_true(devargs_build(&config, 0, &devargs, error, sizeof(error)));
	assert_string_equal(devargs.name, "net_null0");
	assert_string_equal(devargs.argument, "net_null0,copy=1");
}

static void test_pci_in_order(void **state) {
	(void)state;
	struct base_config config = two_ports(BASE_DRIVER_VFIO);
	struct devargs devargs;
	char error[256];

	setenv("PCIDEVICE_SKYLANE_DEV_NIC_VF", "0000:3b:02.1,0000:3b:02.4", 1);
	assert_true(devargs_build(&config, 0, &devargs, error, sizeof(error)));
	assert_true(devargs.pci);
	assert_string_equal(devargs.argument, "0000:3b:02.1");
	assert_true(devargs_build(&config, 1, &devargs, error, sizeof(error)));
	assert_string_equal(devargs.name, "0000:3b:02.4");
}

static void test_pci_missing(void **state) {
	(void)state;
	static const char *const values[] = {"", "0000:3b:02.1", "0000:3b:02.1,eth0"};
	struct base_config config = two_ports(BASE_DRIVER_MLX5);
	struct devargs devargs;
	char error[256];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("PCIDEVICE_SKYLANE_DEV_NIC_VF", values[i], 1);
		assert_false(devargs_build(&config, 1, &devargs, error, sizeof(error)));
		assert_string_equal(
			error,
			"ports[1] \"internal\": environment variable PCIDEVICE_SKYLANE_DEV_NIC_VF "
			"holds no PCI address for it: does the pod request skylane.dev/nic-vf?"
		);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_interfaces),
		cmocka_unit_test(test_vdev),
		cmocka_unit_test(test_pci_in_order),
		cmocka_unit_test(test_pci_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
