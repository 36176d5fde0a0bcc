/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole worker on in-memory ports against a peer: Gbit/s of body per core, cycles per byte by
 * stage, verdict delay, frames lost, and beside it the floors of its kernels on the same frames in
 * the same run.
 *
 * Two sources. `pipeline/`: the peer is in the worker's own thread; its time is measured inside its
 * calls and taken off: for machines whose cores are shared. `ring/`: the peer has an lcore of its
 * own behind net_ring ports, as far from the worker as a NIC; nothing is taken off, and a run
 * counts only when the generator waited for the worker. What was planted must be found, what was
 * not must not, and every frame must have come out: otherwise there is no number.
 */
#include <math.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bundle.h"
#include "conf_sample.h"
#include "floors/floors.h"
#include "mem/mem.h"
#include "peer.h"
#include "perf.h"
#include "source.h"
#include "worker/worker.h"

#define RECORD_RING (1u << 24)
/* Of the generator's pushes into net_ring, how many must find it full. */
#define BLOCKED_MIN 0.9
#define TRIES       4u /* repeats that may be thrown away, per repeat that counts */

struct scenario {
	const char *name;
	uint32_t conns, body, frames;
	enum peer_content content;
	bool always;      /* with --quick too */
	bool ring;        /* the peer on an lcore of its own */
	uint32_t entries; /* of each list */
};

struct bench {
	const struct scenario *s;
	struct wr_conf conf;
	struct wr_stats stats;
	struct wr_pools pools;
	struct peer *peer;
	struct wr_worker *worker;
	struct wr_ring *records;
	struct bench_bundle bundle;
	enum wr_digest_engine engine;
	uint64_t found, nrecords, ticks_records, ticks_idle;
	uint64_t base_ns;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const struct bench *b, const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", b->s->name, what);
	exit(1);
}

/* Does the record name what was planted? Seeded rules may also hit text by chance. */
static bool planted(const void *p)
{
	struct wr_record r;
	struct wr_record_match m;

	memcpy(&r, p, sizeof(r));
	for (uint32_t i = 0; i < r.nmatches; i++) {
		memcpy(&m,
		       (const char *)p + sizeof(r) + r.nviews * sizeof(struct wr_record_view) +
		               i * sizeof(m),
		       sizeof(m));
		if (m.kind == WR_MATCH_EXACT || strcmp(m.item, "planted") == 0)
			return true;
	}
	return false;
}

/* Control's part: records are read and looked at, as planted hits must be in them. */
static void read_records(struct bench *b)
{
	uint64_t t = rte_rdtsc();
	const void *p;
	uint32_t n, tag;

	while (wr_ring_peek(b->records, RECORD_RING, &p, &n, &tag) == 1) {
		b->nrecords++;
		b->found += planted(p);
		wr_ring_pop(b->records, n);
	}
	b->ticks_records += rte_rdtsc() - t;
}

static void turn(struct bench *b)
{
	/* Paced, time is the thread's own: a neighbour on the core delays no verdict. */
	uint64_t ns = b->peer->pace > 0 ? b->base_ns + (uint64_t)perf_cpu_ns() : now_ns();

	uint64_t t = rte_rdtsc();

	if (wr_worker_turn(b->worker, ns, ns + 1700000000000000000ull) == 0)
		b->ticks_idle += rte_rdtsc() - t;
	read_records(b);
}

static struct rte_mempool *pool(const struct bench *b, const char *name, uint32_t n, uint32_t room)
{
	struct rte_mempool *mp =
	        b->s->ring ? wr_mem_mbufs_eal(name, n, room, -1) : wr_mem_mbufs_sim(name, n, room);

	if (mp == NULL)
		fail(b, "not enough memory for the worker's buffers");
	return mp;
}

static void pool_free(const struct bench *b, struct rte_mempool *mp)
{
	if (b->s->ring)
		rte_mempool_free(mp);
	else
		wr_mem_mbufs_sim_free(mp);
}

static void setup(struct bench *b, const char *weir_compile, uint32_t rules, uint32_t entries)
{
	struct peer_opts o = { .conns = b->s->conns,
		               .body_bytes = b->s->body,
		               .frames = b->s->frames,
		               .window = 32,
		               .burst = 1,
		               .requests = wr_max_u32(2, 400000 / b->s->body),
		               .plant_frames = 2,
		               .listed_every = 97,
		               .content = b->s->content,
		               .eal = b->s->ring };
	struct wr_worker_args a = { .conf = &b->conf, .seed = 11 };
	uint64_t seed = 3;
	char err[256] = "";

	b->peer = peer_new(&o, 42);
	if (b->peer == NULL)
		fail(b, "not enough memory for the peer");
	bench_bundle_new(&b->bundle, weir_compile, rules, entries, peer_listed_body(b->peer),
	                 PEER_MSS);
	sample_conf(&b->conf);
	b->conf.nworkers = 1;
	/* Closed connections stay known for seconds. */
	b->conf.connections = b->s->conns * 4 + 20000;
	b->conf.uploads = b->s->conns * 2;
	b->conf.mbufs = wr_max_u32(b->s->frames, 65536);
	b->conf.hold_budget_bytes = 1ull << 32;
	b->conf.stream_state_bytes = wr_ruleset_state_bytes(b->bundle.rs);
	b->pools.rx = pool(b, "rx", 1024, 2048);
	b->pools.small = pool(b, "small", b->s->conns * 8 + 4096, WR_SMALL_BYTES + 128);
	b->pools.large = pool(b, "large", 4096, WR_LARGE_BYTES + 128);
	b->pools.gen = pool(b, "gen", 1024, 2048);
	b->records = calloc(1, wr_ring_bytes(RECORD_RING));
	wr_ring_init(b->records, RECORD_RING);
	a.client = b->s->ring ? source_port(false) : peer_client_port(b->peer);
	a.store = b->s->ring ? source_port(true) : peer_store_port(b->peer);
	a.pools = b->pools;
	a.stats = &b->stats;
	a.records = b->records;
	a.digest = b->engine;
	for (size_t i = 0; i < WR_COUNT_OF(a.key.k); i++)
		a.key.k[i] = perf_rand(&seed);
	b->worker = wr_worker_new(&a, err, sizeof(err));
	if (b->worker == NULL)
		fail(b, err);
	if (wr_scan_stage(wr_worker_scan(b->worker), b->bundle.rs, err, sizeof(err)) != 0)
		fail(b, err);
	wr_worker_publish(b->worker, b->bundle.rs);
}

static void teardown(struct bench *b)
{
	wr_worker_free(b->worker);
	bench_bundle_free(&b->bundle);
	peer_free(b->peer);
	pool_free(b, b->pools.rx);
	pool_free(b, b->pools.small);
	pool_free(b, b->pools.large);
	pool_free(b, b->pools.gen);
	free(b->records);
}

/* --- floors
 * ------------------------------------------------------------------------------------------ */

struct floors { /* cycles per byte, but for the lookup: ns */
	double scan, digest, tcp, copy, lookup;
};

/*
 * In a process of its own, as Hyperscan's stream allocator is process-wide. The child has the same
 * frames and the same database in the same caches.
 */
static struct floors measure_floors(const struct bench *b)
{
	struct floors f = { 0 };
	int fd[2];
	pid_t pid = -1;

	if (pipe(fd) != 0 || (pid = fork()) < 0)
		fail(b, "no process for the floors");
	if (pid == 0) {
		const uint8_t **piece = calloc(b->s->frames, sizeof(*piece));
		struct floor_set s = { piece, b->s->frames, PEER_MSS, b->s->conns };
		double ghz = perf_ghz();

		for (uint32_t i = 0; i < b->s->frames; i++)
			piece[i] = rte_pktmbuf_mtod_offset(b->peer->frame[i], uint8_t *, 54);
		f.scan = floor_scan(&s, wr_ruleset_group_db(b->bundle.rs, 0)) * ghz;
		f.digest = floor_digest(&s) * ghz;
		f.tcp = floor_tcp(&s) * ghz;
		f.copy = floor_memcpy(&s) * ghz;
		f.lookup = floor_lookup(1000000);
		_exit(write(fd[1], &f, sizeof(f)) == sizeof(f) ? 0 : 1);
	}
	close(fd[1]);
	if (read(fd[0], &f, sizeof(f)) != sizeof(f))
		fail(b, "the floors failed");
	close(fd[0]);
	waitpid(pid, NULL, 0);
	return f;
}

struct span { /* what happened between two moments */
	double cpu_ns, bytes;
	uint64_t ticks, rx, tx, records, idle, stage[WR_STAGE_COUNT];
	struct source_pushes pushes;
};

static uint64_t bytes_in(const struct bench *b)
{
	return b->s->ring ? source_bytes() : b->peer->body_bytes;
}

static void mark(const struct bench *b, struct span *s, int sign)
{
	uint64_t k = (uint64_t)(int64_t)sign;

	s->cpu_ns += sign * perf_cpu_ns();
	s->bytes += sign * (double)bytes_in(b);
	s->ticks += k * rte_rdtsc();
	if (b->s->ring) {
		s->pushes.all += k * source_pushes().all;
		s->pushes.blocked += k * source_pushes().blocked;
		s->idle += k * b->ticks_idle;
	} else {
		s->rx += k * b->peer->ticks_rx;
		s->tx += k * b->peer->ticks_tx;
	}
	s->records += k * b->ticks_records;
	for (int i = 0; i < WR_STAGE_COUNT; i++)
		s->stage[i] += k * wr_counter_get(&b->stats.stage_cycles[i]);
}

static struct span run_bytes(struct bench *b, uint64_t bytes)
{
	uint64_t until = bytes_in(b) + bytes, last = 0, at = bytes_in(b), since = 0;
	struct span s = { 0 };

	mark(b, &s, -1);
	for (uint64_t idle = 0; at < until; last = at, at = bytes_in(b)) {
		turn(b);
		idle = at != last ? 0 : idle + 1;
		if (idle == 4096)
			since = now_ns();
		else if (idle > 4096 && idle % 4096 == 0 && now_ns() - since > 60000000000ull)
			fail(b, "the peer waits for ever");
	}
	mark(b, &s, 1);
	/* The peer works inside the stages rx and tx; its part is not the worker's. */
	s.stage[WR_STAGE_RX] -= wr_min_u64(s.rx, s.stage[WR_STAGE_RX]);
	s.stage[WR_STAGE_TX] -= wr_min_u64(s.tx, s.stage[WR_STAGE_TX]);
	return s;
}

/* Lets everything end and sees whether the books agree. */
static void settle(struct bench *b)
{
	const struct wr_stats *st = &b->stats;
	uint64_t in = b->peer->c2s_in + b->peer->s2c_in, out = b->peer->c2s_out + b->peer->s2c_out;

	if (b->s->ring) {
		uint64_t until = now_ns() + 60000000000ull;

		source_finish();
		while (!(source_quiet() && wr_worker_idle(b->worker)) && now_ns() < until)
			turn(b);
		source_stop();
	}
	b->peer->stop = true;
	for (uint32_t i = 0;
	     !b->s->ring && i < 1000000 && !(peer_quiet(b->peer) && wr_worker_idle(b->worker)); i++)
		turn(b);
	turn(b);
	in = b->peer->c2s_in + b->peer->s2c_in;
	out = b->peer->c2s_out + b->peer->s2c_out;
	if (in != out || b->peer->unexpected != 0 ||
	    wr_counter_get(&st->fate[WR_FATE_DROPPED]) != 0) {
		fprintf(stderr, "frames in %lu, out %lu, unexpected %lu, dropped %lu\n", in, out,
		        b->peer->unexpected, wr_counter_get(&st->fate[WR_FATE_DROPPED]));
		for (int i = 0; i < WR_R_COUNT; i++)
			if (wr_counter_get(&st->reason[i]) != 0)
				fprintf(stderr, "  %s: %lu\n",
				        wr_reason_info((enum wr_reason)i)->name,
				        wr_counter_get(&st->reason[i]));
		fail(b, "frames were lost");
	}
	if (b->found != b->peer->planted + b->peer->listed_uploads || b->found == 0) {
		fprintf(stderr, "planted %lu, listed %lu, found %lu of %lu records\n",
		        b->peer->planted, b->peer->listed_uploads, b->found, b->nrecords);
		fail(b, "planted hits were missed, or others found");
	}
}

static int by_ticks(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void delays(struct bench *b, struct perf_case *c)
{
	uint64_t n = wr_min_u64(b->peer->ndelays, PEER_DELAYS);

	if (n == 0)
		return;
	qsort(b->peer->delay, n, sizeof(uint64_t), by_ticks);
	c->delay_p50 = (double)b->peer->delay[n / 2] / 1000;
	c->delay_p99 = (double)b->peer->delay[n * 99 / 100] / 1000;
	c->delay_max = (double)b->peer->delay[n - 1] / 1000;
}

static const char *const stage_name[WR_STAGE_COUNT] = { "rx",      "pkt",  "flow", "tcp",
	                                                "http",    "body", "scan", "digest",
	                                                "verdict", "hold", "tx" };

/* Verdict delay at 80 % load; what came before was as much as the worker can take. */
static void paced(struct bench *b, struct perf_case *c, uint64_t bytes, double rate)
{
	b->base_ns = now_ns();
	peer_pace(b->peer, rate);
	run_bytes(b, bytes / 8);
	b->peer->ndelays = 0;
	run_bytes(b, bytes / 2);
	delays(b, c);
	peer_pace(b->peer, 0);
}

/*
 * Did the generator wait for the worker? Only then is it the worker that was measured. On a machine
 * that does other things too the generator's core is taken from it now and then, and the worker
 * turns with nothing to do: that time is taken off and reported.
 */
static bool worker_bound(const struct span *s)
{
	return (double)s->pushes.blocked > BLOCKED_MIN * (double)s->pushes.all;
}

static struct span repeat(struct bench *b, uint64_t bytes, uint32_t *thrown, uint32_t repeats)
{
	struct span s = run_bytes(b, bytes);

	while (b->s->ring && !worker_bound(&s)) {
		if (++*thrown > TRIES * repeats)
			fail(b, "the generator was the bottleneck, not the worker: no figure");
		s = run_bytes(b, bytes);
	}
	return s;
}

static void run(struct bench *b, struct perf_case *c, const struct perf_opts *o)
{
	uint64_t bytes = o->quick ? 60u << 20 : 400u << 20;
	double gbit[PERF_REPEATS_MAX], cpb[PERF_REPEATS_MAX], stage[WR_STAGE_COUNT] = { 0 };
	struct floors before = measure_floors(b), after;
	double ghz = perf_ghz(), rate = 0; /* bytes per ns, the peer's time included */
	double idle = 0, blocked = 0;

	if (b->s->ring)
		source_start(b->peer);
	run_bytes(b, wr_max_u64(bytes / 4, 3000ull * b->s->conns));
	for (uint32_t i = 0, thrown = 0; i < o->repeats; i++) {
		struct span s = repeat(b, bytes, &thrown, o->repeats);
		/* Of the CPU time, the share of the ticks that were the worker's own. */
		double ours = s.cpu_ns *
		              (1 - (double)(s.rx + s.tx + s.records + s.idle) / (double)s.ticks);

		idle += (double)s.idle / (double)s.ticks / o->repeats;
		blocked += (double)s.pushes.blocked / (double)s.pushes.all / o->repeats;
		rate = s.bytes / s.cpu_ns;
		gbit[i] = s.bytes * 8 / ours;
		cpb[i] = ours * ghz / s.bytes;
		for (int k = 0; k < WR_STAGE_COUNT; k++)
			stage[k] += (double)s.stage[k] / (double)s.ticks * s.cpu_ns * ghz /
			            s.bytes / o->repeats;
	}
	c->gbit = perf_stats(gbit, o->repeats);
	c->total_cpb = perf_stats(cpb, o->repeats).median;
	for (int k = 0; k < WR_STAGE_COUNT; k++)
		perf_case_stage(c, stage_name[k], stage[k]);
	if (!b->s->ring)
		paced(b, c, bytes, rate * 0.8);
	settle(b);
	after = measure_floors(b);
	perf_case_extra(c, "floor_scan", (before.scan + after.scan) / 2);
	perf_case_extra(c, "floor_digest", (before.digest + after.digest) / 2);
	perf_case_extra(c, "floor_tcp", (before.tcp + after.tcp) / 2);
	perf_case_extra(c, "stream_state_bytes", wr_ruleset_state_bytes(b->bundle.rs));
	perf_case_extra(c, "memcpy", (before.copy + after.copy) / 2);
	perf_case_extra(c, "lookup_1M_ns", (before.lookup + after.lookup) / 2);
	c->floor_cpb = c->extra[0].value + c->extra[1].value + c->extra[2].value;
	c->ratio = c->total_cpb / c->floor_cpb;
	c->frames_lost = 0;
	if (b->s->ring) {
		perf_case_extra(c, "generator_blocked", blocked);
		perf_case_extra(c, "worker_idle", idle);
	}
	perf_case_extra(c, "planted_found", (double)b->found);
	perf_case_extra(c, "uploads", (double)b->nrecords);
	for (uint32_t k = 1; k <= WR_LANES_MAX; k++) {
		char name[32];

		snprintf(name, sizeof(name), "lanes_%u", k);
		if (k == 1 || k == 4 || k == 8 || k == 12 || k == 16)
			perf_case_extra(c, name, (double)wr_counter_get(&b->stats.lanes[k]));
	}
}

int main(int argc, char **argv)
{
	static const struct scenario scenarios[] = {
		{ "pipeline/jpeg/1MB/1000", 1000, 1000000, 6144, PEER_JPEG, true, false, 100000 },
		{ "pipeline/jpeg/50KB/1000", 1000, 50000, 6144, PEER_JPEG, true, false, 100000 },
		{ "pipeline/text/50KB/1000", 1000, 50000, 6144, PEER_TEXT, true, false, 100000 },
		{ "pipeline/jpeg/50KB/1000/lists10M", 1000, 50000, 6144, PEER_JPEG, false, false,
		  10000000 },
		{ "pipeline/text/1MB/1000", 1000, 1000000, 6144, PEER_TEXT, false, false, 100000 },
		{ "pipeline/random/1MB/1000", 1000, 1000000, 6144, PEER_RANDOM, false, false,
		  100000 },
		{ "pipeline/jpeg/1KB/1000", 1000, 1000, 6144, PEER_JPEG, false, false, 100000 },
		{ "pipeline/jpeg/100MB/16", 16, 100000000, 6144, PEER_JPEG, false, false, 100000 },
		{ "pipeline/jpeg/1MB/1", 1, 1000000, 6144, PEER_JPEG, false, false, 100000 },
		{ "pipeline/jpeg/50KB/100000", 100000, 50000, 150000, PEER_JPEG, false, false,
		  100000 },
		/* Last: EAL pins this thread to its lcore. */
		{ "ring/jpeg/1MB/1000", 1000, 1000000, 6144, PEER_JPEG, true, true, 100000 },
		{ "ring/jpeg/50KB/1000", 1000, 50000, 6144, PEER_JPEG, false, true, 100000 },
		{ "ring/text/50KB/1000", 1000, 50000, 6144, PEER_TEXT, false, true, 100000 },
	};
	static struct perf_case cases[WR_COUNT_OF(scenarios)];
	struct perf_opts o;
	char why[256];
	bool refused = false;
	size_t n = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s WEIR_COMPILE [options]\n", argv[0]);
		return 2;
	}
	perf_args(argc - 1, argv + 1, &o);
	for (size_t i = 0; i < WR_COUNT_OF(scenarios); i++) {
		struct bench *b = calloc(1, sizeof(*b));
		struct perf_case *c = &cases[n];

		if (!perf_wants(&o, scenarios[i].name) || (o.quick && !scenarios[i].always))
			continue;
		if (scenarios[i].ring && source_boot(why, sizeof(why)) != 0) {
			fprintf(stderr, "bench: %s: not measured: %s\n", scenarios[i].name, why);
			refused = true;
			continue;
		}
		b->s = &scenarios[i];
		b->engine = wr_digest_choose(WR_DIGEST_AUTO);
		perf_case_init(c, b->s->name);
		snprintf(
		        c->params, sizeof(c->params),
		        "\"connections\": %u, \"body_bytes\": %u, \"rules\": 1000, \"frames\": %u, "
		        "\"source\": \"%s\"",
		        b->s->conns, b->s->body, b->s->frames,
		        b->s->ring ? "net_ring" : "in-thread");
		setup(b, argv[1], 1000, b->s->entries);
		run(b, c, &o);
		teardown(b);
		free(b);
		printf("%-28s %6.2f Gbit/s (%.2f..%.2f)  %5.2f c/B", c->name, c->gbit.median,
		       c->gbit.min, c->gbit.max, c->total_cpb);
		if (isfinite(c->delay_p50))
			printf("  delay p50 %.0f p99 %.0f us", c->delay_p50, c->delay_p99);
		printf("  frames lost %.0f\n", c->frames_lost);
		for (uint32_t k = 0; k < c->nstages; k++)
			printf(" %s %.3f", c->stage[k].name, c->stage[k].value);
		printf("\n ratio %.2f to the floors:", c->ratio);
		for (uint32_t k = 0; k < c->nextra; k++)
			printf(" %s %.3g", c->extra[k].name, c->extra[k].value);
		printf("\n");
		fflush(stdout);
		n++;
	}
	if (refused && n == 0)
		return 3; /* it has said why */
	return perf_write(&o, cases, n) == 0 ? 0 : 1;
}
