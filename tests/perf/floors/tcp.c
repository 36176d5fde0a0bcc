/* SPDX-License-Identifier: BSD-3-Clause */
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "../perf.h"
#include "floors.h"

#define HEAD 54u /* headers stand before each payload */

struct entry {
	uint64_t key;
	uint32_t seq, frames;
	uint64_t pad[6];
};

static volatile uint64_t sink;

__attribute__((target("avx2"))) static uint64_t add_up(const uint8_t *p, uint32_t n)
{
	__m256i a = _mm256_setzero_si256(), z = a, b = a;
	uint64_t lane[4], s;
	uint32_t i;

	/* 32-bit words widened to 64: no carry can be lost. */
	for (i = 0; i + 32 <= n; i += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(p + i));

		a = _mm256_add_epi64(a, _mm256_unpacklo_epi32(v, z));
		b = _mm256_add_epi64(b, _mm256_unpackhi_epi32(v, z));
	}
	_mm256_storeu_si256((__m256i *)lane, _mm256_add_epi64(a, b));
	s = lane[0] + lane[1] + lane[2] + lane[3];
	for (; i + 4 <= n; i += 4) {
		uint32_t w;

		memcpy(&w, p + i, 4);
		s += w;
	}
	return s;
}

static uint64_t hash(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 32;
}

static double pass(const struct floor_set *s, struct entry *table, uint64_t mask)
{
	double t = perf_cpu_ns();
	uint64_t sum = 0;

	for (uint32_t k = 0; k < s->pieces; k++) {
		const uint8_t *f = s->piece[k] - HEAD;
		const uint8_t *ahead = s->piece[k + 2 < s->pieces ? k + 2 : 0] - HEAD;
		uint64_t conn = k % s->streams + 1;
		struct entry *e = &table[hash(conn) & mask];
		uint32_t ports, seq;

		for (uint32_t i = 0; i < s->len + HEAD; i += 64)
			__builtin_prefetch(ahead + i);
		__builtin_prefetch(&table[hash((k + 2) % s->streams + 1) & mask]);
		memcpy(&ports, f + 34, 4);
		memcpy(&seq, f + 38, 4);
		while (e->key != 0 && e->key != conn)
			e = e == &table[mask] ? table : e + 1;
		e->key = conn;
		e->frames += f[12] == 8 && f[23] == 6 && e->seq != seq && ports != 0;
		e->seq = seq;
		sum += add_up(s->piece[k], s->len);
	}
	sink = sum;
	return perf_cpu_ns() - t;
}

double floor_tcp(const struct floor_set *s)
{
	uint64_t size = 1024;
	struct entry *table;
	double t;

	while (size < 2ull * s->streams)
		size *= 2;
	table = aligned_alloc(64, size * sizeof(*table));
	if (table == NULL)
		abort();
	memset(table, 0, size * sizeof(*table));
	pass(s, table, size - 1);
	t = pass(s, table, size - 1);
	free(table);
	return t / ((double)s->pieces * s->len);
}

double floor_memcpy(const struct floor_set *s)
{
	static uint8_t to[65536];
	double t = 0;

	for (int i = 0; i < 2; i++) {
		t = perf_cpu_ns();
		for (uint32_t k = 0; k < s->pieces; k++) {
			memcpy(to, s->piece[k], s->len);
			__asm__ volatile("" ::: "memory");
		}
		t = perf_cpu_ns() - t;
	}
	return t / ((double)s->pieces * s->len);
}

/* --- digests -------------------------------------------------------------------------------------
 */

struct line {
	uint64_t slot[8]; /* 32 bits of the digest, 32 bits of entry number + 1 */
};

double floor_lookup(uint32_t n)
{
	uint64_t lines = 1024, seed = 5, found = 0;
	uint8_t(*full)[32] = malloc((size_t)n * 32);
	struct line *table;
	const uint32_t queries = 1000000;
	double t;

	while (lines * 8 < (uint64_t)n * 2)
		lines *= 2;
	table = aligned_alloc(64, lines * sizeof(*table));
	if (table == NULL || full == NULL)
		abort();
	memset(table, 0, lines * sizeof(*table));
	for (uint32_t i = 0; i < n; i++) {
		uint64_t w[4];

		for (int k = 0; k < 4; k++)
			w[k] = perf_rand(&seed);
		memcpy(full[i], w, 32);
		for (int k = 0; k < 8; k++) {
			struct line *l = &table[w[0] & (lines - 1)];

			if (l->slot[k] != 0)
				continue;
			l->slot[k] = w[1] >> 32 << 32 | (i + 1);
			break;
		}
	}
	t = perf_cpu_ns();
	for (uint32_t q = 0; q < queries; q++) {
		uint64_t a = perf_rand(&seed), b = perf_rand(&seed);
		const struct line *l = &table[a & (lines - 1)];

		for (int k = 0; k < 8; k++)
			if (l->slot[k] >> 32 == b >> 32 && l->slot[k] != 0)
				found += memcmp(full[(uint32_t)l->slot[k] - 1], &a, 8) == 0;
	}
	t = perf_cpu_ns() - t;
	sink = found;
	free(table);
	free(full);
	return t / queries;
}
