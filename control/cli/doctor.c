/* SPDX-License-Identifier: BSD-3-Clause */
/* weir doctor: everything about this machine that is known to hurt, with what to do about it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/stats.h"
#include "cli/cli.h"
#include "config/config.h"
#include "sre/sre.h"

static bool answers(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

	if (fd < 0)
		return false;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	e = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	return e == 0;
}

/* Counters and bundles come from control; the rest needs no process. */
static void ask_control(struct wr_cli *c, struct wr_facts *f)
{
	json_t *status = NULL, *stats = NULL, *w;
	size_t i;

	/* Not an error: the doctor is called when nothing runs. */
	if (!answers(wr_cli_socket(c)))
		return;
	status = wr_cli_ask(c, "GET", "/v1/status", NULL);
	stats = wr_cli_ask(c, "GET", "/v1/stats", NULL);
	if (status) {
		wr_facts_bundles(f, json_object_get(status, "bundle"));
		f->allow_unsigned = json_is_true(json_object_get(status, "allow_unsigned"));
	}
	if (stats) {
		json_array_foreach(json_object_get(stats, "workers"), i, w) f->frames_received +=
		        (uint64_t)json_integer_value(
		                json_array_get(json_object_get(w, "fate"), WR_FATE_RECEIVED));
		f->frames_foreign =
		        (uint64_t)wr_cli_int(json_object_get(stats, "reasons"), "foreign_frame");
	}
	json_decref(status);
	json_decref(stats);
}

static json_t *result_json(const struct wr_result *r)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", r->id, "level",
	                 wr_level_name(r->level), "found", r->found, "wanted", r->wanted, "fix",
	                 r->fix);
}

static void print(const struct wr_result *r, uint32_t n, bool all)
{
	static const char *const mark[] = { "ok  ", "WARN", "FAIL", "-   " };
	uint32_t count[4] = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		count[r[i].level]++;
		if (!all && (r[i].level == WR_OK || r[i].level == WR_NA))
			continue;
		printf("%s  %-21s %s\n", mark[r[i].level], r[i].id, r[i].found);
		if (r[i].level == WR_OK || r[i].level == WR_NA)
			continue;
		printf("      wanted: %s\n      fix:    %s\n", r[i].wanted, r[i].fix);
	}
	printf("%u ok, %u warn, %u fail, %u do not apply or cannot be told\n", count[WR_OK],
	       count[WR_WARN], count[WR_FAIL], count[WR_NA]);
}

static int run_doctor(struct wr_cli *c, int argc, char **argv)
{
	const char *root = wr_cli_opt(c, &argc, argv, "--sysfs"), *file;
	bool all = wr_cli_flag(&argc, argv, "--all"),
	     metrics = wr_cli_flag(&argc, argv, "--metrics");
	struct wr_machine *m = calloc(1, sizeof(*m));
	struct wr_facts *f = calloc(1, sizeof(*f));
	struct wr_result r[WR_CHECKS_MAX];
	struct wr_config_report rep = { 0 };
	struct wr_config *cfg = NULL;
	struct wr_doctor_in in = { .m = m, .facts = f };
	uint32_t n;
	int rc = WR_EXIT_FAIL;

	if (argc != 1 || !m || !f) {
		rc = wr_cli_usage_of(c, NULL, "doctor");
		goto out;
	}
	file = c->config ? c->config : "/etc/weir/weir.yaml";
	wr_machine_read(m, root ? root : "");
	if (wr_config_load(&file, 1, &cfg, &rep) == 0) {
		in.conf = wr_config_dataplane(cfg);
		f->allow_unsigned = wr_config_control(cfg)->allow_unsigned;
	} else {
		snprintf(f->config_error, sizeof(f->config_error), "%s: %.120s", file,
		         rep.n ? rep.d[0].text : "cannot be read");
	}
	/* A capture is another machine's: nothing of this one is asked then. */
	if (!root) {
		wr_facts_time(f);
		if (in.conf)
			wr_facts_wire(f, in.conf);
		ask_control(c, f);
	}
	n = wr_doctor_run(&in, r);
	rc = wr_doctor_exit(r, n);
	if (metrics) {
		wr_doctor_metrics(r, n, stdout);
	} else if (c->json) {
		json_t *list = json_array();
		json_t *doc = json_pack("{s:i, s:o}", "exit", rc, "checks", list);

		for (uint32_t i = 0; i < n; i++)
			json_array_append_new(list, result_json(&r[i]));
		wr_cli_print_json(doc);
		json_decref(doc);
	} else {
		print(r, n, all);
	}
out:
	wr_config_free(cfg);
	free(m);
	free(f);
	return rc;
}

const struct wr_cmd wr_cmds_doctor[] = {
	{ NULL, "doctor", "[--all] [--metrics] [--sysfs DIR]",
	  "what is wrong with this machine, and the fix; 0 fine, 1 warnings, 2 failures",
	  run_doctor },
	{ 0 },
};
