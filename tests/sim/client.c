/* SPDX-License-Identifier: BSD-3-Clause */
/* client - the client's application: reads responses, sends the next request when it is its time.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/world.h"

#define EXPECT_NS (1000 * MS) /* without a 100 Continue it sends the body all the same */

/* One whole response at h->parsed. */
static bool response(struct host *h)
{
	const uint8_t *b = h->in + h->parsed;
	uint32_t n = h->rcv - h->parsed, len = 0;
	const uint8_t *end = memmem(b, n, "\r\n\r\n", 4), *f;
	int status;

	if (end == NULL || n < 12)
		return false;
	end += 4;
	status = atoi((const char *)b + 9);
	f = memmem(b, (size_t)(end - b), "Content-Length: ", 16);
	if (f != NULL) {
		len = (uint32_t)atoi((const char *)f + 16);
	} else if (memmem(b, (size_t)(end - b), "chunked", 7) != NULL) {
		const uint8_t *last = memmem(end, (size_t)(b + n - end), "0\r\n\r\n", 5);

		if (last == NULL)
			return false;
		len = (uint32_t)(last + 5 - end);
	}
	if ((uint32_t)(end - b) + len > n)
		return false;
	h->parsed += (uint32_t)(end - b) + len;
	if (status == 100)
		h->continues++;
	else if (status >= 200 && status < 300)
		h->ok++;
	else
		h->refused++;
	return true;
}

void client_app(struct pair *p)
{
	struct host *h = &p->client;
	const struct plan *pl = &p->plan;
	uint32_t i = h->ok, limit = h->out_len;

	while (h->parsed < h->rcv && response(h))
		;
	i = h->ok;
	if (pl->in_turn && i < pl->requests)
		limit = pl->req[i].end;
	for (uint32_t k = 0; k < pl->requests; k++) {
		const struct request *q = &pl->req[k];

		if (!q->expect || h->continues > 0 || q->body >= limit || k < h->ok)
			continue;
		if (h->expect_at == 0 && h->nxt >= q->body)
			h->expect_at = sim.wire.now + EXPECT_NS;
		if (h->expect_at == 0 || sim.wire.now < h->expect_at)
			limit = q->body;
	}
	if (limit > h->limit)
		h->limit = limit;
	if (h->expect_at != 0 && (sim.wire.now >= h->expect_at || h->continues > 0))
		h->expect_at = 0, h->continues += h->continues == 0;
	if (h->refused > 0) /* it reads "Connection: close" and sends no more */
		h->limit = h->out_len = h->nxt;
	if (pl->half_close && h->limit == h->out_len)
		h->want_fin = true;
}
