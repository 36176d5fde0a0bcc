/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lanes - one round of each algorithm on vectors of 32-bit words, a lane per element.
 *
 * The including file defines `v` (a vector of uint32_t) and the bit functions XOR3, CH, MAJ, MD5_I.
 * Rotations are written as shifts: both compilers know the idiom. Sums are written so that what is
 * known early is added early: only the newest word is on the critical path.
 */
#ifndef WR_DIGEST_LANES_H
#define WR_DIGEST_LANES_H

#include "digest/tables.h"

#define INLINE static inline __attribute__((always_inline))

#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define ROR(x, n) ROL(x, 32 - (n))

/* The words a, b, c, d of step i: the state turns instead of moving. */
#define AT4(i, k) ((64 - (i) + (k)) % 4)
#define AT5(i, k) ((80 - (i) + (k)) % 5)
#define AT8(i, k) ((64 - (i) + (k)) % 8)

INLINE void md5_step(v *s, const v *w, int i)
{
	v b = s[AT4(i, 1)], c = s[AT4(i, 2)], d = s[AT4(i, 3)];
	v x = s[AT4(i, 0)] + w[MD5_WORD(i)] + md5_k[i];
	v f = i < 16 ? CH(b, c, d) : i < 32 ? CH(d, b, c) : i < 48 ? XOR3(b, c, d) : MD5_I(b, c, d);

	x += f;
	s[AT4(i, 0)] = b + ROL(x, MD5_ROT(i));
}

/* w holds the last 16 words of the schedule. */
INLINE void sha1_step(v *s, v *w, int i)
{
	v a = s[AT5(i, 0)], b = s[AT5(i, 1)], c = s[AT5(i, 2)], d = s[AT5(i, 3)], f, x;

	if (i >= 16) {
		x = XOR3(w[i % 16], w[(i + 2) % 16], w[(i + 8) % 16]) ^ w[(i + 13) % 16];
		w[i % 16] = ROL(x, 1);
	}
	x = s[AT5(i, 4)] + w[i % 16] + SHA1_K(i);
	f = i < 20 ? CH(b, c, d) : i < 40 || i >= 60 ? XOR3(b, c, d) : MAJ(b, c, d);
	x += f;
	s[AT5(i, 1)] = ROL(b, 30);
	s[AT5(i, 4)] = x + ROL(a, 5);
}

INLINE void sha256_step(v *s, v *w, int i)
{
	v a = s[AT8(i, 0)], b = s[AT8(i, 1)], c = s[AT8(i, 2)];
	v e = s[AT8(i, 4)], f = s[AT8(i, 5)], g = s[AT8(i, 6)], x, y;

	if (i >= 16) {
		x = w[(i + 1) % 16];
		y = w[(i + 14) % 16];
		x = XOR3(ROR(x, 7), ROR(x, 18), x >> 3);
		y = XOR3(ROR(y, 17), ROR(y, 19), y >> 10);
		w[i % 16] += w[(i + 9) % 16] + x;
		w[i % 16] += y;
	}
	x = s[AT8(i, 7)] + (w[i % 16] + sha256_k[i]);
	x += CH(e, f, g);
	x += XOR3(ROR(e, 6), ROR(e, 11), ROR(e, 25));
	y = XOR3(ROR(a, 2), ROR(a, 13), ROR(a, 22)) + MAJ(a, b, c);
	s[AT8(i, 3)] += x;
	s[AT8(i, 7)] = x + y;
}

#endif
