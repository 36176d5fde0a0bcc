/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: where the bytes of a list are cut changes nothing: not the entries, not the counts, not the
 * answer. Byte 0 chooses the format (its value modulo the number of formats; 0 = auto), byte 1 the
 * size of the pieces, byte 2 the limit of bad lines; the rest is the file.
 */
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "bundle/import.h"

struct trace {
	uint64_t hash, n;
};

static void mix(struct trace *t, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		t->hash = (t->hash ^ b[i]) * 0x100000001b3ull;
}

static int on_entry(void *ctx, const struct wr_list_entry *e)
{
	struct trace *t = ctx;
	static const uint8_t len[WR_ALGO_COUNT] = { 16, 20, 32, 32 };

	WR_ASSERT(e->algo < WR_ALGO_COUNT && e->len == len[e->algo] && e->id != NULL);
	t->n++;
	mix(t, &e->algo, 1);
	mix(t, &e->deleted, 1);
	mix(t, &e->quality, 1);
	mix(t, e->digest, e->len);
	mix(t, &e->size, sizeof(e->size));
	mix(t, &e->line, sizeof(e->line));
	mix(t, e->id, strlen(e->id));
	return 0;
}

static int run(const struct wr_bundle_list *l, const uint8_t *p, size_t n, size_t piece,
               struct trace *t, struct wr_list_stats *st)
{
	struct wr_bundle_errors errs = { 0 };
	struct wr_import_job job = { .list = l,
		                     .now = 1795460400,
		                     .entry = on_entry,
		                     .ctx = t,
		                     .stats = st,
		                     .errors = &errs };
	struct wr_import *im;
	int rc = wr_import_new(&job, &im);

	WR_ASSERT(rc == 0);
	do {
		rc = 0;
		for (size_t at = 0; at < n && rc == 0; at += piece)
			rc = wr_import_feed(im, p + at, n - at < piece ? n - at : piece);
		if (rc == 0)
			rc = wr_import_end(im);
	} while (rc == 1);
	WR_ASSERT(rc <= 0);
	/* A refusal says why, and what says nothing is no refusal. */
	WR_ASSERT((rc == 0) == (errs.nerrors == 0));
	for (uint32_t i = 0; i < errs.n; i++) {
		mix(t, errs.e[i].message, strlen(errs.e[i].message));
		mix(t, &errs.e[i].line, sizeof(errs.e[i].line));
	}
	WR_ASSERT(st->bad_lines <= l->max_bad_lines || rc != 0);
	wr_import_free(im);
	wr_bundle_errors_free(&errs);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_bundle_list l = { .id = "l", .min_quality = 50 };
	struct wr_list_stats whole_st, cut_st;
	struct trace whole = { 0 }, cut = { 0 };
	int whole_rc, cut_rc;

	if (n < 3)
		return 0;
	l.format = data[0] % WR_LF_COUNT;
	l.path = l.format == WR_LF_TE ? "lists/a.HASH_PDQ.te" : "lists/a.te";
	l.max_bad_lines = data[2];
	whole_rc = run(&l, data + 3, n - 3, n, &whole, &whole_st);
	cut_rc = run(&l, data + 3, n - 3, 1u + data[1], &cut, &cut_st);
	WR_ASSERT(whole_rc == cut_rc && whole.n == cut.n && whole.hash == cut.hash);
	WR_ASSERT(memcmp(&whole_st, &cut_st, sizeof(whole_st)) == 0);
	return 0;
}
