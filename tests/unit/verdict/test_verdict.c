/* SPDX-License-Identifier: BSD-3-Clause */
/* Hits, causes and policy in; verdict, action and would out: one row each. */
#include <string.h>

#include "tap.h"
#include "verdict/verdict.h"

#define LISTS 100u /* item numbers from here on are lists */

enum { R_BLOCK, R_FLAG, R_SHADOW, R_CANARY, R_OFF, R_HELPER, R_OLD, R_EXPIRED, NRULES };
enum {
	L_DENY,
	L_FLAG,
	L_ALLOW_SAME,
	L_ALLOW_OTHER,
	L_SHADOW,
	L_ALLOW_SHADOW,
	L_OLD,
	L_EXPIRED,
	L_ALLOW_EXPIRED,
	NLISTS
};

#define NOW   1000000u
#define OWNER 7u

static const struct wr_item rule[NRULES] = {
	[R_BLOCK] = { .id = "block", .mode = WR_ITEM_ENFORCE, .action = WR_A_BLOCK },
	[R_FLAG] = { .id = "flag", .mode = WR_ITEM_ENFORCE, .action = WR_A_FLAG },
	[R_SHADOW] = { .id = "shadow", .mode = WR_ITEM_SHADOW, .action = WR_A_BLOCK },
	[R_CANARY] = { .id = "canary",
	               .mode = WR_ITEM_CANARY,
	               .action = WR_A_BLOCK,
	               .canary_ppm = 10000 },
	[R_OFF] = { .id = "off", .mode = WR_ITEM_OFF, .action = WR_A_BLOCK },
	[R_HELPER] = { .id = "helper", .mode = WR_ITEM_ENFORCE, .action = WR_A_BLOCK, .helper = 1 },
	[R_OLD] = { .id = "old",
	            .mode = WR_ITEM_ENFORCE,
	            .action = WR_A_BLOCK,
	            .valid_until = NOW },
	[R_EXPIRED] = { .id = "of an expired bundle",
	                .mode = WR_ITEM_ENFORCE,
	                .action = WR_A_BLOCK,
	                .bundle_expires = NOW },
};

static const struct wr_item list[NLISTS] = {
	[L_DENY] = { .id = "deny", .mode = WR_ITEM_ENFORCE, .action = WR_A_BLOCK, .owner = OWNER },
	[L_FLAG] = { .id = "flag", .mode = WR_ITEM_ENFORCE, .action = WR_A_FLAG, .owner = OWNER },
	[L_ALLOW_SAME] = { .id = "allow", .mode = WR_ITEM_ENFORCE, .allow = 1, .owner = OWNER },
	[L_ALLOW_OTHER] = { .id = "allow2", .mode = WR_ITEM_ENFORCE, .allow = 1, .owner = 8 },
	[L_SHADOW] = { .id = "shadow",
	               .mode = WR_ITEM_SHADOW,
	               .action = WR_A_BLOCK,
	               .owner = OWNER },
	[L_ALLOW_SHADOW] = { .id = "allow3", .mode = WR_ITEM_SHADOW, .allow = 1, .owner = OWNER },
	[L_OLD] = { .id = "old",
	            .mode = WR_ITEM_ENFORCE,
	            .action = WR_A_BLOCK,
	            .owner = OWNER,
	            .valid_until = NOW },
	[L_EXPIRED] = { .id = "of an expired bundle",
	                .mode = WR_ITEM_ENFORCE,
	                .action = WR_A_BLOCK,
	                .owner = 9,
	                .bundle_expires = NOW },
	[L_ALLOW_EXPIRED] = { .id = "allow of an expired bundle",
	                      .mode = WR_ITEM_ENFORCE,
	                      .allow = 1,
	                      .owner = OWNER,
	                      .bundle_expires = NOW },
};

const struct wr_item *wr_ruleset_rule(const struct wr_ruleset *rs, uint32_t i)
{
	(void)rs;
	return &rule[i];
}

const struct wr_item *wr_ruleset_list(const struct wr_ruleset *rs, uint32_t i)
{
	(void)rs;
	return &list[i];
}

#define CAUSE(c) (1u << WR_C_##c)
#define PART     1u /* not every byte was seen */
#define OBSERVE  2u
#define CEILING  4u  /* policy.match: flag */
#define LAX      8u  /* policy.incomplete: pass */
#define IN       16u /* inside the canary */
#define FADE     32u /* policy.bundle_expired: shadow */
#define L(i)     (LISTS + (i) + 1)
#define R(i)     ((i) + 1)

static const struct {
	const char *name;
	uint32_t item[3], causes, how;
	uint8_t verdict, cause, action, would, applied;
} row[] = {
	/* clang-format off */
	{ "nothing found", { 0 }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a blocking rule", { R(R_BLOCK) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "a flagging rule", { R(R_FLAG) }, 0, 0, WR_V_SUSPECT, 0, WR_A_FLAG, WR_A_FLAG, 1 },
	{ "the strictest of two", { R(R_FLAG), R(R_BLOCK) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 2 },
	{ "a shadow rule", { R(R_SHADOW) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_BLOCK, 0 },
	{ "outside the canary", { R(R_CANARY) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_BLOCK, 0 },
	{ "inside the canary", { R(R_CANARY) }, 0, IN, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "a rule that is off", { R(R_OFF) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a helper of conditions", { R(R_HELPER) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a rule past its date", { R(R_OLD) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a ceiling of flag", { R(R_BLOCK) }, 0, CEILING, WR_V_MATCH, 0, WR_A_FLAG, WR_A_FLAG, 1 },
	{ "observed only", { R(R_BLOCK) }, 0, OBSERVE, WR_V_MATCH, 0, WR_A_FLAG, WR_A_BLOCK, 1 },

	{ "a deny list", { L(L_DENY) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "deny, and allow of its owner", { L(L_DENY), L(L_ALLOW_SAME) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "allow of its owner, and deny", { L(L_ALLOW_SAME), L(L_DENY) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "deny, and allow of another", { L(L_DENY), L(L_ALLOW_OTHER) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "deny, and allow in shadow", { L(L_DENY), L(L_ALLOW_SHADOW) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "allow skips no pattern", { R(R_BLOCK), L(L_ALLOW_SAME) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "allow alone", { L(L_ALLOW_SAME) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a shadow list", { L(L_SHADOW) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_BLOCK, 0 },
	{ "a list past its date", { L(L_OLD) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },

	{ "an expired bundle goes on", { R(R_EXPIRED) }, 0, 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "an expired bundle fades", { R(R_EXPIRED) }, 0, FADE, WR_V_CLEAN, 0, WR_A_PASS, WR_A_BLOCK, 0 },
	{ "its lists too", { L(L_EXPIRED) }, 0, FADE, WR_V_CLEAN, 0, WR_A_PASS, WR_A_BLOCK, 0 },
	{ "and what it allows", { L(L_DENY), L(L_ALLOW_EXPIRED) }, 0, FADE, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "while it goes on it allows", { L(L_DENY), L(L_ALLOW_EXPIRED) }, 0, 0, WR_V_CLEAN, 0, WR_A_PASS, WR_A_PASS, 0 },
	{ "a bundle without an end stays", { R(R_BLOCK) }, 0, FADE, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },

	{ "not everything seen", { 0 }, 0, PART, WR_V_INCOMPLETE, WR_C_LIMIT, WR_A_BLOCK, WR_A_BLOCK, 0 },
	{ "not everything seen, and why", { 0 }, CAUSE(GAP), PART, WR_V_INCOMPLETE, WR_C_GAP, WR_A_BLOCK, WR_A_BLOCK, 0 },
	{ "a gap that policy lets pass", { 0 }, CAUSE(GAP), PART | LAX, WR_V_INCOMPLETE, WR_C_GAP, WR_A_PASS, WR_A_PASS, 0 },
	{ "a match in what was seen", { R(R_BLOCK) }, CAUSE(GAP), PART | LAX, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "a gap beside a flag", { R(R_FLAG) }, CAUSE(GAP), PART | LAX, WR_V_INCOMPLETE, WR_C_GAP, WR_A_FLAG, WR_A_FLAG, 1 },
	{ "the strictest cause names itself", { 0 }, CAUSE(GAP) | CAUSE(LATE), PART, WR_V_INCOMPLETE, WR_C_GAP, WR_A_BLOCK, WR_A_BLOCK, 0 },
	{ "a cause under a ceiling of flag", { 0 }, CAUSE(GAP), PART | CEILING, WR_V_INCOMPLETE, WR_C_GAP, WR_A_BLOCK, WR_A_BLOCK, 0 },
	{ "a cause, observed only", { 0 }, CAUSE(GAP), PART | OBSERVE, WR_V_INCOMPLETE, WR_C_GAP, WR_A_FLAG, WR_A_BLOCK, 0 },
	{ "a polyglot", { 0 }, CAUSE(POLYGLOT), 0, WR_V_SUSPECT, WR_C_POLYGLOT, WR_A_FLAG, WR_A_FLAG, 0 },
	{ "an engine that failed", { 0 }, CAUSE(ENGINE), 0, WR_V_ERROR, WR_C_ENGINE, WR_A_BLOCK, WR_A_BLOCK, 0 },
	{ "a match beside a failed engine", { R(R_BLOCK) }, CAUSE(ENGINE), 0, WR_V_MATCH, 0, WR_A_BLOCK, WR_A_BLOCK, 1 },
	{ "an object that was bad before", { 0 }, CAUSE(OBJECT_BAD), 0, WR_V_MATCH, WR_C_OBJECT_BAD, WR_A_BLOCK, WR_A_BLOCK, 0 },
	/* clang-format on */
};

static struct wr_policy policy_of(uint32_t how)
{
	struct wr_policy p = { .ceiling = how & CEILING ? WR_A_FLAG : WR_A_BLOCK };

	for (unsigned c = 0; c < WR_C_COUNT; c++)
		p.on_cause[c] = how & LAX ? WR_A_PASS : WR_A_BLOCK;
	p.bundle_expired = (how & FADE) != 0;
	p.on_cause[WR_C_POLYGLOT] = WR_A_FLAG;
	p.on_cause[WR_C_LATE] = WR_A_FLAG;
	p.on_verdict[WR_V_ERROR] = WR_A_BLOCK;
	return p;
}

static void rows(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		struct wr_policy policy = policy_of(row[i].how);
		struct wr_match m[3] = { 0 };
		struct wr_decision d;
		struct wr_evidence ev = {
			.rs = (const struct wr_ruleset *)&policy, /* any: the stubs do not look */
			.policy = &policy,
			.match = m,
			.causes = row[i].causes,
			.canary = row[i].how & IN ? 9999 : 10000,
			.now_s = NOW,
			.complete = !(row[i].how & PART),
			.observe = (row[i].how & OBSERVE) != 0,
		};
		unsigned applied = 0;

		while (ev.nmatches < 3 && row[i].item[ev.nmatches] != 0) {
			uint32_t n = row[i].item[ev.nmatches] - 1;

			m[ev.nmatches].kind = n >= LISTS ? WR_MATCH_EXACT : WR_MATCH_PATTERN;
			m[ev.nmatches++].item = n >= LISTS ? n - LISTS : n;
		}
		wr_verdict_decide(&ev, &d);
		for (unsigned k = 0; k < d.nmatches; k++)
			applied += d.match[k].applied;
		IS(d.verdict, row[i].verdict, "%s: verdict", row[i].name);
		IS(d.cause, row[i].cause, "%s: cause", row[i].name);
		IS(d.action, row[i].action, "%s: action", row[i].name);
		IS(d.would, row[i].would, "%s: would", row[i].name);
		IS(applied, row[i].applied, "%s: matches that acted", row[i].name);
	}
}

/* More matches than the record holds: the one that acts is among those kept. */
static void full(void)
{
	struct wr_policy policy = policy_of(0);
	struct wr_match m[WR_RECORD_MATCHES + 2] = { 0 };
	struct wr_decision d;
	struct wr_evidence ev = { .rs = (const struct wr_ruleset *)&policy,
		                  .policy = &policy,
		                  .match = m,
		                  .nmatches = WR_RECORD_MATCHES + 2,
		                  .now_s = NOW,
		                  .complete = 1 };
	bool kept = false;

	for (unsigned i = 0; i < ev.nmatches; i++)
		m[i].item = R_SHADOW;
	m[WR_RECORD_MATCHES + 1].item = R_BLOCK;
	wr_verdict_decide(&ev, &d);
	for (unsigned i = 0; i < d.nmatches; i++)
		kept |= d.match[i].applied != 0;
	IS(d.nmatches, WR_RECORD_MATCHES, "a full record holds as many as fit");
	OK(d.matches_cut, "it says that it was cut");
	OK(kept, "the match that acts is kept");
	ev.nmatches = WR_RECORD_MATCHES;
	wr_verdict_decide(&ev, &d);
	OK(!d.matches_cut, "as many as fit are not cut");
}

/* The moment before a bundle ends is still its own. */
static void last_moment(void)
{
	struct wr_policy policy = policy_of(FADE);
	struct wr_match m = { .item = R_EXPIRED };
	struct wr_decision d;
	struct wr_evidence ev = { .rs = (const struct wr_ruleset *)&policy,
		                  .policy = &policy,
		                  .match = &m,
		                  .nmatches = 1,
		                  .now_s = NOW - 1,
		                  .complete = 1 };

	wr_verdict_decide(&ev, &d);
	IS(d.action, WR_A_BLOCK, "a second before its end it blocks");
	IS(d.match[0].mode, WR_ITEM_ENFORCE, "by its own mode");
	ev.now_s = NOW;
	wr_verdict_decide(&ev, &d);
	IS(d.match[0].mode, WR_ITEM_SHADOW, "at its end the record says shadow");
}

static void now(void)
{
	static const struct {
		const char *name;
		uint32_t rule, how;
		bool blocks;
	} at[] = {
		{ "a blocking rule blocks at once", R_BLOCK, 0, true },
		{ "not where it is observed only", R_BLOCK, OBSERVE, false },
		{ "not under a ceiling of flag", R_BLOCK, CEILING, false },
		{ "a flagging rule does not", R_FLAG, 0, false },
		{ "a shadow rule does not", R_SHADOW, 0, false },
		{ "a helper does not", R_HELPER, 0, false },
		{ "a canary rule does inside", R_CANARY, IN, true },
		{ "and not outside", R_CANARY, 0, false },
		{ "an expired bundle still does", R_EXPIRED, 0, true },
		{ "not where policy fades it", R_EXPIRED, FADE, false },
	};

	for (size_t i = 0; i < WR_COUNT_OF(at); i++) {
		struct wr_policy p = policy_of(at[i].how);
		struct wr_evidence ev = { .rs = (const struct wr_ruleset *)&p,
			                  .policy = &p,
			                  .canary = at[i].how & IN ? 9999 : 10000,
			                  .now_s = NOW,
			                  .observe = (at[i].how & OBSERVE) != 0 };

		OK(wr_verdict_blocks_now(&ev, at[i].rule) == at[i].blocks, "%s", at[i].name);
	}
}

/* A known good view settles itself and what is made of it; never the whole around it. */
static void views(void)
{
	static const uint8_t settles[WR_VIEW_COUNT] = {
		[WR_VIEW_RAW] = 0xf,
		[WR_VIEW_DECODED] = 1u << WR_VIEW_DECODED | 1u << WR_VIEW_DECODED_TRIMMED,
		[WR_VIEW_TRIMMED] = 1u << WR_VIEW_TRIMMED,
		[WR_VIEW_DECODED_TRIMMED] = 1u << WR_VIEW_DECODED_TRIMMED,
	};
	struct wr_policy policy = policy_of(0);

	for (unsigned good = 0; good < WR_VIEW_COUNT; good++)
		for (unsigned bad = 0; bad < WR_VIEW_COUNT; bad++) {
			struct wr_match m[2] = {
				{ .item = L_DENY, .kind = WR_MATCH_EXACT, .view = (uint8_t)bad },
				{ .item = L_ALLOW_SAME,
				  .kind = WR_MATCH_EXACT,
				  .view = (uint8_t)good },
			};
			struct wr_evidence ev = { .rs = (const struct wr_ruleset *)&policy,
				                  .policy = &policy,
				                  .match = m,
				                  .nmatches = 2,
				                  .now_s = NOW,
				                  .complete = 1 };
			struct wr_decision d;

			wr_verdict_decide(&ev, &d);
			IS(d.action, settles[good] & 1u << bad ? WR_A_PASS : WR_A_BLOCK,
			   "view %u known good, view %u listed", good, bad);
		}
}

/* What policy let through by its reason was not blocked; what it did not, was. */
static void framing(void)
{
	static const struct {
		uint8_t on, action;
		const char *name;
	} on[] = { { WR_ON_BLOCK, WR_A_BLOCK, "block" },
		   { WR_ON_DROP, WR_A_BLOCK, "drop" },
		   { WR_ON_PASS, WR_A_PASS, "pass" },
		   { WR_ON_INSPECT, WR_A_FLAG, "observe" } };

	for (size_t i = 0; i < WR_COUNT_OF(on); i++) {
		struct wr_policy policy = policy_of(0);
		struct wr_evidence ev = { .policy = &policy,
			                  .causes = CAUSE(FRAMING),
			                  .reason = WR_R_NOT_HTTP };
		struct wr_decision d;

		policy.on_reason[WR_R_NOT_HTTP] = on[i].on;
		wr_verdict_decide(&ev, &d);
		OK(d.verdict == WR_V_INCOMPLETE && d.cause == WR_C_FRAMING &&
		           d.action == on[i].action && d.would == on[i].action,
		   "framing, its reason's policy is %s", on[i].name);
		ev.causes |= CAUSE(GAP);
		wr_verdict_decide(&ev, &d);
		IS(d.action, WR_A_BLOCK, "%s excuses no other cause", on[i].name);
	}
}

int main(void)
{
	rows();
	views();
	full();
	last_moment();
	now();
	framing();
	return tap_done();
}
