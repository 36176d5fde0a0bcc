/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ulid - 128-bit ids that sort by time: 48 bits of unix milliseconds, 80 random bits; 26
 * characters.
 */
#ifndef WR_BASE_ULID_H
#define WR_BASE_ULID_H

#include <stdint.h>

#define WR_ULID_TEXT 26u

static inline void wr_ulid_make(uint8_t out[16], uint64_t unix_ms, uint64_t r0, uint64_t r1)
{
	for (unsigned i = 0; i < 6; i++)
		out[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
	for (unsigned i = 0; i < 8; i++)
		out[6 + i] = (uint8_t)(r0 >> (8 * i));
	out[14] = (uint8_t)r1;
	out[15] = (uint8_t)(r1 >> 8);
}

/* Crockford's base 32; text gets 26 characters and a NUL. */
static inline void wr_ulid_text(const uint8_t id[16], char text[WR_ULID_TEXT + 1])
{
	static const char digit[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	for (unsigned i = 0; i < WR_ULID_TEXT; i++) {
		unsigned bit = i * 5; /* of 130: two zero bits stand before the 128 */
		unsigned v = 0;

		for (unsigned k = 0; k < 5; k++) {
			unsigned b = bit + k;

			v <<= 1;
			if (b >= 2)
				v |= (unsigned)(id[(b - 2) / 8] >> (7 - (b - 2) % 8)) & 1u;
		}
		text[i] = digit[v];
	}
	text[WR_ULID_TEXT] = '\0';
}

#endif
