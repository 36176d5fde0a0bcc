/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rigs - the workers between the hosts: one alone, and two that hand each other's frames over by
 * rings. They live through all schedules, as they would in production.
 */
#include "sim/rigs.h"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem.h"
#include "sim/load.h"
#include "sim/world.h"

#define MBUFS    4096u
#define RECORDS  (128u << 10)
#define EXCHANGE 1024u
#define REAL     (1700000000 * S)

struct rigs rigs;
struct sim sim;

static struct wr_conf conf[2]; /* alone, two */
static struct rte_mempool *pools[3];
static uint64_t epoch = 1;

/* --- ports
 * ------------------------------------------------------------------------------------------- */

struct side {
	enum hop in, out;
	uint32_t queue;
};
static struct side sides[2][2] = {
	{ { CLIENT_TO_WEIR, WEIR_TO_CLIENT, 0 }, { STORE_TO_WEIR, WEIR_TO_STORE, 0 } },
	{ { CLIENT_TO_WEIR, WEIR_TO_CLIENT, 1 }, { STORE_TO_WEIR, WEIR_TO_STORE, 1 } }
};

/* What has come to Weir of the client's stream, in order: only to know what a frame completed. */
static void track(const struct meta *m)
{
	struct pair *p = &sim.pair[m->pair];
	uint32_t end = m->off + m->len, was = p->weir_nxt;

	if (m->is_store || m->len == 0 || end > STREAM_MAX || (m->tags & (TAG_BROKEN | TAG_PIECE)))
		return;
	memset(p->weir_have + m->off, 1, m->len);
	if (end > p->weir_top)
		p->weir_top = end;
	while (p->weir_nxt < p->weir_top && p->weir_have[p->weir_nxt])
		p->weir_nxt++;
	if (m->off <= was && p->weir_nxt > end && p->plan.mark_end > was &&
	    p->plan.mark_end <= p->weir_nxt)
		sim.seen[SIT_GAP_MATCH] = 1;
}

static uint16_t port_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct side *sd = ctx;
	uint16_t got = 0;
	struct frame *f;

	while (got < n && (f = wire_get(&sim.wire, sd->in, sd->queue)) != NULL) {
		struct rte_mbuf *b = rte_pktmbuf_alloc(pools[0]);

		if (b != NULL) {
			memcpy(rte_pktmbuf_append(b, (uint16_t)f->len), f->b, f->len);
			m[got++] = b;
			rigs.tags |= f->meta.tags;
			rigs.bytes += f->meta.len;
			track(&f->meta);
		}
		wire_done(&sim.wire, f);
	}
	return got;
}

static struct pair *pair_by_port(uint16_t port)
{
	for (uint32_t i = sim.npairs; i-- > 0;) /* the later one has taken the addresses over */
		if (sim.pair[i].begun && sim.pair[i].client.me.port == port)
			return &sim.pair[i];
	return NULL;
}

/* True: this frame of Weir's is the answer to a blocked client, and chance has it lost. */
static bool answer_lost(const struct frame *f)
{
	struct pair *p;
	struct seg g;

	if (memmem(f->b, f->len, "HTTP/1.1 403", 12) == NULL || !frame_read(f->b, f->len, &g))
		return false;
	p = pair_by_port(g.dport);
	if (p == NULL || !p->client.answer_lost)
		return false;
	p->client.answer_lost = false;
	sim.seen[SIT_LOST_ANSWER] = 1;
	return true;
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct side *sd = ctx;

	for (uint16_t i = 0; i < n; i++) {
		static struct frame f;
		bool to_store = sd->out == WEIR_TO_STORE;

		f.len = m[i]->data_len;
		f.meta = (struct meta){ .queue = 0 };
		memcpy(f.b, rte_pktmbuf_mtod(m[i], uint8_t *), f.len);
		rte_pktmbuf_free(m[i]);
		rigs.pieces += frame_is_piece(f.b);
		if (!to_store && answer_lost(&f))
			continue;
		(void)wire_put(&sim.wire, &sim.rng, sd->out, &f);
	}
	return n;
}

void host_send(struct host *h, const struct seg *g, struct meta meta)
{
	const struct plan *p = &pair_of(h)->plan;
	enum hop hop = h->is_store ? STORE_TO_WEIR : CLIENT_TO_WEIR;
	static struct frame f;

	f.len = frame_make(f.b, &h->me, &h->peer, g);
	if (meta.tags & TAG_SPOIL)
		frame_spoil(f.b);
	/* The two directions come in on different queues, so that one of them is handed over. */
	meta.queue = sim.workers == 1 ? 0 : (uint8_t)((meta.pair ^ h->is_store) & 1);
	if (sim.workers == 2 && rng_chance(&sim.rng, 10))
		meta.queue ^= 1;
	f.meta = meta;
	if (sim.verbose)
		printf("  %8.3f ms %u %s sends seq=%u ack=%u len=%u flags=%02x win=%u tags=%x\n",
		       (double)(sim.wire.now - sim.start) / 1e6, h->pair,
		       h->is_store ? "store" : "client", g->seq - h->isn - 1,
		       g->ack - h->peer_isn - 1, g->len, g->flags, g->window, meta.tags);
	if (p->frag != 0 && !h->is_store && g->len > 8 && rng_chance(&sim.rng, p->frag))
		evil_fragments(h, &f, g);
	else
		(void)wire_put(&sim.wire, &sim.rng, hop, &f);
}

void rigs_deliver(bool to_store)
{
	enum hop hop = to_store ? WEIR_TO_STORE : WEIR_TO_CLIENT;
	struct frame *f;
	struct seg g;

	while ((f = wire_get(&sim.wire, hop, 0)) != NULL) {
		struct pair *p = NULL;
		struct host *h;

		if (frame_read(f->b, f->len, &g))
			p = pair_by_port(to_store ? g.sport : g.dport);
		h = p == NULL ? NULL : to_store ? &p->store : &p->client;
		if (h != NULL && sim.verbose)
			printf("  %8.3f ms %u %s gets seq=%u ack=%u len=%u flags=%02x win=%u%s\n",
			       (double)(sim.wire.now - sim.start) / 1e6, h->pair,
			       to_store ? "store" : "client", g.seq - h->peer_isn - 1,
			       g.ack - h->isn - 1, g.len, g.flags, g.window,
			       g.csum_ok ? "" : " BAD SUM");
		if (h != NULL)
			host_segment(h, &g);
		wire_done(&sim.wire, f);
	}
}

/* --- boot
 * -------------------------------------------------------------------------------------------- */

static void conf_make(struct wr_conf *c, uint32_t workers)
{
	struct wr_conf_service *svc = &c->service[0];

	c->nlinks = c->nservices = 1;
	c->nworkers = workers;
	strcpy(svc->name, "all");
	svc->policy.ceiling = WR_A_BLOCK;
	memset(svc->policy.on_verdict, WR_A_BLOCK, sizeof(svc->policy.on_verdict));
	svc->policy.on_verdict[WR_V_CLEAN] = WR_A_PASS;
	memset(svc->policy.on_cause, WR_A_BLOCK, sizeof(svc->policy.on_cause));
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		svc->policy.on_reason[r] =
		        wr_reason_info(r)->def == WR_RD_POLICY ? WR_ON_BLOCK : WR_ON_DROP;
	svc->policy.on_reason[WR_R_IP_FRAGMENT] = WR_ON_REASSEMBLE;
	c->mbufs = MBUFS;
	c->connections = 64 * workers;
	c->uploads = 256 * workers;
	c->hold_budget_bytes = 64 << 20;
	c->header_bytes = 65536;
	c->headers = 100;
	c->expansion_ratio = 200;
	c->depth = 4;
	c->answer_status = 403;
	c->turn_bytes = 32768;
	c->drain_bytes = 1 << 20;
	c->drain_time_ns = 20 * S;
	c->idle_timeout_ns = 30 * S;
	c->half_open_timeout_ns = 10 * S;
	c->linger_ns = 2 * S;
	c->stream_state_bytes = 65536;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "sim: %s: %s\n", what, why);
	exit(2);
}

static struct rte_ring *exchange_ring(void)
{
	struct rte_ring *r = aligned_alloc(64, (size_t)rte_ring_get_memsize(EXCHANGE));

	if (r == NULL || rte_ring_init(r, "x", EXCHANGE, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
		die("boot", "no ring");
	return r;
}

static void worker_make(uint32_t i, uint32_t two, uint32_t index, struct rte_ring *ring[2])
{
	struct wr_worker_args a = { 0 };
	char err[256] = "";

	rigs.records[i] = wr_mem_alloc("records", wr_ring_bytes(RECORDS));
	if (rigs.records[i] == NULL)
		die("boot", "no memory");
	wr_ring_init(rigs.records[i], RECORDS);
	a.conf = &conf[two];
	a.id = index;
	a.index = index;
	a.peers = two ? 2 : 1;
	if (two) { /* ring[k]: to worker k */
		a.to[1 - index] = ring[1 - index];
		a.from[1 - index] = ring[index];
	}
	a.client = (struct wr_port){ port_rx, port_tx, &sides[index][0] };
	a.store = (struct wr_port){ port_rx, port_tx, &sides[index][1] };
	a.pools = (struct wr_pools){ .rx = pools[0],
		                     .small = pools[1],
		                     .large = pools[2],
		                     .gen = pools[2],
		                     .rx_reserve = 256,
		                     .rx_low_water = 512 };
	a.stats = &rigs.stats[i];
	a.records = rigs.records[i];
	a.key = (struct wr_mix_key){ { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
		                       0xd6e8feb86659fd93 } };
	a.seed = 42 + i;
	a.digest = WR_DIGEST_PORTABLE;
	rigs.worker[i] = wr_worker_new(&a, err, sizeof(err));
	if (rigs.worker[i] == NULL)
		die("worker", err);
	for (int k = 0; k < 2; k++)
		if (wr_scan_stage(wr_worker_scan(rigs.worker[i]), rigs.ruleset[k], err,
		                  sizeof(err)) != 0)
			die("stage", err);
	wr_worker_publish(rigs.worker[i], rigs.ruleset[0]);
}

void rigs_boot(const char *compiler, const char *bundle)
{
	struct rte_ring *ring[2];
	char err[256] = "";

	conf_make(&conf[0], 1);
	conf_make(&conf[1], 2);
	pools[0] = wr_mem_mbufs_sim("rx", MBUFS, 2048);
	pools[1] = wr_mem_mbufs_sim("small", 8192, WR_SMALL_BYTES);
	pools[2] = wr_mem_mbufs_sim("large", 4096, WR_LARGE_BYTES);
	if (!pools[0] || !pools[1] || !pools[2])
		die("boot", "no memory");
	for (int k = 0; k < 2; k++)
		if (sim_load(compiler, bundle, &rigs.ruleset[k], err, sizeof(err)) != 0)
			die("ruleset", err);
	ring[0] = exchange_ring();
	ring[1] = exchange_ring();
	worker_make(0, 0, 0, ring);
	worker_make(1, 1, 0, ring);
	worker_make(2, 1, 1, ring);
}

/* --- a schedule
 * -------------------------------------------------------------------------------------- */

void rigs_begin(void)
{
	struct wr_conf *c = &conf[sim.workers - 1];
	uint8_t *on = c->service[0].policy.on_reason;

	rigs.first = sim.workers == 1 ? 0 : 1;
	rigs.n = sim.workers;
	rigs.now_rs = 0;
	rigs.made = 0;
	c->turn_bytes = rng_chance(&sim.rng, 15) ? 500 + rng_below(&sim.rng, 4000) : 32768;
	on[WR_R_IP_FRAGMENT] = sim.reassemble ? WR_ON_REASSEMBLE : WR_ON_DROP;
	on[WR_R_OVERLAP_CONFLICT] = rng_chance(&sim.rng, 50) ? WR_ON_BLOCK : WR_ON_INSPECT;
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
		wr_worker_publish(rigs.worker[i], rigs.ruleset[0]);
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		rigs.before[r] = rigs_reason(r);
	rigs.blocked = rigs_sum(offsetof(struct wr_stats, verdict[WR_V_MATCH][WR_A_BLOCK]));
}

uint64_t rigs_sum(size_t offset) /* of a counter of struct wr_stats, over the workers */
{
	uint64_t n = 0;

	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
		n += wr_counter_get((_Atomic uint64_t *)(void *)((char *)&rigs.stats[i] + offset));
	return n;
}

uint64_t rigs_reason(unsigned r)
{
	return rigs_sum(offsetof(struct wr_stats, reason) + r * sizeof(rigs.stats[0].reason[0]));
}

uint64_t rigs_since(unsigned r)
{
	return rigs_reason(r) - rigs.before[r];
}

/* No room for records: clean tails stay held. */
static void fill_records(void)
{
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++) {
		void *p;

		while ((p = wr_ring_reserve(rigs.records[i], 8000)) != NULL)
			wr_ring_commit(rigs.records[i], p, 8000, 77);
	}
}

void rigs_drain(void)
{
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++) {
		const void *p;
		uint32_t n, tag;

		while (wr_ring_peek(rigs.records[i], RECORDS, &p, &n, &tag) == 1) {
			rigs.made += tag != 77;
			wr_ring_pop(rigs.records[i], n);
		}
	}
}

static void conserved(uint32_t i)
{
	struct wr_stats *s = &rigs.stats[i];
	uint64_t in = wr_counter_get(&s->fate[WR_FATE_RECEIVED]) +
	              wr_counter_get(&s->fate[WR_FATE_GENERATED]);
	uint64_t out = wr_counter_get(&s->fate[WR_FATE_SENT]) +
	               wr_counter_get(&s->fate[WR_FATE_DROPPED]) +
	               wr_counter_get(&s->fate[WR_FATE_ABSORBED]) + wr_counter_get(&s->frames_held);

	if (in != out)
		rigs.broken = "frames are not conserved";
}

/* What the counters say about the frames that this turn began with. */
static void note(void)
{
	uint64_t held = rigs_reason(WR_R_HELD_REPEAT),
	         conflict = rigs_reason(WR_R_OVERLAP_CONFLICT);

	if (held != rigs.held_repeats && (rigs.tags & TAG_RTO))
		sim.seen[SIT_RTO_HELD] = 1;
	if (held != rigs.held_repeats && (rigs.tags & TAG_PROBE))
		sim.seen[SIT_PROBE_HELD] = 1;
	if (conflict != rigs.conflicts && (rigs.tags & TAG_DECOY))
		sim.seen[SIT_MARK_CONFLICT] = 1;
	if (rigs.bytes > conf[sim.workers - 1].turn_bytes)
		sim.seen[SIT_SMALL_TURN] = 1;
}

void rigs_turn(void)
{
	bool filled =
	        sim.hold_to != 0 && sim.wire.now >= sim.hold_from && sim.wire.now < sim.hold_to;

	if (filled)
		fill_records();
	else
		rigs_drain();
	rigs.tags = 0;
	rigs.bytes = 0;
	rigs.held_repeats = rigs_reason(WR_R_HELD_REPEAT);
	rigs.conflicts = rigs_reason(WR_R_OVERLAP_CONFLICT);
	/* What one hands over in the first round, the other has in the second. */
	for (uint32_t round = 0; round < rigs.n; round++)
		for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
			wr_worker_turn(rigs.worker[i], sim.wire.now, sim.wire.now + REAL);
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
		conserved(i);
	note();
}

void rigs_switch(void)
{
	rigs.now_rs ^= 1;
	if (rigs_sum(offsetof(struct wr_stats, uploads_active)) != 0)
		sim.seen[SIT_SWITCH] = 1;
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
		wr_worker_publish(rigs.worker[i], rigs.ruleset[rigs.now_rs]);
}

void rigs_epoch(void)
{
	epoch++;
	if (rigs_sum(offsetof(struct wr_stats, uploads_active)) != 0)
		sim.seen[SIT_EPOCH] = 1;
	for (uint32_t i = rigs.first; i < rigs.first + rigs.n; i++)
		wr_worker_epoch(rigs.worker[i], epoch);
}

bool rigs_small(void)
{
	return conf[sim.workers - 1].turn_bytes < 32768;
}

/* Everything must be given back once the connections are forgotten. NULL, or what was not. */
const char *rigs_leftovers(void)
{
	static const struct {
		size_t at;
		const char *what;
	} gauge[] = {
		{ offsetof(struct wr_stats, connections), "a connection entry is left" },
		{ offsetof(struct wr_stats, uploads_active), "an upload entry is left" },
		{ offsetof(struct wr_stats, kept_bytes), "kept segments are left" },
		{ offsetof(struct wr_stats, frames_held), "held frames are left" },
	};

	sim.hold_to = 0;
	wire_clear(&sim.wire);
	for (int i = 0; i < 60; i++) {
		bool left = false;

		sim.wire.now += 3 * S;
		rigs_turn();
		wire_clear(&sim.wire);
		for (unsigned k = 0; k < WR_COUNT_OF(gauge); k++)
			left |= rigs_sum(gauge[k].at) != 0;
		if (!left && i > 1)
			break;
	}
	rigs_drain();
	for (unsigned k = 0; k < WR_COUNT_OF(gauge); k++)
		if (rigs_sum(gauge[k].at) != 0)
			return gauge[k].what;
	for (int i = 0; i < 3; i++)
		if (rte_mempool_in_use_count(pools[i]) != 0)
			return "buffers are left";
	for (int k = 0; k < 2; k++)
		if (wr_ruleset_open_count(rigs.ruleset[k]) != 0)
			return "an upload still holds a ruleset";
	return NULL;
}
