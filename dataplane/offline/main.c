/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-scan - scans files with the dataplane's own engine.
 *
 *      weir-scan --artifact DIR --meta HEX [--region R] [--canary N]  < jobs
 *
 * A job is a line CUT<TAB>TYPE<TAB>PATH: pieces of CUT bytes (0 = large ones), media type
 * (`-` = what its bytes say), file. Each job is answered by one line of JSON, in order. Exit 0:
 * every file was scanned; 1: some could not be; 2: used wrongly, or the artifact is not believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "offline/engine.h"

static const char usage[] =
        "usage: weir-scan --artifact DIR --meta HEX [--region R] [--canary N]\n"
        "Reads jobs CUT<TAB>TYPE<TAB>PATH from stdin, writes a line of JSON for each.\n";

/* What the wire or a bundle named may hold any byte: only printable ASCII goes out as it is. */
static void put_string(const char *s)
{
	putchar('"');
	for (; *s != '\0'; s++) {
		unsigned char b = (unsigned char)*s;

		if (b == '"' || b == '\\')
			printf("\\%c", b);
		else if (b < 0x20 || b > 0x7e)
			printf("\\u%04x", b);
		else
			putchar(b);
	}
	putchar('"');
}

static void put_hex(const char *key, const uint8_t *p, size_t n, bool have)
{
	printf("\"%s\":", key);
	if (!have) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
	putchar('"');
}

static void put_match(const struct wr_ruleset *rs, const struct wr_match *m,
                      const struct wr_decision *d)
{
	static const char *const kind[] = { "pattern", "exact", "pdq" };
	static const char *const algo[] = { "md5", "sha1", "sha256", "pdq" };
	static const char *const mode[] = { "off", "shadow", "canary", "enforce" };
	bool pattern = m->kind == WR_MATCH_PATTERN, applied = false;
	const struct wr_item *it =
	        pattern ? wr_ruleset_rule(rs, m->item) : wr_ruleset_list(rs, m->item);

	/* The decision carries the first few with their policy applied. */
	for (uint32_t i = 0; i < d->nmatches; i++)
		applied |= d->match[i].kind == m->kind && d->match[i].item == m->item &&
		           d->match[i].entry == m->entry && d->match[i].applied;
	printf("{\"kind\":\"%s\",\"bundle\":", kind[m->kind]);
	put_string(it->bundle);
	printf(",\"bundle_version\":%llu,\"%s\":", (unsigned long long)it->bundle_version,
	       pattern ? "rule" : "list");
	put_string(it->id);
	if (pattern) {
		printf(",\"offset\":%llu", (unsigned long long)m->offset);
	} else {
		char name[WR_RECORD_MAX / 64] = "";

		wr_ruleset_entry_name(rs, m->item, m->entry, name, sizeof(name));
		printf(",\"algo\":\"%s\",\"allow\":%s,\"entry\":", algo[m->algo % 4],
		       it->allow ? "true" : "false");
		put_string(name);
	}
	printf(",\"mode\":\"%s\",\"action\":\"%s\",\"applied\":%s}", mode[it->mode % 4],
	       wr_action_name((enum wr_action)it->action), applied ? "true" : "false");
}

static void put_result(const struct wr_ruleset *rs, const char *path, uint64_t cut,
                       const struct wr_offline_result *r)
{
	const struct wr_digests *d = &r->digests;

	fputs("{\"file\":", stdout);
	put_string(path);
	printf(",\"cut\":%llu,\"bytes\":%llu", (unsigned long long)cut,
	       (unsigned long long)r->bytes);
	if (r->io_error != 0) {
		fputs(",\"error\":", stdout);
		put_string(strerror(-r->io_error));
	}
	fputs(",\"type\":", stdout);
	if (r->type[0] != '\0')
		put_string(r->type);
	else
		fputs("null", stdout);
	printf(",\"verdict\":\"%s\",\"cause\":",
	       wr_verdict_name((enum wr_verdict)r->decision.verdict));
	if (r->decision.cause != WR_C_NONE)
		put_string(wr_cause_name((enum wr_cause)r->decision.cause));
	else
		fputs("null", stdout);
	printf(",\"found\":\"%s\",\"action\":\"%s\",\"would\":\"%s\",\"digests\":{",
	       wr_verdict_name((enum wr_verdict)r->found),
	       wr_action_name((enum wr_action)r->decision.action),
	       wr_action_name((enum wr_action)r->decision.would));
	put_hex("md5", d->md5, 16, (d->has & WR_HAS_MD5) != 0);
	putchar(',');
	put_hex("sha1", d->sha1, 20, (d->has & WR_HAS_SHA1) != 0);
	putchar(',');
	put_hex("sha256", d->sha256, 32, (d->has & WR_HAS_SHA256) != 0);
	printf("},\"coverage\":{\"received\":%llu,\"hashed\":%llu,\"pattern\":%llu},\"matches\":[",
	       (unsigned long long)r->bytes, (unsigned long long)(d->has != 0 ? r->bytes : 0),
	       (unsigned long long)r->scanned);
	for (uint32_t i = 0; i < r->nmatches; i++) {
		if (i != 0)
			putchar(',');
		put_match(rs, &r->match[i], &r->decision);
	}
	printf("],\"matches_cut\":%s}\n", r->more ? "true" : "false");
	fflush(stdout); /* the caller shows progress */
}

/* One job; 1 = the file could not be scanned. */
static int job(struct wr_offline *o, char *line)
{
	char *type = strchr(line, '\t'), *path = type == NULL ? NULL : strchr(type + 1, '\t');
	static struct wr_offline_result r;
	struct stat st;
	uint64_t cut;
	char *end;
	int fd;

	if (path == NULL) {
		fputs("weir-scan: a job is CUT<TAB>TYPE<TAB>PATH\n", stderr);
		return 1;
	}
	*type++ = '\0';
	*path++ = '\0';
	cut = strtoull(line, &end, 10);
	if (*end != '\0')
		cut = 0;
	/* O_NONBLOCK: a FIFO in a corpus folder must not stop the run. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
		memset(&r, 0, sizeof(r));
		r.io_error = fd < 0 ? -errno : -EISDIR;
		r.found = WR_V_ERROR;
		r.decision.verdict = WR_V_ERROR;
		r.decision.cause = WR_C_ENGINE;
	} else {
		wr_offline_scan(o, fd, cut, strcmp(type, "-") == 0 ? NULL : type, &r);
	}
	if (fd >= 0)
		close(fd);
	put_result(wr_offline_ruleset(o), path, cut, &r);
	return r.failed || r.io_error != 0;
}

static bool hex32(const char *s, uint8_t out[32])
{
	if (strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
		return false;
	for (int i = 0; i < 32; i++) {
		unsigned b;

		if (sscanf(s + 2 * i, "%2x", &b) != 1)
			return false;
		out[i] = (uint8_t)b;
	}
	return true;
}

static bool parse(int argc, char **argv, struct wr_offline_conf *c)
{
	static const struct option option[] = {
		{ "artifact", required_argument, NULL, 'a' },
		{ "meta", required_argument, NULL, 'm' },
		{ "region", required_argument, NULL, 'r' },
		{ "canary", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool meta = false;
	int o;

	while ((o = getopt_long(argc, argv, "h", option, NULL)) != -1)
		switch (o) {
		case 'a': c->dir = optarg; break;
		case 'm': meta = hex32(optarg, c->meta); break;
		case 'r': c->region = optarg; break;
		case 'c': c->canary = (uint32_t)(strtoul(optarg, NULL, 10) % 1000000); break;
		case 'h': fputs(usage, stdout); exit(0);
		default: return false;
		}
	return c->dir != NULL && meta && optind == argc;
}

int main(int argc, char **argv)
{
	struct wr_offline_conf c = { .region = "" };
	struct rlimit none = { 0, 0 };
	struct wr_offline *o;
	char err[256], *line = NULL;
	size_t room = 0;
	int bad = 0, rc;

	if (!parse(argc, argv, &c)) {
		fputs(usage, stderr);
		return 2;
	}
	/* Samples are what nobody wants on a disk twice: no core dumps, and no way to more rights.
	 */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	rc = wr_offline_new(&c, &o, err, sizeof(err));
	if (rc != 0) {
		fprintf(stderr, "weir-scan: %s\n", err);
		return 2;
	}
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		bad |= job(o, line);
	}
	free(line);
	wr_offline_free(o);
	return bad;
}
