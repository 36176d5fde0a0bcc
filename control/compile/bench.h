/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench - what the rules of a ruleset cost, and which of them cost most.
 *
 * A rule without a literal makes Hyperscan walk every byte: five of them among a thousand can cost
 * four times the thousand. So the ruleset is measured over a fixed corpus (text, numbers, random
 * bytes; seeded, the same on every machine), then each rule alone, and the dearest are measured
 * again by what the ruleset costs without them.
 */
#ifndef WR_COMPILE_BENCH_H
#define WR_COMPILE_BENCH_H

#include "compile/compile.h"

/* Fills bench_cycles_per_byte and dear; refuses a single bundle beyond its own budget. */
WR_MUST_USE int wr_compile_bench(struct wr_compile *c, struct wr_bundle_errors *e);

#endif
