/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: a comment line in front of a file moves every error down by one line and changes nothing
 * else; and an overlay only lowers. Byte 0 chooses the schema: manifest, rules, suppress, the test
 * cases, the overlay.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/cases.h"
#include "bundle/private.h"

static const struct wr_schema *const schema[] = { &wr_schema_manifest, &wr_schema_rules,
	                                          &wr_schema_suppressions, &wr_schema_cases,
	                                          &wr_schema_overlays };

/* What an overlay finds: one item of each mode, in rules and lists. */
static struct wr_bundle_rule rules[4];
static struct wr_bundle_list lists[4];

static void items(struct wr_bundle *b)
{
	for (int i = 0; i < 4; i++) {
		rules[i] = (struct wr_bundle_rule){ .id = (char *)(uintptr_t) "r",
			                            .mode = (uint8_t)i,
			                            .canary_ppm = 5000 };
		lists[i] = (struct wr_bundle_list){ .id = (char *)(uintptr_t) "l",
			                            .mode = (uint8_t)i,
			                            .canary_ppm = 5000 };
	}
	b->rules = rules;
	b->lists = lists;
	b->nrules = b->nlists = 4;
}

static void only_lowered(void)
{
	for (int i = 0; i < 4; i++) {
		WR_ASSERT(rules[i].mode <= i && lists[i].mode <= i);
		if (i == WR_ITEM_CANARY)
			WR_ASSERT(rules[i].canary_ppm <= 5000 && lists[i].canary_ppm <= 5000);
	}
}

static void run(const struct wr_schema *s, const uint8_t *p, size_t n, struct wr_bundle_errors *e,
                uint64_t counts[4])
{
	struct wr_bundle b = { .dirfd = -1 };
	struct wr_bundle_private priv = { 0 };
	struct wr_reader r = { .a = &priv.arena, .file = "f", .e = e, .b = &b };
	struct wr_node *root;
	int rc;

	b.priv = &priv;
	b.min_engine = b.name = (char *)(uintptr_t) "";
	rc = wr_yaml_parse(r.a, "f", p, n, &root, e);
	WR_ASSERT((rc == 0) == (e->nerrors == 0));
	if (rc == 0 && s == &wr_schema_cases) {
		struct wr_cases cases = { 0 };

		WR_ASSERT(wr_bundle_index(&r) == 0);
		WR_ASSERT(wr_schema_read(&r, s, root, &cases) == 0);
		b.version = cases.n;
	} else if (rc == 0 && s == &wr_schema_overlays) {
		items(&b);
		WR_ASSERT(wr_schema_read(&r, s, root, &b) == 0);
		only_lowered();
	} else if (rc == 0) {
		rc = wr_schema_read(&r, s, root, &b);
		WR_ASSERT(rc == 0 && wr_bundle_index(&r) == 0 && wr_bundle_check(&r) == 0);
	}
	counts[0] = b.nrules;
	counts[1] = b.nlists;
	counts[2] = b.nsuppress;
	counts[3] = b.version;
	wr_arena_free(&priv.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_bundle_errors a = { 0 }, b = { 0 };
	uint64_t ca[4], cb[4];
	uint8_t *shifted;

	/* A byte order mark means something only at the very start. */
	if (n < 2 || data[1] == 0xef || data[1] == 0xfe || data[1] == 0xff)
		return 0;
	shifted = malloc(n + 1);
	WR_ASSERT(shifted != NULL);
	memcpy(shifted, "#\n", 2);
	memcpy(shifted + 2, data + 1, n - 1);
	run(schema[data[0] % WR_COUNT_OF(schema)], data + 1, n - 1, &a, ca);
	run(schema[data[0] % WR_COUNT_OF(schema)], shifted, n + 1, &b, cb);
	WR_ASSERT(memcmp(ca, cb, sizeof(ca)) == 0);
	WR_ASSERT(a.n == b.n && a.nerrors == b.nerrors && a.nwarnings == b.nwarnings);
	for (uint32_t i = 0; i < a.n; i++)
		WR_ASSERT(a.e[i].line == 0 ? b.e[i].line == 0 : b.e[i].line == a.e[i].line + 1);
	wr_bundle_errors_free(&a);
	wr_bundle_errors_free(&b);
	free(shifted);
	return 0;
}
