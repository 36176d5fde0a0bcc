/* SPDX-License-Identifier: BSD-3-Clause */
/* First bytes to types; the answer never changes with more bytes. */
#include <string.h>

#include "base/base.h"
#include "object/sniff.h"
#include "tap.h"

#define S(lit) (lit), sizeof(lit) - 1

static const struct {
	const char *in;
	uint32_t n;
	const char *media;
	bool polyglot;
} row[] = {
	/* clang-format off */
	{ S("\xff\xd8\xff\xe0\0\x10JFIF\0"), "image/jpeg", false },
	{ S("\xff\xd8\xff\xfe\0\x2c<html><script>"), "image/jpeg", true },
	{ S("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"), "image/png", false },
	{ S("\x89PNG\r\n\x1a"), "application/octet-stream", false },
	{ S("GIF89a\1\0\1\0"), "image/gif", false },
	{ S("GIF89a/*\1\0"), "image/gif", true },
	{ S("GIF89a=1;alert(1)"), "image/gif", true },
	{ S("RIFF\4\0\0\0WEBPVP8 "), "image/webp", false },
	{ S("RIFF\4\0\0\0WAVEfmt "), "audio/wav", false },
	{ S("RIFF\4\0\0\0XXXX"), "application/octet-stream", false },
	{ S("\0\0\0\x18" "ftypheic\0\0\0\0mif1heic"), "image/heic", false },
	{ S("\0\0\0\x1c" "ftypisom\0\0\2\0isomiso2mp41"), "video/mp4", false },
	{ S("\0\0\0\x14" "ftypqt  \0\0\2\0qt  "), "video/quicktime", false },
	{ S("\0\0\0\x14" "ftypXXXX\0\0\2\0avif"), "image/avif", false },
	{ S("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm"), "video/webm", false },
	{ S("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x88matroska"), "video/x-matroska", false },
	{ S("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), "image/bmp", false },
	{ S("BMW is a car"), "text/plain", false },
	{ S("%PDF-1.4\n"), "application/pdf", false },
	{ S("\n\n%PDF-1.4\n"), "application/pdf", false },
	{ S("<html><!--\n%PDF-1.4"), "text/html", true },
	{ S("PK\3\4\x14\0"), "application/zip", false },
	{ S("PK\5\6\0\0"), "application/zip", false },
	{ S("Rar!\x1a\7\1\0"), "application/vnd.rar", false },
	{ S("\x1f\x8b\x08\0"), "application/gzip", false },
	{ S("\x28\xb5\x2f\xfd"), "application/zstd", false },
	{ S("\x53\x2a\x4d\x18\0\0\0\0"), "application/zstd", false },
	{ S("MZ\x90\0"), "application/x-msdownload", false },
	{ S("\x7f" "ELF\2"), "application/x-elf", false },
	{ S("\xca\xfe\xba\xbe\0\0\0\x34"), "application/java-vm", false },
	{ S("\xca\xfe\xba\xbe\0\0\0\2"), "application/x-mach-binary", false },
	{ S("\0asm\1\0\0\0"), "application/wasm", false },
	{ S("#!/bin/sh\n"), "text/x-shellscript", false },
	{ S("\xef\xbb\xbf#!/bin/sh\n"), "text/x-shellscript", false },
	{ S("  <!-- c --><!DOCTYPE HTML>"), "text/html", false },
	{ S("<?xml version=\"1.0\"?>\n<svg xmlns=\"x\">"), "image/svg+xml", false },
	{ S("<?xml version=\"1.0\"?><x:svg>"), "image/svg+xml", false },
	{ S("<?xml version=\"1.0\"?><feed>"), "text/xml", false },
	{ S("<?php echo 1;"), "application/x-httpd-php", false },
	{ S("hello\r\n"), "text/plain", false },
	{ S("h\xc3\xa9llo"), "text/plain", false },
	{ S("\xff\xfeh\0i\0"), "text/plain", false },
	{ S("hel\0lo"), "application/octet-stream", false },
	{ S(""), "application/octet-stream", false },
	/* clang-format on */
};

static void rows(void)
{
	uint8_t buf[600];

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		const struct wr_type *t = wr_sniff((const uint8_t *)row[i].in, row[i].n, true),
		                     *early;
		uint32_t k;

		OK(strcmp(t->media, row[i].media) == 0, "%s: %s", row[i].media, t->media);
		OK(wr_sniff_polyglot(t, (const uint8_t *)row[i].in, row[i].n) == row[i].polyglot,
		   "... %sa polyglot", row[i].polyglot ? "" : "not ");
		/* With more to come it either waits or says what it will say. */
		memset(buf, 0xfb, sizeof(buf));
		memcpy(buf, row[i].in, row[i].n);
		t = wr_sniff(buf, WR_SNIFF_BYTES, false);
		for (k = 0; t != NULL && k < WR_SNIFF_BYTES; k++) {
			early = wr_sniff(buf, k, false);
			if (early != NULL && early != t)
				break;
		}
		IS(k, WR_SNIFF_BYTES, "... it never changes its mind");
	}
	memset(buf, 'a', sizeof(buf));
	OK(wr_sniff(buf, WR_SNIFF_BYTES - 1, false) == NULL, "text needs all the bytes");
	OK(wr_sniff(buf, WR_SNIFF_BYTES, false) != NULL, "... and no more");
	memset(buf, 0, sizeof(buf));
	memcpy(buf + 257, "ustar", 5);
	OK(strcmp(wr_sniff(buf, 600, false)->media, "application/x-tar") == 0, "tar");
	for (int i = 0; i < 600; i += 188)
		buf[i] = 0x47;
	memset(buf + 257, 0, 5);
	OK(strcmp(wr_sniff(buf, 600, false)->media, "video/mp2t") == 0, "MPEG-TS");
	memset(buf, 0, sizeof(buf));
	memcpy(buf, "MZ", 2);
	memset(buf + 60, 0xff, 4);
	OK(strcmp(wr_sniff(buf, 600, false)->media, "application/x-msdownload") == 0,
	   "a PE header far away is not looked for");
}

static void mismatches(void)
{
	static const struct {
		const char *first, *declared, *name;
		bool wrong;
	} m[] = {
		/* clang-format off */
		{ "\xff\xd8\xff\xe0", "image/jpeg", "a.jpg", false },
		{ "\xff\xd8\xff\xe0", "image/png", "a.png", false }, /* the wrong image is still an image */
		{ "\xff\xd8\xff\xe0", "application/octet-stream", NULL, false },
		{ "MZ\x90", "image/jpeg", NULL, true },
		{ "MZ\x90", "application/octet-stream", "a.JPG", true },
		{ "MZ\x90", "application/octet-stream", "a.exe", false },
		{ "PK\3\4", "image/png", NULL, true },
		{ "PK\3\4", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a.docx", false },
		{ "<html>", "image/gif", NULL, true },
		{ "<svg xmlns", "image/svg+xml", "a.svg", false },
		{ "<svg xmlns", "image/png", NULL, true },
		{ "hello", "text/html", NULL, false },
		{ "hello", "image/jpeg", NULL, true },
		{ "\1\2\3\4", "image/jpeg", NULL, true },
		{ "\1\2\3\4", "image/x-raw", NULL, false },
		{ "%PDF-1", "application/pdf", "a.pdf", false },
		{ "%PDF-1", "image/jpeg", NULL, true },
		/* clang-format on */
	};

	for (size_t i = 0; i < WR_COUNT_OF(m); i++) {
		const struct wr_type *t =
		        wr_sniff((const uint8_t *)m[i].first, (uint32_t)strlen(m[i].first), true);
		struct wr_str d = { m[i].declared, (uint32_t)strlen(m[i].declared) };
		struct wr_str f = { m[i].name,
			            m[i].name != NULL ? (uint32_t)strlen(m[i].name) : 0 };

		OK(wr_type_mismatch(t, d, f) == m[i].wrong, "%s as %s %s: %s", t->media,
		   m[i].declared, m[i].name != NULL ? m[i].name : "",
		   m[i].wrong ? "mismatch" : "fine");
	}
}

int main(void)
{
	rows();
	mismatches();
	return tap_done();
}
