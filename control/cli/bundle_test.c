/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle test, bench: a bundle before it is pushed, judged by the dataplane's own engine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/cases.h"
#include "cli/bundle_run.h"

struct run {
	struct wr_cli *c;
	struct wr_scanner s;
	const struct wr_opened *o;
	json_t *failures;
	size_t done, all, failed;
};

WR_PRINTF(4, 5)
static void failed(struct run *r, const char *file, uint32_t line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->failed++;
	json_array_append_new(r->failures, json_pack("{s:s,s:i,s:s}", "file", file, "line",
	                                             (int)line, "message", text));
	if (r->c->json)
		return;
	wr_cli_progress("", 0, 0);
	if (line != 0)
		fprintf(stderr, "%s:%u: %s\n", file, line, text);
	else
		fprintf(stderr, "%s: %s\n", file, text);
}

static bool hit(const json_t *answer, const char *key, const char *id)
{
	json_t *m;
	size_t i;

	json_array_foreach(json_object_get(answer, "matches"), i,
	                   m) if (strcmp(wr_cli_str(m, key), id) == 0) return true;
	return false;
}

static void judge_names(struct run *r, const struct wr_case *c, uint64_t cut, const json_t *v)
{
	const struct {
		char *const *name;
		uint32_t n;
		const char *key;
		bool want;
	} row[] = {
		{ c->rules, c->nrules, "rule", true },
		{ c->not_rules, c->nnot_rules, "rule", false },
		{ c->lists, c->nlists, "list", true },
		{ c->not_lists, c->nnot_lists, "list", false },
	};

	for (size_t k = 0; k < WR_COUNT_OF(row); k++)
		for (uint32_t i = 0; i < row[k].n; i++)
			if (hit(v, row[k].key, row[k].name[i]) != row[k].want)
				failed(r, c->file, c->line, "case `%s`, cut %llu: %s %s %s",
				       c->name, (unsigned long long)cut, row[k].key, row[k].name[i],
				       row[k].want ? "did not hit" : "hit");
}

static int run_case(struct run *r, const struct wr_case *c, const char *path)
{
	static const char *const want[] = { "any", "clean", "match", "suspect" };

	for (uint32_t i = 0; i < c->ncuts; i++) {
		json_t *v = wr_scanner_scan(r->c, &r->s, c->cuts[i], c->type, path);
		const char *found;

		if (v == NULL)
			return WR_EXIT_FAIL;
		found = wr_cli_str(v, "found");
		if (wr_cli_str(v, "error")[0] != '\0')
			failed(r, c->file, c->line, "case `%s`: %s: %s", c->name, c->path,
			       wr_cli_str(v, "error"));
		else if (c->verdict != WR_CASE_ANY && strcmp(found, want[c->verdict]) != 0)
			failed(r, c->file, c->line, "case `%s`, cut %llu: found %s, expected %s",
			       c->name, (unsigned long long)c->cuts[i], found, want[c->verdict]);
		judge_names(r, c, c->cuts[i], v);
		json_decref(v);
	}
	return 0;
}

static int run_cases(struct run *r, const struct wr_cases *cases, const char *tmp)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < cases->n; i++) {
		const struct wr_case *c = &cases->c[i];
		char path[PATH_MAX * 2];

		wr_cli_progress(c->name, r->done++, r->all);
		if (c->path[0] != '\0') {
			snprintf(path, sizeof(path), "%s/%s", r->o->dir, c->path);
		} else {
			FILE *f;

			snprintf(path, sizeof(path), "%s/object", tmp);
			f = fopen(path, "wb");
			if (f == NULL || fwrite(c->bytes, 1, c->nbytes, f) != c->nbytes ||
			    fclose(f) != 0)
				return wr_cli_fail(r->c, "%s: %s", path, strerror(errno));
		}
		rc = run_case(r, c, path);
	}
	return rc;
}

/* Every file of a corpus, whole and in packets: good ones are clean, bad ones match. */
static int run_corpus(struct run *r, const char *dir, bool good)
{
	static const uint64_t cuts[] = { 0, 1460 };
	DIR *d = opendir(dir);
	int rc = 0;

	if (d == NULL)
		return wr_cli_fail(r->c, "%s: %s", dir, strerror(errno));
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
		char path[PATH_MAX];
		struct stat st;

		if (e->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path) ||
		    lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			rc = run_corpus(r, path, good);
			continue;
		}
		for (size_t i = 0; rc == 0 && S_ISREG(st.st_mode) && i < WR_COUNT_OF(cuts); i++) {
			json_t *v = wr_scanner_scan(r->c, &r->s, cuts[i], NULL, path);
			const char *found = v == NULL ? "" : wr_cli_str(v, "found");

			if (v == NULL)
				rc = WR_EXIT_FAIL;
			else if (strcmp(found, good ? "clean" : "match") != 0)
				failed(r, path, 0, "found %s, and it is in the %s corpus", found,
				       good ? "good" : "bad");
			json_decref(v);
		}
		r->done++;
		wr_cli_progress(good ? "good corpus" : "bad corpus", r->done, r->done + 1);
	}
	closedir(d);
	return rc;
}

struct corpora {
	const char *good, *bad;
};

static int test_compiled(struct run *r, const struct wr_bundle *b, const struct corpora *dirs,
                         const json_t *compiled, const char *artifact)
{
	struct wr_bundle_errors e = { 0 };
	struct wr_cases cases;
	char tmp[PATH_MAX];
	int rc = wr_cases_load(b, &cases, &e);

	wr_cli_bundle_errors(r->c, &e, NULL);
	wr_bundle_errors_free(&e);
	if (rc != 0)
		return WR_EXIT_NO;
	wr_temp_dir(tmp);
	rc = wr_scanner_start(r->c, artifact, wr_cli_str(compiled, "meta"), "", &r->s);
	r->all = cases.n;
	if (rc == 0)
		rc = run_cases(r, &cases, tmp);
	if (rc == 0 && dirs->good != NULL)
		rc = run_corpus(r, dirs->good, true);
	if (rc == 0 && dirs->bad != NULL)
		rc = run_corpus(r, dirs->bad, false);
	wr_cli_progress("", r->done, r->done);
	wr_scanner_stop(&r->s);
	wr_temp_remove(tmp);
	/* A test that cannot fail says nothing: none at all is not a success. */
	if (rc == 0 && r->done == 0)
		rc = wr_cli_fail(r->c,
		                 "the bundle has no tests (tests/*.yaml), and no corpus was given");
	wr_cases_free(&cases);
	return rc;
}

static int run_test(struct wr_cli *c, int argc, char **argv)
{
	struct corpora dirs = { wr_cli_opt(c, &argc, argv, "--good"),
		                wr_cli_opt(c, &argc, argv, "--bad") };
	struct wr_opened o;
	struct run r = { .c = c, .o = &o };
	struct wr_bundle *b;
	const char *dir = o.dir;
	char out[PATH_MAX];
	json_t *compiled;
	int rc;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "test");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(c, &o, &b);
	if (rc != 0) {
		wr_opened_close(&o);
		return rc;
	}
	wr_temp_dir(out);
	r.failures = json_array();
	compiled = wr_cli_compile(c, &dir, 1, out, false);
	rc = compiled == NULL ? WR_EXIT_NO : test_compiled(&r, b, &dirs, compiled, out);
	if (rc == 0 && r.failed != 0)
		rc = WR_EXIT_NO;
	if (c->json && compiled != NULL) {
		json_t *v =
		        json_pack("{s:b,s:I,s:I,s:O}", "ok", rc == 0, "cases", (json_int_t)r.done,
		                  "failed", (json_int_t)r.failed, "failures", r.failures);

		wr_cli_print_json(v);
		json_decref(v);
	} else if (compiled != NULL && rc != WR_EXIT_FAIL) {
		printf("%zu tested, %zu failures\n", r.done, r.failed);
	}
	json_decref(compiled);
	json_decref(r.failures);
	wr_temp_remove(out);
	wr_bundle_free(b);
	wr_opened_close(&o);
	return rc;
}

/* --- bench --------------------------------------------------------------------------- */

static void print_bench(const struct wr_bundle *b, const json_t *v)
{
	const struct wr_bundle_budgets *m = &b->budgets;
	json_t *d;
	size_t i;

	printf("cycles per byte     %8.2f",
	       json_number_value(json_object_get(v, "cycles_per_byte")));
	if (m->cycles_per_byte > 0)
		printf("   budget %8.2f", m->cycles_per_byte);
	printf("\nstream state bytes  %8lld", wr_cli_int(v, "stream_state_bytes"));
	if (m->stream_state_bytes != 0)
		printf("   budget %8llu", (unsigned long long)m->stream_state_bytes);
	printf("\nmemory bytes  %14lld", wr_cli_int(v, "memory_bytes"));
	if (m->memory_bytes != 0)
		printf("   budget %llu", (unsigned long long)m->memory_bytes);
	printf("\ncompile seconds     %8.2f\n",
	       json_number_value(json_object_get(v, "compile_seconds")));
	if (json_array_size(json_object_get(v, "dear")) != 0)
		puts("most costly rules (cycles per byte that each adds):");
	json_array_foreach(json_object_get(v, "dear"), i, d)
	        printf("  %8.3f  %s  (%s:%lld)\n",
	               json_number_value(json_object_get(d, "cycles_per_byte")),
	               wr_cli_str(d, "rule"), wr_cli_str(d, "file"), wr_cli_int(d, "line"));
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_bench(struct wr_cli *c, int argc, char **argv)
{
	struct wr_opened o;
	struct wr_bundle *b;
	const char *dir = o.dir;
	char out[PATH_MAX];
	json_t *plain = NULL, *v = NULL;
	double t;
	int rc;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "bench");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(c, &o, &b);
	if (rc == 0) {
		wr_temp_dir(out);
		t = seconds();
		plain = wr_cli_compile(c, &dir, 1, out, false);
		t = seconds() - t;
		if (plain != NULL)
			v = wr_cli_compile(c, &dir, 1, out, true);
		wr_temp_remove(out);
		rc = v == NULL ? WR_EXIT_NO : WR_EXIT_OK;
		if (v != NULL) {
			json_object_set_new(v, "compile_seconds", json_real(t));
			if (c->json)
				wr_cli_print_json(v);
			else
				print_bench(b, v);
		}
		json_decref(plain);
		json_decref(v);
		wr_bundle_free(b);
	}
	wr_opened_close(&o);
	return rc;
}

const struct wr_cmd wr_cmds_bundle_test[] = {
	{ "bundle", "test", "DIR|FILE [--good DIR] [--bad DIR]",
	  "run its tests, and corpora, by the dataplane's own engine", run_test },
	{ "bundle", "bench", "DIR|FILE", "measure cost against the budgets; name the dearest rules",
	  run_bench },
	{ 0 },
};
