/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: how TCP cut the store's bytes changes nothing: the same responses for the same requests.
 * Bytes 0-1: methods of the requests, two bits each; bytes 2-3: where to cut.
 */
#include <stdlib.h>

#include "http/http.h"

struct said {
	uint32_t n, slots;
	uint16_t what[256];
};

static void feed(struct wr_lcore *lc, struct wr_http *t, const uint8_t *data, size_t n, size_t at,
                 struct said *s)
{
	struct wr_http_resp r;
	struct wr_http_resp_out out;
	enum wr_http_rev ev = WR_HTTP_RESP_MORE;
	uint32_t raw = 0;

	memset(s, 0, sizeof(*s));
	wr_http_resp_init(&r, t);
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t m = (uint32_t)(data[0] << 8 | data[1]) >> 2 * i & 3;
		struct wr_http_head d = { .is_head = m == 1, .is_connect = m == 2 };

		if (m != 3)
			WR_ASSERT(wr_http_resp_push(lc, &r, &d));
	}
	data += 4;
	n -= 4;
	for (size_t i = 0; i < n && ev != WR_HTTP_RESP_BAD;) {
		size_t len = at == 0 ? 1 : i < at && at < n ? at - i : n - i;
		uint8_t *copy = malloc(len);
		struct wr_span in = { copy, copy + len, i, NULL };

		memcpy(copy, data + i, len);
		do {
			ev = wr_http_resp_next(lc, &r, &in, &out);
			if (ev == WR_HTTP_RESP_HEAD)
				WR_ASSERT(wr_http_resp_head(&r)->status == out.status);
			/* RAW is said once a span. */
			if (ev != WR_HTTP_RESP_MORE && s->n < 255 &&
			    !(ev == WR_HTTP_RESP_RAW && raw++))
				s->what[s->n++] = (uint16_t)(ev << 12 | out.status);
		} while (ev != WR_HTTP_RESP_MORE && ev != WR_HTTP_RESP_BAD);
		free(copy);
		i += len;
	}
	s->what[s->n] = (uint16_t)wr_http_resp_fin(lc, &r, &out);
	wr_http_resp_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct wr_stats stats;
	static struct wr_lcore lc = { .stats = &stats };
	static struct wr_http *t;
	static struct said whole, cut;
	struct wr_http_conf c = { .heads = 1 };

	if (t == NULL)
		t = wr_http_new(&c);
	if (n < 5 || n > 100000)
		return 0;
	feed(&lc, t, data, n, n, &whole);
	feed(&lc, t, data, n, (size_t)(data[2] << 8 | data[3]) % (n - 4), &cut);
	WR_ASSERT(memcmp(&whole, &cut, sizeof(whole)) == 0);
	return 0;
}
