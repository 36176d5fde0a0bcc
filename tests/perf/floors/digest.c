/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor of three digests: sixteen uploads whose chaining values stay turned in memory, all at
 * the same place in their blocks, one piece of each at a time. No lane ever waits, nothing is
 * gathered.
 */
#include <immintrin.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../perf.h"
#include "floors.h"

#define LANES 16u

#define WIDE __attribute__((target("avx512f,avx512bw")))

typedef uint32_t u16x __attribute__((vector_size(64)));

struct group {
	u16x m[4], a[5], b[8]; /* MD5, SHA-1, SHA-256 */
	uint8_t carry[LANES][64];
	uint32_t ncarry;
};

static uint32_t kmd5[64], k256[64];

/* The constants, from their definitions: sines, and cube roots of primes by integer bisection. */
static void constants(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 64; i++) {
		double x = __builtin_sin((double)i + 1);

		kmd5[i] = (uint32_t)((x < 0 ? -x : x) * 4294967296.0);
	}
	for (uint32_t p = 2; n < 64; p++) {
		unsigned __int128 lo = 0, hi = (unsigned __int128)1 << 36;
		uint32_t d = 2;

		while (p % d != 0)
			d++;
		if (d != p)
			continue;
		/* Largest r with r^3 <= p * 2^96: the root scaled by 2^32. */
		while (hi - lo > 1) {
			unsigned __int128 mid = (lo + hi) / 2;

			if (mid * mid * mid <= (unsigned __int128)p << 96)
				lo = mid;
			else
				hi = mid;
		}
		k256[n++] = (uint32_t)lo;
	}
}

#define T3(x, y, z, t)                                                                             \
	((u16x)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), t))
#define RL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define RR(x, n) RL(x, 32 - (n))

WIDE static inline __attribute__((always_inline)) void turn(const uint8_t *const *p, u16x *w)
{
	u16x r[16], t[16];

	for (int i = 0; i < 16; i++)
		r[i] = (u16x)_mm512_loadu_si512(p[i]);
	for (int i = 0; i < 16; i += 2) {
		t[i] = (u16x)_mm512_unpacklo_epi32((__m512i)r[i], (__m512i)r[i + 1]);
		t[i + 1] = (u16x)_mm512_unpackhi_epi32((__m512i)r[i], (__m512i)r[i + 1]);
	}
	for (int i = 0; i < 16; i += 4)
		for (int k = 0; k < 2; k++) {
			r[i + 2 * k] = (u16x)_mm512_unpacklo_epi64((__m512i)t[i + k],
			                                           (__m512i)t[i + k + 2]);
			r[i + 2 * k + 1] = (u16x)_mm512_unpackhi_epi64((__m512i)t[i + k],
			                                               (__m512i)t[i + k + 2]);
		}
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 16; k += 8) {
			t[i + k] = (u16x)_mm512_shuffle_i32x4((__m512i)r[i + k],
			                                      (__m512i)r[i + k + 4], 0x88);
			t[i + k + 4] = (u16x)_mm512_shuffle_i32x4((__m512i)r[i + k],
			                                          (__m512i)r[i + k + 4], 0xdd);
		}
	for (int i = 0; i < 8; i++) {
		int at = i < 4 ? i : i;

		w[at] = (u16x)_mm512_shuffle_i32x4((__m512i)t[i], (__m512i)t[i + 8], 0x88);
		w[at + 8] = (u16x)_mm512_shuffle_i32x4((__m512i)t[i], (__m512i)t[i + 8], 0xdd);
	}
}

/* One step of each algorithm; the words move instead of the names, compilers rename them away. */
#define MD5_STEP(f, g, n)                                                                          \
	do {                                                                                       \
		u16x x_ = ma + w[g] + kmd5[i] + (f);                                               \
		ma = md;                                                                           \
		md = mc;                                                                           \
		mc = mb;                                                                           \
		mb += RL(x_, n);                                                                   \
	} while (0)
#define SHA1_STEP(f, k)                                                                            \
	do {                                                                                       \
		u16x x_;                                                                           \
		if (j >= 16) {                                                                     \
			x_ = T3(v[j & 15], v[(j + 2) & 15], v[(j + 8) & 15], 0x96) ^               \
			     v[(j + 13) & 15];                                                     \
			v[j & 15] = RL(x_, 1);                                                     \
		}                                                                                  \
		x_ = ae + v[j & 15] + (k) + (f);                                                   \
		x_ += RL(aa, 5);                                                                   \
		ae = ad;                                                                           \
		ad = ac;                                                                           \
		ac = RL(ab, 30);                                                                   \
		ab = aa;                                                                           \
		aa = x_;                                                                           \
	} while (0)
#define SHA256_STEP()                                                                              \
	do {                                                                                       \
		u16x x_, y_;                                                                       \
		if (i >= 16) {                                                                     \
			x_ = u[(i + 1) & 15];                                                      \
			y_ = u[(i + 14) & 15];                                                     \
			u[i & 15] += u[(i + 9) & 15] + T3(RR(x_, 7), RR(x_, 18), x_ >> 3, 0x96) +  \
			             T3(RR(y_, 17), RR(y_, 19), y_ >> 10, 0x96);                   \
		}                                                                                  \
		x_ = bh + u[i & 15] + k256[i] + T3(be, bf, bg, 0xca) +                             \
		     T3(RR(be, 6), RR(be, 11), RR(be, 25), 0x96);                                  \
		y_ = T3(ba, bb, bc, 0xe8) + T3(RR(ba, 2), RR(ba, 13), RR(ba, 22), 0x96);           \
		bh = bg;                                                                           \
		bg = bf;                                                                           \
		bf = be;                                                                           \
		be = bd + x_;                                                                      \
		bd = bc;                                                                           \
		bc = bb;                                                                           \
		bb = ba;                                                                           \
		ba = x_ + y_;                                                                      \
	} while (0)

WIDE static void block(struct group *g, const uint8_t *const *p)
{
	const __m512i order = _mm512_broadcast_i32x4(
	        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
	u16x w[16], v[16], u[16];
	u16x ma = g->m[0], mb = g->m[1], mc = g->m[2], md = g->m[3];
	u16x aa = g->a[0], ab = g->a[1], ac = g->a[2], ad = g->a[3], ae = g->a[4];
	u16x ba = g->b[0], bb = g->b[1], bc = g->b[2], bd = g->b[3];
	u16x be = g->b[4], bf = g->b[5], bg = g->b[6], bh = g->b[7];

	turn(p, w);
	for (int i = 0; i < 16; i++)
		v[i] = u[i] = (u16x)_mm512_shuffle_epi8((__m512i)w[i], order);
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++) {
		const int j = i;
		static const int r[4] = { 7, 12, 17, 22 };

		SHA256_STEP();
		SHA1_STEP(T3(ab, ac, ad, 0xca), 0x5a827999u);
		MD5_STEP(T3(mb, mc, md, 0xca), i, r[i & 3]);
	}
#pragma GCC unroll 16
	for (int i = 16; i < 32; i++) {
		const int j = i;
		static const int r[4] = { 5, 9, 14, 20 };

		SHA256_STEP();
		if (i < 20)
			SHA1_STEP(T3(ab, ac, ad, 0xca), 0x5a827999u);
		else
			SHA1_STEP(T3(ab, ac, ad, 0x96), 0x6ed9eba1u);
		MD5_STEP(T3(md, mb, mc, 0xca), (5 * i + 1) & 15, r[i & 3]);
	}
#pragma GCC unroll 16
	for (int i = 32; i < 48; i++) {
		const int j = i;
		static const int r[4] = { 4, 11, 16, 23 };

		SHA256_STEP();
		if (i < 40)
			SHA1_STEP(T3(ab, ac, ad, 0x96), 0x6ed9eba1u);
		else
			SHA1_STEP(T3(ab, ac, ad, 0xe8), 0x8f1bbcdcu);
		MD5_STEP(T3(mb, mc, md, 0x96), (3 * i + 5) & 15, r[i & 3]);
	}
#pragma GCC unroll 16
	for (int i = 48; i < 64; i++) {
		const int j = i;
		static const int r[4] = { 6, 10, 15, 21 };

		SHA256_STEP();
		if (i < 60)
			SHA1_STEP(T3(ab, ac, ad, 0xe8), 0x8f1bbcdcu);
		else
			SHA1_STEP(T3(ab, ac, ad, 0x96), 0xca62c1d6u);
		MD5_STEP(T3(mb, mc, md, 0x39), (7 * i) & 15, r[i & 3]);
	}
#pragma GCC unroll 16
	for (int j = 64; j < 80; j++)
		SHA1_STEP(T3(ab, ac, ad, 0x96), 0xca62c1d6u);
	g->m[0] += ma, g->m[1] += mb, g->m[2] += mc, g->m[3] += md;
	g->a[0] += aa, g->a[1] += ab, g->a[2] += ac, g->a[3] += ad, g->a[4] += ae;
	g->b[0] += ba, g->b[1] += bb, g->b[2] += bc, g->b[3] += bd;
	g->b[4] += be, g->b[5] += bf, g->b[6] += bg, g->b[7] += bh;
}

WIDE static void feed(struct group *g, const uint8_t *const *piece, uint32_t len)
{
	const uint8_t *p[LANES], *seam[LANES];
	uint32_t first = g->ncarry == 0 ? 0 : 64 - g->ncarry, n;

	for (uint32_t l = 0; l < LANES; l++) {
		memcpy(g->carry[l] + g->ncarry, piece[l], first);
		seam[l] = g->carry[l];
		p[l] = piece[l] + first;
	}
	if (first != 0)
		block(g, seam);
	for (n = (len - first) / 64; n > 0; n--) {
		block(g, p);
		for (uint32_t l = 0; l < LANES; l++) {
			p[l] += 64;
			__builtin_prefetch(p[l] + 128);
		}
	}
	g->ncarry = (len - first) % 64;
	for (uint32_t l = 0; l < LANES; l++)
		memcpy(g->carry[l], p[l], g->ncarry);
}

static void start(struct group *g)
{
	static const uint32_t iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	static const uint32_t md[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
		                        0xc3d2e1f0 };

	memset(g, 0, sizeof(*g));
	for (uint32_t i = 0; i < 8; i++)
		for (uint32_t l = 0; l < LANES; l++) {
			((uint32_t *)&g->b[i])[l] = iv[i];
			if (i < 5)
				((uint32_t *)&g->a[i])[l] = md[i];
			if (i < 4)
				((uint32_t *)&g->m[i])[l] = md[i];
		}
}

static double pass(const struct floor_set *s, struct group *g, uint32_t groups)
{
	double t = perf_cpu_ns();

	for (uint32_t k = 0; k + LANES <= s->pieces; k += LANES)
		feed(&g[k / LANES % groups], s->piece + k, s->len);
	return perf_cpu_ns() - t;
}

static void agree(const EVP_MD *md, const uint8_t *msg, const u16x *h, uint32_t n, bool swap)
{
	uint8_t want[32];

	EVP_Digest(msg, 64, want, NULL, md, NULL);
	for (uint32_t i = 0; i < n; i++)
		if (want[i] != (uint8_t)(((const uint32_t *)&h[i / 4])[7] >>
		                         (swap ? 24 - i % 4 * 8 : i % 4 * 8))) {
			fprintf(stderr, "bench: the digest floor is wrong\n");
			exit(1);
		}
}

/* A floor that computes something else is none: 64 bytes and their padding against OpenSSL. */
static void prove(const struct floor_set *s, struct group *g)
{
	const uint8_t *same[LANES];
	uint8_t msg[128] = { 0 };

	memcpy(msg, s->piece[0], 64);
	msg[64] = 0x80;
	for (uint32_t l = 0; l < LANES; l++)
		same[l] = msg;
	msg[126] = 2; /* 512 bits, big endian */
	start(g);
	feed(g, same, 128);
	agree(EVP_sha256(), msg, g->b, 32, true);
	agree(EVP_sha1(), msg, g->a, 20, true);
	msg[126] = 0;
	msg[121] = 2; /* little endian */
	start(g);
	feed(g, same, 128);
	agree(EVP_md5(), msg, g->m, 16, false);
}

static double openssl(const struct floor_set *s)
{
	const EVP_MD *md[3] = { EVP_md5(), EVP_sha1(), EVP_sha256() };
	EVP_MD_CTX *c[3];
	double t;

	for (int a = 0; a < 3; a++) {
		c[a] = EVP_MD_CTX_new();
		EVP_DigestInit_ex(c[a], md[a], NULL);
	}
	t = perf_cpu_ns();
	for (uint32_t k = 0; k < s->pieces; k++)
		for (int a = 0; a < 3; a++)
			EVP_DigestUpdate(c[a], s->piece[k], s->len);
	t = perf_cpu_ns() - t;
	for (int a = 0; a < 3; a++)
		EVP_MD_CTX_free(c[a]);
	return t / ((double)s->pieces * s->len);
}

double floor_digest(const struct floor_set *s)
{
	uint32_t groups = s->streams / LANES;
	struct group *g;
	double t;

	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    groups == 0)
		return openssl(s);
	if (kmd5[0] == 0)
		constants();
	g = aligned_alloc(64, groups * sizeof(*g));
	if (g == NULL)
		abort();
	prove(s, g);
	for (uint32_t i = 0; i < groups; i++)
		start(&g[i]);
	pass(s, g, groups);
	t = pass(s, g, groups);
	free(g);
	return t / ((double)(s->pieces / LANES * LANES) * s->len);
}
