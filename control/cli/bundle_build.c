/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle init, lint, build, inspect, diff, docs: a bundle as its author sees it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bundle/cases.h"
#include "cli/bundle_run.h"

/* --- init ----------------------------------------------------------------------------------------
 */

static const char rules_yaml[] =
        "# Byte patterns. The keys of a rule: docs/rules/reference.md, or `weir docs bundle`.\n"
        "rules:\n"
        "  - id: eicar\n"
        "    literal: 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'\n"
        "    action: block\n"
        "    mode: shadow          # off | shadow | canary | enforce: begin with shadow\n"
        "    severity: low\n"
        "    description: the harmless test file that every scanner knows\n"
        "    references: ['https://www.eicar.org/']\n"
        "    added_in: 1\n";

static const char list_txt[] =
        "# One digest a line, or what sha256sum writes. This one is the EICAR test file.\n"
        "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f  eicar.com\n";

static const char tests_yaml[] =
        "# What must be found and what must not. Each case runs whole, in single bytes and in "
        "packets.\n"
        "cases:\n"
        "  - name: the test file\n"
        "    text: 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'\n"
        "    expect: { verdict: match, rules: [eicar], lists: [example] }\n"
        "  - name: in the middle of something else\n"
        "    text: 'before EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H* behind'\n"
        "    cut: [1, 7, 1460]\n"
        "    expect: { verdict: match, rules: [eicar], not_lists: [example] }\n"
        "  - name: talking about it is allowed\n"
        "    text: 'the EICAR test file'\n"
        "    expect: { verdict: clean, not_rules: [eicar] }\n";

static int put(struct wr_cli *c, const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wx");
	if (f == NULL)
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	if (fputs(text, f) < 0 || fclose(f) != 0)
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	return 0;
}

static void stamp(time_t t, char out[32])
{
	struct tm tm;

	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

static int make_folders(struct wr_cli *c, const char *dir)
{
	static const char *const sub[] = { "", "/rules", "/lists", "/tests" };
	char path[PATH_MAX];

	for (size_t i = 0; i < WR_COUNT_OF(sub); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		if (mkdir(path, 0777) != 0 && !(i == 0 && errno == EEXIST))
			return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	}
	return 0;
}

static int run_init(struct wr_cli *c, int argc, char **argv)
{
	const char *name = wr_cli_opt(c, &argc, argv, "--name");
	char manifest[2048], created[32], expires[32];
	time_t now = time(NULL);
	int rc;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "init");
	if (name == NULL)
		name = strrchr(argv[1], '/') != NULL && strrchr(argv[1], '/')[1] != '\0'
		               ? strrchr(argv[1], '/') + 1
		               : argv[1];
	stamp(now, created);
	stamp(now + 30 * 86400, expires);
	snprintf(manifest, sizeof(manifest),
	         "format: weir-bundle/1\n"
	         "name: %s\n"
	         "version: 1               # must grow with every push\n"
	         "created: %s\n"
	         "expires: %s   # it goes on working, and says so\n"
	         "min_engine: \"0.1\"\n"
	         "budgets: { stream_state_bytes: 4096, memory_bytes: 2000000000, cycles_per_byte: "
	         "8 }\n"
	         "lists:\n"
	         "  - id: example\n"
	         "    file: lists/example.txt\n"
	         "    class: deny\n"
	         "    owner: rule-team\n"
	         "    action: block\n"
	         "    mode: shadow           # off | shadow | canary | enforce: begin with shadow\n"
	         "    severity: low\n"
	         "    basis: \"why this list may be used\"\n",
	         name, created, expires);
	rc = make_folders(c, argv[1]);
	if (rc == 0)
		rc = put(c, argv[1], "manifest.yaml", manifest);
	if (rc == 0)
		rc = put(c, argv[1], "rules/example.yaml", rules_yaml);
	if (rc == 0)
		rc = put(c, argv[1], "lists/example.txt", list_txt);
	if (rc == 0)
		rc = put(c, argv[1], "tests/example.yaml", tests_yaml);
	if (rc == 0 && c->json)
		printf("{\"ok\":true}\n");
	else if (rc == 0)
		printf("%s: a bundle with one rule, one list and three tests.\n"
		       "next: weir bundle lint %s; weir bundle test %s\n",
		       argv[1], argv[1], argv[1]);
	return rc;
}

/* --- lint ---------------------------------------------------------------------------- */

static int ignore_entry(void *ctx, const struct wr_list_entry *e)
{
	(void)ctx;
	(void)e;
	return 0;
}

static json_t *list_json(const struct wr_bundle_list *l, const struct wr_list_stats *st)
{
	json_t *v = json_pack(
	        "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "id", l->id, "file", l->path, "format",
	        wr_list_format_name((enum wr_list_format)st->format), "class",
	        l->allow ? "allow" : "deny", "mode", wr_item_mode_name((enum wr_item_mode)l->mode),
	        "bad_lines", (json_int_t)st->bad_lines, "withdrawn", (json_int_t)st->deleted,
	        "dropped", (json_int_t)(st->empty_file + st->zero_pdq + st->low_quality),
	        "unsupported", (json_int_t)st->unsupported);
	json_t *n = json_object();

	for (unsigned a = 0; a < WR_ALGO_COUNT; a++)
		if (st->entries[a] != 0)
			json_object_set_new(n, wr_algo_name((enum wr_algo)a),
			                    json_integer((json_int_t)st->entries[a]));
	json_object_set_new(v, "entries", n);
	return v;
}

/* Reads every list; a bad one is in the errors. */
static json_t *read_lists(const struct wr_bundle *b, struct wr_bundle_errors *e)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < b->nlists; i++) {
		struct wr_list_stats st;

		wr_cli_progress(b->lists[i].id, i, b->nlists);
		if (wr_list_read(b, &b->lists[i], ignore_entry, NULL, &st, e) == 0)
			json_array_append_new(all, list_json(&b->lists[i], &st));
		if (st.unsupported != 0 &&
		    st.entries[0] + st.entries[1] + st.entries[2] + st.entries[3] == 0)
			wr_bundle_warning_add(e, b->lists[i].path, 0,
			                      "holds no kind of hash that Weir matches");
	}
	wr_cli_progress("", b->nlists, b->nlists);
	return all;
}

static bool tested(const struct wr_cases *cases, const char *rule)
{
	for (uint32_t i = 0; i < cases->n; i++)
		for (uint32_t k = 0; k < cases->c[i].nrules; k++)
			if (strcmp(cases->c[i].rules[k], rule) == 0)
				return true;
	return false;
}

/* What is allowed and still likely to be regretted. */
static void advice(const struct wr_bundle *b, const struct wr_cases *cases,
                   struct wr_bundle_errors *e)
{
	for (uint32_t i = 0; i < b->nrules; i++) {
		const struct wr_bundle_rule *r = &b->rules[i];

		if (r->action == WR_A_BLOCK && !tested(cases, r->id))
			wr_bundle_warning_add(e, r->file, r->line,
			                      "rule `%s` may block and no test expects it to hit",
			                      r->id);
	}
	for (uint32_t i = 0; i < b->nlists; i++)
		if (!b->lists[i].allow && b->lists[i].basis[0] == '\0')
			wr_bundle_warning_add(e, "manifest.yaml", b->lists[i].line,
			                      "list `%s` states no `basis`", b->lists[i].id);
	if (b->expires == 0)
		wr_bundle_warning_add(
		        e, "manifest.yaml", 0,
		        "without `expires` nobody notices a bundle that is forgotten");
}

/* Everything that build and push would refuse; the answer in *v, exit code. */
static int check(struct wr_cli *c, const struct wr_opened *o, const struct wr_bundle *b,
                 bool with_advice, json_t **v)
{
	struct wr_bundle_errors e = { 0 };
	struct wr_cases cases = { 0 };
	json_t *lists = read_lists(b, &e), *compiled = NULL;
	const char *dir = o->dir;
	char tmp[PATH_MAX];
	int rc = wr_cases_load(b, &cases, &e);

	if (with_advice && rc == 0)
		advice(b, &cases, &e);
	*v = json_pack("{s:b,s:s,s:I,s:i,s:i,s:o}", "ok", e.nerrors == 0, "name", b->name,
	               "version", (json_int_t)b->version, "rules", (int)b->nrules, "cases",
	               (int)cases.n, "lists", lists);
	wr_cli_bundle_errors(c, &e, *v);
	rc = e.nerrors == 0 ? WR_EXIT_OK : WR_EXIT_NO;
	wr_cases_free(&cases);
	wr_bundle_errors_free(&e);
	if (rc != WR_EXIT_OK)
		return rc;
	wr_temp_dir(tmp);
	if (tmp[0] == '\0')
		return wr_cli_fail(c, "cannot make a temporary folder: %s", strerror(errno));
	compiled = wr_cli_compile(c, &dir, 1, tmp, false);
	wr_temp_remove(tmp);
	if (compiled == NULL)
		return WR_EXIT_NO;
	json_object_set(*v, "stream_state_bytes", json_object_get(compiled, "stream_state_bytes"));
	json_object_set(*v, "memory_bytes", json_object_get(compiled, "memory_bytes"));
	json_decref(compiled);
	return WR_EXIT_OK;
}

static void print_lists(const json_t *v)
{
	const json_t *lists = json_object_get(v, "lists");
	const char *algo;
	json_t *l, *n;
	size_t i;

	json_array_foreach(lists, i, l)
	{
		printf("  list %s (%s, %s, %s):", wr_cli_str(l, "id"), wr_cli_str(l, "format"),
		       wr_cli_str(l, "class"), wr_cli_str(l, "mode"));
		json_object_foreach(json_object_get(l, "entries"), algo, n)
		        printf(" %lld %s", (long long)json_integer_value(n), algo);
		if (wr_cli_int(l, "withdrawn") != 0)
			printf(", %lld withdrawn", wr_cli_int(l, "withdrawn"));
		if (wr_cli_int(l, "dropped") != 0)
			printf(", %lld dropped (empty file, zero or poor PDQ)",
			       wr_cli_int(l, "dropped"));
		if (wr_cli_int(l, "bad_lines") != 0)
			printf(", %lld bad lines", wr_cli_int(l, "bad_lines"));
		if (wr_cli_int(l, "unsupported") != 0)
			printf(", %lld of other kinds", wr_cli_int(l, "unsupported"));
		putchar('\n');
	}
}

static int run_lint(struct wr_cli *c, int argc, char **argv)
{
	struct wr_opened o;
	struct wr_bundle *b;
	json_t *v = NULL;
	int rc;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "lint");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(c, &o, &b);
	if (rc == 0) {
		rc = check(c, &o, b, true, &v);
		if (c->json && (rc == 0 || json_is_false(json_object_get(v, "ok"))))
			wr_cli_print_json(v);
		else if (rc == 0) {
			printf("%s %llu: %u rules, %u lists, %lld tests: good\n", b->name,
			       (unsigned long long)b->version, b->nrules, b->nlists,
			       wr_cli_int(v, "cases"));
			print_lists(v);
		}
		json_decref(v);
		wr_bundle_free(b);
	}
	wr_opened_close(&o);
	return rc;
}

/* --- build --------------------------------------------------------------------------- */

static int pack(struct wr_cli *c, const struct wr_opened *o, const struct wr_bundle *b,
                const char *path)
{
	struct wr_refusal r = { 0 };
	char tmp[PATH_MAX + 8];
	int fd, rc;

	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return wr_cli_fail(c, "%s: %s", tmp, strerror(errno));
	rc = wr_ship_pack(o->fd, b->created, fd, &r);
	if (rc != 0)
		rc = wr_cli_refused(c, &r);
	if (rc == 0 && (fsync(fd) != 0 || rename(tmp, path) != 0))
		rc = wr_cli_fail(c, "%s: %s", path, strerror(errno));
	close(fd);
	if (rc != 0)
		unlink(tmp);
	return rc;
}

static int build(struct wr_cli *c, const struct wr_opened *o, const struct wr_bundle *b,
                 const char *out)
{
	struct wr_refusal r = { 0 };
	char path[PATH_MAX];
	json_t *v = NULL;
	int rc = check(c, o, b, false, &v);

	if (rc == 0 && wr_ship_sums_write(o->fd, &r) != 0)
		rc = wr_cli_refused(c, &r);
	if (out != NULL)
		snprintf(path, sizeof(path), "%s", out);
	else
		snprintf(path, sizeof(path), "%s-%llu.weir", b->name,
		         (unsigned long long)b->version);
	if (rc == 0)
		rc = pack(c, o, b, path);
	if (rc == 0 && c->json) {
		json_object_set_new(v, "file", json_string(path));
		wr_cli_print_json(v);
	} else if (rc == 0) {
		printf("%s\n", path);
	} else if (c->json && json_is_false(json_object_get(v, "ok"))) {
		wr_cli_print_json(v);
	}
	json_decref(v);
	return rc;
}

static int run_build(struct wr_cli *c, int argc, char **argv)
{
	const char *out = wr_cli_opt(c, &argc, argv, "-o");
	struct wr_opened o;
	struct wr_bundle *b;
	int rc;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "build");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	if (o.temporary)
		rc = wr_cli_fail(c, "%s: build takes a folder", argv[1]);
	if (rc == 0)
		rc = wr_cli_bundle_load(c, &o, &b);
	if (rc == 0) {
		rc = build(c, &o, b, out);
		wr_bundle_free(b);
	}
	wr_opened_close(&o);
	return rc;
}

/* --- inspect ------------------------------------------------------------------------- */

static json_t *signatures(int dirfd)
{
	struct wr_ship_files f;
	struct wr_refusal r;
	json_t *all = json_array();

	if (wr_ship_walk(dirfd, true, &f, &r) != 0)
		return all;
	for (uint32_t i = 0; i < f.n; i++) {
		size_t n = strlen(f.file[i].path);
		struct wr_signature s;
		char text[4096], id[17];
		ssize_t got;
		int fd;

		if (n < 8 || strcmp(f.file[i].path + n - 8, ".minisig") != 0)
			continue;
		fd = openat(dirfd, f.file[i].path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		got = fd < 0 ? -1 : read(fd, text, sizeof(text));
		if (fd >= 0)
			close(fd);
		if (got < 0 || wr_minisign_signature(text, (size_t)got, &s) != 0)
			continue;
		wr_minisign_id(s.id, id);
		json_array_append_new(all, json_pack("{s:s,s:s,s:s}", "file", f.file[i].path, "key",
		                                     id, "comment", s.comment));
	}
	wr_ship_files_free(&f);
	return all;
}

static void print_time(const char *what, uint64_t t)
{
	char text[32];

	if (t == 0)
		return;
	stamp((time_t)t, text);
	printf("%-10s %s\n", what, text);
}

static void print_inspect(const struct wr_bundle *b, const json_t *v)
{
	json_t *s;
	size_t i;

	printf("%-10s %s\n%-10s %llu\n", "name", b->name, "version",
	       (unsigned long long)b->version);
	print_time("created", b->created);
	print_time("expires", b->expires);
	if (b->rolls_back_to != 0)
		printf("%-10s %llu\n", "rolls back", (unsigned long long)b->rolls_back_to);
	printf("%-10s %u, of them %lld block\n", "rules", b->nrules,
	       wr_cli_int(v, "blocking_rules"));
	print_lists(v);
	printf("%-10s %s\n", "sums", wr_cli_str(v, "sums"));
	json_array_foreach(json_object_get(v, "signatures"), i, s)
	{
		printf("%-10s key %s: ", "signed", wr_cli_str(s, "key"));
		wr_cli_put_safe(stdout, wr_cli_str(s, "comment"));
		printf(" (not checked: weir bundle verify)\n");
	}
}

static int run_inspect(struct wr_cli *c, int argc, char **argv)
{
	struct wr_bundle_errors e = { 0 };
	struct wr_refusal r = { 0 };
	struct wr_opened o;
	struct wr_bundle *b;
	json_t *v;
	int rc, blocking = 0, sums;

	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "inspect");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	rc = wr_cli_bundle_load(c, &o, &b);
	if (rc != 0) {
		wr_opened_close(&o);
		return rc;
	}
	for (uint32_t i = 0; i < b->nrules; i++)
		blocking += b->rules[i].action == WR_A_BLOCK;
	sums = wr_ship_sums_check(o.fd, &r);
	v = json_pack("{s:s,s:I,s:I,s:I,s:i,s:i,s:s,s:o,s:o}", "name", b->name, "version",
	              (json_int_t)b->version, "created", (json_int_t)b->created, "expires",
	              (json_int_t)b->expires, "rules", (int)b->nrules, "blocking_rules", blocking,
	              "sums", sums == 0 ? "good" : wr_refusal_name(r.code), "signatures",
	              signatures(o.fd), "lists", read_lists(b, &e));
	wr_cli_bundle_errors(c, &e, c->json ? v : NULL);
	if (c->json)
		wr_cli_print_json(v);
	else
		print_inspect(b, v);
	json_decref(v);
	wr_bundle_errors_free(&e);
	wr_bundle_free(b);
	wr_opened_close(&o);
	return 0;
}

const struct wr_cmd wr_cmds_bundle_build[] = {
	{ "bundle", "init", "DIR [--name NAME]", "start a bundle with an example of everything",
	  run_init },
	{ "bundle", "lint", "DIR|FILE",
	  "check all that build and push would refuse, and give advice", run_lint },
	{ "bundle", "build", "DIR [-o FILE]", "check, write SHA256SUMS, pack to NAME-VERSION.weir",
	  run_build },
	{ "bundle", "inspect", "DIR|FILE", "show what a bundle holds, without believing it",
	  run_inspect },
	{ 0 },
};
