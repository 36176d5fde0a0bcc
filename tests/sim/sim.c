/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim - the law, over seeded random schedules:
 *
 *   never   does a store, whatever it does with overlaps, complete a body (or a form's file) that
 *           has the marked bytes or is listed by digest;
 *   always  does an honest clean upload arrive as it was sent, and an honest bad client read its
 *           answer, and is the store's connection gone then;
 *   always  are frames conserved, and all budgets back at zero when the connections are gone.
 *
 * usage: sim WEIR-COMPILE BUNDLE [--schedules N] [--seed S] [--rare] [-v]
 *   --rare  fail when a situation came up in less than 1 % of at least 10,000 schedules
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/rigs.h"
#include "sim/world.h"

#define LIMIT_NS (900 * S) /* virtual time that a schedule may take */
#define EVIL_NS  (6 * S)   /* an attacker's connection has so long */
#define RARE_MIN 10000u

static const char *const situation[SIT_COUNT] = {
#define X(e, s) s,
	SITUATIONS(X)
#undef X
};
static uint64_t seen_total[SIT_COUNT];

/* --- one schedule
 * --------------------------------------------------------------------------------------- */

static bool finished(const struct pair *p)
{
	if (!p->begun)
		return false;
	if (p->client.dead)
		return true;
	switch (p->plan.kind) {
	case CLEAN:
		/* A store may answer before it has all. */
		return p->client.ok == p->plan.requests && p->shop.commits == p->plan.requests;
	case EVIL: return sim.wire.now > p->plan.begin + EVIL_NS;
	default: return p->client.refused > 0;
	}
}

static bool gone(const struct pair *p)
{
	const struct host *c = &p->client;

	return c->dead || (c->fin_acked && c->fin_got);
}

static void begin(uint32_t i)
{
	struct pair *p = &sim.pair[i];

	if (p->begun)
		return;
	if (p->plan.begin == UINT64_MAX && gone(&sim.pair[i - 1]) &&
	    (p->store.pause_to == 0 || sim.pair[i - 1].begun)) {
		p->plan.begin = sim.wire.now + 300 * MS;
		if (p->store.pause_to != 0) {
			p->store.pause_from = p->plan.begin;
			p->store.pause_to = p->plan.begin + 800 * MS;
		}
	}
	if (sim.wire.now < p->plan.begin)
		return;
	p->begun = true;
	if (p->plan.reuse) { /* a host has one connection of these addresses and ports */
		sim.seen[SIT_REUSE] = 1;
		sim.pair[i - 1].client.dead = sim.pair[i - 1].store.dead = true;
	}
	for (uint32_t k = 0; k < i && !p->plan.reuse; k++)
		if (sim.pair[k].begun && !finished(&sim.pair[k]))
			sim.seen[SIT_BETWEEN] = 1;
}

static void events(void)
{
	if (sim.switch_at != 0 && sim.wire.now >= sim.switch_at) {
		rigs_switch();
		sim.switch_at = 0;
	}
	if (sim.epoch_at != 0 && sim.wire.now >= sim.epoch_at) {
		rigs_epoch();
		sim.epoch_at = 0;
		for (uint32_t i = 0; i < sim.npairs; i++)
			sim.pair[i].reset_ok |= sim.pair[i].begun;
	}
}

static void step(void)
{
	events();
	for (uint32_t i = 0; i < sim.npairs; i++) {
		begin(i);
		if (sim.pair[i].begun) {
			host_tick(&sim.pair[i].client);
			host_tick(&sim.pair[i].store);
		}
	}
	rigs_turn();
	rigs_deliver(false);
	rigs_deliver(true);
}

static uint64_t next_at(uint64_t busy)
{
	uint64_t next = wire_next(&sim.wire), most = sim.wire.now + 50 * MS;

	for (uint32_t i = 0; i < sim.npairs; i++) {
		uint64_t c = host_next(&sim.pair[i].client), s = host_next(&sim.pair[i].store);

		next = c < next ? c : next;
		next = s < next ? s : next;
	}
	/* The worker has timers of its own: look in at least so often, oftener when it has put work
	 * off to its next turn. */
	if (rigs_small() && sim.wire.now < busy)
		most = sim.wire.now + MS;
	next = next < most ? next : most;
	return next > sim.wire.now ? next : sim.wire.now + 1000;
}

/* The store of a blocked client has been told: its connection is gone. */
static bool stores_quiet(void)
{
	for (uint32_t i = 0; i < sim.npairs; i++)
		if (sim.pair[i].client.refused > 0 && sim.pair[i].store.open &&
		    !sim.pair[i].store.dead)
			return false;
	return true;
}

static void run(void)
{
	uint64_t end = sim.wire.now + LIMIT_NS, tail = 0, busy = 0;

	while (sim.wire.now < end && rigs.broken == NULL) {
		bool all = true;

		step();
		if (rigs.bytes != 0)
			busy = sim.wire.now + 30 * MS;
		for (uint32_t i = 0; i < sim.npairs; i++) {
			bool f = finished(&sim.pair[i]);

			all &= f;
			if (f)
				sim.pair[i].client.want_fin = true;
		}
		if (all && tail == 0)
			tail = sim.wire.now + 2 * S; /* the end of the connections plays out */
		if (tail != 0 && sim.wire.now > tail &&
		    (stores_quiet() || sim.wire.now > tail + 20 * S))
			break;
		sim.wire.now = next_at(busy);
	}
}

/* --- the judgement
 * -------------------------------------------------------------------------------------- */

static int fail(const struct pair *p, const char *what)
{
	static const char *const name[] = { "clean", "marked", "listed", "evil" };

	printf("# seed %lu: %s\n", sim.seed, what);
	if (p != NULL)
		printf("#   connection %u of %u: %s, %u requests, bad %u, craft %u; %u committed, "
		       "%u answers, %u refusals\n",
		       p->client.pair, sim.npairs, name[p->plan.kind], p->plan.requests,
		       p->plan.bad, p->plan.craft, p->shop.commits, p->client.ok,
		       p->client.refused);
	for (unsigned r = 1; r < WR_R_COUNT; r++)
		if (rigs_since(r) != 0)
			printf("#   %s: %lu\n", wr_reason_info(r)->name, rigs_since(r));
	return 1;
}

static int judge_clean(const struct pair *p)
{
	if (p->shop.commits != p->plan.requests)
		return fail(p, "a clean upload was not committed");
	if (p->client.ok != p->plan.requests)
		return fail(p, "a clean client did not read its answer");
	/* The stream that the store has is the stream that was sent, byte for byte. */
	if (memcmp(p->store.in, p->client.out, p->client.out_len) != 0)
		return fail(p, "a clean upload was changed");
	sim.seen[SIT_CLEAN_COMMIT] = 1;
	return 0;
}

static int judge_bad(const struct pair *p)
{
	const struct plan *pl = &p->plan;

	if (p->shop.commits > pl->bad)
		return fail(p, "the store committed the bad upload or one behind it");
	if (p->client.refused > 1)
		return fail(p, "the blocked client was answered twice");
	if (p->client.refused == 0 && p->client.got_rst) {
		/* Nothing may be put into the middle of an answer that has begun. */
		if (p->shop.early || pl->req[pl->bad].expect)
			return 0;
		/* Pipelined behind a gap: what completes the good request would complete the bad
		 * one too. */
		if (pl->bad > 0 && !pl->in_turn) {
			sim.seen[SIT_GAP_RESET] = 1;
			return 0;
		}
	}
	if (p->client.refused != 1)
		return fail(p, "the blocked client did not read its answer");
	/* A store that answered before it had all may be reset before it has. */
	if (p->shop.commits < pl->bad && !p->shop.early)
		return fail(p, "a clean upload before the bad one was not committed");
	if (p->store.open && !p->store.dead)
		return fail(p, "the store's connection is still there after the block");
	sim.seen[SIT_ANSWER_READ] = 1;
	return 0;
}

static int judge(void)
{
	if (rigs.broken != NULL)
		return fail(NULL, rigs.broken);
	if (rigs.pieces != 0)
		return fail(NULL, "a fragment left");
	for (uint32_t i = 0; i < sim.npairs; i++) {
		const struct pair *p = &sim.pair[i];
		int bad = 0;

		if (p->shop.bad_commits != 0)
			return fail(p, "the store committed what it must not have");
		if (!p->begun && sim.pair[i - 1].reset_ok)
			continue; /* a wire that opened cut its handshake off */
		if (!p->begun)
			return fail(p, "the connection before it never ended");
		if (p->reset_ok || p->plan.kind == EVIL)
			continue;
		bad = p->plan.kind == CLEAN ? judge_clean(p) : judge_bad(p);
		if (bad)
			return bad;
	}
	return 0;
}

static void note_pair(const struct pair *p)
{
	const struct plan *pl = &p->plan;
	const struct request *last = &pl->req[pl->requests - 1];
	uint32_t isn = p->client.isn;

	if (isn + 1 + last->end < isn)
		sim.seen[SIT_WRAP] = 1;
	if (pl->requests > 1)
		sim.seen[pl->in_turn ? SIT_IN_TURN : SIT_PIPELINE] = 1;
	for (uint32_t i = 0; i < pl->requests; i++) {
		sim.seen[SIT_CHUNKED] |= pl->req[i].form == CHUNKED;
		sim.seen[SIT_FORM] |= pl->req[i].form == FORM;
		sim.seen[SIT_GZIP] |= pl->req[i].form == GZIP || pl->req[i].form == GZIP_CHUNKED;
		sim.seen[SIT_EXPECT] |= pl->req[i].expect && p->client.continues > 0;
	}
	sim.seen[SIT_HALF_CLOSE] |= pl->half_close && p->client.fin_sent;
	sim.seen[SIT_IPV6] |= p->client.me.v6;
	sim.seen[SIT_WSCALE] |= p->client.scaled && p->store.scaled;
	sim.seen[SIT_NO_TS] |= p->client.open && !p->client.ts;
	if (pl->frag != 0 && rigs_since(WR_R_FRAG_REASSEMBLED) != 0)
		sim.seen[p->client.me.v6 ? SIT_FRAG_WHOLE6 : SIT_FRAG_WHOLE] = 1;
}

static void note_situations(void)
{
	static const struct {
		enum wr_reason r;
		enum situation s;
	} map[] = { { WR_R_OVERLAP_CONFLICT, SIT_CONFLICT },
		    { WR_R_TCP_OOO, SIT_EARLY },
		    { WR_R_HELD_REPEAT, SIT_HELD_REPEAT },
		    { WR_R_RECORD_RING_FULL, SIT_LONG_HOLD },
		    { WR_R_FRAG_OVERLAP, SIT_FRAG_OVERLAP },
		    { WR_R_PIPELINE_LIMIT, SIT_PIPELINE_LIMIT },
		    { WR_R_FOREIGN_FRAME, SIT_FOREIGN } };

	for (unsigned i = 0; i < WR_COUNT_OF(map); i++)
		if (rigs_since(map[i].r) != 0)
			sim.seen[map[i].s] = 1;
	if (!sim.reassemble && rigs_since(WR_R_IP_FRAGMENT) != 0)
		sim.seen[SIT_FRAG_DROP] = 1;
	if (rigs_sum(offsetof(struct wr_stats, verdict[WR_V_MATCH][WR_A_BLOCK])) != rigs.blocked)
		sim.seen[SIT_BLOCKED] = 1;
	for (uint32_t i = 0; i < sim.npairs; i++)
		note_pair(&sim.pair[i]);
}

static int schedule(uint64_t seed)
{
	const char *left;
	int bad;

	plan_schedule(seed);
	rigs_begin();
	run();
	bad = judge();
	note_situations();
	if (!bad && (left = rigs_leftovers()) != NULL)
		bad = fail(NULL, left);
	if (!bad && rigs.made == 0 && sim.pair[0].plan.kind != EVIL && !sim.pair[0].reset_ok)
		bad = fail(NULL, "no verdict record was written");
	for (int i = 0; i < SIT_COUNT; i++)
		seen_total[i] += sim.seen[i];
	return bad;
}

static int rare(uint64_t n)
{
	int bad = 0;

	for (int i = 0; i < SIT_COUNT; i++) {
		bool few = seen_total[i] * 100 < n;

		printf("# %6.2f %% of schedules: %s%s\n", 100.0 * (double)seen_total[i] / (double)n,
		       situation[i], few ? " (less than 1 %)" : "");
		bad += few;
	}
	return n >= RARE_MIN ? bad : 0;
}

int main(int argc, char **argv)
{
	uint64_t n = 2000, seed = 1, done = 0;
	bool must = false;
	int bad = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: sim WEIR-COMPILE BUNDLE [--schedules N] [--seed S] "
		                "[--rare] [-v]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--schedules") == 0 && i + 1 < argc)
			n = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--rare") == 0)
			must = true;
		else if (strcmp(argv[i], "-v") == 0)
			sim.verbose = true;
	}
	for (uint32_t i = 0; i < LISTED_LEN; i++)
		listed_body[i] = (uint8_t)('A' + i * 7 % 23);
	sim.wire.now = S;
	rigs_boot(argv[1], argv[2]);
	for (; done < n && bad == 0; done++)
		bad += schedule(seed + done);
	if (bad)
		printf("# the law broke at schedule %lu of %lu\n", done, n);
	printf("%sok 1 - %lu schedules from seed %lu: the law holds\n", bad ? "not " : "", done,
	       seed);
	if (must) {
		int few = rare(done);

		printf("%sok 2 - each situation in at least 1 %% of schedules\n",
		       few ? "not " : "");
		bad += few;
	} else if (!bad) {
		(void)rare(done);
	}
	printf("1..%d\n", must ? 2 : 1);
	return bad != 0;
}
