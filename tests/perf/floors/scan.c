/* SPDX-License-Identifier: BSD-3-Clause */
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>

#include "../perf.h"
#include "floors.h"

#define AHEAD 2u

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *ctx)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	(void)ctx;
	return 0;
}

static void *aligned(size_t n)
{
	return aligned_alloc(64, (n + 63) & ~(size_t)63);
}

static void fetch(const void *p, uint32_t lines)
{
	for (uint32_t i = 0; i < lines; i++)
		__builtin_prefetch((const char *)p + 64 * i);
}

static double pass(const struct floor_set *s, hs_stream_t **stream, hs_scratch_t *scratch,
                   uint32_t state_lines)
{
	double t = perf_cpu_ns();

	for (uint32_t k = 0; k < s->pieces; k++) {
		uint32_t next = k + AHEAD < s->pieces ? k + AHEAD : 0;

		fetch(s->piece[next], 8);
		fetch(stream[next % s->streams], state_lines);
		if (hs_scan_stream(stream[k % s->streams], (const char *)s->piece[k], s->len, 0,
		                   scratch, on_match, NULL) != HS_SUCCESS)
			abort();
	}
	return perf_cpu_ns() - t;
}

double floor_scan(const struct floor_set *s, const struct hs_database *db)
{
	hs_stream_t **stream = calloc(s->streams, sizeof(hs_stream_t *));
	hs_scratch_t *scratch = NULL;
	size_t bytes = 0;
	double t;

	hs_set_stream_allocator(aligned, free);
	if (stream == NULL || hs_alloc_scratch(db, &scratch) != HS_SUCCESS ||
	    hs_stream_size(db, &bytes) != HS_SUCCESS)
		abort();
	for (uint32_t i = 0; i < s->streams; i++)
		if (hs_open_stream(db, 0, &stream[i]) != HS_SUCCESS)
			abort();
	pass(s, stream, scratch, (uint32_t)(bytes / 64 + 1));
	t = pass(s, stream, scratch, (uint32_t)(bytes / 64 + 1));
	for (uint32_t i = 0; i < s->streams; i++)
		hs_close_stream(stream[i], NULL, NULL, NULL);
	hs_free_scratch(scratch);
	hs_set_stream_allocator(NULL, NULL);
	free(stream);
	return t / ((double)s->pieces * s->len);
}
