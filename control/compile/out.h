/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * out - the folder of shards: each written under a temporary name, hashed, then renamed to its
 * hash.
 *
 * A key file says which shard came from which source, so that what has not changed is not compiled
 * again. Both are immutable: whoever finds a name finds the whole content.
 */
#ifndef WR_COMPILE_OUT_H
#define WR_COMPILE_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct wr_out {
	int dirfd;
	uint32_t serial;
	char tmp[48]; /* of the file being written */
};

void wr_out_hex(const uint8_t *p, size_t n, char *out); /* 2n characters and NUL */
WR_MUST_USE bool wr_out_unhex(const char *s, uint8_t *out, size_t n);

/* A new file to write; an fd or -errno. */
WR_MUST_USE int wr_out_begin(struct wr_out *o);
/* Hashes and names what was written; closes fd. */
WR_MUST_USE int wr_out_commit(struct wr_out *o, int fd, uint8_t sha256[32]);
void wr_out_abort(struct wr_out *o, int fd);
WR_MUST_USE int wr_out_write(struct wr_out *o, const void *p, size_t n, uint8_t sha256[32]);

/* Bytes of a shard that is there, 0 = it is not. */
uint64_t wr_out_have(const struct wr_out *o, const uint8_t sha256[32]);
/* Text of a key file (at most size - 1 bytes): 0 or -ENOENT. */
WR_MUST_USE int wr_out_key_get(const struct wr_out *o, const uint8_t key[32], char *text,
                               size_t size);
WR_MUST_USE int wr_out_key_put(struct wr_out *o, const uint8_t key[32], const char *text);

#endif
