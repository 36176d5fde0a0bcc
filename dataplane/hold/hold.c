/* SPDX-License-Identifier: BSD-3-Clause */
#include "hold/hold.h"

#include <string.h>

void wr_block_start(struct wr_block *b, uint64_t now)
{
	memset(b, 0, sizeof(*b));
	b->phase = WR_BLOCK_WAIT;
	b->since = now;
}

static uint64_t backoff(uint8_t tries)
{
	return WR_HOLD_FIRST_NS << wr_min_u32(tries, 5);
}

static uint32_t begin(struct wr_block *b, const struct wr_hold_view *v, const struct wr_conf *conf)
{
	bool late = v->now - b->since >= WR_HOLD_WAIT_NS;

	if (v->no_answer || v->begun || late) {
		/* Bytes in the middle of somebody's response would be worse than no answer. */
		b->phase = WR_BLOCK_RESET;
		b->store_at = v->now + backoff(0);
		return WR_HOLD_RST_STORE | WR_HOLD_RST_CLIENT;
	}
	if (!v->earlier_done || !v->client_acked)
		return WR_HOLD_NOTHING;
	b->phase = WR_BLOCK_ANSWER;
	b->store_at = v->now + backoff(0);
	b->answer_at = v->now + backoff(0);
	b->drain_until = v->now + conf->drain_time_ns;
	return WR_HOLD_RST_STORE | WR_HOLD_SEND_ANSWER;
}

uint32_t wr_block_step(struct wr_block *b, const struct wr_hold_view *v, const struct wr_conf *conf)
{
	uint32_t todo = WR_HOLD_NOTHING;

	if (b->phase == WR_BLOCK_NONE)
		return todo;
	if (b->phase == WR_BLOCK_WAIT)
		return begin(b, v, conf);
	if (!b->store_dead && v->now >= b->store_at) {
		if (b->store_tries >= WR_HOLD_TRIES) {
			b->store_dead = 1;
		} else {
			todo |= WR_HOLD_RST_STORE;
			b->store_at = v->now + backoff(++b->store_tries);
		}
	}
	if (b->phase == WR_BLOCK_ANSWER) {
		if (v->now >= b->drain_until || b->drained > conf->drain_bytes) {
			/* It has had its time: a client that never stops sending is cut off. */
			b->phase = WR_BLOCK_LINGER;
			if (!b->answered || !b->client_fin)
				todo |= WR_HOLD_RST_CLIENT;
		} else if (!b->answered && v->now >= b->answer_at) {
			if (b->answer_tries >= WR_HOLD_TRIES) {
				b->phase = WR_BLOCK_LINGER;
				todo |= WR_HOLD_RST_CLIENT;
			} else {
				todo |= WR_HOLD_SEND_ANSWER;
				b->answer_at = v->now + backoff(++b->answer_tries);
			}
		} else if (b->answered && b->client_fin) {
			b->phase = WR_BLOCK_LINGER;
		}
	}
	return todo;
}

void wr_block_acked(struct wr_block *b, uint64_t off, uint64_t now)
{
	if (b->phase != WR_BLOCK_ANSWER || b->answered)
		return;
	if (off > b->answer_off + b->answer_len) {
		b->answered = 1;
		return;
	}
	if (off > b->answer_off && b->answer_at < now + WR_HOLD_FIRST_NS)
		b->answer_at = now + WR_HOLD_FIRST_NS; /* it reads: give it time before a repeat */
}

uint64_t wr_block_next(const struct wr_block *b)
{
	uint64_t at = UINT64_MAX;

	switch (b->phase) {
	case WR_BLOCK_WAIT: return b->since + WR_HOLD_WAIT_NS;
	case WR_BLOCK_ANSWER:
		at = b->drain_until;
		if (!b->answered)
			at = wr_min_u64(at, b->answer_at);
		break;
	default: break;
	}
	if (!b->store_dead && b->phase != WR_BLOCK_NONE)
		at = wr_min_u64(at, b->store_at);
	return at;
}
