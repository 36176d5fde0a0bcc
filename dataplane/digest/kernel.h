/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kernel - what the digest room's engines take: a table of 64-byte blocks, a column per upload.
 *
 * takes    struct wr_digest_batch: pointers to blocks, row by row; chaining values by pointer
 * gives    the chaining values after those blocks
 * lends    blocks and chaining values, for the call
 * threads  pure: everything is in the batch
 * limits   WR_DIGEST_LANES columns, WR_DIGEST_ROWS rows
 *
 * Why a table of pointers and not ranges: an upload's blocks lie in several frames, and the block
 * on the seam of two frames lies in a buffer of its own. With a pointer per block all of that is
 * the builder's business; an engine keeps its lanes in registers from the first row to the last.
 * One store and one load per 64 bytes is about one percent of the fastest engine.
 *
 * MD5, SHA-1 and SHA-256 have the same block size and the same padding but for the byte order of
 * the length, so one table serves all three: a row that ends a message carries the length as SHA
 * wants it, and engines turn the two length words around for MD5 (bit in `last`).
 */
#ifndef WR_DIGEST_KERNEL_H
#define WR_DIGEST_KERNEL_H

#include <stdint.h>

#include "abi/record.h"
#include "base/base.h"

#define WR_DIGEST_LANES 16u
#define WR_DIGEST_ROWS  64u
#define WR_DIGEST_BLOCK 64u

/* Where each algorithm's chaining words lie; 17 in all, a cache line and one word. */
#define WR_DIGEST_H_SHA256 0u
#define WR_DIGEST_H_MD5    8u
#define WR_DIGEST_H_SHA1   12u
#define WR_DIGEST_H_WORDS  20u

struct wr_digest_batch {
	uint32_t
	        *h[WR_DIGEST_LANES]; /* WR_DIGEST_H_WORDS each, 64-byte aligned; all 16 are valid */
	uint32_t count[WR_DIGEST_LANES]; /* rows of this lane; later pointers are valid but void */
	uint16_t last[WR_DIGEST_ROWS];   /* bit l: this row ends the message of lane l */
	uint32_t rows, lanes, algos;     /* the longest count; columns in use; WR_HAS_* */
	WR_ALIGNED(64) const uint8_t *blk[WR_DIGEST_ROWS][WR_DIGEST_LANES];
};

typedef void wr_digest_kernel(const struct wr_digest_batch *b);

/* Any number of lanes and any algorithms; each runs only on a CPU that has what its name says. */
wr_digest_kernel wr_digest_kernel_portable;
wr_digest_kernel wr_digest_kernel_shani;
wr_digest_kernel wr_digest_kernel_avx2;
wr_digest_kernel wr_digest_kernel_avx512;

enum wr_digest_kernel_id { WR_DK_PORTABLE, WR_DK_SHANI, WR_DK_AVX2, WR_DK_AVX512, WR_DK_COUNT };

#define WR_DIGEST_MASKS 8u /* subsets of the three algorithms; 0 is unused */

/* The kernels that a batch goes through: mostly one for everything, or each algorithm its own. */
struct wr_digest_step {
	uint8_t n, kernel[3], algos[3];
};

/* By algorithms and lanes filled; width: from here on waiting for more lanes gains nothing. */
struct wr_digest_plan {
	struct wr_digest_step step[WR_DIGEST_MASKS][WR_DIGEST_LANES + 1];
	uint8_t width[WR_DIGEST_MASKS];
};

#endif
