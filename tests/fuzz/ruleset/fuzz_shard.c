/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a shard. The law: what the checks accept can be used in full, inside its own bytes:
 * a table finds an entry only where the whole digest is equal, a ruleset answers every question and
 * an object that hits nothing can be judged by all its conditions. (Databases are not handed to
 * Hyperscan: it believes them, which is why only this host's weir-compile makes them.)
 */
#include <stdlib.h>

#include "../../../dataplane/ruleset/shard_boot.c"
#include "scan/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void table(const struct wr_table *t)
{
	const uint8_t *digests = AT(t, t->digests);
	uint64_t n = wr_min_u64(t->digests.count, 64);
	uint8_t other[32] = { 1 };
	char name[80];

	if (t->shard.kind == WR_SHARD_PDQ)
		return;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *d = digests + i * t->digest_bytes;
		uint64_t at = wr_table_find(t, d, wr_table_hash(&t->key, d, t->digest_bytes));

		WR_ASSERT(at == WR_NO_ENTRY ||
		          memcmp(digests + at * t->digest_bytes, d, t->digest_bytes) == 0);
		wr_table_name(t, i, name, sizeof(name));
		WR_ASSERT(strlen(name) < sizeof(name));
	}
	wr_table_name(t, t->digests.count, name, sizeof(name));
	WR_ASSERT(name[0] == '\0');
	/* Tags can agree by chance or by spite; the digest decides. */
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t at = wr_table_find(t, other, i << 40 | i);

		WR_ASSERT(at == WR_NO_ENTRY ||
		          memcmp(digests + at * t->digest_bytes, other, t->digest_bytes) == 0);
	}
}

static void judge(const struct wr_ruleset *rs)
{
	static struct wr_stats stats;
	struct wr_lcore lc = { .stats = &stats };
	struct wr_scan *s = wr_scan_new(1, wr_ruleset_state_bytes(rs));
	const struct wr_hit *h;
	char err[160];
	bool more;
	uint32_t st;

	if (s == NULL)
		return;
	WR_ASSERT(wr_scan_stage(s, rs, err, sizeof(err)) == 0);
	st = wr_scan_open(&lc, s, rs);
	WR_ASSERT(st != 0);
	wr_scan_type(&lc, s, st, "image/jpeg");
	wr_scan_end(&lc, s, st);
	WR_ASSERT(wr_scan_hits(s, st, &h, &more) <= WR_SCAN_HITS);
	for (uint32_t i = 0; i < wr_scan_hits(s, st, &h, &more); i++)
		WR_ASSERT(h[i].rule < wr_ruleset_nrules(rs));
	wr_scan_close(&lc, s, st);
	wr_scan_free(s);
}

static void meta(struct wr_shard_store *s)
{
	struct wr_record_bundle bundle[WR_RECORD_BUNDLES];
	struct wr_digests d = { .has = 15 };
	struct wr_match match[8];
	struct wr_ruleset *rs;
	char err[256] = "", name[8];
	size_t sum = 0;

	if (wr_ruleset_new(s, s->e[0]->sha256, 1, "EU", &rs, err, sizeof(err)) != 0) {
		WR_ASSERT(rs == NULL && err[0] != '\0');
		return;
	}
	for (uint32_t i = 0; i < wr_ruleset_nrules(rs); i++)
		sum += strlen(wr_ruleset_rule(rs, i)->id) + strlen(wr_ruleset_rule(rs, i)->bundle);
	for (uint32_t i = 0; i < wr_ruleset_nlists(rs); i++) {
		sum += strlen(wr_ruleset_list(rs, i)->id);
		wr_ruleset_entry_name(rs, i, i, name, sizeof(name));
	}
	sum += wr_ruleset_types(rs, "image/jpeg");
	sum += wr_ruleset_bundles(rs, bundle, WR_RECORD_BUNDLES);
	WR_ASSERT(wr_ruleset_lookup(rs, &d, match, 8) == 0); /* no table came with it */
	judge(rs);
	wr_ruleset_free(rs);
	__asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t sha256[32] = { 7 };
	struct wr_shard_store *s;
	char err[256];
	void *p;

	if (n < sizeof(struct wr_shard))
		return 0;
	/* Of its own size, so that a sanitizer sees the first byte outside. */
	if (posix_memalign(&p, 64, n) != 0)
		return 0;
	memcpy(p, data, n);
	s = wr_shard_store_new();
	struct view v = { .p = p };
	if (add_view(s, &v, n, sha256, err, sizeof(err)) == 0) {
		switch (s->e[0]->kind) {
		case WR_SHARD_META: meta(s); break;
		case WR_SHARD_HSDB: break;
		default: table(p);
		}
		WR_ASSERT(s->e[0]->refs == 0);
		free(s->e[0]); /* not mapped: the store must not unmap it */
		s->n = 0;
	}
	free(p);
	wr_shard_store_free(s);
	return 0;
}
