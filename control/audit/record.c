/* SPDX-License-Identifier: BSD-3-Clause */
/* A slot becomes a record only when every length in it holds. */
#include "audit/audit.h"

#include "abi/stats.h"

#include <errno.h>
#include <string.h>

static bool enums_ok(const struct wr_record *r)
{
	return r->kind <= WR_REC_OBJECT && r->verdict < WR_V_COUNT && r->cause < WR_C_COUNT &&
	       r->action < WR_A_COUNT && r->would < WR_A_COUNT &&
	       r->committed <= WR_COMMITTED_UNKNOWN && r->addr_source <= WR_SRC_XFF &&
	       r->reason < WR_R_COUNT && r->framing_bits < 1u << WR_FRAMING_COUNT &&
	       r->worker < WR_WORKERS_MAX;
}

static bool arrays_ok(const struct wr_record_parts *p)
{
	for (uint16_t i = 0; i < p->rec->nviews; i++)
		if (p->view[i].view >= WR_VIEW_COUNT || p->view[i].coding > WR_CODING_SEVERAL)
			return false;
	for (uint16_t i = 0; i < p->rec->nmatches; i++) {
		const struct wr_record_match *m = &p->match[i];

		if (m->kind > WR_MATCH_PDQ || m->algo >= WR_ALGO_COUNT ||
		    m->view >= WR_VIEW_COUNT || m->mode > WR_ITEM_ENFORCE ||
		    m->action >= WR_A_COUNT)
			return false;
	}
	return true;
}

static int split_fields(const char *at, const char *end, uint16_t nfields,
                        struct wr_record_parts *out)
{
	for (uint16_t i = 0; i < nfields; i++) {
		uint16_t kind, len;

		if (end - at < 4)
			return -EPROTO;
		memcpy(&kind, at, 2);
		memcpy(&len, at + 2, 2);
		at += 4;
		if (kind >= WR_F_COUNT || out->field[kind].p != NULL || ((len + 3) & ~3) > end - at)
			return -EPROTO;
		out->field[kind].p = at;
		out->field[kind].len = len;
		at += (len + 3) & ~3;
	}
	/* The slot is padded to 8, fields only to 4. */
	return end - at < 8 ? 0 : -EPROTO;
}

int wr_record_split(const void *slot, uint32_t n, struct wr_record_parts *out)
{
	const struct wr_record *r = slot;
	const char *at = slot;
	uint64_t fixed;

	memset(out, 0, sizeof(*out));
	if (n < sizeof(*r) || n > WR_RECORD_MAX || r->size != n || r->abi != WR_ABI_VERSION)
		return -EPROTO;
	if (r->nviews > WR_RECORD_VIEWS || r->nmatches > WR_RECORD_MATCHES ||
	    r->nbundles > WR_RECORD_BUNDLES || r->nfields > WR_F_COUNT || !enums_ok(r))
		return -EPROTO;
	fixed = sizeof(*r) + r->nviews * sizeof(struct wr_record_view) +
	        r->nmatches * sizeof(struct wr_record_match) +
	        r->nbundles * sizeof(struct wr_record_bundle);
	if (fixed > n)
		return -EPROTO;
	out->rec = r;
	out->view = (const void *)(at + sizeof(*r));
	out->match = (const void *)(out->view + r->nviews);
	out->bundle = (const void *)(out->match + r->nmatches);
	if (!arrays_ok(out))
		return -EPROTO;
	return split_fields(at + fixed, at + n, r->nfields, out);
}
