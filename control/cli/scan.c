/* SPDX-License-Identifier: BSD-3-Clause */
/* weir scan: what would the dataplane say about these files? */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bundle_run.h"

struct scan {
	struct wr_cli *c;
	struct wr_scanner s;
	json_t *all; /* with --json */
	const char *type;
	uint64_t cut;
	size_t files, found, errors;
};

static void print_answer(const json_t *v)
{
	json_t *m;
	size_t i;

	wr_cli_put_safe(stdout, wr_cli_str(v, "file"));
	printf(": %s", wr_cli_str(v, "verdict"));
	if (wr_cli_str(v, "error")[0] != '\0')
		printf(" (%s)", wr_cli_str(v, "error"));
	else
		printf(", %s", wr_cli_str(v, "action"));
	json_array_foreach(json_object_get(v, "matches"), i, m)
	{
		bool rule = json_object_get(m, "rule") != NULL;

		printf("%s %s %s/%s", i == 0 ? ";" : ",", rule ? "rule" : "list",
		       wr_cli_str(m, "bundle"), wr_cli_str(m, rule ? "rule" : "list"));
		if (rule)
			printf(" ending at %lld", wr_cli_int(m, "offset"));
		if (strcmp(wr_cli_str(m, "mode"), "enforce") != 0)
			printf(" (%s)", wr_cli_str(m, "mode"));
	}
	putchar('\n');
}

static int scan_path(struct scan *s, const char *path, unsigned depth);

static int scan_folder(struct scan *s, const char *path, unsigned depth)
{
	DIR *d = opendir(path);
	int rc = 0;

	if (d == NULL)
		return wr_cli_fail(s->c, "%s: %s", path, strerror(errno));
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
		char child[PATH_MAX];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) < (int)sizeof(child))
			rc = scan_path(s, child, depth + 1);
	}
	closedir(d);
	return rc;
}

static int scan_path(struct scan *s, const char *path, unsigned depth)
{
	struct stat st;
	json_t *v;

	if (depth != 0 && lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0; /* links and devices inside a folder were not asked for */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && depth < 64)
		return scan_folder(s, path, depth);
	v = wr_scanner_scan(s->c, &s->s, s->cut, s->type, path);
	if (v == NULL)
		return WR_EXIT_FAIL;
	s->files++;
	s->errors += wr_cli_str(v, "error")[0] != '\0';
	s->found += strcmp(wr_cli_str(v, "found"), "clean") != 0;
	if (s->all != NULL)
		json_array_append(s->all, v);
	else
		print_answer(v);
	json_decref(v);
	return 0;
}

/* --bundle, or the active one that control names. */
static char *bundle_dirs(struct wr_cli *c, const char *given, json_t **owner)
{
	const char *dir;

	if (given != NULL)
		return strdup(given);
	*owner = wr_cli_ask(c, "GET", "/v1/bundle/active", NULL);
	if (*owner == NULL)
		return NULL;
	dir = json_string_value(json_array_get(json_object_get(*owner, "source"), 0));
	if (dir == NULL)
		wr_cli_fail(c, "no bundle is active; name one: --bundle DIR|FILE");
	return dir == NULL ? NULL : strdup(dir);
}

static int run_files(struct scan *s, int argc, char **argv, const char *bundle, const char *region)
{
	struct wr_opened o;
	const char *dir = o.dir;
	char out[PATH_MAX];
	json_t *compiled;
	int rc = wr_opened_open(s->c, bundle, &o);

	if (rc != 0)
		return rc;
	wr_temp_dir(out);
	compiled = wr_cli_compile(s->c, &dir, 1, out, false);
	rc = compiled == NULL ? WR_EXIT_FAIL : 0;
	if (rc == 0)
		rc = wr_scanner_start(s->c, out, wr_cli_str(compiled, "meta"), region, &s->s);
	for (int i = 1; rc == 0 && i < argc; i++)
		rc = scan_path(s, argv[i], 0);
	wr_scanner_stop(&s->s);
	json_decref(compiled);
	wr_temp_remove(out);
	wr_opened_close(&o);
	return rc;
}

static int run_scan(struct wr_cli *c, int argc, char **argv)
{
	struct scan s = { .c = c };
	const char *given = wr_cli_opt(c, &argc, argv, "--bundle");
	const char *cut = wr_cli_opt(c, &argc, argv, "--cut");
	const char *region = wr_cli_opt(c, &argc, argv, "--region");
	json_t *owner = NULL;
	char *bundle;
	int rc;

	s.type = wr_cli_opt(c, &argc, argv, "--type");
	s.cut = cut == NULL ? 0 : strtoull(cut, NULL, 10);
	if (argc < 2)
		return wr_cli_usage_of(c, NULL, "scan");
	bundle = bundle_dirs(c, given, &owner);
	if (bundle == NULL) {
		json_decref(owner);
		return WR_EXIT_FAIL;
	}
	if (c->json)
		s.all = json_array();
	rc = run_files(&s, argc, argv, bundle, region == NULL ? "" : region);
	if (s.all != NULL && rc == 0)
		wr_cli_print_json(s.all);
	json_decref(s.all);
	json_decref(owner);
	free(bundle);
	if (rc == 0 && s.errors != 0)
		return WR_EXIT_FAIL;
	return rc == 0 && s.found != 0 ? WR_EXIT_NO : rc;
}

const struct wr_cmd wr_cmds_scan[] = {
	{ NULL, "scan", "FILE... [--bundle DIR|FILE] [--cut N] [--type T] [--region R]",
	  "scan the bytes of files by the dataplane's scanners (codings and forms stay closed); "
	  "exit "
	  "1 when something is found",
	  run_scan },
	{ 0 },
};
