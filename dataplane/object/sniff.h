/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sniff - what an object is by its first bytes, whatever its name and its declared type say.
 *
 * takes    a prefix of the object
 * gives    a media type and its class; findings about two formats in one object
 * owns     nothing; constant tables
 * threads  any; pure functions
 * limits   WR_SNIFF_BYTES are looked at
 * fails    never: unknown bytes are application/octet-stream, text is text/plain
 * see      docs/concepts/framing.md, tests/unit/object/test_sniff.c
 */
#ifndef WR_OBJECT_SNIFF_H
#define WR_OBJECT_SNIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "handoff/str.h"

#define WR_SNIFF_BYTES 512u

enum wr_type_class {
	WR_TYPE_UNKNOWN,
	WR_TYPE_TEXT,
	WR_TYPE_IMAGE,
	WR_TYPE_VIDEO, /* and audio: containers carry both */
	WR_TYPE_DOCUMENT,
	WR_TYPE_ARCHIVE,
	WR_TYPE_EXECUTABLE,
	WR_TYPE_ACTIVE, /* what a browser or a server runs: HTML, SVG, PHP, scripts */
};

struct wr_type {
	const char *media; /* constant */
	uint8_t cls;       /* enum wr_type_class */
};

/*
 * NULL: more bytes could change the answer (n below WR_SNIFF_BYTES and the object has not ended).
 * Once it answers, it answers the same for every longer prefix.
 */
const struct wr_type *wr_sniff(const uint8_t *p, uint32_t n, bool ended);

/* True when a media file's first bytes are also the beginning of something else: %PDF-, markup or
 * PHP before WR_SNIFF_BYTES, a GIF that a script engine reads as a comment or an assignment. */
bool wr_sniff_polyglot(const struct wr_type *t, const uint8_t *p, uint32_t n);

/* True when the declared type or the name's extension promises another class of content: an image
 * that is markup, a program, an archive, or nothing known. What promises nothing (octet-stream, no
 * name) is fine. */
bool wr_type_mismatch(const struct wr_type *t, struct wr_str declared, struct wr_str filename);

#endif
