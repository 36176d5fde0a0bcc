/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir.verdict/1. Names come from the wire and need not be UTF-8: a field that is not is written
 * with \xNN for each such byte and \\ for each backslash, and named in `escaped`, so nothing is
 * lost.
 */
#include "audit/audit.h"

#include "abi/stats.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const field_name[] = {
#define X(name, max) [WR_F_##name] = #name,
	WR_FIELDS(X)
#undef X
};

void wr_ulid_put(const uint8_t id[16], char out[27])
{
	static const char digit[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	/* 128 bits in 26 digits of 5: two zero bits stand in front. */
	for (unsigned i = 0; i < 26; i++) {
		unsigned v = 0;

		for (unsigned b = 0; b < 5; b++) {
			int bit = (int)(i * 5 + b) - 2;

			v = v << 1 | (bit >= 0 ? id[bit / 8] >> (7 - bit % 8) & 1u : 0u);
		}
		out[i] = digit[v];
	}
	out[26] = '\0';
}

static bool is_zero(const uint8_t *p, size_t n)
{
	while (n > 0)
		if (p[--n] != 0)
			return false;
	return true;
}

static json_t *ulid(const uint8_t id[16])
{
	char text[27];

	if (is_zero(id, 16))
		return json_null();
	wr_ulid_put(id, text);
	return json_string(text);
}

static json_t *stamp(uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000ull);
	char text[48];
	struct tm tm;
	size_t n;

	/* Beyond year 9999 the dataplane's clock lies. */
	if (ns == 0 || s > 253402300799ll)
		return json_null();
	gmtime_r(&s, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06uZ", (unsigned)(ns % 1000000000ull / 1000));
	return json_string(text);
}

static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *address(const uint8_t a[16])
{
	static const uint8_t v4[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	bool four = memcmp(a, v4, 12) == 0;
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(four ? AF_INET : AF_INET6, four ? a + 12 : a, text, sizeof(text)) == NULL)
		return json_null();
	return json_string(text);
}

static json_t *hex(const uint8_t *p, size_t n, bool has)
{
	static const char digit[] = "0123456789abcdef";
	char text[65];

	if (!has)
		return json_null();
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digit[p[i] >> 4];
		text[2 * i + 1] = digit[p[i] & 15];
	}
	return json_stringn(text, 2 * n);
}

static json_t *escape(const char *s, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	char *buf = malloc(4 * n + 1);
	size_t k = 0;
	json_t *v;

	if (buf == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\\') {
			buf[k++] = '\\';
			buf[k++] = '\\';
		} else if (c < 0x80) {
			buf[k++] = (char)c;
		} else {
			buf[k++] = '\\';
			buf[k++] = 'x';
			buf[k++] = digit[c >> 4];
			buf[k++] = digit[c & 15];
		}
	}
	v = json_stringn(buf, k);
	free(buf);
	return v;
}

static void lower(char *dst, const char *src)
{
	for (; *src != '\0'; src++)
		*dst++ = (char)(*src >= 'A' && *src <= 'Z' ? *src + 32 : *src);
	*dst = '\0';
}

/* null when absent; empty fields do not exist in this format either. */
static json_t *field(const struct wr_record_parts *p, enum wr_field_kind k, json_t *escaped)
{
	char name[32];
	json_t *v;

	if (p->field[k].p == NULL || p->field[k].len == 0)
		return json_null();
	v = json_stringn(p->field[k].p, p->field[k].len);
	if (v != NULL)
		return v;
	lower(name, field_name[k]);
	json_array_append_new(escaped, json_string(name));
	return escape(p->field[k].p, p->field[k].len);
}

/* Fixed arrays of the ABI need not end in NUL. */
static json_t *fixed(const char *s, size_t n)
{
	size_t k = strnlen(s, n);
	json_t *v;

	if (k == 0)
		return json_null();
	v = json_stringn(s, k);
	return v != NULL ? v : escape(s, k);
}

static json_t *digests(const struct wr_digests *d)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "md5", hex(d->md5, 16, d->has & WR_HAS_MD5),
	                 "sha1", hex(d->sha1, 20, d->has & WR_HAS_SHA1), "sha256",
	                 hex(d->sha256, 32, d->has & WR_HAS_SHA256), "pdq",
	                 hex(d->pdq, 32, d->has & WR_HAS_PDQ), "pdq_quality",
	                 (d->has & WR_HAS_PDQ) != 0 ? json_integer(d->pdq_quality) : json_null());
}

static json_t *coverage(const uint64_t c[4])
{
	return json_pack("{s:o,s:o,s:o,s:o}", "received", number(c[0]), "hashed", number(c[1]),
	                 "pattern", number(c[2]), "decoded", number(c[3]));
}

static const char *const view_name[WR_VIEW_COUNT] = { "raw", "decoded", "trimmed", "trimmed" };
static const char *const coding_name[] = { NULL,   "gzip",   "deflate",          "br",
	                                   "zstd", "base64", "quoted-printable", "several" };
static const char *const mode_name[] = { "off", "shadow", "canary", "enforce" };
static const char *const algo_name[] = { "md5", "sha1", "sha256", "pdq" };
static const char *const source_name[] = { "tcp", "proxy_v1", "proxy_v2", "xff" };
static const char *const record_name[] = { "request", "part", "object" };

static json_t *views(const struct wr_record_parts *p)
{
	json_t *list = json_array();

	for (uint16_t i = 0; i < p->rec->nviews; i++) {
		const struct wr_record_view *v = &p->view[i];

		json_array_append_new(
		        list,
		        json_pack("{s:s,s:s?,s:o,s:o,s:o}", "view", view_name[v->view], "coding",
		                  coding_name[v->coding], "bytes", number(v->bytes), "digests",
		                  digests(&v->digests), "coverage", coverage(v->coverage)));
	}
	return list;
}

static json_t *match(const struct wr_record_match *m)
{
	static const char *const kind[] = { "pattern", "exact", "pdq" };
	json_t *o = json_pack("{s:s,s:o,s:o}", "kind", kind[m->kind], "bundle",
	                      fixed(m->bundle, sizeof(m->bundle)), "bundle_version",
	                      number(m->bundle_version));
	json_t *item = fixed(m->item, sizeof(m->item));

	if (m->kind == WR_MATCH_PATTERN) {
		json_object_set_new(o, "rule", item);
		json_object_set_new(o, "offset", number(m->offset));
	} else {
		json_object_set_new(o, "list", item);
		json_object_set_new(o, "algo", json_string(algo_name[m->algo]));
		json_object_set_new(o, "distance",
		                    m->kind == WR_MATCH_PDQ ? json_integer(m->distance)
		                                            : json_null());
		json_object_set_new(o, "entry", fixed(m->entry, sizeof(m->entry)));
		if (m->kind == WR_MATCH_PDQ)
			json_object_set_new(o, "transform", json_integer(m->transform));
	}
	if (m->kind != WR_MATCH_PATTERN)
		json_object_set_new(o, "basis", fixed(m->basis, sizeof(m->basis)));
	json_object_set_new(o, "category", fixed(m->category, sizeof(m->category)));
	json_object_set_new(o, "view", json_string(view_name[m->view]));
	json_object_set_new(o, "mode", json_string(mode_name[m->mode]));
	json_object_set_new(o, "action", json_string(wr_action_name((enum wr_action)m->action)));
	json_object_set_new(o, "applied", json_boolean(m->applied != 0));
	return o;
}

static json_t *upload(const struct wr_record_parts *p, json_t *escaped)
{
	const struct wr_record *r = p->rec;
	json_t *framing = json_array(), *object = field(p, WR_F_OBJECT, escaped);

	for (unsigned i = 1; i < WR_FRAMING_COUNT; i++)
		if ((r->framing_bits >> i & 1) != 0)
			json_array_append_new(framing,
			                      json_string(wr_framing_name((enum wr_framing)i)));
	if (json_is_null(object))
		object = ulid(r->object_id);
	return json_pack(
	        "{s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", ulid(r->upload_id),
	        "record", record_name[r->kind], "object", object, "proto",
	        p->field[WR_F_PROTO].len != 0 ? field(p, WR_F_PROTO, escaped)
	                                      : json_string("http/1.1"),
	        "method", field(p, WR_F_METHOD, escaped), "host", field(p, WR_F_HOST, escaped),
	        "path", field(p, WR_F_PATH, escaped), "framing", framing, "declared_type",
	        field(p, WR_F_DECLARED_TYPE, escaped), "type", field(p, WR_F_TYPE, escaped),
	        "filename", field(p, WR_F_FILENAME, escaped), "transforms",
	        field(p, WR_F_TRANSFORMS, escaped), "bytes", number(r->bytes));
}

static json_t *bundles(const struct wr_record_parts *p)
{
	json_t *o = json_object();

	for (uint16_t i = 0; i < p->rec->nbundles; i++) {
		const struct wr_record_bundle *b = &p->bundle[i];
		size_t n = strnlen(b->name, sizeof(b->name));
		char name[sizeof(b->name) + 1];

		/* The bundle compiler allows plain ASCII only; anything else is not a name. */
		memcpy(name, b->name, n);
		name[n] = '\0';
		json_object_set_new(
		        o, name,
		        json_pack("{s:o,s:o,s:b}", "version", number(b->version), "sha256",
		                  hex(b->sha256, 32, true), "expired",
		                  b->expires != 0 && p->rec->ts_ns / 1000000000ull >= b->expires));
	}
	return o;
}

/* The view `raw`, repeated at the top; without one nothing was computed. */
static void top_view(const struct wr_record_parts *p, json_t *o)
{
	static const struct wr_record_view none;
	const struct wr_record_view *raw = &none;

	for (uint16_t i = 0; i < p->rec->nviews; i++)
		if (p->view[i].view == WR_VIEW_RAW)
			raw = &p->view[i];
	json_object_set_new(o, "digests", digests(&raw->digests));
	json_object_set_new(o, "coverage", coverage(raw->coverage));
	json_object_set_new(o, "views", views(p));
}

static json_t *truncated(const struct wr_record *r)
{
	json_t *list = json_array();

	for (unsigned k = 0; k < WR_F_COUNT; k++) {
		char name[32];

		if ((r->truncated >> k & 1) == 0)
			continue;
		lower(name, field_name[k]);
		json_array_append_new(list, json_string(name));
	}
	if ((r->truncated & WR_CUT_CATEGORY) != 0)
		json_array_append_new(list, json_string("matches.category"));
	if ((r->truncated & WR_CUT_BASIS) != 0)
		json_array_append_new(list, json_string("matches.basis"));
	if (r->matches_cut != 0)
		json_array_append_new(list, json_string("matches"));
	return list;
}

static void put_addresses(const struct wr_record *r, json_t *o)
{
	json_t *client = json_pack("{s:o,s:i,s:s}", "ip", address(r->client_ip), "port",
	                           (int)r->client_port, "source", source_name[r->addr_source]);

	if (r->addr_source != WR_SRC_TCP)
		json_object_set_new(client, "peer_ip", address(r->peer_ip));
	json_object_set_new(o, "client", client);
	json_object_set_new(
	        o, "store",
	        json_pack("{s:o,s:i}", "ip", address(r->store_ip), "port", (int)r->store_port));
}

static void put_verdict(const struct wr_record_parts *p, json_t *o)
{
	const struct wr_record *r = p->rec;
	json_t *matches = json_array();

	json_object_set_new(o, "verdict",
	                    json_string(wr_verdict_name((enum wr_verdict)r->verdict)));
	json_object_set_new(o, "cause",
	                    r->cause != WR_C_NONE
	                            ? json_string(wr_cause_name((enum wr_cause)r->cause))
	                            : json_null());
	json_object_set_new(o, "reason",
	                    r->reason != WR_R_NONE
	                            ? json_string(wr_reason_info((enum wr_reason)r->reason)->name)
	                            : json_null());
	json_object_set_new(o, "action", json_string(wr_action_name((enum wr_action)r->action)));
	json_object_set_new(o, "would", json_string(wr_action_name((enum wr_action)r->would)));
	json_object_set_new(o, "mode", json_string(r->observe != 0 ? "observe" : "enforce"));
	for (uint16_t i = 0; i < r->nmatches; i++)
		json_array_append_new(matches, match(&p->match[i]));
	json_object_set_new(o, "matches", matches);
	json_object_set_new(o, "bundles", bundles(p));
	json_object_set_new(o, "committed",
	                    r->committed == WR_COMMITTED_UNKNOWN
	                            ? json_string("unknown")
	                            : json_boolean(r->committed == WR_COMMITTED_YES));
	json_object_set_new(o, "partial_stored", json_boolean(r->partial_stored != 0));
	json_object_set_new(o, "last_byte_forwarded", number(r->last_byte_forwarded));
	json_object_set_new(o, "answered",
	                    r->answered == 2 ? json_null() : json_boolean(r->answered == 1));
	json_object_set_new(o, "timing",
	                    json_pack("{s:o,s:o,s:o,s:o}", "first_byte", stamp(r->first_byte_ns),
	                              "last_byte", stamp(r->last_byte_ns), "verdict",
	                              stamp(r->verdict_ns), "hold_us", number(r->hold_ns / 1000)));
}

char *wr_record_json(const struct wr_record_parts *p, const struct wr_conf *conf, size_t *len)
{
	const struct wr_record *r = p->rec;
	json_t *o = json_object(), *escaped = json_array(), *cut = truncated(r);
	char worker[16], *text = NULL;
	size_t n;

	snprintf(worker, sizeof(worker), "%u", r->worker);
	json_object_set_new(o, "schema", json_string("weir.verdict/1"));
	json_object_set_new(o, "decision_id", ulid(r->decision_id));
	json_object_set_new(o, "ts", stamp(r->ts_ns));
	json_object_set_new(o, "node", conf != NULL ? json_string(conf->node) : json_null());
	json_object_set_new(o, "worker",
	                    json_string(conf != NULL && r->worker < conf->nworkers
	                                        ? conf->worker[r->worker].name
	                                        : worker));
	json_object_set_new(o, "service", field(p, WR_F_SERVICE, escaped));
	json_object_set_new(o, "upload", upload(p, escaped));
	put_addresses(r, o);
	top_view(p, o);
	put_verdict(p, o);
	json_object_set_new(o, "ruleset_generation", number(r->ruleset_generation));
	if (json_array_size(cut) != 0)
		json_object_set(o, "truncated", cut);
	if (json_array_size(escaped) != 0)
		json_object_set(o, "escaped", escaped);
	json_decref(cut);
	json_decref(escaped);

	text = json_dumps(o, JSON_COMPACT);
	if (text != NULL) {
		n = strlen(text);
		text[n++] = '\n'; /* in the place of the NUL: a line has a length */
		*len = n;
	}
	json_decref(o);
	return text;
}
