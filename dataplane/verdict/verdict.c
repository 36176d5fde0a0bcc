/* SPDX-License-Identifier: BSD-3-Clause */
#include "verdict/verdict.h"

#include <string.h>

static uint8_t min_action(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

static uint8_t max_action(uint8_t a, uint8_t b)
{
	return a > b ? a : b;
}

static const struct wr_item *item_of(const struct wr_ruleset *rs, const struct wr_match *m)
{
	return m->kind == WR_MATCH_PATTERN ? wr_ruleset_rule(rs, m->item)
	                                   : wr_ruleset_list(rs, m->item);
}

/* Past its bundle's end an item is in shadow, where policy `bundle_expired` says so. */
static bool expired(const struct wr_evidence *ev, const struct wr_item *it)
{
	return ev->policy->bundle_expired != 0 && it->bundle_expires != 0 &&
	       ev->now_s >= it->bundle_expires;
}

/* Does the item act on this upload now, or only on paper? */
static bool enforced(const struct wr_evidence *ev, const struct wr_item *it)
{
	return !expired(ev, it) && (it->mode == WR_ITEM_ENFORCE ||
	                            (it->mode == WR_ITEM_CANARY && ev->canary < it->canary_ppm));
}

/*
 * Does what is known of one view settle another one? The raw bytes settle everything made of them,
 * the decoded ones what is a part of them. A known good picture in front of something else settles
 * nothing but itself.
 */
static bool covers(uint8_t known, uint8_t view)
{
	return known == view || known == WR_VIEW_RAW ||
	       (known == WR_VIEW_DECODED && view == WR_VIEW_DECODED_TRIMMED);
}

/* An allow list exempts from deny lists of the same owner, never from pattern rules. */
static bool exempt(const struct wr_evidence *ev, const struct wr_item *deny, uint8_t view,
                   bool only_enforced)
{
	for (uint32_t i = 0; i < ev->nmatches; i++) {
		const struct wr_item *it;

		if (ev->match[i].kind == WR_MATCH_PATTERN || !covers(ev->match[i].view, view))
			continue;
		it = item_of(ev->rs, &ev->match[i]);
		if (it->allow && it->owner == deny->owner && it->mode != WR_ITEM_OFF &&
		    (!only_enforced || enforced(ev, it)))
			return true;
	}
	return false;
}

static void keep(struct wr_decision *out, const struct wr_match *m)
{
	if (out->nmatches < WR_RECORD_MATCHES) {
		out->match[out->nmatches++] = *m;
		return;
	}
	out->matches_cut = 1;
	/* A match that acts pushes out one that does not: the record must show why. */
	for (uint32_t i = 0; m->applied && i < WR_RECORD_MATCHES; i++) {
		if (!out->match[i].applied) {
			out->match[i] = *m;
			return;
		}
	}
}

struct sums {
	uint8_t applied, would; /* strictest action of enforced matches; of all matches */
	bool any, any_would;
};

static void weigh_matches(const struct wr_evidence *ev, struct wr_decision *out, struct sums *s)
{
	for (uint32_t i = 0; i < ev->nmatches; i++) {
		struct wr_match m = ev->match[i];
		const struct wr_item *it = item_of(ev->rs, &m);

		if (it->mode == WR_ITEM_OFF || it->helper ||
		    (it->valid_until != 0 && ev->now_s >= it->valid_until))
			continue;
		m.mode = expired(ev, it) ? WR_ITEM_SHADOW : it->mode;
		m.action = it->action;
		m.applied = 0;
		if (!it->allow && !(m.kind != WR_MATCH_PATTERN && exempt(ev, it, m.view, false))) {
			s->would = max_action(s->would, it->action);
			s->any_would = true;
		}
		if (!it->allow && enforced(ev, it) &&
		    !(m.kind != WR_MATCH_PATTERN && exempt(ev, it, m.view, true))) {
			m.applied = 1;
			s->applied = max_action(s->applied, it->action);
			s->any = true;
		}
		keep(out, &m);
	}
}

/* A framing that policy lets through by its reason was not blocked, and the record must not say so.
 */
static uint8_t weigh_cause(const struct wr_evidence *ev, unsigned c)
{
	if (c == WR_C_FRAMING && ev->reason != WR_R_NONE) {
		if (ev->policy->on_reason[ev->reason] == WR_ON_PASS)
			return WR_A_PASS;
		if (ev->policy->on_reason[ev->reason] == WR_ON_INSPECT)
			return WR_A_FLAG;
	}
	return ev->policy->on_cause[c];
}

/* The strictest action among the causes of one kind, and the cause that brought it. */
static uint8_t weigh_causes(const struct wr_evidence *ev, bool suspect, enum wr_cause *which)
{
	uint8_t worst = WR_A_PASS;

	*which = WR_C_NONE;
	for (unsigned c = 1; c < WR_C_COUNT; c++) {
		bool s = c >= WR_C_TYPE_MISMATCH && c <= WR_C_PROVENANCE;

		if (!(ev->causes & 1u << c) || s != suspect || c == WR_C_ENGINE ||
		    c == WR_C_OBJECT_BAD)
			continue;
		if (*which == WR_C_NONE || weigh_cause(ev, c) > worst) {
			worst = max_action(worst, weigh_cause(ev, c));
			*which = (enum wr_cause)c;
		}
	}
	return worst;
}

void wr_verdict_decide(const struct wr_evidence *ev, struct wr_decision *out)
{
	struct sums s = { 0 };
	enum wr_cause inc, sus;
	uint8_t act_inc, act_sus, action = WR_A_PASS, would;

	memset(out, 0, sizeof(*out));
	out->matches_cut = ev->matches_cut;
	out->reason = ev->reason;
	if (ev->rs != NULL)
		weigh_matches(ev, out, &s);
	act_inc = weigh_causes(ev, false, &inc);
	act_sus = weigh_causes(ev, true, &sus);
	if (!ev->complete && inc == WR_C_NONE) {
		/* Whoever lost bytes should have said why; never clean in any case. */
		inc = WR_C_LIMIT;
		act_inc = ev->policy->on_cause[WR_C_LIMIT];
	}

	out->verdict = WR_V_CLEAN;
	if (s.any && s.applied == WR_A_BLOCK) {
		out->verdict = WR_V_MATCH;
	} else if (ev->causes & 1u << WR_C_OBJECT_BAD) {
		out->verdict = WR_V_MATCH;
		out->cause = WR_C_OBJECT_BAD;
		s.applied = WR_A_BLOCK;
	} else if (ev->causes & 1u << WR_C_ENGINE) {
		out->verdict = WR_V_ERROR;
		out->cause = WR_C_ENGINE;
	} else if (inc != WR_C_NONE) {
		out->verdict = WR_V_INCOMPLETE;
		out->cause = (uint8_t)inc;
	} else if (s.any || sus != WR_C_NONE) {
		out->verdict = WR_V_SUSPECT;
		out->cause = s.any ? WR_C_NONE : (uint8_t)sus;
	}

	/* Matches are capped by policy.match; causes have their own words in the policy. */
	action = min_action(s.applied, ev->policy->ceiling);
	if (inc != WR_C_NONE)
		action = max_action(action, act_inc);
	if (sus != WR_C_NONE)
		action = max_action(action, act_sus);
	if (ev->causes & 1u << WR_C_ENGINE)
		action = max_action(action, ev->policy->on_verdict[WR_V_ERROR]);
	would = max_action(action, min_action(s.would, ev->policy->ceiling));
	out->action = ev->observe ? min_action(action, WR_A_FLAG) : action;
	out->would = would;
}

bool wr_verdict_blocks_now(const struct wr_evidence *ev, uint32_t rule)
{
	const struct wr_item *it = wr_ruleset_rule(ev->rs, rule);

	return !ev->observe && !it->helper && enforced(ev, it) && it->action == WR_A_BLOCK &&
	       ev->policy->ceiling == WR_A_BLOCK;
}
