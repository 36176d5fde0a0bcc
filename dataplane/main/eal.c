/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's arguments from the configuration. --in-memory leaves no file behind; the cores are given as
 * pairs lcore@core, so that several lcores of a lab may share one; no bus is scanned that is not
 * used.
 */
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "main/main.h"

WR_PRINTF(2, 3) static void add(struct wr_eal_args *a, const char *fmt, ...)
{
	va_list ap;

	WR_ASSERT(a->argc + 1 < (int)WR_EAL_ARGS);
	va_start(ap, fmt);
	vsnprintf(a->text[a->argc], sizeof(a->text[0]), fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argv[++a->argc] = NULL;
}

static uint32_t add_pci(const struct wr_conf_port *p, struct wr_eal_args *a)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->ndevices; i++) {
		if (!wr_eth_is_pci(p->device[i]))
			continue;
		add(a, "-a");
		add(a, "%s", p->device[i]);
		n++;
	}
	return n;
}

void wr_eal_build(const struct wr_conf *c, struct wr_eal_args *a)
{
	char cores[640];
	int n = snprintf(cores, sizeof(cores), "0@%u", c->main_core);
	uint32_t pci = 0;

	memset(a, 0, sizeof(*a));
	add(a, "weir-dataplane");
	for (uint32_t i = 0; i < c->nworkers; i++)
		n += snprintf(cores + n, sizeof(cores) - (size_t)n, ",%u@%u", WR_LCORE_OF(i),
		              c->worker[i].core);
	add(a, "--lcores=%s", cores);
	add(a, "--main-lcore=0");
	add(a, "--file-prefix=%s", c->file_prefix);
	/* Statistics leave by Weir's own pages; a second socket is a second thing to guard. */
	add(a, "--no-telemetry");
	add(a, "--log-level=4"); /* errors: who starts Weir reads its own line, not EAL's remarks */
	/* Signals and interrupts are for the main lcore, memory for us. */
	if (c->no_huge) {
		add(a, "--no-huge");
		add(a, "-m");
		add(a, "%llu", (unsigned long long)(wr_main_pool_bytes(c) >> 20) + 64);
	} else {
		add(a, "--in-memory");
	}
	for (uint32_t i = 0; i < c->nlinks; i++)
		pci += add_pci(&c->link[i].client, a) + add_pci(&c->link[i].store, a);
	if (pci == 0)
		add(a, "--no-pci");
}

int wr_eal_start(const struct wr_conf *c, char *err)
{
	static struct wr_eal_args a; /* EAL keeps pointers into it */

	wr_eal_build(c, &a);
	if (rte_eal_init(a.argc, a.argv) >= 0)
		return 0;
	snprintf(err, WR_ERR, "EAL does not start: %s%s", rte_strerror(rte_errno),
	         rte_errno == EACCES || rte_errno == EPERM
	                 ? " (root, or the capabilities of the unit file)"
	                 : "");
	return -EIO;
}
