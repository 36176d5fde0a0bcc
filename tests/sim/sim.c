/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim - the law, over seeded random schedules:
 *
 *   never   does a store, whatever it does with overlaps, complete a body that has the marked bytes
 * or is listed by digest; always  does an honest clean upload arrive as it was sent, and an honest
 * bad client read its answer; always  are frames conserved, and all budgets back at zero when the
 * connections are gone.
 *
 * usage: sim WEIR-COMPILE BUNDLE [--schedules N] [--seed S] [-v]
 */
#include <errno.h>
#include <fcntl.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem/mem.h"
#include "sim/load.h"
#include "sim/rig.h"
#include "worker/worker.h"

#define MS         1000000ull
#define S          1000000000ull
#define LIMIT_NS   (900 * S) /* virtual time that a schedule may take */
#define MBUFS      4096u
#define ANSWER_403 "HTTP/1.1 403 "

static const char mark[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
#define LISTED_LEN 3000u
uint8_t listed_body[LISTED_LEN];
const uint32_t listed_len = LISTED_LEN;

enum kind { CLEAN, MARKED, LISTED, EVIL };

struct plan { /* what this schedule is */
	enum kind kind;
	uint32_t requests, bad;           /* bad: the request that carries what must not arrive */
	uint32_t body_len[4], body_at[4]; /* offsets into bodies */
	bool chunked[4];
	uint8_t bodies[STREAM_MAX];
};

static struct sim sim;
static struct plan plan;
static struct wr_conf conf;
static struct wr_stats stats;
static struct rte_mempool *pools[3];
static struct wr_ring *records;
static uint64_t seen_total[SIT_COUNT], reasons_before[WR_R_COUNT];

/* --- ports
 * ------------------------------------------------------------------------------------------- */

struct side {
	enum hop in, out;
};
static struct side sides[2] = { { CLIENT_TO_WEIR, WEIR_TO_CLIENT },
	                        { STORE_TO_WEIR, WEIR_TO_STORE } };

static uint16_t port_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct side *sd = ctx;
	uint16_t got = 0;
	struct frame *f;

	while (got < n && (f = wire_get(&sim.wire, sd->in)) != NULL) {
		struct rte_mbuf *b = rte_pktmbuf_alloc(pools[0]);

		if (b != NULL) {
			memcpy(rte_pktmbuf_append(b, (uint16_t)f->len), f->b, f->len);
			m[got++] = b;
		}
		free(f);
	}
	return got;
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct side *sd = ctx;

	for (uint16_t i = 0; i < n; i++) {
		wire_put(&sim.wire, &sim.rng, sd->out, rte_pktmbuf_mtod(m[i], uint8_t *),
		         m[i]->data_len);
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

void host_send(struct sim *s, struct host *h, const struct seg *g)
{
	uint8_t b[FRAME_MAX];
	uint32_t n = frame_make(b, &h->me, &h->peer, g);

	if (s->verbose)
		printf("  %8.3f ms %s sends seq=%u ack=%u len=%u flags=%02x ts=%u\n",
		       (double)s->wire.now / 1e6, h->is_store ? "store" : "client",
		       g->seq - h->isn - 1, g->ack - h->peer_isn - 1, g->len, g->flags, g->ts);
	wire_put(&s->wire, &s->rng, h->is_store ? STORE_TO_WEIR : CLIENT_TO_WEIR, b, n);
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
	conf.connections = 64;
	conf.uploads = 64;
	conf.hold_budget_bytes = 64 << 20;
	conf.header_bytes = 65536;
	conf.headers = 100;
	conf.expansion_ratio = 200;
	conf.depth = 4;
	conf.answer_status = 403;
	conf.turn_bytes = 32768;
	conf.drain_bytes = 1 << 20;
	conf.drain_time_ns = 20 * S;
	conf.idle_timeout_ns = 30 * S;
	conf.half_open_timeout_ns = 10 * S;
	conf.linger_ns = 2 * S;
	conf.stream_state_bytes = 65536;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "sim: %s: %s\n", what, why);
	exit(2);
}

static void boot(const char *compiler, const char *bundle)
{
	struct wr_worker_args a = { 0 };
	struct wr_ruleset *rs;
	char err[256] = "";

	conf_make();
	pools[0] = wr_mem_mbufs_sim("rx", MBUFS, 2048);
	pools[1] = wr_mem_mbufs_sim("small", 8192, WR_SMALL_BYTES);
	pools[2] = wr_mem_mbufs_sim("large", 4096, WR_LARGE_BYTES);
	records = wr_mem_alloc("records", wr_ring_bytes(1 << 20));
	if (!pools[0] || !pools[1] || !pools[2] || !records)
		die("boot", "no memory");
	wr_ring_init(records, 1 << 20);
	a.conf = &conf;
	a.client = (struct wr_port){ port_rx, port_tx, &sides[0] };
	a.store = (struct wr_port){ port_rx, port_tx, &sides[1] };
	a.pools = (struct wr_pools){ .rx = pools[0],
		                     .small = pools[1],
		                     .large = pools[2],
		                     .gen = pools[2],
		                     .rx_reserve = 256,
		                     .rx_low_water = 512 };
	a.stats = &stats;
	a.records = records;
	a.key = (struct wr_mix_key){ { 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
		                       0xd6e8feb86659fd93 } };
	a.seed = 42;
	a.digest = WR_DIGEST_PORTABLE;
	sim.worker = wr_worker_new(&a, err, sizeof(err));
	if (sim.worker == NULL)
		die("worker", err);
	if (sim_load(compiler, bundle, &rs, err, sizeof(err)) != 0)
		die("ruleset", err);
	if (wr_scan_stage(wr_worker_scan(sim.worker), rs, err, sizeof(err)) != 0)
		die("stage", err);
	wr_worker_publish(sim.worker, rs);
}

/* --- one schedule
 * --------------------------------------------------------------------------------------- */

static uint32_t put(uint8_t *b, uint32_t at, const void *p, uint32_t n)
{
	memcpy(b + at, p, n);
	return at + n;
}

static uint32_t put_body(uint8_t *b, uint32_t at, uint32_t i)
{
	uint32_t pos = 0, len = plan.body_len[i];
	char line[160];

	if (!plan.chunked[i]) {
		at = put(b, at, line, (uint32_t)sprintf(line, "Content-Length: %u\r\n\r\n", len));
		return put(b, at, plan.bodies + plan.body_at[i], len);
	}
	at = put(b, at, line, (uint32_t)sprintf(line, "Transfer-Encoding: chunked\r\n\r\n"));
	while (pos < len) {
		uint32_t n = 1 + rng_below(&sim.rng, 2000);

		if (n > len - pos)
			n = len - pos;
		at = put(b, at, line, (uint32_t)sprintf(line, "%x\r\n", n));
		at = put(b, at, plan.bodies + plan.body_at[i] + pos, n);
		at = put(b, at, "\r\n", 2);
		pos += n;
	}
	return put(b, at, "0\r\n\r\n", 5);
}

static void make_bodies(void)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < plan.requests; i++) {
		uint32_t len = rng_chance(&sim.rng, 20) ? rng_below(&sim.rng, 60)
		                                        : rng_below(&sim.rng, 9000);
		bool bad = i == plan.bad;

		if (bad && (plan.kind == MARKED || plan.kind == EVIL))
			len += sizeof(mark);
		if (bad && plan.kind == LISTED)
			len = LISTED_LEN;
		plan.body_at[i] = at;
		plan.body_len[i] = len;
		plan.chunked[i] = rng_chance(&sim.rng, 40);
		for (uint32_t k = 0; k < len; k++)
			plan.bodies[at + k] = (uint8_t)('a' + rng_below(&sim.rng, 26));
		if (bad && (plan.kind == MARKED || plan.kind == EVIL))
			memcpy(plan.bodies + at +
			               rng_below(&sim.rng, len - (uint32_t)sizeof(mark) + 2),
			       mark, sizeof(mark) - 1);
		if (bad && plan.kind == LISTED)
			memcpy(plan.bodies + at, listed_body, LISTED_LEN);
		at += len;
	}
}

static void make_stream(void)
{
	struct host *c = &sim.client;
	uint32_t at = 0;
	char line[160];

	for (uint32_t i = 0; i < plan.requests; i++) {
		at = put(c->out, at, line,
		         (uint32_t)sprintf(line, "PUT /o%u HTTP/1.1\r\nHost: store\r\n", i));
		at = put_body(c->out, at, i);
	}
	c->out_len = at;
	memcpy(c->decoy, c->out, at);
	if (plan.kind != EVIL)
		return;
	/* The decoy is the same stream with harmless bytes where the mark is. */
	for (uint32_t i = 0; i + sizeof(mark) - 1 <= at; i++)
		if (memcmp(c->out + i, mark, sizeof(mark) - 1) == 0)
			for (uint32_t k = 0; k < sizeof(mark) - 1; k++)
				c->decoy[i + k] = 'z';
}

static void setup(uint64_t seed)
{
	static const uint32_t mss[] = { 1460, 1460, 536, 100, 17 };
	struct rng *r = &sim.rng;
	uint64_t now = sim.wire.now;
	uint16_t port = (uint16_t)(1024 + seed % 60000);

	sim.seed = seed;
	r->s = seed * 0x9e3779b97f4a7c15ull + 1;
	memset(sim.seen, 0, sizeof(sim.seen));
	memset(&sim.wire, 0, sizeof(sim.wire));
	sim.wire.now = now + S;
	sim.wire.delay_ns = (1 + rng_below(r, 20)) * MS / 10;
	sim.wire.loss = rng_chance(r, 40) ? 1 + rng_below(r, 6) : 0;
	sim.wire.reorder = rng_chance(r, 40) ? 5 + rng_below(r, 30) : 0;
	sim.wire.dup = rng_chance(r, 30) ? 1 + rng_below(r, 8) : 0;
	sim.mark = mark;
	plan.kind = (enum kind)rng_below(r, 4);
	plan.requests = 1 + (rng_chance(r, 40) ? rng_below(r, 3) : 0);
	plan.bad = plan.kind == CLEAN ? 99 : rng_below(r, plan.requests);
	host_init(&sim.client, false, r, port);
	host_init(&sim.store, true, r, port);
	sim.client.ts = rng_chance(r, 60);
	sim.store.ts = rng_chance(r, 80);
	sim.client.mss = mss[rng_below(r, 5)];
	sim.client.burst = 1 + rng_below(r, 14);
	sim.client.evil = plan.kind == EVIL;
	sim.store.policy = (enum overlap)rng_below(r, OVERLAPS);
	sim.store.slow_ms = rng_chance(r, 30) ? rng_below(r, 400) : 0;
	make_bodies();
	make_stream();
}

static void turn(void)
{
	uint64_t in, out;

	wr_worker_turn(sim.worker, sim.wire.now, sim.wire.now + 1700000000 * S);
	in = wr_counter_get(&stats.fate[WR_FATE_RECEIVED]) +
	     wr_counter_get(&stats.fate[WR_FATE_GENERATED]);
	out = wr_counter_get(&stats.fate[WR_FATE_SENT]) +
	      wr_counter_get(&stats.fate[WR_FATE_DROPPED]) +
	      wr_counter_get(&stats.fate[WR_FATE_ABSORBED]) + wr_counter_get(&stats.frames_held);
	if (in != out) {
		fprintf(stderr, "seed %lu: frames not conserved: in %lu, out and held %lu\n",
		        sim.seed, in, out);
		exit(1);
	}
}

static void deliver(struct host *h, enum hop hop)
{
	struct frame *f;
	struct seg g;

	while ((f = wire_get(&sim.wire, hop)) != NULL) {
		if (frame_read(f->b, f->len, &g)) {
			if (!g.csum_ok && sim.verbose)
				printf("  bad checksum reached a host\n");
			if (sim.verbose)
				printf("  %8.3f ms %s gets seq=%u ack=%u len=%u flags=%02x ts=%u\n",
				       (double)sim.wire.now / 1e6, h->is_store ? "store" : "client",
				       g.seq - h->peer_isn - 1, g.ack - h->isn - 1, g.len, g.flags,
				       g.ts);
			host_segment(&sim, h, &g);
		}
		free(f);
	}
}

static uint32_t count_text(const struct host *h, const char *what)
{
	uint32_t n = 0, m = (uint32_t)strlen(what);

	for (uint32_t i = 0; i + m <= h->rcv; i++)
		n += memcmp(h->in + i, what, m) == 0;
	return n;
}

static bool finished(void)
{
	if (sim.client.dead)
		return sim.wire.q[WEIR_TO_STORE] == NULL;
	if (plan.kind == CLEAN)
		return count_text(&sim.client, "HTTP/1.1 200 ") == plan.requests;
	return plan.kind != EVIL && count_text(&sim.client, ANSWER_403) > 0;
}

static void run(void)
{
	uint64_t end = sim.wire.now + LIMIT_NS, tail = 0;

	if (plan.kind == EVIL)
		end = sim.wire.now + 8 * S;
	while (sim.wire.now < end) {
		uint64_t next;

		host_tick(&sim, &sim.client);
		host_tick(&sim, &sim.store);
		turn();
		deliver(&sim.client, WEIR_TO_CLIENT);
		deliver(&sim.store, WEIR_TO_STORE);
		if (finished() && !sim.client.want_fin) {
			sim.client.want_fin = true;
			tail = sim.wire.now + 2 * S; /* let the end of the connection play out */
		}
		if (tail != 0 && sim.wire.now > tail)
			break;
		next = wire_next(&sim.wire);
		if (host_next(&sim.client, sim.wire.now) < next)
			next = host_next(&sim.client, sim.wire.now);
		if (host_next(&sim.store, sim.wire.now) < next)
			next = host_next(&sim.store, sim.wire.now);
		/* The worker has timers of its own: look in at least every 50 ms. */
		if (next > sim.wire.now + 50 * MS)
			next = sim.wire.now + 50 * MS;
		sim.wire.now = next > sim.wire.now ? next : sim.wire.now + 1000;
	}
}

static int fail(const char *what)
{
	static const char *const name[] = { "clean", "marked", "listed", "evil" };

	printf("# seed %lu (%s, %u requests, bad %u): %s\n", sim.seed, name[plan.kind],
	       plan.requests, plan.bad, what);
	for (unsigned r = 1; r < WR_R_COUNT; r++)
		if (wr_counter_get(&stats.reason[r]) != reasons_before[r])
			printf("#   %s: %lu\n", wr_reason_info(r)->name,
			       wr_counter_get(&stats.reason[r]) - reasons_before[r]);
	return 1;
}

static uint32_t drain_records(void)
{
	const void *p;
	uint32_t n, tag, count = 0;

	while (wr_ring_peek(records, 1 << 20, &p, &n, &tag) == 1) {
		count++;
		wr_ring_pop(records, n);
	}
	return count;
}

/* Everything must be given back once the connections are forgotten. */
static int leftovers(void)
{
	wire_clear(&sim.wire);
	for (int i = 0; i < 40; i++) {
		sim.wire.now += 3 * S;
		turn();
		wire_clear(&sim.wire);
	}
	if (wr_counter_get(&stats.connections) != 0)
		return fail("a connection entry is left");
	if (wr_counter_get(&stats.uploads_active) != 0)
		return fail("an upload entry is left");
	if (wr_counter_get(&stats.kept_bytes) != 0 || wr_counter_get(&stats.frames_held) != 0)
		return fail("kept segments are left");
	for (int i = 0; i < 3; i++)
		if (rte_mempool_in_use_count(pools[i]) != 0)
			return fail("buffers are left");
	return 0;
}

static int check_clean(void)
{
	uint32_t at = 0;

	if (sim.store.commits != plan.requests)
		return fail("a clean upload was not committed");
	if (count_text(&sim.client, "HTTP/1.1 200 ") != plan.requests)
		return fail("a clean client did not read its answer");
	/* The stream that the store has is the stream that was sent, byte for byte. */
	for (at = 0; at < sim.client.out_len; at++)
		if (sim.store.in[at] != sim.client.out[at])
			return fail("a clean upload was changed");
	sim.seen[SIT_CLEAN_COMMIT] = 1;
	return 0;
}

static int judge(void)
{
	static uint64_t blocked_before;
	uint64_t blocked = wr_counter_get(&stats.verdict[WR_V_MATCH][WR_A_BLOCK]);

	if (blocked != blocked_before)
		sim.seen[SIT_BLOCKED] = 1;
	blocked_before = blocked;
	if (sim.store.bad_commits != 0)
		return fail("the store committed what it must not have");
	if (plan.kind == CLEAN)
		return check_clean();
	if (plan.kind == EVIL)
		return 0;
	if (sim.store.commits > plan.bad)
		return fail("the store committed the bad upload or one behind it");
	/* Pipelined behind a gap: what completes the good request would complete the bad one too.
	 */
	if (plan.bad > 0 && sim.client.got_rst && count_text(&sim.client, ANSWER_403) == 0) {
		sim.seen[SIT_GAP_RESET] = 1;
		return 0;
	}
	if (count_text(&sim.client, ANSWER_403) != 1)
		return fail("the blocked client did not read its answer");
	if (sim.store.commits < plan.bad)
		return fail("a clean upload before the bad one was not committed");
	sim.seen[SIT_ANSWER_READ] = 1;
	return 0;
}

static uint64_t reason(enum wr_reason r)
{
	return wr_counter_get(&stats.reason[r]);
}

static void note_situations(void)
{
	static const struct {
		enum wr_reason r;
		enum situation s;
	} map[] = { { WR_R_OVERLAP_CONFLICT, SIT_CONFLICT },
		    { WR_R_TCP_OOO, SIT_EARLY },
		    { WR_R_HELD_REPEAT, SIT_HELD_REPEAT } };

	for (unsigned i = 0; i < WR_COUNT_OF(map); i++)
		if (reason(map[i].r) != reasons_before[map[i].r])
			sim.seen[map[i].s] = 1;
	if (sim.client.isn + 1 + sim.client.out_len < sim.client.isn)
		sim.seen[SIT_WRAP] = 1;
	sim.seen[SIT_PIPELINE] = plan.requests > 1;
	for (uint32_t i = 0; i < plan.requests; i++)
		sim.seen[SIT_CHUNKED] |= plan.chunked[i];
}

static int schedule(uint64_t seed)
{
	int bad;

	for (unsigned i = 0; i < WR_R_COUNT; i++)
		reasons_before[i] = reason(i);
	setup(seed);
	run();
	bad = judge();
	note_situations();
	if (!bad)
		bad = leftovers();
	if (drain_records() == 0 && !bad && plan.kind != EVIL)
		bad = fail("no verdict record was written");
	for (int i = 0; i < SIT_COUNT; i++)
		seen_total[i] += sim.seen[i];
	return bad;
}

int main(int argc, char **argv)
{
	uint64_t n = 2000, seed = 1;
	int bad = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: sim WEIR-COMPILE BUNDLE [--schedules N] [--seed S] [-v]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
			n = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "-v") == 0)
			sim.verbose = true;
	}
	for (uint32_t i = 0; i < LISTED_LEN; i++)
		listed_body[i] = (uint8_t)('A' + i * 7 % 23);
	sim.wire.now = S;
	boot(argv[1], argv[2]);
	for (uint64_t i = 0; i < n && bad < 5; i++)
		bad += schedule(seed + i);
	for (int i = 0; i < SIT_COUNT; i++) {
		static const char *const name[] = {
#define X(e, s) s,
			SITUATIONS(X)
#undef X
		};
		printf("# %6.2f %% of schedules: %s\n", 100.0 * (double)seen_total[i] / (double)n,
		       name[i]);
	}
	printf("%sok 1 - %lu schedules from seed %lu: the law holds\n1..1\n", bad ? "not " : "", n,
	       seed);
	return bad != 0;
}
