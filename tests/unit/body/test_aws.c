/* SPDX-License-Identifier: BSD-3-Clause */
/* aws-chunked in its four kinds, alone, inside HTTP chunked, around gzip. */
#include <zlib.h>

#include "body_run.h"
#include "tap.h"

#define S64      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SIG      ";chunk-signature=" S64
#define SIGA     ";chunk-signature=" S64 S64 "abcdef**********"
#define SIGNED   "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define UNSIGNED "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#define SIGV4A   "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
#define SUM      "x-amz-checksum-crc32:AAAAAA==\r\n"

static uint8_t req[8192];

static size_t put(const char *sha, const char *ce, const char *want, const void *body, size_t n)
{
	size_t at =
	        (size_t)snprintf((char *)req, sizeof(req),
	                         "PUT /b/k HTTP/1.1\r\nHost: h\r\n%s%s%s%s%s%s%s%s%s"
	                         "Content-Length: %zu\r\n\r\n",
	                         sha ? "x-amz-content-sha256: " : "", sha ? sha : "",
	                         sha ? "\r\n" : "", ce ? "Content-Encoding: " : "", ce ? ce : "",
	                         ce ? "\r\n" : "", want ? "x-amz-decoded-content-length: " : "",
	                         want ? want : "", want ? "\r\n" : "", n);

	memcpy(req + at, body, n);
	return at + n;
}

static const struct {
	const char *name, *sha, *ce, *want, *body, *object;
	enum wr_reason why;
	enum wr_framing framing;
} row[] = {
	/* clang-format off */
	{ "signed", SIGNED, "aws-chunked", "7", "5" SIG "\r\nhello\r\n2" SIG "\r\n!!\r\n0" SIG "\r\n\r\n", "hello!!", 0, WR_FRAMING_AWS_SIGNED },
	{ "signed, trailer", SIGNED "-TRAILER", "aws-chunked", "5", "5" SIG "\r\nhello\r\n0" SIG "\r\n" SUM "x-amz-trailer-signature:" S64 "\r\n\r\n", "hello", 0, WR_FRAMING_AWS_SIGNED_TRAILER },
	{ "unsigned, trailer", UNSIGNED, NULL, "5", "5\r\nhello\r\n0\r\n" SUM "\r\n", "hello", 0, WR_FRAMING_AWS_UNSIGNED_TRAILER },
	{ "unsigned, LF before the CRLF", UNSIGNED, NULL, "5", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AA==\n\r\n\r\n", "hello", 0, WR_FRAMING_AWS_UNSIGNED_TRAILER },
	{ "sigv4a", SIGV4A, "aws-chunked", "5", "5" SIGA "\r\nhello\r\n0" SIGA "\r\n\r\n", "hello", 0, WR_FRAMING_AWS_SIGV4A },
	{ "no decoded length", UNSIGNED, NULL, NULL, "5\r\nhello\r\n0\r\n\r\n", "hello", 0, WR_FRAMING_AWS_UNSIGNED_TRAILER },
	{ "empty object", UNSIGNED, NULL, "0", "0\r\n" SUM "\r\n", "", 0, WR_FRAMING_AWS_UNSIGNED_TRAILER },

	{ "signed without signature", SIGNED, "aws-chunked", "5", "5\r\nhello\r\n0\r\n\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "unsigned with signature", UNSIGNED, NULL, "5", "5" SIG "\r\nhello\r\n0" SIG "\r\n\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "short signature", SIGNED, NULL, "5", "5;chunk-signature=abc\r\nhello", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "other extension", SIGNED, NULL, "5", "5;chunk-signaturf=" S64 "\r\nhello", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "trailers where none may be", SIGNED, NULL, "5", "5" SIG "\r\nhello\r\n0" SIG "\r\n" SUM "\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "no digits", UNSIGNED, NULL, "5", "\r\nhello", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "sixteen digits", UNSIGNED, NULL, "5", "0000000000000005\r\nhello", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "no CRLF behind data", UNSIGNED, NULL, "5", "5\r\nhelloX0\r\n\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "LF behind the size", UNSIGNED, NULL, "5", "5\nhello\r\n0\r\n\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "bytes behind the end", UNSIGNED, NULL, "5", "5\r\nhello\r\n0\r\n\r\nX", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "no end", UNSIGNED, NULL, "5", "5\r\nhello\r\n", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "no last CRLF", UNSIGNED, NULL, "5", "5\r\nhello\r\n0\r\n" SUM, NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "longer than declared", UNSIGNED, NULL, "4", "5\r\nhello\r\n0\r\n\r\n", NULL, WR_R_AWS_LENGTH, 0 },
	{ "shorter than declared", UNSIGNED, NULL, "6", "5\r\nhello\r\n0\r\n\r\n", NULL, WR_R_AWS_LENGTH, 0 },
	{ "declared nonsense", UNSIGNED, NULL, "5x", "5\r\nhello\r\n0\r\n\r\n", NULL, WR_R_AWS_LENGTH, 0 },
	{ "coding says so, sha256 not", "UNSIGNED-PAYLOAD", "aws-chunked", NULL, "hello", NULL, WR_R_AWS_MARKERS_DISAGREE, 0 },
	{ "coding alone", NULL, "aws-chunked", NULL, "hello", NULL, WR_R_AWS_MARKERS_DISAGREE, 0 },
	{ "unknown kind", "STREAMING-NEW-KIND", NULL, NULL, "hello", NULL, WR_R_AWS_CHUNK_BAD, 0 },
	{ "plain", "UNSIGNED-PAYLOAD", NULL, NULL, "hello", "hello", 0, WR_FRAMING_LENGTH },
	/* clang-format on */
};

static void rows(struct body_run *r)
{
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		size_t n = put(row[i].sha, row[i].ce, row[i].want, row[i].body,
		               strlen(row[i].body)),
		       at;
		uint64_t whole;

		body_run(r, req, n, 0, 0);
		whole = body_run_signature(r);
		OK(r->reason == row[i].why &&
		           (row[i].why != 0 ||
		            (r->nobjects == 1 && r->object[0].ended &&
		             r->object[0].view[0].n == strlen(row[i].object) &&
		             memcmp(r->object[0].view[0].n > 0 ? (char *)r->object[0].view[0].p
		                                               : "",
		                    row[i].object, strlen(row[i].object)) == 0 &&
		             (r->framing & 1u << row[i].framing) != 0)),
		   "%s: %s", row[i].name, wr_reason_info(r->reason)->name);
		for (at = 1; at < n; at++) {
			body_run(r, req, n, 0, at);
			if (body_run_signature(r) != whole)
				break;
		}
		IS(at, n, "... wherever it is cut");
	}
}

static void hold(struct body_run *r)
{
	static const char body[] = "05\r\nhello\r\n00\r\n" SUM "\r\n";
	size_t n = put(UNSIGNED, NULL, "5", body, sizeof(body) - 1),
	       zero = n - strlen("00\r\n" SUM "\r\n");

	body_run(r, req, n, 1, 0);
	IS(r->hold, zero, "held from the zero chunk's first byte");
	body_run(r, req, zero + 1, 1, 0);
	IS(r->hold, zero, "one zero is held already");
	body_run(r, req, zero, 1, 0);
	OK(r->hold == WR_BODY_HOLD_NONE, "before it nothing is");
}

static void nested(struct body_run *r)
{
	static const char inner[] = "5\r\nhello\r\n0\r\n\r\n";
	uint8_t z[128], body[256];
	uLongf nz = sizeof(z);
	char len[16];
	size_t n, at;

	/* The JavaScript SDK: aws-chunked inside HTTP chunked, one byte a chunk here. */
	at = (size_t)snprintf(
	        (char *)req, sizeof(req),
	        "PUT / HTTP/1.1\r\nHost: h\r\nx-amz-content-sha256: " UNSIGNED
	        "\r\nx-amz-decoded-content-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < sizeof(inner) - 1; i++)
		at += (size_t)snprintf((char *)req + at, sizeof(req) - at, "1\r\n%c\r\n", inner[i]);
	at += (size_t)snprintf((char *)req + at, sizeof(req) - at, "0\r\n\r\n");
	body_run(r, req, at, 0, 0);
	OK(r->reason == 0 && r->nobjects == 1 && r->object[0].view[0].n == 5,
	   "inside HTTP chunked");
	compress(z, &nz, (const Bytef *)"hello", 5);
	n = (size_t)snprintf((char *)body, sizeof(body), "%lx\r\n", nz);
	memcpy(body + n, z, nz);
	n += nz;
	n += (size_t)snprintf((char *)body + n, sizeof(body) - n, "\r\n0\r\n\r\n");
	snprintf(len, sizeof(len), "%lu", nz);
	n = put(UNSIGNED, "aws-chunked, deflate", len, body, n);
	body_run(r, req, n, 1, 0);
	OK(r->reason == 0 && r->note == 0 && r->nobjects == 1 && r->object[0].view[0].n == nz &&
	           r->object[0].view[1].n == 5 && memcmp(r->object[0].view[1].p, "hello", 5) == 0,
	   "around deflate: the raw view is what the store keeps");
}

int main(void)
{
	struct body_run *r = body_run_new(NULL);

	rows(r);
	hold(r);
	nested(r);
	body_run_free(r);
	return tap_done();
}
