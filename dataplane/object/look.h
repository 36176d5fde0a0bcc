/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * look - what the bytes of one view say of themselves: their type, a second format in the first
 * bytes, where the format ends and what lies behind that.
 *
 * takes    the view's bytes in order, in any cuts; its declared type and name at the end
 * gives    the type, once; how many bytes belong to the format; findings as causes of `suspect`
 * owns     struct wr_look and the prefix beside it, in the caller's slot
 * threads  lcore-local
 * limits   WR_SNIFF_BYTES are kept, and only when the first piece is shorter
 * fails    never: what cannot be told gives no type and no finding
 * see      docs/concepts/object.md, tests/unit/object/test_look.c
 */
#ifndef WR_OBJECT_LOOK_H
#define WR_OBJECT_LOOK_H

#include "object/sniff.h"
#include "object/trim.h"

struct wr_look { /* all zero: nothing was seen */
	const struct wr_type *type;
	struct wr_trim trim;
	uint16_t nprefix;         /* bytes kept in the prefix */
	uint8_t begun, told;      /* told: the type is known, or never will be */
	uint8_t looked, polyglot; /* looked: at all of the first bytes, for a second format */
};

/*
 * prefix: WR_SNIFF_BYTES of the caller's, the same in each call. Returns how many of the n bytes
 * belong to the format: less than n only where its end was reached before them.
 */
uint32_t wr_look_feed(struct wr_look *k, uint8_t *prefix, const uint8_t *p, uint32_t n);
/* The view has ended. */
void wr_look_end(struct wr_look *k, const uint8_t *prefix);
/* After the end: 1 << enum wr_cause of what is wrong with the format itself. whole: every byte
 * came. */
uint32_t wr_look_findings(const struct wr_look *k, bool whole);
/* The last part of a request's target, percent-decoded: the name that the object will have. */
struct wr_str wr_look_name(struct wr_str target, char *to, uint32_t size);

#endif
