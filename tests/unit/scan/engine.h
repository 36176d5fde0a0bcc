/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine - for tests: a bundle in a folder, compiled by the real weir-compile, loaded and scanned
 * with.
 */
#ifndef WR_TESTS_SCAN_ENGINE_H
#define WR_TESTS_SCAN_ENGINE_H

#include <sys/stat.h>

#include "../bundle/folder.h"
#include "ruleset/ruleset.h"
#include "scan/scan.h"
#include "tap.h"

#define MANIFEST                                                                                   \
	"format: weir-bundle/1\nname: core\nversion: 7\n"                                          \
	"created: 2026-11-23T19:00:00Z\nexpires: 2046-12-23T00:00:00Z\nmin_engine: \"0.1\"\n"

static const char *weir_compile_path;
static char compile_line[65536]; /* what weir-compile said last */
static struct wr_shard_store *engine_store;
static struct wr_ruleset *engine_rs;
static struct wr_scan *engine_scan;
static struct wr_stats engine_stats;
static struct wr_lcore engine_lc = { .stats = &engine_stats };

/* Runs weir-compile over the folder into folder/out (not a part of the bundle); its exit status. */
__attribute__((unused)) static int engine_compile(const char *args)
{
	char cmd[1024];
	FILE *f;
	size_t n;

	snprintf(cmd, sizeof(cmd), "mkdir -p %s.out && %s --out %s.out %s %s", folder,
	         weir_compile_path, folder, args, folder);
	f = popen(cmd, "r");
	if (f == NULL)
		abort();
	n = fread(compile_line, 1, sizeof(compile_line) - 1, f);
	compile_line[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

static int engine_hex(const char *s, uint8_t *out)
{
	for (int i = 0; i < 32; i++) {
		unsigned b;

		if (sscanf(s + 2 * i, "%2x", &b) != 1)
			return -1;
		out[i] = (uint8_t)b;
	}
	return 0;
}

/* Loads what was compiled last. */
__attribute__((unused)) static int engine_load(const char *region, char *err, size_t size)
{
	const char *meta = strstr(compile_line, "\"meta\":\"");
	uint8_t sha256[32];
	char dir[96];

	if (meta == NULL || engine_hex(meta + 8, sha256) != 0)
		return -1;
	snprintf(dir, sizeof(dir), "%s.out", folder);
	if (engine_store == NULL)
		engine_store = wr_shard_store_new();
	return wr_ruleset_load(engine_store, dir, sha256, 1, region, &engine_rs, err, size);
}

/* Compiles, loads, makes slots; says why not and ends the test when anything fails. */
__attribute__((unused)) static void engine_up(uint32_t streams)
{
	char err[256] = "";

	if (engine_compile("") != 0 || engine_load("", err, sizeof(err)) != 0) {
		printf("Bail out! %s %s\n", compile_line, err);
		exit(1);
	}
	engine_scan = wr_scan_new(streams, wr_ruleset_state_bytes(engine_rs));
	if (engine_scan == NULL || wr_scan_stage(engine_scan, engine_rs, err, sizeof(err)) != 0) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	wr_scan_enter(engine_scan);
}

__attribute__((unused)) static void engine_down(void)
{
	char dir[96];

	wr_scan_free(engine_scan);
	wr_ruleset_free(engine_rs);
	wr_shard_store_free(engine_store);
	engine_scan = NULL;
	engine_rs = NULL;
	engine_store = NULL;
	snprintf(dir, sizeof(dir), "%s.out", folder);
	folder_remove();
	strcpy(folder, dir);
	folder_remove();
}

/* Scans one piece; 1 = new hits, -1 = the engine failed. */
__attribute__((unused)) static int engine_feed(uint32_t stream, const void *p, size_t n)
{
	/* A copy of its own size: a sanitizer sees one byte too many. */
	uint8_t *copy = malloc(n + (n == 0));
	struct wr_scan_job job = { .stream = stream, .piece = { .p = copy, .len = (uint32_t)n } };

	memcpy(copy, p, n);
	wr_scan_burst(&engine_lc, engine_scan, &job, 1);
	free(copy);
	return job.failed ? -1 : job.hit;
}

/* Is the rule of this id among the hits? Its end offset, or -1. */
__attribute__((unused)) static long long engine_hit(uint32_t stream, const char *id)
{
	const struct wr_hit *h;
	bool more;
	uint32_t n = wr_scan_hits(engine_scan, stream, &h, &more);

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(wr_ruleset_rule(engine_rs, h[i].rule)->id, id) == 0)
			return (long long)h[i].offset;
	return -1;
}

#endif
