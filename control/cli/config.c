/* SPDX-License-Identifier: BSD-3-Clause */
/* weir config: works on files alone, no process needs to run. */
#include "config/config.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 8

static json_t *report_json(const struct wr_config_report *rep)
{
	json_t *errors = json_array();

	for (unsigned i = 0; i < rep->n; i++)
		json_array_append_new(errors,
		                      json_pack("{s:s,s:i,s:i,s:s}", "file", rep->d[i].file, "line",
		                                (int)rep->d[i].line, "column", (int)rep->d[i].col,
		                                "message", rep->d[i].text));
	return json_pack("{s:b,s:o,s:i}", "ok", rep->n == 0, "errors", errors, "more",
	                 (int)rep->lost);
}

/* Loads `files`; prints what is wrong. NULL then, and *rc is the exit code. */
static struct wr_config *load(struct wr_cli *c, const char *const *files, unsigned n, int *rc)
{
	struct wr_config_report rep = { 0 };
	struct wr_config *cfg = NULL;

	*rc = WR_EXIT_OK;
	if (wr_config_load(files, n, &cfg, &rep) == 0)
		return cfg;
	*rc = WR_EXIT_FAIL;
	if (c->json) {
		json_t *o = report_json(&rep);

		wr_cli_print_json(o);
		json_decref(o);
	} else {
		wr_config_report_print(&rep, stderr);
	}
	wr_config_free(cfg);
	return NULL;
}

/* FILE [--merge FILE]...; without FILE the one of --config. Order of options is order of merging.
 */
static unsigned files_of(struct wr_cli *c, int *argc, char **argv, const char **files)
{
	const char *merge[FILES_MAX], *m;
	unsigned n = 0, k = 0;

	while (k < FILES_MAX - 1 && (m = wr_cli_opt(c, argc, argv, "--merge")) != NULL)
		merge[k++] = m;
	if (*argc > 1) {
		files[n++] = argv[1];
		(*argc)--;
		memmove(argv + 1, argv + 2, (size_t)*argc * sizeof(*argv));
	} else {
		files[n++] = c->config != NULL ? c->config : "/etc/weir/weir.yaml";
	}
	for (unsigned i = 0; i < k; i++)
		files[n++] = merge[i];
	return n;
}

static int run_init(struct wr_cli *c, int argc, char **argv)
{
	FILE *f = stdout;

	if (argc > 2)
		return wr_cli_usage_of(c, "config", "init");
	if (argc == 2 && (f = fopen(argv[1], "wxe")) == NULL)
		return wr_cli_fail(c, "%s: %s", argv[1],
		                   errno == EEXIST ? "is already there; it is never overwritten"
		                                   : strerror(errno));
	if (wr_config_init(f) != 0 || fflush(f) != 0)
		return wr_cli_fail(c, "cannot write the configuration");
	if (f != stdout && fclose(f) != 0)
		return wr_cli_fail(c, "%s: %s", argv[1], strerror(errno));
	return WR_EXIT_OK;
}

static int run_check(struct wr_cli *c, int argc, char **argv)
{
	const char *files[FILES_MAX];
	unsigned n = files_of(c, &argc, argv, files);
	struct wr_config *cfg;
	int rc;

	if (argc > 1)
		return wr_cli_usage_of(c, "config", "check");
	cfg = load(c, files, n, &rc);
	if (cfg == NULL)
		return rc;
	if (c->json)
		puts("{\"ok\": true, \"errors\": []}");
	else
		printf("%s: ok: %u link(s), %u worker(s), %u service(s)%s\n", files[0],
		       wr_config_dataplane(cfg)->nlinks, wr_config_dataplane(cfg)->nworkers,
		       wr_config_dataplane(cfg)->nservices,
		       wr_config_dataplane(cfg)->lab ? "; with settings for labs only" : "");
	wr_config_free(cfg);
	return WR_EXIT_OK;
}

static int run_show(struct wr_cli *c, int argc, char **argv)
{
	const char *files[FILES_MAX];
	bool effective = wr_cli_flag(&argc, argv, "--effective");
	unsigned n = files_of(c, &argc, argv, files);
	struct wr_config *cfg;
	int rc;

	(void)effective; /* the only kind there is; the word says what is shown */
	if (argc > 1)
		return wr_cli_usage_of(c, "config", "show");
	cfg = load(c, files, n, &rc);
	if (cfg == NULL)
		return rc;
	wr_config_show(cfg, stdout);
	wr_config_free(cfg);
	return WR_EXIT_OK;
}

struct diff {
	json_t *list;
	bool json;
};

static void print_diff(void *arg, const char *path, const char *was, const char *is,
                       enum wr_config_scope scope)
{
	struct diff *d = arg;

	json_array_append_new(d->list, json_pack("{s:s,s:s?,s:s?,s:s}", "key", path, "was", was,
	                                         "is", is, "change", wr_config_scope_name(scope)));
	if (!d->json)
		printf("%s: %s -> %s  (%s)\n", path, was != NULL ? was : "(absent)",
		       is != NULL ? is : "(absent)", wr_config_scope_name(scope));
}

static int run_diff(struct wr_cli *c, int argc, char **argv)
{
	struct wr_config *a, *b = NULL;
	struct diff d = { json_array(), c->json };
	int rc;

	if (argc != 3) {
		json_decref(d.list);
		return wr_cli_usage_of(c, "config", "diff");
	}
	a = load(c, (const char *const *)&argv[1], 1, &rc);
	if (a != NULL)
		b = load(c, (const char *const *)&argv[2], 1, &rc);
	if (b != NULL) {
		wr_config_diff(a, b, print_diff, &d);
		rc = json_array_size(d.list) != 0 ? WR_EXIT_NO : WR_EXIT_OK;
		if (c->json)
			wr_cli_print_json(d.list);
	}
	json_decref(d.list);
	wr_config_free(a);
	wr_config_free(b);
	return rc;
}

static int write_conf(struct wr_cli *c, const struct wr_conf *conf, const char *path)
{
	char tmp[4096];
	const char *p = (const char *)conf;
	size_t left = sizeof(*conf);
	int fd;

	/* A reader sees the old file or the new one, never half. */
	if (snprintf(tmp, sizeof(tmp), "%s.tmp%d", path, (int)getpid()) >= (int)sizeof(tmp))
		return wr_cli_fail(c, "path too long");
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return wr_cli_fail(c, "%s: %s", tmp, strerror(errno));
	while (left > 0) {
		ssize_t k = write(fd, p, left);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		p += k;
		left -= (size_t)k;
	}
	if (close(fd) != 0 || left != 0 || rename(tmp, path) != 0) {
		int err = errno;

		unlink(tmp);
		return wr_cli_fail(c, "%s: %s", path, strerror(err));
	}
	return WR_EXIT_OK;
}

static int run_compile(struct wr_cli *c, int argc, char **argv)
{
	const char *out = wr_cli_opt(c, &argc, argv, "-o"), *files[FILES_MAX];
	unsigned n = files_of(c, &argc, argv, files);
	struct wr_config *cfg;
	int rc;

	if (out == NULL)
		out = wr_cli_opt(c, &argc, argv, "--out");
	if (out == NULL || argc > 1)
		return wr_cli_usage_of(c, "config", "compile");
	cfg = load(c, files, n, &rc);
	if (cfg == NULL)
		return rc;
	rc = write_conf(c, wr_config_dataplane(cfg), out);
	wr_config_free(cfg);
	return rc;
}

const struct wr_cmd wr_cmds_config[] = {
	{ "config", "init", "[FILE]", "write a first weir.yaml with every key", run_init },
	{ "config", "check", "[FILE] [--merge FILE]...", "check it: file:line:col of what is wrong",
	  run_check },
	{ "config", "show", "[FILE] [--merge FILE]... --effective",
	  "every key with the value in force", run_show },
	{ "config", "diff", "OLD NEW",
	  "settings that differ and what makes them take effect; 1 if any", run_diff },
	{ "config", "compile", "[FILE] [--merge FILE]... -o OUT",
	  "write the dataplane's binary configuration", run_compile },
	{ 0 },
};
