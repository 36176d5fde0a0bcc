/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * decision - what verdict/ answers for one object; the one thing that travels back to hold/.
 */
#ifndef WR_HANDOFF_DECISION_H
#define WR_HANDOFF_DECISION_H

#include <stdint.h>

#include "abi/record.h"
#include "abi/verdict.h"

/* One match with its policy applied. Indices are into the object's ruleset. */
struct wr_match {
	uint32_t item;                  /* rule or list index */
	uint32_t entry;                 /* entry inside the list; lists only */
	uint64_t offset;                /* patterns: end offset in the view */
	uint8_t kind, algo, view, mode; /* enum wr_match_kind, wr_algo, wr_view, wr_item_mode */
	uint8_t action, applied, distance, transform;
};

struct wr_decision {
	uint8_t verdict, cause, action, would; /* enums of abi/verdict.h */
	uint8_t nmatches, matches_cut, reason, pad;
	struct wr_match match[WR_RECORD_MATCHES];
};

#endif
