/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig - a worker's surroundings for the digest tests, and OpenSSL as the judge.
 */
#ifndef WR_TESTS_DIGEST_RIG_H
#define WR_TESTS_DIGEST_RIG_H

#include <openssl/evp.h>
#include <rte_mbuf.h>
#include <string.h>

#include "digest/digest.h"
#include "mem/mem.h"

#define ALL (WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256)

static struct wr_stats rig_stats;
static struct wr_lcore rig_lc = { .now = 1000000000, .stats = &rig_stats };
static uint64_t rig_seed = 0x9e3779b97f4a7c15ull;

static inline uint32_t rig_rand(uint32_t below)
{
	rig_seed ^= rig_seed << 13;
	rig_seed ^= rig_seed >> 7;
	rig_seed ^= rig_seed << 17;
	return below == 0 ? 0 : (uint32_t)(rig_seed >> 33) % below;
}

static inline void rig_fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rig_rand(256);
}

static inline void rig_judge(const uint8_t *p, size_t n, uint32_t algos, struct wr_digests *out)
{
	memset(out, 0, sizeof(*out));
	out->has = (uint8_t)algos;
	if ((algos & WR_HAS_MD5) != 0)
		WR_ASSERT(EVP_Digest(p, n, out->md5, NULL, EVP_md5(), NULL) == 1);
	if ((algos & WR_HAS_SHA1) != 0)
		WR_ASSERT(EVP_Digest(p, n, out->sha1, NULL, EVP_sha1(), NULL) == 1);
	if ((algos & WR_HAS_SHA256) != 0)
		WR_ASSERT(EVP_Digest(p, n, out->sha256, NULL, EVP_sha256(), NULL) == 1);
}

static inline bool rig_same(const struct wr_digests *a, const struct wr_digests *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Copies n bytes into a fresh mbuf, feeds it and lets the own reference go: what the worker does.
 */
static inline void rig_feed_mbuf(struct wr_digest *d, struct rte_mempool *mp, uint32_t slot,
                                 const uint8_t *p, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	struct wr_piece piece = { .len = n, .owner = m };

	WR_ASSERT(m != NULL);
	piece.p = memcpy(rte_pktmbuf_mtod(m, uint8_t *), p, n);
	wr_digest_feed(&rig_lc, d, slot, &piece);
	rte_pktmbuf_free(m);
}

static inline void rig_feed_lent(struct wr_digest *d, uint32_t slot, const uint8_t *p, uint32_t n)
{
	struct wr_piece piece = { .p = p, .len = n };

	wr_digest_feed(&rig_lc, d, slot, &piece);
}

#endif
