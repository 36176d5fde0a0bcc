/* SPDX-License-Identifier: BSD-3-Clause */
/* weir drain, weir undrain, weir reload: planned work. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long active_uploads(struct wr_cli *c, bool *ok)
{
	json_t *s = wr_cli_ask(c, "GET", "/v1/stats", NULL), *w;
	long long n = 0;
	size_t i;

	*ok = s != NULL;
	json_array_foreach(json_object_get(s, "workers"), i, w) n +=
	        wr_cli_int(w, "uploads_active");
	json_decref(s);
	return n;
}

/* Holds end by themselves, within their own limits: waiting is all there is to do. */
static int wait_empty(struct wr_cli *c, unsigned long limit_s)
{
	struct timespec pause = { .tv_nsec = 200000000 };
	time_t until = time(NULL) + (time_t)limit_s;
	long long n;
	bool ok;

	while ((n = active_uploads(c, &ok)) != 0 && ok) {
		if (time(NULL) >= until) {
			wr_cli_fail(
			        c,
			        "%lld upload(s) still open after %lu s; stop now, or wait longer "
			        "(--timeout)",
			        n, limit_s);
			return WR_EXIT_NO;
		}
		nanosleep(&pause, NULL);
	}
	return ok ? WR_EXIT_OK : WR_EXIT_FAIL;
}

static int run_drain(struct wr_cli *c, int argc, char **argv)
{
	const char *timeout = wr_cli_opt(c, &argc, argv, "--timeout");
	bool no_wait = wr_cli_flag(&argc, argv, "--no-wait");
	json_t *reply;
	unsigned long limit = 300;
	char *end;
	int rc = WR_EXIT_OK;

	if (timeout != NULL) {
		limit = strtoul(timeout, &end, 10);
		if (end == timeout || *end != '\0' || limit > 86400)
			return wr_cli_fail(c, "--timeout wants seconds up to 86400, not '%s'",
			                   timeout);
	}
	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "drain");
	reply = wr_cli_ask(c, "POST", "/v1/drain", NULL);
	if (reply == NULL)
		return WR_EXIT_FAIL;
	if (!no_wait)
		rc = wait_empty(c, limit);
	if (c->json)
		wr_cli_print_json(reply);
	else if (rc == WR_EXIT_OK)
		puts(no_wait ? "draining: /readyz fails, new connections go by policy"
		             : "drained: no upload is open; weir-dataplane may be stopped (weir "
		               "undrain or a restart ends the drain)");
	json_decref(reply);
	return rc;
}

static int run_undrain(struct wr_cli *c, int argc, char **argv)
{
	json_t *reply;

	(void)argv;
	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "undrain");
	reply = wr_cli_ask(c, "POST", "/v1/undrain", NULL);
	if (reply == NULL)
		return WR_EXIT_FAIL;
	if (c->json)
		wr_cli_print_json(reply);
	else
		puts("not draining: new connections are inspected; /readyz says when it is ready");
	json_decref(reply);
	return WR_EXIT_OK;
}

static void print_changes(const json_t *list, const char *what)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
	        printf("%s %s: %s -> %s  (%s)\n", what, wr_cli_str(o, "key"),
	               wr_cli_str(o, "was")[0] != '\0' ? wr_cli_str(o, "was") : "(absent)",
	               wr_cli_str(o, "is")[0] != '\0' ? wr_cli_str(o, "is") : "(absent)",
	               wr_cli_str(o, "change"));
}

static int run_reload(struct wr_cli *c, int argc, char **argv)
{
	json_t *reply = NULL;
	int status;

	(void)argv;
	if (argc > 1)
		return wr_cli_usage_of(c, NULL, "reload");
	status = wr_cli_call(c, "POST", "/v1/reload", NULL, &reply);
	if (status < 0)
		return WR_EXIT_FAIL;
	if (c->json) {
		wr_cli_print_json(reply);
	} else {
		print_changes(json_object_get(reply, "applied"), "applied");
		print_changes(json_object_get(reply, "refused"), "refused");
		if (status != 200)
			wr_cli_fail(c, "%s", wr_cli_str(reply, "error"));
		else if (json_array_size(json_object_get(reply, "applied")) == 0)
			puts("nothing has changed");
	}
	json_decref(reply);
	return status == 200 ? WR_EXIT_OK : WR_EXIT_FAIL;
}

const struct wr_cmd wr_cmds_life[] = {
	{ NULL, "drain", "[--timeout S] [--no-wait]",
	  "take this machine out: readiness off, wait until no upload is open", run_drain },
	{ NULL, "undrain", "", "take this machine back in", run_undrain },
	{ NULL, "reload", "", "read weir.yaml again; refuses as a whole what needs a restart",
	  run_reload },
	{ 0 },
};
