/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * csum - the Internet checksum (RFC 1071), in native byte order: sums of 16-bit words as they lie
 * in memory fold to the value as it lies in memory, so no word is ever swapped.
 */
#ifndef WR_PKT_CSUM_H
#define WR_PKT_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Sum of n bytes; an odd last byte counts as if a zero followed. Fastest way this CPU has. */
uint64_t wr_csum_bytes(const void *p, size_t n);
uint64_t wr_csum_bytes_portable(const void *p, size_t n);

static inline uint16_t wr_csum_fold(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static inline uint16_t wr_csum_load16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Headers: n is a multiple of 4 and small. */
static inline uint64_t wr_csum_head(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t s = 0;

	for (size_t i = 0; i < n; i += 4) {
		uint32_t w;

		memcpy(&w, b + i, 4);
		s += w;
	}
	return s;
}

/*
 * RFC 1624, equation 3: the checksum at `at` after bytes that summed to `old` now sum to `new`.
 * The bytes must start at an even offset of the checksummed area.
 */
static inline void wr_csum_update(void *at, uint64_t old, uint64_t new)
{
	uint16_t hc = (uint16_t)~wr_csum_load16(at);
	uint16_t v = (uint16_t)~wr_csum_fold((uint64_t)hc + (uint16_t)~wr_csum_fold(old) +
	                                     wr_csum_fold(new));

	memcpy(at, &v, sizeof(v));
}

#endif
