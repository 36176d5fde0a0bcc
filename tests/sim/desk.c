/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/desk.h"

#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

#include "mem/mem.h"
#include "sim/load.h"
#include "tap.h"

#define MBUFS 4096u

const char mark[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
struct wr_conf conf;
struct wr_stats stats;
struct wr_ring *records, *events;
static struct rte_mempool *pools[3];
struct wr_worker *worker;
struct wr_ruleset *ruleset;
static struct frame *in[2];
struct got out[2][OUT_MAX]; /* [where to] */
uint32_t nout[2], marks;    /* marks: frames to the store with the marked bytes */
uint64_t now = S;
struct addr client = { { 10, 0, 0, 1 }, 2000, false }, store = { { 10, 0, 0, 2 }, 80, false };
bool stamps;
static uint32_t ts_client = 5000, ts_store = 7000;
uint16_t window[2] = { 60000, 60000 };
uint32_t sent[2], acked[2]; /* stream offsets, as each host counts them */

/* --- the worker's ports
 * ------------------------------------------------------------------------------ */

static int side_of[2] = { CLIENT, STORE };

static uint16_t port_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	int side = *(int *)ctx;
	uint16_t got = 0;

	while (got < n && in[side] != NULL) {
		struct frame *f = in[side];
		struct rte_mbuf *b = rte_pktmbuf_alloc(pools[0]);

		in[side] = f->next;
		WR_ASSERT(b != NULL);
		memcpy(rte_pktmbuf_append(b, (uint16_t)f->len), f->b, f->len);
		m[got++] = b;
		free(f);
	}
	return got;
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	int side = *(int *)ctx;

	for (uint16_t i = 0; i < n; i++) {
		struct got *g = &out[side][nout[side]];

		memset(g->b, 0, sizeof(g->b));
		memcpy(g->b, rte_pktmbuf_mtod(m[i], uint8_t *), m[i]->data_len);
		WR_ASSERT(frame_read(g->b, m[i]->data_len, &g->seg));
		rte_pktmbuf_free(m[i]);
		marks += side == STORE && IN((const char *)g->seg.data, "$H+H*");
		/* Repeats of earlier scripts are not this one's business. */
		if ((side == CLIENT ? g->seg.dport : g->seg.sport) == client.port)
			nout[side]++;
		WR_ASSERT(nout[side] < OUT_MAX);
	}
	return n;
}

/* --- the hosts
 * --------------------------------------------------------------------------------------- */

void turn(void)
{
	uint64_t a, b;

	nout[CLIENT] = nout[STORE] = 0;
	for (int i = 0; i < 3; i++) { /* what a turn puts off, the next takes up */
		now += MS / 10;
		wr_worker_turn(worker, now, now + REAL);
	}
	a = wr_counter_get(&stats.fate[WR_FATE_RECEIVED]) +
	    wr_counter_get(&stats.fate[WR_FATE_GENERATED]);
	b = wr_counter_get(&stats.fate[WR_FATE_SENT]) +
	    wr_counter_get(&stats.fate[WR_FATE_DROPPED]) +
	    wr_counter_get(&stats.fate[WR_FATE_ABSORBED]) + wr_counter_get(&stats.frames_held);
	if (a != b)
		IS(a, b, "frames in = frames out and held");
}

void later(uint64_t ns)
{
	now += ns;
	turn();
}

void put(int side, const struct seg *s)
{
	struct frame *f = calloc(1, sizeof(*f)), **p = &in[side];

	WR_ASSERT(f != NULL);
	f->len = frame_make(f->b, side == CLIENT ? &client : &store,
	                    side == CLIENT ? &store : &client, s);
	while (*p != NULL)
		p = &(*p)->next;
	*p = f;
}

/* A segment of `side` at stream offset off (-1 = the SYN's place). */
struct seg segment(int side, int64_t off, const void *data, uint32_t n, uint8_t flags)
{
	bool c = side == CLIENT;

	return (struct seg){ .seq = (c ? C_ISN : S_ISN) + 1 + (uint32_t)off,
		             .ack = (c ? S_ISN : C_ISN) + 1 + acked[side],
		             .flags = flags,
		             .window = window[side],
		             .has_ts = stamps,
		             .ts = c ? ts_client : ts_store,
		             .ecr = c ? ts_store : ts_client,
		             .data = data,
		             .len = n };
}

void send_at(int side, uint32_t off, const void *data, uint32_t n)
{
	struct seg s = segment(side, off, data, n, F_ACK | F_PSH);

	if (off + n > sent[side])
		sent[side] = off + n;
	put(side, &s);
	turn();
}

void say(int side, const char *text)
{
	send_at(side, sent[side], text, (uint32_t)strlen(text));
}

void ack(int side, uint32_t off)
{
	struct seg s;

	acked[side] = off;
	s = segment(side, sent[side], NULL, 0, F_ACK);
	put(side, &s);
	turn();
}

/* A connection of its own for each script: the next port. */
void connect_with(const void *syn_data, uint32_t n, uint16_t offered)
{
	struct seg s;

	client.port++;
	memset(sent, 0, sizeof(sent));
	memset(acked, 0, sizeof(acked));
	window[CLIENT] = offered;
	window[STORE] = 60000;
	s = segment(CLIENT, -1, syn_data, n, F_SYN);
	s.ack = 0;
	put(CLIENT, &s);
	turn();
	if (syn_data != NULL)
		return;
	s = segment(STORE, -1, NULL, 0, F_SYN | F_ACK);
	put(STORE, &s);
	turn();
	ack(CLIENT, 0);
}

void connected(void)
{
	stamps = false;
	connect_with(NULL, 0, 60000);
}

/* --- what is asked of the frames
 * ---------------------------------------------------------------------- */

const struct seg *flagged(int to, uint8_t flag)
{
	for (uint32_t i = 0; i < nout[to]; i++)
		if (out[to][i].seg.flags & flag)
			return &out[to][i].seg;
	return NULL;
}

uint32_t payload(int to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < nout[to]; i++)
		n += out[to][i].seg.len;
	return n;
}

const char *answer(void) /* the first payload towards the client */
{
	for (uint32_t i = 0; i < nout[CLIENT]; i++)
		if (out[CLIENT][i].seg.len != 0)
			return (const char *)out[CLIENT][i].seg.data;
	return NULL;
}

uint64_t reason(enum wr_reason r)
{
	static uint64_t last[WR_R_COUNT];
	uint64_t n = wr_counter_get(&stats.reason[r]), d = n - last[r];

	last[r] = n;
	return d;
}

/* The oldest record, taken off the ring; zeroes when there is none. */
struct wr_record record(void)
{
	struct wr_record r = { .verdict = 0xff, .action = 0xff, .committed = 0xff };
	const void *p;
	uint32_t n, tag;

	if (wr_ring_peek(records, RING, &p, &n, &tag) == 1) {
		memcpy(&r, p, sizeof(r));
		wr_ring_pop(records, n);
	}
	return r;
}

uint64_t hashed(void) /* coverage of the oldest record's first view; takes it off */
{
	struct wr_record_view v = { 0 };
	const void *p;
	uint32_t n, tag;

	if (wr_ring_peek(records, RING, &p, &n, &tag) != 1)
		return UINT64_MAX;
	memcpy(&v, (const uint8_t *)p + sizeof(struct wr_record), sizeof(v));
	wr_ring_pop(records, n);
	return v.coverage[WR_COV_HASHED];
}

void no_records(void)
{
	later(30 * S); /* what earlier scripts left has had its time */
	while (record().verdict != 0xff)
		;
}

/* --- boot
 * -------------------------------------------------------------------------------------------- */

static void conf_make(void)
{
	struct wr_conf_service *svc = &conf.service[0];

	conf.nlinks = conf.nworkers = conf.nservices = 1;
	strcpy(svc->name, "all");
	svc->policy.ceiling = WR_A_BLOCK;
	memset(svc->policy.on_verdict, WR_A_BLOCK, sizeof(svc->policy.on_verdict));
	svc->policy.on_verdict[WR_V_CLEAN] = WR_A_PASS;
	memset(svc->policy.on_cause, WR_A_BLOCK, sizeof(svc->policy.on_cause));
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		svc->policy.on_reason[r] =
		        wr_reason_info(r)->def == WR_RD_POLICY ? WR_ON_BLOCK : WR_ON_DROP;
	conf.mbufs = MBUFS;
	conf.connections = conf.uploads = 128;
	conf.hold_budget_bytes = 64 << 20;
	conf.header_bytes = 65536;
	conf.headers = 100;
	conf.expansion_ratio = 200;
	conf.depth = 4;
	conf.answer_status = 403;
	conf.turn_bytes = 32768;
	conf.drain_bytes = 1 << 20;
	conf.drain_time_ns = 20 * S;
	conf.idle_timeout_ns = 300 * S;
	conf.half_open_timeout_ns = 100 * S;
	conf.linger_ns = 2 * S;
	conf.stream_state_bytes = 65536;
}

int boot(const char *compiler, const char *bundle)
{
	struct wr_worker_args a = { 0 };
	char err[256] = "no memory";

	conf_make();
	pools[0] = wr_mem_mbufs_sim("rx", MBUFS, 2048);
	pools[1] = wr_mem_mbufs_sim("small", 8192, WR_SMALL_BYTES);
	pools[2] = wr_mem_mbufs_sim("large", 4096, WR_LARGE_BYTES);
	records = wr_mem_alloc("records", wr_ring_bytes(RING));
	events = wr_mem_alloc("events", wr_ring_bytes(RING));
	if (!pools[0] || !pools[1] || !pools[2] || !records || !events)
		goto fail;
	wr_ring_init(records, RING);
	wr_ring_init(events, RING);
	a.conf = &conf;
	a.client = (struct wr_port){ port_rx, port_tx, &side_of[CLIENT] };
	a.store = (struct wr_port){ port_rx, port_tx, &side_of[STORE] };
	a.pools = (struct wr_pools){ .rx = pools[0],
		                     .small = pools[1],
		                     .large = pools[2],
		                     .gen = pools[2],
		                     .rx_reserve = 256,
		                     .rx_low_water = 512 };
	a.stats = &stats;
	a.records = records;
	a.events = events;
	a.key = (struct wr_mix_key){ { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
		                       0xd6e8feb86659fd93 } };
	a.seed = 42;
	a.digest = WR_DIGEST_PORTABLE;
	worker = wr_worker_new(&a, err, sizeof(err));
	if (worker == NULL || sim_load(compiler, bundle, &ruleset, err, sizeof(err)) != 0 ||
	    wr_scan_stage(wr_worker_scan(worker), ruleset, err, sizeof(err)) != 0)
		goto fail;
	wr_worker_publish(worker, ruleset);
	return 0;
fail:
	fprintf(stderr, "script: %s\n", err);
	return -1;
}
