/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of connections against a plain list of what should be in it, its two limits (capacity,
 * both buckets of a key full), and its timers.
 */
#include <string.h>

#include "base/mix.h"
#include "flow/flow.h"
#include "tap.h"

#define CAPACITY 64u
#define TICK     WR_FLOW_TICK_NS
#define T0       (1000 * TICK + 5)

static const struct wr_mix_key secret = { { 11, 22, 33, 44 } };

static struct wr_flow_key key_of(uint32_t n)
{
	struct wr_flow_key k = { .store_port = 80, .proto = 6 };

	memcpy(k.client, &n, sizeof(n));
	k.client_port = (uint16_t)n;
	return k;
}

static uint64_t hash_of(uint32_t n)
{
	struct wr_flow_key k = key_of(n);

	return wr_mix_hash(&secret, &k, sizeof(k));
}

static uint32_t insert(struct wr_flow_table *t, uint32_t n)
{
	struct wr_flow_key k = key_of(n);

	return wr_flow_insert(t, &k, hash_of(n));
}

static uint32_t find(struct wr_flow_table *t, uint32_t n)
{
	struct wr_flow_key k = key_of(n);

	return wr_flow_find(t, &k, hash_of(n));
}

/* --- entries */

static void full(void)
{
	struct wr_flow_table *t = wr_flow_new(CAPACITY);
	uint8_t seen[CAPACITY + 1] = { 0 };
	uint32_t n, idx, bad = 0, other;

	IS(find(t, 1), 0, "an empty table knows nobody");
	for (n = 0; n < CAPACITY; n++) {
		idx = insert(t, n);
		bad += idx == 0 || idx > CAPACITY || seen[idx]++ != 0;
	}
	IS(bad, 0, "as many entries as it was made for, each once");
	IS(wr_flow_count(t), CAPACITY, "they are counted");
	IS(insert(t, CAPACITY), 0, "one more: none");
	IS(wr_flow_count(t), CAPACITY, "a refusal changes nothing");
	IS(find(t, CAPACITY), 0, "and leaves nothing behind");
	for (n = 0; n < CAPACITY; n++)
		bad += find(t, n) == 0 || wr_flow_at(t, find(t, n))->key.client_port != n;
	IS(bad, 0, "each finds its own");

	idx = find(t, 7);
	wr_flow_remove(t, idx);
	OK(find(t, 7) == 0 && !wr_flow_used(t, idx), "what is removed is not found");
	IS(insert(t, CAPACITY), idx, "its entry serves the next connection");
	OK(find(t, CAPACITY) == idx && find(t, 7) == 0, "under the new key only");
	other = find(t, 8);
	OK(other != 0 && wr_flow_at(t, other)->key.client_port == 8, "neighbours are untouched");
	wr_flow_free(t);
}

/* All keys with one hash: two buckets of eight (or the same one twice), then no more. */
static void one_bucket(void)
{
	struct wr_flow_table *t = wr_flow_new(CAPACITY * 16);
	uint32_t n, in = 0, bad = 0;
	struct wr_flow_key k;

	for (n = 0; n < 40; n++) {
		k = key_of(n);
		in += wr_flow_insert(t, &k, 0x1234567890abcdefull) != 0;
	}
	IS(in, 16, "keys of one hash fill two buckets of eight");
	for (n = 0; n < 40; n++) {
		k = key_of(n);
		bad += (wr_flow_find(t, &k, 0x1234567890abcdefull) != 0) != (n < 16);
	}
	IS(bad, 0, "the same hash and signature: the key decides");
	OK(insert(t, 5000) != 0, "other keys still have room");
	k = key_of(3);
	wr_flow_remove(t, wr_flow_find(t, &k, 0x1234567890abcdefull));
	k = key_of(39);
	OK(wr_flow_insert(t, &k, 0x1234567890abcdefull) != 0, "a gap in a full bucket is used");
	wr_flow_free(t);
}

static void burst(void)
{
	static struct wr_pkt p[WR_BURST];
	struct wr_flow_table *t = wr_flow_new(CAPACITY);
	uint32_t idx[WR_BURST], bad = 0, twin[CAPACITY + 1] = { 0 };

	for (uint32_t i = 0; i < WR_BURST; i++) {
		p[i].key = key_of(i / 2);
		p[i].hash = hash_of(i / 2);
		if (i % 4 == 0)
			(void)insert(t, i / 2);
	}
	/* Here a signature lies: the hash is that of an entry, the key is not. */
	p[1].hash = hash_of(0);
	p[1].key = key_of(77);
	wr_flow_find_burst(t, p, WR_BURST, idx, twin, sizeof(twin[0]));
	for (uint32_t i = 0; i < WR_BURST; i++)
		bad += idx[i] != wr_flow_find(t, &p[i].key, p[i].hash);
	IS(bad, 0, "a burst finds what single look-ups find");
	OK(idx[0] != 0 && idx[1] == 0 && idx[2] == 0, "a key that only shares the hash is not it");
	wr_flow_find_burst(t, p, 0, idx, NULL, 0);
	wr_flow_free(t);
}

/* Random inserts, removals and finds against an array of what should be there. */
static void model(void)
{
	static uint32_t at[512]; /* entry of key n, 0 = not in */
	struct wr_flow_table *t = wr_flow_new(CAPACITY);
	uint64_t r = 99, steps;
	uint32_t count = 0, bad = 0;

	for (steps = 0; steps < 200000; steps++) {
		uint32_t n, idx;

		r = r * 6364136223846793005ull + 1442695040888963407ull;
		n = (uint32_t)(r >> 40) % 512;
		idx = find(t, n);
		bad += idx != at[n];
		if (idx != 0 && (r >> 33) % 2 == 0) {
			wr_flow_remove(t, idx);
			at[n] = 0;
			count--;
		} else if (idx == 0) {
			at[n] = insert(t, n);
			bad += at[n] == 0 && count < CAPACITY;
			count += at[n] != 0;
		}
		bad += count != wr_flow_count(t);
	}
	IS(bad, 0, "%lu steps like a plain list", steps);
	wr_flow_free(t);
}

/* --- timers */

static uint32_t due(struct wr_flow_table *t, uint64_t now)
{
	uint32_t idx[CAPACITY];

	return wr_flow_due(t, now, idx, CAPACITY);
}

static void timers(void)
{
	struct wr_flow_table *t = wr_flow_new(CAPACITY);
	uint32_t a = insert(t, 1), b = insert(t, 2), idx[4];

	wr_flow_arm(t, a, T0, T0 + 10 * TICK);
	IS(due(t, T0 + 9 * TICK), 0, "before its time: nobody");
	IS(wr_flow_due(t, T0 + 11 * TICK, idx, 4), 1, "after it: one");
	IS(idx[0], a, "the one");
	IS(due(t, T0 + 12 * TICK), 0, "only once");

	wr_flow_arm(t, a, T0 + 12 * TICK, T0 + 20 * TICK);
	wr_flow_arm(t, a, T0 + 12 * TICK, T0 + 30 * TICK);
	IS(due(t, T0 + 25 * TICK), 0, "armed again: the first time is forgotten");
	IS(due(t, T0 + 31 * TICK), 1, "the second counts");

	wr_flow_arm(t, a, T0 + 31 * TICK, T0 + 40 * TICK);
	wr_flow_arm(t, b, T0 + 31 * TICK, T0 + 40 * TICK);
	wr_flow_disarm(t, a);
	wr_flow_disarm(t, a);
	IS(wr_flow_due(t, T0 + 41 * TICK, idx, 4), 1, "disarmed: not due");
	IS(idx[0], b, "its neighbour in the slot is");

	wr_flow_arm(t, a, T0 + 41 * TICK, T0);
	IS(due(t, T0 + 43 * TICK), 1, "a time that has passed is due at once");

	wr_flow_arm(t, b, T0 + 43 * TICK, T0 + 50 * TICK);
	wr_flow_remove(t, b);
	IS(due(t, T0 + 60 * TICK), 0, "a removed entry is never due");
	b = insert(t, 3);
	IS(due(t, T0 + 61 * TICK), 0, "nor is who has its place now");
	wr_flow_free(t);
}

static void far_and_many(void)
{
	struct wr_flow_table *t = wr_flow_new(CAPACITY);
	uint64_t round = (uint64_t)WR_FLOW_WHEEL * TICK, now = T0;
	uint32_t idx[CAPACITY], n = 0, a = insert(t, 1), got = 0;

	wr_flow_arm(t, a, now, now + 3 * round);
	for (; got == 0 && now < T0 + 2 * round; now += 50 * TICK)
		got = wr_flow_due(t, now, idx, 1);
	OK(got == 1 && now > T0 + round / 2 && now <= T0 + round + 100 * TICK,
	   "farther than a round: looked at within the round, not before its end");

	for (n = 0; n < 20; n++)
		wr_flow_arm(t, insert(t, 100 + n), now, now + TICK);
	IS(wr_flow_due(t, now + 3 * TICK, idx, 8), 8, "more are due than asked for: those");
	IS(wr_flow_due(t, now + 3 * TICK, idx, 8), 8, "the next ask goes on");
	IS(wr_flow_due(t, now + 3 * TICK, idx, 8), 4, "to the end");

	for (n = 0; n < 20; n++)
		wr_flow_arm(t, find(t, 100 + n), now, now + n * TICK);
	now += 5 * round; /* the process was stopped */
	IS(due(t, now), 20, "a clock that jumps over rounds loses nobody");
	wr_flow_free(t);
}

int main(void)
{
	full();
	one_bucket();
	burst();
	model();
	timers();
	far_and_many();
	OK(wr_flow_new(0) == NULL, "a table for nobody is refused");
	return tap_done();
}
