/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shards in, answers out: what is refused at the door, which lists answer where, what a suppression
 * takes away, and that a shard with any word changed is refused or harmless.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include "../scan/engine.h"
#include "ruleset/private.h"

#define MD5_A  "00112233445566778899aabbccddeeff"
#define MD5_B  "ffeeddccbbaa99887766554433221100"
#define SHA1_A "000102030405060708090a0b0c0d0e0f10111213"
#define SHA2_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define ENTRY  ", class: deny, owner: o, action: block, severity: high, basis: b"

#define MANY 60000u /* SHA-256 entries: beyond 2 MiB a shard is copied to huge pages */

static void many(void)
{
	char *text = malloc(MANY * 65 + 1), *p = text;

	for (uint32_t i = 0; i < MANY; i++)
		p += sprintf(p, "%08x%056x\n", i * 2654435761u, i + 1);
	folder_put("lists/many", text);
	free(text);
}

static void write_bundle(void)
{
	folder_new();
	folder_put("manifest.yaml", MANIFEST
	           "meta: { category: whole }\n"
	           "lists:\n"
	           "  - { id: all, file: lists/all, format: auto, mode: enforce, "
	           "meta: { category: own } " ENTRY " }\n"
	           "  - { id: eu, file: lists/eu, format: auto, mode: shadow, regions: [EU]" ENTRY
	           " }\n"
	           "  - { id: off, file: lists/eu, format: auto, mode: 'off'" ENTRY " }\n"
	           "  - { id: ok, file: lists/ok, format: auto, mode: enforce, class: allow, "
	           "owner: o, action: flag, severity: low, basis: b }\n"
	           "  - { id: theirs, file: lists/ok, format: auto, mode: enforce, class: allow, "
	           "owner: p, action: flag, severity: low, basis: b }\n"
	           "  - { id: many, file: lists/many, format: auto, mode: enforce" ENTRY " }\n");
	many();
	folder_put("lists/all", MD5_A "  a.bin\n" SHA1_A "  b.bin\n" SHA2_A "  c.bin\n" MD5_B "\n");
	folder_put("lists/eu", MD5_A "\n");
	folder_put("lists/ok", MD5_B "\n");
	folder_put("suppress.yaml", "suppress:\n"
	                            "  - { item: 'list:all', digest: 'md5:" MD5_B
	                            "', reason: r, ticket: t, expires: 2046-12-01T00:00:00Z }\n"
	                            "  - { item: 'list:eu', digest: 'md5:" MD5_A
	                            "', reason: r, ticket: t, expires: 2020-12-01T00:00:00Z }\n");
	folder_put(
	        "rules/r.yaml",
	        "rules:\n"
	        "  - { id: a, literal: 'aaaa', types: [image/jpeg], action: none, mode: enforce }\n"
	        "  - { id: b, literal: 'bbbb', action: block, mode: canary, canary_percent: 2.5 }\n"
	        "  - { id: c, condition: '!a & b', action: flag, mode: enforce }\n");
}

static void unhex(const char *s, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned b = 0;

		(void)sscanf(s + 2 * i, "%2x", &b);
		out[i] = (uint8_t)b;
	}
}

static struct wr_match found[8];

static uint32_t ask(const char *md5, const char *sha1, const char *sha256)
{
	struct wr_digests d = { 0 };

	if (md5 != NULL) {
		unhex(md5, d.md5, 16);
		d.has |= WR_HAS_MD5;
	}
	if (sha1 != NULL) {
		unhex(sha1, d.sha1, 20);
		d.has |= WR_HAS_SHA1;
	}
	if (sha256 != NULL) {
		unhex(sha256, d.sha256, 32);
		d.has |= WR_HAS_SHA256;
	}
	return wr_ruleset_lookup(engine_rs, &d, found, 8);
}

static const struct wr_item *item(uint32_t i)
{
	return wr_ruleset_list(engine_rs, found[i].item);
}

static bool hit(uint32_t n, const char *id)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(item(i)->id, id) == 0)
			return true;
	return false;
}

static void load(const char *region)
{
	char err[256] = "";

	wr_ruleset_free(engine_rs);
	IS(engine_load(region, err, sizeof(err)), 0, "loads for region `%s` %s", region, err);
}

static uint32_t owner_of(const char *id)
{
	for (uint32_t i = 0; i < wr_ruleset_nlists(engine_rs); i++)
		if (strcmp(wr_ruleset_list(engine_rs, i)->id, id) == 0)
			return wr_ruleset_list(engine_rs, i)->owner;
	return UINT32_MAX;
}

static void lists(void)
{
	struct wr_record_bundle b[2];
	char name[80];
	uint32_t n;

	load("EU");
	n = ask(MD5_A, NULL, NULL);
	OK(n == 2 && hit(n, "all") && hit(n, "eu"), "a digest on two lists: both answer");
	OK(found[0].kind == WR_MATCH_EXACT && found[0].algo == WR_ALGO_MD5, "as exact matches");
	for (uint32_t i = 0; i < n; i++) {
		bool own = strcmp(item(i)->id, "all") == 0;

		OK(strcmp(item(i)->category, own ? "own" : "whole") == 0,
		   "list %s: its own category, or its bundle's", item(i)->id);
		OK(strcmp(item(i)->basis, "b") == 0, "and its basis");
	}
	OK(strcmp(wr_ruleset_rule(engine_rs, 0)->category, "whole") == 0,
	   "a rule has its bundle's category too");
	n = ask(NULL, SHA1_A, NULL);
	OK(n == 1 && hit(n, "all") && found[0].algo == WR_ALGO_SHA1, "SHA-1");
	wr_ruleset_entry_name(engine_rs, found[0].item, found[0].entry, name, sizeof(name));
	OK(strcmp(name, "b.bin") == 0, "with the entry's own id: %s", name);
	n = ask(NULL, NULL, SHA2_A);
	OK(n == 1 && hit(n, "all") && found[0].algo == WR_ALGO_SHA256, "SHA-256");
	IS(ask(MD5_A, SHA1_A, SHA2_A), 4, "all three at once");
	n = ask(MD5_B, NULL, NULL);
	OK(n == 2 && hit(n, "ok") && hit(n, "theirs"), "a suppressed entry does not answer");
	OK(item(0)->allow == 1 && item(1)->allow == 1, "allow lists answer as such");
	OK(owner_of("all") == owner_of("ok") && owner_of("ok") != owner_of("theirs"),
	   "owners are told apart");
	n = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		char hex[65];

		sprintf(hex, "%08x%056x", i * 2654435761u, i + 1);
		n += ask(NULL, NULL, hex);
		hex[63] ^= 1;
		n += ask(NULL, NULL, hex) << 20;
	}
	IS(n, MANY, "a table on huge pages knows its own and no other");
	IS(ask(NULL, SHA1_A "00", NULL), 1, "bytes behind a digest do not count");
	IS(wr_ruleset_algos(engine_rs), WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256,
	   "digests asked for");
	IS(wr_ruleset_bundles(engine_rs, b, 2), 1, "one bundle");
	OK(strcmp(b[0].name, "core") == 0 && b[0].version == 7, "with name and version");
	load("US");
	n = ask(MD5_A, NULL, NULL);
	OK(n == 1 && hit(n, "all"), "a list is silent outside its regions");
	load("");
	n = ask(MD5_A, NULL, NULL);
	OK(n == 1 && hit(n, "all"), "also where no region is configured");
}

static void items(void)
{
	const struct wr_item *b = NULL;

	for (uint32_t i = 0; i < wr_ruleset_nrules(engine_rs); i++)
		if (strcmp(wr_ruleset_rule(engine_rs, i)->id, "b") == 0)
			b = wr_ruleset_rule(engine_rs, i);
	OK(b != NULL && b->mode == WR_ITEM_CANARY && b->canary_ppm == 25000, "canary: 2.5 %%");
	OK(b != NULL && b->action == WR_A_BLOCK && b->kind == WR_MATCH_PATTERN, "action and kind");
	OK(b != NULL && strcmp(b->bundle, "core") == 0 && b->bundle_version == 7,
	   "and whose it is");
	wr_ruleset_open(engine_rs, 3);
	wr_ruleset_open(engine_rs, 0);
	IS(wr_ruleset_open_count(engine_rs), 2, "open uploads are counted over workers");
	wr_ruleset_close(engine_rs, 3);
	wr_ruleset_close(engine_rs, 0);
	IS(wr_ruleset_open_count(engine_rs), 0, "down to none");
}

/* --- the door ------------------------------------------------------------------------------------
 */

static uint8_t *slurp(const char *hex, size_t *n)
{
	char path[256];
	uint8_t *p = malloc(4 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s.out/%.64s.shard", folder, hex);
	f = fopen(path, "rb");
	if (f == NULL || p == NULL)
		abort();
	*n = fread(p, 1, 4 << 20, f);
	fclose(f);
	return p;
}

static int memfd_of(const void *p, size_t n, bool seal)
{
	int fd = memfd_create("shard", MFD_ALLOW_SEALING);

	if (write(fd, p, n) != (ssize_t)n)
		abort();
	if (seal && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		abort();
	return fd;
}

static void door(void)
{
	struct wr_shard_store *s = wr_shard_store_new();
	struct wr_ruleset *rs;
	uint8_t sha[EVP_MAX_MD_SIZE], *p;
	char err[256];
	size_t n;
	int fd;

	p = slurp(strstr(compile_line, "\"meta\":\"") + 8, &n);
	EVP_Digest(p, n, sha, NULL, EVP_sha256(), NULL);
	fd = memfd_of(p, n, false);
	IS(wr_shard_add(s, fd, n, sha, err, sizeof(err)), -EPERM, "not sealed");
	close(fd);
	fd = memfd_of(p, n, true);
	IS(wr_shard_add(s, fd, n + 1, sha, err, sizeof(err)), -EPROTO, "another length");
	sha[0] ^= 1;
	IS(wr_shard_add(s, fd, n, sha, err, sizeof(err)), -EBADMSG, "another hash");
	OK(!wr_shard_have(s, sha), "what is refused is not there");
	sha[0] ^= 1;
	IS(wr_shard_add(s, fd, n, sha, err, sizeof(err)), 0, "sealed and whole: taken");
	IS(wr_shard_add(s, fd, n, sha, err, sizeof(err)), 0, "again: nothing to do");
	close(fd);
	OK(wr_shard_have(s, sha), "it is there");
	IS(wr_ruleset_new(s, sha, 1, "EU", &rs, err, sizeof(err)), -ENOENT,
	   "but what it names is not");
	OK(rs == NULL && err[0] != '\0', "and it says so: %s", err);
	wr_shard_sweep(s);
	OK(!wr_shard_have(s, sha), "swept away, as nobody uses it");
	IS(wr_ruleset_new(s, sha, 1, "EU", &rs, err, sizeof(err)), -ENOENT,
	   "no meta shard, no ruleset");
	wr_shard_store_free(s);
	free(p);
}

/* Every word of every shard set to values that hurt: refused, or used without leaving the shard. */
static void words(void)
{
	static const uint64_t bad[] = { 0, 1, 0x7fffffff, 0xffffffff, UINT64_MAX, 1ull << 40 };
	const char *hex = strstr(compile_line, "\"shards\":[");
	uint32_t refused = 0, accepted = 0;

	for (hex += strlen("\"shards\":["); *hex == '"'; hex += hex[66] == ',' ? 67 : 66) {
		size_t n;
		uint8_t *p = slurp(hex + 1, &n), *q;

		if (n > 65536) { /* copied too often to be quick; its head is like the others' */
			free(p);
			continue;
		}
		if (posix_memalign((void **)&q, 64, n) != 0)
			abort();
		for (size_t at = 0; at + 8 <= n && at < 512; at += 4)
			for (size_t v = 0; v < WR_COUNT_OF(bad); v++) {
				const struct wr_table *t = (const void *)q;
				char name[80];

				memcpy(q, p, n);
				memcpy(q + at, &bad[v], at % 8 == 0 ? 8 : 4);
				if (wr_check_shard(q, n) != NULL) {
					refused++;
					continue;
				}
				accepted++;
				if (t->shard.kind != WR_SHARD_DIGEST)
					continue;
				for (uint64_t i = 0; i < t->digests.count; i++) {
					const uint8_t *d = q + t->digests.off + i * t->digest_bytes;

					(void)wr_table_find(
					        t, d, wr_table_hash(&t->key, d, t->digest_bytes));
					wr_table_name(t, i, name, sizeof(name));
				}
			}
		free(q);
		free(p);
	}
	OK(refused > 500, "%u changes refused", refused);
	OK(accepted > 0, "%u harmless", accepted);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	weir_compile_path = argv[1];
	write_bundle();
	if (engine_compile("") != 0) {
		printf("Bail out! %s\n", compile_line);
		return 1;
	}
	lists();
	items();
	door();
	words();
	engine_down();
	return tap_done();
}
