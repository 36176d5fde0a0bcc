/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a format ends, wherever the bytes are cut; what stands behind it. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "object/trim.h"
#include "tap.h"

#define S(lit) (lit), sizeof(lit) - 1

static const struct {
	const char *name, *in;
	size_t n;
	long end; /* -1: never */
	enum wr_trim_finding finding;
} row[] = {
	/* clang-format off */
	{ "jpeg", S("\xff\xd8\xff\xe0\0\4ab\xff\xda\0\3xde\xff\0f\xff\xd0g\xff\xd9"), 23, WR_TRIM_CLEAN },
	{ "jpeg, EOI bytes inside a segment", S("\xff\xd8\xff\xe1\0\6\xff\xd9\xff\xd9\xff\xda\0\2e\xff\xd9"), 17, WR_TRIM_CLEAN },
	{ "jpeg, fill bytes, two scans", S("\xff\xd8\xff\xff\xfe\0\2\xff\xda\0\2e\xff\xff\xc4\0\3x\xff\xda\0\2f\xff\xd9"), 25, WR_TRIM_CLEAN },
	{ "jpeg and zeros", S("\xff\xd8\xff\xda\0\2e\xff\xd9\0\0\n "), 9, WR_TRIM_CLEAN },
	{ "jpeg and text", S("\xff\xd8\xff\xda\0\2e\xff\xd9\0\0hello"), 9, WR_TRIM_TRAILING },
	{ "jpeg and zip", S("\xff\xd8\xff\xda\0\2e\xff\xd9PK\3\4abcdef"), 9, WR_TRIM_POLYGLOT },
	{ "jpeg and html", S("\xff\xd8\xff\xda\0\2e\xff\xd9\n<script>"), 9, WR_TRIM_POLYGLOT },
	{ "jpeg and jpeg", S("\xff\xd8\xff\xda\0\2e\xff\xd9\xff\xd8\xff\xe0"), 9, WR_TRIM_TRAILING },
	{ "jpeg without end", S("\xff\xd8\xff\xda\0\2e"), -1, WR_TRIM_TRUNCATED },
	{ "jpeg, length 1", S("\xff\xd8\xff\xe0\0\1\xff\xd9"), -1, WR_TRIM_TRUNCATED },
	{ "jpeg, no marker", S("\xff\xd8\xff\xe0\0\2xx\xff\xd9"), -1, WR_TRIM_TRUNCATED },
	{ "png", S("\x89PNG\r\n\x1a\n\0\0\0\1IHDRxccccccc" "\0\0\0\0IENDcccc"), -1, WR_TRIM_TRUNCATED },
	{ "png", S("\x89PNG\r\n\x1a\n\0\0\0\1IHDRxcccc" "\0\0\0\0IENDcccc"), 33, WR_TRIM_CLEAN },
	{ "png and a byte", S("\x89PNG\r\n\x1a\n\0\0\0\0IENDccccx"), 20, WR_TRIM_TRAILING },
	{ "png, last CRC missing", S("\x89PNG\r\n\x1a\n\0\0\0\0IENDccc"), 20, WR_TRIM_TRUNCATED },
	{ "png, chunk of 2^31", S("\x89PNG\r\n\x1a\n\x80\0\0\0IDATx"), -1, WR_TRIM_TRUNCATED },
	{ "gif", S("GIF89a\1\0\1\0\x80\0\0RGBRGB\x21\xf9\4abcd\0\x2c\0\0\0\0\1\0\1\0\0\2\2xy\0;"), 43, WR_TRIM_CLEAN },
	{ "gif, local table", S("GIF89a\1\0\1\0\0\0\0\x2c\0\0\0\0\1\0\1\0\x80" "RGBRGB\2\1x\0;PK\3\4"), 34, WR_TRIM_POLYGLOT },
	{ "gif, odd block", S("GIF89a\1\0\1\0\0\0\0x;"), -1, WR_TRIM_TRUNCATED },
	{ "webp", S("RIFF\x08\0\0\0WEBPabcd"), 16, WR_TRIM_CLEAN },
	{ "webp, odd size", S("RIFF\x07\0\0\0WEBPabc\0x"), 16, WR_TRIM_TRAILING },
	{ "webp, short", S("RIFF\x09\0\0\0WEBPabcd"), 18, WR_TRIM_TRUNCATED },
	{ "text is not followed", S("hello"), -1, WR_TRIM_CLEAN },
	/* clang-format on */
};

static void feed(struct wr_trim *t, const uint8_t *p, size_t n, size_t cut, uint64_t *inside)
{
	wr_trim_begin(t, wr_sniff(p, (uint32_t)n, true));
	*inside = 0;
	for (size_t i = 0; i < n;) {
		size_t k = cut == 0 || cut > n - i ? n - i : cut;
		uint8_t *copy = malloc(k);

		memcpy(copy, p + i, k);
		*inside += wr_trim_feed(t, copy, (uint32_t)k);
		free(copy);
		i += k;
	}
}

static void rows(void)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++)
		for (size_t cut = 0; cut < 4; cut++) {
			struct wr_trim t;
			uint64_t inside;
			bool ended;

			feed(&t, (const uint8_t *)row[i].in, row[i].n, cut, &inside);
			ended = t.state == WR_TRIM_ENDED;
			OK(ended == (row[i].end >= 0) &&
			           (!ended || t.end == (uint64_t)row[i].end) &&
			           wr_trim_finding(&t) == row[i].finding && t.pos == row[i].n &&
			           inside == (ended ? wr_min_u64(t.end, row[i].n) : row[i].n),
			   "%s (cut %zu): end %ld", row[i].name, cut, ended ? (long)t.end : -1);
		}
}

/* Whole files, made by ordinary encoders; what was appended to them is known. */
static void samples(const char *dir)
{
	static const struct {
		const char *file;
		enum wr_trim_finding finding;
		bool polyglot;
	} f[] = {
		{ "a1111_usercomment_ascii.jpg", WR_TRIM_CLEAN, false },
		{ "comfyui.png", WR_TRIM_CLEAN, false },
		{ "c2pa_unsigned.webp", WR_TRIM_CLEAN, false },
		{ "poly_jpeg_zip.jpg", WR_TRIM_POLYGLOT, false },
		{ "poly_png_zip.png", WR_TRIM_POLYGLOT, false },
		{ "poly_riff_in_png.png", WR_TRIM_CLEAN, false },
		{ "poly_png_eicar_text.png", WR_TRIM_CLEAN, false },
		{ "poly_jpeg_com_html.jpg", WR_TRIM_CLEAN, true },
		{ "poly_html_pdf.html", WR_TRIM_CLEAN, true },
		{ "motion_photo_like.jpg", WR_TRIM_TRAILING, false },
		{ "trunc.jpg", WR_TRIM_TRUNCATED, false },
	};
	static uint8_t buf[65536];

	for (size_t i = 0; i < WR_COUNT_OF(f); i++) {
		char path[4096];
		struct wr_trim t;
		uint64_t inside = 0;
		size_t n = 0;
		FILE *h;

		snprintf(path, sizeof(path), "%s/%s", dir, f[i].file);
		h = fopen(path, "rb");
		if (h != NULL) {
			n = fread(buf, 1, sizeof(buf), h);
			fclose(h);
		}
		feed(&t, buf, n, 7, &inside);
		OK(n > 0 && wr_trim_finding(&t) == f[i].finding, "%s: finding %d, %lu of %zu bytes",
		   f[i].file, wr_trim_finding(&t), (unsigned long)inside, n);
		OK(wr_sniff_polyglot(wr_sniff(buf, (uint32_t)n, true), buf, (uint32_t)n) ==
		           f[i].polyglot,
		   "... its head is %sread as something else", f[i].polyglot ? "" : "not ");
	}
}

int main(int argc, char **argv)
{
	rows();
	if (argc > 1)
		samples(argv[1]);
	return tap_done();
}
