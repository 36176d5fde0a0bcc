/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json - a JSON tokenizer that is fed in pieces of any size. Private to this room.
 *
 * takes    bytes; a piece may end anywhere, also inside a \u escape or a number
 * gives    events; strings are unescaped to UTF-8, and lent for the call
 * owns     one buffer of at most WR_JSON_STRING_MAX bytes
 * limits   WR_JSON_DEPTH levels; a string longer than WR_JSON_STRING_MAX is cut and `cut` is set
 * fails    -EBADMSG with `why` and `line`; -ENOMEM; or what the callback returned
 *
 * Why not a library: a hash list of several GB is one JSON object, and the libraries at hand either
 * build the whole tree or pull from a callback, which cannot stop in the middle of a token.
 */
#ifndef WR_BUNDLE_JSON_H
#define WR_BUNDLE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

#define WR_JSON_DEPTH      64u
#define WR_JSON_STRING_MAX 1048576u

enum wr_json_event {
	WR_JSON_OBJECT,
	WR_JSON_OBJECT_END,
	WR_JSON_ARRAY,
	WR_JSON_ARRAY_END,
	WR_JSON_KEY,
	WR_JSON_STRING,
	WR_JSON_NUMBER,
	WR_JSON_TRUE,
	WR_JSON_FALSE,
	WR_JSON_NULL
};

struct wr_json {
	int (*event)(void *ctx, enum wr_json_event ev, const char *s, size_t n);
	void *ctx;
	char *buf;
	size_t len, room;
	uint64_t line;
	uint32_t depth, code, surrogate;
	uint8_t state, digits, word, cut, key, bom;
	uint8_t array[WR_JSON_DEPTH]; /* 1 = the level is an array */
	const char *why;
};

void wr_json_init(struct wr_json *j, int (*event)(void *, enum wr_json_event, const char *, size_t),
                  void *ctx);
WR_MUST_USE int wr_json_feed(struct wr_json *j, const uint8_t *p, size_t n);
/* No more bytes: 0 when exactly one value was complete. */
WR_MUST_USE int wr_json_end(struct wr_json *j);
void wr_json_free(struct wr_json *j);

#endif
