/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker says of its connections, slice by slice, and which frames a trace copies: of the
 * client that was named, with no byte of payload unless that was asked for.
 */
#include <rte_mbuf.h>
#include <stdlib.h>

#include "tap.h"
#include "worker/look.c"

#define CONNS 700u /* more than one slice, more than one answer */

static struct wr_worker w;
static struct wr_stats stats;
static struct rte_mempool *pool;

static struct wr_flow_key key(uint32_t i)
{
	struct wr_flow_key k = { .client_port = (uint16_t)(1000 + i),
		                 .store_port = 80,
		                 .proto = 6 };

	memcpy(k.client, (uint8_t[16]){ [10] = 0xff, [11] = 0xff, 10, 0, 0, (uint8_t)(i % 7) }, 16);
	memcpy(k.store, (uint8_t[16]){ [10] = 0xff, [11] = 0xff, 10, 9, 9, 9 }, 16);
	return k;
}

static void boot(void)
{
	w.lc.stats = &stats;
	w.lc.now = 10000000000u;
	w.flows = wr_flow_new(CONNS + 50);
	w.conn = wr_mem_alloc("conns", (CONNS + 51) * sizeof(struct conn));
	w.objects = wr_pool_new("uploads", 4, sizeof(struct wr_object));
	w.look = wr_mem_alloc("look", sizeof(*w.look));
	w.trace.ring = wr_mem_alloc("trace", wr_ring_bytes(TRACE_RING));
	wr_ring_init(w.trace.ring, TRACE_RING);
	for (uint32_t i = 0; i < CONNS; i++) {
		struct wr_flow_key k = key(i);
		uint32_t ci = wr_flow_insert(w.flows, &k, (uint64_t)i * 0x9e3779b97f4a7c15ull);
		struct conn *c = &w.conn[ci];

		c->phase = PH_OPEN;
		c->since_ns = 9000000000u;
		c->head_taken = 1; /* no parser here that could be asked for a head */
		c->c2s.nxt = c->c2s.sent = i;
	}
}

/* All rows of a question; the number of turns it took in *turns. */
static uint32_t ask_all(uint32_t what, const struct wr_look_filter *f, uint32_t *turns)
{
	uint32_t total = 0, n;
	bool more = true;

	*turns = 0;
	if (!wr_worker_look(&w, what, f))
		return UINT32_MAX;
	while (more && *turns < 1000) {
		const struct wr_look_row *r;

		look_turn(&w);
		++*turns;
		r = wr_worker_look_rows(&w, &n, &more);
		if (r == NULL) {
			more = true;
			continue;
		}
		total += n;
		if (more)
			wr_worker_look_on(&w);
	}
	return total;
}

static void flows(void)
{
	struct wr_look_filter all = { 0 }, one = { 0 };
	uint32_t turns, n, oi;
	struct wr_object *o;
	bool more;

	IS(ask_all(WR_LOOK_FLOWS, &all, &turns), CONNS, "every connection is told once");
	OK(turns >= (CONNS + LOOK_SLICE - 1) / LOOK_SLICE, "over several turns (%u)", turns);
	memcpy(one.client, key(3).client, 16);
	IS(ask_all(WR_LOOK_FLOWS, &one, &turns), CONNS / 7, "of one client: its own");
	one.port = 1003;
	IS(ask_all(WR_LOOK_FLOWS, &one, &turns), 1, "of one client's port: that one");
	IS(ask_all(WR_LOOK_HOLDS, &all, &turns), 0, "nothing is held");
	w.conn[5].c2s.sent -= 3;
	oi = wr_pool_get(w.objects);
	o = wr_object_at(w.objects, oi);
	memset(o, 0, sizeof(*o));
	o->state = WR_OBJ_FINISHING;
	o->bytes = 77;
	o->done_ns = w.lc.now - 5000000;
	w.conn[9].obj = oi;
	IS(ask_all(WR_LOOK_HOLDS, &all, &turns), 2,
	   "a held tail, and one that waits for its verdict");
	OK(w.look->row[0].held_bytes == 3 && w.look->row[0].wait == WR_LOOK_WAIT_TAIL,
	   "so many bytes of the first");
	OK(w.look->row[1].wait == WR_LOOK_WAIT_VERDICT && w.look->row[1].held_ns == 5000000 &&
	           w.look->row[1].upload_bytes == 77,
	   "since so long at the second");
	OK(wr_worker_look(&w, WR_LOOK_FLOWS, &all), "a question");
	OK(!wr_worker_look(&w, WR_LOOK_FLOWS, &all),
	   "a second one before the worker turned is refused");
	OK(wr_worker_look_rows(&w, &n, &more) == NULL, "and nothing is told");
	for (int i = 0; i < 9; i++)
		look_turn(&w);
	OK(wr_worker_look_rows(&w, &n, &more) != NULL && n == LOOK_ROWS && more,
	   "an answer is full: the worker waits to be asked on");
}

/* --- trace */

static uint32_t put4(uint8_t *b, bool vlan, uint8_t last, uint16_t port, bool from_client,
                     uint32_t payload)
{
	uint32_t at = vlan ? 18 : 14, n = at + 20 + 32 + payload;
	uint8_t client[4] = { 10, 0, 0, last }, store[4] = { 10, 9, 9, 9 };

	memset(b, 0, n);
	if (vlan)
		b[12] = 0x81;
	b[at - 2] = 8;
	b[at] = 0x45;
	b[at + 9] = 6;
	memcpy(b + at + 12, from_client ? client : store, 4);
	memcpy(b + at + 16, from_client ? store : client, 4);
	b[at + 20] = (uint8_t)(from_client ? port >> 8 : 0);
	b[at + 21] = (uint8_t)(from_client ? port : 80);
	b[at + 22] = (uint8_t)(from_client ? 0 : port >> 8);
	b[at + 23] = (uint8_t)(from_client ? 80 : port);
	b[at + 32] = 0x80;
	memset(b + n - payload, 0xab, payload);
	return n;
}

static uint32_t put6(uint8_t *b, uint32_t payload)
{
	uint32_t n = 14 + 40 + 8 + 20 + payload;

	memset(b, 0, n);
	b[12] = 0x86;
	b[13] = 0xdd;
	b[14] = 0x60;
	b[20] = 60; /* one extension of eight bytes, then TCP */
	b[14 + 8] = 0xfd;
	b[14 + 23] = 1;
	b[54] = 6;
	b[62] = 0x03; /* source port 1000 */
	b[63] = 0xe8;
	b[62 + 12] = 0x50;
	memset(b + n - payload, 0xab, payload);
	return n;
}

/* Traces one frame; what was copied of it, or 0. */
static uint32_t traced(const uint8_t *b, uint32_t n, enum wr_side side, bool out)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	const struct wr_trace_frame *f;
	uint32_t cap = 0;

	memcpy(rte_pktmbuf_append(m, (uint16_t)n), b, n);
	trace_frames(&w, side, out, &m, 1);
	f = wr_worker_traced(&w);
	if (f != NULL) {
		cap = f->cap;
		OK(f->len == n && memcmp(f + 1, b, cap) == 0 && f->side == side && f->out == out,
		   "as it was: %u of %u bytes", f->cap, f->len);
		wr_worker_trace_pop(&w, f);
	}
	rte_pktmbuf_free(m);
	return cap;
}

static void turn(void)
{
	w.trace_on = atomic_load(&w.trace.on);
	look_turn(&w);
}

static void traces(void)
{
	struct wr_look_filter f = { .port = 1003 };
	uint8_t b[2048];
	uint32_t n;

	memcpy(f.client, key(3).client, 16);
	OK(wr_worker_trace(&w, &f, false), "a trace begins");
	turn();
	OK(!wr_worker_trace(&w, &f, true), "a second one does not, while it runs");
	n = put4(b, false, 3, 1003, true, 500);
	IS(traced(b, n, WR_SIDE_CLIENT, false), n - 500, "received from the client: headers only");
	IS(traced(b, n, WR_SIDE_STORE, true), n - 500, "and as it left to the store");
	n = put4(b, true, 3, 1003, false, 900);
	IS(traced(b, n, WR_SIDE_STORE, false), n - 900, "from the store, tagged");
	IS(traced(b, n, WR_SIDE_CLIENT, true), n - 900, "and on to the client");
	n = put4(b, false, 3, 1004, true, 10);
	IS(traced(b, n, WR_SIDE_CLIENT, false), 0, "another port of the client is not copied");
	n = put4(b, false, 4, 1003, true, 10);
	IS(traced(b, n, WR_SIDE_CLIENT, false), 0, "nor another client");
	n = put4(b, false, 3, 1003, true, 10);
	IS(traced(b, n, WR_SIDE_STORE, false), 0, "nor who has its address on the store's side");
	for (uint32_t cut = 0; cut < 54; cut++)
		(void)traced(b, cut, WR_SIDE_CLIENT, false);
	b[14] = 0x4f; /* headers that say more than there is */
	b[46] = 0xf0;
	n = put4(b, false, 3, 1003, true, 0);
	b[46] = 0xf0;
	IS(traced(b, n, WR_SIDE_CLIENT, false), n, "a header that claims more than the frame has");
	wr_worker_trace(&w, NULL, false);
	OK(!wr_worker_trace(&w, &f, true),
	   "not before the worker has seen the end of the last one");
	turn();
	OK(wr_worker_trace(&w, &f, true), "then another, with payload");
	turn();
	n = put4(b, false, 3, 1003, true, 500);
	IS(traced(b, n, WR_SIDE_CLIENT, false), n, "which is copied");
	wr_worker_trace(&w, NULL, false);
	turn();
	memset(&f, 0, sizeof(f));
	f.client[0] = 0xfd;
	f.client[15] = 1;
	f.port = 1000;
	OK(wr_worker_trace(&w, &f, false), "a client of IPv6");
	turn();
	n = put6(b, 300);
	IS(traced(b, n, WR_SIDE_CLIENT, false), n - 300, "behind an extension header");
}

static void full(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t b[2048];
	uint32_t n = put6(b, 0), frames = 0;

	memcpy(rte_pktmbuf_append(m, (uint16_t)n), b, n);
	for (uint32_t i = 0; i < TRACE_RING / 64; i++)
		trace_frames(&w, WR_SIDE_CLIENT, false, &m, 1);
	OK(wr_counter_get(&stats.reason[WR_R_TRACE_RING_FULL]) != 0, "a full ring is counted");
	while (wr_worker_traced(&w) != NULL) {
		wr_worker_trace_pop(&w, wr_worker_traced(&w));
		frames++;
	}
	IS(frames + wr_counter_get(&stats.reason[WR_R_TRACE_RING_FULL]), TRACE_RING / 64,
	   "every frame was copied or counted");
	rte_pktmbuf_free(m);
}

int main(void)
{
	pool = wr_mem_mbufs_sim("frames", 64, 2048);
	boot();
	flows();
	traces();
	full();
	return tap_done();
}
