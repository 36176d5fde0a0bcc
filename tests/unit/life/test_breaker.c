/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The edges of both budgets: one under, one over; and what experience changes.
 */
#include <stdio.h>

#include "life/breaker.h"
#include "tap.h"

static uint32_t hits(struct wr_breaker *b, const char *item, uint64_t now, uint32_t n)
{
	uint32_t tripped = 0;

	for (uint32_t i = 0; i < n; i++)
		tripped += wr_breaker_hit(b, "core", item, now);
	return tripped;
}

static const struct wr_breaker_budget budget = {
	.most = 1000, .factor = 10, .floor = 50, .learn = 10
};

/* Each budget by itself, and the other one off. */
static void configured(void)
{
	const struct wr_breaker_budget absolute = { .most = 3 },
	                               relative = { .factor = 2, .floor = 4, .learn = 1 };
	struct wr_breaker *b = wr_breaker_new(&absolute);
	uint64_t t = 60000000;

	IS(hits(b, "rule:a", t, 2), 0, "a budget of three blocks a minute: two");
	IS(hits(b, "rule:a", t, 1), 1, "three");
	for (uint32_t m = 0; m < 100; m++)
		(void)hits(b, "rule:b", t + 60 * m, 1);
	IS(hits(b, "rule:b", t + 6000, 2), 0, "without a factor nothing is learned from");
	wr_breaker_free(b);
	b = wr_breaker_new(&relative);
	IS(hits(b, "rule:a", t, 100000), 0, "without an absolute budget a new rule has none");
	(void)hits(b, "rule:b", t, 3);
	IS(hits(b, "rule:b", t + 60, 6), 0, "twice what a minute taught");
	IS(hits(b, "rule:b", t + 60, 1), 1, "and one more");
	(void)hits(b, "rule:c", t, 1);
	IS(hits(b, "rule:c", t + 60, 4), 0, "up to the floor nothing is too many");
	IS(hits(b, "rule:c", t + 60, 1), 1, "above it the factor counts");
	wr_breaker_tune(b, &absolute);
	IS(hits(b, "rule:d", t, 3), 1, "other budgets from now on");
	wr_breaker_free(b);
}

int main(void)
{
	struct wr_breaker *b = wr_breaker_new(&budget);
	uint64_t t = 60000000;
	char name[32];

	IS(hits(b, "rule:new", t, 999), 0,
	   "a new rule: 999 blocks in a minute are within the budget");
	IS(hits(b, "rule:new", t, 1), 1, "the thousandth is not");
	IS(hits(b, "rule:new", t, 500), 0, "it is said once");
	wr_breaker_close(b, "core", "rule:new");
	IS(hits(b, "rule:new", t, 1000), 1, "watched again after it was closed");
	IS(hits(b, "rule:other", t, 999), 0, "another item has its own budget");

	for (uint32_t m = 0; m < budget.learn; m++)
		(void)hits(b, "rule:calm", t + 60 * m, 6);
	IS(hits(b, "rule:calm", t + 60 * budget.learn, 60), 0, "ten times what it learned");
	IS(hits(b, "rule:calm", t + 60 * budget.learn, 1), 1, "one more");

	for (uint32_t m = 0; m < budget.learn - 1; m++)
		(void)hits(b, "rule:young", t + 60 * m, 6);
	IS(hits(b, "rule:young", t + 60 * (budget.learn - 1), 400), 0,
	   "a minute less of experience: only the absolute budget counts");

	for (uint32_t m = 0; m < 2 * budget.learn; m++)
		(void)hits(b, "rule:busy", t + 60 * m, 90);
	IS(hits(b, "rule:busy", t + 120 * budget.learn, 890), 0, "a busy rule may be busy");

	(void)hits(b, "rule:rare", t, 1);
	IS(hits(b, "rule:rare", t + 6000, budget.floor), 0, "few blocks are never too many");
	IS(hits(b, "rule:rare", t + 6000, 1), 1, "more, from a rule that hardly ever hits, are");
	IS(hits(b, "rule:back", t, 1), 0, "a first block");
	IS(hits(b, "rule:back", t - 100000, 998), 0,
	   "a clock that jumps back does not divide a minute");
	IS(hits(b, "rule:back", t - 100000, 1), 1, "nor hide a flood");

	IS(wr_breaker_lost(b), 0, "all were watched");
	for (uint32_t i = 0; i < WR_BREAKER_ITEMS; i++) {
		snprintf(name, sizeof(name), "rule:%u", i);
		(void)wr_breaker_hit(b, "core", name, t);
	}
	OK(wr_breaker_lost(b) > 0, "beyond the table's size items are counted as not watched");
	IS(hits(b, "rule:busy", t + 120 * budget.learn, 200), 1, "and those inside still are");
	wr_breaker_free(b);
	configured();
	return tap_done();
}
