/* SPDX-License-Identifier: BSD-3-Clause */
/* Type, second format, end and name of one view, wherever its bytes are cut. */
#include <stdlib.h>
#include <string.h>

#include "abi/verdict.h"
#include "base/base.h"
#include "object/look.h"
#include "tap.h"

#define S(lit) (lit), sizeof(lit) - 1

#define GIF   "GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\1x\0;" /* 28 bytes */
#define JSGIF "GIF89a/*\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\1x\0;*/=1;alert(1)"
#define WEBP4 "RIFF\4\0\0\0WEBP" /* the shortest: its type and its end are told by one byte */
#define F(c)  (1u << WR_C_##c)

static const struct {
	const char *name, *in;
	size_t n;
	const char *type;
	uint32_t inside, findings;
} row[] = {
	/* clang-format off */
	{ "a gif", S(GIF), "image/gif", 28, 0 },
	{ "a gif and a byte", S(GIF "x"), "image/gif", 28, F(TRAILING_DATA) },
	{ "a gif and zeros", S(GIF "\0\0\0"), "image/gif", 28, 0 },
	{ "a gif and a zip", S(GIF "PK\3\4abcd"), "image/gif", 28, F(POLYGLOT) },
	{ "a gif that scripts read", S(JSGIF), "image/gif", 28, F(POLYGLOT) | F(TRAILING_DATA) },
	{ "a gif without end", S("GIF89a\1\0\1\0\0\0\0\x2c"), "image/gif", 14, F(MALFORMED) },
	{ "the shortest webp", S(WEBP4), "image/webp", 12, 0 },
	{ "the shortest webp and a byte", S(WEBP4 "x"), "image/webp", 12, F(TRAILING_DATA) },
	{ "png with a script in its text", S("\x89PNG\r\n\x1a\n\0\0\0\x0atEXtk\0<script>cccc\0\0\0\0IENDcccc"), "image/png", 42, F(POLYGLOT) },
	{ "jpeg", S("\xff\xd8\xff\xda\0\2e\xff\xd9"), "image/jpeg", 9, 0 },
	{ "a text", S("hello"), "text/plain", 5, 0 },
	{ "a page that is a document too", S("<html><body>%PDF-1.4"), "text/html", 20, F(POLYGLOT) },
	{ "one byte", S("G"), "text/plain", 1, 0 },
	{ "nothing", S(""), NULL, 0, 0 },
	/* clang-format on */
};

static void look_at(const uint8_t *p, size_t n, size_t cut, struct wr_look *k, uint64_t *inside)
{
	uint8_t prefix[WR_SNIFF_BYTES];

	memset(prefix, 'z', sizeof(prefix)); /* as the last object left it */
	memset(k, 0, sizeof(*k));
	*inside = 0;
	for (size_t i = 0; i < n;) {
		size_t m = cut == 0 || cut > n - i ? n - i : cut;
		uint8_t *copy = malloc(m);

		WR_ASSERT(copy != NULL);
		memcpy(copy, p + i, m);
		*inside += wr_look_feed(k, prefix, copy, (uint32_t)m);
		free(copy);
		i += m;
	}
	wr_look_end(k, prefix);
}

static void rows(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++)
		for (size_t cut = 0; cut < 14; cut++) {
			struct wr_look k;
			uint64_t in;

			look_at((const uint8_t *)row[i].in, row[i].n, cut, &k, &in);
			OK((row[i].type == NULL
			            ? k.type == NULL
			            : k.type && strcmp(k.type->media, row[i].type) == 0) &&
			           in == row[i].inside && k.told &&
			           wr_look_findings(&k, true) == row[i].findings,
			   "%s (cut %zu): %s, %lu bytes, findings %x", row[i].name, cut,
			   k.type ? k.type->media : "-", (unsigned long)in,
			   wr_look_findings(&k, true));
		}
}

/* Where the first bytes end: what lies there must be seen whether they were kept or not. */
static void edges(void)
{
	static uint8_t b[2048];

	for (uint32_t at = 500; at < 520; at++)
		for (size_t cut = 1; cut < 1100; cut += 73) {
			struct wr_look k;
			uint64_t in;
			bool want = at + 7 <= WR_SNIFF_BYTES;

			memset(b, ' ', sizeof(b));
			memcpy(b, "\xff\xd8\xff\xfe\x07\x00", 6); /* a comment of 1790 bytes */
			memcpy(b + at, "<script", 7);
			memcpy(b + 6 + 1790, "\xff\xda\0\2e\xff\xd9", 7);
			look_at(b, 6 + 1790 + 7, cut, &k, &in);
			if (((wr_look_findings(&k, true) & F(POLYGLOT)) != 0) != want ||
			    in != 6 + 1790 + 7)
				OK(false, "a tag at %u, cut %zu", at, cut);
		}
	OK(true, "a tag is seen up to the last of the first bytes, in any cuts");
	{
		struct wr_look k;
		uint64_t in;

		look_at((const uint8_t *)S("GIF89a\1\0"), 0, &k, &in);
		IS(wr_look_findings(&k, false), 0,
		   "what Weir did not see whole is not called malformed");
	}
}

static void names(void)
{
	static const struct {
		const char *target, *want;
	} n[] = {
		{ "/b/photo.jpg", "photo.jpg" },
		{ "/b/photo.jpg?partNumber=1", "photo.jpg" },
		{ "/b/photo.jp%67", "photo.jpg" },
		{ "/b/100%", "100%" },
		{ "/b/100%4", "100%4" },
		{ "/b/%zz", "%zz" },
		{ "/", "" },
		{ "*", "*" },
		{ "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png", "aaaaaaaaaaaa.png" },
	};

	for (size_t i = 0; i < WR_COUNT_OF(n); i++) {
		char buf[16];
		struct wr_str s = wr_look_name(
		        (struct wr_str){ n[i].target, (uint32_t)strlen(n[i].target) }, buf, 16);

		OK(s.len == strlen(n[i].want) && memcmp(s.p, n[i].want, s.len) == 0, "name of %s",
		   n[i].target);
	}
	OK(wr_look_name((struct wr_str){ NULL, 0 }, NULL, 0).p == NULL, "no target, no name");
}

int main(void)
{
	rows();
	edges();
	names();
	return tap_done();
}
