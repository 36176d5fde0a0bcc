/* SPDX-License-Identifier: BSD-3-Clause */
/* part - the header block of one part: what it is called, whether it is a file, how it is encoded.
 */
#include "body/int.h"

static bool is_token(struct wr_str s)
{
	for (uint32_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return s.len > 0;
}

/* First occurrence wins in some parsers, the last in others. */
static enum wr_reason once(struct wr_lcore *lc, struct wr_body *b, bool again)
{
	if (!again || wr_body_tolerates(lc, b, WR_R_MULTIPART_BAD))
		return WR_R_NONE;
	return WR_R_COUNT; /* refused and counted */
}

static enum wr_reason disposition(struct wr_lcore *lc, struct wr_body *b, struct multi *u,
                                  struct wr_str v)
{
	struct wr_body_meta *m = &u->meta;
	struct wr_str head = wr_param_head(&v);
	struct wr_param p;
	enum wr_reason why;
	int r;

	if (u->form && !wr_str_is(head, WR_STR("form-data")))
		return WR_R_MULTIPART_BAD;
	while ((r = wr_param_next(&v, &p)) == 1) {
		struct wr_str *to = wr_str_is(p.name, WR_STR("name"))        ? &m->name
		                    : wr_str_is(p.name, WR_STR("filename"))  ? &m->filename
		                    : wr_str_is(p.name, WR_STR("filename*")) ? &m->filename_ext
		                                                             : NULL;

		/* RFC 2231 pieces: joined by some parsers, ignored by others. */
		if (to == NULL && (wr_str_starts(p.name, WR_STR("filename*")) ||
		                   wr_str_starts(p.name, WR_STR("name*"))))
			return WR_R_MULTIPART_BAD;
		if (to == NULL)
			continue;
		why = once(lc, b, to->p != NULL || p.escaped);
		if (why != WR_R_NONE)
			return why;
		if (to->p == NULL)
			*to = p.value;
	}
	if (r < 0)
		return WR_R_MULTIPART_BAD;
	if (m->filename.p != NULL || m->filename_ext.p != NULL)
		u->is_file = 1;
	return WR_R_NONE;
}

static enum wr_reason encoding(struct multi *u, struct wr_str v)
{
	if (wr_str_is(v, WR_STR("base64")))
		u->cte = WR_CODING_BASE64;
	else if (wr_str_is(v, WR_STR("quoted-printable")))
		u->cte = WR_CODING_QP;
	else if (!wr_str_is(v, WR_STR("7bit")) && !wr_str_is(v, WR_STR("8bit")) &&
	         !wr_str_is(v, WR_STR("binary")))
		return WR_R_MULTIPART_BAD;
	return WR_R_NONE;
}

static enum wr_reason line(struct wr_lcore *lc, struct wr_body *b, struct multi *u)
{
	struct wr_str all = { u->head + u->line, (uint32_t)(u->nhead - u->line) }, name, v;
	uint8_t *seen;
	enum wr_reason why;

	name.p = all.p;
	for (name.len = 0; name.len < all.len && all.p[name.len] != ':';)
		name.len++;
	/* No colon, a space before it, a folded line: each is read in two ways. */
	if (name.len == all.len || !is_token(name))
		return WR_R_MULTIPART_BAD;
	v = wr_str_trim((struct wr_str){ all.p + name.len + 1, all.len - name.len - 1 });
	seen = wr_str_is(name, WR_STR("content-disposition"))         ? &u->has_disposition
	       : wr_str_is(name, WR_STR("content-type"))              ? &u->has_type
	       : wr_str_is(name, WR_STR("content-transfer-encoding")) ? &u->has_cte
	                                                              : NULL;
	if (seen == NULL)
		return WR_R_NONE;
	why = once(lc, b, *seen);
	if (why != WR_R_NONE || *seen)
		return why;
	*seen = 1;
	if (seen == &u->has_disposition)
		return disposition(lc, b, u, v);
	if (seen == &u->has_cte)
		return encoding(u, v);
	u->type = v;
	return WR_R_NONE;
}

enum wr_reason wr_part_line(struct wr_lcore *lc, struct wr_body *b, struct multi *u)
{
	return line(lc, b, u);
}

static struct multi *outer_of(const struct wr_body *b)
{
	for (uint32_t i = b->nlayers; i-- > 0;)
		if (b->layer[i].kind == L_MULTI)
			return multi_of(b, &b->layer[i]);
	return NULL;
}

/* A part that is itself multipart: recursed into when its boundary can be read; else it is a plain
 * file. */
static enum wr_reason nest(struct wr_lcore *lc, struct wr_body *b, struct multi *u)
{
	struct wr_str boundary;
	struct multi *o = outer_of(b);

	if (!wr_str_starts(u->type, WR_STR("multipart/")))
		return WR_R_NONE;
	if (wr_param_boundary(u->type, &boundary) <= 0)
		return WR_R_NONE;
	if (b->depth >= b->pool->conf.depth)
		return WR_R_MULTIPART_LIMIT;
	if (o != NULL && o->nfind == boundary.len + 2 &&
	    memcmp(o->delim + 4, boundary.p, boundary.len) == 0)
		return WR_R_MULTIPART_BAD;
	if (!wr_multi_push(b, boundary, false)) {
		wr_count(lc, WR_R_DECODER_BUDGET, 1);
		b->note = WR_R_DECODER_BUDGET;
		b->lost = 1;
		return WR_R_NONE;
	}
	u->meta.container = 1;
	b->depth++;
	return WR_R_NONE;
}

enum wr_reason wr_part_done(struct wr_lcore *lc, struct wr_body *b, struct multi *u)
{
	struct wr_str rest = u->type;
	enum wr_reason why;

	if (++b->nparts > WR_BODY_PARTS_MAX)
		return WR_R_MULTIPART_LIMIT;
	if (u->form && (!u->has_disposition || u->meta.name.p == NULL)) {
		why = once(lc, b, true);
		if (why != WR_R_NONE)
			return why;
	}
	u->is_file |= !u->form || u->has_type;
	u->meta.kind = u->is_file ? WR_BODY_FILE : WR_BODY_FIELD;
	u->meta.part = b->nparts;
	u->meta.depth = b->depth;
	if (u->has_type)
		u->meta.type = wr_param_head(&rest);
	if (u->cte != 0) {
		struct layer *l = wr_body_push(b, u->cte == WR_CODING_BASE64 ? L_BASE64 : L_QP);

		if (l == NULL)
			return WR_R_MULTIPART_LIMIT;
		u->meta.coding = u->cte;
		l->view = WR_VIEW_DECODED;
		l->obj = b->next_obj; /* what the part is about to get */
		return WR_R_NONE;
	}
	return nest(lc, b, u);
}
