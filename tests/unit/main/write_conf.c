/* SPDX-License-Identifier: BSD-3-Clause */
/* write-conf FILE RUN_DIR CLIENT STORE [CLIENT STORE]...: a compiled configuration for trials by
 * hand. */
#include <stdlib.h>

#include "conf_sample.h"

int main(int argc, char **argv)
{
	static struct wr_conf c;
	unsigned n = argc < 5 ? 0 : (unsigned)(argc - 3) / 2;
	FILE *f;

	if (n < 1 || n > 2)
		return 2;
	sample_conf(&c);
	snprintf(c.run_dir, sizeof(c.run_dir), "%s", argv[2]);
	c.nworkers = c.link[0].client.ndevices = c.link[0].store.ndevices = n;
	for (unsigned i = 0; i < n; i++) {
		snprintf(c.link[0].client.device[i], WR_DEVICE_MAX, "%s", argv[3 + 2 * i]);
		snprintf(c.link[0].store.device[i], WR_DEVICE_MAX, "%s", argv[4 + 2 * i]);
		c.worker[i].core = (i + 1) % 2;
	}
	c.shared_cores = c.idle_yield = 1;
	c.lab = 1;
	c.no_huge = getenv("NO_HUGE") != NULL;
	f = fopen(argv[1], "wb");
	return f == NULL || fwrite(&c, sizeof(c), 1, f) != 1 || fclose(f) != 0;
}
