/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attack - ten thousand connections that mean ill beside a few that do not, through one worker.
 *
 * The law of every scenario: uploads that were under way go on and arrive byte for byte, frames are
 * taken from both ports to the end, what is refused has its reason and follows the policy, every
 * frame is accounted for, and when the attackers fall silent every budget comes back. Time is
 * virtual; hosts are a few counters each, so that many fit.
 */
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_sample.h"
#include "mem/mem.h"
#include "sim/load.h"
#include "sim/rig.h"
#include "tap.h"
#include "worker/worker.h"

#define MS      1000000ull
#define S       1000000000ull
#define REAL    (1700000000 * S)
#define CONNS   30000u
#define C_ISN   0xfffff000u /* numbers wrap inside every upload */
#define S_ISN   0x7ffff000u
#define QUEUE   1024u
#define RECORDS (1u << 20)
#define CREATED "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
#define BODY    20000u
#define PIECE   1000u
#define GOOD    40u
#define MBUFS   8192u
#define RX_FREE (MBUFS / 8)
#define BUDGET  (8u << 20)
#define SILENCE (70 * S) /* longer than every timeout of the configuration below */
#define CLIENT  0
#define STORE   1

struct peer {
	uint32_t una, rcv,
	        total; /* client's bytes acknowledged; store's bytes in order; of the request */
	uint32_t head;
	uint64_t again; /* when a good client repeats */
	uint8_t open, good, mute, done, refused, reset, wrong, wants_fin, fins;
};

static struct wr_conf conf;
static struct wr_stats stats;
static struct wr_ring *records;
static struct rte_mempool *pools[3];
static struct wr_worker *worker;
static struct wr_ruleset *ruleset;
static struct wr_worker_args args;
static struct peer *peers;
static struct {
	uint16_t len;
	uint8_t b[FRAME_MAX];
} queue[2][QUEUE];
static uint32_t qhead[2], qlen[2];
static uint64_t now = S, sent_to[2], taken[2], syns_out;
static uint32_t good_from; /* the good clients of this scenario are GOOD from here on */
static uint32_t resets[2], reset_seq[2]; /* by whom they reached */
static bool store_mute;                  /* the store says nothing to a SYN */
static bool reader_away;                 /* nobody reads the records */

/* --- ports and frames
 * ----------------------------------------------------------------------------------------- */

static uint16_t port_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	int side = *(int *)ctx;
	uint16_t got = 0;

	while (got < n && qlen[side] > 0) {
		struct rte_mbuf *b = rte_pktmbuf_alloc(pools[0]);

		if (b == NULL)
			break; /* as a driver: nothing to receive into */
		memcpy(rte_pktmbuf_append(b, queue[side][qhead[side]].len),
		       queue[side][qhead[side]].b, queue[side][qhead[side]].len);
		qhead[side] = (qhead[side] + 1) % QUEUE;
		qlen[side]--;
		m[got++] = b;
	}
	taken[side] += got;
	return got;
}

static struct addr client_addr(uint32_t i)
{
	return (struct addr){ { 10, 1, (uint8_t)(i >> 8), (uint8_t)i },
		              (uint16_t)(20000 + i),
		              false };
}

static void turn(void)
{
	now += MS / 20;
	wr_worker_turn(worker, now, now + REAL);
	while (!reader_away) {
		const void *p;
		uint32_t n, tag;

		if (wr_ring_peek(records, RECORDS, &p, &n, &tag) != 1)
			break;
		wr_ring_pop(records, n);
	}
}

static void put(int side, uint32_t i, int64_t off, const void *data, uint32_t n, uint8_t flags,
                uint32_t ack)
{
	static const struct addr store = { { 10, 2, 0, 1 }, 80, false };
	struct addr c = client_addr(i);
	struct seg s = { .seq = (side == CLIENT ? C_ISN : S_ISN) + 1 + (uint32_t)off,
		         .ack = (side == CLIENT ? S_ISN : C_ISN) + 1 + ack,
		         .flags = flags,
		         .window = 60000,
		         .data = data,
		         .len = n };
	uint32_t at;

	while (qlen[side] == QUEUE)
		turn();
	at = (qhead[side] + qlen[side]++) % QUEUE;
	queue[side][at].len = (uint16_t)frame_make(queue[side][at].b, side == CLIENT ? &c : &store,
	                                           side == CLIENT ? &store : &c, &s);
}

/* --- hosts
 * ---------------------------------------------------------------------------------------------- */

static uint8_t byte_of(uint32_t i, uint32_t off)
{
	return (uint8_t)('a' + (off * 7 + i) % 23);
}

static uint32_t head_of(uint32_t i, uint32_t body, char *to)
{
	return (uint32_t)snprintf(
	        to, 128, "PUT /%u HTTP/1.1\r\nHost: s\r\nContent-Length: %u\r\n\r\n", i, body);
}

static void bytes_of(uint32_t i, uint32_t off, uint8_t *to, uint32_t n)
{
	char head[128];
	uint32_t h = head_of(i, peers[i].total - peers[i].head, head);

	for (uint32_t k = 0; k < n; k++)
		to[k] = off + k < h ? (uint8_t)head[off + k] : byte_of(i, off + k);
}

/* Frames that Weir sends on are answered at once; answers go into the other queue, which a port
 * may not wait for: what finds no room is lost, as on a wire. */
static bool room(int side)
{
	return qlen[side] < QUEUE - 8;
}

static void at_store(uint32_t i, const struct seg *g)
{
	struct peer *p = &peers[i];
	uint32_t off = g->seq - C_ISN - 1;
	uint8_t want[FRAME_MAX];

	if (g->flags & F_RST) {
		p->reset = 1;
		resets[STORE]++;
		reset_seq[STORE] = g->seq - C_ISN - 1;
		return;
	}
	if (g->flags & F_SYN) {
		syns_out++;
		if (!store_mute && room(STORE))
			put(STORE, i, -1, NULL, 0, F_SYN | F_ACK, 0);
		return;
	}
	if (off == p->rcv && g->len != 0) {
		bytes_of(i, off, want, g->len);
		p->wrong |= p->good && memcmp(want, g->data, g->len) != 0;
		p->rcv += g->len;
	}
	if (p->mute || !room(STORE) || (g->len == 0 && !(g->flags & F_FIN)))
		return;
	if ((g->flags & F_FIN) && off + g->len == p->rcv && p->rcv == p->total) {
		p->fins |= 1;
		put(STORE, i, sizeof(CREATED) - 1, NULL, 0, F_ACK | F_FIN, p->rcv + 1);
		return;
	}
	if (p->rcv == p->total)
		put(STORE, i, 0, CREATED, sizeof(CREATED) - 1, F_ACK | F_PSH, p->rcv);
	else
		put(STORE, i, 0, NULL, 0, F_ACK, p->rcv);
}

static void at_client(uint32_t i, const struct seg *g)
{
	struct peer *p = &peers[i];
	uint32_t una = g->ack - C_ISN - 1;

	if (g->flags & F_RST) {
		p->reset = 1;
		resets[CLIENT]++;
		reset_seq[CLIENT] = g->seq - S_ISN - 1;
		return;
	}
	if (g->flags & F_SYN) {
		p->open = 1;
		if (room(CLIENT))
			put(CLIENT, i, 0, NULL, 0, F_ACK, 0);
		return;
	}
	if ((int32_t)(una - p->una) > 0 && una <= p->total) {
		p->una = una;
		p->again = 0;
	}
	if (g->len >= 12 && memcmp(g->data, "HTTP/1.1 201", 12) == 0)
		p->done = 1;
	else if (g->len >= 12)
		p->refused = 1;
	if ((g->flags & F_FIN) && room(CLIENT)) {
		p->fins |= 2;
		put(CLIENT, i, p->total + 1, NULL, 0, F_ACK, sizeof(CREATED));
	} else if (g->len >= 12 && p->wants_fin && room(CLIENT)) {
		put(CLIENT, i, p->total, NULL, 0, F_ACK | F_FIN, sizeof(CREATED) - 1);
	}
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	int side = *(int *)ctx;

	for (uint16_t k = 0; k < n; k++) {
		const uint8_t *b = rte_pktmbuf_mtod(m[k], const uint8_t *);
		const uint8_t *ip = b + 14 + (side == STORE ? 12 : 16);
		uint32_t i = (uint32_t)(ip[2] << 8 | ip[3]);
		struct seg g;

		WR_ASSERT(frame_read(b, m[k]->data_len, &g) && g.csum_ok);
		if (side == STORE)
			at_store(i, &g);
		else
			at_client(i, &g);
		rte_pktmbuf_free(m[k]);
		sent_to[side]++;
	}
	return n;
}

/* --- what scenarios are made of
 * -----------------------------------------------------------------------------------------------
 */

static void start(void)
{
	static int side_of[2] = { CLIENT, STORE };
	char err[256] = "";

	memset(peers, 0, CONNS * sizeof(*peers));
	memset(&stats, 0, sizeof(stats));
	qlen[0] = qlen[1] = 0;
	taken[0] = taken[1] = syns_out = 0;
	resets[0] = resets[1] = 0;
	store_mute = false;
	wr_ring_init(records, RECORDS);
	args.conf = &conf;
	args.client = (struct wr_port){ port_rx, port_tx, &side_of[CLIENT] };
	args.store = (struct wr_port){ port_rx, port_tx, &side_of[STORE] };
	args.pools = (struct wr_pools){ .rx = pools[0],
		                        .small = pools[1],
		                        .large = pools[2],
		                        .gen = pools[2],
		                        .rx_reserve = RX_FREE,
		                        .rx_low_water = 2 * RX_FREE };
	args.stats = &stats;
	args.records = records;
	args.key = (struct wr_mix_key){ { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9,
		                          0x94d049bb133111eb, 0xd6e8feb86659fd93 } };
	args.seed = 42;
	args.digest = WR_DIGEST_PORTABLE;
	worker = wr_worker_new(&args, err, sizeof(err));
	if (worker == NULL ||
	    wr_scan_stage(wr_worker_scan(worker), ruleset, err, sizeof(err)) != 0) {
		fprintf(stderr, "attack: %s\n", err);
		exit(1);
	}
	wr_worker_publish(worker, ruleset);
}

static void make_conf(uint32_t conns, uint32_t uploads)
{
	sample_conf(&conf);
	conf.nworkers = 1;
	conf.connections = conns;
	conf.uploads = uploads;
	conf.mbufs = MBUFS;
	conf.hold_budget_bytes = BUDGET;
	conf.idle_timeout_ns = 60 * S;
	conf.half_open_timeout_ns = 10 * S;
	conf.linger_ns = 10 * S;
}

static uint64_t counted(enum wr_reason r)
{
	return wr_counter_get(&stats.reason[r]);
}

/* Opens [from, from + n); those that get no answer stay closed. */
static void connect_all(uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++)
		put(CLIENT, i, -1, NULL, 0, F_SYN, 0);
	for (uint32_t k = 0; k < 3 * n / 32 + 8; k++)
		turn();
}

static void say_head(uint32_t i, uint32_t body)
{
	char head[128];

	peers[i].head = head_of(i, body, head);
	peers[i].total = peers[i].head + body;
	put(CLIENT, i, 0, head, peers[i].head, F_ACK | F_PSH, 0);
}

static void good_open(uint32_t from)
{
	good_from = from;
	for (uint32_t i = from; i < from + GOOD; i++)
		peers[i].good = 1;
	connect_all(from, GOOD);
	for (uint32_t i = from; i < from + GOOD; i++)
		say_head(i, BODY);
	for (int k = 0; k < 20; k++)
		turn();
}

/* Every good client sends what it may, two pieces at once, again after 20 ms without progress. */
static void good_step(void)
{
	for (uint32_t i = good_from; i < good_from + GOOD; i++) {
		struct peer *p = &peers[i];
		uint8_t data[PIECE];

		if (p->done || p->refused || p->una == 0 || now < p->again)
			continue;
		for (uint32_t at = p->una; at < p->total && at < p->una + 2 * PIECE; at += PIECE) {
			uint32_t k = wr_min_u32(PIECE, p->total - at);

			bytes_of(i, at, data, k);
			put(CLIENT, i, at, data, k, F_ACK | F_PSH, 0);
		}
		p->again = now + 20 * MS;
	}
	turn();
}

static void good_finish(const char *what)
{
	uint32_t done = 0, wrong = 0, bytes = 0;
	uint64_t until = now + 20 * S;

	while (now < until) {
		done = 0;
		good_step();
		for (uint32_t i = good_from; i < good_from + GOOD; i++)
			done += peers[i].done;
		if (done == GOOD)
			break;
	}
	for (uint32_t i = good_from; i < good_from + GOOD; i++) {
		wrong += peers[i].wrong;
		bytes += peers[i].rcv == peers[i].total;
	}
	OK(done == GOOD, "%s: every upload that was under way finished (%u of %u)", what, done,
	   GOOD);
	OK(wrong == 0 && bytes == GOOD, "%s: and arrived byte for byte", what);
}

static void conserved(const char *what)
{
	uint64_t in = wr_counter_get(&stats.fate[WR_FATE_RECEIVED]) +
	              wr_counter_get(&stats.fate[WR_FATE_GENERATED]);
	uint64_t outs = wr_counter_get(&stats.fate[WR_FATE_SENT]) +
	                wr_counter_get(&stats.fate[WR_FATE_DROPPED]) +
	                wr_counter_get(&stats.fate[WR_FATE_ABSORBED]) +
	                wr_counter_get(&stats.frames_held);

	OK(in == outs, "%s: every frame is accounted for", what);
}

/* Frames of both ports are taken even while the attack keeps what it can. */
static void still_receiving(const char *what)
{
	uint64_t before[2] = { taken[0], taken[1] };

	OK(rte_mempool_avail_count(pools[0]) >= RX_FREE, "%s: the reserve of buffers is whole",
	   what);
	put(CLIENT, CONNS - 1, 0, "x", 1, F_ACK, 0);
	put(STORE, CONNS - 1, 0, "x", 1, F_ACK, 0);
	for (int i = 0; i < 40; i++)
		turn();
	OK(taken[CLIENT] > before[CLIENT] && taken[STORE] > before[STORE],
	   "%s: frames are taken from both ports", what);
}

static void all_comes_back(const char *what)
{
	uint64_t until = now + SILENCE;

	conserved(what);
	while (now < until) {
		now += 10 * MS;
		turn();
	}
	for (int i = 0; i < 2000; i++)
		turn();
	OK(wr_counter_get(&stats.connections) == 0 && wr_counter_get(&stats.uploads_active) == 0 &&
	           wr_counter_get(&stats.kept_bytes) == 0 &&
	           wr_counter_get(&stats.frames_held) == 0,
	   "%s: silence brings every budget back", what);
	OK(rte_mempool_avail_count(pools[0]) == pools[0]->size &&
	           rte_mempool_avail_count(pools[1]) == pools[1]->size &&
	           rte_mempool_avail_count(pools[2]) == pools[2]->size,
	   "%s: and every buffer", what);
	conserved(what);
	wr_worker_free(worker);
}

/* --- scenarios
 * ---------------------------------------------------------------------------------------------- */

/* One byte each, every second one missing, on ten thousand connections. */
static void early_bytes(void)
{
	const uint32_t n = 10000;

	make_conf(16384, 12000);
	start();
	good_open(0);
	connect_all(GOOD, n);
	for (uint32_t i = GOOD; i < GOOD + n; i++)
		say_head(i, 100000);
	for (uint32_t k = 0; k < 12; k++) {
		for (uint32_t i = GOOD; i < GOOD + n; i++)
			put(CLIENT, i, peers[i].head + 10 + 2 * k, "x", 1, F_ACK, 0);
		good_step();
	}
	still_receiving("early bytes");
	OK(counted(WR_R_KEEP_LIMIT) > 0, "early bytes: what cannot be kept is not sent");
	OK(wr_counter_get(&stats.kept_bytes) <= BUDGET, "early bytes: the budget holds");
	good_finish("early bytes");
	all_comes_back("early bytes");
}

/* One connection alone may keep as many early segments as its own limit says. */
static void early_limit(void)
{
	make_conf(64, 64);
	conf.mbufs = 65536;
	conf.hold_budget_bytes = 64 << 20;
	start();
	connect_all(0, 1);
	say_head(0, 100000);
	turn();
	for (uint32_t k = 0; k < 1100; k++)
		put(CLIENT, 0, peers[0].head + 10 + 2 * k, "x", 1, F_ACK, 0);
	for (int i = 0; i < 100; i++)
		turn();
	IS(counted(WR_R_TCP_OOO), 1024, "a connection's early segments up to its limit");
	IS(counted(WR_R_TCP_OOO_LIMIT), 1100 - 1024, "one over it is not sent");
	all_comes_back("early limit");
}

/* A store that takes everything and acknowledges nothing. */
static void mute_store(void)
{
	const uint32_t n = 2000;
	static uint8_t data[PIECE];

	make_conf(4096, 4096);
	start();
	good_open(0);
	for (uint32_t i = GOOD; i < GOOD + n; i++)
		peers[i].mute = 1;
	connect_all(GOOD, n);
	for (uint32_t i = GOOD; i < GOOD + n; i++)
		say_head(i, 100000);
	for (uint32_t k = 0; k < 12; k++) {
		for (uint32_t i = GOOD; i < GOOD + n; i++) {
			bytes_of(i, peers[i].head + k * PIECE, data, PIECE);
			put(CLIENT, i, peers[i].head + k * PIECE, data, PIECE, F_ACK, 0);
		}
		good_step();
	}
	still_receiving("a store that does not acknowledge");
	OK(counted(WR_R_KEEP_LIMIT) + counted(WR_R_POOL_LOW) > 0,
	   "a store that does not acknowledge: what cannot be kept is not sent");
	OK(wr_counter_get(&stats.kept_bytes) <= BUDGET,
	   "a store that does not acknowledge: the budget holds");
	good_finish("a store that does not acknowledge");
	all_comes_back("a store that does not acknowledge");
}

static void syn_flood(bool open)
{
	const char *what = open ? "SYN flood, open" : "SYN flood, closed";
	const uint32_t n = 20000;
	uint64_t before;

	make_conf(4096, 1024);
	conf.service[0].policy.on_overload = open ? WR_DEATH_OPEN : WR_DEATH_CLOSED;
	start();
	good_open(0);
	store_mute = true;
	before = syns_out;
	for (uint32_t i = GOOD; i < GOOD + n; i++) {
		put(CLIENT, i, -1, NULL, 0, F_SYN, 0);
		if (i % 512 == 0)
			good_step();
	}
	for (int i = 0; i < 100; i++)
		turn();
	IS(counted(WR_R_FLOW_TABLE_FULL), n - (4096 - GOOD), "%s: those beyond the table", what);
	IS(syns_out - before, open ? n : 4096 - GOOD, "%s: the declared policy is followed", what);
	still_receiving(what);
	good_finish(what);
	while (now < 15 * S || counted(WR_R_FLOW_HALF_OPEN) < 4096 - GOOD) {
		uint64_t was = counted(WR_R_FLOW_HALF_OPEN);

		for (int i = 0; i < 1000; i++) {
			now += 20 * MS;
			turn();
		}
		if (counted(WR_R_FLOW_HALF_OPEN) == was && was != 0)
			break;
	}
	IS(counted(WR_R_FLOW_HALF_OPEN), 4096 - GOOD, "%s: half open ones are forgotten", what);
	store_mute = false;
	good_open(GOOD + n);
	good_finish(what);
	all_comes_back(what);
}

/* Ten thousand uploads that never end, more than there are entries for. */
static void slow_uploads(bool open)
{
	const char *what = open ? "slow uploads, open" : "slow uploads, closed";
	const uint32_t n = 10000, entries = 4096 + 4096 / 8 + 64;
	uint32_t reset = 0;

	make_conf(16384, 4096);
	conf.service[0].policy.on_overload = open ? WR_DEATH_OPEN : WR_DEATH_CLOSED;
	start();
	good_open(0);
	connect_all(GOOD, n);
	for (uint32_t i = GOOD; i < GOOD + n; i++) {
		say_head(i, 100000);
		if (i % 512 == 0)
			good_step();
	}
	for (uint32_t k = 0; k < 4; k++) {
		for (uint32_t i = GOOD; i < GOOD + n; i++)
			put(CLIENT, i, peers[i].head + k, "y", 1, F_ACK, 0);
		good_step();
	}
	OK(wr_counter_get(&stats.uploads_active) <= entries, "%s: the entries hold", what);
	still_receiving(what);
	good_finish(what);
	now += 3 * S; /* those that wait for a slot repeat what they said */
	for (uint32_t i = GOOD; i < GOOD + n; i++)
		if (!peers[i].reset && !peers[i].refused && peers[i].rcv == 0)
			say_head(i, 100000);
	for (int i = 0; i < 400; i++)
		turn();
	for (uint32_t i = GOOD; i < GOOD + n; i++)
		reset += peers[i].reset;
	OK(counted(WR_R_OVERLOAD) + counted(WR_R_OBJECT_LIMIT) > 0, "%s: has its reason", what);
	if (open)
		IS(reset, 0, "%s: nobody is reset", what);
	else
		OK(reset >= n - entries - 64 && reset < n, "%s: those beyond are reset: %u", what,
		   reset);
	all_comes_back(what);
}

/* Many short connections: what has ended makes room, at once. */
static void short_ones(void)
{
	const uint32_t n = 20000;
	uint32_t done = 0;
	uint64_t from = now;

	make_conf(512, 256);
	start();
	for (uint32_t i = 0; i < n; i += 32) {
		for (uint32_t k = i; k < i + 32; k++)
			peers[k].good = peers[k].wants_fin = 1;
		connect_all(i, 32);
		for (uint32_t k = i; k < i + 32; k++) {
			uint8_t b[64];

			say_head(k, 64);
			bytes_of(k, peers[k].head, b, 64);
			put(CLIENT, k, peers[k].head, b, 64, F_ACK | F_PSH, 0);
		}
		for (int k = 0; k < 12; k++)
			turn();
	}
	for (uint32_t i = 0; i < n; i++)
		done += peers[i].done && peers[i].fins == 3;
	OK(now - from < 10 * S, "short connections: all within the time that one lingers");
	IS(done, n, "short connections: all of them, through a table of 512");
	IS(counted(WR_R_FLOW_TABLE_FULL), 0, "short connections: nobody was refused");
	OK(counted(WR_R_FLOW_RECLAIMED) >= n - 512, "short connections: entries were used again");
	all_comes_back("short connections");
}

/* A reset connection is recognised for a second, however full the table is. */
static void reset_ones(void)
{
	make_conf(64, 64);
	start();
	connect_all(0, 64);
	for (uint32_t i = 0; i < 64; i++)
		put(CLIENT, i, 0, NULL, 0, F_RST | F_ACK, 0);
	turn();
	connect_all(64, 1);
	IS(peers[64].open, 0, "reset connections: not forgotten at once");
	now += 2 * S;
	connect_all(65, 1);
	IS(peers[65].open, 1, "reset connections: after a second they make room");
	IS(counted(WR_R_FLOW_RECLAIMED), 1, "reset connections: one at a time");
	all_comes_back("reset connections");
}

/*
 * Nobody reads the records, so three thousand tails wait for room at the same time: the backlog has
 * places for a third of them, a turn looks after a quarter of those. When the reader is back, who
 * has a place is served, who has none is brought by the client's repeat.
 */
static void backlog(void)
{
	const uint32_t n = 3000;
	uint32_t done = 0, early = 0;
	uint8_t b[64];
	void *p;

	make_conf(4096, 4096);
	start();
	connect_all(0, n);
	reader_away = true;
	while ((p = wr_ring_reserve(records, 4096)) != NULL)
		wr_ring_commit(records, p, 4096, 0);
	for (uint32_t i = 0; i < n; i++) {
		say_head(i, 64);
		bytes_of(i, peers[i].head, b, 64);
		put(CLIENT, i, peers[i].head, b, 64, F_ACK | F_PSH, 0);
	}
	for (int i = 0; i < 200; i++)
		turn();
	for (uint32_t i = 0; i < n; i++)
		early += peers[i].rcv == peers[i].total;
	IS(early, 0, "backlog: without room for its record no tail is let go");
	IS(counted(WR_R_RECORD_RING_FULL), n, "backlog: counted for each");
	reader_away = false;
	for (int i = 0; i < 200; i++)
		turn();
	for (uint32_t i = 0; i < n; i++) {
		done += peers[i].done;
		bytes_of(i, peers[i].head, b, 64);
		if (!peers[i].done)
			put(CLIENT, i, peers[i].head, b, 64, F_ACK | F_PSH, 0);
	}
	OK(done >= 1024 && done < n, "backlog: whoever has a place is served (%u)", done);
	for (int i = 0; i < 200; i++)
		turn();
	done = 0;
	for (uint32_t i = 0; i < n; i++)
		done += peers[i].done;
	IS(done, n, "backlog: the client's repeat brings the others");
	all_comes_back("backlog");
}

/* Nothing but heads of requests that are over: they hold no slot. */
static void idle_ones(void)
{
	static const char get[] = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";
	const uint32_t n = 3000;

	make_conf(4096, 1024);
	start();
	connect_all(GOOD, n);
	for (uint32_t i = GOOD; i < GOOD + n; i++) {
		peers[i].total = sizeof(get) - 1;
		put(CLIENT, i, 0, get, sizeof(get) - 1, F_ACK | F_PSH, 0);
	}
	for (int i = 0; i < 400; i++)
		turn();
	IS(counted(WR_R_OVERLOAD), 0, "idle connections: no slot is held");
	good_open(0);
	good_finish("idle connections");
	all_comes_back("idle connections");
}

/* A segment of the client of a connection whose beginning nobody saw; true: it went on. */
static bool unseen_says(uint32_t off, uint32_t ack)
{
	uint64_t before = sent_to[STORE];
	uint32_t rst = resets[STORE];

	peers[5].mute = 1;
	put(CLIENT, 5, off, "abc", 3, F_ACK | F_PSH, ack);
	turn();
	turn();
	return sent_to[STORE] - before == 1 && resets[STORE] == rst;
}

/* What passes unscanned by policy does so for a bounded time, and says so. */
static void unseen(void)
{
	uint64_t from;
	uint32_t off = 100;

	make_conf(64, 64);
	conf.service[0].policy.on_reason[WR_R_MIDSTREAM] = WR_ON_PASS;
	conf.service[0].policy.on_reason[WR_R_ONE_WAY] = WR_ON_PASS;
	start();
	OK(unseen_says(off, 7), "midstream, pass: it goes on");
	IS(wr_counter_get(&stats.unscanned_bytes[WR_C_MIDSTREAM]), 3,
	   "and is counted as unscanned");
	for (from = now; now < from + 20 * S; now += S)
		unseen_says(off += 3, 7);
	IS(resets[STORE] + resets[CLIENT], 0, "while it speaks it is left alone");
	for (from = now; now < from + 6 * S; now += S / 10)
		turn();
	OK(resets[STORE] == 1 && resets[CLIENT] == 1, "at its first idle moment both are reset");
	OK(reset_seq[STORE] == off + 3 && reset_seq[CLIENT] == 7, "at the numbers they expect");
	IS(counted(WR_R_PASS_RESET), 1, "and it is counted");
	OK(!unseen_says(off + 3, 7), "what comes late does not pass");
	OK(resets[STORE] == 2 && resets[CLIENT] == 2, "and is answered with a reset");
	all_comes_back("midstream, pass");

	start();
	for (from = now, off = 100; now < from + 70 * S; now += S)
		unseen_says(off += 3, 7);
	OK(resets[STORE] > 0 && counted(WR_R_PASS_RESET) == 1, "one that never rests has a minute");
	all_comes_back("midstream, long");

	for (int pass = 0; pass < 2; pass++) { /* the store's answers take another way */
		conf.service[0].policy.on_reason[WR_R_ONE_WAY] = pass ? WR_ON_PASS : WR_ON_BLOCK;
		start();
		store_mute = true;
		connect_all(5, 1);
		OK(unseen_says(0, 0) == pass, "one way, %s", pass ? "pass: it goes on" : "block");
		OK((resets[STORE] == 1 && resets[CLIENT] == 1) != pass, "one way: %s",
		   pass ? "nobody is reset" : "both are reset");
		unseen_says(3, 0);
		IS(wr_counter_get(&stats.connections), 1, "one way: one entry");
		OK(counted(WR_R_ONE_WAY) > 0, "one way: counted");
		all_comes_back("one way");
	}
}

int main(int argc, char **argv)
{
	char err[256] = "";

	if (argc != 3)
		return 2;
	peers = calloc(CONNS, sizeof(*peers));
	pools[0] = wr_mem_mbufs_sim("rx", MBUFS, 2048);
	pools[1] = wr_mem_mbufs_sim("small", 8192, WR_SMALL_ROOM);
	pools[2] = wr_mem_mbufs_sim("large", 4096, WR_LARGE_ROOM);
	records = wr_mem_alloc("records", wr_ring_bytes(RECORDS));
	if (peers == NULL || !pools[0] || !pools[1] || !pools[2] || records == NULL)
		return 1;
	if (sim_load(argv[1], argv[2], &ruleset, err, sizeof(err)) != 0) {
		fprintf(stderr, "attack: %s\n", err);
		return 1;
	}
	idle_ones();
	early_limit();
	early_bytes();
	mute_store();
	syn_flood(false);
	syn_flood(true);
	slow_uploads(false);
	slow_uploads(true);
	short_ones();
	reset_ones();
	backlog();
	unseen();
	return tap_done();
}
