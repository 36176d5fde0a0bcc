/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parse - what a resumable parser answers (house rule: never asks for a byte twice).
 */
#ifndef WR_BASE_PARSE_H
#define WR_BASE_PARSE_H

enum wr_parse {
	WR_PARSE_MORE, /* everything offered was consumed, the thing is not complete */
	WR_PARSE_DONE, /* complete; the cursor stands behind it */
	WR_PARSE_BAD,  /* refused; the state is broken until it is reset */
};

#endif
