/* SPDX-License-Identifier: BSD-3-Clause */
/* weir records: reads the *.jsonl files themselves, so it works without any process. */
#include "cli/records.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LINE_BYTES (256u << 10)

const char *wr_records_dir(struct wr_cli *c, char *buf, size_t size)
{
	json_t *s;

	if (c->records != NULL)
		return c->records;
	s = wr_cli_ask(c, "GET", "/v1/status", NULL);
	if (s == NULL) {
		wr_cli_fail(c, "name the records folder with --records DIR to read it without "
		               "weir-control");
		return NULL;
	}
	snprintf(buf, size, "%s", wr_cli_str(json_object_get(s, "records"), "path"));
	json_decref(s);
	return buf;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const char *dir, char ***out, size_t *n)
{
	DIR *d = opendir(dir);

	*out = NULL;
	*n = 0;
	if (d == NULL)
		return -errno;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		size_t k = strlen(e->d_name);
		char **more;

		if (k < 7 || strcmp(e->d_name + k - 6, ".jsonl") != 0)
			continue;
		more = realloc(*out, (*n + 1) * sizeof(**out));
		WR_ASSERT(more != NULL);
		*out = more;
		more[*n] = strdup(e->d_name);
		WR_ASSERT(more[*n] != NULL);
		++*n;
	}
	closedir(d);
	if (*n > 1)
		qsort(*out, *n, sizeof(**out), by_name);
	return 0;
}

static void list_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* Reads whole lines from *at on; a line without its newline is still being written. */
static int read_file(const char *path, long *at, wr_record_line_fn *fn, void *arg)
{
	FILE *f = fopen(path, "re");
	char *line;
	int rc = 0;

	if (f == NULL)
		return -errno;
	line = malloc(LINE_BYTES);
	WR_ASSERT(line != NULL);
	if (fseek(f, *at, SEEK_SET) != 0)
		rc = -errno;
	while (rc == 0 && fgets(line, LINE_BYTES, f) != NULL) {
		size_t n = strlen(line);

		if (n == 0 || line[n - 1] != '\n')
			break;
		*at += (long)n;
		line[n - 1] = '\0';
		rc = fn(arg, line);
	}
	free(line);
	fclose(f);
	return rc;
}

int wr_records_each(struct wr_cli *c, const char *dir, wr_record_line_fn *fn, void *arg)
{
	char **names, path[4096];
	size_t n;
	int rc = list(dir, &names, &n);

	if (rc != 0) {
		wr_cli_fail(c, "records folder %s: %s", dir, strerror(-rc));
		return rc;
	}
	for (size_t i = 0; i < n && rc == 0; i++) {
		long at = 0;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		rc = read_file(path, &at, fn, arg);
		if (rc == -ENOENT) /* removed by rotation while we read */
			rc = 0;
	}
	list_free(names, n);
	if (rc < 0)
		wr_cli_fail(c, "records folder %s: %s", dir, strerror(-rc));
	return rc;
}

/* --- tail
 * ------------------------------------------------------------------------------------------ */

struct tail {
	struct wr_cli *c;
	char **ring; /* the last `keep` lines */
	size_t keep, n;
	bool direct; /* following: print at once */
};

void wr_record_print_line(const json_t *r)
{
	const json_t *u = json_object_get(r, "upload"), *cl = json_object_get(r, "client");
	const json_t *m = json_array_get(json_object_get(r, "matches"), 0);
	const char *what =
	        wr_cli_str(m, "rule")[0] != '\0' ? wr_cli_str(m, "rule") : wr_cli_str(m, "list");

	printf("%s  %s  %-5s %s%s%s  %lld bytes  ", wr_cli_str(r, "ts"),
	       wr_cli_str(r, "decision_id"), wr_cli_str(r, "action"), wr_cli_str(r, "verdict"),
	       wr_cli_str(r, "cause")[0] != '\0' ? ":" : "", wr_cli_str(r, "cause"),
	       wr_cli_int(u, "bytes"));
	wr_cli_put_safe(stdout, wr_cli_str(u, "method"));
	putchar(' ');
	wr_cli_put_safe(stdout, wr_cli_str(u, "host"));
	wr_cli_put_safe(stdout, wr_cli_str(u, "path"));
	printf("  from %s", wr_cli_str(cl, "ip"));
	if (what[0] != '\0') {
		printf("  by ");
		wr_cli_put_safe(stdout, what);
	}
	if (strcmp(wr_cli_str(r, "would"), wr_cli_str(r, "action")) != 0)
		printf("  (would %s)", wr_cli_str(r, "would"));
	putchar('\n');
}

static void print_line(const struct tail *t, const char *line)
{
	json_t *r;

	if (t->c->json) {
		puts(line);
		return;
	}
	r = json_loads(line, JSON_ALLOW_NUL, NULL);
	if (r == NULL)
		return;
	wr_record_print_line(r);
	json_decref(r);
}

static int on_line(void *arg, const char *line)
{
	struct tail *t = arg;

	if (t->direct) {
		print_line(t, line);
		return 0;
	}
	if (t->keep == 0)
		return 0;
	free(t->ring[t->n % t->keep]);
	t->ring[t->n % t->keep] = strdup(line);
	t->n++;
	return 0;
}

/* Only the newest files matter for the last lines; the rest is not read. */
static int follow(struct tail *t, const char *dir, bool forever)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	char last[300] = "", path[4096];
	long at = 0;

	for (;;) {
		char **names;
		size_t n, from = 0;
		int rc = list(dir, &names, &n);

		if (rc != 0)
			return wr_cli_fail(t->c, "records folder %s: %s", dir, strerror(-rc));
		if (last[0] == '\0')
			from = 0;
		while (last[0] != '\0' && from < n && strcmp(names[from], last) < 0)
			from++;
		for (size_t i = from; i < n; i++) {
			if (strcmp(names[i], last) != 0) {
				at = 0;
				snprintf(last, sizeof(last), "%s", names[i]);
			}
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
			rc = read_file(path, &at, on_line, t);
			if (rc != 0 && rc != -ENOENT) {
				list_free(names, n);
				return wr_cli_fail(t->c, "%s: %s", path, strerror(-rc));
			}
		}
		list_free(names, n);
		if (!t->direct) {
			size_t shown = t->n < t->keep ? t->n : t->keep;

			for (size_t i = t->n - shown; i < t->n; i++)
				print_line(t, t->ring[i % t->keep]);
			t->direct = true;
		}
		if (fflush(stdout) != 0 || !forever)
			return WR_EXIT_OK;
		nanosleep(&pause, NULL);
	}
}

static int run_tail(struct wr_cli *c, int argc, char **argv)
{
	struct tail t = { .c = c, .keep = 10 };
	bool forever = wr_cli_flag(&argc, argv, "-f");
	const char *n = wr_cli_opt(c, &argc, argv, "-n"), *dir;
	char buf[512], *end;
	int rc;

	if (n != NULL) {
		t.keep = strtoul(n, &end, 10);
		if (*end != '\0' || end == n || t.keep > 1000000)
			return wr_cli_fail(c, "-n wants a number up to 1000000, not '%s'", n);
	}
	if (argc > 1)
		return wr_cli_usage_of(c, "records", "tail");
	dir = wr_records_dir(c, buf, sizeof(buf));
	if (dir == NULL)
		return WR_EXIT_FAIL;
	t.ring = calloc(t.keep + 1, sizeof(*t.ring));
	WR_ASSERT(t.ring != NULL);
	rc = follow(&t, dir, forever);
	for (size_t i = 0; i < t.keep; i++)
		free(t.ring[i]);
	free(t.ring);
	return rc;
}

const struct wr_cmd wr_cmds_records[] = {
	{ "records", "tail", "[-f] [-n N]", "the last verdict records; -f waits for more",
	  run_tail },
	{ 0 },
};
