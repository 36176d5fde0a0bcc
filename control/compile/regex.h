/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regex - one rule of a bundle as one Hyperscan expression that means exactly the same.
 *
 * Every expression gets HS_FLAG_SINGLEMATCH: a rule counts once per object, and once it has hit the
 * engine need not look for it again. So nothing may be filtered after the engine: a position is
 * part of the expression or of its offset bounds, never a check on the first match that comes.
 *
 * literal     its bytes, escaped
 * hex         its bytes; ?? one byte, a? ?a half a byte, [n-m] and [n] gaps
 * pattern     as it stands
 * at end      (?:P)\z
 * at [from,to)  to: max_offset, which bounds the end of the match: exact, since it lies before
 * `to`. from: the engine knows ends only. Of one width w: min_offset = from + w, exact. Of several:
 * \A.{from,} before it, as far as WR_AT_PREFIX_MAX; beyond, refused.
 */
#ifndef WR_COMPILE_REGEX_H
#define WR_COMPILE_REGEX_H

#include <hs.h>

#include "bundle/bundle.h"

#define WR_AT_PREFIX_MAX 4096u
#define WR_HEX_GAP_MAX   32767u /* Hyperscan's limit of a bounded repeat */

struct wr_expr {
	char *text; /* owned */
	uint32_t flags;
	hs_expr_ext_t ext;
};

/* 0, -ENOMEM, or -EBADMSG and a line in e that names the rule's file and line. */
WR_MUST_USE int wr_expr_make(const struct wr_bundle_rule *r, struct wr_expr *out,
                             struct wr_bundle_errors *e);
void wr_expr_free(struct wr_expr *x);

#endif
