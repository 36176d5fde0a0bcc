/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verdict - hits + coverage + policy -> one decision. The only place that knows block, pass, flag.
 *
 * takes    what the scanners found and what they saw (struct wr_evidence), the policy of the
 * service gives    struct wr_decision (handoff/) owns     nothing; pure functions threads  any see
 * docs/concepts/verdict.md, tests/unit/verdict
 */
#ifndef WR_VERDICT_VERDICT_H
#define WR_VERDICT_VERDICT_H

#include "abi/conf.h"
#include "handoff/decision.h"
#include "ruleset/ruleset.h"

struct wr_evidence {
	const struct wr_ruleset *rs;
	const struct wr_policy *policy;
	const struct wr_match *match; /* item, entry, offset, kind, algo, view, distance filled */
	uint32_t nmatches;
	uint32_t causes;  /* bit set of 1 << enum wr_cause seen on this object */
	uint32_t canary;  /* 0..999999, from the upload id: below an item's canary_ppm = in */
	uint64_t now_s;   /* unix seconds, for valid_until */
	uint8_t complete; /* every byte was hashed and scanned */
	uint8_t observe, matches_cut, reason; /* reason: enum wr_reason when framing decided */
};

void wr_verdict_decide(const struct wr_evidence *ev, struct wr_decision *out);
/*
 * Is this pattern hit alone enough to block now, before the object ends? Of the evidence it takes
 * rs, policy, canary, now_s and observe.
 */
bool wr_verdict_blocks_now(const struct wr_evidence *ev, uint32_t rule);

#endif
