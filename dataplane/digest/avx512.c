/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The AVX-512 kernel: sixteen lanes, one 32-bit word of each per register.
 *
 * The rounds of the three algorithms are interleaved in the source, because each alone is a chain
 * of dependent steps that leaves half of the units idle.
 */
#include <immintrin.h>

#include "digest/kernel.h"

typedef uint32_t v __attribute__((vector_size(64)));

/* Truth tables of bit functions of three arguments. */
#define TERN(a, b, c, t) ((v)_mm512_ternarylogic_epi32((__m512i)(a), (__m512i)(b), (__m512i)(c), t))
#define XOR3(a, b, c)    TERN(a, b, c, 0x96)
#define CH(a, b, c)      TERN(a, b, c, 0xca)
#define MAJ(a, b, c)     TERN(a, b, c, 0xe8)
#define MD5_I(b, c, d)   TERN(b, c, d, 0x39) /* c ^ (b | ~d) */

#include "digest/lanes.h"

#define LO32(a, b)     ((v)_mm512_unpacklo_epi32((__m512i)(a), (__m512i)(b)))
#define HI32(a, b)     ((v)_mm512_unpackhi_epi32((__m512i)(a), (__m512i)(b)))
#define LO64(a, b)     ((v)_mm512_unpacklo_epi64((__m512i)(a), (__m512i)(b)))
#define HI64(a, b)     ((v)_mm512_unpackhi_epi64((__m512i)(a), (__m512i)(b)))
#define SHUF(a, b, by) ((v)_mm512_shuffle_i32x4((__m512i)(a), (__m512i)(b), by))

/* Rows ahead: a row is about 2,000 cycles, a miss to memory about 400. */
#define PREFETCH_ROWS 2u

/* 16 x 16 words, rows to columns. */
INLINE void transpose(v *r)
{
	v t[16];

#define STEP(i)                                                                                    \
	t[2 * (i)] = LO32(r[2 * (i)], r[2 * (i) + 1]);                                             \
	t[2 * (i) + 1] = HI32(r[2 * (i)], r[2 * (i) + 1]);
	REP8(STEP, 0)
#undef STEP
#define STEP(i)                                                                                    \
	r[4 * (i)] = LO64(t[4 * (i)], t[4 * (i) + 2]);                                             \
	r[4 * (i) + 1] = HI64(t[4 * (i)], t[4 * (i) + 2]);                                         \
	r[4 * (i) + 2] = LO64(t[4 * (i) + 1], t[4 * (i) + 3]);                                     \
	r[4 * (i) + 3] = HI64(t[4 * (i) + 1], t[4 * (i) + 3]);
	REP4(STEP, 0)
#undef STEP
#define STEP(i)                                                                                    \
	t[i] = SHUF(r[i], r[(i) + 4], 0x88);                                                       \
	t[(i) + 4] = SHUF(r[i], r[(i) + 4], 0xdd);                                                 \
	t[(i) + 8] = SHUF(r[(i) + 8], r[(i) + 12], 0x88);                                          \
	t[(i) + 12] = SHUF(r[(i) + 8], r[(i) + 12], 0xdd);
	REP4(STEP, 0)
#undef STEP
#define STEP(i)                                                                                    \
	r[i] = SHUF(t[i], t[(i) + 8], 0x88);                                                       \
	r[(i) + 8] = SHUF(t[i], t[(i) + 8], 0xdd);                                                 \
	r[(i) + 4] = SHUF(t[(i) + 4], t[(i) + 12], 0x88);                                          \
	r[(i) + 12] = SHUF(t[(i) + 4], t[(i) + 12], 0xdd);
	REP4(STEP, 0)
#undef STEP
}

INLINE v byte_swap(v x)
{
	const __m512i order = _mm512_broadcast_i32x4(
	        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));

	return (v)_mm512_shuffle_epi8((__m512i)x, order);
}

struct row {
	v md5[16], sha1[16], sha256[16]; /* the same words in each algorithm's order and schedule */
};

INLINE void load_row(const struct wr_digest_batch *b, uint32_t r, struct row *w, uint32_t algos)
{
	v raw[16];

#define STEP(i) raw[i] = (v)_mm512_loadu_si512(b->blk[r][i]);
	REP16(STEP, 0)
#undef STEP
	if (r + PREFETCH_ROWS < b->rows) {
#define STEP(i) _mm_prefetch((const char *)b->blk[r + PREFETCH_ROWS][i], _MM_HINT_T0);
		REP16(STEP, 0)
#undef STEP
	}
	transpose(raw);
#define STEP(i)                                                                                    \
	w->md5[i] = raw[i];                                                                        \
	w->sha1[i] = w->sha256[i] = byte_swap(raw[i]);
	REP16(STEP, 0)
#undef STEP
	/* Lanes whose message ends here: MD5 has its length words the other way round. */
	if ((algos & WR_HAS_MD5) != 0 && b->last[r] != 0) {
		__mmask16 k = b->last[r];

		w->md5[14] = (v)_mm512_mask_mov_epi32((__m512i)w->md5[14], k, (__m512i)w->sha1[15]);
		w->md5[15] = (v)_mm512_mask_mov_epi32((__m512i)w->md5[15], k, (__m512i)w->sha1[14]);
	}
}

struct state {
	v h[17]; /* WR_DIGEST_H_*: sha256, md5, sha1 */
};

INLINE void gather(const struct wr_digest_batch *b, struct state *s)
{
	uint32_t WR_ALIGNED(64) e[16];

#define STEP(i)                                                                                    \
	s->h[i] = (v)_mm512_loadu_si512(b->h[i]);                                                  \
	e[i] = b->h[i][16];
	REP16(STEP, 0)
#undef STEP
	transpose(s->h);
	s->h[16] = (v)_mm512_load_si512(e);
}

INLINE void scatter(const struct wr_digest_batch *b, struct state *s)
{
	uint32_t WR_ALIGNED(64) e[16];

	transpose(s->h);
	_mm512_store_si512(e, (__m512i)s->h[16]);
#define STEP(i)                                                                                    \
	_mm512_storeu_si512(b->h[i], (__m512i)s->h[i]);                                            \
	b->h[i][16] = e[i];
	REP16(STEP, 0)
#undef STEP
}

/* Adds a block's outcome to the lanes that are still alive. */
INLINE void join(v *h, const v *x, uint32_t n, __mmask16 live)
{
	for (uint32_t i = 0; i < n; i++)
		h[i] = (v)_mm512_mask_add_epi32((__m512i)h[i], live, (__m512i)h[i], (__m512i)x[i]);
}

INLINE void run(const struct wr_digest_batch *b, const uint32_t algos)
{
	const __m512i count = _mm512_loadu_si512(b->count);
	struct state s;

	gather(b, &s);
	for (uint32_t r = 0; r < b->rows; r++) {
		__mmask16 live = _mm512_cmpgt_epi32_mask(count, _mm512_set1_epi32((int)r));
		struct state x = s;
		struct row w;

		load_row(b, r, &w, algos);
#define STEP(i)                                                                                    \
	if ((algos & WR_HAS_SHA256) != 0)                                                          \
		sha256_step(x.h + WR_DIGEST_H_SHA256, w.sha256, i);                                \
	if ((algos & WR_HAS_SHA1) != 0)                                                            \
		sha1_step(x.h + WR_DIGEST_H_SHA1, w.sha1, i);                                      \
	if ((algos & WR_HAS_MD5) != 0)                                                             \
		md5_step(x.h + WR_DIGEST_H_MD5, w.md5, i);
		REP64(STEP, 0)
#undef STEP
#define STEP(i)                                                                                    \
	if ((algos & WR_HAS_SHA1) != 0)                                                            \
		sha1_step(x.h + WR_DIGEST_H_SHA1, w.sha1, i);
		REP16(STEP, 64)
#undef STEP
		if ((algos & WR_HAS_SHA256) != 0)
			join(s.h + WR_DIGEST_H_SHA256, x.h + WR_DIGEST_H_SHA256, 8, live);
		if ((algos & WR_HAS_MD5) != 0)
			join(s.h + WR_DIGEST_H_MD5, x.h + WR_DIGEST_H_MD5, 4, live);
		if ((algos & WR_HAS_SHA1) != 0)
			join(s.h + WR_DIGEST_H_SHA1, x.h + WR_DIGEST_H_SHA1, 5, live);
	}
	scatter(b, &s);
}

#define ONE(n)                                                                                     \
	__attribute__((noinline)) static void run_##n(const struct wr_digest_batch *b)             \
	{                                                                                          \
		run(b, n);                                                                         \
	}
ONE(1)
ONE(2)
ONE(3)
ONE(4)
ONE(5)
ONE(6)
ONE(7)

void wr_digest_kernel_avx512(const struct wr_digest_batch *b)
{
	static wr_digest_kernel *const by_algos[WR_DIGEST_MASKS] = {
		NULL, run_1, run_2, run_3, run_4, run_5, run_6, run_7,
	};

	by_algos[b->algos](b);
}
