/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of one view go to its scanners; on the way they say what they are.
 */
#include "worker/conn.h"

#define ALL_DIGESTS (WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256)

static void own_digest(struct wr_worker *w, uint32_t slot, uint32_t oi, unsigned which)
{
	w->digest_owner[slot] = oi * WR_VIEW_COUNT + which;
}

void view_open(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which)
{
	struct wr_view_state *v = &o->view[which];

	v->used = 1;
	v->stream = wr_scan_open(&w->lc, w->scan, o->rs);
	v->digest = wr_digest_open(&w->lc, w->digest, ALL_DIGESTS);
	if (v->digest != 0)
		own_digest(w, v->digest, oi, which);
	if ((v->stream == 0 && wr_ruleset_ngroups(o->rs) != 0) || v->digest == 0)
		wr_object_cause(o, WR_C_BUDGET);
}

/* Tells the pattern scan what the view is, so that rules for other types fall away. */
static void type_told(struct wr_worker *w, struct wr_object *o, unsigned which)
{
	const struct wr_type *t = o->look[which].type;
	struct wr_view_state *v = &o->view[which];

	/* What readers will see is the decoded view, where there is one. */
	if (t != NULL && (which == WR_VIEW_DECODED || o->type[0] == '\0'))
		strncpy(o->type, t->media, sizeof(o->type) - 1);
	if (v->stream != 0 &&
	    wr_scan_type(&w->lc, w->scan, v->stream, t != NULL ? t->media : NULL) != 0)
		o->has_hits = 1;
}

/*
 * The format has ended, and here is a byte that lies behind it: the digests up to the end stand in
 * a slot of their own from now on, and no byte is digested twice. Most objects end with their
 * format and never come here.
 */
static void trim_here(struct wr_worker *w, struct wr_object *o, uint32_t oi, unsigned which)
{
	const struct wr_view_state *v = &o->view[which];
	struct wr_view_state *t = &o->view[which + WR_LOOKS];

	t->used = 1;
	t->coding = v->coding;
	t->bytes = o->look[which].trim.end;
	if (v->digest == 0)
		return; /* the object is incomplete:budget already */
	WR_DCHECK(v->hashed == t->bytes);
	t->digest = wr_digest_fork(&w->lc, w->digest, v->digest);
	if (t->digest == 0) {
		wr_object_cause(o, WR_C_BUDGET);
		return;
	}
	own_digest(w, t->digest, oi, which + WR_LOOKS);
	t->hashed = t->bytes;
	wr_digest_end(&w->lc, w->digest, t->digest);
}

static void digest_bytes(struct wr_worker *w, struct wr_view_state *v, const struct wr_piece *piece,
                         uint32_t from, uint32_t n)
{
	struct wr_piece part = *piece;

	if (v->digest == 0 || n == 0)
		return;
	part.p += from;
	part.len = n;
	wr_digest_feed(&w->lc, w->digest, v->digest, &part);
	v->hashed += n;
}

void view_bytes(struct wr_worker *w, struct wr_object *o, uint32_t oi, enum wr_view which,
                const struct wr_piece *piece)
{
	struct wr_view_state *v = &o->view[which];
	struct wr_look *k = &o->look[which];
	bool told = k->told;
	uint32_t in = wr_look_feed(k, o->prefix[which], piece->p, piece->len);

	v->bytes += piece->len;
	if (!told && k->told)
		type_told(w, o, which);
	digest_bytes(w, v, piece, 0, in);
	if (in < piece->len) {
		if (!o->view[which + WR_LOOKS].used)
			trim_here(w, o, oi, which);
		digest_bytes(w, v, piece, in, piece->len - in);
	}
	if (wr_ruleset_ngroups(o->rs) == 0) {
		v->scanned += piece->len; /* no rule is on: every rule has seen it */
		return;
	}
	if (v->stream == 0)
		return;
	if (w->njobs == JOBS)
		jobs_flush(w);
	w->job[w->njobs] = (struct wr_scan_job){ .stream = v->stream, .piece = *piece };
	w->job_obj[w->njobs++] = oi * WR_VIEW_COUNT + which;
	v->scanned += piece->len;
}

/* The name that the object will have: a form part's own, or what a PUT calls it. */
static struct wr_str name_of(const struct wr_object *o, char *to, uint32_t size)
{
	if (o->filename[0] != '\0')
		return (struct wr_str){ o->filename, (uint32_t)strlen(o->filename) };
	if (o->part || o->head == NULL || !wr_str_is(o->head->method, WR_STR("PUT")))
		return (struct wr_str){ NULL, 0 };
	return wr_look_name(o->head->target, to, size);
}

/* What is odd about the type: findings of `suspect`. A piece of an object has no type of its own.
 */
static void findings(struct wr_object *o)
{
	bool whole = o->causes == 0;
	unsigned inner = o->view[WR_VIEW_DECODED].used ? WR_VIEW_DECODED : WR_VIEW_RAW;
	const struct wr_look *k = &o->look[inner];
	char name[64];

	if (o->partial && o->kind != WR_REC_OBJECT)
		return;
	for (unsigned i = 0; i < WR_LOOKS; i++)
		if (o->view[i].used)
			o->causes |= wr_look_findings(&o->look[i], whole);
	/* What did not decode is not what was declared; its verdict is `incomplete` anyway. */
	if (k->type != NULL && whole &&
	    wr_type_mismatch(k->type, (struct wr_str){ o->declared, (uint32_t)strlen(o->declared) },
	                     name_of(o, name, sizeof(name))))
		wr_object_cause(o, WR_C_TYPE_MISMATCH);
}

void views_end(struct wr_worker *w, struct wr_object *o)
{
	for (unsigned i = 0; i < WR_LOOKS; i++) {
		struct wr_view_state *v = &o->view[i];
		bool told = o->look[i].told;

		if (!v->used)
			continue;
		wr_look_end(&o->look[i], o->prefix[i]);
		if (!told)
			type_told(w, o, i);
		if (v->stream != 0)
			wr_scan_end(&w->lc, w->scan, v->stream);
		if (v->digest != 0)
			wr_digest_end(&w->lc, w->digest, v->digest);
	}
	findings(o);
}

void view_digested(struct wr_worker *w, struct wr_object *o, unsigned which)
{
	struct wr_view_state *v = &o->view[which];

	wr_digest_result(w->digest, v->digest, &v->digests);
	v->digested = 1;
	if (which >= WR_LOOKS) { /* ended long before its object, perhaps: others need the slot */
		wr_digest_close(w->digest, v->digest);
		v->digest = 0;
	}
}
