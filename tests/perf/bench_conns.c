/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker pays for a frame of one connection among many, and what it sets aside for each.
 *
 * conns/N: N connections are opened, each gets a response whose body goes on for ever, and then
 * small in-order segments of it come for connections in random order: lookup, state, placement in
 * order, nothing kept. Headers are cold, in buffers that fill a gigabyte. Beside it, on the same
 * frames in turns with it, the floor: parse, hash, table of 64-byte entries, compare, sequence
 * number, all prefetched.
 *
 * conns/memory: the difference that a connection more and an upload more make to a worker's
 * memory, and the whole of 1,000,000 and 100,000, without mbufs and Hyperscan's stream state.
 */
#include <malloc.h>
#include <rte_cycles.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "bundle.h"
#include "conf_sample.h"
#include "floors/floors.h"
#include "handoff/pkt.h"
#include "mem/mem.h"
#include "perf.h"
#include "worker/worker.h"

#define HEAD      54u /* Ethernet, IPv4, TCP without options */
#define DATA      6u  /* payload of a timed segment: a frame of the least length */
#define FRAMES    450000u
#define ROOM      2176u /* with the mbuf's own lines: a gigabyte in all */
#define C_ISN     1000u
#define S_ISN     5000u
#define PER_IP    50000u
#define PORT_FROM 10000u
#define OUT_MAX   256u

#define F_SYN 2u
#define F_PSH 8u
#define F_ACK 16u

static const char request[] = "GET /x HTTP/1.1\r\nHost: store.lab\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n";
#define REQUEST_LEN  ((uint32_t)sizeof(request) - 1)
#define RESPONSE_LEN ((uint32_t)sizeof(response) - 1)

struct source { /* one side's port: gives what lies ready, takes what comes */
	struct rte_mbuf **m;
	uint32_t n, at;
	uint16_t len; /* nonzero: timed frames of this length; their mbufs are written like a PMD's
	               */
	struct rte_mbuf *out[OUT_MAX];
	uint32_t nout;
	bool keep; /* frames come back to be used again */
	uint64_t ticks;
};

struct bench {
	struct wr_conf conf;
	struct wr_stats stats;
	struct wr_pools pools;
	struct wr_worker *worker;
	struct bench_bundle bundle;
	struct source side[2];
	struct rte_mempool *mp;
	struct rte_mbuf **frame;
	uint32_t *order; /* connection of each frame */
	uint32_t *s_nxt; /* next sequence number of each store */
	uint32_t conns;
	uint64_t now, seed;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench: conns: %s\n", what);
	exit(1);
}

static void fail_counted(const struct bench *b, const char *what)
{
	for (int i = 0; i < WR_R_COUNT; i++)
		if (wr_counter_get(&b->stats.reason[i]) != 0)
			fprintf(stderr, "  %s: %lu\n", wr_reason_info((enum wr_reason)i)->name,
			        wr_counter_get(&b->stats.reason[i]));
	fail(what);
}

/* --- ports ---------------------------------------------------------------------------------------
 */

static uint16_t rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct source *s = ctx;
	uint64_t t = rte_rdtsc();
	uint16_t k = (uint16_t)wr_min_u32(n, s->n - s->at);

	for (uint32_t i = 0; i < k; i++)
		m[i] = s->m[s->at + i];
	/* A driver has just written the mbuf of what it gives; the frame itself it never touches.
	 */
	for (uint32_t i = 0; s->len != 0 && i < k; i++) {
		m[i]->data_off = RTE_PKTMBUF_HEADROOM;
		m[i]->data_len = s->len;
		m[i]->pkt_len = s->len;
		m[i]->ol_flags = 0;
	}
	s->at += k;
	for (uint32_t i = s->at; s->len != 0 && i < s->n && i < s->at + 64; i++)
		rte_prefetch0(s->m[i]);
	s->ticks += rte_rdtsc() - t;
	return k;
}

static uint16_t tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct source *s = ctx;

	for (uint32_t i = 0; i < n; i++) {
		s->nout++;
		if (!s->keep)
			rte_pktmbuf_free(m[i]);
	}
	return n;
}

static void turn(struct bench *b)
{
	b->now += 20000;
	wr_worker_turn(b->worker, b->now, b->now + 1700000000000000000ull);
}

/* --- frames --------------------------------------------------------------------------------------
 */

static uint32_t sum16(const uint8_t *p, uint32_t n)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i + 2 <= n; i += 2)
		s += wr_get_be16(p + i);
	return n & 1 ? s + ((uint32_t)p[n - 1] << 8) : s;
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void frame(struct rte_mbuf *m, uint32_t conn, bool from_client, uint8_t flags, uint32_t seq,
                  uint32_t ack, const void *data, uint32_t len)
{
	static const uint8_t start[HEAD] = { 2, 0, 0,    0, 0, 2, 2, 0, 0,    0, 0,  1,
		                             8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6 };
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *), *ip = f + 14, *tcp = ip + 20;
	uint32_t client = 0x0a000001u + conn / PER_IP, store = 0x0ac80001u;
	uint16_t port = (uint16_t)(PORT_FROM + conn % PER_IP);

	memcpy(f, start, HEAD);
	wr_put_be16(ip + 2, (uint16_t)(40 + len));
	wr_put_be32(ip + 12, from_client ? client : store);
	wr_put_be32(ip + 16, from_client ? store : client);
	wr_put_be16(tcp, from_client ? port : 80);
	wr_put_be16(tcp + 2, from_client ? 80 : port);
	wr_put_be32(tcp + 4, seq);
	wr_put_be32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = flags;
	wr_put_be16(tcp + 14, 65535);
	if (len != 0)
		memcpy(f + HEAD, data, len);
	wr_put_be16(ip + 10, fold(sum16(ip, 20)));
	wr_put_be16(tcp + 16, fold(sum16(ip + 12, 8) + 6 + 20 + len + sum16(tcp, 20 + len)));
	m->data_len = (uint16_t)(HEAD + len);
	m->pkt_len = HEAD + len;
}

/* Sends one frame for each of the connections [from, from + n) and lets the worker take them. */
static void step(struct bench *b, uint32_t from, uint32_t n, bool from_client, uint8_t flags,
                 uint32_t seq, uint32_t ack, const char *data, uint32_t len)
{
	struct rte_mbuf *m[WR_BURST];
	struct source *s = &b->side[from_client ? WR_SIDE_CLIENT : WR_SIDE_STORE];

	for (uint32_t i = 0; i < n; i++) {
		m[i] = rte_pktmbuf_alloc(b->pools.rx);
		if (m[i] == NULL)
			fail_counted(b, "no buffer for a frame");
		frame(m[i], from + i, from_client, flags, seq, ack, data, len);
	}
	s->m = m;
	s->n = n;
	s->at = 0;
	s->len = 0;
	while (s->at < s->n)
		turn(b);
	turn(b);
	s->m = NULL;
	s->n = s->at = 0;
}

static void open_all(struct bench *b)
{
	for (uint32_t c = 0; c < b->conns; c += WR_BURST) {
		uint32_t n = wr_min_u32(WR_BURST, b->conns - c);

		step(b, c, n, true, F_SYN, C_ISN, 0, NULL, 0);
		step(b, c, n, false, F_SYN | F_ACK, S_ISN, C_ISN + 1, NULL, 0);
		step(b, c, n, true, F_PSH | F_ACK, C_ISN + 1, S_ISN + 1, request, REQUEST_LEN);
		step(b, c, n, false, F_PSH | F_ACK, S_ISN + 1, C_ISN + 1 + REQUEST_LEN, response,
		     RESPONSE_LEN);
		for (uint32_t i = c; i < c + n; i++)
			b->s_nxt[i] = S_ISN + 1 + RESPONSE_LEN;
	}
	if (wr_counter_get(&b->stats.connections) != b->conns)
		fail_counted(b, "not every connection is there");
	if (wr_counter_get(&b->stats.fate[WR_FATE_DROPPED]) != 0)
		fail_counted(b, "a frame of the opening was dropped");
	if (b->side[0].nout != 2 * b->conns || b->side[1].nout != 2 * b->conns)
		fail_counted(b, "a frame of the opening did not come out");
}

/* --- setup ---------------------------------------------------------------------------------------
 */

static uint64_t memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return wr_mem_bytes() + m.uordblks + m.hblkhd;
}

static void worker_new(struct bench *b, uint32_t conns, uint32_t uploads)
{
	struct wr_worker_args a = { .conf = &b->conf, .seed = 11, .stats = &b->stats };
	char err[256] = "";
	uint64_t seed = 3;

	sample_conf(&b->conf);
	b->conf.nworkers = 1;
	b->conf.connections = conns;
	b->conf.uploads = uploads;
	b->conf.mbufs = 32768;
	b->conf.idle_timeout_ns = UINT64_MAX >> 17;
	b->conf.stream_state_bytes = 4096;
	a.pools = b->pools;
	a.digest = wr_digest_choose(WR_DIGEST_AUTO);
	a.client = (struct wr_port){ .ctx = &b->side[0], .rx = rx, .tx = tx };
	a.store = (struct wr_port){ .ctx = &b->side[1], .rx = rx, .tx = tx };
	for (size_t i = 0; i < WR_COUNT_OF(a.key.k); i++)
		a.key.k[i] = perf_rand(&seed);
	b->worker = wr_worker_new(&a, err, sizeof(err));
	if (b->worker == NULL)
		fail(err);
}

static void setup(struct bench *b, uint32_t conns, const char *weir_compile)
{
	char err[256] = "";

	b->conns = conns;
	b->seed = 7;
	b->now = 1000000000;
	bench_bundle_new(&b->bundle, weir_compile, 10, 100, (const uint8_t *)"x", 1);
	b->pools.rx = wr_mem_mbufs_sim("rx", 1024, 2048);
	b->pools.small = wr_mem_mbufs_sim("small", 4096, WR_SMALL_BYTES + 128);
	b->pools.large = wr_mem_mbufs_sim("large", 64, WR_LARGE_BYTES + 128);
	b->pools.gen = wr_mem_mbufs_sim("gen", 64, 2048);
	worker_new(b, conns, 1000);
	if (wr_scan_stage(wr_worker_scan(b->worker), b->bundle.rs, err, sizeof(err)) != 0)
		fail(err);
	wr_worker_publish(b->worker, b->bundle.rs);
	b->mp = wr_mem_mbufs_sim("frames", FRAMES, ROOM);
	b->frame = calloc(FRAMES, sizeof(*b->frame));
	b->order = calloc(FRAMES, sizeof(*b->order));
	b->s_nxt = calloc(conns, sizeof(*b->s_nxt));
	if (b->mp == NULL || b->frame == NULL || b->order == NULL || b->s_nxt == NULL)
		fail("not enough memory");
	for (uint32_t i = 0; i < FRAMES; i++)
		b->frame[i] = rte_pktmbuf_alloc(b->mp);
	open_all(b);
}

static void teardown(struct bench *b)
{
	for (uint32_t i = 0; i < FRAMES; i++)
		rte_pktmbuf_free(b->frame[i]);
	wr_worker_free(b->worker);
	bench_bundle_free(&b->bundle);
	wr_mem_mbufs_sim_free(b->mp);
	wr_mem_mbufs_sim_free(b->pools.rx);
	wr_mem_mbufs_sim_free(b->pools.small);
	wr_mem_mbufs_sim_free(b->pools.large);
	wr_mem_mbufs_sim_free(b->pools.gen);
	free(b->frame);
	free(b->order);
	free(b->s_nxt);
}

/* The next segment of a random connection in each frame. */
static void prepare(struct bench *b)
{
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t c = (uint32_t)(perf_rand(&b->seed) % b->conns);

		b->order[i] = c;
		frame(b->frame[i], c, false, F_ACK, b->s_nxt[c], C_ISN + 1 + REQUEST_LEN, "abcdef",
		      DATA);
		b->s_nxt[c] += DATA;
	}
}

/* --- the two that are compared -------------------------------------------------------------------
 */

static double pass(struct bench *b)
{
	struct source *s = &b->side[WR_SIDE_STORE], *to = &b->side[WR_SIDE_CLIENT];
	uint64_t ticks, before = to->nout;
	double t;

	s->m = b->frame;
	s->n = FRAMES;
	s->at = 0;
	s->len = HEAD + DATA;
	s->ticks = 0;
	to->keep = true;
	t = perf_cpu_ns();
	ticks = rte_rdtsc();
	while (s->at < s->n)
		turn(b);
	ticks = rte_rdtsc() - ticks;
	t = perf_cpu_ns() - t;
	turn(b);
	to->keep = false;
	s->m = NULL;
	s->n = s->at = 0;
	if (to->nout - before != FRAMES)
		fail("a timed frame did not come out");
	/* Without the source's own share. */
	return t * (1 - (double)s->ticks / (double)ticks) / FRAMES;
}

static double floor_pass(struct bench *b)
{
	static const uint8_t **at;

	if (at == NULL)
		at = calloc(FRAMES, sizeof(*at));
	for (uint32_t i = 0; i < FRAMES; i++)
		at[i] = rte_pktmbuf_mtod(b->frame[i], const uint8_t *);
	return floor_flow(at, FRAMES, b->conns);
}

static void run(struct bench *b, struct perf_case *c, const struct perf_opts *o)
{
	double ours[PERF_REPEATS_MAX], floor[PERF_REPEATS_MAX], stage[3] = { 0 };
	static const enum wr_stage of[3] = { WR_STAGE_PKT, WR_STAGE_FLOW, WR_STAGE_TCP };
	struct perf_stat a, f;

	prepare(b);
	pass(b);
	floor_pass(b);
	for (uint32_t i = 0; i < o->repeats; i++) {
		uint64_t cycles[3], all = wr_counter_get(&b->stats.cycles);

		prepare(b);
		for (int k = 0; k < 3; k++)
			cycles[k] = wr_counter_get(&b->stats.stage_cycles[of[k]]);
		ours[i] = pass(b);
		all = wr_counter_get(&b->stats.cycles) - all;
		for (int k = 0; k < 3; k++)
			stage[k] += (double)(wr_counter_get(&b->stats.stage_cycles[of[k]]) -
			                     cycles[k]) /
			            (double)all * ours[i] / o->repeats;
		floor[i] = floor_pass(b);
	}
	if (wr_counter_get(&b->stats.fate[WR_FATE_DROPPED]) != 0)
		fail_counted(b, "a timed frame was dropped");
	a = perf_stats(ours, o->repeats);
	f = perf_stats(floor, o->repeats);
	perf_case_extra(c, "ns_per_frame", a.median);
	perf_case_extra(c, "ns_min", a.min);
	perf_case_extra(c, "floor_ns", f.median);
	perf_case_extra(c, "floor_ns_min", f.min);
	perf_case_extra(c, "pkt_ns", stage[0]);
	perf_case_extra(c, "flow_ns", stage[1]);
	perf_case_extra(c, "tcp_ns", stage[2]);
	c->ratio = a.median / f.median;
	printf("%-16s %6.1f ns a frame (best %.1f), floor %.1f (best %.1f), ratio %.2f;"
	       " pkt %.1f flow %.1f tcp %.1f\n",
	       c->name, a.median, a.min, f.median, f.min, c->ratio, stage[0], stage[1], stage[2]);
}

/* --- memory --------------------------------------------------------------------------------------
 */

static double worker_bytes(uint32_t conns, uint32_t uploads)
{
	static struct bench b;
	uint64_t before = memory(), after;

	worker_new(&b, conns, uploads);
	after = memory();
	wr_worker_free(b.worker);
	return (double)(after - before);
}

static void run_memory(struct perf_case *c)
{
	/* Slots of Hyperscan's state: two views for an upload, an eighth more for those whose
	 * record waits, and two for each of the objects that come in several requests, an eighth
	 * again. */
	const double state = 2 * (1.125 + 0.125) * 4096;
	double small = worker_bytes(100000, 1000);
	double conn = (worker_bytes(1100000, 1000) - small) / 1000000;
	double upload = (worker_bytes(100000, 101000) - small) / 100000 - state;
	double all = worker_bytes(1000000, 100000) - state * 100000;

	perf_case_extra(c, "bytes_per_connection", conn);
	perf_case_extra(c, "bytes_per_upload", upload);
	perf_case_extra(c, "mib_1m_100k", all / (1 << 20));
	printf("%-16s %.0f bytes a connection, %.0f an upload, %.0f MiB for 1,000,000 and "
	       "100,000\n",
	       c->name, conn, upload, all / (1 << 20));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t conns;
		bool always;
	} row[] = {
		{ "conns/10k", 10000, true },
		{ "conns/100k", 100000, true },
		{ "conns/1M", 1000000, false },
		{ "conns/memory", 0, true },
	};
	static struct perf_case cases[WR_COUNT_OF(row)];
	struct perf_opts o;
	size_t n = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s WEIR_COMPILE [options]\n", argv[0]);
		return 2;
	}
	perf_args(argc - 1, argv + 1, &o);
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		struct bench *b;

		if (!perf_wants(&o, row[i].name) || (o.quick && !row[i].always))
			continue;
		perf_case_init(&cases[n], row[i].name);
		if (row[i].conns == 0) {
			run_memory(&cases[n++]);
			continue;
		}
		b = calloc(1, sizeof(*b));
		snprintf(cases[n].params, sizeof(cases[n].params),
		         "\"connections\": %u, \"frame_bytes\": %u", row[i].conns, HEAD + DATA);
		setup(b, row[i].conns, argv[1]);
		run(b, &cases[n++], &o);
		teardown(b);
		free(b);
		fflush(stdout);
	}
	return perf_write(&o, cases, n) == 0 ? 0 : 1;
}
