/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classify - what a request is to an object that comes in several: from its head alone.
 *
 * Keys are made from what the client says, cleaned of what servers ignore (percent encoding, empty
 * and dot segments), so that one upload has one key. Two readings of a key are never joined: what
 * is not found again is a gap, and a gap is not clean.
 */
#include <string.h>

#include "resume/resume.h"

#define PATH_MAX_ 4096u

static bool is(const struct wr_str *s, const char *w)
{
	return s->p != NULL && s->len == strlen(w) && memcmp(s->p, w, s->len) == 0;
}

static bool has(struct wr_str s, const char *w)
{
	return s.p != NULL && memmem(s.p, s.len, w, strlen(w)) != NULL;
}

bool wr_up_number(struct wr_str s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.p == NULL || s.len == 0 || s.len > 18)
		return false;
	for (uint32_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = n;
	return true;
}

/* --- keys
 * ------------------------------------------------------------------------------------------ */

static int hexval(char c)
{
	char l = wr_lower(c);

	return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* Percent-decoded; at most `max` bytes. */
static uint32_t unescape(struct wr_str s, char *to, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s.len && n < max; i++) {
		if (s.p[i] == '%' && i + 2 < s.len && hexval(s.p[i + 1]) >= 0 &&
		    hexval(s.p[i + 2]) >= 0) {
			to[n++] = (char)(hexval(s.p[i + 1]) * 16 + hexval(s.p[i + 2]));
			i += 2;
		} else {
			to[n++] = s.p[i];
		}
	}
	return n;
}

/* Empty, `.` and `..` segments resolved in place, no slash at the end. */
static uint32_t clean(char *p, uint32_t n)
{
	uint32_t out = 0, i = 0;

	while (i < n) {
		uint32_t from, len;

		while (i < n && p[i] == '/')
			i++;
		from = i;
		while (i < n && p[i] != '/')
			i++;
		len = i - from;
		if (len == 0 || (len == 1 && p[from] == '.'))
			continue;
		if (len == 2 && p[from] == '.' && p[from + 1] == '.') {
			while (out > 0 && p[--out] != '/')
				;
			continue;
		}
		p[out++] = '/';
		memmove(p + out, p + from, len);
		out += len;
	}
	return out;
}

/* `what` keeps the protocols apart; text is padded to words behind its length. */
static void key_of(const struct wr_mix_key *k, uint8_t what, char *text, uint32_t n,
                   uint64_t key[2])
{
	struct wr_mix_key other = { { k->k[2], k->k[3], k->k[0], k->k[1] } };
	uint32_t words = (n + 2 + 7) & ~7u;

	memset(text + n, 0, words - n);
	text[words - 1] = (char)what;
	key[0] = wr_mix_hash(k, text, words);
	key[1] = wr_mix_hash(&other, text, words) | 1; /* never zero: zero is no key */
}

/* Path of an absolute or an origin-form target, without its query. */
static struct wr_str path_of(struct wr_str t)
{
	uint32_t i = 0;

	if (wr_str_starts(t, WR_STR("http://")) || wr_str_starts(t, WR_STR("https://"))) {
		i = t.p[4] == ':' ? 7 : 8;
		while (i < t.len && t.p[i] != '/' && t.p[i] != '?')
			i++;
		t = (struct wr_str){ t.p + i, t.len - i };
	}
	for (i = 0; i < t.len && t.p[i] != '?' && t.p[i] != '#';)
		i++;
	t.len = i;
	return t;
}

static void key_by_path(const struct wr_mix_key *k, uint8_t proto, struct wr_str target,
                        uint64_t total, uint64_t key[2])
{
	char buf[PATH_MAX_ + 32];
	uint32_t n = clean(buf, unescape(path_of(target), buf, PATH_MAX_));

	if (proto == WR_UP_RANGE) {
		memcpy(buf + n, &total, 8);
		n += 8;
	}
	key_of(k, proto, buf, n, key);
}

static void key_by_id(const struct wr_mix_key *k, uint8_t proto, struct wr_str id, uint64_t key[2])
{
	char buf[PATH_MAX_ + 32];

	key_of(k, proto, buf, unescape(id, buf, PATH_MAX_), key);
}

bool wr_up_location(const struct wr_http_head *h, uint8_t proto, struct wr_str loc,
                    const struct wr_mix_key *k, uint64_t key[2])
{
	char buf[PATH_MAX_];
	struct wr_str id, base = path_of(h->target);
	uint32_t n = base.len;

	if (loc.p == NULL || loc.len == 0)
		return false;
	if (proto == WR_UP_GCS) {
		if (wr_str_query(loc, WR_STR("upload_id"), &id) != 1 || id.len == 0)
			return false;
		key_by_id(k, proto, id, key);
		return true;
	}
	if (loc.p[0] == '/' || has(loc, "://")) {
		key_by_path(k, proto, loc, 0, key);
		return true;
	}
	/* Relative to the folder that the request went to, RFC 3986 5.2.3. */
	while (n > 0 && base.p[n - 1] != '/')
		n--;
	if (n + loc.len > sizeof(buf))
		return false;
	memcpy(buf, base.p, n);
	memcpy(buf + n, loc.p, loc.len);
	key_by_path(k, proto, (struct wr_str){ buf, n + loc.len }, 0, key);
	return true;
}

bool wr_up_concat(const struct wr_http_head *h, uint32_t n, const struct wr_mix_key *k,
                  uint64_t key[2])
{
	struct wr_str s = h->upload_concat;
	uint32_t i = 0;

	while (i < s.len && s.p[i] != ';')
		i++;
	for (;; n--) {
		uint32_t from;

		while (i < s.len && (s.p[i] == ';' || s.p[i] == ' '))
			i++;
		from = i;
		while (i < s.len && s.p[i] != ' ')
			i++;
		if (i == from)
			return false;
		if (n == 0)
			return wr_up_location(h, WR_UP_TUS, (struct wr_str){ s.p + from, i - from },
			                      k, key);
	}
}

uint64_t wr_up_etag(struct wr_str e, const struct wr_mix_key *k)
{
	char buf[160];
	uint64_t key[2];

	if (e.len >= 2 && e.p[0] == '"' && e.p[e.len - 1] == '"')
		e = (struct wr_str){ e.p + 1, e.len - 2 };
	if (e.p == NULL || e.len == 0 || e.len > 128)
		return 0;
	memcpy(buf, e.p, e.len);
	key_of(k, 0xee, buf, e.len, key);
	return key[0] | 1;
}

bool wr_up_range(struct wr_str r, uint64_t *next)
{
	uint32_t i = r.len;
	uint64_t last;

	if (!wr_str_starts(r, WR_STR("bytes=0-")) && !wr_str_starts(r, WR_STR("0-")))
		return false;
	while (i > 0 && r.p[i - 1] != '-')
		i--;
	if (!wr_up_number((struct wr_str){ r.p + i, r.len - i }, &last))
		return false;
	*next = last + 1;
	return true;
}

/* --- protocols
 * ------------------------------------------------------------------------------------- */

static bool other(struct wr_up *u)
{
	*u = (struct wr_up){ .proto = WR_UP_OTHER };
	return true;
}

static bool has_body(const struct wr_http_head *h)
{
	return h->has_body;
}

/* The content coding of the pieces, aws-chunked aside: the whole would have to be decoded. */
static bool coded(const struct wr_http_head *h)
{
	struct wr_str list = h->content_encoding, one;

	while (wr_str_next(&list, &one))
		if (one.len != 0 && !wr_str_is(one, WR_STR("aws-chunked")) &&
		    !wr_str_is(one, WR_STR("identity")))
			return true;
	return false;
}

static bool s3(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *u)
{
	struct wr_str id, part, none;
	uint32_t ids = wr_str_query(h->target, WR_STR("uploadId"), &id);
	uint32_t parts = wr_str_query(h->target, WR_STR("partNumber"), &part);
	uint64_t n = 0;

	if (ids == 0) {
		if (is(&h->method, "POST") && wr_str_query(h->target, WR_STR("uploads"), &none)) {
			*u = (struct wr_up){ .proto = WR_UP_S3,
				             .op = WR_UP_CREATE,
				             .coded = coded(h) };
			return true;
		}
		return false;
	}
	/* Two ids or numbers: which one counts is the store's choice. */
	if (ids > 1 || parts > 1 || id.len == 0)
		return other(u);
	u->proto = WR_UP_S3;
	key_by_id(k, WR_UP_S3, id, u->key);
	u->keyed = 1;
	if (is(&h->method, "PUT")) {
		if (parts == 0 || !wr_up_number(part, &n) || n == 0 || n > WR_RESUME_PARTS_MAX)
			return other(u);
		u->part = (uint16_t)n;
		u->op = h->amz_copy_source.p != NULL ? WR_UP_COPY : WR_UP_PART;
		u->coded = coded(h);
	} else if (is(&h->method, "POST")) {
		if (parts != 0)
			return other(u);
		u->op = WR_UP_COMPLETE;
	} else {
		u->op = is(&h->method, "DELETE") ? WR_UP_ABORT : WR_UP_QUERY;
	}
	return true;
}

static bool tus(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *u)
{
	const struct wr_str *method = &h->method;

	if (h->tus_resumable.p == NULL)
		return false;
	/* Servers that honour the header do so for POST; a lenient one for any method. */
	if (h->method_override.p != NULL)
		method = &h->method_override;
	if (is(method, "OPTIONS"))
		return false;
	u->proto = WR_UP_TUS;
	u->has_total = wr_up_number(h->upload_length, &u->total);
	if (h->upload_length.p != NULL && !u->has_total)
		return other(u);
	u->coded = coded(h);
	if (is(method, "POST")) {
		u->op = WR_UP_CREATE;
		if (wr_str_starts(h->upload_concat, WR_STR("final")))
			u->op = WR_UP_FINAL;
		return u->op == WR_UP_CREATE || !has_body(h) ? true : other(u);
	}
	key_by_path(k, WR_UP_TUS, h->target, 0, u->key);
	u->keyed = 1;
	if (is(method, "PATCH")) {
		u->op = WR_UP_PART;
		return wr_up_number(h->upload_offset, &u->offset) ? true : other(u);
	}
	if (is(method, "DELETE")) {
		u->op = WR_UP_ABORT;
		return true;
	}
	u->op = WR_UP_QUERY;
	/* A body under any other method is nothing that the protocol knows. */
	return has_body(h) ? other(u) : true;
}

/* "bytes a-b/total", total and range may be `*`. */
struct range {
	uint64_t from, to, total;
	bool has_range, has_total;
};

static bool content_range(struct wr_str s, struct range *r)
{
	uint32_t i = 6, dash, slash;

	*r = (struct range){ 0 };
	if (!wr_str_starts(s, WR_STR("bytes ")))
		return false;
	for (slash = i; slash < s.len && s.p[slash] != '/';)
		slash++;
	if (slash == s.len)
		return false;
	if (!(slash - i == 1 && s.p[i] == '*')) {
		for (dash = i; dash < slash && s.p[dash] != '-';)
			dash++;
		if (dash == slash ||
		    !wr_up_number((struct wr_str){ s.p + i, dash - i }, &r->from) ||
		    !wr_up_number((struct wr_str){ s.p + dash + 1, slash - dash - 1 }, &r->to) ||
		    r->to < r->from)
			return false;
		r->has_range = true;
	}
	s = (struct wr_str){ s.p + slash + 1, s.len - slash - 1 };
	if (s.len == 1 && s.p[0] == '*')
		return true;
	r->has_total = wr_up_number(s, &r->total);
	return r->has_total && (!r->has_range || r->to < r->total);
}

/* Range and length of a piece must say the same. */
static bool range_fits(const struct wr_http_head *h, const struct range *r)
{
	return r->has_range && (!h->has_length || r->to - r->from + 1 == h->content_length);
}

static bool gcs(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *u)
{
	struct wr_str id;
	uint32_t ids = wr_str_query(h->target, WR_STR("upload_id"), &id);
	bool finalize = has(h->goog_command, "finalize");
	struct range r;

	if (ids == 0)
		return h->goog_command.p != NULL && has(h->goog_command, "upload") && !finalize
		               ? other(u)
		               : false;
	if (ids > 1 || id.len == 0)
		return other(u);
	u->proto = WR_UP_GCS;
	key_by_id(k, WR_UP_GCS, id, u->key);
	u->keyed = 1;
	u->coded = coded(h);
	if (is(&h->method, "DELETE") || has(h->goog_command, "cancel")) {
		u->op = WR_UP_ABORT;
		return has_body(h) ? other(u) : true;
	}
	if (!is(&h->method, "PUT") && !is(&h->method, "POST")) {
		u->op = WR_UP_QUERY;
		return has_body(h) ? other(u) : true;
	}
	if (h->goog_command.p != NULL) {
		if (h->content_range.p != NULL || has(h->goog_command, "start"))
			return other(u);
		u->op = has(h->goog_command, "upload") ? WR_UP_PART
		        : finalize                     ? WR_UP_FINAL
		                                       : WR_UP_QUERY;
		u->last = finalize;
		if (u->op == WR_UP_PART)
			return wr_up_number(h->goog_offset, &u->offset) ? true : other(u);
		return has_body(h) ? other(u) : true;
	}
	if (h->content_range.p == NULL) { /* all of it in one request */
		u->op = WR_UP_PART;
		u->last = 1;
		return true;
	}
	if (!content_range(h->content_range, &r))
		return other(u);
	u->has_total = r.has_total;
	u->total = r.total;
	u->offset = r.from;
	if (!r.has_range) { /* how much is there? With all of it, that ends it. */
		u->op = r.has_total ? WR_UP_FINAL : WR_UP_QUERY;
		return has_body(h) ? other(u) : true;
	}
	u->op = WR_UP_PART;
	return range_fits(h, &r) ? true : other(u);
}

static bool ranged(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *u)
{
	struct range r;

	if (h->content_range.p == NULL)
		return false;
	if (!content_range(h->content_range, &r) || !r.has_total || !range_fits(h, &r))
		return other(u);
	u->proto = WR_UP_RANGE;
	u->op = WR_UP_PART;
	u->has_total = 1;
	u->total = r.total;
	u->offset = r.from;
	u->coded = coded(h);
	key_by_path(k, WR_UP_RANGE, h->target, r.total, u->key);
	u->keyed = 1;
	return true;
}

/*
 * Recognised, not followed: IETF resumable uploads, Azure blocks, appends, server-side copies,
 * chunk folders. `Upload-Complete: ?1` on an ordinary upload is a whole object.
 */
static bool only_recognised(const struct wr_http_head *h)
{
	static const char *const azure[] = { "comp=block", "comp=appendblock", "comp=page" };
	const char *q = h->target.p != NULL ? memchr(h->target.p, '?', h->target.len) : NULL;
	struct wr_str query = { q, q != NULL ? h->target.len - (uint32_t)(q - h->target.p) : 0 };

	if (h->update_range.p != NULL || h->upload_concat.p != NULL || h->goog_offset.p != NULL ||
	    h->amz_copy_source.p != NULL || h->upload_offset.p != NULL ||
	    h->upload_incomplete.p != NULL)
		return true;
	if (h->upload_complete.p != NULL && !is(&h->upload_complete, "?1"))
		return true;
	for (uint32_t i = 0; i < WR_COUNT_OF(azure); i++)
		if (has(query, azure[i]))
			return true;
	if (has(h->target, "/dav/uploads/") && is(&h->method, "PUT"))
		return true;
	return h->cut && has(query, "upload"); /* the id may be in what was cut off */
}

void wr_up_classify(const struct wr_http_head *h, const struct wr_mix_key *k, struct wr_up *u)
{
	memset(u, 0, sizeof(*u));
	if (h->cut && h->target.len >= 3000 && only_recognised(h)) {
		(void)other(u);
		return;
	}
	if (s3(h, k, u) || tus(h, k, u) || gcs(h, k, u) || ranged(h, k, u))
		return;
	memset(u, 0, sizeof(*u));
	if (only_recognised(h))
		u->proto = WR_UP_OTHER;
}
