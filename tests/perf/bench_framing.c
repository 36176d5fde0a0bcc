/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What framing costs: http/ and body/ alone over whole requests in memory, in pieces of 1,460
 * bytes. Cycles are per byte on the wire, so that small chunks are charged for their size lines
 * too. The object bytes that come out are counted: a wrong number fails the bench.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "body/body.h"
#include "http/http.h"
#include "perf.h"

#define OBJECT (8u << 20)
#define WIRE   (80u << 20)
#define PIECE  1460u

static struct wr_stats stats;
static struct wr_lcore lc = { .now = 1000000000, .stats = &stats };
static uint8_t *object, *wire, *inner;

static size_t put(uint8_t *to, const char *text)
{
	memcpy(to, text, strlen(text));
	return strlen(text);
}

static size_t chunks(uint8_t *to, const uint8_t *p, size_t n, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i += size) {
		size_t k = n - i < size ? n - i : size;

		at += (size_t)sprintf((char *)to + at, "%zx\r\n", k);
		memcpy(to + at, p + i, k);
		at += k;
		at += put(to + at, "\r\n");
	}
	return at + put(to + at, "0\r\n\r\n");
}

static size_t parts(uint8_t *to, const uint8_t *p, size_t n, size_t count)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		at += put(to + at, "--bench7d1-x\r\nContent-Disposition: form-data; name=\"f\"; "
		                   "filename=\"x\"\r\n\r\n");
		memcpy(to + at, p + i * (n / count), n / count);
		at += n / count;
		at += put(to + at, "\r\n");
	}
	return at + put(to + at, "--bench7d1-x--\r\n");
}

static size_t request(const char *headers, const uint8_t *body, size_t n)
{
	size_t at = (size_t)sprintf((char *)wire,
	                            "PUT /b/k HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n",
	                            headers, n);

	memcpy(wire + at, body, n);
	return at + n;
}

static const struct bench {
	const char *name;
	int kind;
	size_t size;
} benches[] = {
	{ "framing/length", 0, 0 },         { "framing/chunked/65536", 1, 65536 },
	{ "framing/chunked/1", 1, 1 },      { "framing/aws/65536", 2, 65536 },
	{ "framing/aws/1", 2, 1 },          { "framing/form/1", 3, 1 },
	{ "framing/form/10000", 3, 10000 }, { "framing/form/1/dashes", 4, 1 },
	{ "framing/gzip", 5, 0 },
};

/* Builds the request; returns its length, *want the object bytes that must come out. */
static size_t build(const struct bench *b, uint64_t *want)
{
	static const char form[] = "Content-Type: multipart/form-data; boundary=bench7d1-x\r\n";
	uLongf z = WIRE;
	size_t n = b->size == 1 ? OBJECT / 4 : OBJECT, at;

	*want = n;
	switch (b->kind) {
	case 0: return request("", object, n);
	case 1:
		at = put(wire, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
		return at + chunks(wire + at, object, n, b->size);
	case 2:
		at = chunks(inner, object, n, b->size);
		return request("x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n",
		               inner, at);
	case 4:
		memset(object, '-', n);
		/* fall through */
	case 3:
		*want = n / b->size * b->size;
		return request(form, inner, parts(inner, object, n, b->size));
	default:
		for (size_t i = 0; i < n; i++)
			object[i] = (uint8_t)('a' + object[i] % 16);
		compress2(inner, &z, object, n, 6);
		*want = z + n;
		return request("Content-Encoding: deflate\r\n", inner, z);
	}
}

static uint64_t feed(struct wr_http *t, struct wr_body_pool *pool, size_t n)
{
	struct wr_http_req h;
	struct wr_http_out ho;
	struct wr_body_out bo;
	struct wr_body *b = NULL;
	enum wr_http_ev ev;
	enum wr_body_ev be;
	uint64_t got = 0;

	wr_http_req_init(&h, t, NULL, WR_PROXY_OFF);
	wr_body_turn(pool, UINT64_MAX);
	for (size_t i = 0; i < n; i += PIECE) {
		struct wr_span in = { wire + i, wire + (n - i < PIECE ? n : i + PIECE), i, NULL };

		while ((ev = wr_http_req_next(&lc, &h, &in, &ho)) != WR_HTTP_MORE) {
			struct wr_span s = { ho.body.p, ho.body.p + ho.body.len, ho.off, NULL };

			if (ev == WR_HTTP_BAD)
				return 0;
			if (ev == WR_HTTP_HEAD)
				wr_body_open(&lc, pool, wr_http_req_head(&h), NULL, &b);
			if (b == NULL)
				return 0;
			if (ev == WR_HTTP_BODY)
				while ((be = wr_body_next(&lc, b, &s, &bo)) != WR_BODY_MORE &&
				       be != WR_BODY_BAD)
					got += be == WR_BODY_DATA ? bo.piece.len : 0;
			if (ev == WR_HTTP_END) {
				while ((be = wr_body_end(&lc, b, &bo)) != WR_BODY_DONE)
					if (be == WR_BODY_BAD)
						return 0;
				wr_body_close(b);
			}
		}
	}
	wr_http_req_close(&h);
	return got;
}

int main(int argc, char **argv)
{
	static struct perf_case cases[WR_COUNT_OF(benches)];
	struct wr_http_conf hc = { .heads = 4 };
	struct wr_body_conf bc = { .bodies = 4, .multiparts = 4, .inflate = 2 };
	struct wr_http *t = wr_http_new(&hc);
	struct wr_body_pool *pool = wr_body_pool_new(&bc);
	double cpb[WR_COUNT_OF(benches)] = { 0 };
	struct perf_opts o;
	uint64_t seed = 7;
	size_t n = 0;

	perf_args(argc, argv, &o);
	object = malloc(OBJECT + 64);
	wire = malloc(WIRE + 65536);
	inner = malloc(WIRE);
	if (t == NULL || pool == NULL || object == NULL || wire == NULL || inner == NULL)
		return 1;
	printf("%-24s %10s %8s %8s\n", "case", "c/B wire", "Gbit/s", "/length");
	for (size_t i = 0; i < WR_COUNT_OF(benches); i++) {
		double x[PERF_REPEATS_MAX], g[PERF_REPEATS_MAX];
		struct perf_case *c = &cases[n];
		uint64_t want;
		size_t len;

		if (i > 0 && !perf_wants(&o, benches[i].name))
			continue;
		for (size_t k = 0; k < OBJECT; k += 8) {
			uint64_t r = perf_rand(&seed);

			memcpy(object + k, &r, 8);
		}
		len = build(&benches[i], &want);
		for (uint32_t k = 0; k < o.repeats; k++) {
			double ghz = perf_ghz(), ns = perf_cpu_ns();

			if (feed(t, pool, len) != want) {
				fprintf(stderr, "bench: %s gave other bytes\n", benches[i].name);
				return 1;
			}
			ns = perf_cpu_ns() - ns;
			x[k] = ns * ghz / (double)len;
			g[k] = (double)len * 8 / ns;
		}
		perf_case_init(c, benches[i].name);
		c->gbit = perf_stats(g, o.repeats);
		c->total_cpb = cpb[i] = perf_stats(x, o.repeats).median;
		/* Beside a pipeline that scans and digests at about 3 cycles a byte. */
		perf_case_extra(c, "times_pipeline", (3 + cpb[i]) / (3 + cpb[0]));
		printf("%-24s %10.2f %8.2f %8.2f\n", benches[i].name, cpb[i], c->gbit.median,
		       (3 + cpb[i]) / (3 + cpb[0]));
		n++;
	}
	return perf_write(&o, cases, n) == 0 ? 0 : 1;
}
