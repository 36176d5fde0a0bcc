/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bytes - unaligned big-endian and little-endian loads and stores, by memcpy (no aliasing, no
 * traps).
 */
#ifndef WR_BASE_BYTES_H
#define WR_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define WR_BYTES_DEFINE(bits, order)                                                               \
	static inline uint##bits##_t wr_get_##order##bits(const void *p)                           \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		memcpy(&v, p, sizeof(v));                                                          \
		return order##bits##toh(v);                                                        \
	}                                                                                          \
	static inline void wr_put_##order##bits(void *p, uint##bits##_t v)                         \
	{                                                                                          \
		v = hto##order##bits(v);                                                           \
		memcpy(p, &v, sizeof(v));                                                          \
	}

WR_BYTES_DEFINE(16, be)
WR_BYTES_DEFINE(32, be)
WR_BYTES_DEFINE(64, be)
WR_BYTES_DEFINE(16, le)
WR_BYTES_DEFINE(32, le)
WR_BYTES_DEFINE(64, le)

#endif
