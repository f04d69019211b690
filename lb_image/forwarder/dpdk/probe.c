// SPDX-License-Identifier: Apache-2.0

#include "probe.h"

#include <rte_ethdev.h>
#include <rte_version.h>

#include <stdio.h>
#include <string.h>

#define HASHES_IPV4 (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP)
#define HASHES_IPV6 (RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP)
#define KEY_SIZE_DEFAULT 40

struct failure {
	char *text;
	size_t size;
};

static bool is_toeplitz(const struct rte_eth_rss_conf *conf) {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	return conf->algorithm == RTE_ETH_HASH_FUNCTION_DEFAULT
		|| conf->algorithm == RTE_ETH_HASH_FUNCTION_TOEPLITZ;
#else
	(void)conf;
	return true;
#endif
}

static bool read_key(
	uint16_t port_id,
	uint8_t key[STEERING_KEY_MAX],
	uint8_t *size,
	bool ipv6,
	const struct failure *failure
) {
	uint64_t needed = ipv6 ? HASHES_IPV6 : HASHES_IPV4;
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = *size};
	int result = rte_eth_dev_rss_hash_conf_get(port_id, &conf);

	if (result != 0) {
		snprintf(failure->text, failure->size, "the driver does not tell its RSS key");
		return false;
	}
	if (!is_toeplitz(&conf)) {
		snprintf(failure->text, failure->size, "its RSS hash is not Toeplitz's");
		return false;
	}
	if ((conf.rss_hf & needed) != needed) {
		snprintf(
			failure->text,
			failure->size,
			"its RSS hash leaves out the ports of TCP or UDP (rss_hf 0x%llx)",
			(unsigned long long)conf.rss_hf
		);
		return false;
	}
	*size = conf.rss_key_len;
	return true;
}

static bool read_reta(
	uint16_t port_id,
	uint16_t size,
	uint16_t reta[STEERING_RETA_MAX],
	const struct failure *failure
) {
	struct rte_eth_rss_reta_entry64 groups[STEERING_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];

	memset(groups, 0, sizeof(groups));
	for (uint16_t i = 0; i < size; i++)
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
	if (rte_eth_dev_rss_reta_query(port_id, groups, size) != 0) {
		snprintf(failure->text, failure->size, "the driver does not tell its RETA");
		return false;
	}
	for (uint16_t i = 0; i < size; i++)
		reta[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return true;
}

// Spreads what comes in evenly over the workers; false where the device does not let us.
static bool write_reta(uint16_t port_id, uint16_t size, unsigned n_workers) {
	struct rte_eth_rss_reta_entry64 groups[STEERING_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];

	memset(groups, 0, sizeof(groups));
	for (uint16_t i = 0; i < size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &groups[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % n_workers);
	}
	return rte_eth_dev_rss_reta_update(port_id, groups, size) == 0;
}

bool probe_steering(
	uint16_t port_id,
	unsigned n_workers,
	bool ipv6,
	struct steering *steering,
	char *why,
	size_t why_size
) {
	const struct failure failure = {why, why_size};
	uint8_t key[STEERING_KEY_MAX] = {0};
	uint16_t reta[STEERING_RETA_MAX];
	struct rte_eth_dev_info info;
	uint8_t key_size;

	if (rte_eth_dev_info_get(port_id, &info) != 0 || info.reta_size == 0) {
		snprintf(why, why_size, "the device has no RSS");
		return false;
	}
	key_size = info.hash_key_size ? info.hash_key_size : KEY_SIZE_DEFAULT;
	if (key_size > STEERING_KEY_MAX || info.reta_size > STEERING_RETA_MAX) {
		snprintf(
			why,
			why_size,
			"its RSS key of %u bytes or its RETA of %u entries is too long",
			key_size,
			info.reta_size
		);
		return false;
	}
	if (!read_key(port_id, key, &key_size, ipv6, &failure)
	    || !read_reta(port_id, info.reta_size, reta, &failure))
		return false;
	if (steering_init(steering, key, key_size, reta, info.reta_size, n_workers, ipv6))
		return true;
	// Some devices begin with a table that leaves workers out.
	if (write_reta(port_id, info.reta_size, n_workers)
	    && read_reta(port_id, info.reta_size, reta, &failure)
	    && steering_init(steering, key, key_size, reta, info.reta_size, n_workers, ipv6))
		return true;
	snprintf(
		why,
		why_size,
		"its RETA of %u entries is no power of two, or does not name the queue of every "
		"worker and no other, or its key leaves ports out or is too short",
		info.reta_size
	);
	return false;
}
