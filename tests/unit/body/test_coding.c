/* SPDX-License-Identifier: BSD-3-Clause */
/* Content codings: both views, every failure with its reason, one turn's budget at a time. */
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "body_run.h"
#include "tap.h"

#define MANY 300000u

static uint8_t plain[MANY], enc[MANY + 4096], enc2[MANY + 8192], req[MANY + 16384];

static size_t post(const char *coding, const char *type, const void *body, size_t n)
{
	size_t at = (size_t)snprintf(
	        (char *)req, sizeof(req),
	        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Encoding: %s\r\n"
	        "Content-Length: %zu\r\n\r\n",
	        type, coding, n);

	memcpy(req + at, body, n);
	return at + n;
}

/* window as deflateInit2 wants it */
static size_t zip(int window, const void *in, size_t n, uint8_t *out, size_t room)
{
	z_stream z = { 0 };

	deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *)(uintptr_t)in;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)room;
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return z.total_out;
}

static size_t brotli(const void *in, size_t n, uint8_t *out, size_t room, int lgwin, int large)
{
	BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	const uint8_t *p = in;
	size_t left = room;

	BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, 5);
	BrotliEncoderSetParameter(s, BROTLI_PARAM_LARGE_WINDOW, large ? BROTLI_TRUE : BROTLI_FALSE);
	BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, (uint32_t)lgwin);
	BrotliEncoderCompressStream(s, BROTLI_OPERATION_FINISH, &n, &p, &left, &out, NULL);
	BrotliEncoderDestroyInstance(s);
	return room - left;
}

static size_t zstd(const void *in, size_t n, uint8_t *out, size_t room, int window)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer i = { in, n, 0 };
	ZSTD_outBuffer o = { out, room, 0 };

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window);
	/* Without the size in the header the window stands there instead. */
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
	ZSTD_compressStream2(c, &o, &i, ZSTD_e_flush);
	ZSTD_compressStream2(c, &o, &i, ZSTD_e_end);
	ZSTD_freeCCtx(c);
	return o.pos;
}

static int views_are(const struct body_run *r, const void *raw, size_t nraw, const void *dec,
                     size_t ndec)
{
	const struct run_object *o = &r->object[0];

	return r->nobjects == 1 && o->ended && o->view[0].n == nraw &&
	       memcmp(o->view[0].p, raw, nraw) == 0 && o->view[1].n == ndec &&
	       (ndec == 0 || memcmp(o->view[1].p, dec, ndec) == 0);
}

static void good(struct body_run *r, const char *coding, const uint8_t *body, size_t n,
                 const char *what)
{
	static const size_t cuts[] = { 0, 1, 1000, 1460 };
	size_t len = post(coding, "x/y", body, n);

	for (size_t c = 0; c < WR_COUNT_OF(cuts); c++)
		for (int slow = 0; slow < 2; slow++) {
			r->turn = slow ? 4096 : 0;
			body_run(r, req, len, cuts[c], 0);
			OK(r->reason == 0 && r->note == 0 && views_are(r, body, n, plain, MANY) &&
			           (r->pauses > 4) == slow,
			   "%s (cut %zu, %u pauses)", what, cuts[c], r->pauses);
		}
	r->turn = 0;
}

static void lost(struct body_run *r, const char *coding, const uint8_t *body, size_t n,
                 enum wr_reason why, const char *what)
{
	size_t len = post(coding, "x/y", body, n);

	for (size_t cut = 0; cut < 2000; cut += 999) {
		body_run(r, req, len, cut, 0);
		OK(r->reason == 0 && r->note == why && r->note_lost && r->nobjects == 1 &&
		           r->object[0].ended && r->object[0].view[0].n == n &&
		           memcmp(r->object[0].view[0].p, body, n) == 0 &&
		           wr_counter_get(&r->stats.reason[why]) == 1,
		   "%s: %s, and the raw view is whole (cut %zu)", what,
		   wr_reason_info(r->note)->name, cut);
	}
}

static void all_codings(struct body_run *r)
{
	size_t n, m;

	n = zip(31, plain, MANY, enc, sizeof(enc));
	good(r, "gzip", enc, n, "gzip");
	good(r, "x-gzip, identity", enc, n, "x-gzip");
	lost(r, "gzip", enc, n - 1, WR_R_CODING_BAD, "gzip cut off");
	memcpy(enc2, enc, n);
	enc2[n] = 'x';
	lost(r, "gzip", enc2, n + 1, WR_R_CODING_TRAILING, "gzip with a tail");
	enc2[n] = 0x1f;
	lost(r, "gzip", enc2, n + 1, WR_R_CODING_BAD, "gzip and half a member");
	enc2[n + 1] = 'x';
	lost(r, "gzip", enc2, n + 2, WR_R_CODING_TRAILING, "gzip and no member");
	enc2[n - 5] ^= 1;
	lost(r, "gzip", enc2, n, WR_R_CODING_BAD, "gzip with a wrong checksum");
	lost(r, "br", enc, n, WR_R_CODING_BAD, "not br");
	m = zip(31, plain, 1000, enc2, sizeof(enc2));
	m += zip(31, plain + 1000, MANY - 1000, enc2 + m, sizeof(enc2) - m);
	good(r, "gzip", enc2, m, "gzip of two members");
	n = zip(15, plain, MANY, enc, sizeof(enc));
	good(r, "deflate", enc, n, "deflate, zlib");
	enc[n] = 0;
	lost(r, "deflate", enc, n + 1, WR_R_CODING_TRAILING, "deflate with a tail");
	n = zip(-15, plain, MANY, enc, sizeof(enc));
	good(r, "deflate", enc, n, "deflate, raw");
	lost(r, "deflate", enc, 1, WR_R_CODING_BAD, "deflate of one byte");
	n = brotli(plain, MANY, enc, sizeof(enc), 24, 0);
	good(r, "br", enc, n, "br");
	enc[n] = 0;
	lost(r, "br", enc, n + 1, WR_R_CODING_TRAILING, "br with a tail");
	lost(r, "br", enc, n / 2, WR_R_CODING_BAD, "br cut off");
	n = zstd(plain, MANY, enc, sizeof(enc), 19);
	good(r, "zstd", enc, n, "zstd");
	lost(r, "zstd", enc, n - 1, WR_R_CODING_BAD, "zstd cut off");
	enc[0] = 0x26; /* a format before 1.0: not RFC 8878 */
	lost(r, "zstd", enc, n, WR_R_CODING_BAD, "zstd of a draft");
	enc[0] = 0x28;
	memcpy(enc2, "\x5a\x2a\x4d\x18\x03\0\0\0abc", 11);
	memcpy(enc2 + 11, enc, n);
	good(r, "zstd", enc2, n + 11, "zstd behind a skippable frame");
	memcpy(enc + n, "x1234567", 8);
	lost(r, "zstd", enc, n + 8, WR_R_CODING_TRAILING, "zstd with a tail");
	n = zip(31, plain, MANY, enc, sizeof(enc));
	m = brotli(enc, n, enc2, sizeof(enc2), 22, 0);
	good(r, "gzip, br", enc2, m, "br of gzip");
	lost(r, "br, gzip", enc2, m, WR_R_CODING_BAD, "in the wrong order");
	lost(r, "compress", enc, n, WR_R_CODING_UNKNOWN, "compress");
	lost(r, "gzip, gzip, gzip, gzip, gzip", enc, n, WR_R_EXPANSION_LIMIT, "five codings");
}

static void windows(struct body_run *r)
{
	size_t n = zstd(plain, MANY, enc, sizeof(enc), WR_BODY_WINDOW_LOG);

	good(r, "zstd", enc, n, "zstd, window 8 MiB");
	n = zstd(plain, MANY, enc, sizeof(enc), WR_BODY_WINDOW_LOG + 1);
	lost(r, "zstd", enc, n, WR_R_DECODER_BUDGET, "zstd, window 16 MiB");
	n = brotli(plain, MANY, enc, sizeof(enc), 26, 1);
	lost(r, "br", enc, n, WR_R_DECODER_BUDGET, "br, large window");
}

static void bombs(struct body_run *r)
{
	static uint8_t zeros[1 << 24];
	size_t n = zip(31, zeros, sizeof(zeros), enc, sizeof(enc));

	lost(r, "gzip", enc, n, WR_R_EXPANSION_LIMIT, "16 MiB of zeros in gzip");
	OK(r->object[0].view[1].n >= WR_BODY_FREE_BYTES &&
	           r->object[0].view[1].n < sizeof(zeros) / 4,
	   "it stops early: %zu bytes", r->object[0].view[1].n);
	n = zip(31, zeros, WR_BODY_FREE_BYTES, enc, sizeof(enc));
	body_run(r, req, post("gzip", "x/y", enc, n), 0, 0);
	OK(r->note == 0 && r->object[0].view[1].n == WR_BODY_FREE_BYTES,
	   "1 MiB may be as dense as it likes");
	n = brotli(zeros, sizeof(zeros), enc, sizeof(enc), 24, 0);
	lost(r, "br", enc, n, WR_R_EXPANSION_LIMIT, "in br");
	n = zstd(zeros, sizeof(zeros), enc, sizeof(enc), 19);
	lost(r, "zstd", enc, n, WR_R_EXPANSION_LIMIT, "in zstd");
}

static void budget(void)
{
	struct wr_body_conf c = { .bodies = 1, .inflate = 1 };
	struct body_run *r = body_run_new(&c);
	size_t n = zip(31, plain, 1000, enc, sizeof(enc)), m = zip(31, enc, n, enc2, sizeof(enc2));

	lost(r, "br", enc, n, WR_R_DECODER_BUDGET, "no br decoder");
	lost(r, "gzip, gzip", enc2, m, WR_R_DECODER_BUDGET, "one decoder for two codings");
	body_run(r, req, post("gzip", "x/y", enc, n), 0, 0);
	OK(r->note == 0 && views_are(r, enc, n, plain, 1000), "and it is free again");
	body_run_free(r);
}

/* What counts is the time between turns, not how slowly the bytes come. */
static void waiting(void)
{
	struct wr_body_conf c = { .bodies = 1, .inflate = 1, .expansion_ns = 1000 };
	struct body_run *r = body_run_new(&c);
	size_t n = zip(31, plain, sizeof(plain), enc, sizeof(enc));
	size_t len = post("gzip", "x/y", enc, n);

	r->turn = 16384;
	r->pause_ns = 1;
	body_run(r, req, len, 0, 0);
	OK(r->note == 0 && r->pauses > 3 && r->pauses < 1000 &&
	           views_are(r, enc, n, plain, sizeof(plain)),
	   "%u pauses within the limit", r->pauses);
	r->pause_ns = 1000 / r->pauses + 1;
	body_run(r, req, len, 0, 0);
	OK(r->note == WR_R_EXPANSION_TIME && r->note_lost && r->ends == 1 &&
	           r->object[0].view[0].n == n && r->object[0].view[1].n < sizeof(plain),
	   "beyond it the decoded view ends, the raw one goes on");
	body_run_free(r);
}

static void encoded_form(struct body_run *r)
{
	static const char form[] =
	        "--bb\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\nhello\r\n--bb--";
	size_t n = zip(31, form, sizeof(form) - 1, enc, sizeof(enc)), len;

	len = post("gzip", "multipart/form-data; boundary=bb", enc, n);
	for (size_t cut = 0; cut < 3; cut++) {
		body_run(r, req, len, cut, 0);
		OK(r->reason == 0 && r->nobjects == 2 && r->object[0].kind == WR_BODY_WHOLE &&
		           r->object[0].view[0].n == n && r->object[0].view[1].n == 0 &&
		           r->object[1].kind == WR_BODY_FILE && r->object[1].view[0].n == 5 &&
		           memcmp(r->object[1].view[0].p, "hello", 5) == 0 && r->ends == 2,
		   "a form in gzip: the body raw, and its part");
		OK(r->object[1].hold >= len - n && r->object[1].hold < len,
		   "its delimiter is held in the coded bytes");
	}
	body_run(r, req, len - 9, 0, 0);
	OK(r->ends == 1, "cut before the end of the stream: the part has ended, the body has not");
	enc[n - 6] ^= 1;
	len = post("gzip", "multipart/form-data; boundary=bb", enc, n);
	body_run(r, req, len, 0, 0);
	OK(r->reason == 0 && r->note == WR_R_CODING_BAD && r->ends == 2,
	   "a wrong checksum behind it is a note");
}

int main(void)
{
	struct body_run *r = body_run_new(NULL);
	uint32_t x = 1;

	/* Compresses to about half: text-like. */
	for (size_t i = 0; i < MANY; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = (uint8_t)('a' + (x >> 28));
	}
	all_codings(r);
	windows(r);
	bombs(r);
	encoded_form(r);
	body_run_free(r);
	budget();
	waiting();
	return tap_done();
}
