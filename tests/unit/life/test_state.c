/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every state x event pair: what is not written down here is refused.
 */
#include <errno.h>
#include <string.h>

#include "life/life.h"
#include "tap.h"

static const struct {
	enum wr_life_state from;
	enum wr_life_event on;
	enum wr_life_state to;
} legal[] = {
	{ WR_LIFE_RECEIVED, WR_LIFE_ON_SIG_OK, WR_LIFE_VERIFIED },
	{ WR_LIFE_RECEIVED, WR_LIFE_ON_FAIL, WR_LIFE_REJECTED },
	{ WR_LIFE_VERIFIED, WR_LIFE_ON_COMPILE_OK, WR_LIFE_COMPILED },
	{ WR_LIFE_VERIFIED, WR_LIFE_ON_FAIL, WR_LIFE_REJECTED },
	{ WR_LIFE_COMPILED, WR_LIFE_ON_STAGE_ACK, WR_LIFE_STAGED },
	{ WR_LIFE_COMPILED, WR_LIFE_ON_SUPERSEDED, WR_LIFE_RETIRED },
	{ WR_LIFE_COMPILED, WR_LIFE_ON_FAIL, WR_LIFE_REJECTED },
	{ WR_LIFE_STAGED, WR_LIFE_ON_COMMIT_ACK, WR_LIFE_ACTIVE },
	{ WR_LIFE_STAGED, WR_LIFE_ON_SUPERSEDED, WR_LIFE_RETIRED },
	{ WR_LIFE_STAGED, WR_LIFE_ON_FAIL, WR_LIFE_REJECTED },
	{ WR_LIFE_ACTIVE, WR_LIFE_ON_SUPERSEDED, WR_LIFE_DRAINING },
	{ WR_LIFE_DRAINING, WR_LIFE_ON_DRAINED, WR_LIFE_RETIRED },
	{ WR_LIFE_DRAINING, WR_LIFE_ON_REVIVED, WR_LIFE_VERIFIED },
	{ WR_LIFE_RETIRED, WR_LIFE_ON_REVIVED, WR_LIFE_VERIFIED },
};

int main(void)
{
	for (unsigned s = 0; s < WR_LIFE_STATE_COUNT; s++)
		for (unsigned e = 0; e < WR_LIFE_EVENT_COUNT; e++) {
			int want = -EPROTO;

			for (size_t i = 0; i < WR_COUNT_OF(legal); i++)
				if (legal[i].from == s && legal[i].on == e)
					want = (int)legal[i].to;
			IS(wr_life_next((enum wr_life_state)s, (enum wr_life_event)e), want,
			   "%s x %u", wr_life_state_name((enum wr_life_state)s), e);
		}
	OK(strcmp(wr_life_state_name(WR_LIFE_STATE_COUNT), "?") == 0,
	   "no name beyond the last state");
	return tap_done();
}
