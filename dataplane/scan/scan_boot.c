/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan/private.h"

static void set_allocator(void)
{
	hs_error_t rc = hs_set_stream_allocator(wr_scan_slot_alloc, wr_scan_slot_free);

	WR_ASSERT(rc == HS_SUCCESS);
}

struct wr_scan *wr_scan_new(uint32_t streams, uint32_t state_bytes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct wr_scan *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_once(&once, set_allocator);
	s->slot_bytes = (state_bytes + 63u) / 64u * 64u;
	s->slots = wr_pool_new("scan", streams, s->slot_bytes);
	s->st = wr_mem_alloc("scan streams", (streams + 1ull) * sizeof(*s->st));
	s->hits = wr_mem_alloc("scan hits", (streams + 1ull) * sizeof(*s->hits));
	if (s->slots == NULL || s->st == NULL || s->hits == NULL) {
		wr_scan_free(s);
		return NULL;
	}
	return s;
}

static void scratch_free(struct scan_scratch *x)
{
	if (x == NULL)
		return;
	hs_free_scratch(x->hs);
	free(x);
}

void wr_scan_free(struct wr_scan *s)
{
	if (s == NULL)
		return;
	scratch_free(atomic_load(&s->staged));
	scratch_free(atomic_load(&s->retired));
	scratch_free(s->scratch);
	hs_free_scratch(s->proto);
	wr_pool_free(s->slots);
	wr_mem_free(s->st);
	wr_mem_free(s->hits);
	free(s);
}

void wr_scan_engine(char *out, size_t n)
{
	const char *v = hs_version(); /* "5.4.0 2022-08-30": version, date of the build */

	snprintf(out, n, "%.*s", (int)strcspn(v, " "), v);
}

static int refuse(char *err, size_t n, int code, const char *what)
{
	if (n != 0)
		snprintf(err, n, "scan: %s", what);
	return code;
}

int wr_scan_stage(struct wr_scan *s, const struct wr_ruleset *rs, char *err, size_t n)
{
	uint32_t need = wr_ruleset_state_bytes(rs);
	struct scan_scratch *x;

	if (need > s->slot_bytes) {
		char line[120];

		snprintf(line, sizeof(line), "a stream needs %u bytes of state, slots have %u",
		         need, s->slot_bytes);
		return refuse(err, n, -E2BIG, line);
	}
	/* hs_alloc_scratch replaces what it grows, so it works on a scratch that nobody scans with.
	 */
	for (uint32_t g = 0; g < wr_ruleset_ngroups(rs); g++) {
		const struct hs_database *db = wr_ruleset_group_db(rs, g);

		if (db != NULL && hs_alloc_scratch(db, &s->proto) != HS_SUCCESS)
			return refuse(err, n, -ENOMEM, "no memory for scratch");
	}
	s->nrules = wr_max_u32(s->nrules, wr_ruleset_nrules(rs));
	x = calloc(1, sizeof(*x) + s->nrules * sizeof(x->fresh[0]));
	if (x == NULL)
		return refuse(err, n, -ENOMEM, "no memory for scratch");
	x->nrules = s->nrules;
	if (s->proto != NULL && hs_clone_scratch(s->proto, &x->hs) != HS_SUCCESS) {
		free(x);
		return refuse(err, n, -ENOMEM, "no memory for scratch");
	}
	/*
	 * Staged first: a worker that adopts between the two lines finds `retired` taken at most
	 * until the second one, and takes the new scratch when it opens its next stream.
	 */
	scratch_free(atomic_exchange_explicit(&s->staged, x, memory_order_acq_rel));
	scratch_free(atomic_exchange_explicit(&s->retired, NULL, memory_order_acq_rel));
	return 0;
}
