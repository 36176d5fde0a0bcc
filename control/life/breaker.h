/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * breaker - notices a rule or list that suddenly blocks far too much.
 *
 * takes    one call for each block, with the item that asked for it
 * gives    true once, when the item leaves its budget; control then lowers it to shadow
 * owns     a table of items
 * threads  one caller at a time
 * limits   WR_BREAKER_ITEMS items; what does not fit is not watched (wr_breaker_lost)
 *
 * Two budgets a minute: an absolute one, and one relative to what the item has done before. The
 * second needs some minutes of experience; a new rule has only the first. One bad rule then costs
 * at most a minute's budget of wrongly blocked uploads, not a night of them.
 */
#ifndef WR_LIFE_BREAKER_H
#define WR_LIFE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

#define WR_BREAKER_ITEMS 16384u

struct wr_breaker_budget { /* `breaker` of weir.yaml, where the defaults are */
	uint32_t most;     /* blocks a minute that are always too many; 0 = no such budget */
	uint32_t factor;   /* times the learned rate that is too much; 0 = no such budget */
	uint32_t floor;    /* blocks a minute that are never too many by the factor */
	uint32_t learn;    /* minutes of experience before the factor counts */
};

struct wr_breaker;

WR_MUST_USE struct wr_breaker *wr_breaker_new(const struct wr_breaker_budget *budget);
void wr_breaker_free(struct wr_breaker *b);
/* Other budgets from now on; what was learned stays. */
void wr_breaker_tune(struct wr_breaker *b, const struct wr_breaker_budget *budget);
/* One block by an item ("rule:ID") of a bundle at now (unix seconds). */
bool wr_breaker_hit(struct wr_breaker *b, const char *bundle, const char *item, uint64_t now);
/* The item may be watched again: it was raised, or a new version is in force. */
void wr_breaker_close(struct wr_breaker *b, const char *bundle, const char *item);
uint64_t wr_breaker_lost(const struct wr_breaker *b);

#endif
