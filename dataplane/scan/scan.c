/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan/private.h"

/*
 * How far ahead a burst looks: state and payload of a cold stream are some 300 ns away, a scan of
 * one piece takes 300 to 600 ns. Measured with bench_parts (1,000 regexes, 1,460-byte pieces, Zen
 * 4): 1,000 streams 18.2 Gbit/s with these values, 13.7 without, Hyperscan's bare loop with the
 * same prefetches 20.5.
 */
#define AHEAD           2u
#define PAYLOAD_LINES   8u /* the core's own prefetcher follows from there */
#define STATE_LINES_MAX 32u
#define SAMPLE          64u /* bursts */

/* Hyperscan's stream allocator has no context argument: this is how it finds the worker's slots. */
static __thread struct wr_scan *entered;

void *wr_scan_slot_alloc(size_t size)
{
	struct wr_scan *s = entered;

	if (s == NULL || s->opening == 0 || size > s->slot_bytes)
		return NULL;
	return wr_pool_at(s->slots, s->opening);
}

void wr_scan_slot_free(void *p)
{
	(void)p; /* the slot goes back in wr_scan_close() */
}

static void adopt(struct wr_scan *s)
{
	struct scan_scratch *x;

	if (wr_likely(atomic_load_explicit(&s->staged, memory_order_relaxed) == NULL))
		return;
	/* One retired at a time: while main has not taken the last one, the old scratch stays in
	 * use. */
	if (atomic_load_explicit(&s->retired, memory_order_acquire) != NULL)
		return;
	x = atomic_exchange_explicit(&s->staged, NULL, memory_order_acq_rel);
	if (x == NULL)
		return;
	atomic_store_explicit(&s->retired, s->scratch, memory_order_release);
	s->scratch = x;
}

void wr_scan_enter(struct wr_scan *s)
{
	entered = s;
	adopt(s);
}

/* --- hits ----------------------------------------------------------------------------------------
 */

static bool applies(const struct stream *st, const struct wr_meta_rule *r)
{
	return r->types == 0 || ((st->flags & ST_TYPED) != 0 && (r->types & st->types) != 0);
}

static bool seen(const struct stream *st, uint32_t rule)
{
	return (st->seen[rule / 64] >> rule % 64 & 1) != 0;
}

static void too_many(struct wr_scan *s, struct stream *st)
{
	if ((st->flags & ST_MORE) == 0)
		wr_count(s->lc, WR_R_HIT_LIMIT, 1);
	st->flags |= ST_MORE;
}

/* Keeps a hit; when the row is full, the one that matters least makes room. */
static void keep(struct wr_scan *s, struct stream *st, uint32_t rule, uint64_t offset)
{
	struct wr_hit *h = s->hits[s->cur].h, *low = h;

	if (st->rule[rule].helper)
		return;
	if (st->nhits + st->nwaiting == WR_SCAN_HITS && st->nwaiting != 0)
		st->nwaiting--; /* its bit stays: the hit is found again when the type is known */
	if (st->nhits < WR_SCAN_HITS) {
		h[st->nhits++] = (struct wr_hit){ .rule = rule, .offset = offset };
		st->fresh = 1;
		return;
	}
	too_many(s, st);
	for (uint32_t i = 1; i < WR_SCAN_HITS; i++)
		if (st->rule[h[i].rule].rank < st->rule[low->rule].rank)
			low = &h[i];
	if (st->rule[rule].rank > st->rule[low->rule].rank) {
		*low = (struct wr_hit){ .rule = rule, .offset = offset };
		st->fresh = 1;
	}
}

static void hit(struct wr_scan *s, struct stream *st, uint32_t rule, uint64_t offset)
{
	const struct wr_meta_rule *r = &st->rule[rule];

	if (seen(st, rule))
		return;
	st->seen[rule / 64] |= 1ull << rule % 64;
	/* Each rule is new once a stream, so the queue cannot run over: it has room for all rules.
	 */
	if (r->nwatch != 0)
		s->scratch->fresh[s->nfresh++] = rule;
	if (applies(st, r)) {
		keep(s, st, rule, offset);
	} else if ((st->flags & ST_TYPED) == 0) {
		st->flags |= ST_WAITING;
		if (st->nhits + st->nwaiting < WR_SCAN_HITS && !r->helper)
			s->hits[s->cur].h[WR_SCAN_HITS - ++st->nwaiting] =
			        (struct wr_hit){ .rule = rule, .offset = offset };
	}
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *ctx)
{
	struct wr_scan *s = ctx;
	struct stream *st = &s->st[s->cur];

	(void)from;
	(void)flags;
	hit(s, st, st->pattern[id], to);
	return 0;
}

/* --- conditions ----------------------------------------------------------------------------------
 */

/* Runs one postfix program; ruleset/ has proved its depth and its indices. */
static bool holds(const struct stream *st, const struct wr_meta_rule *r)
{
	const uint32_t *op = wr_ruleset_ops(st->rs) + r->op;
	uint64_t stack = 0; /* one bit a level: WR_META_STACK_MAX fits */

	for (uint32_t i = 0; i < r->nops; i++) {
		uint32_t rule = op[i] & WR_OP_INDEX;
		uint64_t top = stack & 1;

		switch (op[i] & WR_OP_KIND) {
		case WR_OP_RULE:
			stack = stack << 1 | (seen(st, rule) && applies(st, &st->rule[rule]));
			break;
		case WR_OP_NOT: stack ^= 1; break;
		case WR_OP_AND: stack = stack >> 1 & (~1ull | top); break;
		default: stack = stack >> 1 | top; break;
		}
	}
	return (stack & 1) != 0;
}

static void conditions(struct wr_scan *s, struct stream *st)
{
	const uint32_t *watch = wr_ruleset_watch(st->rs);

	while (s->nfresh != 0) {
		const struct wr_meta_rule *r = &st->rule[s->scratch->fresh[--s->nfresh]];

		for (uint32_t i = r->watch; i < r->watch + r->nwatch; i++) {
			const struct wr_meta_rule *c = &st->rule[watch[i]];

			if (!c->at_end && !seen(st, watch[i]) && holds(st, c))
				hit(s, st, watch[i], st->bytes);
		}
	}
}

/* The type is known now: hits that waited come out or go, conditions on them are asked again. */
static void settle(struct wr_scan *s, struct stream *st)
{
	struct wr_hit waiting[WR_SCAN_HITS];
	uint32_t n = st->nwaiting, nrules = wr_ruleset_nrules(st->rs);

	for (uint32_t i = 0; i < n; i++)
		waiting[i] = s->hits[s->cur].h[WR_SCAN_HITS - 1 - i];
	st->nwaiting = 0;
	st->flags |= ST_TYPED;
	if ((st->flags & ST_WAITING) == 0)
		return;
	st->flags &= (uint8_t)~ST_WAITING;
	for (uint32_t w = 0; w < (nrules + 63) / 64; w++)
		for (uint64_t left = st->seen[w]; left != 0; left &= left - 1) {
			uint32_t rule = w * 64 + (uint32_t)__builtin_ctzll(left), i = 0;
			const struct wr_meta_rule *r = &st->rule[rule];

			if (r->types == 0 || !applies(st, r))
				continue;
			while (i < n && waiting[i].rule != rule)
				i++;
			keep(s, st, rule, i < n ? waiting[i].offset : st->bytes);
			if (r->nwatch != 0)
				s->scratch->fresh[s->nfresh++] = rule;
		}
	conditions(s, st);
}

/* --- streams -------------------------------------------------------------------------------------
 */

uint32_t wr_scan_open(struct wr_lcore *lc, struct wr_scan *s, const struct wr_ruleset *rs)
{
	uint32_t bits = (wr_ruleset_nrules(rs) + 63) / 64, idx;
	struct stream *st;

	/* A ruleset is published after its scratch was staged, maybe since this turn began. */
	wr_scan_enter(s);
	if (wr_unlikely(wr_ruleset_state_bytes(rs) > s->slot_bytes || s->scratch == NULL ||
	                s->scratch->nrules < wr_ruleset_nrules(rs))) {
		wr_count(lc, WR_R_SCAN_ERROR, 1);
		return 0;
	}
	idx = wr_pool_get(s->slots);
	if (idx == 0) {
		wr_count(lc, WR_R_STREAM_STATE_LIMIT, 1);
		return 0;
	}
	st = &s->st[idx];
	*st = (struct stream){ .rs = rs, .rule = wr_ruleset_rules(rs) };
	/* Right behind the engine's state, so that one run of prefetches covers both. */
	st->seen = (uint64_t *)((uint8_t *)wr_pool_at(s->slots, idx) + wr_ruleset_state_bytes(rs)) -
	           bits;
	memset(st->seen, 0, bits * sizeof(*st->seen));
	return idx;
}

int wr_scan_type(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream, const char *media_type)
{
	struct stream *st = &s->st[stream];

	if ((st->flags & ST_TYPED) != 0)
		return 0;
	s->lc = lc;
	s->cur = stream;
	st->types = wr_ruleset_types(st->rs, media_type);
	if (st->bytes == 0 && st->hs == NULL)
		st->group = (uint16_t)wr_ruleset_group_of(st->rs, st->types);
	st->fresh = 0;
	settle(s, st);
	return st->fresh;
}

/* Opens the engine's stream with the first byte: until then the type may still choose the group. */
static bool start(struct wr_scan *s, uint32_t idx, struct stream *st)
{
	const struct hs_database *db;
	size_t size = 0;
	uint32_t n;

	if (st->hs != NULL)
		return true;
	if (wr_ruleset_ngroups(st->rs) == 0)
		return true;
	db = wr_ruleset_group_db(st->rs, st->group);
	if (db == NULL)
		return true; /* no pattern looks at such objects */
	st->pattern = wr_ruleset_patterns(st->rs, st->group, &n);
	s->opening = idx;
	entered = s;
	if (hs_open_stream(db, 0, &st->hs) != HS_SUCCESS) {
		st->hs = NULL;
		s->opening = 0;
		return false;
	}
	s->opening = 0;
	size = (size_t)((const uint8_t *)st->seen - (const uint8_t *)st->hs);
	size = (size + 63) / 64;
	st->lines = (uint8_t)(size < STATE_LINES_MAX ? size : STATE_LINES_MAX);
	return true;
}

static void warm(struct wr_scan *s, const struct wr_scan_job *job)
{
	const struct stream *st = &s->st[job->stream];
	const char *state = wr_pool_at(s->slots, job->stream);
	const char *p = (const char *)job->piece.p;

	for (uint32_t i = 0; i < st->lines; i++)
		wr_prefetch(state + i * 64u);
	for (uint32_t i = 0; i < PAYLOAD_LINES && i * 64u < job->piece.len; i++)
		wr_prefetch(p + i * 64u);
}

static void scan_one(struct wr_scan *s, struct wr_scan_job *job)
{
	struct stream *st = &s->st[job->stream];

	s->cur = job->stream;
	st->fresh = 0;
	job->failed = job->hit = 0;
	WR_DCHECK((st->flags & ST_ENDED) == 0);
	if (wr_unlikely((st->flags & ST_FAILED) != 0 || !start(s, job->stream, st)))
		goto failed;
	if (st->hs != NULL &&
	    wr_unlikely(hs_scan_stream(st->hs, (const char *)job->piece.p, job->piece.len, 0,
	                               s->scratch->hs, on_match, s) != HS_SUCCESS))
		goto failed;
	st->bytes += job->piece.len;
	conditions(s, st);
	job->hit = st->fresh;
	return;
failed:
	if ((st->flags & ST_FAILED) == 0)
		wr_count(s->lc, WR_R_SCAN_ERROR, 1);
	st->flags |= ST_FAILED;
	s->nfresh = 0;
	job->failed = 1;
}

static uint64_t ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

/* One burst in SAMPLE is timed piece by piece: what each group costs, for nearly nothing. */
static void scan_timed(struct wr_lcore *lc, struct wr_scan *s, struct wr_scan_job *job)
{
	uint64_t t = ticks();
	uint32_t g;

	scan_one(s, job);
	g = s->st[job->stream].group;
	if (s->st[job->stream].hs == NULL || g >= WR_SCAN_GROUPS)
		return;
	wr_counter_add(&lc->stats->scan_cycles[g], ticks() - t);
	wr_counter_add(&lc->stats->scan_bytes[g], job->piece.len);
}

void wr_scan_burst(struct wr_lcore *lc, struct wr_scan *s, struct wr_scan_job *job, uint32_t n)
{
	bool timed = s->bursts++ % SAMPLE == 0;

	s->lc = lc;
	for (uint32_t i = 0; i < n && i < AHEAD; i++)
		warm(s, &job[i]);
	for (uint32_t i = 0; i < n; i++) {
		if (i + 2 * AHEAD < n)
			wr_prefetch(&s->st[job[i + 2 * AHEAD].stream]);
		if (i + AHEAD < n)
			warm(s, &job[i + AHEAD]);
		if (wr_unlikely(timed))
			scan_timed(lc, s, &job[i]);
		else
			scan_one(s, &job[i]);
	}
}

int wr_scan_end(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream)
{
	struct stream *st = &s->st[stream];
	const uint32_t *ending;
	uint32_t n;

	s->lc = lc;
	s->cur = stream;
	st->fresh = 0;
	if ((st->flags & ST_ENDED) != 0)
		return 0;
	st->flags |= ST_ENDED;
	/* Closing is what makes Hyperscan report matches at the end of the data. */
	if (st->hs != NULL && (st->flags & ST_FAILED) == 0 &&
	    hs_close_stream(st->hs, s->scratch->hs, on_match, s) != HS_SUCCESS) {
		wr_count(lc, WR_R_SCAN_ERROR, 1);
		st->flags |= ST_FAILED;
	}
	st->hs = NULL;
	conditions(s, st);
	if ((st->flags & ST_TYPED) == 0) {
		/* Nobody said what it is: better every rule than none. */
		st->types = UINT64_MAX;
		settle(s, st);
	}
	ending = wr_ruleset_endings(st->rs, &n);
	for (uint32_t i = 0; i < n; i++)
		if (!seen(st, ending[i]) && holds(st, &st->rule[ending[i]])) {
			hit(s, st, ending[i], st->bytes);
			conditions(s, st);
		}
	return st->fresh;
}

uint32_t wr_scan_fork(struct wr_lcore *lc, struct wr_scan *s, const struct wr_scan *from,
                      uint32_t stream)
{
	const struct stream *src = &from->st[stream];
	uint32_t bits = (wr_ruleset_nrules(src->rs) + 63) / 64, idx = wr_scan_open(lc, s, src->rs);
	struct stream *st = &s->st[idx];
	uint64_t *seen_bits = st->seen;

	if (idx == 0)
		return 0;
	*st = *src;
	st->hs = NULL;
	st->seen = seen_bits;
	memcpy(st->seen, src->seen, bits * sizeof(*st->seen));
	s->hits[idx] = from->hits[stream];
	if (src->hs == NULL)
		return idx;
	s->opening = idx;
	if (hs_copy_stream(&st->hs, src->hs) != HS_SUCCESS) {
		st->hs = NULL;
		st->flags |= ST_FAILED;
		wr_count(lc, WR_R_SCAN_ERROR, 1);
	}
	s->opening = 0;
	return idx;
}

uint32_t wr_scan_hits(const struct wr_scan *s, uint32_t stream, const struct wr_hit **hit_out,
                      bool *more)
{
	const struct stream *st = &s->st[stream];

	*hit_out = s->hits[stream].h;
	*more = (st->flags & ST_MORE) != 0;
	return st->nhits;
}

uint64_t wr_scan_bytes(const struct wr_scan *s, uint32_t stream)
{
	return s->st[stream].bytes;
}

void wr_scan_close(struct wr_lcore *lc, struct wr_scan *s, uint32_t stream)
{
	struct stream *st = &s->st[stream];

	(void)lc;
	if (st->hs != NULL)
		(void)hs_close_stream(st->hs, NULL, NULL, NULL);
	st->hs = NULL;
	st->rs = NULL;
	wr_pool_put(s->slots, stream);
}
