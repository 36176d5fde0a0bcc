/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/conn.h"

struct out { /* a record under construction */
	uint8_t *p;
	uint32_t n;
	struct wr_record *r;
};

bool record_room(const struct wr_worker *w)
{
	const struct wr_ring *r = w->lc.records;
	uint64_t used;

	if (r == NULL)
		return true;
	used = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&r->head, memory_order_relaxed) -
	       atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&r->tail, memory_order_acquire);
	return used <= r->size &&
	       r->size - used > (w->promised + 1) * RECORD_ROOM + 2 * WR_RECORD_MAX;
}

static void field(struct out *o, enum wr_field_kind kind, const char *s, uint32_t len)
{
	static const uint16_t most[] = {
#define X(name, max) max,
		WR_FIELDS(X)
#undef X
	};
	uint16_t head[2];

	if (s == NULL)
		return;
	if (len > most[kind]) {
		len = most[kind];
		o->r->truncated |= (uint16_t)(1u << kind);
	}
	if (o->n + 4 + ((len + 3) & ~3u) > WR_RECORD_MAX) {
		o->r->truncated |= (uint16_t)(1u << kind);
		return;
	}
	head[0] = (uint16_t)kind;
	head[1] = (uint16_t)len;
	memcpy(o->p + o->n, head, 4);
	memcpy(o->p + o->n + 4, s, len);
	memset(o->p + o->n + 4 + len, 0, ((len + 3) & ~3u) - len);
	o->n += 4 + ((len + 3) & ~3u);
	o->r->nfields++;
}

/* False: it was cut. */
static bool copy_name(char *to, uint32_t size, const char *from)
{
	uint32_t n = 0;

	while (n + 1 < size && from[n] != '\0') {
		to[n] = from[n];
		n++;
	}
	memset(to + n, 0, size - n);
	return from[n] == '\0';
}

static void views(struct out *out, const struct wr_object *o)
{
	for (unsigned i = 0; i < WR_VIEW_COUNT; i++) {
		const struct wr_view_state *v = &o->view[i];
		struct wr_record_view rv = { .bytes = v->bytes, .digests = v->digests };

		if (!v->used)
			continue;
		rv.view = (uint8_t)i;
		rv.coding = v->coding;
		rv.coverage[WR_COV_RECEIVED] = v->bytes;
		rv.coverage[WR_COV_HASHED] = v->digested ? v->hashed : 0;
		rv.coverage[WR_COV_PATTERN] = v->scanned;
		memcpy(out->p + out->n, &rv, sizeof(rv));
		out->n += (uint32_t)sizeof(rv);
		out->r->nviews++;
	}
}

static void matches(struct out *out, const struct wr_object *o)
{
	for (unsigned i = 0; i < o->decision.nmatches && o->rs != NULL; i++) {
		const struct wr_match *m = &o->decision.match[i];
		const struct wr_item *it = m->kind == WR_MATCH_PATTERN
		                                   ? wr_ruleset_rule(o->rs, m->item)
		                                   : wr_ruleset_list(o->rs, m->item);
		struct wr_record_match rm = { 0 };

		/* The check of the artifact bounds both names: they fit. */
		(void)copy_name(rm.bundle, sizeof(rm.bundle), it->bundle);
		(void)copy_name(rm.item, sizeof(rm.item), it->id);
		if (m->kind != WR_MATCH_PATTERN)
			wr_ruleset_entry_name(o->rs, m->item, m->entry, rm.entry, sizeof(rm.entry));
		if (!copy_name(rm.category, sizeof(rm.category), it->category))
			out->r->truncated |= WR_CUT_CATEGORY;
		if (!copy_name(rm.basis, sizeof(rm.basis), it->basis))
			out->r->truncated |= WR_CUT_BASIS;
		rm.bundle_version = it->bundle_version;
		rm.offset = m->offset;
		rm.kind = m->kind;
		rm.algo = m->algo;
		rm.view = m->view;
		rm.mode = m->mode;
		rm.action = m->action;
		rm.applied = m->applied;
		rm.distance = m->distance;
		rm.transform = m->transform;
		memcpy(out->p + out->n, &rm, sizeof(rm));
		out->n += (uint32_t)sizeof(rm);
		out->r->nmatches++;
	}
}

/* Whose upload it is, and who said so. */
static void client_of(struct wr_worker *w, struct wr_record *r, const struct wr_object *o)
{
	uint32_t xff;

	memcpy(r->peer_ip, o->key.client, 16);
	memcpy(r->client_ip, o->key.client, 16);
	r->client_port = o->key.client_port;
	r->addr_source = o->proxy_source;
	if (o->proxy_source != WR_SRC_TCP) {
		memcpy(r->client_ip, o->proxy_src, 16);
		r->client_port = o->proxy_port;
	}
	if (o->head == NULL)
		return;
	xff = wr_http_xff(o->head->xff, o->head->xff_cut, &w->lc.conf->service[o->service],
	                  r->client_ip, &r->client_port);
	if (xff & WR_XFF_FOUND)
		r->addr_source = WR_SRC_XFF;
	if (xff & WR_XFF_BAD)
		wr_count(&w->lc, WR_R_XFF_BAD, 1);
}

static void fixed_part(struct wr_worker *w, struct wr_record *r, const struct wr_object *o)
{
	uint64_t real = w->lc.real;

	r->abi = WR_ABI_VERSION;
	memcpy(r->decision_id, o->decision_id, 16);
	memcpy(r->upload_id, o->id, 16);
	memcpy(r->object_id, o->object_id, 16);
	r->ts_ns = w->lc.now + real;
	r->first_byte_ns = o->first_ns + real;
	r->last_byte_ns = o->last_ns + real;
	r->verdict_ns = o->verdict_ns + real;
	r->hold_ns = o->release_ns > o->last_ns ? o->release_ns - o->last_ns : 0;
	r->bytes = o->bytes;
	r->last_byte_forwarded = o->forwarded;
	r->ruleset_generation = o->rs != NULL ? wr_ruleset_generation(o->rs) : 0;
	memcpy(r->store_ip, o->key.store, 16);
	r->store_port = o->key.store_port;
	client_of(w, r, o);
	r->worker = w->lc.id;
	r->reason = o->reason;
	r->framing_bits = o->framing_bits;
	r->kind = o->kind;
	r->verdict = o->decision.verdict;
	r->cause = o->decision.cause;
	r->action = o->decision.action;
	r->would = o->decision.would;
	r->committed = o->committed;
	r->answered = o->answered;
	r->partial_stored = o->partial;
	r->observe = o->observe;
	r->matches_cut = o->decision.matches_cut;
}

static void strings(struct wr_worker *w, struct out *out, const struct wr_object *o)
{
	const struct wr_http_head *h = o->head;
	const char *svc = w->lc.conf->service[o->service].name;

	field(out, WR_F_SERVICE, svc, (uint32_t)strlen(svc));
	if (o->filename[0] != '\0')
		field(out, WR_F_FILENAME, o->filename, (uint32_t)strlen(o->filename));
	if (o->type[0] != '\0')
		field(out, WR_F_TYPE, o->type, (uint32_t)strlen(o->type));
	if (o->part && o->declared[0] != '\0')
		field(out, WR_F_DECLARED_TYPE, o->declared, (uint32_t)strlen(o->declared));
	if (h == NULL)
		return;
	field(out, WR_F_PROTO, h->version_minor ? "http/1.1" : "http/1.0", 8);
	field(out, WR_F_METHOD, h->method.p, h->method.len);
	field(out, WR_F_HOST, h->host.p, h->host.len);
	if (!o->part)
		field(out, WR_F_DECLARED_TYPE, h->content_type.p, h->content_type.len);
	field(out, WR_F_PATH, h->target.p, h->target.len);
}

static bool write_one(struct wr_worker *w, struct wr_object *o)
{
	struct wr_record_bundle b[WR_RECORD_BUNDLES];
	struct out out;

	out.p = wr_ring_reserve(w->lc.records, WR_RECORD_MAX);
	if (out.p == NULL)
		return false;
	out.r = (struct wr_record *)(void *)out.p;
	memset(out.r, 0, sizeof(*out.r));
	out.n = (uint32_t)sizeof(*out.r);
	fixed_part(w, out.r, o);
	views(&out, o);
	matches(&out, o);
	if (o->rs != NULL) {
		uint32_t n = wr_ruleset_bundles(o->rs, b, WR_RECORD_BUNDLES);

		memcpy(out.p + out.n, b, n * sizeof(b[0]));
		out.n += (uint32_t)(n * sizeof(b[0]));
		out.r->nbundles = (uint16_t)n;
	}
	strings(w, &out, o);
	out.n = (out.n + 7) & ~7u;
	out.r->size = out.n;
	wr_ring_commit(w->lc.records, out.p, out.n, WR_RECORD_TAG);
	return true;
}

static void count_coverage(struct wr_worker *w, const struct wr_object *o)
{
	const struct wr_view_state *v = &o->view[WR_VIEW_RAW];
	unsigned f = framing_of(o->framing_bits);

	wr_counter_add(&w->lc.stats->upload_bytes[f], o->bytes);
	wr_counter_add(&w->lc.stats->coverage_bytes[WR_COV_RECEIVED], o->bytes);
	wr_counter_add(&w->lc.stats->coverage_bytes[WR_COV_HASHED], v->digested ? v->hashed : 0);
	wr_counter_add(&w->lc.stats->coverage_bytes[WR_COV_PATTERN], v->scanned);
}

void records_write(struct wr_worker *w)
{
	uint32_t waiting = 0;

	while (w->recs != 0) {
		uint32_t oi = w->recs;
		struct wr_object *o = wr_object_at(w->objects, oi);

		if (w->lc.records == NULL || !write_one(w, o)) {
			if (w->lc.records != NULL && w->lc.now - o->done_ns < RECORD_WAIT_NS) {
				waiting = 1;
				break;
			}
			wr_count(&w->lc, WR_R_RECORD_LOST, 1);
			tell_key(w, &o->key, WR_R_RECORD_LOST);
		} else {
			wr_counter_add(&w->lc.stats->records_written, 1);
		}
		count_coverage(w, o);
		w->recs = o->next;
		if (w->recs == 0)
			w->recs_tail = 0;
		object_free(w, oi);
	}
	wr_counter_set(&w->lc.stats->records_waiting, waiting);
}
