/* SPDX-License-Identifier: BSD-3-Clause */
/* The request parser, row by row; each row is run whole, byte by byte and in threes: same answer.
 */
#include "http_run.h"
#include "tap.h"

#define H    "Host: a\r\n"
#define POST "POST /u HTTP/1.1\r\n" H
#define TE   "Transfer-Encoding: chunked\r\n"
#define X64  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64
#define X4K  X512 X512 X512 X512 X512 X512 X512 X512

static const struct {
	const char *name, *in, *log;
	enum wr_reason why;
	const char *body;
} row[] = {
	/* clang-format off */
	{ "no body", "GET / HTTP/1.1\r\n" H "\r\n", "HE", 0, "" },
	{ "length", POST "Content-Length: 5\r\n\r\nhello", "HBE", 0, "hello" },
	{ "length 0", POST "Content-Length: 0\r\n\r\n", "HE", 0, "" },
	{ "http/1.0 without host", "POST /u HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "HBE", 0, "hi" },
	{ "pipelined", POST "Content-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\n" H "\r\n", "HBEHE", 0, "hi" },
	{ "chunked", POST TE "\r\n5\r\nhello\r\n0\r\n\r\n", "HBE", 0, "hello" },
	{ "chunked, extension and trailer", POST TE "\r\n5;a=\"b;c\"\r\nhello\r\n00\r\nX: y\r\n\r\n", "HBE", 0, "hello" },
	{ "chunked, then pipelined", POST TE "\r\nA\r\n0123456789\r\n0\r\n\r\n" POST "\r\n", "HBEHE", 0, "0123456789" },
	{ "empty line first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "HE", 0, "" },
	{ "three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "X", WR_R_BAD_REQUEST_LINE, "" },
	{ "obs-text in a value", POST "X: \xc3\xa4\r\n\r\n", "HE", 0, "" },
	{ "no space behind the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", "HE", 0, "" },
	{ "absolute target", "GET http://a/x HTTP/1.1\r\n" H "\r\n", "HE", 0, "" },
	{ "options *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "HE", 0, "" },

	{ "TE and CL", POST "Content-Length: 4\r\n" TE "\r\n0\r\n\r\n", "X", WR_R_CL_TE, "" },
	{ "CL twice, equal", POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", "X", WR_R_CL_TWICE, "" },
	{ "CL list", POST "Content-Length: 4, 4\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL +", POST "Content-Length: +4\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL -", POST "Content-Length: -4\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL hex", POST "Content-Length: 0x4\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL empty", POST "Content-Length: \r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL inner space", POST "Content-Length: 1 2\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL leading zero", POST "Content-Length: 010\r\n\r\nabcd", "X", WR_R_CL_BAD, "" },
	{ "CL 2^63-1", POST "Content-Length: 9223372036854775807\r\n\r\na", "HB", 0, "a" },
	{ "CL 2^63", POST "Content-Length: 9223372036854775808\r\n\r\na", "X", WR_R_CL_BAD, "" },
	{ "CL 2^64+4", POST "Content-Length: 18446744073709551620\r\n\r\na", "X", WR_R_CL_BAD, "" },
	{ "TE unknown", POST "Transfer-Encoding: xchunked\r\n\r\n", "X", WR_R_TE_BAD, "" },
	{ "TE twice", POST TE TE "\r\n", "X", WR_R_TE_BAD, "" },
	{ "TE chunked not final", POST "Transfer-Encoding: chunked, identity\r\n\r\n", "X", WR_R_TE_BAD, "" },
	{ "TE gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "X", WR_R_TE_BAD, "" },
	{ "TE empty", POST "Transfer-Encoding:\r\n\r\n", "X", WR_R_TE_BAD, "" },
	{ "TE with a tab", POST "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", "HE", 0, "" },
	{ "TE with VT", POST "Transfer-Encoding: \vchunked\r\n\r\n", "X", WR_R_CTL_IN_HEADER, "" },
	{ "TE in 1.0", "POST /u HTTP/1.0\r\n" H TE "\r\n", "X", WR_R_TE_HTTP10, "" },
	{ "body on GET", "GET /u HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", "X", WR_R_GET_BODY, "" },
	{ "space before colon", POST "Content-Length : 5\r\n\r\nhello", "X", WR_R_WS_BEFORE_COLON, "" },
	{ "obs-fold", POST "X: a\r\n b\r\n\r\n", "X", WR_R_OBS_FOLD, "" },
	{ "fold before the first header", "POST /u HTTP/1.1\r\n Host: a\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "bare LF after the request line", "POST /u HTTP/1.1\n" H "\r\n", "X", WR_R_BARE_LF, "" },
	{ "bare LF after a header", POST "X: a\nY: b\r\n\r\n", "X", WR_R_BARE_LF, "" },
	{ "bare LF at the end", POST "\n", "X", WR_R_BARE_LF, "" },
	{ "bare CR in a value", POST "X: a\rY: b\r\n\r\n", "X", WR_R_BARE_CR, "" },
	{ "bare CR at the end", POST "\rX", "X", WR_R_BARE_CR, "" },
	{ "NUL in a value", NULL, "X", WR_R_CTL_IN_HEADER, "" },
	{ "no colon", POST "XYZ\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "empty name", POST ": a\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "bad byte in a name", POST "X(: a\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "content_length", POST "Content_Length: 3\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "no host", "POST /u HTTP/1.1\r\n\r\n", "X", WR_R_HOST_MISSING, "" },
	{ "host twice", POST H "\r\n", "X", WR_R_HOST_TWICE, "" },
	{ "host list", "POST /u HTTP/1.1\r\nHost: a, b\r\n\r\n", "X", WR_R_BAD_HEADER, "" },
	{ "host against target", "POST http://b/u HTTP/1.1\r\n" H "\r\n", "X", WR_R_HOST_TWICE, "" },
	{ "content-type twice", POST "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", "X", WR_R_HEADER_TWICE, "" },
	{ "connection strips length", POST "Content-Length: 1\r\nConnection: close, Content-Length\r\n\r\nx", "X", WR_R_CONNECTION_BAD, "" },
	{ "http/0.9", "GET /\r\n", "X", WR_R_NEAR_HTTP, "" },
	{ "two spaces", "POST  /u HTTP/1.1\r\n" H "\r\n", "X", WR_R_BAD_REQUEST_LINE, "" },
	{ "space behind the version", "POST /u HTTP/1.1 \r\n" H "\r\n", "X", WR_R_BAD_REQUEST_LINE, "" },
	{ "space in the target", "POST /u v HTTP/1.1\r\n" H "\r\n", "X", WR_R_BAD_REQUEST_LINE, "" },
	{ "tab", "POST\t/u HTTP/1.1\r\n" H "\r\n", "X", WR_R_NEAR_HTTP, "" },
	{ "leading space", " POST /u HTTP/1.1\r\n" H "\r\n", "X", WR_R_NEAR_HTTP, "" },
	{ "http/1.2", "POST /u HTTP/1.2\r\n" H "\r\n", "X", WR_R_BAD_VERSION, "" },
	{ "http/2.0", "POST /u HTTP/2.0\r\n" H "\r\n", "X", WR_R_BAD_VERSION, "" },
	{ "http/1.10", "POST /u HTTP/1.10\r\n" H "\r\n", "X", WR_R_BAD_VERSION, "" },
	{ "rtsp", "DESCRIBE /u RTSP/1.0\r\n" H "\r\n", "X", WR_R_NEAR_HTTP, "" },
	{ "relative target", "GET u HTTP/1.1\r\n" H "\r\n", "X", WR_R_BAD_REQUEST_LINE, "" },
	{ "h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "X", WR_R_H2_PREFACE, "" },
	{ "tls", "\x16\x03\x01\x02", "X", WR_R_TLS, "" },
	{ "binary", "\x01\x02", "X", WR_R_NOT_HTTP, "" },
	{ "one word", "SSH-2.0-x\r\n", "X", WR_R_NOT_HTTP, "" },
	{ "upgrade", POST "Upgrade: h2c\r\n\r\n", "X", WR_R_UPGRADE, "" },
	{ "connect", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", "X", WR_R_UPGRADE, "" },
	{ "proxy v1", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "X", WR_R_PROXY_UNEXPECTED, "" },
	{ "later request broken", POST "\r\n POST", "HEX", WR_R_BAD_REQUEST_LINE, "" },
	{ "data behind the body", POST "Content-Length: 1\r\n\r\nab\x01", "HBEX", WR_R_BAD_REQUEST_LINE, "a" },

	{ "chunk: no digit", POST TE "\r\n\r\n", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: 0x", POST TE "\r\n0x5\r\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: leading space", POST TE "\r\n 5\r\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: trailing space", POST TE "\r\n5 \r\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: sign", POST TE "\r\n+5\r\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: 15 digits", POST TE "\r\n000000000000005\r\nhello", "HB", 0, "hello" },
	{ "chunk: 16 digits", POST TE "\r\n0000000000000005\r\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: bare LF", POST TE "\r\n5\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: bare LF in an extension", POST TE "\r\n5;a\nhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: CR then not LF", POST TE "\r\n5\rhello", "HX", WR_R_CHUNK_BAD_SIZE, "" },
	{ "chunk: no CRLF behind data", POST TE "\r\n5\r\nhelloXX0\r\n\r\n", "HBX", WR_R_CHUNK_BAD_END, "hello" },
	{ "chunk: CR CR LF", POST TE "\r\n5\r\nhello\r\r\n0\r\n\r\n", "HBX", WR_R_CHUNK_BAD_END, "hello" },
	{ "chunk: LF behind data", POST TE "\r\n5\r\nhello\n0\r\n\r\n", "HBX", WR_R_CHUNK_BAD_END, "hello" },
	{ "extension of 256", POST TE "\r\n5;" X64 X64 X64 X64 "\r\nhello", "HB", 0, "hello" },
	{ "extension of 257", POST TE "\r\n5;" X64 X64 X64 X64 "x\r\nhello", "HX", WR_R_CHUNK_EXT_LIMIT, "" },
	{ "trailer changes framing", POST TE "\r\n0\r\nContent-Length: 5\r\n\r\n", "HX", WR_R_TRAILER_BAD, "" },
	{ "trailer near it", POST TE "\r\n0\r\nContent-Length2: 5\r\nConten: t\r\n\r\n", "HE", 0, "" },
	{ "trailer bare LF", POST TE "\r\n0\r\nX: 5\n\r\n", "HX", WR_R_TRAILER_BAD, "" },
	{ "trailer without colon", POST TE "\r\n0\r\nX\r\n\r\n", "HX", WR_R_TRAILER_BAD, "" },
	{ "trailers of 8 KiB", POST TE "\r\n0\r\nX: " X4K X4K "\r\n\r\n", "HX", WR_R_TRAILER_LIMIT, "" },
	{ "target kept whole", "PUT /" X512 X512 X512 X512 X512 " HTTP/1.1\r\n" H "\r\n", "HE", 0, "" },
	{ "request line of 8 KiB", "PUT /" X4K X4K " HTTP/1.1\r\n" H "\r\n", "X", WR_R_REQUEST_LINE_LIMIT, "" },
	{ "a key header too long", POST "Content-Type: " X512 "x\r\n\r\n", "X", WR_R_HEADER_LIMIT, "" },
	{ "a name too long", POST X64 X64 X64 X64 "x: y\r\n\r\n", "X", WR_R_HEADER_LIMIT, "" },
	{ "a name of 256", POST X64 X64 X64 X64 ": y\r\n\r\n", "HE", 0, "" },
	/* clang-format on */
};

static void check(struct http_run *r, size_t i, const char *in, size_t n)
{
	static const size_t cuts[] = { 0, 1, 3, 7 };

	for (size_t c = 0; c < WR_COUNT_OF(cuts); c++) {
		int good;

		http_feed(r, in, n, cuts[c], WR_PROXY_OFF);
		good = strcmp(r->log, row[i].log) == 0 && r->reason == row[i].why &&
		       r->nbody == strlen(row[i].body) &&
		       memcmp(r->body, row[i].body, r->nbody) == 0 &&
		       (row[i].why == 0 || wr_counter_get(&r->stats.reason[row[i].why]) == 1);
		OK(good, "%s (cut %zu)", row[i].name, cuts[c]);
		if (!good)
			printf("#   said %s %s, wanted %s %s\n", r->log,
			       wr_reason_info(r->reason)->name, row[i].log,
			       wr_reason_info(row[i].why)->name);
	}
}

static void observe(struct http_run *r)
{
	static const struct {
		const char *in, *log;
		enum wr_reason why;
		const char *body;
	} o[] = {
		{ POST "Content-Length: 2\nX: y\n\nhi", "HBE", WR_R_BARE_LF, "hi" },
		{ POST "Content-Length : 2\r\n\r\nhi", "HBE", WR_R_WS_BEFORE_COLON, "hi" },
		{ POST "X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", "HBE", WR_R_OBS_FOLD, "hi" },
		{ POST "Content-Length: 9\r\n" TE "\r\n2\r\nhi\r\n0\r\n\r\n", "HBE", WR_R_CL_TE,
		  "hi" },
		{ POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "HBE", WR_R_CL_TWICE,
		  "hi" },
		{ POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "X", WR_R_CL_TWICE, "" },
		{ POST TE "\r\n2\nhi\r\n0\r\n\r\n", "HBE", WR_R_CHUNK_BAD_SIZE, "hi" },
		{ POST TE "\r\n2\r\nhi\n0\r\n\r\n", "HBE", WR_R_CHUNK_BAD_END, "hi" },
		{ POST TE "\r\n2\r\nhiX0\r\n\r\n", "HBX", WR_R_CHUNK_BAD_END, "hi" },
		{ "POST /u HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", "HBE", WR_R_HOST_MISSING,
		  "hi" },
		{ "GET /u HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi", "HBE", WR_R_GET_BODY,
		  "hi" },
		{ POST "Transfer-Encoding: x\r\n\r\n", "X", WR_R_TE_BAD, "" },
	};

	memset(r->policy.on_reason, WR_ON_INSPECT, sizeof(r->policy.on_reason));
	for (size_t i = 0; i < WR_COUNT_OF(o); i++) {
		for (size_t cut = 0; cut < 2; cut++) {
			http_feed(r, o[i].in, strlen(o[i].in), cut, WR_PROXY_OFF);
			OK(strcmp(r->log, o[i].log) == 0 && r->nbody == strlen(o[i].body) &&
			           memcmp(r->body, o[i].body, r->nbody) == 0,
			   "observe %s, cut %zu: %s", wr_reason_info(o[i].why)->name, cut, r->log);
			OK(wr_counter_get(&r->stats.reason[o[i].why]) > 0, "... and it is counted");
		}
	}
	memset(r->policy.on_reason, WR_ON_BLOCK, sizeof(r->policy.on_reason));
}

static void hold(struct http_run *r)
{
	static const char cl[] = POST "Content-Length: 5\r\n\r\nhello";
	static const char ch[] = POST TE "\r\n5\r\nhello\r\n00;x\r\nX: y\r\n\r\n";
	const uint64_t zero = (uint64_t)(strstr(ch, "00;x") - ch);

	http_feed(r, cl, strlen(cl), 1, WR_PROXY_OFF);
	IS(r->hold_head, strlen(cl) - 1, "length: the last byte is known from HEAD on");
	http_feed(r, ch, zero, 1, WR_PROXY_OFF);
	OK(r->hold == WR_HTTP_HOLD_NONE, "chunked: nothing is held before the zero chunk");
	http_feed(r, ch, zero + 1, 1, WR_PROXY_OFF);
	IS(r->hold, zero, "chunked: one zero is held already");
	http_feed(r, POST TE "\r\n05\r\n", sizeof(POST TE "\r\n05\r\n") - 1, 1, WR_PROXY_OFF);
	OK(r->hold == WR_HTTP_HOLD_NONE, "chunked: 05 is not the last chunk");
	http_feed(r, ch, strlen(ch), 1, WR_PROXY_OFF);
	IS(r->hold, zero, "chunked: trailers are behind the hold");
	http_feed(r, POST "\r\n", sizeof(POST "\r\n") - 1, 1, WR_PROXY_OFF);
	OK(r->hold == WR_HTTP_HOLD_NONE, "no body: nothing is held");
}

static void slots(void)
{
	struct http_run *r = http_run_new(1);
	static const char two[] = POST "Content-Length: 1\r\n\r\nx" POST "\r\n";
	struct wr_http_req h, g;
	struct wr_http_out out;
	struct wr_span in = { (const uint8_t *)two, (const uint8_t *)two + strlen(two), 0, NULL };
	struct wr_span in2 = in;
	struct wr_http_head *head;

	wr_http_req_init(&h, r->t, &r->policy, WR_PROXY_OFF);
	wr_http_req_init(&g, r->t, &r->policy, WR_PROXY_OFF);
	IS(wr_http_heads_free(r->t), 1, "an idle connection takes no slot");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_HEAD, "head");
	IS(wr_http_req_next(&r->lc, &g, &in2, &out), WR_HTTP_BUSY, "no slot: busy");
	OK(in2.off == 0, "busy consumes nothing");
	head = wr_http_head_take(&h);
	OK(wr_str_is(head->method, WR_STR("POST")) && wr_str_is(head->target, WR_STR("/u")) &&
	           wr_str_is(head->host, WR_STR("a")) && head->has_length &&
	           head->content_length == 1,
	   "the head says what the request said");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_BODY, "body");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_END, "end");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_BUSY,
	   "taken: the next request finds no slot");
	wr_http_head_put(r->t, head);
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_HEAD, "given back: it goes on");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_END, "end");
	wr_http_req_done(&h);
	IS(wr_http_heads_free(r->t), 1, "done gives the slot back");
	IS(wr_http_req_next(&r->lc, &g, &in2, &out), WR_HTTP_HEAD, "the other connection goes on");
	wr_http_req_close(&g);
	wr_http_req_close(&h);
	IS(wr_http_heads_free(r->t), 1, "close gives the slot back");
	/* A head that was taken and given back is nobody's: the next request must not free it
	 * again. */
	wr_http_req_init(&h, r->t, &r->policy, WR_PROXY_OFF);
	wr_http_req_init(&g, r->t, &r->policy, WR_PROXY_OFF);
	in = in2 = (struct wr_span){ (const uint8_t *)two, (const uint8_t *)two + strlen(two), 0,
		                     NULL };
	wr_http_req_next(&r->lc, &h, &in, &out);
	head = wr_http_head_take(&h);
	while (wr_http_req_next(&r->lc, &h, &in, &out) == WR_HTTP_BODY)
		;
	OK(wr_http_req_head(&h) == head, "taken, it is still seen");
	wr_http_head_put(r->t, head);
	OK(wr_http_req_head(&h) == NULL, "given back, it is not");
	IS(wr_http_req_next(&r->lc, &g, &in2, &out), WR_HTTP_HEAD,
	   "another connection gets the slot");
	IS(wr_http_req_next(&r->lc, &h, &in, &out), WR_HTTP_BUSY, "the first one frees nothing");
	wr_http_req_close(&h);
	IS(wr_http_heads_free(r->t), 0, "... nor when it closes");
	wr_http_req_close(&g);
	IS(wr_http_heads_free(r->t), 1, "the owner does");
	http_run_free(r);
}

/* Long heads move to large buffers, of which there are fewer than heads. */
static void larges(void)
{
	static const char head[] = "POST /u HTTP/1.1\r\n" H "Content-Type: " X512 "\r\n"
	                           "Upload-Concat: " X512 "\r\nContent-Length: 0\r\n\r\n";
	struct http_run *r = http_run_new(100);
	struct wr_http_req h[65];
	struct wr_http_out out;
	uint32_t n = 0, whole = 0;

	for (uint32_t i = 0; i < 65; i++) {
		struct wr_span in = { (const uint8_t *)head,
			              (const uint8_t *)head + sizeof(head) - 1, 0, NULL };
		const struct wr_http_head *d;

		wr_http_req_init(&h[i], r->t, &r->policy, WR_PROXY_OFF);
		if (wr_http_req_next(&r->lc, &h[i], &in, &out) != WR_HTTP_HEAD)
			continue;
		n++;
		d = wr_http_req_head(&h[i]);
		whole += wr_str_is(d->method, WR_STR("POST")) &&
		         wr_str_is(d->target, WR_STR("/u")) && wr_str_is(d->host, WR_STR("a")) &&
		         wr_str_is(d->content_type, WR_STR(X512)) &&
		         wr_str_is(d->upload_concat, WR_STR(X512));
	}
	IS(n, 64, "as many long heads at once as there are large buffers");
	IS(whole, 64, "all of each is kept");
	IS(out.reason, WR_R_HEADER_LIMIT, "one more is refused");
	OK(wr_counter_get(&r->stats.reason[WR_R_OVERLOAD]) > 0, "and counted as overload");
	for (uint32_t i = 0; i < 65; i++)
		wr_http_req_close(&h[i]);
	IS(wr_http_heads_free(r->t), 100, "every slot comes back");
	http_feed(r, head, sizeof(head) - 1, 1, WR_PROXY_OFF);
	OK(strcmp(r->log, "HE") == 0, "and every buffer: %s", r->log);
	http_run_free(r);
}

static void limits(struct http_run *r)
{
	static char big[80000];
	size_t n = 0;

	n += (size_t)snprintf(big, sizeof(big), POST);
	for (int i = 0; i < 99; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "X: y\r\n");
	snprintf(big + n, sizeof(big) - n, "\r\n");
	http_feed(r, big, n + 2, 0, WR_PROXY_OFF);
	OK(strcmp(r->log, "HE") == 0, "100 header lines: %s", r->log);
	snprintf(big + n, sizeof(big) - n, "X: y\r\n\r\n");
	http_feed(r, big, n + 8, 0, WR_PROXY_OFF);
	IS(r->reason, WR_R_HEADER_LIMIT, "101 header lines");
	for (int over = 0; over < 2; over++) {
		n = (size_t)snprintf(big, sizeof(big), POST "X: ");
		memset(big + n, 'a', 65536 - n - 4 + (size_t)over);
		memcpy(big + 65536 - 4 + over, "\r\n\r\n", 4);
		for (size_t cut = 0; cut < 2000; cut += 999) {
			http_feed(r, big, 65536 + (size_t)over, cut, WR_PROXY_OFF);
			IS(r->reason, over ? WR_R_HEADER_LIMIT : WR_R_NONE,
			   "head of 65536 + %d bytes", over);
		}
	}
}

int main(void)
{
	static const char nul[] = POST "X: a\0b\r\n\r\n";
	struct http_run *r = http_run_new(4);

	for (size_t i = 0; i < WR_COUNT_OF(row); i++)
		check(r, i, row[i].in != NULL ? row[i].in : nul,
		      row[i].in != NULL ? strlen(row[i].in) : sizeof(nul) - 1);
	observe(r);
	hold(r);
	limits(r);
	http_run_free(r);
	slots();
	larges();
	return tap_done();
}
