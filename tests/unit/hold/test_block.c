/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens after a block, on a clock: when nothing may be said, when the answer goes, how often
 * it and the reset are repeated, and that it ends.
 */
#include <string.h>

#include "hold/hold.h"
#include "tap.h"

#define MS 1000000ull
#define S  1000000000ull
#define T0 (77 * S)

static struct wr_conf conf = { .drain_bytes = 1000, .drain_time_ns = 30 * S };
static struct wr_block b;
static struct wr_hold_view v;

static void start(void)
{
	wr_block_start(&b, T0);
	v = (struct wr_hold_view){ .now = T0, .earlier_done = true, .client_acked = true };
}

static uint32_t at(uint64_t t)
{
	v.now = t;
	return wr_block_step(&b, &v, &conf);
}

/* An answer of 100 bytes at offset 500 is on its way. */
static void answering(void)
{
	start();
	(void)at(T0);
	b.answer_off = 500;
	b.answer_len = 100;
}

static void before(void)
{
	static const struct {
		bool earlier_done, client_acked, begun, no_answer;
		uint32_t want;
		uint8_t phase;
		const char *what;
	} row[] = {
		/* clang-format off */
		{ 1, 1, 0, 0, WR_HOLD_RST_STORE | WR_HOLD_SEND_ANSWER, WR_BLOCK_ANSWER, "all earlier is done: answer" },
		{ 0, 1, 0, 0, WR_HOLD_NOTHING, WR_BLOCK_WAIT, "an earlier response is due: wait" },
		{ 1, 0, 0, 0, WR_HOLD_NOTHING, WR_BLOCK_WAIT, "the client has not read it: wait" },
		{ 1, 1, 1, 0, WR_HOLD_RST_STORE | WR_HOLD_RST_CLIENT, WR_BLOCK_RESET, "the store has begun: reset both" },
		{ 1, 1, 0, 1, WR_HOLD_RST_STORE | WR_HOLD_RST_CLIENT, WR_BLOCK_RESET, "not HTTP: reset both" },
		{ 0, 0, 1, 0, WR_HOLD_RST_STORE | WR_HOLD_RST_CLIENT, WR_BLOCK_RESET, "begun counts before waiting" },
		/* clang-format on */
	};

	memset(&b, 0, sizeof(b));
	IS(wr_block_step(&b, &v, &conf), WR_HOLD_NOTHING, "without a block there is nothing to do");
	OK(wr_block_next(&b) == UINT64_MAX, "and nothing to wait for");
	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		uint32_t todo;

		start();
		v.earlier_done = row[i].earlier_done;
		v.client_acked = row[i].client_acked;
		v.begun = row[i].begun;
		v.no_answer = row[i].no_answer;
		todo = at(T0);
		OK(todo == row[i].want && b.phase == row[i].phase, "%s", row[i].what);
	}

	start();
	v.earlier_done = false;
	IS(at(T0), WR_HOLD_NOTHING, "waiting");
	OK(wr_block_next(&b) == T0 + WR_HOLD_WAIT_NS, "it asks to be called at the limit");
	IS(at(T0 + WR_HOLD_WAIT_NS - 1), WR_HOLD_NOTHING, "still, a nanosecond before the limit");
	IS(at(T0 + WR_HOLD_WAIT_NS), WR_HOLD_RST_STORE | WR_HOLD_RST_CLIENT, "then both are reset");
	start();
	v.earlier_done = false;
	(void)at(T0);
	v.earlier_done = true;
	IS(at(T0 + S), WR_HOLD_RST_STORE | WR_HOLD_SEND_ANSWER,
	   "what was waited for comes: answer");
}

/* Both are repeated at 0.2, 0.4, 0.8, 1.6, 3.2, 6.4 s: six times, then it is enough. */
static void repeats(void)
{
	uint64_t t = T0, wait = WR_HOLD_FIRST_NS;

	answering();
	for (uint32_t i = 0; i < WR_HOLD_TRIES; i++) {
		uint32_t early = at(t + wait - 1), todo;

		todo = at(t + wait);
		OK(early == WR_HOLD_NOTHING && todo == (WR_HOLD_RST_STORE | WR_HOLD_SEND_ANSWER),
		   "repeat %u after %lu ms, not before", i + 1, (unsigned long)(wait / MS));
		t += wait;
		wait *= i < 5 ? 2 : 1;
		OK(i + 1 == WR_HOLD_TRIES || wr_block_next(&b) == t + wait,
		   "and it knows when the next is due");
	}
	IS(at(t + wait - 1), WR_HOLD_NOTHING, "the last one has its time too");
	IS(at(t + wait), WR_HOLD_RST_CLIENT, "nobody reads it: the client is reset");
	IS(b.phase, WR_BLOCK_LINGER, "and that is the end");
	OK(b.store_dead, "a store that never answers is given up");
	IS(at(t + 100 * S), WR_HOLD_NOTHING, "nothing more is sent");
	OK(wr_block_next(&b) == UINT64_MAX, "nor waited for");

	answering();
	b.store_dead = 1;
	IS(at(T0 + WR_HOLD_FIRST_NS), WR_HOLD_SEND_ANSWER, "a store that has reset is left alone");

	start();
	v.begun = true;
	(void)at(T0);
	IS(at(T0 + WR_HOLD_FIRST_NS), WR_HOLD_RST_STORE,
	   "after a reset of both: the store's again");
	IS(at(T0 + WR_HOLD_FIRST_NS + 1), WR_HOLD_NOTHING, "once");
}

static void reading(void)
{
	answering();
	wr_block_acked(&b, 500, T0);
	OK(!b.answered && b.answer_at == T0 + WR_HOLD_FIRST_NS,
	   "an ACK before the answer: no news");
	wr_block_acked(&b, 550, T0 + 150 * MS);
	OK(!b.answered && b.answer_at == T0 + 150 * MS + WR_HOLD_FIRST_NS,
	   "half of it: the repeat waits a little longer");
	IS(at(T0 + WR_HOLD_FIRST_NS) & WR_HOLD_SEND_ANSWER, 0, "it does");
	wr_block_acked(&b, 600, T0 + 160 * MS);
	OK(!b.answered, "all but the FIN: not read yet");
	wr_block_acked(&b, 601, T0 + 170 * MS);
	OK(b.answered, "the FIN too: read");
	IS(at(T0 + 10 * S) & (WR_HOLD_SEND_ANSWER | WR_HOLD_RST_CLIENT), 0, "it is not repeated");
	IS(b.phase, WR_BLOCK_ANSWER, "the client may still be sending");
	b.client_fin = 1;
	(void)at(T0 + 11 * S);
	IS(b.phase, WR_BLOCK_LINGER, "until it ends");

	start();
	wr_block_acked(&b, 10000, T0);
	OK(!b.answered, "before there is an answer nobody has read it");
}

static void draining(void)
{
	answering();
	wr_block_acked(&b, 601, T0);
	b.store_dead = 1;
	b.drained = conf.drain_bytes;
	IS(at(T0 + S), WR_HOLD_NOTHING, "as many bytes as the limit are drained");
	b.drained++;
	IS(at(T0 + S), WR_HOLD_RST_CLIENT, "one more: a client that never stops is cut off");
	IS(b.phase, WR_BLOCK_LINGER, "for good");
	IS(at(T0 + 2 * S), WR_HOLD_NOTHING, "once");

	answering();
	wr_block_acked(&b, 601, T0);
	b.store_dead = 1;
	OK(wr_block_next(&b) == T0 + conf.drain_time_ns, "it asks to be called at the limit");
	IS(at(T0 + conf.drain_time_ns - 1), WR_HOLD_NOTHING, "the time is not over yet");
	IS(at(T0 + conf.drain_time_ns), WR_HOLD_RST_CLIENT, "now it is");

	answering();
	wr_block_acked(&b, 601, T0);
	b.store_dead = b.client_fin = 1;
	IS(at(T0 + conf.drain_time_ns), WR_HOLD_NOTHING, "who read it and ended is not reset");
}

int main(void)
{
	before();
	repeats();
	reading();
	draining();
	return tap_done();
}
