/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the words of weir.yaml to one action for each verdict, cause and reason.
 *
 * A reason with a fixed default (INSPECT, WIRE, DROP) and no policy key keeps it. A reason whose
 * key maps to actions on uploads (incomplete, error: block, flag, pass) ends the connection only
 * where the word is block; flag and pass go on inspecting, and the verdict's cause decides the
 * upload.
 */
#include "config/schema.h"

#include <string.h>

static const char *word_of(const struct wr_node *policy, const char *key, const char *name)
{
	const struct wr_node *n = wr_node_get(policy, key), *over;

	if (n == NULL || n->kind == WR_NODE_SCALAR)
		return n != NULL ? n->value : NULL;
	over = wr_node_get(n, name);
	if (over == NULL)
		over = wr_node_get(n, "default");
	return over != NULL ? over->value : NULL;
}

struct source {
	const struct wr_node *base, *over;
};

/* A service's key replaces the global one as a whole. Both trees are checked: never NULL. */
static const char *word(const struct source *s, const char *key, const char *name)
{
	const char *w = s->over != NULL ? word_of(s->over, key, name) : NULL;

	if (w == NULL)
		w = word_of(s->base, key, name);
	WR_ASSERT(w != NULL);
	return w;
}

static uint8_t action(const char *w)
{
	if (strcmp(w, "block") == 0)
		return WR_A_BLOCK;
	/* `observe` lets the bytes go on and says so: that is a flag. */
	return strcmp(w, "flag") == 0 || strcmp(w, "observe") == 0 ? WR_A_FLAG : WR_A_PASS;
}

static uint8_t death(const char *w)
{
	return strcmp(w, "open") == 0 ? WR_DEATH_OPEN : WR_DEATH_CLOSED;
}

static uint8_t on_word(const char *key, const char *w)
{
	bool upload = strcmp(key, "incomplete") == 0 || strcmp(key, "error") == 0 ||
	              strcmp(key, "suspect") == 0 || strcmp(key, "skipped") == 0;

	if (strcmp(w, "block") == 0)
		return WR_ON_BLOCK;
	if (strcmp(w, "drop") == 0)
		return WR_ON_DROP;
	if (strcmp(w, "reassemble") == 0)
		return WR_ON_REASSEMBLE;
	if (strcmp(key, "on_records_lost") == 0)
		return strcmp(w, "open") == 0 ? WR_ON_INSPECT : WR_ON_BLOCK;
	if (strcmp(key, "on_overload") == 0)
		return strcmp(w, "open") == 0 ? WR_ON_PASS : WR_ON_BLOCK;
	return strcmp(w, "pass") == 0 && !upload ? WR_ON_PASS : WR_ON_INSPECT;
}

static uint8_t on_reason(const struct source *s, enum wr_reason r)
{
	const struct wr_reason_info *i = wr_reason_info(r);

	if (strcmp(i->policy, "none") != 0)
		return on_word(i->policy, word(s, i->policy, i->name));
	switch (i->def) {
	case WR_RD_WIRE: return WR_ON_PASS;
	case WR_RD_DROP: return WR_ON_DROP;
	default: return WR_ON_INSPECT;
	}
}

void wr_policy_resolve(const struct wr_node *base, const struct wr_node *over,
                       struct wr_policy *out)
{
	struct source s = { base, over };

	memset(out, 0, sizeof(*out));
	out->ceiling = action(word(&s, "match", "default"));
	out->on_verdict[WR_V_CLEAN] = WR_A_PASS;
	out->on_verdict[WR_V_MATCH] = out->ceiling;
	out->on_verdict[WR_V_SUSPECT] = action(word(&s, "suspect", "default"));
	out->on_verdict[WR_V_INCOMPLETE] = action(word(&s, "incomplete", "default"));
	out->on_verdict[WR_V_ERROR] = action(word(&s, "error", "default"));
	out->on_verdict[WR_V_SKIPPED] = action(word(&s, "skipped", "default"));
	out->on_cause[WR_C_NONE] = WR_A_PASS;
	for (unsigned c = 1; c < WR_C_COUNT; c++)
		out->on_cause[c] = action(word(&s, wr_cause_policy((enum wr_cause)c),
		                               wr_cause_name((enum wr_cause)c)));
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		out->on_reason[r] = on_reason(&s, (enum wr_reason)r);
	out->on_overload = death(word(&s, "on_overload", "default"));
	out->on_records_lost = death(word(&s, "on_records_lost", "default"));
	out->bundle_expired = strcmp(word(&s, "bundle_expired", "default"), "shadow") == 0;
}

const char *wr_config_on_name(uint8_t on)
{
	static const char *const name[] = { [WR_ON_INSPECT] = "inspect",
		                            [WR_ON_PASS] = "pass",
		                            [WR_ON_BLOCK] = "block",
		                            [WR_ON_DROP] = "drop",
		                            [WR_ON_REASSEMBLE] = "reassemble" };

	return on < WR_COUNT_OF(name) ? name[on] : "?";
}
