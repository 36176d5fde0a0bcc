/* SPDX-License-Identifier: BSD-3-Clause */
#include "offline/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "digest/digest.h"
#include "object/object.h"
#include "scan/scan.h"
#include "verdict/verdict.h"

#define BUFFER_BYTES 65536u

struct wr_offline {
	struct wr_shard_store *store;
	struct wr_ruleset *rs;
	struct wr_scan *scan;
	struct wr_digest *digest;
	struct wr_stats *stats;
	struct wr_lcore lc;
	struct wr_policy policy;
	uint32_t canary;
	uint8_t buffer[BUFFER_BYTES];
};

/* As `weir config init` writes it: blocks what matches, and what was not seen whole. */
static void usual_policy(struct wr_policy *p)
{
	p->ceiling = WR_A_BLOCK;
	memset(p->on_cause, WR_A_BLOCK, sizeof(p->on_cause));
	for (unsigned i = 0; i < WR_C_COUNT; i++)
		if (strcmp(wr_cause_policy((enum wr_cause)i), "suspect") == 0)
			p->on_cause[i] = WR_A_FLAG;
	p->on_verdict[WR_V_MATCH] = WR_A_BLOCK;
	p->on_verdict[WR_V_SUSPECT] = WR_A_FLAG;
	p->on_verdict[WR_V_INCOMPLETE] = WR_A_BLOCK;
	p->on_verdict[WR_V_ERROR] = WR_A_BLOCK;
	p->on_verdict[WR_V_SKIPPED] = WR_A_FLAG;
}

int wr_offline_new(const struct wr_offline_conf *c, struct wr_offline **out, char *err, size_t size)
{
	struct wr_offline *o = calloc(1, sizeof(*o));
	int rc = -ENOMEM;

	*out = NULL;
	snprintf(err, size, "not enough memory");
	if (o == NULL)
		return rc;
	o->stats = aligned_alloc(WR_CACHE_LINE, sizeof(*o->stats));
	o->store = wr_shard_store_new();
	if (o->stats == NULL || o->store == NULL)
		goto fail;
	memset(o->stats, 0, sizeof(*o->stats));
	o->lc.stats = o->stats;
	o->canary = c->canary;
	usual_policy(&o->policy);
	rc = wr_ruleset_load(o->store, c->dir, c->meta, 1, c->region, &o->rs, err, size);
	if (rc != 0)
		goto fail;
	rc = -ENOMEM;
	o->scan = wr_scan_new(1, wr_ruleset_state_bytes(o->rs));
	if (o->scan == NULL)
		goto fail;
	rc = wr_scan_stage(o->scan, o->rs, err, size);
	if (rc != 0)
		goto fail;
	wr_scan_enter(o->scan);
	rc = -ENOMEM;
	o->digest = wr_digest_new(2, wr_digest_choose(WR_DIGEST_AUTO));
	if (o->digest == NULL)
		goto fail;
	*out = o;
	return 0;
fail:
	wr_offline_free(o);
	return rc;
}

void wr_offline_free(struct wr_offline *o)
{
	if (o == NULL)
		return;
	if (o->digest != NULL)
		wr_digest_free(o->digest);
	if (o->scan != NULL)
		wr_scan_free(o->scan);
	if (o->rs != NULL)
		wr_ruleset_free(o->rs);
	if (o->store != NULL)
		wr_shard_store_free(o->store);
	free(o->stats);
	free(o);
}

const struct wr_ruleset *wr_offline_ruleset(const struct wr_offline *o)
{
	return o->rs;
}

struct slots {
	uint32_t stream, digest, trimmed; /* trimmed: a digest up to the format's end */
	bool sniffed;                     /* or told by the job, whatever the bytes say */
	struct wr_look look;
	uint8_t prefix[WR_SNIFF_BYTES];
};

static void set_type(struct wr_offline *o, struct slots *s, const char *media,
                     struct wr_offline_result *out)
{
	s->sniffed = true;
	snprintf(out->type, sizeof(out->type), "%s", media == NULL ? "" : media);
	if (s->stream != 0)
		(void)wr_scan_type(&o->lc, o->scan, s->stream, media);
}

/* As worker/ does it: behind the end of a format the digests fork. */
static void digest_piece(struct wr_offline *o, struct slots *s, const struct wr_piece *piece,
                         uint32_t in)
{
	struct wr_piece part = *piece;

	if (s->digest == 0)
		return;
	part.len = in;
	wr_digest_feed(&o->lc, o->digest, s->digest, &part);
	if (in == piece->len)
		return;
	if (s->trimmed == 0)
		s->trimmed = wr_digest_fork(&o->lc, o->digest, s->digest);
	part.p += in;
	part.len = piece->len - in;
	wr_digest_feed(&o->lc, o->digest, s->digest, &part);
}

static void feed(struct wr_offline *o, struct slots *s, const uint8_t *p, uint32_t n,
                 struct wr_offline_result *out)
{
	struct wr_scan_job job = { .stream = s->stream, .piece = { .p = p, .len = n } };
	uint32_t in = wr_look_feed(&s->look, s->prefix, p, n);

	if (!s->sniffed && s->look.type != NULL)
		set_type(o, s, s->look.type->media, out);
	if (s->stream != 0)
		wr_scan_burst(&o->lc, o->scan, &job, 1);
	out->failed |= job.failed;
	digest_piece(o, s, &job.piece, in);
	out->bytes += n;
}

/* A short read is not the end: a pipe gives what it has, and the cut must not depend on that. */
static ssize_t fill(int fd, uint8_t *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t k = read(fd, p + have, n - have);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		have += (size_t)k;
	}
	return (ssize_t)have;
}

static void read_all(struct wr_offline *o, struct slots *s, int fd, uint64_t cut,
                     struct wr_offline_result *out)
{
	uint64_t piece = cut == 0 ? BUFFER_BYTES : cut, left = piece;

	for (;;) {
		ssize_t n = fill(fd, o->buffer, BUFFER_BYTES);

		if (n < 0)
			out->io_error = (int32_t)n;
		if (n <= 0)
			return;
		for (uint32_t at = 0; at < (uint32_t)n;) {
			uint32_t take = (uint32_t)wr_min_u64(left, (uint32_t)n - at);

			feed(o, s, o->buffer + at, take, out);
			at += take;
			left = left == take ? piece : left - take;
		}
	}
}

static void finish_digest(struct wr_offline *o, uint32_t slot, struct wr_digests *out)
{
	uint32_t done;

	if (slot == 0)
		return;
	wr_digest_end(&o->lc, o->digest, slot);
	while (wr_digest_done(o->digest, &done, 1) == 0)
		wr_digest_run(&o->lc, o->digest);
	wr_digest_result(o->digest, slot, out);
	wr_digest_close(o->digest, slot);
}

static void look_up(struct wr_offline *o, const struct wr_digests *d, enum wr_view view,
                    struct wr_offline_result *out)
{
	uint32_t n = wr_ruleset_lookup(o->rs, d, out->match + out->nmatches,
	                               WR_OFFLINE_MATCHES - out->nmatches);

	while (n-- > 0)
		out->match[out->nmatches++].view = (uint8_t)view;
}

static void gather(struct wr_offline *o, const struct slots *s, struct wr_offline_result *out)
{
	const struct wr_hit *hit;
	bool more = false;
	uint32_t n = s->stream != 0 ? wr_scan_hits(o->scan, s->stream, &hit, &more) : 0;
	struct wr_digests trimmed;

	for (uint32_t i = 0; i < n && out->nmatches < WR_OFFLINE_MATCHES; i++)
		out->match[out->nmatches++] = (struct wr_match){ .item = hit[i].rule,
			                                         .offset = hit[i].offset,
			                                         .kind = WR_MATCH_PATTERN };
	finish_digest(o, s->digest, &out->digests);
	look_up(o, &out->digests, WR_VIEW_RAW, out);
	if (s->trimmed != 0) {
		finish_digest(o, s->trimmed, &trimmed);
		look_up(o, &trimmed, WR_VIEW_TRIMMED, out);
	}
	out->more = more || out->nmatches == WR_OFFLINE_MATCHES;
}

static const struct wr_item *item_of(const struct wr_offline *o, const struct wr_match *m)
{
	return m->kind == WR_MATCH_PATTERN ? wr_ruleset_rule(o->rs, m->item)
	                                   : wr_ruleset_list(o->rs, m->item);
}

/* Is a deny match exempt by an allow match of the same owner and bundle? */
static bool exempt(const struct wr_offline *o, const struct wr_offline_result *r,
                   const struct wr_item *deny, uint8_t view)
{
	for (uint32_t i = 0; i < r->nmatches; i++) {
		const struct wr_item *a = item_of(o, &r->match[i]);

		if (r->match[i].kind != WR_MATCH_PATTERN && a->allow && a->mode != WR_ITEM_OFF &&
		    (r->match[i].view == WR_VIEW_RAW || r->match[i].view == view) &&
		    a->owner == deny->owner && strcmp(a->bundle, deny->bundle) == 0)
			return true;
	}
	return false;
}

/* What the tests of a bundle compare: the finding, whatever stage its items are in. */
static uint8_t found(const struct wr_offline *o, const struct wr_offline_result *r)
{
	uint8_t v = WR_V_CLEAN;

	if (r->failed || r->io_error != 0)
		return WR_V_ERROR;
	for (uint32_t i = 0; i < r->nmatches; i++) {
		const struct wr_item *it = item_of(o, &r->match[i]);

		if (it->mode == WR_ITEM_OFF || it->allow ||
		    (r->match[i].kind != WR_MATCH_PATTERN && exempt(o, r, it, r->match[i].view)))
			continue;
		if (it->action == WR_A_BLOCK)
			return WR_V_MATCH;
		if (it->action == WR_A_FLAG)
			v = WR_V_SUSPECT;
	}
	return v;
}

void wr_offline_scan(struct wr_offline *o, int fd, uint64_t cut, const char *type,
                     struct wr_offline_result *out)
{
	uint32_t algos = wr_ruleset_algos(o->rs);
	struct slots s = { 0 };
	struct wr_evidence ev;
	struct timespec ts;

	memset(out, 0, sizeof(*out));
	clock_gettime(CLOCK_REALTIME, &ts);
	s.stream = wr_scan_open(&o->lc, o->scan, o->rs);
	/* All three, also those that no list asks for: the output is used to make lists. */
	s.digest =
	        wr_digest_open(&o->lc, o->digest, algos | WR_HAS_MD5 | WR_HAS_SHA1 | WR_HAS_SHA256);
	if (type != NULL)
		set_type(o, &s, type, out);
	read_all(o, &s, fd, cut, out);
	wr_look_end(&s.look, s.prefix);
	if (!s.sniffed)
		set_type(o, &s, s.look.type == NULL ? NULL : s.look.type->media, out);
	if (s.stream != 0)
		(void)wr_scan_end(&o->lc, o->scan, s.stream);
	gather(o, &s, out);
	out->scanned = s.stream != 0 ? wr_scan_bytes(o->scan, s.stream) : 0;
	out->failed |= s.digest == 0 || out->io_error != 0;
	ev = (struct wr_evidence){
		.rs = o->rs,
		.policy = &o->policy,
		.match = out->match,
		.nmatches = out->nmatches,
		.causes = (out->failed ? 1u << WR_C_ENGINE : 0) | wr_look_findings(&s.look, true),
		.canary = o->canary,
		.now_s = (uint64_t)ts.tv_sec,
		.complete = !out->failed && (s.stream == 0 || out->scanned == out->bytes),
		.matches_cut = out->more,
	};
	wr_verdict_decide(&ev, &out->decision);
	out->found = found(o, out);
	if (s.stream != 0)
		wr_scan_close(&o->lc, o->scan, s.stream);
}
