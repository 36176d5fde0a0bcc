/* SPDX-License-Identifier: BSD-3-Clause */
/* coding - what a decoder is; private to coding.c and coding_boot.c. */
#ifndef WR_BODY_CODING_H
#define WR_BODY_CODING_H

#define ZSTD_STATIC_LINKING_ONLY
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include "body/heap.h"
#include "body/int.h"

enum lib { LIB_ZLIB, LIB_BROTLI, LIB_ZSTD, LIB_COUNT };

struct decoder {
	uint32_t next;
	uint8_t lib, open, coding, spare;
	struct heap heap;
	union {
		z_stream z;
		BrotliDecoderState *br;
		ZSTD_DStream *zs; /* made at boot, lives in the heap */
	} u;
	uint8_t out[OUT_BYTES];
};

#endif
