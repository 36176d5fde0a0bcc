/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The AVX2 kernel: eight lanes, one 32-bit word of each per register; nine and more go as two
 * groups.
 *
 * Sixteen registers do not hold two algorithms at once, so the rounds of one run after the other on
 * words that were turned once.
 */
#include <immintrin.h>

#include "digest/kernel.h"

typedef uint32_t v __attribute__((vector_size(32)));

#define XOR3(a, b, c)  ((a) ^ (b) ^ (c))
#define CH(a, b, c)    ((((b) ^ (c)) & (a)) ^ (c))
#define MAJ(a, b, c)   ((((a) ^ (b)) & ((b) ^ (c))) ^ (b)) /* the next round reuses a ^ b */
#define MD5_I(b, c, d) ((c) ^ ((b) | ~(d)))

#include "digest/lanes.h"

#define LANES 8u
/* Rows ahead: half a group's row is about 2,000 cycles, a miss to memory about 400. */
#define PREFETCH_ROWS 2u

#define LO32(a, b)     ((v)_mm256_unpacklo_epi32((__m256i)(a), (__m256i)(b)))
#define HI32(a, b)     ((v)_mm256_unpackhi_epi32((__m256i)(a), (__m256i)(b)))
#define LO64(a, b)     ((v)_mm256_unpacklo_epi64((__m256i)(a), (__m256i)(b)))
#define HI64(a, b)     ((v)_mm256_unpackhi_epi64((__m256i)(a), (__m256i)(b)))
#define SHUF(a, b, by) ((v)_mm256_permute2x128_si256((__m256i)(a), (__m256i)(b), by))

/* 8 x 8 words, rows to columns. */
INLINE void transpose(v *r)
{
	v t[8], u[8];

#define STEP(i)                                                                                    \
	t[2 * (i)] = LO32(r[2 * (i)], r[2 * (i) + 1]);                                             \
	t[2 * (i) + 1] = HI32(r[2 * (i)], r[2 * (i) + 1]);
	REP4(STEP, 0)
#undef STEP
#define STEP(i)                                                                                    \
	u[4 * (i)] = LO64(t[4 * (i)], t[4 * (i) + 2]);                                             \
	u[4 * (i) + 1] = HI64(t[4 * (i)], t[4 * (i) + 2]);                                         \
	u[4 * (i) + 2] = LO64(t[4 * (i) + 1], t[4 * (i) + 3]);                                     \
	u[4 * (i) + 3] = HI64(t[4 * (i) + 1], t[4 * (i) + 3]);
	STEP(0)
	STEP(1)
#undef STEP
#define STEP(i)                                                                                    \
	r[i] = SHUF(u[i], u[(i) + 4], 0x20);                                                       \
	r[(i) + 4] = SHUF(u[i], u[(i) + 4], 0x31);
	REP4(STEP, 0)
#undef STEP
}

INLINE v byte_swap(v x)
{
	const __m256i order = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3,
	                                      12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);

	return (v)_mm256_shuffle_epi8((__m256i)x, order);
}

INLINE v load(const void *p)
{
	return (v)_mm256_loadu_si256(p);
}

/* All ones in the lanes of `bits`. */
INLINE v lane_mask(uint32_t bits)
{
	const v bit = { 1, 2, 4, 8, 16, 32, 64, 128 };

	return (v)((bit & bits) == bit);
}

/* The sixteen words of each lane's block, as MD5 reads them; the length words of a last block too.
 */
INLINE void load_row(const struct wr_digest_batch *b, uint32_t r, uint32_t first, v *w)
{
	uint32_t last = (uint32_t)b->last[r] >> first & 0xff;

#define STEP(i)                                                                                    \
	w[i] = load(b->blk[r][first + (i)]);                                                       \
	w[(i) + 8] = load(b->blk[r][first + (i)] + 32);
	REP8(STEP, 0)
#undef STEP
	if (r + PREFETCH_ROWS < b->rows) {
#define STEP(i) _mm_prefetch((const char *)b->blk[r + PREFETCH_ROWS][first + (i)], _MM_HINT_T0);
		REP8(STEP, 0)
#undef STEP
	}
	transpose(w);
	transpose(w + 8);
	if (last != 0) {
		v k = lane_mask(last), x = w[14], y = w[15];

		w[14] = (k & byte_swap(y)) | (~k & x);
		w[15] = (k & byte_swap(x)) | (~k & y);
	}
}

/* The same words as SHA reads them. */
INLINE void sha_row(const struct wr_digest_batch *b, uint32_t r, uint32_t first, const v *w, v *out)
{
	uint32_t last = (uint32_t)b->last[r] >> first & 0xff;

#define STEP(i) out[i] = byte_swap(w[i]);
	REP16(STEP, 0)
#undef STEP
	if (last != 0) {
		v k = lane_mask(last);

		out[14] = (k & w[15]) | (~k & out[14]);
		out[15] = (k & w[14]) | (~k & out[15]);
	}
}

struct state {
	v h[24]; /* WR_DIGEST_H_*: sha256, md5, sha1; the transposed words behind them are void */
};

INLINE void gather(const struct wr_digest_batch *b, uint32_t first, struct state *s)
{
	uint32_t WR_ALIGNED(32) e[8];

#define STEP(i)                                                                                    \
	s->h[i] = load(b->h[first + (i)]);                                                         \
	s->h[(i) + 8] = load(b->h[first + (i)] + 8);                                               \
	e[i] = b->h[first + (i)][16];
	REP8(STEP, 0)
#undef STEP
	transpose(s->h);
	transpose(s->h + 8);
	s->h[16] = load(e);
}

INLINE void scatter(const struct wr_digest_batch *b, uint32_t first, struct state *s)
{
	uint32_t WR_ALIGNED(32) e[8];

	transpose(s->h);
	transpose(s->h + 8);
	_mm256_store_si256((__m256i *)e, (__m256i)s->h[16]);
#define STEP(i)                                                                                    \
	_mm256_storeu_si256((__m256i *)b->h[first + (i)], (__m256i)s->h[i]);                       \
	_mm256_storeu_si256((__m256i *)(b->h[first + (i)] + 8), (__m256i)s->h[(i) + 8]);           \
	b->h[first + (i)][16] = e[i];
	REP8(STEP, 0)
#undef STEP
}

INLINE void md5_row(v *h, const v *w, v live)
{
	v s[4] = { h[0], h[1], h[2], h[3] };

#define STEP(i) md5_step(s, w, i);
	REP64(STEP, 0)
#undef STEP
#define STEP(i) h[i] += s[i] & live;
	REP4(STEP, 0)
#undef STEP
}

INLINE void sha1_row(v *h, v *w, v live)
{
	v s[5] = { h[0], h[1], h[2], h[3], h[4] };

#define STEP(i) sha1_step(s, w, i);
	REP64(STEP, 0)
	REP16(STEP, 64)
#undef STEP
#define STEP(i) h[i] += s[i] & live;
	REP4(STEP, 0)
	STEP(4)
#undef STEP
}

/* Beside each other: MD5 alone waits for itself most of the time. */
INLINE void md5_sha1_row(v *m, const v *mw, v *h, v *w, v live)
{
	v s[5] = { h[0], h[1], h[2], h[3], h[4] }, t[4] = { m[0], m[1], m[2], m[3] };

#define STEP(i)                                                                                    \
	sha1_step(s, w, i);                                                                        \
	md5_step(t, mw, i);
	REP64(STEP, 0)
#undef STEP
#define STEP(i) sha1_step(s, w, i);
	REP16(STEP, 64)
#undef STEP
#define STEP(i)                                                                                    \
	h[i] += s[i] & live;                                                                       \
	m[i] += t[i] & live;
	REP4(STEP, 0)
#undef STEP
	h[4] += s[4] & live;
}

INLINE void sha256_row(v *h, v *w, v live)
{
	v s[8] = { h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7] };

#define STEP(i) sha256_step(s, w, i);
	REP64(STEP, 0)
#undef STEP
#define STEP(i) h[i] += s[i] & live;
	REP8(STEP, 0)
#undef STEP
}

INLINE void run(const struct wr_digest_batch *b, uint32_t first, const uint32_t algos)
{
	const v count = load(b->count + first);
	struct state s;

	gather(b, first, &s);
	for (uint32_t r = 0; r < b->rows; r++) {
		v w[16], sha[16], live = (v)(count > r);

		load_row(b, r, first, w);
		if ((algos & (WR_HAS_MD5 | WR_HAS_SHA1)) == WR_HAS_MD5)
			md5_row(s.h + WR_DIGEST_H_MD5, w, live);
		if ((algos & WR_HAS_SHA1) != 0) {
			sha_row(b, r, first, w, sha);
			if ((algos & WR_HAS_MD5) != 0)
				md5_sha1_row(s.h + WR_DIGEST_H_MD5, w, s.h + WR_DIGEST_H_SHA1, sha,
				             live);
			else
				sha1_row(s.h + WR_DIGEST_H_SHA1, sha, live);
		}
		if ((algos & WR_HAS_SHA256) != 0) {
			sha_row(b, r, first, w, sha);
			sha256_row(s.h + WR_DIGEST_H_SHA256, sha, live);
		}
	}
	scatter(b, first, &s);
}

#define ONE(n)                                                                                     \
	__attribute__((noinline)) static void run_##n(const struct wr_digest_batch *b,             \
	                                              uint32_t first)                              \
	{                                                                                          \
		run(b, first, n);                                                                  \
	}
/* clang-format off: it takes these for the head of what follows */
ONE(1)
ONE(2)
ONE(3)
ONE(4)
ONE(5)
ONE(6)
ONE(7)
/* clang-format on */

void wr_digest_kernel_avx2(const struct wr_digest_batch *b)
{
	static void (*const by_algos[WR_DIGEST_MASKS])(const struct wr_digest_batch *, uint32_t) = {
		NULL, run_1, run_2, run_3, run_4, run_5, run_6, run_7,
	};

	for (uint32_t first = 0; first < b->lanes; first += LANES)
		by_algos[b->algos](b, first);
}
