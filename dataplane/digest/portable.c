/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The portable kernel: OpenSSL's block functions, one lane after the other. The low-level calls
 * work on a structure of the caller and allocate nothing, which EVP does not promise; they are
 * deprecated in favour of EVP and kept by OpenSSL 3.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <string.h>

#include "digest/kernel.h"

/* Whole blocks only: of the structures, the values and the (empty) partial block are looked at. */
static void md5(uint32_t *h, const uint8_t *p, size_t len)
{
	MD5_CTX c;

	c.A = h[0];
	c.B = h[1];
	c.C = h[2];
	c.D = h[3];
	c.Nl = c.Nh = c.num = 0;
	MD5_Update(&c, p, len);
	h[0] = c.A;
	h[1] = c.B;
	h[2] = c.C;
	h[3] = c.D;
}

static void sha1(uint32_t *h, const uint8_t *p, size_t len)
{
	SHA_CTX c;

	c.h0 = h[0];
	c.h1 = h[1];
	c.h2 = h[2];
	c.h3 = h[3];
	c.h4 = h[4];
	c.Nl = c.Nh = c.num = 0;
	SHA1_Update(&c, p, len);
	h[0] = c.h0;
	h[1] = c.h1;
	h[2] = c.h2;
	h[3] = c.h3;
	h[4] = c.h4;
}

static void sha256(uint32_t *h, const uint8_t *p, size_t len)
{
	SHA256_CTX c;

	memcpy(c.h, h, sizeof(c.h));
	c.Nl = c.Nh = c.num = 0;
	c.md_len = SHA256_DIGEST_LENGTH;
	SHA256_Update(&c, p, len);
	memcpy(h, c.h, sizeof(c.h));
}

static void blocks(uint32_t *h, uint32_t algos, const uint8_t *p, size_t len)
{
	if ((algos & WR_HAS_MD5) != 0)
		md5(h + WR_DIGEST_H_MD5, p, len);
	if ((algos & WR_HAS_SHA1) != 0)
		sha1(h + WR_DIGEST_H_SHA1, p, len);
	if ((algos & WR_HAS_SHA256) != 0)
		sha256(h + WR_DIGEST_H_SHA256, p, len);
}

static void last_block(uint32_t *h, uint32_t algos, const uint8_t *p)
{
	uint8_t turned[WR_DIGEST_BLOCK];

	for (int i = 0; i < 56; i++)
		turned[i] = p[i];
	for (int i = 0; i < 8; i++)
		turned[56 + i] = p[63 - i];
	blocks(h, algos & (WR_HAS_SHA1 | WR_HAS_SHA256), p, WR_DIGEST_BLOCK);
	blocks(h, algos & WR_HAS_MD5, turned, WR_DIGEST_BLOCK);
}

static void lane(const struct wr_digest_batch *b, uint32_t l)
{
	uint32_t r = 0;

	while (r < b->count[l]) {
		const uint8_t *p = b->blk[r][l];
		uint32_t n = 1;

		if ((b->last[r] >> l & 1) != 0) {
			last_block(b->h[l], b->algos, p);
			r++;
			continue;
		}
		/* Neighbours in memory go in one call. */
		while (r + n < b->count[l] && b->blk[r + n][l] == p + n * WR_DIGEST_BLOCK &&
		       (b->last[r + n] >> l & 1) == 0)
			n++;
		blocks(b->h[l], b->algos, p, n * WR_DIGEST_BLOCK);
		r += n;
	}
}

void wr_digest_kernel_portable(const struct wr_digest_batch *b)
{
	for (uint32_t l = 0; l < b->lanes; l++)
		lane(b, l);
}
