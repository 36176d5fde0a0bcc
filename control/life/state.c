/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "life/life.h"

#define S(x) WR_LIFE_##x
#define E(x) WR_LIFE_ON_##x

/* What is not here is illegal. A rejected bundle stays rejected: a new push is a new life. */
static const struct {
	enum wr_life_state from;
	enum wr_life_event on;
	enum wr_life_state to;
} step[] = {
	/* clang-format off */
	{ S(RECEIVED), E(SIG_OK),     S(VERIFIED) },
	{ S(RECEIVED), E(FAIL),       S(REJECTED) },
	{ S(VERIFIED), E(COMPILE_OK), S(COMPILED) },
	{ S(VERIFIED), E(FAIL),       S(REJECTED) },
	{ S(COMPILED), E(STAGE_ACK),  S(STAGED)   },
	{ S(COMPILED), E(SUPERSEDED), S(RETIRED)  }, /* it waited for a dataplane and never was in force */
	{ S(COMPILED), E(FAIL),       S(REJECTED) },
	{ S(STAGED),   E(COMMIT_ACK), S(ACTIVE)   },
	{ S(STAGED),   E(SUPERSEDED), S(RETIRED)  }, /* it waited for a drain, and a newer one came */
	{ S(STAGED),   E(FAIL),       S(REJECTED) },
	{ S(ACTIVE),   E(SUPERSEDED), S(DRAINING) },
	{ S(DRAINING), E(DRAINED),    S(RETIRED)  },
	{ S(DRAINING), E(REVIVED),    S(VERIFIED) },
	{ S(RETIRED),  E(REVIVED),    S(VERIFIED) },
	/* clang-format on */
};

int wr_life_next(enum wr_life_state s, enum wr_life_event e)
{
	for (size_t i = 0; i < WR_COUNT_OF(step); i++)
		if (step[i].from == s && step[i].on == e)
			return (int)step[i].to;
	return -EPROTO;
}

const char *wr_life_state_name(enum wr_life_state s)
{
	static const char *const name[] = {
#define X(e, t) [WR_LIFE_##e] = t,
		WR_LIFE_STATES(X)
#undef X
	};

	return (unsigned)s < WR_LIFE_STATE_COUNT ? name[s] : "?";
}
