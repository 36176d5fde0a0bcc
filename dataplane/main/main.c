/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-dataplane - argv, then boot in the order in which things can fail cheaply.
 */
#include <getopt.h>
#include <rte_eal.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/main.h"
#include "mem/mem.h"

static const char usage[] =
        "usage: weir-dataplane --conf FILE [--check]\n"
        "\n"
        "  --conf FILE  compiled configuration (weir config compile weir.yaml --out FILE)\n"
        "  --check      say whether it would start here, then end\n"
        "  --version\n";

struct options {
	const char *conf;
	bool check;
};

static int options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = { { "conf", required_argument, NULL, 'c' },
		                               { "check", no_argument, NULL, 'n' },
		                               { "version", no_argument, NULL, 'v' },
		                               { "help", no_argument, NULL, 'h' },
		                               { NULL, 0, NULL, 0 } };

	for (int k; (k = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (k) {
		case 'c': o->conf = optarg; break;
		case 'n': o->check = true; break;
		case 'v': printf("weir-dataplane %s, %s\n", WR_VERSION, rte_version()); exit(0);
		case 'h': fputs(usage, stdout); exit(0);
		default: return -1;
		}
	}
	return o->conf == NULL || optind != argc ? -1 : 0;
}

static void ctl_args(const struct wr_boot *b, struct wr_ctl_args *a)
{
	*a = (struct wr_ctl_args){ .conf = b->conf,
		                   .worker = b->worker,
		                   .stats = b->share.head,
		                   .stats_fd = b->share.stats_fd,
		                   .stats_bytes = b->share.stats_bytes,
		                   .record_bytes = b->share.record_bytes,
		                   .event_bytes = b->share.event_bytes,
		                   .trace_ctx = (void *)(uintptr_t)b,
		                   .trace_open = wr_main_trace_open,
		                   .trace_frame = wr_main_trace_frame,
		                   .trace_close = wr_main_trace_close };
	memcpy(a->record_fd, b->share.record_fd, sizeof(a->record_fd));
	memcpy(a->event_fd, b->share.event_fd, sizeof(a->event_fd));
}

static int start(struct wr_boot *b, char *err)
{
	struct wr_ctl_args a;
	struct wr_ctl *ctl;
	int rc;

	rc = wr_share_new(b->conf, &b->share, err);
	if (rc != 0)
		return rc;
	/* The socket before anything that takes seconds or touches a port that another instance
	 * uses. */
	ctl_args(b, &a);
	ctl = wr_ctl_new(&a, err, WR_ERR);
	if (ctl == NULL)
		return -1;
	rc = wr_eal_start(b->conf, err);
	if (rc != 0) {
		wr_ctl_free(ctl);
		return rc;
	}
	rc = wr_boot_new(b, err);
	if (rc == 0) {
		wr_mem_seal();
		rc = wr_run(b, ctl, err);
	}
	/* Workers first: uploads that are open hold on to their ruleset. */
	wr_boot_free(b);
	wr_ctl_free(ctl);
	(void)rte_eal_cleanup();
	return rc;
}

int main(int argc, char **argv)
{
	static struct wr_boot boot;
	struct options o = { 0 };
	char err[WR_ERR] = "";
	int rc;

	if (options(argc, argv, &o) != 0) {
		fputs(usage, stderr);
		return 2;
	}
	rc = wr_main_conf(o.conf, &boot.conf, err);
	if (rc == 0)
		rc = wr_main_preflight(boot.conf, err);
	if (rc == 0 && o.check)
		printf("weir-dataplane: %s would start here\n", o.conf);
	else if (rc == 0)
		rc = start(&boot, err);
	if (rc != 0) {
		fprintf(stderr, "weir-dataplane: %s\n", err);
		return 1;
	}
	return 0;
}
