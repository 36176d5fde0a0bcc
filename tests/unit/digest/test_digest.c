/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The room by its contract: published vectors, every length, lanes that come and go, references
 * that come back, limits and deadlines. Every engine of this CPU goes through all of it.
 */
#include "rig.h"
#include "tap.h"

#define POOL 4096u
#define ROOM 2048u

static struct rte_mempool *mp;
static uint8_t data[1 << 20];

static void hex(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static uint32_t free_mbufs(void)
{
	return rte_mempool_avail_count(mp);
}

/* Ends the slot, runs it, takes it from done. */
static void finish(struct wr_digest *d, uint32_t slot, struct wr_digests *out)
{
	uint32_t got = 0;

	wr_digest_end(&rig_lc, d, slot);
	wr_digest_run(&rig_lc, d);
	WR_ASSERT(wr_digest_done(d, &got, 1) == 1 && got == slot);
	wr_digest_result(d, slot, out);
}

/* RFC 1321 A.5; FIPS 180 example values, as NIST and RFC 6234 print them. */
static const struct {
	const char *in;
	uint32_t times;
	const char *md5, *sha1, *sha256;
} vector[] = {
	{ "", 1, "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", 1, "900150983cd24fb0d6963f7d28e17f72", "a9993e364706816aba3e25717850c26c9cd0d89d",
	  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, NULL,
	  "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
	  "lmnopqrsmnopqrstnopqrstu",
	  1, NULL, "a49b2446a02c645bf419f995b67091253a04a259",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	{ "a", 1000000, NULL, "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
	  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	{ "a", 1, "0cc175b9c0f1b6a831c399e269772661", NULL, NULL },
	{ "message digest", 1, "f96b697d7cb7938d525a2f31aaf161d0", NULL, NULL },
	{ "abcdefghijklmnopqrstuvwxyz", 1, "c3fcd3d76192e4007dfb496cca67e13b", NULL, NULL },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 1,
	  "d174ab98d277d9f5a5611c2c9f419d9f", NULL, NULL },
	{ "1234567890", 8, "57edf4a22be3c955ac49da2e2107b67a",
	  "50abf5706a150990a08b2c5ea40fa0e585554732",
	  "f371bc4a311f2b009eef952dd83ca80e2b60026c8e935592d0f9c308453c813e" },
};

static void vectors(const char *name, struct wr_digest *d)
{
	for (size_t i = 0; i < WR_COUNT_OF(vector); i++) {
		uint32_t slot = wr_digest_open(&rig_lc, d, ALL);
		struct wr_digests got;
		char m[33], s1[41], s2[65];

		for (uint32_t k = 0; k < vector[i].times; k++)
			rig_feed_lent(d, slot, (const uint8_t *)vector[i].in,
			              (uint32_t)strlen(vector[i].in));
		finish(d, slot, &got);
		wr_digest_close(d, slot);
		hex(got.md5, 16, m);
		hex(got.sha1, 20, s1);
		hex(got.sha256, 32, s2);
		OK((!vector[i].md5 || strcmp(m, vector[i].md5) == 0) &&
		           (!vector[i].sha1 || strcmp(s1, vector[i].sha1) == 0) &&
		           (!vector[i].sha256 || strcmp(s2, vector[i].sha256) == 0),
		   "%s: vector %zu (%.12s x %u)", name, i, vector[i].in, vector[i].times);
	}
}

/* Lengths 0..300 for every subset of the algorithms, a lane each, all in flight together. */
static void lengths(const char *name, struct wr_digest *d)
{
	for (uint32_t algos = 1; algos <= ALL; algos++) {
		uint32_t slot[301], bad = 0, seen = 0, done[301];

		for (uint32_t n = 0; n <= 300; n++) {
			slot[n] = wr_digest_open(&rig_lc, d, algos);
			rig_feed_mbuf(d, mp, slot[n], data + n, n);
			wr_digest_end(&rig_lc, d, slot[n]);
		}
		wr_digest_run(&rig_lc, d);
		seen = wr_digest_done(d, done, 301);
		for (uint32_t n = 0; n <= 300; n++) {
			struct wr_digests got, want;

			wr_digest_result(d, slot[n], &got);
			rig_judge(data + n, n, algos, &want);
			bad += !rig_same(&got, &want) || wr_digest_bytes(d, slot[n]) != n;
			wr_digest_close(d, slot[n]);
		}
		OK(bad == 0 && seen == 301 && free_mbufs() == POOL,
		   "%s: lengths 0..300, algorithms %u (%u wrong, %u done)", name, algos, bad, seen);
	}
}

struct upload {
	uint32_t slot, algos, at, end, start;
	bool ended;
};

static void upload_open(struct wr_digest *d, struct upload *u)
{
	u->algos = 1 + rig_rand(ALL);
	if (rig_rand(2) == 0)
		u->algos = ALL;
	u->start = u->at = rig_rand(sizeof(data) / 2);
	u->end = u->start + rig_rand(rig_rand(3) == 0 ? 200 : 30000);
	u->ended = false;
	u->slot = wr_digest_open(&rig_lc, d, u->algos);
}

static uint32_t reap(struct wr_digest *d, struct upload *u, uint32_t n, uint32_t *finished)
{
	uint32_t got[64], k = wr_digest_done(d, got, 64), bad = 0;

	for (uint32_t i = 0; i < k; i++) {
		for (uint32_t j = 0; j < n; j++) {
			struct wr_digests have, want;

			if (u[j].slot != got[i])
				continue;
			wr_digest_result(d, got[i], &have);
			rig_judge(data + u[j].start, u[j].end - u[j].start, u[j].algos, &want);
			bad += !rig_same(&have, &want) ||
			       wr_digest_bytes(d, got[i]) != u[j].end - u[j].start;
			wr_digest_close(d, got[i]);
			u[j].slot = 0;
			*finished += 1;
		}
	}
	return bad;
}

/* 40 uploads of random length, algorithms and cuts, interleaved; some end, some are given up. */
static void mix(const char *name, struct wr_digest *d, uint32_t steps)
{
	struct upload u[40] = { { 0 } };
	uint32_t bad = 0, finished = 0, width = 40;

	for (uint32_t s = 0; s < steps; s++) {
		struct upload *x = &u[rig_rand(width)];
		uint32_t n;

		if (s % 64 == 0)
			width = 1 + rig_rand(40);
		if (x->slot == 0)
			upload_open(d, x);
		else if (!x->ended) {
			n = rig_rand(4) == 0 ? rig_rand(130) : rig_rand(1461);
			n = wr_min_u32(n, x->end - x->at);
			if (rig_rand(8) == 0)
				rig_feed_lent(d, x->slot, data + x->at, n);
			else
				rig_feed_mbuf(d, mp, x->slot, data + x->at, n);
			x->at += n;
			x->ended = x->at == x->end;
			if (x->ended)
				wr_digest_end(&rig_lc, d, x->slot);
			if (rig_rand(500) == 0) {
				wr_digest_close(d, x->slot);
				x->slot = 0;
			}
		}
		rig_lc.now += rig_rand(5000);
		if (rig_rand(4) == 0)
			wr_digest_run(&rig_lc, d);
		bad += reap(d, u, 40, &finished);
	}
	for (uint32_t j = 0; j < 40; j++)
		if (u[j].slot != 0)
			wr_digest_close(d, u[j].slot);
	OK(bad == 0 && finished > steps / 100, "%s: random lanes and cuts (%u uploads, %u wrong)",
	   name, finished, bad);
	IS(free_mbufs(), POOL, "%s: every reference came back", name);
	OK(!wr_digest_pending(d), "%s: nothing waits after all slots are closed", name);
}

static void resume(const char *name, struct wr_digest *d)
{
	uint32_t bad = 0;

	for (uint32_t cut = 0; cut <= 200; cut++) {
		uint32_t a = wr_digest_open(&rig_lc, d, ALL), b, n = 5000 + cut;
		struct wr_digest_state mid;
		struct wr_digests got, want;

		rig_feed_mbuf(d, mp, a, data, cut * 7);
		wr_digest_save(&rig_lc, d, a, &mid);
		rig_feed_lent(d, a, data + cut * 7, 100); /* the first one goes another way */
		wr_digest_close(d, a);
		b = wr_digest_resume(&rig_lc, d, &mid);
		rig_feed_lent(d, b, data + cut * 7, n - cut * 7);
		finish(d, b, &got);
		wr_digest_close(d, b);
		rig_judge(data, n, ALL, &want);
		bad += !rig_same(&got, &want);
	}
	OK(bad == 0, "%s: saved and resumed at 201 places (%u wrong)", name, bad);
}

/* One slot becomes two: the second ends where it was made, the first goes on. */
static void fork_slot(const char *name, struct wr_digest *d)
{
	uint32_t bad = 0, a, b;

	for (uint32_t cut = 0; cut <= 200; cut++) {
		struct wr_digests front, all, want;

		a = wr_digest_open(&rig_lc, d, ALL);
		rig_feed_mbuf(d, mp, a, data, cut * 7);
		b = wr_digest_fork(&rig_lc, d, a);
		rig_feed_mbuf(d, mp, a, data + cut * 7, 1300);
		finish(d, b, &front);
		rig_feed_lent(d, a, data + cut * 7 + 1300, cut);
		finish(d, a, &all);
		rig_judge(data, cut * 7, ALL, &want);
		bad += !rig_same(&front, &want);
		rig_judge(data, cut * 8 + 1300, ALL, &want);
		bad += !rig_same(&all, &want) || wr_digest_bytes(d, b) != cut * 7;
		wr_digest_close(d, a);
		wr_digest_close(d, b);
	}
	OK(bad == 0, "%s: forked at 201 places (%u wrong)", name, bad);
	IS(free_mbufs(), POOL, "%s: every reference came back", name);
}

/* A lone piece waits no longer than the deadline, an ended slot not at all. */
static void deadline(const char *name, struct wr_digest *d)
{
	uint32_t slot = wr_digest_open(&rig_lc, d, ALL), got;

	rig_feed_mbuf(d, mp, slot, data, 1460);
	rig_lc.now += WR_DIGEST_DEADLINE_NS;
	wr_digest_run(&rig_lc, d);
	IS(free_mbufs(), POOL, "%s: a lone piece is let go at the deadline", name);
	rig_feed_mbuf(d, mp, slot, data, 1460);
	wr_digest_end(&rig_lc, d, slot);
	OK(wr_digest_pending(d), "%s: an ended slot is pending", name);
	wr_digest_run(&rig_lc, d);
	IS(wr_digest_done(d, &got, 1), 1, "%s: an ended slot is ready after one run", name);
	wr_digest_close(d, slot);
}

static void limits(const char *name, struct wr_digest *d, uint32_t slots)
{
	uint64_t before = wr_counter_get(&rig_stats.reason[WR_R_DIGEST_LIMIT]);
	uint32_t slot[512], held, one;

	for (uint32_t i = 0; i < slots; i++)
		slot[i] = wr_digest_open(&rig_lc, d, ALL);
	IS(wr_digest_open(&rig_lc, d, ALL), 0, "%s: no slot beyond the limit", name);
	IS(wr_counter_get(&rig_stats.reason[WR_R_DIGEST_LIMIT]) - before, 1, "%s: counted", name);
	IS(wr_digest_fork(&rig_lc, d, slot[0]), 0, "%s: nor a fork beyond it", name);
	one = slot[0];
	for (uint32_t i = 0; i < WR_DIGEST_QUEUE + 1; i++)
		rig_feed_mbuf(d, mp, one, data, 100);
	held = POOL - free_mbufs();
	OK(held <= WR_DIGEST_QUEUE, "%s: one slot never keeps more than %u pieces (%u)", name,
	   WR_DIGEST_QUEUE, held);
	for (uint32_t i = 0; i < slots; i++)
		wr_digest_close(d, slot[i]);
	IS(free_mbufs(), POOL, "%s: closing lets the pieces go unread", name);
}

static void one_engine(enum wr_digest_engine e)
{
	const char *name = wr_digest_engine_name(e);
	struct wr_digest *d;

	if (wr_digest_choose(e) != e) {
		SKIP("this CPU has no such engine");
		return;
	}
	d = wr_digest_new(400, e);
	vectors(name, d);
	lengths(name, d);
	mix(name, d, 6000);
	resume(name, d);
	fork_slot(name, d);
	deadline(name, d);
	limits(name, d, 400);
	wr_digest_free(d);
}

int main(void)
{
	struct wr_digest *d;
	enum wr_digest_engine e;

	mp = wr_mem_mbufs_sim("t", POOL, ROOM);
	WR_ASSERT(mp != NULL);
	rig_fill(data, sizeof(data));
	for (e = WR_DIGEST_PORTABLE; e <= WR_DIGEST_AVX512; e++)
		one_engine(e);

	e = wr_digest_choose(WR_DIGEST_AUTO);
	OK(e != WR_DIGEST_AUTO, "auto chose %s", wr_digest_engine_name(e));
	d = wr_digest_new(400, WR_DIGEST_AUTO);
	lengths("auto", d);
	mix("auto", d, 6000);
	wr_digest_free(d);
	OK(wr_digest_new(0, WR_DIGEST_AUTO) == NULL, "a room without slots is refused");
	return tap_done();
}
