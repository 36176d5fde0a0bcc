/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mix - a keyed 64-bit hash for tables that an attacker can fill.
 *
 * Why not CRC: it is linear, so colliding keys stay colliding under every seed; a client that picks
 * its ports could fill one bucket at will. Multiply-and-fold with secret words is not.
 * limits   not a MAC: it protects table shape, nothing else. The secret is drawn at boot.
 */
#ifndef WR_BASE_MIX_H
#define WR_BASE_MIX_H

#include <stdint.h>
#include <string.h>

struct wr_mix_key {
	uint64_t k[4];
};

static inline uint64_t wr_mix_fold(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Hashes n bytes, n a multiple of 8. */
static inline uint64_t wr_mix_hash(const struct wr_mix_key *key, const void *p, uint32_t n)
{
	const unsigned char *b = p;
	uint64_t h = key->k[0] ^ n;

	for (uint32_t i = 0; i + 8 <= n; i += 8) {
		uint64_t w;

		memcpy(&w, b + i, 8);
		h = wr_mix_fold(h ^ w ^ key->k[1], key->k[2] ^ (w << 32 | w >> 32)) + key->k[3];
	}
	return wr_mix_fold(h ^ key->k[1], key->k[3] | 1);
}

#endif
