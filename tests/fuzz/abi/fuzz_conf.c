/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration file with bytes changed. The law: what wr_conf_check takes can be used as index,
 * size and divisor without another look, and its answer depends on the bytes alone. Input: edits of
 * the sample, each a 16-bit place (scaled to the structure) and a byte; an input of exactly the
 * structure's size is taken as it stands.
 */
#include <stdlib.h>

#include "base/base.h"
#include "conf_sample.h"

static struct wr_conf c;

static void used_without_a_look(void)
{
	uint32_t seen[WR_LINKS_MAX] = { 0 };

	WR_ASSERT(c.nlinks >= 1 && c.nlinks <= WR_LINKS_MAX);
	WR_ASSERT(c.nworkers >= 1 && c.nworkers <= WR_WORKERS_MAX);
	for (uint32_t i = 0; i < c.nworkers; i++) {
		WR_ASSERT(c.worker[i].link < c.nlinks && c.worker[i].queue < WR_QUEUES_MAX);
		WR_ASSERT(strlen(c.worker[i].name) < WR_NAME_MAX);
		WR_ASSERT((seen[c.worker[i].link] & 1u << c.worker[i].queue) == 0);
		seen[c.worker[i].link] |= 1u << c.worker[i].queue;
	}
	for (uint32_t i = 0; i < c.nlinks; i++) {
		const struct wr_conf_port *p[2] = { &c.link[i].client, &c.link[i].store };

		/* Queues 0 .. n - 1, every one polled, and a device for each. */
		WR_ASSERT(seen[i] != 0 && (seen[i] & (seen[i] + 1)) == 0);
		for (int k = 0; k < 2; k++) {
			WR_ASSERT(p[k]->ndevices == 1 ||
			          p[k]->ndevices == (uint32_t)__builtin_popcount(seen[i]));
			for (uint32_t d = 0; d < p[k]->ndevices; d++)
				WR_ASSERT(memchr(p[k]->device[d], 0, WR_DEVICE_MAX) != NULL);
		}
	}
	WR_ASSERT(c.nservices <= WR_SERVICES_MAX && c.norigins <= WR_ORIGINS_MAX);
	for (uint32_t i = 0; i < c.nservices; i++) {
		WR_ASSERT(c.service[i].nnets <= WR_SERVICE_NETS);
		WR_ASSERT(c.service[i].nports <= WR_SERVICE_PORTS);
		for (uint32_t k = 0; k < c.service[i].nnets; k++)
			WR_ASSERT(c.service[i].net[k].bits <= 128);
		for (uint32_t k = 0; k < WR_R_COUNT; k++)
			WR_ASSERT(c.service[i].policy.on_reason[k] <= WR_ON_REASSEMBLE);
	}
	WR_ASSERT((c.record_ring_bytes & (c.record_ring_bytes - 1)) == 0 &&
	          c.record_ring_bytes >= 65536);
	WR_ASSERT(strlen(c.run_dir) < WR_PATH_LEN && c.run_dir[0] == '/');
	WR_ASSERT(c.connections / c.nworkers >= 1 && c.uploads / c.nworkers >= 1 &&
	          c.turn_bytes > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char err[160] = "", err2[160] = "";
	int rc;

	if (n == sizeof(c)) {
		memcpy(&c, data, n);
	} else {
		sample_conf(&c);
		for (; n >= 3; n -= 3, data += 3)
			((uint8_t *)&c)[((uint32_t)data[0] << 8 | data[1]) % sizeof(c)] = data[2];
	}
	rc = wr_conf_check(&c, sizeof(c), err, sizeof(err));
	WR_ASSERT(rc == wr_conf_check(&c, sizeof(c), err2, sizeof(err2)));
	WR_ASSERT(strcmp(err, err2) == 0 && memchr(err, 0, sizeof(err)) != NULL);
	WR_ASSERT((rc == 0) == (err[0] == '\0'));
	if (rc == 0)
		used_without_a_look();
	return 0;
}
