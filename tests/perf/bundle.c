/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle.h"

#include <errno.h>
#include <ftw.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "perf.h"

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

static FILE *create(const struct bench_bundle *b, const char *name)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/b/%s", b->dir, name);
	f = fopen(path, "w");
	if (f == NULL)
		die(path, strerror(errno));
	return f;
}

/* Half of a word in the letters of the bench's text, half in any: text comes near to it now and
 * then. */
static void word(FILE *f, uint64_t *seed, uint32_t min, uint32_t max)
{
	static const char letters[] = "etaoinshrdlcumwfgypbvk";
	uint32_t n = min + (uint32_t)(perf_rand(seed) % (max - min + 1));

	for (uint32_t i = 0; i < n; i++) {
		uint64_t x = perf_rand(seed);

		fputc(i % 2 != 0 ? letters[(x % 22) * (x >> 32 & 1023) >> 10]
		                 : (char)('a' + x % 26),
		      f);
	}
}

static void bytes(FILE *f, uint64_t *seed, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "\\x%02x", (unsigned)(perf_rand(seed) & 0xff));
}

/* What signature sets are made of: words with something between, alternatives, binary markers. */
static void pattern(FILE *f, uint64_t *seed, uint32_t kind)
{
	switch (kind) {
	case 0:
	case 1:
	case 2:
		word(f, seed, 7, 11);
		fprintf(f, "[a-z0-9_]{1,%u}", 4 + (unsigned)(perf_rand(seed) % 12));
		word(f, seed, 6, 9);
		break;
	case 3:
	case 4:
		fputs("(?:", f);
		word(f, seed, 8, 12);
		fputc('|', f);
		word(f, seed, 8, 12);
		fputs(")\\s{0,3}[=:(]\\s{0,3}", f);
		word(f, seed, 6, 8);
		break;
	case 5:
	case 6:
		bytes(f, seed, 6);
		fprintf(f, ".{0,%u}", 8 + (unsigned)(perf_rand(seed) % 24));
		bytes(f, seed, 4);
		break;
	case 7: bytes(f, seed, 8); break;
	default: word(f, seed, 8, 14); fputs("\\d{2,6}", f);
	}
}

static void write_rules(const struct bench_bundle *b, uint32_t n)
{
	FILE *f = create(b, "rules/bench.yaml");
	uint64_t seed = 7;

	fprintf(f,
	        "rules:\n  - { id: planted, literal: '%s', action: flag, mode: enforce, "
	        "severity: low, description: planted }\n",
	        PEER_PLANT);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = (uint32_t)(perf_rand(&seed) % 10);

		fprintf(f, "  - id: r%u\n    pattern: '", i);
		pattern(f, &seed, kind);
		fprintf(f,
		        "'\n    flags: [%s]\n    action: flag\n    mode: enforce\n"
		        "    severity: low\n    description: bench\n",
		        kind == 9 ? "dotall, caseless" : "dotall");
	}
	fclose(f);
}

static void write_list(const struct bench_bundle *b, const char *name, uint32_t bytes_each,
                       uint32_t entries, const uint8_t *first)
{
	static const char digit[] = "0123456789abcdef";
	uint64_t seed = bytes_each;
	FILE *f = create(b, name);

	for (uint32_t i = 0; i < entries; i++) {
		char line[65];
		uint8_t d[32];

		for (uint32_t k = 0; k < 32; k += 8) {
			uint64_t x = perf_rand(&seed);

			memcpy(d + k, &x, 8);
		}
		if (i == 0 && first != NULL)
			memcpy(d, first, 32);
		for (uint32_t k = 0; k < bytes_each; k++) {
			line[2 * k] = digit[d[k] >> 4];
			line[2 * k + 1] = digit[d[k] & 15];
		}
		line[2 * bytes_each] = '\n';
		fwrite(line, 1, 2 * bytes_each + 1, f);
	}
	if (fclose(f) != 0)
		die(name, strerror(errno));
}

static void write_bundle(const struct bench_bundle *b, uint32_t rules, uint32_t entries,
                         const uint8_t *listed, uint32_t n)
{
	static const char *const list[3] = { "md5", "sha1", "sha256" };
	static const uint32_t size[3] = { 16, 20, 32 };
	uint8_t sha256[32];
	FILE *f = create(b, "manifest.yaml");

	fputs("format: weir-bundle/1\nname: bench\nversion: 1\ncreated: 2026-11-23T19:00:00Z\n"
	      "expires: 2099-01-01T00:00:00Z\nmin_engine: \"0.1\"\nlists:\n",
	      f);
	SHA256(listed, n, sha256);
	for (int i = 0; i < 3; i++) {
		char name[64];

		fprintf(f,
		        "  - { id: %s, file: lists/%s.txt, format: auto, class: deny, owner: "
		        "bench, "
		        "action: flag, mode: enforce, severity: low }\n",
		        list[i], list[i]);
		snprintf(name, sizeof(name), "lists/%s.txt", list[i]);
		write_list(b, name, size[i], entries, i == 2 ? sha256 : NULL);
	}
	fclose(f);
	write_rules(b, rules);
}

static void compile(const struct bench_bundle *b, const char *weir_compile, uint8_t meta[32])
{
	static char line[1 << 16];
	char cmd[512];
	const char *hex;
	size_t n;
	FILE *f;
	int rc;

	snprintf(cmd, sizeof(cmd), "'%s' --out '%s/out' '%s/b'", weir_compile, b->dir, b->dir);
	f = popen(cmd, "r");
	if (f == NULL)
		die(weir_compile, strerror(errno));
	n = fread(line, 1, sizeof(line) - 1, f);
	line[n] = '\0';
	rc = pclose(f);
	hex = strstr(line, "\"meta\":\"");
	if (rc != 0 || hex == NULL)
		die("the bench's bundle does not compile", line);
	for (int i = 0; i < 32; i++) {
		unsigned x;

		if (sscanf(hex + 8 + 2 * i, "%2x", &x) != 1)
			die("weir-compile", "no meta shard");
		meta[i] = (uint8_t)x;
	}
}

void bench_bundle_new(struct bench_bundle *b, const char *weir_compile, uint32_t rules,
                      uint32_t entries, const uint8_t *listed, uint32_t n)
{
	static const char *const sub[] = { "b", "b/rules", "b/lists", "out" };
	char path[128], err[256] = "";
	uint8_t meta[32];

	strcpy(b->dir, "/tmp/weir-bench-XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		die(b->dir, strerror(errno));
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, sub[i]);
		if (mkdir(path, 0700) != 0)
			die(path, strerror(errno));
	}
	write_bundle(b, rules, entries, listed, n);
	compile(b, weir_compile, meta);
	b->store = wr_shard_store_new();
	snprintf(path, sizeof(path), "%s/out", b->dir);
	if (wr_ruleset_load(b->store, path, meta, 1, "", &b->rs, err, sizeof(err)) != 0)
		die("the bench's ruleset does not load", err);
}

static int remove_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

void bench_bundle_free(struct bench_bundle *b)
{
	wr_ruleset_free(b->rs);
	wr_shard_store_free(b->store);
	nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
