/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SHA-NI kernel: one upload, or two side by side, SHA instructions beside MD5 in scalar
 * registers.
 *
 * MD5 of one upload is a chain of some 290 cycles per block that fills a fifth of the machine; both
 * SHA of the same block fit in its shadow, if they stand close enough in the instruction stream for
 * the core to see them together (a few hundred instructions). So the steps are interleaved by hand.
 * A second upload beside it doubles the work at little cost, as each chain waits for itself alone;
 * there the vector registers do not hold four SHA states with their schedules, so SHA-256 goes with
 * the first half of MD5 and SHA-1 with the second.
 */
#include <immintrin.h>
#include <string.h>

#include "digest/kernel.h"
#include "digest/tables.h"

#define INLINE static inline __attribute__((always_inline))

struct one { /* an upload at work: chaining values in registers, the block being read */
	uint32_t a, b, c, d;
	__m128i sha256[2], sha256_w[4]; /* ABEF, CDGH */
	__m128i sha1, sha1_e, sha1_w[4];
	const uint8_t *p, *md5_p;
};

/* --- MD5, scalar
 * ------------------------------------------------------------------------------------ */

/*
 * Assembly, because compilers tie the sums of a step into one chain, and volatile, so that it stays
 * where it was put. `a` is the oldest word: message and constant are added early, in C. From b to
 * the new word it is 4 or 5 cycles.
 */
#define MD5_ASM(f, a, b, c, d, rot)                                                                \
	do {                                                                                       \
		uint32_t t_, u_;                                                                   \
		__asm__ volatile(f "roll %[R], %[A]\n\taddl %[B], %[A]"                            \
		                 : [A] "+r"(a), [t] "=&r"(t_), [u] "=&r"(u_)                       \
		                 : [B] "r"(b), [C] "r"(c), [D] "r"(d), [R] "i"(rot)                \
		                 : "cc");                                                          \
	} while (0)

#define MD5_F                                                                                      \
	"movl %[C], %[t]\n\txorl %[D], %[t]\n\tandl %[B], %[t]\n\txorl %[D], %[t]\n\t"             \
	"addl %[t], %[A]\n\t"
/* (b & d) and (c & ~d) share no bit: two sums, and only one of them waits for b. */
#define MD5_G                                                                                      \
	"movl %[D], %[t]\n\tnotl %[t]\n\tandl %[C], %[t]\n\taddl %[t], %[A]\n\t"                   \
	"movl %[D], %[u]\n\tandl %[B], %[u]\n\taddl %[u], %[A]\n\t"
#define MD5_H "movl %[C], %[t]\n\txorl %[D], %[t]\n\txorl %[B], %[t]\n\taddl %[t], %[A]\n\t"
#define MD5_I                                                                                      \
	"movl %[D], %[t]\n\tnotl %[t]\n\torl %[B], %[t]\n\txorl %[C], %[t]\n\t"                    \
	"addl %[t], %[A]\n\t"

typedef uint32_t word __attribute__((aligned(1), may_alias));

#define MD5_STEP(o, i, a, b, c, d)                                                                 \
	do {                                                                                       \
		(o)->a += ((const word *)(o)->md5_p)[MD5_WORD(i)] + md5_k[i];                      \
		if ((i) < 16)                                                                      \
			MD5_ASM(MD5_F, (o)->a, (o)->b, (o)->c, (o)->d, MD5_ROT(i));                \
		else if ((i) < 32)                                                                 \
			MD5_ASM(MD5_G, (o)->a, (o)->b, (o)->c, (o)->d, MD5_ROT(i));                \
		else if ((i) < 48)                                                                 \
			MD5_ASM(MD5_H, (o)->a, (o)->b, (o)->c, (o)->d, MD5_ROT(i));                \
		else                                                                               \
			MD5_ASM(MD5_I, (o)->a, (o)->b, (o)->c, (o)->d, MD5_ROT(i));                \
	} while (0)

/* --- SHA, four rounds at a time
 * ---------------------------------------------------------------------- */

INLINE __m128i load(const void *p)
{
	return _mm_loadu_si128(p);
}

INLINE void sha256_four(struct one *o, int g)
{
	const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
	__m128i *w = o->sha256_w, *s = o->sha256, x;

	if (g < 4) {
		w[g] = _mm_shuffle_epi8(load(o->p + 16 * g), order);
	} else {
		x = _mm_sha256msg1_epu32(w[g % 4], w[(g + 1) % 4]);
		x = _mm_add_epi32(x, _mm_alignr_epi8(w[(g + 3) % 4], w[(g + 2) % 4], 4));
		w[g % 4] = _mm_sha256msg2_epu32(x, w[(g + 3) % 4]);
	}
	x = _mm_add_epi32(w[g % 4], load(&sha256_k[4 * g]));
	s[1] = _mm_sha256rnds2_epu32(s[1], s[0], x);
	s[0] = _mm_sha256rnds2_epu32(s[0], s[1], _mm_shuffle_epi32(x, 0x0e));
}

INLINE __m128i sha1_words(struct one *o, int g)
{
	const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	__m128i *w = o->sha1_w, x;

	if (g < 4) {
		w[g] = _mm_shuffle_epi8(load(o->p + 16 * g), order);
	} else {
		x = _mm_xor_si128(_mm_sha1msg1_epu32(w[g % 4], w[(g + 1) % 4]), w[(g + 2) % 4]);
		w[g % 4] = _mm_sha1msg2_epu32(x, w[(g + 3) % 4]);
	}
	return w[g % 4];
}

/* A macro, as the instruction wants its function number as a literal. */
#define SHA1_FOUR(o, g)                                                                            \
	do {                                                                                       \
		__m128i x_ = sha1_words(o, g), was_ = (o)->sha1;                                   \
		x_ = (g) == 0 ? _mm_add_epi32((o)->sha1_e, x_)                                     \
		              : _mm_sha1nexte_epu32((o)->sha1_e, x_);                              \
		(o)->sha1 = _mm_sha1rnds4_epu32(was_, x_, (g) / 5);                                \
		(o)->sha1_e = was_;                                                                \
	} while (0)

/* --- chaining values in and out
 * ----------------------------------------------------------------------- */

INLINE void get(struct one *o, const uint32_t *h)
{
	__m128i lo = _mm_shuffle_epi32(load(h + WR_DIGEST_H_SHA256), 0xb1);
	__m128i hi = _mm_shuffle_epi32(load(h + WR_DIGEST_H_SHA256 + 4), 0x1b);

	o->a = h[WR_DIGEST_H_MD5];
	o->b = h[WR_DIGEST_H_MD5 + 1];
	o->c = h[WR_DIGEST_H_MD5 + 2];
	o->d = h[WR_DIGEST_H_MD5 + 3];
	o->sha256[0] = _mm_alignr_epi8(lo, hi, 8);
	o->sha256[1] = _mm_blend_epi16(hi, lo, 0xf0);
	o->sha1 = _mm_shuffle_epi32(load(h + WR_DIGEST_H_SHA1), 0x1b);
	o->sha1_e = _mm_set_epi32((int)h[WR_DIGEST_H_SHA1 + 4], 0, 0, 0);
}

INLINE void put(const struct one *o, uint32_t *h, const uint32_t algos)
{
	__m128i lo = _mm_shuffle_epi32(o->sha256[0], 0x1b);
	__m128i hi = _mm_shuffle_epi32(o->sha256[1], 0xb1);

	if ((algos & WR_HAS_MD5) != 0) {
		h[WR_DIGEST_H_MD5] = o->a;
		h[WR_DIGEST_H_MD5 + 1] = o->b;
		h[WR_DIGEST_H_MD5 + 2] = o->c;
		h[WR_DIGEST_H_MD5 + 3] = o->d;
	}
	if ((algos & WR_HAS_SHA256) != 0) {
		_mm_storeu_si128((__m128i *)(h + WR_DIGEST_H_SHA256),
		                 _mm_blend_epi16(lo, hi, 0xf0));
		_mm_storeu_si128((__m128i *)(h + WR_DIGEST_H_SHA256 + 4),
		                 _mm_alignr_epi8(hi, lo, 8));
	}
	if ((algos & WR_HAS_SHA1) != 0) {
		_mm_storeu_si128((__m128i *)(h + WR_DIGEST_H_SHA1),
		                 _mm_shuffle_epi32(o->sha1, 0x1b));
		h[WR_DIGEST_H_SHA1 + 4] = (uint32_t)_mm_extract_epi32(o->sha1_e, 3);
	}
}

/* The block of row r; MD5 reads a copy where the message ends, its length bytes turned around. */
INLINE void aim(struct one *o, const struct wr_digest_batch *b, uint32_t l, uint32_t r,
                uint8_t *turned)
{
	o->p = o->md5_p = b->blk[r][l];
	if (wr_unlikely((b->last[r] >> l & 1) != 0)) {
		uint64_t bits;

		memcpy(turned, o->p, 56);
		memcpy(&bits, o->p + 56, 8);
		bits = __builtin_bswap64(bits);
		memcpy(turned + 56, &bits, 8);
		o->md5_p = turned;
	}
}

INLINE void join(struct one *o, const struct one *was)
{
	o->a += was->a;
	o->b += was->b;
	o->c += was->c;
	o->d += was->d;
	o->sha256[0] = _mm_add_epi32(o->sha256[0], was->sha256[0]);
	o->sha256[1] = _mm_add_epi32(o->sha256[1], was->sha256[1]);
	o->sha1_e = _mm_sha1nexte_epu32(o->sha1_e, was->sha1_e);
	o->sha1 = _mm_add_epi32(o->sha1, was->sha1);
}

/* --- blocks
 * ---------------------------------------------------------------------------------------------- */

#define SHA256(o, g)                                                                               \
	if ((algos & WR_HAS_SHA256) != 0)                                                          \
		sha256_four(o, g);
#define SHA1(o, g)                                                                                 \
	if ((algos & WR_HAS_SHA1) != 0)                                                            \
		SHA1_FOUR(o, g);
/* Steps i..i + 3 by their roles; i is a multiple of 4. */
#define MD5_0(o, i)                                                                                \
	if ((algos & WR_HAS_MD5) != 0)                                                             \
		MD5_STEP(o, i, a, b, c, d);
#define MD5_1(o, i)                                                                                \
	if ((algos & WR_HAS_MD5) != 0)                                                             \
		MD5_STEP(o, (i) + 1, d, a, b, c);
#define MD5_2(o, i)                                                                                \
	if ((algos & WR_HAS_MD5) != 0)                                                             \
		MD5_STEP(o, (i) + 2, c, d, a, b);
#define MD5_3(o, i)                                                                                \
	if ((algos & WR_HAS_MD5) != 0)                                                             \
		MD5_STEP(o, (i) + 3, b, c, d, a);

/* Rows from..to of lane l. */
INLINE void run_one(const struct wr_digest_batch *b, uint32_t l, uint32_t from, uint32_t to,
                    const uint32_t algos)
{
	uint8_t turned[WR_DIGEST_BLOCK];
	struct one o;

	get(&o, b->h[l]);
	for (uint32_t r = from; r < to; r++) {
		struct one was = o;

		aim(&o, b, l, r, turned);
#define STEP(g)                                                                                    \
	SHA256(&o, g)                                                                              \
	MD5_0(&o, 4 * (g))                                                                         \
	MD5_1(&o, 4 * (g))                                                                         \
	SHA1(&o, g)                                                                                \
	MD5_2(&o, 4 * (g))                                                                         \
	MD5_3(&o, 4 * (g))
		REP16(STEP, 0)
#undef STEP
#define STEP(g) SHA1(&o, g)
		REP4(STEP, 16)
#undef STEP
		join(&o, &was);
	}
	put(&o, b->h[l], algos);
}

struct lane {
	uint32_t l, row;
};

/* n rows of two lanes. */
INLINE void run_two(const struct wr_digest_batch *b, struct lane x, struct lane y, uint32_t n,
                    const uint32_t algos)
{
	uint8_t turned[2][WR_DIGEST_BLOCK];
	struct one o, q;

	get(&o, b->h[x.l]);
	get(&q, b->h[y.l]);
	for (uint32_t r = 0; r < n; r++) {
		struct one o_was = o, q_was = q;

		aim(&o, b, x.l, x.row + r, turned[0]);
		aim(&q, b, y.l, y.row + r, turned[1]);
#define STEP(g)                                                                                    \
	SHA256(&o, 2 * (g))                                                                        \
	MD5_0(&o, 4 * (g))                                                                         \
	MD5_0(&q, 4 * (g))                                                                         \
	SHA256(&q, 2 * (g))                                                                        \
	MD5_1(&o, 4 * (g))                                                                         \
	MD5_1(&q, 4 * (g))                                                                         \
	SHA256(&o, 2 * (g) + 1)                                                                    \
	MD5_2(&o, 4 * (g))                                                                         \
	MD5_2(&q, 4 * (g))                                                                         \
	SHA256(&q, 2 * (g) + 1)                                                                    \
	MD5_3(&o, 4 * (g))                                                                         \
	MD5_3(&q, 4 * (g))
		REP8(STEP, 0)
#undef STEP
#define STEP(g)                                                                                    \
	SHA1(&o, 2 * (g))                                                                          \
	MD5_0(&o, 32 + 4 * (g))                                                                    \
	MD5_0(&q, 32 + 4 * (g))                                                                    \
	SHA1(&q, 2 * (g))                                                                          \
	MD5_1(&o, 32 + 4 * (g))                                                                    \
	MD5_1(&q, 32 + 4 * (g))                                                                    \
	SHA1(&o, 2 * (g) + 1)                                                                      \
	MD5_2(&o, 32 + 4 * (g))                                                                    \
	MD5_2(&q, 32 + 4 * (g))                                                                    \
	SHA1(&q, 2 * (g) + 1)                                                                      \
	MD5_3(&o, 32 + 4 * (g))                                                                    \
	MD5_3(&q, 32 + 4 * (g))
		REP8(STEP, 0)
#undef STEP
#define STEP(g)                                                                                    \
	SHA1(&o, g)                                                                                \
	SHA1(&q, g)
		REP4(STEP, 16)
#undef STEP
		join(&o, &o_was);
		join(&q, &q_was);
	}
	put(&o, b->h[x.l], algos);
	put(&q, b->h[y.l], algos);
}

/* Two lanes at work; one that is through makes room for the next. */
INLINE void run(const struct wr_digest_batch *b, const uint32_t algos)
{
	struct lane x = { 0, 0 }, y = { 1, 0 };
	uint32_t next = 2;

	while (x.l < b->lanes && y.l < b->lanes) {
		uint32_t n = wr_min_u32(b->count[x.l] - x.row, b->count[y.l] - y.row);

		if (n != 0)
			run_two(b, x, y, n, algos);
		x.row += n;
		y.row += n;
		if (x.row == b->count[x.l])
			x = (struct lane){ next++, 0 };
		else
			y = (struct lane){ next++, 0 };
	}
	if (x.l >= b->lanes)
		x = y;
	if (x.l < b->lanes)
		run_one(b, x.l, x.row, b->count[x.l], algos);
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

void wr_digest_kernel_shani(const struct wr_digest_batch *b)
{
	static wr_digest_kernel *const by_algos[WR_DIGEST_MASKS] = {
		NULL, run_1, run_2, run_3, run_4, run_5, run_6, run_7,
	};

	by_algos[b->algos](b);
}
