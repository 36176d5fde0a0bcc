/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkt/csum.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

uint64_t wr_csum_bytes_portable(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t s = 0, carry = 0;

	for (; n >= 8; n -= 8, b += 8) {
		uint64_t w;

		memcpy(&w, b, 8);
		s += w;
		carry += s < w;
	}
	/* Before the tail: 2^64 is 1 in one's complement arithmetic, so carries go back in. */
	s = (s & 0xffffffff) + (s >> 32) + carry;
	/* In parts of a fixed size: a copy of n bytes would be a call. */
	if (n & 4) {
		uint32_t w;

		memcpy(&w, b, 4);
		s += w;
		b += 4;
	}
	if (n & 2) {
		s += wr_csum_load16(b);
		b += 2;
	}
	if (n & 1) {
		uint8_t last[2] = { *b, 0 };

		s += wr_csum_load16(last);
	}
	return s;
}

#ifdef __x86_64__
/*
 * Even and odd 16-bit words apart, each added up in 32-bit lanes. A lane takes 2 words a round, so
 * it holds 2^32 / (2 * 65535) = 32768 rounds of 32 bytes: a frame has at most 2048.
 */
__attribute__((target("avx2"))) static uint64_t csum_avx2(const void *p, size_t n)
{
	const uint8_t *b = p;
	const __m256i low = _mm256_set1_epi32(0xffff);
	__m256i even = _mm256_setzero_si256(), odd = even;
	uint32_t lane[8];
	uint64_t s = 0;

	if (n > 65536)
		return wr_csum_bytes_portable(p, n);
	for (; n >= 32; n -= 32, b += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)b);

		even = _mm256_add_epi32(even, _mm256_and_si256(v, low));
		odd = _mm256_add_epi32(odd, _mm256_srli_epi32(v, 16));
	}
	_mm256_storeu_si256((__m256i *)(void *)lane, _mm256_add_epi32(even, odd));
	for (unsigned i = 0; i < 8; i++)
		s += lane[i];
	return s + wr_csum_bytes_portable(b, n);
}
#endif

static uint64_t (*chosen)(const void *, size_t) = wr_csum_bytes_portable;

__attribute__((constructor)) static void choose(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2"))
		chosen = csum_avx2;
#endif
}

uint64_t wr_csum_bytes(const void *p, size_t n)
{
	return n < 128 ? wr_csum_bytes_portable(p, n) : chosen(p, n);
}
