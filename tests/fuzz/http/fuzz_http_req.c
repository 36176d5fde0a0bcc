/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: how TCP cut the client's bytes changes nothing: the same events, body, reason, hold,
 * counters and head. Byte 0: bit 0 observes every reason, bits 1-2 choose the PROXY mode; bytes
 * 1-2: where to cut.
 */
#include "http_run.h"

static void compare(const struct http_run *a, const struct http_run *b)
{
	WR_ASSERT(strcmp(a->log, b->log) == 0);
	WR_ASSERT(a->reason == b->reason && a->nbody == b->nbody && a->requests == b->requests);
	WR_ASSERT(memcmp(a->body, b->body, a->nbody) == 0);
	WR_ASSERT(a->hold == b->hold && a->hold_head == b->hold_head);
	WR_ASSERT(memcmp(a->stats.reason, b->stats.reason, sizeof(a->stats.reason)) == 0);
	WR_ASSERT(memcmp(&a->proxy, &b->proxy, sizeof(a->proxy)) == 0);
	WR_ASSERT(a->head.content_length == b->head.content_length &&
	          a->head.start == b->head.start && a->head.body == b->head.body &&
	          a->head.chunked == b->head.chunked && a->head.keep_alive == b->head.keep_alive &&
	          a->head.cut == b->head.cut && a->head.observed == b->head.observed &&
	          a->head.host.len == b->head.host.len &&
	          a->head.target.len == b->head.target.len &&
	          a->head.content_type.len == b->head.content_type.len);
	WR_ASSERT(wr_http_heads_free(a->t) == 2 && wr_http_heads_free(b->t) == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct http_run *whole, *cut;
	size_t at;

	if (whole == NULL) {
		whole = http_run_new(2);
		cut = http_run_new(2);
	}
	if (n < 4 || n > 100000)
		return 0;
	memset(whole->policy.on_reason, data[0] & 1 ? WR_ON_INSPECT : WR_ON_BLOCK,
	       sizeof(whole->policy.on_reason));
	cut->policy = whole->policy;
	memset(&whole->proxy, 0, sizeof(whole->proxy));
	memset(&cut->proxy, 0, sizeof(cut->proxy));
	at = (size_t)(data[1] << 8 | data[2]) % (n - 3);
	http_feed(whole, data + 3, n - 3, 0, data[0] >> 1 & 3);
	/* One cut, or single bytes. */
	http_feed_at(cut, data + 3, n - 3, at == 0 ? 1 : 0, at, data[0] >> 1 & 3);
	compare(whole, cut);
	return 0;
}
