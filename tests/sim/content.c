/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * content - what an object is: its type against its name, second formats, bytes behind its end.
 *
 * usage: content WEIR-COMPILE BUNDLE
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/desk.h"
#include "tap.h"

#define PNG 3057u /* bytes of the listed picture */

static uint8_t png[PNG + 100];

/* The structure holds; the pixels are none. Its SHA-256 is on the list. */
static void draw(void)
{
	uint8_t *p = png;

	memcpy(p, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0crc1", 33);
	memcpy(p + 33,
	       "\0\0\x0b\xb8"
	       "IDAT",
	       8);
	for (uint32_t i = 0; i < 3000; i++)
		p[41 + i] = (uint8_t)('a' + i * 11 % 26);
	memcpy(p + 3041, "crc2\0\0\0\0IEND", 12);
	memcpy(p + 3053, "crc3", 4);
}

struct view {
	uint8_t view, coding, has;
	uint64_t bytes, hashed;
};

/* The oldest record with its views, taken off the ring. */
static struct wr_record record_of(struct view *v)
{
	struct wr_record r = { .verdict = 0xff };
	const void *p;
	uint32_t n, tag;

	memset(v, 0, 4 * sizeof(*v));
	if (wr_ring_peek(records, RING, &p, &n, &tag) != 1)
		return r;
	memcpy(&r, p, sizeof(r));
	for (uint32_t i = 0; i < r.nviews && i < 4; i++) {
		struct wr_record_view rv;

		memcpy(&rv, (const uint8_t *)p + sizeof(r) + i * sizeof(rv), sizeof(rv));
		v[i] = (struct view){ rv.view, rv.coding, rv.digests.has, rv.bytes,
			              rv.coverage[WR_COV_HASHED] };
	}
	wr_ring_pop(records, n);
	return r;
}

static void put_body(const char *head, const void *body, uint32_t n, uint32_t cut)
{
	char text[512];

	snprintf(text, sizeof(text), "%sHost: store\r\nContent-Length: %u\r\n\r\n", head, n);
	connected();
	say(CLIENT, text);
	for (uint32_t at = 0; at < n;) {
		uint32_t k = wr_min_u32(n - at, cut);

		ack(STORE, sent[CLIENT]);
		send_at(CLIENT, sent[CLIENT], (const uint8_t *)body + at, k);
		at += k;
	}
}

/* A listed picture is blocked whatever is put behind it, however the bytes are cut. */
static void appended(void)
{
	static const struct {
		const char *name;
		uint32_t more, cut;
	} c[] = {
		{ "one byte in the same segment", 1, 1400 },
		{ "one byte, many segments", 1, 97 },
		{ "the end is a segment's end", 60, PNG / 3 },
		{ "a hundred bytes", 100, 1013 },
	};
	struct view v[4];
	struct wr_record r;

	for (uint32_t i = 0; i < WR_COUNT_OF(c); i++) {
		memset(png + PNG, 'x', 100);
		put_body("PUT /o HTTP/1.1\r\n", png, PNG + c[i].more, c[i].cut);
		OK(IN(answer(), " 403 "), "a listed picture and %s: blocked", c[i].name);
		later(300 * MS);
		r = record_of(v);
		OK(r.verdict == WR_V_MATCH && r.nmatches == 1 && r.nviews == 2, "and recorded");
		OK(v[0].view == WR_VIEW_RAW && v[0].bytes == PNG + c[i].more &&
		           v[0].hashed == v[0].bytes,
		   "the raw view is whole");
		OK(v[1].view == WR_VIEW_TRIMMED && v[1].bytes == PNG && v[1].hashed == PNG &&
		           v[1].has == 7,
		   "the trimmed one ends with the picture");
	}
	put_body("PUT /o HTTP/1.1\r\n", png, PNG, 1400);
	OK(IN(answer(), " 403 "), "the listed picture itself: blocked");
	later(300 * MS);
	r = record_of(v);
	OK(r.verdict == WR_V_MATCH && r.nviews == 1, "what ends with its format has no other view");
	png[100] ^= 1;
	put_body("PUT /o HTTP/1.1\r\n", png, PNG + 1, 1400);
	png[100] ^= 1;
	say(STORE, CREATED);
	r = record_of(v);
	OK(r.verdict == WR_V_SUSPECT && r.cause == WR_C_TRAILING_DATA && r.action == WR_A_FLAG,
	   "another picture and one byte: flagged");
	no_records();
}

/* Inside codings and forms it is the same. */
static void layers(void)
{
	static const char form[] =
	        "--b\r\nContent-Disposition: form-data; name=f; filename=a.png\r\n\r\n";
	static uint8_t body[8192];
	struct view v[4];
	struct wr_record r;
	uint32_t n = 0;

	/* gzip, one stored block (RFC 1951 3.2.4); the checksum is wrong, but comes last. */
	memcpy(body, "\x1f\x8b\x08\0\0\0\0\0\0\3\1", 11);
	body[11] = (PNG + 1) & 0xff, body[12] = (PNG + 1) >> 8;
	body[13] = (uint8_t)~body[11], body[14] = (uint8_t)~body[12];
	memcpy(body + 15, png, PNG + 1);
	memset(body + 15 + PNG + 1, 0, 8);
	put_body("PUT /o HTTP/1.1\r\nContent-Encoding: gzip\r\n", body, 15 + PNG + 1 + 8, 701);
	OK(IN(answer(), " 403 "), "inside gzip: blocked");
	later(300 * MS);
	r = record_of(v);
	OK(r.verdict == WR_V_MATCH && r.nviews == 3 && v[2].view == WR_VIEW_DECODED_TRIMMED &&
	           v[2].bytes == PNG && v[2].coding == WR_CODING_GZIP,
	   "by the decoded view's trimmed one");

	n = (uint32_t)strlen(form);
	memcpy(body, form, n);
	memcpy(body + n, png, PNG + 1);
	memcpy(body + n + PNG + 1, "\r\n--b--\r\n", 9);
	put_body("POST /f HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n", body,
	         n + PNG + 1 + 9, 1013);
	OK(IN(answer(), " 403 "), "a part of a form: blocked");
	later(300 * MS);
	r = record_of(v);
	OK(r.verdict == WR_V_MATCH && r.kind == WR_REC_PART && v[1].view == WR_VIEW_TRIMMED,
	   "by its trimmed view");
	no_records();
}

static void findings(void)
{
	static const struct {
		const char *name, *head, *body;
		uint32_t n, cut, cause;
	} c[] = {
#define B(s) s, sizeof(s) - 1
#define GIF  "GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\1x\0;"
		/* clang-format off */
		{ "a gif", "PUT /a.gif HTTP/1.1\r\nContent-Type: image/gif\r\n", B(GIF), 1, WR_C_NONE },
		{ "a .jpg that is a zip", "PUT /a.jpg HTTP/1.1\r\n", B("PK\3\4abcdefghijklmn"), 99, WR_C_TYPE_MISMATCH },
		{ "... its name escaped", "PUT /a.%6apg?x=1 HTTP/1.1\r\n", B("PK\3\4abcdefghijklmn"), 1, WR_C_TYPE_MISMATCH },
		{ "... its type declared", "POST /a HTTP/1.1\r\nContent-Type: image/png\r\n", B("MZabcdefghijklmn"), 3, WR_C_TYPE_MISMATCH },
		{ "a program's path is no name", "POST /a.jpg HTTP/1.1\r\n", B("PK\3\4abcdefghijklmn"), 99, WR_C_NONE },
		{ "an empty .jpg", "PUT /a.jpg HTTP/1.1\r\n", B(""), 99, WR_C_NONE },
		{ "a gif that is a script", "PUT /a HTTP/1.1\r\n", B("GIF89a/*\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\1x\0;*/=1"), 1, WR_C_POLYGLOT },
		{ "a gif and a zip", "PUT /a HTTP/1.1\r\n", B(GIF "PK\3\4abcd"), 2, WR_C_POLYGLOT },
		{ "a gif and a byte", "PUT /a HTTP/1.1\r\n", B(GIF "x"), 99, WR_C_TRAILING_DATA },
		{ "a gif that is cut off", "PUT /a HTTP/1.1\r\n", B("GIF89a\1\0\1\0"), 99, WR_C_MALFORMED },
		{ "a form's file that is a page", "POST /f HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n",
		  B("--b\r\nContent-Disposition: form-data; name=f; filename=\"me.jpeg\"\r\n\r\n<html><script>\r\n--b--\r\n"), 99, WR_C_TYPE_MISMATCH },
		/* clang-format on */
	};
	struct view v[4];

	for (uint32_t i = 0; i < WR_COUNT_OF(c); i++) {
		struct wr_record r;

		put_body(c[i].head, c[i].body, c[i].n, c[i].cut);
		say(STORE, CREATED);
		r = record_of(v);
		OK(r.cause == c[i].cause && r.committed == WR_COMMITTED_YES &&
		           r.verdict == (c[i].cause ? WR_V_SUSPECT : WR_V_CLEAN) &&
		           r.action == (c[i].cause ? WR_A_FLAG : WR_A_PASS),
		   "%s: verdict %u, cause %s", c[i].name, r.verdict,
		   wr_cause_name((enum wr_cause)r.cause));
	}
	conf.service[0].policy.on_cause[WR_C_TYPE_MISMATCH] = WR_A_BLOCK;
	put_body(c[1].head, c[1].body, c[1].n, 99);
	OK(IN(answer(), " 403 "), "policy suspect: block: a .jpg that is a zip is refused");
	later(300 * MS);
	conf.service[0].policy.on_cause[WR_C_TYPE_MISMATCH] = WR_A_FLAG;
	no_records();
}

int main(int argc, char **argv)
{
	if (argc != 3 || boot(argv[1], argv[2]) != 0)
		return 2;
	for (unsigned c = WR_C_TYPE_MISMATCH; c <= WR_C_PROVENANCE; c++)
		conf.service[0].policy.on_cause[c] = WR_A_FLAG;
	draw();
	appended();
	layers();
	findings();
	return tap_done();
}
