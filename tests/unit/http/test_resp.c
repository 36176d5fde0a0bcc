/* SPDX-License-Identifier: BSD-3-Clause */
/* Responses: paired with requests whatever frames their bodies. */
#include "http_run.h"
#include "tap.h"

static const struct {
	const char *name;
	const char *reqs; /* one letter each: g other, h HEAD, c CONNECT */
	const char *in;
	const char
	        *log; /* status digits/100 and i for interim, E end, R raw, X bad; F: after FIN */
} row[] = {
	/* clang-format off */
	{ "length", "g", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "2E" },
	{ "no body", "g", "HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", "2E" },
	{ "not modified", "g", "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", "3E" },
	{ "head", "hg", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", "2E4E" },
	{ "chunked", "gg", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: u\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\nx", "2E2E" },
	{ "close", "g", "HTTP/1.0 200 OK\r\n\r\nabcHTTP/1.1 200 OK", "2FE" },
	{ "continue", "g", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "1i1i2E" },
	{ "switching", "g", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n\x81\x00", "RR" },
	{ "connect", "c", "HTTP/1.1 200 OK\r\n\r\nabc", "RR" },
	{ "connect refused", "c", "HTTP/1.1 403 N\r\nContent-Length: 1\r\n\r\nx", "4E" },
	{ "lf only", "g", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "2E" },
	{ "nobody asked", "", "HTTP/1.1 408 T\r\n\r\n", "X" },
	{ "one too many", "g", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", "2EX" },
	{ "not http", "g", "hello\r\n\r\n", "X" },
	{ "two lengths", "g", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "X" },
	{ "cut off", "g", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", "2FX" },
	{ "bad chunk", "g", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz", "2X" },
	{ "chunked gzip body", "g", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nz", "2FE" },
	/* clang-format on */
};

static void say(char *log, char c)
{
	size_t n = strlen(log);

	if (n < 30)
		log[n] = c;
}

static enum wr_http_rev feed(struct http_run *r, struct wr_http_resp *h, const char *in, size_t n,
                             size_t cut, char *log)
{
	struct wr_http_resp_out out;
	enum wr_http_rev ev = WR_HTTP_RESP_MORE;

	for (size_t at = 0; at < n && ev != WR_HTTP_RESP_BAD;) {
		size_t len = cut == 0 || cut > n - at ? n - at : cut;
		struct wr_span s = { (const uint8_t *)in + at, (const uint8_t *)in + at + len, at,
			             NULL };

		do {
			ev = wr_http_resp_next(&r->lc, h, &s, &out);
			if (ev == WR_HTTP_RESP_HEAD) {
				say(log, (char)('0' + out.status / 100));
				if (out.interim)
					say(log, 'i');
				if (wr_http_resp_head(h)->status != out.status)
					say(log, '!');
			} else if (ev != WR_HTTP_RESP_MORE) {
				/* RAW is said once a span; the cut must not show in the log */
				if (ev != WR_HTTP_RESP_RAW || strcmp(log, "RR") != 0)
					say(log, "-?EXR"[ev]);
			}
		} while (ev != WR_HTTP_RESP_MORE && ev != WR_HTTP_RESP_BAD);
		at += len;
	}
	return ev;
}

int main(void)
{
	struct http_run *r = http_run_new(2);

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		for (size_t cut = 0; cut < 4; cut++) {
			struct wr_http_resp h;
			struct wr_http_resp_out out;
			char log[32] = "";
			int pushed = 1;

			wr_http_resp_init(&h, r->t);
			for (const char *c = row[i].reqs; *c != '\0'; c++) {
				struct wr_http_head d = { .is_head = *c == 'h',
					                  .is_connect = *c == 'c' };

				pushed &= wr_http_resp_push(&r->lc, &h, &d);
			}
			feed(r, &h, row[i].in, strlen(row[i].in), cut, log);
			if (strchr(row[i].log, 'F') != NULL) {
				enum wr_http_rev ev = wr_http_resp_fin(&r->lc, &h, &out);

				say(log, 'F');
				say(log, "-?EXR"[ev]);
			}
			OK(pushed && strcmp(log, row[i].log) == 0, "%s, cut %zu: %s", row[i].name,
			   cut, log);
			wr_http_resp_close(&h);
		}
	}
	{
		struct wr_http_resp h;
		struct wr_http_head d = { 0 };
		char log[32] = "";
		static const char tus[] =
		        "HTTP/1.1 201 C\r\nLocation: /files/7\r\nUpload-Offset: 5\r\n"
		        "Content-Length: 0\r\n\r\n";
		struct wr_span s = { (const uint8_t *)tus, (const uint8_t *)tus + strlen(tus), 0,
			             NULL };
		struct wr_http_resp_out out;

		wr_http_resp_init(&h, r->t);
		for (uint32_t i = 0; i < WR_HTTP_FIFO_MAX; i++)
			tap_bad += !wr_http_resp_push(&r->lc, &h, &d);
		OK(!wr_http_resp_push(&r->lc, &h, &d), "the fifo has a limit");
		IS(wr_counter_get(&r->stats.reason[WR_R_PIPELINE_LIMIT]), 1, "... with a counter");
		IS(wr_http_resp_next(&r->lc, &h, &s, &out), WR_HTTP_RESP_HEAD, "a head");
		OK(wr_str_is(wr_http_resp_head(&h)->location, WR_STR("/files/7")) &&
		           wr_str_is(wr_http_resp_head(&h)->upload_offset, WR_STR("5")),
		   "what resumable uploads need is kept");
		IS(wr_http_resp_next(&r->lc, &h, &s, &out), WR_HTTP_RESP_END, "its end");
		OK(wr_http_resp_push(&r->lc, &h, &d), "and there is room again");
		for (uint32_t i = 0; i < WR_HTTP_INTERIM_MAX; i++)
			feed(r, &h, "HTTP/1.1 100 C\r\n\r\n", 18, 0, log);
		IS(feed(r, &h, "HTTP/1.1 100 C\r\n\r\n", 18, 0, log), WR_HTTP_RESP_BAD,
		   "interim responses have a limit");
		wr_http_resp_close(&h);
	}
	http_run_free(r);
	return tap_done();
}
