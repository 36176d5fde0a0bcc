/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/object.h"

#include <string.h>

#include "base/ulid.h"

uint32_t wr_object_get(struct wr_pool *pool, struct wr_lcore *lc, uint32_t conn)
{
	uint32_t i = wr_pool_get(pool);
	struct wr_object *o;

	if (i == 0)
		return 0;
	o = wr_pool_at(pool, i);
	memset(o, 0, offsetof(struct wr_object, prefix));
	o->conn = conn;
	o->committed = WR_COMMITTED_NO;
	o->answered = 2;
	o->first_ns = o->last_ns = lc->now;
	wr_ulid_make(o->id, (lc->now + lc->real) / 1000000, wr_random(lc), wr_random(lc));
	wr_ulid_make(o->decision_id, (lc->now + lc->real) / 1000000, wr_random(lc), wr_random(lc));
	return i;
}

uint32_t wr_object_canary(const struct wr_object *o)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < sizeof(o->id); i++)
		h = (h ^ o->id[i]) * 0x100000001b3ull;
	return (uint32_t)((h >> 20) % 1000000u);
}

bool wr_object_complete(const struct wr_object *o)
{
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++) {
		const struct wr_view_state *v = &o->view[i];

		/* A trimmed view is only digested: the patterns have seen its bytes in its view. */
		if (v->used && (v->hashed != v->bytes || (i < WR_LOOKS && v->scanned != v->bytes)))
			return false;
	}
	return true;
}
