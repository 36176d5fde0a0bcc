/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Laws of what decides about an object in several requests:
 *   part lists    how they are cut changes nothing; numbers rise; what is told fits its limits
 *   heads         a piece has a key or is only recognised; its numbers are in range; a target and
 * the same one behind a host have one key
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resume/resume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct wr_mix_key K = { { 1, 2, 3, 4 } };

static uint64_t list(const uint8_t *data, size_t n, size_t step)
{
	struct wr_plist l = { 0 };
	uint64_t sum = 0;
	uint32_t last = 0;

	for (size_t at = 0; at < n; at += step) {
		const uint8_t *p = data + at, *end = data + (at + step < n ? at + step : n);
		enum wr_plist_ev ev;

		while ((ev = wr_plist_next(&l, &p, end)) == WR_PLIST_PART) {
			WR_ASSERT(l.number > last && l.number <= WR_RESUME_PARTS_MAX &&
			          l.ntext <= sizeof(l.text));
			last = l.number;
			for (uint32_t i = 0; i < l.ntext; i++)
				sum = sum * 31 + (uint8_t)l.text[i];
			sum = sum * 131 + l.number;
		}
		WR_ASSERT(p <= end);
		if (ev == WR_PLIST_BAD)
			return sum * 2 + 1;
	}
	return sum * 4 + (wr_plist_done(&l) ? 2 : 0);
}

static struct wr_str take(const uint8_t **p, const uint8_t *end)
{
	const uint8_t *from = *p;
	struct wr_str s = { NULL, 0 };

	while (*p < end && **p != '\n')
		(*p)++;
	if (*p > from)
		s = (struct wr_str){ (const char *)from, (uint32_t)(*p - from) };
	if (*p < end)
		(*p)++;
	return s;
}

static void head(const uint8_t *data, size_t n)
{
	const uint8_t *end = data + n;
	struct wr_http_head h = { .has_length = 1 };
	struct wr_up u, v;
	char far[4096];
	uint64_t key[2];

	h.has_body = data < end && (*data & 1);
	h.content_length = h.has_body ? 5 : 0;
	h.method = take(&data, end);
	h.target = take(&data, end);
	if (h.method.p == NULL || h.target.p == NULL || h.target.len > 3072)
		return;
	h.tus_resumable = take(&data, end);
	h.upload_offset = take(&data, end);
	h.upload_length = take(&data, end);
	h.content_range = take(&data, end);
	h.upload_concat = take(&data, end);
	h.method_override = take(&data, end);
	h.goog_command = take(&data, end);
	h.goog_offset = take(&data, end);
	wr_up_classify(&h, &K, &u);
	WR_ASSERT(u.proto <= WR_UP_RANGE && u.part <= WR_RESUME_PARTS_MAX);
	WR_ASSERT(u.proto <= WR_UP_OTHER || u.keyed || u.op == WR_UP_CREATE || u.op == WR_UP_FINAL);
	WR_ASSERT(!u.keyed || u.key[1] != 0);
	WR_ASSERT(u.op != WR_UP_PART || u.offset < 1ull << 62);
	for (uint32_t i = 0; i < 4; i++)
		(void)wr_up_concat(&h, i, &K, key);
	(void)wr_up_location(&h, WR_UP_TUS, h.upload_concat, &K, key);
	if (h.target.p[0] != '/')
		return;
	memcpy(far, "http://h", 8);
	memcpy(far + 8, h.target.p, h.target.len);
	h.target = (struct wr_str){ far, h.target.len + 8 };
	wr_up_classify(&h, &K, &v);
	WR_ASSERT(v.proto == u.proto && v.op == u.op && v.key[0] == u.key[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	if (data[0] & 1)
		head(data + 1, n - 1);
	else
		WR_ASSERT(list(data + 2, n - 2, n) == list(data + 2, n - 2, 1u + data[1] % 7u));
	return 0;
}
