/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: the same bytes cut elsewhere give the same objects, in both views, with the same ends and
 * holds; and no slot, decoder or head is lost. Byte 0: bit 0 observes every reason, bit 1 gives
 * small turns; bytes 1-2: where to cut (0: single bytes). The rest is a client's stream.
 */
#include "body_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct body_run *r;
	uint64_t whole;
	size_t at;

	if (r == NULL)
		r = body_run_new(NULL);
	if (n < 4 || n > 65536)
		return 0;
	memset(r->policy.on_reason, data[0] & 1 ? WR_ON_INSPECT : WR_ON_BLOCK,
	       sizeof(r->policy.on_reason));
	at = (size_t)(data[1] << 8 | data[2]) % (n - 3);
	r->turn = 0;
	body_run(r, data + 3, n - 3, 0, 0);
	whole = body_run_signature(r);
	r->turn = data[0] & 2 ? 100 : 0;
	body_run(r, data + 3, n - 3, at == 0 ? 1 : 0, at);
	WR_ASSERT(body_run_signature(r) == whole);
	WR_ASSERT(wr_http_heads_free(r->t) == 4);
	return 0;
}
