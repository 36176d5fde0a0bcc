/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests by engine, algorithms and uploads in flight, through the room's own contract: ragged
 * 1,460-byte pieces in mbufs, gathering and scattering of state included, beside OpenSSL's EVP on
 * the same pieces in the same order. Both sides take turns; a wrong digest fails the bench.
 */
#include <math.h>
#include <openssl/evp.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "digest/digest.h"
#include "mem/mem.h"
#include "perf.h"

#define ALL        (WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256)
#define MBUFS      8192u /* 12 MB of payload: in the third-level cache, not in the second */
#define PIECE      1460u
#define FLIGHT_MAX 1000u

static struct wr_stats stats;
static struct wr_lcore lc = { .now = 1000000000, .stats = &stats };
static struct rte_mempool *mp;
static struct rte_mbuf *mbuf[MBUFS];
static uint64_t seed = 42;

struct setup {
	uint32_t algos, flight, pieces;
};

/* Piece k of upload u starts at an odd place and is a little shorter now and then: ragged phases.
 */
static void piece_of(uint32_t u, uint32_t k, struct wr_piece *p)
{
	uint32_t i = (u * 977 + k * 3331) % MBUFS, cut = (u * 13 + k * 7) % 64;

	p->p = rte_pktmbuf_mtod(mbuf[i], const uint8_t *) + cut;
	p->len = PIECE - (k % 8 == 7 ? cut : 0);
	p->owner = mbuf[i];
}

static uint64_t bytes_of(const struct setup *s)
{
	uint64_t n = 0;
	struct wr_piece p;

	for (uint32_t u = 0; u < s->flight; u++)
		for (uint32_t k = 0; k < s->pieces; k++) {
			piece_of(u, k, &p);
			n += p.len;
		}
	return n;
}

static double ours(struct wr_digest *d, const struct setup *s, struct wr_digests *out)
{
	uint32_t slot[FLIGHT_MAX], done[64], left = s->flight;
	double t = perf_cpu_ns();
	struct wr_piece p;

	for (uint32_t u = 0; u < s->flight; u++)
		slot[u] = wr_digest_open(&lc, d, s->algos);
	for (uint32_t k = 0; k < s->pieces; k++) {
		for (uint32_t u = 0; u < s->flight; u++) {
			piece_of(u, k, &p);
			wr_digest_feed(&lc, d, slot[u], &p);
			if (u % 32 == 31) {
				lc.now += 10000;
				wr_digest_run(&lc, d);
			}
		}
		/* Few uploads: what would wait for the deadline is run as if it had passed. */
		lc.now += s->flight < 32 ? WR_DIGEST_DEADLINE_NS : 0;
		wr_digest_run(&lc, d);
	}
	for (uint32_t u = 0; u < s->flight; u++)
		wr_digest_end(&lc, d, slot[u]);
	wr_digest_run(&lc, d);
	while (left > 0)
		left -= wr_digest_done(d, done, 64);
	t = perf_cpu_ns() - t;
	for (uint32_t u = 0; u < s->flight; u++) {
		wr_digest_result(d, slot[u], &out[u]);
		wr_digest_close(d, slot[u]);
	}
	return t;
}

static double openssl(const struct setup *s, EVP_MD_CTX *(*ctx)[3], struct wr_digests *out)
{
	double t = perf_cpu_ns();
	struct wr_piece p;

	for (uint32_t u = 0; u < s->flight; u++) {
		EVP_DigestInit_ex(ctx[u][0], EVP_md5(), NULL);
		EVP_DigestInit_ex(ctx[u][1], EVP_sha1(), NULL);
		EVP_DigestInit_ex(ctx[u][2], EVP_sha256(), NULL);
	}
	for (uint32_t k = 0; k < s->pieces; k++)
		for (uint32_t u = 0; u < s->flight; u++) {
			piece_of(u, k, &p);
			for (uint32_t a = 0; a < 3; a++)
				if ((s->algos >> a & 1) != 0)
					EVP_DigestUpdate(ctx[u][a], p.p, p.len);
		}
	for (uint32_t u = 0; u < s->flight; u++) {
		uint8_t *to[3] = { out[u].md5, out[u].sha1, out[u].sha256 }, scrap[64];

		for (uint32_t a = 0; a < 3; a++)
			EVP_DigestFinal_ex(ctx[u][a], (s->algos >> a & 1) != 0 ? to[a] : scrap,
			                   NULL);
	}
	return perf_cpu_ns() - t;
}

struct result {
	struct perf_stat ours, openssl, ratio; /* cycles per byte; openssl over ours */
};

static struct result compare(struct wr_digest *d, const struct setup *s, uint32_t repeats)
{
	static EVP_MD_CTX *ctx[FLIGHT_MAX][3];
	static struct wr_digests a[FLIGHT_MAX], b[FLIGHT_MAX];
	double x[PERF_REPEATS_MAX], y[PERF_REPEATS_MAX], q[PERF_REPEATS_MAX];
	double ghz = perf_ghz(), bytes = (double)bytes_of(s);

	for (uint32_t u = 0; u < s->flight; u++)
		for (uint32_t k = 0; k < 3; k++)
			if (ctx[u][k] == NULL)
				ctx[u][k] = EVP_MD_CTX_new();
	for (uint32_t i = 0; i < repeats; i++) {
		memset(b, 0, sizeof(b));
		y[i] = openssl(s, ctx, b) * ghz / bytes;
		x[i] = ours(d, s, a) * ghz / bytes;
		q[i] = y[i] / x[i];
		for (uint32_t u = 0; u < s->flight; u++) {
			b[u].has = (uint8_t)s->algos;
			if (memcmp(&a[u], &b[u], sizeof(a[u])) != 0) {
				fprintf(stderr, "bench: a digest is wrong (upload %u)\n", u);
				exit(1);
			}
		}
	}
	return (struct result){ perf_stats(x, repeats), perf_stats(y, repeats),
		                perf_stats(q, repeats) };
}

static const char *algos_name(uint32_t algos)
{
	static const char *const name[8] = { "none",   "md5",        "sha1",        "md5+sha1",
		                             "sha256", "md5+sha256", "sha1+sha256", "all" };
	return name[algos];
}

int main(int argc, char **argv)
{
	static const uint32_t flights[] = { 1, 2, 4, 6, 8, 12, 16, 1000 };
	static const uint32_t masks[] = { ALL, WR_HAS_SHA256, WR_HAS_MD5, WR_HAS_SHA1 };
	static struct perf_case cases[256];
	struct perf_opts o;
	size_t n = 0;

	perf_args(argc, argv, &o);
	mp = wr_mem_mbufs_sim("bench", MBUFS, 2048);
	for (uint32_t i = 0; i < MBUFS; i++) {
		uint64_t *w;

		mbuf[i] = rte_pktmbuf_alloc(mp);
		w = rte_pktmbuf_mtod(mbuf[i], uint64_t *);
		for (uint32_t k = 0; k < 1600 / 8; k++)
			w[k] = perf_rand(&seed);
	}
	printf("%-12s %-8s %8s  %7s %7s  %6s %6s %6s\n", "algorithms", "engine", "uploads", "c/B",
	       "openssl", "ratio", "min", "max");
	for (size_t m = 0; m < WR_COUNT_OF(masks); m++) {
		for (enum wr_digest_engine e = WR_DIGEST_AUTO; e <= WR_DIGEST_AVX512; e++) {
			struct wr_digest *d;

			if (e != WR_DIGEST_AUTO && wr_digest_choose(e) != e)
				continue;
			wr_digest_choose(e);
			d = wr_digest_new(FLIGHT_MAX, e);
			for (size_t f = 0; f < WR_COUNT_OF(flights); f++) {
				struct setup s = { masks[m], flights[f],
					           2 + (o.quick ? 200 : 4000) / flights[f] };
				struct perf_case *c = &cases[n];
				struct result r;
				char name[64];

				snprintf(name, sizeof(name), "digest/%s/%s/%u",
				         algos_name(masks[m]), wr_digest_engine_name(e),
				         flights[f]);
				if (!perf_wants(&o, name))
					continue;
				r = compare(d, &s, o.repeats);
				printf("%-12s %-8s %8u  %7.2f %7.2f  %6.2f %6.2f %6.2f\n",
				       algos_name(masks[m]), wr_digest_engine_name(e), flights[f],
				       r.ours.median, r.openssl.median, r.ratio.median, r.ratio.min,
				       r.ratio.max);
				perf_case_init(c, name);
				c->total_cpb = r.ours.median;
				perf_case_extra(c, "openssl_cycles_per_byte", r.openssl.median);
				perf_case_extra(c, "times_openssl", r.ratio.median);
				n++;
			}
			wr_digest_free(d);
		}
	}
	return perf_write(&o, cases, n) == 0 ? 0 : 1;
}
