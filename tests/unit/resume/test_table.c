/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions, parts, kept bytes, keys found bad: each limit, one under and one over. */
#include <stdlib.h>
#include <string.h>

#include "resume/resume.h"
#include "tap.h"

#define SESSIONS 4u
#define PARTS    6u
#define BLOCKS   3u

static struct wr_stats stats;
static struct wr_lcore lc = { .now = 1000, .rng = 7, .stats = &stats };
static struct wr_resume *r;

static uint64_t count(enum wr_reason why)
{
	return wr_counter_get(&stats.reason[why]);
}

static void key(uint64_t n, uint64_t k[2])
{
	k[0] = n * 0x9e3779b97f4a7c15ull;
	k[1] = n | 1;
}

static uint32_t session(uint64_t n)
{
	uint32_t s = wr_session_get(r, &lc);
	uint64_t k[2];

	key(n, k);
	if (s != 0)
		wr_session_name(r, s, k);
	lc.now += 10;
	return s;
}

static uint32_t find(uint64_t n)
{
	uint64_t k[2];

	key(n, k);
	return wr_session_find(r, k);
}

static void sessions(void)
{
	uint32_t s[SESSIONS];

	for (uint32_t i = 0; i < SESSIONS; i++)
		s[i] = session(i + 1);
	OK(s[3] != 0 && find(4) == s[3] && find(9) == 0, "found by key");
	IS(wr_session_get(r, &lc), 0, "one more: none");
	IS(wr_session_victim(r), s[0], "the longest unused goes first");
	wr_session_used(r, &lc, s[0]);
	IS(wr_session_victim(r), s[1], "use moves it back");
	wr_session_confirm(r, &lc, s[1]);
	IS(wr_session_victim(r), s[2], "what the store knows goes last");
	wr_session_at(r, s[2])->requests = 1;
	IS(wr_session_victim(r), s[3], "none with a request under way");
	for (uint32_t i = 0; i < SESSIONS; i++)
		wr_session_at(r, s[i])->requests = 1;
	IS(wr_session_victim(r), 0, "all in use: none");
	for (uint32_t i = 0; i < SESSIONS; i++)
		wr_session_at(r, s[i])->requests = 0;
	IS(wr_session_old(r, wr_session_at(r, s[3])->used_ns + WR_RESUME_IDLE_NS - 1) != s[3], 1,
	   "not old yet");
	OK(wr_session_old(r, lc.now + WR_RESUME_IDLE_NS) != 0, "old");
	for (uint32_t i = 0; i < SESSIONS; i++)
		wr_session_put(r, s[i]);
	OK(find(1) == 0 && find(4) == 0 && wr_session_count(r) == 0, "gone");
}

static void parts(void)
{
	static const uint32_t order[] = { 5, 1, 9, 3, 10000, 2 };
	uint32_t s = session(50), other = session(51), last = 0;
	bool sorted = true;

	for (uint32_t i = 0; i < WR_COUNT_OF(order); i++)
		OK(wr_part_get(r, &lc, s, order[i]) != 0, "part %u", order[i]);
	for (uint32_t i = wr_session_at(r, s)->parts; i != 0; i = wr_part_at(r, i)->next) {
		sorted = sorted && wr_part_at(r, i)->number > last;
		last = wr_part_at(r, i)->number;
	}
	OK(sorted && last == 10000, "by number, whatever order they came in");
	OK(wr_part_get(r, &lc, s, 9) == wr_part_find(r, s, 9), "the same number is the same part");
	IS(wr_part_find(r, other, 9), 0, "of this upload only");
	IS(wr_part_get(r, &lc, other, 1), 0, "no entry left");
	IS(count(WR_R_SESSION_PART_LIMIT), 1, "counted");
	wr_session_put(r, s);
	OK(wr_part_get(r, &lc, other, 1) != 0, "an upload gives its entries back");
	wr_session_put(r, other);
}

static void chains(void)
{
	static uint8_t body[BLOCKS * WR_RESUME_BLOCK + 1];
	struct wr_chain c = { 0 }, d = { 0 };
	const uint8_t *p;
	uint32_t at = 0, block = 0, n;
	bool same = true;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 + i / 255);
	while (at < BLOCKS * WR_RESUME_BLOCK) {
		uint32_t k = wr_min_u32(1460, BLOCKS * WR_RESUME_BLOCK - at);

		same = same && wr_chain_add(r, &c, body + at, k);
		at += k;
	}
	OK(same && c.bytes == at, "kept to the last byte");
	OK(!wr_chain_add(r, &c, body, 1) && c.bytes == at, "one more: none, and nothing is taken");
	OK(!wr_chain_add(r, &d, body, 1), "nor for another");
	OK(wr_chain_same(r, &c, 0, body, at) && wr_chain_same(r, &c, 16000, body + 16000, 9000),
	   "compared, over the blocks' borders");
	body[20000] ^= 1;
	OK(!wr_chain_same(r, &c, 16000, body + 16000, 9000), "one bit differs");
	OK(wr_chain_same(r, &c, 20001, body + 20001, 5000) &&
	           wr_chain_same(r, &c, 16000, body + 16000, 4000),
	   "on either side of it");
	body[20000] ^= 1;
	at = 0;
	while ((n = wr_chain_walk(r, &c, &block, &p)) != 0) {
		same = same && memcmp(p, body + at, n) == 0;
		at += n;
	}
	OK(same && at == c.bytes, "walked through");
	wr_chain_cut(r, &c, WR_RESUME_BLOCK - 1);
	IS(c.nblocks, BLOCKS, "cut: a block that is needed in part stays");
	wr_chain_cut(r, &c, WR_RESUME_BLOCK);
	OK(c.nblocks == BLOCKS - 1 && wr_chain_same(r, &c, 0, body + WR_RESUME_BLOCK, 100),
	   "cut: a whole block goes");
	n = wr_chain_front(r, &c, &p);
	OK(n == WR_RESUME_BLOCK && p[0] == body[WR_RESUME_BLOCK], "the front");
	wr_chain_drop(r, &c, 100);
	OK(wr_chain_same(r, &c, 0, body + WR_RESUME_BLOCK + 100, 20000), "dropped from the front");
	wr_chain_cut(r, &c, WR_RESUME_BLOCK - 100);
	OK(wr_chain_same(r, &c, 0, body + 2 * WR_RESUME_BLOCK, 300), "cut behind that");
	wr_chain_free(r, &c);
	OK(wr_chain_add(r, &d, body, BLOCKS * WR_RESUME_BLOCK), "all of it is free again");
	wr_chain_free(r, &d);
}

static void bad(void)
{
	uint64_t k[2];
	uint32_t n = 0;

	key(1, k);
	wr_bad_add(r, &lc, k);
	wr_bad_add(r, &lc, k);
	OK(wr_bad_has(r, k), "remembered");
	key(2, k);
	OK(!wr_bad_has(r, k), "another is not");
	while (count(WR_R_SESSION_BAD_FORGOTTEN) == 0 && n < 10000) {
		lc.now++;
		key(1000 + n++, k);
		k[1] = ((uint64_t)n << 16) | 1;
		wr_bad_add(r, &lc, k);
	}
	OK(n < 10000 && wr_bad_has(r, k), "full: the oldest of its row is forgotten, and counted");
}

int main(void)
{
	struct wr_resume_conf c = {
		.sessions = SESSIONS, .parts = PARTS, .bad = 64, .spool_bytes = BLOCKS * 16384
	};
	struct wr_chain none = { 0 };

	r = wr_resume_new(&c);
	WR_ASSERT(r != NULL);
	OK(wr_resume_memory(&c) > BLOCKS * 16384, "its price");
	sessions();
	parts();
	chains();
	bad();
	wr_resume_free(r);
	c.spool_bytes = 0;
	r = wr_resume_new(&c);
	WR_ASSERT(r != NULL);
	OK(!wr_chain_add(r, &none, (const uint8_t *)"x", 1), "without a spool nothing is kept");
	wr_resume_free(r);
	return tap_done();
}
