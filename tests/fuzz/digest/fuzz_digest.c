/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The law: however uploads are cut, mixed, carried over and spread over lanes, their digests are
 * OpenSSL's. The input is a program: which engine, then one operation after the other.
 */
#include <openssl/evp.h>
#include <rte_mbuf.h>
#include <string.h>

#include "base/base.h"
#include "digest/digest.h"
#include "mem/mem.h"

#define UPLOADS  24u
#define MBUFS    2048u
#define BODY_MAX 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct upload {
	uint32_t slot, algos, len;
	bool ended;
	uint8_t body[BODY_MAX];
};

static struct wr_stats stats;
static struct wr_lcore lc = { .stats = &stats };
static struct rte_mempool *mp;
static struct wr_digest *room[WR_DIGEST_AVX512 + 1];
static struct upload up[UPLOADS];

static void setup(void)
{
	mp = wr_mem_mbufs_sim("fuzz", MBUFS, 2048);
	WR_ASSERT(mp != NULL);
	for (enum wr_digest_engine e = WR_DIGEST_AUTO; e <= WR_DIGEST_AVX512; e++) {
		room[e] = wr_digest_new(UPLOADS + 1, e);
		WR_ASSERT(room[e] != NULL);
	}
}

static void judge(const struct upload *u, const struct wr_digests *got)
{
	struct wr_digests want = { .has = (uint8_t)u->algos };

	if ((u->algos & WR_HAS_MD5) != 0)
		WR_ASSERT(EVP_Digest(u->body, u->len, want.md5, NULL, EVP_md5(), NULL) == 1);
	if ((u->algos & WR_HAS_SHA1) != 0)
		WR_ASSERT(EVP_Digest(u->body, u->len, want.sha1, NULL, EVP_sha1(), NULL) == 1);
	if ((u->algos & WR_HAS_SHA256) != 0)
		WR_ASSERT(EVP_Digest(u->body, u->len, want.sha256, NULL, EVP_sha256(), NULL) == 1);
	WR_ASSERT(memcmp(got, &want, sizeof(want)) == 0);
}

static void feed(struct wr_digest *d, struct upload *u, uint32_t len, uint8_t byte, bool lent)
{
	struct rte_mbuf *m;
	struct wr_piece piece;

	len = wr_min_u32(len, BODY_MAX - u->len);
	for (uint32_t i = 0; i < len; i++)
		u->body[u->len + i] = (uint8_t)(byte * (i + 1) + (i >> 3));
	piece = (struct wr_piece){ .p = u->body + u->len, .len = len };
	u->len += len;
	m = lent ? NULL : rte_pktmbuf_alloc(mp);
	if (m == NULL) {
		wr_digest_feed(&lc, d, u->slot, &piece);
		return;
	}
	piece.p = memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, byte % 64), piece.p, len);
	piece.owner = m;
	wr_digest_feed(&lc, d, u->slot, &piece);
	rte_pktmbuf_free(m);
}

/* Carries the upload over to another slot, as an object in several requests is. */
static void carry(struct wr_digest *d, struct upload *u)
{
	struct wr_digest_state mid;

	wr_digest_save(&lc, d, u->slot, &mid);
	wr_digest_close(d, u->slot);
	u->slot = wr_digest_resume(&lc, d, &mid);
	WR_ASSERT(u->slot != 0);
}

static void reap(struct wr_digest *d)
{
	uint32_t done[UPLOADS], k = wr_digest_done(d, done, UPLOADS);

	for (uint32_t i = 0; i < k; i++) {
		for (uint32_t j = 0; j < UPLOADS; j++) {
			struct wr_digests got;

			if (up[j].slot != done[i])
				continue;
			WR_ASSERT(up[j].ended);
			wr_digest_result(d, done[i], &got);
			judge(&up[j], &got);
			wr_digest_close(d, done[i]);
			up[j].slot = 0;
		}
	}
}

static void step(struct wr_digest *d, const uint8_t op[4])
{
	struct upload *u = &up[op[1] % UPLOADS];

	if (u->slot == 0) {
		u->algos = op[2] % 8;
		u->slot = wr_digest_open(&lc, d, u->algos);
		WR_ASSERT(u->slot != 0);
		u->len = 0;
		u->ended = false;
		return;
	}
	switch (op[0] % 8) {
	case 0:
		lc.now += (uint64_t)op[2] << 9;
		wr_digest_run(&lc, d);
		reap(d);
		break;
	case 1:
		if (!u->ended)
			wr_digest_end(&lc, d, u->slot);
		u->ended = true;
		break;
	case 2:
		if (!u->ended)
			carry(d, u);
		break;
	case 3:
		if (op[2] == 0) {
			wr_digest_close(d, u->slot);
			u->slot = 0;
		}
		break;
	default:
		/* Short pieces, or up to a frame. */
		if (!u->ended)
			feed(d, u, op[0] % 8 < 6 ? op[2] : op[2] * 6u, op[3], op[3] % 16 == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_digest *d;

	if (mp == NULL)
		setup();
	if (n < 1)
		return 0;
	d = room[data[0] % WR_COUNT_OF(room)];
	lc.now = 1000000000;
	for (size_t i = 1; i + 4 <= n; i += 4)
		step(d, data + i);
	for (uint32_t j = 0; j < UPLOADS; j++)
		if (up[j].slot != 0 && !up[j].ended) {
			wr_digest_end(&lc, d, up[j].slot);
			up[j].ended = true;
		}
	for (int i = 0; wr_digest_pending(d); i++) {
		WR_ASSERT(i < 1000);
		wr_digest_run(&lc, d);
		reap(d);
	}
	WR_ASSERT(rte_mempool_avail_count(mp) == MBUFS);
	return 0;
}
