/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trim - finds where a JPEG, PNG, GIF or WebP ends, as its bytes pass.
 *
 * One byte behind the end defeats a digest list, so digests are also taken up to the format's end.
 * What comes behind it is looked at: nothing, padding, or something of its own.
 *
 * takes    the object's bytes in order, in any cuts
 * gives    how many of them belong to the format; findings when the object has ended
 * owns     struct wr_trim, in the caller's slot
 * threads  lcore-local
 * limits   none: nothing is kept but a few header bytes and the first WR_TRIM_TAIL behind the end
 * fails    WR_TRIM_BROKEN: the structure does not hold: there is no trimmed view
 * see      docs/concepts/framing.md, tests/unit/object/test_trim.c
 */
#ifndef WR_OBJECT_TRIM_H
#define WR_OBJECT_TRIM_H

#include <stdint.h>

#include "object/sniff.h"

#define WR_TRIM_TAIL 64u

enum wr_trim_state {
	WR_TRIM_NONE,   /* not a format that is followed */
	WR_TRIM_INSIDE, /* the end has not come */
	WR_TRIM_ENDED,
	WR_TRIM_BROKEN,
};

enum wr_trim_finding {
	WR_TRIM_CLEAN,     /* nothing behind the end but zeros and white space */
	WR_TRIM_TRAILING,  /* other bytes behind the end */
	WR_TRIM_POLYGLOT,  /* an archive, a program, a document or active content behind the end */
	WR_TRIM_TRUNCATED, /* the end never came, or the structure does not hold */
};

struct wr_trim {
	uint64_t end;  /* valid when ENDED: bytes of the object that belong to the format */
	uint64_t pos;  /* bytes seen */
	uint64_t skip; /* to pass over before the next header */
	uint8_t state, format, step, want, have;
	uint8_t head[16];
	uint8_t ntail, tail_started;
	uint8_t tail[WR_TRIM_TAIL];
};

/* Type as sniffed; another one than the four: state NONE. */
void wr_trim_begin(struct wr_trim *t, const struct wr_type *type);
/* Returns how many of the n bytes, from the first on, belong to the format. */
uint32_t wr_trim_feed(struct wr_trim *t, const uint8_t *p, uint32_t n);
/* At the end of the object. */
enum wr_trim_finding wr_trim_finding(const struct wr_trim *t);

#endif
