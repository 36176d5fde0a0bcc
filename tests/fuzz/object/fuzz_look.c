/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a view's bytes say of themselves does not depend on how they were cut: type, end of the
 * format and findings are the same for one piece and for many. Where the end was found, every byte
 * before it belongs to the format and none behind it does.
 *
 * The first byte says how large the pieces are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "object/look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	struct wr_look look;
	uint64_t inside;
	uint32_t findings;
};

static void see(const uint8_t *p, size_t n, size_t piece, struct seen *s)
{
	uint8_t prefix[WR_SNIFF_BYTES];

	memset(s, 0, sizeof(*s));
	memset(prefix, 0xa5, sizeof(prefix)); /* what another object left there */
	for (size_t at = 0; at < n; at += piece) {
		uint32_t m = (uint32_t)(piece < n - at ? piece : n - at), in;
		uint8_t *copy = malloc(m); /* of its own: a byte beyond it is seen at once */

		WR_ASSERT(copy != NULL);
		memcpy(copy, p + at, m);
		in = wr_look_feed(&s->look, prefix, copy, m);
		WR_ASSERT(in <= m);
		/* Once a byte lay behind the end, none belongs to the format any more. */
		WR_ASSERT(in == 0 || s->inside == at);
		s->inside += in;
		free(copy);
	}
	wr_look_end(&s->look, prefix);
	s->findings = wr_look_findings(&s->look, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct seen whole, cut;

	if (n < 2)
		return 0;
	see(data + 1, n - 1, n - 1, &whole);
	see(data + 1, n - 1, 1 + data[0], &cut);
	WR_ASSERT(whole.look.type == cut.look.type);
	WR_ASSERT(whole.inside == cut.inside);
	WR_ASSERT(whole.findings == cut.findings);
	WR_ASSERT(whole.look.trim.state == cut.look.trim.state);
	/* RIFF says its end ahead, and may say more than there is. */
	if (whole.look.trim.state == WR_TRIM_ENDED)
		WR_ASSERT(whole.look.trim.end == cut.look.trim.end &&
		          whole.inside == wr_min_u64(whole.look.trim.end, n - 1));
	return 0;
}
