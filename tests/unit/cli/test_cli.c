/* SPDX-License-Identifier: BSD-3-Clause */
/* The tool itself, as people run it: what it prints, and how it ends. */
#include "abi/conf.h"
#include "tap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], out[1 << 18];

/* Runs `weir ARGS`; stdout and stderr in `out`. Gives the exit code. */
__attribute__((format(printf, 1, 2))) static int weir(const char *fmt, ...)
{
	char args[1024], cmd[2048];
	va_list ap;
	size_t n;
	FILE *p;
	int rc;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "cd %s && %s %s 2>&1", dir, WEIR, args);
	p = popen(cmd, "r");
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = '\0';
	rc = pclose(p);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *s = out; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

/* A run, the exit code it must have, and words it must print. */
static const struct {
	const char *args;
	int rc;
	const char *want;
	unsigned lines; /* 0: any number */
} row[] = {
	/* clang-format off */
	{ "", 2, "usage: weir", 0 },
	{ "help", 0, "config check", 0 },
	{ "--version", 0, "weir ", 1 },
	{ "nonsense", 2, "no command 'nonsense'; `weir help` lists them", 1 },
	{ "config", 2, "config init", 0 },
	{ "config nonsense", 2, "config init", 0 },
	{ "config check w.yaml", 0, "w.yaml: ok: 1 link(s), 1 worker(s), 1 service(s)", 1 },
	{ "config check bad.yaml", 2, "bad.yaml:2:1: unknown key 'nod'; did you mean 'node'?", 0 },
	{ "--json config check bad.yaml", 2, "\"column\": 1", 0 },
	{ "config check none.yaml", 2, "none.yaml: cannot read: No such file", 1 },
	{ "config check w.yaml --merge bad.yaml", 2, "unknown key 'nod'", 0 },
	{ "config show w.yaml --effective", 0, "expansion_ratio: 200", 0 },
	{ "config diff w.yaml w.yaml", 0, "", 0 },
	{ "config diff w.yaml w2.yaml", 1, "records.keep: 64 -> 9  (reload)", 1 },
	{ "config compile w.yaml", 2, "usage: weir config compile", 1 },
	{ "config compile w.yaml -o conf.bin", 0, "", 0 },
	{ "config compile w.yaml -o /nonexistent/x", 2, "No such file", 1 },
	{ "config init w.yaml", 2, "is already there; it is never overwritten", 1 },
	{ "config init new.yaml", 0, "", 0 },
	{ "config check new.yaml", 0, "ok", 1 },
	{ "reasons --list", 0, "cl_te", 0 },
	{ "reasons --list cl_te", 0, "Content-Length and Transfer-Encoding together", 2 },
	{ "reasons --list cl_tee", 2, "no reason 'cl_tee'", 1 },
	{ "status", 2, "weir-control does not answer on ./no.sock (No such file or directory); start it", 1 },
	{ "bundle load .", 2, "weir-control does not answer", 1 },
	{ "bundle load none", 2, "none: No such file", 1 },
	{ "drain", 2, "weir-control does not answer", 1 },
	{ "drain --timeout x", 2, "wants seconds", 1 },
	{ "reload", 2, "weir-control does not answer", 1 },
	{ "top --once", 2, "weir-control does not answer", 1 },
	{ "records tail", 2, "name the records folder with --records DIR", 2 },
	{ "records tail --records rec", 0, "PUT h/three", 3 },
	{ "records tail --records rec -n 1", 0, "block match  68 bytes  PUT h/three  from 192.0.2.1  by eicar", 1 },
	{ "records tail --records rec -n x", 2, "-n wants a number", 1 },
	{ "records tail --records none", 2, "none: No such file", 1 },
	{ "records tail -n", 2, "-n needs a value", 1 },
	{ "--json records tail --records rec -n 1", 0, "{\"schema\":\"weir.verdict/1\"", 1 },
	{ "explain 01M856NR6E4E4RQTN3KC0R0Z03 --records rec", 0, "rule eicar of bundle core 4, mode enforce", 0 },
	{ "explain 01M856NR6E4E4RQTN3KC0R0Z02 --records rec", 0, "would have been block (the service is in observe mode)", 0 },
	{ "explain 01M856NR6E4E4RQTN3KC0R0Z02 --records rec", 0, "gap: bytes passed that Weir did not see", 0 },
	{ "explain 01M856NR6E4E4RQTN3KC0R0Z09 --records rec", 1, "no record of 01M856NR6E4E4RQTN3KC0R0Z09", 1 },
	{ "explain abc --records rec", 2, "is no decision id", 1 },
	{ "report --records rec --since 2026-11-23T10:00:00Z", 0, "3 uploads, 1168 bytes", 0 },
	{ "report --records rec --since 2026-11-23T10:00:00Z", 0, "blocked 1; would have been blocked 1", 0 },
	{ "report --records rec --since 2026-11-23T11:30:00Z", 0, ": 1 uploads, 68 bytes", 0 },
	{ "report --records rec --since 12", 2, "--since wants 90m", 1 },
	{ "--json report --records rec --since 2026-11-23T10:00:00Z", 0, "\"gap\": {\n      \"uploads\": 1,\n      \"blocked\": 0,\n      \"would_block\": 1", 0 },
	{ "--json report --records rec --since 2026-11-23T10:00:00Z", 0, "\"core/eicar\": {\n      \"uploads\": 1,\n      \"blocked\": 1,\n      \"would_block\": 0", 0 },
	{ "hunt --bundle h2 --records hrec/1.jsonl", 1, "6 records: 5 match, 1 of them were blocked already, 4 would be blocked now", 0 },
	{ "hunt --bundle h2 --records hrec/1.jsonl", 1, "pass h/old l\n", 0 },
	{ "hunt --bundle h2 --but-not h1 --records hrec/1.jsonl", 1, "6 records: 3 match, 0 of them were blocked already, 3 would be blocked now", 0 },
	{ "hunt --bundle h2 --but-not h1 --records hrec/1.jsonl", 1, "pass h/new l\n", 0 },
	{ "hunt --bundle h2 --but-not h1 --records hrec/1.jsonl", 1, "flag h/pdq31 p\n", 0 },
	{ "hunt --bundle h2 --but-not h2 --records hrec/1.jsonl", 0, "6 records: 0 match", 0 },
	{ "hunt --json --bundle h2 --most-uploads 1 --records hrec/1.jsonl", 1, "\"would_block\": 4", 0 },
	{ "hunt --json --bundle h2 --most-bytes 1 --records hrec", 0, "\"files_skipped\": 1", 0 },
	{ "hunt --bundle hs --records hrec/1.jsonl", 1, "6 records: 4 match", 0 },
	{ "hunt --but-not h1", 2, "usage: weir hunt", 0 },
	{ "hunt", 2, "no.sock", 1 },
	{ "bundle replay h2 --records hrec/1.jsonl", 1, "list p: 2 uploads (enforce, block)", 0 },
	{ "docs nonsense", 2, "usage: weir docs", 1 },
	/* clang-format on */
};

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int rc = weir("%s", row[i].args);
		bool ok = rc == row[i].rc && strstr(out, row[i].want) != NULL &&
		          (row[i].lines == 0 || lines() == row[i].lines);

		if (!tap_ok(ok, "weir %s", row[i].args))
			printf("# exit %d, wanted %d and '%s':\n# %.600s\n", rc, row[i].rc,
			       row[i].want, out);
	}
}

#define REC(n, ts, action, would, mode, verdict, cause, bytes, path, matches)                      \
	"{\"schema\":\"weir.verdict/1\",\"decision_id\":\"01M856NR6E4E4RQTN3KC0R0Z0" n             \
	"\",\"ts\":\"" ts "\",\"node\":\"n\",\"worker\":\"w0\",\"service\":\"s\",\"upload\":{"     \
	"\"id\":\"x\",\"record\":\"request\",\"method\":\"PUT\",\"host\":\"h\",\"path\":\"" path   \
	"\",\"framing\":[\"chunked\"],\"bytes\":" bytes                                            \
	"},\"client\":{\"ip\":\"192.0.2.1\",\"port\":1,\"source\":\"tcp\"},\"coverage\":{"         \
	"\"received\":1,\"hashed\":1,\"pattern\":1,\"decoded\":0},\"verdict\":\"" verdict          \
	"\",\"cause\":" cause ",\"reason\":null,\"action\":\"" action "\",\"would\":\"" would      \
	"\",\"mode\":\"" mode "\",\"matches\":[" matches                                           \
	"],\"committed\":true,\"last_byte_forwarded\":1,\"timing\":{\"hold_us\":3}}\n"

#define MD5_OLD "00112233445566778899aabbccddeeff"
#define MD5_NEW "0123456789abcdef0123456789abcdef"
#define PDQ_A   "d8f8f0cec4f4a84f0637022a078f67f0b36e2ee5b6621e1d33e6239c4e9c9b22"
/* The first 31 and 32 bits of it turned over: nibbles d8f8f0ce -> 27070f31, the last bit or not. */
#define PDQ_31 "27070f30c4f4a84f0637022a078f67f0b36e2ee5b6621e1d33e6239c4e9c9b22"
#define PDQ_32 "27070f31c4f4a84f0637022a078f67f0b36e2ee5b6621e1d33e6239c4e9c9b22"
#define HREC(path, action, md5, pdq)                                                               \
	"{\"schema\":\"weir.verdict/"                                                              \
	"1\",\"decision_id\":\"D\",\"ts\":\"T\",\"upload\":{\"host\":\"h\",\"path\""               \
	":\"" path "\"},\"digests\":{\"md5\":" md5 ",\"sha1\":null,\"sha256\":null,\"pdq\":" pdq   \
	",\"pdq_quality\":90},\"action\":\"" action "\"}\n"

static void bundle(const char *name, const char *entries, const char *more)
{
	char path[160], text[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	mkdir(path, 0700);
	strcat(path, "/lists");
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/manifest.yaml", name);
	snprintf(text, sizeof(text),
	         "format: weir-bundle/1\nname: h\nversion: 1\ncreated: "
	         "2026-11-23T19:00:00Z\nlists:\n"
	         "  - { id: l, file: lists/l.txt }\n%s",
	         more);
	put(path, text);
	snprintf(path, sizeof(path), "%s/lists/l.txt", name);
	put(path, entries);
	snprintf(path, sizeof(path), "%s/lists/p.txt", name);
	put(path, "pdq " PDQ_A "\n");
}

/* Records that passed and one that did not, and lists that came one after the other. */
static void hunt_fixtures(void)
{
	static const char pdq[] = "  - { id: p, file: lists/p.txt, format: pdq }\n";
	char path[128];

	snprintf(path, sizeof(path), "%s/hrec", dir);
	mkdir(path, 0700);
	put("hrec/1.jsonl",
	    HREC("/old", "pass", "\"" MD5_OLD "\"", "null") HREC("/blocked", "block",
	                                                         "\"" MD5_OLD "\"", "null")
	            HREC("/new", "pass", "\"" MD5_NEW "\"", "null")
	                    HREC("/pdq0", "pass", "null", "\"" PDQ_A "\"")
	                            HREC("/pdq31", "flag", "null", "\"" PDQ_31 "\"")
	                                    HREC("/pdq32", "pass", "null", "\"" PDQ_32 "\""));
	bundle("h1", MD5_OLD "\n", "");
	bundle("h2", MD5_OLD "\n" MD5_NEW "\n", pdq);
	bundle("hs", MD5_OLD "\n" MD5_NEW "\n", pdq);
	put("hs/suppress.yaml",
	    "suppress: [ { item: 'list:l', digest: 'md5:" MD5_NEW "', reason: r } ]\n");
}

static void fixtures(void)
{
	static const char yaml[] =
	        "# a file\nnode: n\nlinks: [ { name: a, client: { device: net_a }, store: { "
	        "device: "
	        "net_b }, on_process_death: open, on_worker_stall: closed } ]\n"
	        "cores: { main: 0, workers: [ { name: w0, core: 1, link: a, queue: 0 } ] }\n"
	        "services: [ { name: s1 } ]\npolicy: { match: block, suspect: flag, "
	        "incomplete: block, error: block, skipped: flag, framing: block, overlap_conflict: "
	        "block, midstream: block, one_way: block, not_http: block, bundle_expired: flag, "
	        "on_overload: closed, on_records_lost: closed }\n";
	char text[4096], *node;

	mkdir(dir, 0700);
	put("w.yaml", yaml);
	snprintf(text, sizeof(text), "%srecords: { keep: 9 }\n", yaml);
	put("w2.yaml", text);
	snprintf(text, sizeof(text), "%s", yaml);
	node = strstr(text, "node: n");
	memcpy(node, "nod: n ", 7);
	put("bad.yaml", text);
	snprintf(text, sizeof(text), "%s/rec", dir);
	mkdir(text, 0700);
	put("rec/000000000000002-b.jsonl",
	    REC("3", "2026-11-23T12:00:00.000000Z", "block", "block", "enforce", "match", "null",
	        "68", "/three",
	        "{\"kind\":\"pattern\",\"bundle\":\"core\",\"bundle_version\":4,\"rule\":"
	        "\"eicar\",\"offset\":68,\"view\":\"raw\",\"mode\":\"enforce\",\"action\":"
	        "\"block\",\"applied\":true}") "{\"schema\":\"still being wr");
	put("rec/000000000000001-a.jsonl",
	    REC("1", "2026-11-23T11:00:00.000000Z", "pass", "pass", "enforce", "clean", "null",
	        "100", "/\\u001b[31mone\\u00e9", "")
	            REC("2", "2026-11-23T11:10:00.000000Z", "pass", "block", "observe",
	                "incomplete", "\"gap\"", "1000", "/two", ""));
	hunt_fixtures();
	setenv("WEIR_SOCKET", "./no.sock", 1);
	unsetenv("WEIR_RECORDS");
	unsetenv("WEIR_CONFIG");
}

static void test_escapes(void)
{
	weir("records tail --records rec");
	OK(strchr(out, 27) == NULL && strstr(out, "/\\x1b[31mone\\xc3\\xa9") != NULL,
	   "what comes from the wire moves no terminal");
	OK(strstr(out, "/two") > strstr(out, "one") && strstr(out, "/three") > strstr(out, "/two"),
	   "files in name order, lines in theirs");
	OK(strstr(out, "still") == NULL, "a line that is still being written is not shown");
}

static void test_compiled(void)
{
	struct wr_conf c;
	char path[128];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/conf.bin", dir);
	f = fopen(path, "r");
	OK(f != NULL && fread(&c, 1, sizeof(c), f) == sizeof(c) && fgetc(f) == EOF &&
	           c.magic == WR_CONF_MAGIC && c.size == sizeof(c) && strcmp(c.node, "n") == 0,
	   "the compiled file is exactly the structure");
	OK(stat(path, &st) == 0 && (st.st_mode & 0137) == 0, "and not for everybody");
	if (f != NULL)
		fclose(f);
}

static void test_docs(void)
{
	static char page[sizeof(out)];
	FILE *f = fopen(DOC, "r");
	size_t n = f != NULL ? fread(page, 1, sizeof(page) - 1, f) : 0;

	page[n] = '\0';
	if (f != NULL)
		fclose(f);
	OK(weir("docs config") == 0 && strcmp(out, page) == 0,
	   "docs/operate/config.md is what `weir docs config` prints (scripts/gen-docs mends it)");
}

/* Every command of the table says how it is used, and does nothing when asked for that. */
static void test_help(void)
{
	static char table[sizeof(out)];
	unsigned n = 0;

	weir("docs commands");
	memcpy(table, out, sizeof(table));
	for (char *at = table; (at = strstr(at, "| `weir ")) != NULL; at += 8) {
		char one[32] = "", two[32] = "";
		int rc = 0;

		sscanf(at + 8, "%31[a-z-]%*[ ]%31[a-z-]", one, two);
		rc = weir("%s %s --help", one, two);
		if (rc != 0 || strstr(out, one) == NULL)
			OK(0, "weir %s %s --help: %d %.100s", one, two, rc, out);
		n++;
	}
	OK(n > 12, "%u commands say how they are used", n);
}

int main(void)
{
	char cmd[128];

	snprintf(dir, sizeof(dir), "/tmp/weir-cli-%d", (int)getpid());
	fixtures();
	test_rows();
	test_escapes();
	test_compiled();
	test_docs();
	test_help();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# cannot remove %s\n", dir);
	return tap_done();
}
