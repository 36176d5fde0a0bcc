/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit/audit.h"
#include "slot.h"
#include "tap.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#define T0 1795476000123456789ull /* 2026-11-23T23:20:00.123456 */

static struct wr_conf conf = { .node = "n1", .nworkers = 1, .worker = { { .name = "w0" } } };

static void bytes(uint8_t *p, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(from + i);
}

static void full(struct slot *s)
{
	static const uint8_t v4[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };
	struct wr_record *r = slot_begin(s);
	struct wr_record_view v = { .bytes = 100,
		                    .coverage = { 100, 100, 99, 0 },
		                    .view = WR_VIEW_RAW };
	struct wr_record_view d = { .bytes = 300,
		                    .coverage = { 300, 0, 300, 0 },
		                    .view = WR_VIEW_DECODED,
		                    .coding = WR_CODING_GZIP };
	struct wr_record_match exact = { .bundle = "core",
		                         .item = "l1",
		                         .entry = "e7",
		                         .category = "A1",
		                         .basis = "art. 6",
		                         .bundle_version = 4,
		                         .kind = WR_MATCH_EXACT,
		                         .algo = WR_ALGO_SHA1,
		                         .mode = WR_ITEM_ENFORCE,
		                         .action = WR_A_BLOCK,
		                         .applied = 1 };
	struct wr_record_match rule = { .bundle = "core",
		                        .item = "r1",
		                        .bundle_version = 4,
		                        .offset = 68,
		                        .kind = WR_MATCH_PATTERN,
		                        .view = WR_VIEW_DECODED,
		                        .mode = WR_ITEM_SHADOW,
		                        .action = WR_A_FLAG };
	struct wr_record_bundle b = { .name = "core", .version = 4, .expires = T0 / 1000000000ull };

	bytes(r->decision_id, 16, 1);
	bytes(r->upload_id, 16, 0x80);
	r->ts_ns = T0;
	r->first_byte_ns = T0 - 2000;
	r->last_byte_ns = T0 - 1000;
	r->hold_ns = 84999;
	r->bytes = 100;
	r->last_byte_forwarded = 60;
	r->ruleset_generation = 3;
	memcpy(r->client_ip, v6, 16);
	memcpy(r->peer_ip, v4, 16);
	memcpy(r->store_ip, v4, 16);
	r->client_port = 51544;
	r->store_port = 80;
	r->addr_source = WR_SRC_PROXY_V2;
	r->reason = WR_R_BARE_LF;
	r->framing_bits = 1u << WR_FRAMING_CHUNKED | 1u << WR_FRAMING_MULTIPART;
	r->kind = WR_REC_PART;
	r->verdict = WR_V_MATCH;
	r->cause = WR_C_GAP;
	r->action = WR_A_BLOCK;
	r->would = WR_A_BLOCK;
	r->committed = WR_COMMITTED_UNKNOWN;
	r->answered = 1;
	r->truncated = 1u << WR_F_PATH | WR_CUT_BASIS;
	r->nviews = r->nmatches = 2;
	r->nbundles = 1;
	v.digests.has = WR_HAS_MD5;
	bytes(v.digests.md5, 16, 0xa0);
	bytes(b.sha256, 32, 0);
	slot_put(s, &v, sizeof(v));
	slot_put(s, &d, sizeof(d));
	slot_put(s, &exact, sizeof(exact));
	slot_put(s, &rule, sizeof(rule));
	slot_put(s, &b, sizeof(b));
	slot_field(s, WR_F_METHOD, "PUT", 3);
	slot_field(s, WR_F_HOST, "h\"\\\n", 4);
	slot_field(s, WR_F_PATH, "/\xff\\x", 4);
	slot_field(s, WR_F_FILENAME, "\xc3\xa9", 2);
	slot_field(s, WR_F_SERVICE, "svc", 3);
	slot_end(s);
}

static const char golden[] =
        "{\"schema\":\"weir.verdict/1\",\"decision_id\":\"01081G81860W40J2GB1G6GW3RG\","
        "\"ts\":\"2026-11-23T23:20:00.123456Z\",\"node\":\"n1\",\"worker\":\"w0\",\"service\":"
        "\"svc\","
        "\"upload\":{\"id\":\"40G6187145GT3RH2CAHE68V3MF\",\"record\":\"part\",\"object\":null,"
        "\"proto\":\"http/1.1\",\"method\":\"PUT\",\"host\":\"h\\\"\\\\\\n\",\"path\":\"/"
        "\\\\xff\\\\\\\\x\","
        "\"framing\":[\"chunked\",\"multipart\"],\"declared_type\":null,\"type\":null,"
        "\"filename\":\"\xc3\xa9\",\"transforms\":null,\"bytes\":100},"
        "\"client\":{\"ip\":\"2001:db8::9\",\"port\":51544,\"source\":\"proxy_v2\","
        "\"peer_ip\":\"192.0.2.1\"},\"store\":{\"ip\":\"192.0.2.1\",\"port\":80},"
        "\"digests\":{\"md5\":\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\",\"sha1\":null,\"sha256\":null,"
        "\"pdq\":null,\"pdq_quality\":null},"
        "\"coverage\":{\"received\":100,\"hashed\":100,\"pattern\":99,\"decoded\":0},"
        "\"views\":[{\"view\":\"raw\",\"coding\":null,\"bytes\":100,"
        "\"digests\":{\"md5\":\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\",\"sha1\":null,\"sha256\":null,"
        "\"pdq\":null,\"pdq_quality\":null},"
        "\"coverage\":{\"received\":100,\"hashed\":100,\"pattern\":99,\"decoded\":0}},"
        "{\"view\":\"decoded\",\"coding\":\"gzip\",\"bytes\":300,\"digests\":{\"md5\":null,"
        "\"sha1\":null,"
        "\"sha256\":null,\"pdq\":null,\"pdq_quality\":null},"
        "\"coverage\":{\"received\":300,\"hashed\":0,\"pattern\":300,\"decoded\":0}}],"
        "\"verdict\":\"match\",\"cause\":\"gap\",\"reason\":\"bare_lf\",\"action\":\"block\","
        "\"would\":\"block\",\"mode\":\"enforce\","
        "\"matches\":[{\"kind\":\"exact\",\"bundle\":\"core\",\"bundle_version\":4,\"list\":\"l1\","
        "\"algo\":\"sha1\",\"distance\":null,\"entry\":\"e7\",\"basis\":\"art. 6\","
        "\"category\":\"A1\",\"view\":\"raw\",\"mode\":\"enforce\","
        "\"action\":\"block\",\"applied\":true},"
        "{\"kind\":\"pattern\",\"bundle\":\"core\",\"bundle_version\":4,\"rule\":\"r1\",\"offset\":"
        "68,\"category\":null,"
        "\"view\":\"decoded\",\"mode\":\"shadow\",\"action\":\"flag\",\"applied\":false}],"
        "\"bundles\":{\"core\":{\"version\":4,\"sha256\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\"expired\":true}},"
        "\"committed\":\"unknown\",\"partial_stored\":false,\"last_byte_forwarded\":60,"
        "\"answered\":true,\"timing\":{\"first_byte\":\"2026-11-23T23:20:00.123454Z\","
        "\"last_byte\":\"2026-11-23T23:20:00.123455Z\",\"verdict\":null,\"hold_us\":84},"
        "\"ruleset_generation\":3,\"truncated\":[\"path\",\"matches.basis\"],\"escaped\":[\"path\"]"
        "}\n";

static void test_golden(void)
{
	struct wr_record_parts p;
	struct slot s;
	size_t n = 0;
	char *line;

	full(&s);
	IS(wr_record_split(s.p, s.n, &p), 0, "a full record is accepted");
	line = wr_record_json(&p, &conf, &n);
	OK(line != NULL && n == strlen(golden) && memcmp(line, golden, n) == 0,
	   "its line is the golden one");
	if (line != NULL && (n != strlen(golden) || memcmp(line, golden, n) != 0))
		printf("# %.*s# %s", (int)n, line, golden);
	free(line);
}

static void test_empty(void)
{
	struct wr_record_parts p;
	json_t *o;
	struct slot s;
	size_t n = 0;
	char *line;

	slot_begin(&s);
	slot_end(&s);
	IS(wr_record_split(s.p, s.n, &p), 0, "a record with nothing in it is accepted");
	line = wr_record_json(&p, NULL, &n);
	OK(memchr(line, '\n', n) == line + n - 1, "one line, its newline last");
	o = json_loadb(line, n, 0, NULL);
	OK(o != NULL && json_is_null(json_object_get(o, "decision_id")) &&
	           json_is_false(json_object_get(o, "committed")) &&
	           json_is_null(json_object_get(json_object_get(o, "upload"), "path")),
	   "what is not there is null, never an empty string");
	json_decref(o);
	free(line);
}

/* One lie each, at the offset of a field of the full record. */
#define AT(f)   offsetof(struct wr_record, f), sizeof(((struct wr_record *)0)->f)
#define VIEW(f) sizeof(struct wr_record) + offsetof(struct wr_record_view, f), 1
#define MATCH(f)                                                                                   \
	sizeof(struct wr_record) + 2 * sizeof(struct wr_record_view) +                             \
	        offsetof(struct wr_record_match, f),                                               \
	        1
#define FIELD                                                                                      \
	sizeof(struct wr_record) + 2 * sizeof(struct wr_record_view) +                             \
	        2 * sizeof(struct wr_record_match) + sizeof(struct wr_record_bundle)
static const struct {
	const char *what;
	size_t at, n;
	uint64_t lie;
} lies[] = {
	/* clang-format off */
	{ "a size that is not the slot's", AT(size), 8 },
	{ "another ABI", AT(abi), WR_ABI_VERSION + 1 },
	{ "more views than there can be", AT(nviews), WR_RECORD_VIEWS + 1 },
	{ "more views than there are bytes", AT(nviews), WR_RECORD_VIEWS },
	{ "more matches than there can be", AT(nmatches), WR_RECORD_MATCHES + 1 },
	{ "more matches than there are bytes", AT(nmatches), WR_RECORD_MATCHES },
	{ "more bundles than there can be", AT(nbundles), WR_RECORD_BUNDLES + 1 },
	{ "more fields than kinds", AT(nfields), WR_F_COUNT + 1 },
	{ "more fields than there are", AT(nfields), 6 },
	{ "fewer fields than there are", AT(nfields), 3 },
	{ "a kind that is none", AT(kind), WR_REC_OBJECT + 1 },
	{ "a verdict that is none", AT(verdict), WR_V_COUNT },
	{ "a cause that is none", AT(cause), WR_C_COUNT },
	{ "an action that is none", AT(action), WR_A_COUNT },
	{ "a would that is none", AT(would), WR_A_COUNT },
	{ "a committed that is none", AT(committed), 3 },
	{ "a reason that is none", AT(reason), WR_R_COUNT },
	{ "a worker that is none", AT(worker), WR_WORKERS_MAX },
	{ "a source that is none", AT(addr_source), WR_SRC_XFF + 1 },
	{ "a framing that is none", AT(framing_bits), 1u << WR_FRAMING_COUNT },
	{ "a view that is none", VIEW(view), WR_VIEW_COUNT },
	{ "a coding that is none", VIEW(coding), WR_CODING_SEVERAL + 1 },
	{ "a match kind that is none", MATCH(kind), WR_MATCH_PDQ + 1 },
	{ "an algorithm that is none", MATCH(algo), WR_ALGO_COUNT },
	{ "a mode that is none", MATCH(mode), WR_ITEM_ENFORCE + 1 },
	{ "a match's view that is none", MATCH(view), WR_VIEW_COUNT },
	{ "a match's action that is none", MATCH(action), WR_A_COUNT },
	{ "a field kind that is none", FIELD, 2, WR_F_COUNT },
	{ "a field twice", FIELD, 2, WR_F_HOST },
	{ "a field longer than the slot", FIELD + 2, 2, 0xffff },
	/* clang-format on */
};

static void test_lies(void)
{
	struct wr_record_parts p;
	struct slot s;

	for (size_t i = 0; i < WR_COUNT_OF(lies); i++) {
		full(&s);
		memcpy(s.p + lies[i].at, &lies[i].lie, lies[i].n);
		IS(wr_record_split(s.p, s.n, &p), -EPROTO, "refused: %s", lies[i].what);
	}
	full(&s);
	for (uint32_t n = 0; n < s.n; n++)
		if (wr_record_split(s.p, n, &p) == 0)
			OK(0, "a record cut at %u bytes is accepted", n);
	OK(1, "a record cut anywhere is refused");
}

/* Worst case: every byte of the longest slot is escaped, and the line still fits a batch. */
static void test_longest(void)
{
	static const uint16_t most[] = {
#define X(name, max) max,
		WR_FIELDS(X)
#undef X
	};
	struct wr_record_match m;
	struct wr_record_view v = { .digests = { .has = 15 } };
	struct wr_record_parts p;
	char junk[2048];
	struct wr_record *r;
	struct slot s;
	size_t n = 0;
	json_t *o;
	char *line;

	memset(junk, 0xff, sizeof(junk));
	memset(&m, 0, sizeof(m));
	memset(m.bundle, 1, sizeof(m.bundle));
	memset(m.item, 0xfe, sizeof(m.item));
	memset(m.entry, 2, sizeof(m.entry));
	m.kind = WR_MATCH_EXACT;
	r = slot_begin(&s);
	r->nviews = WR_RECORD_VIEWS;
	r->nmatches = WR_RECORD_MATCHES;
	for (int i = 0; i < (int)WR_RECORD_VIEWS; i++)
		slot_put(&s, &v, sizeof(v));
	for (int i = 0; i < (int)WR_RECORD_MATCHES; i++)
		slot_put(&s, &m, sizeof(m));
	for (unsigned k = 0; k < WR_F_COUNT; k++)
		slot_field(&s, (enum wr_field_kind)k, junk, most[k]);
	slot_end(&s);
	OK(s.n <= WR_RECORD_MAX, "the longest record is a slot (%u bytes)", s.n);
	IS(wr_record_split(s.p, s.n, &p), 0, "and accepted");
	line = wr_record_json(&p, &conf, &n);
	OK(line != NULL && n < 7 * WR_RECORD_MAX, "its line has %zu bytes", n);
	o = line != NULL ? json_loadb(line, n, 0, NULL) : NULL;
	OK(o != NULL, "and is JSON");
	json_decref(o);
	free(line);
}

static void test_ulid(void)
{
	uint8_t id[16];
	char text[27];

	memset(id, 0, 16);
	wr_ulid_put(id, text);
	OK(strcmp(text, "00000000000000000000000000") == 0, "ULID of zero");
	memset(id, 0xff, 16);
	wr_ulid_put(id, text);
	OK(strcmp(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == 0, "ULID of all ones");
}

int main(void)
{
	test_golden();
	test_empty();
	test_lies();
	test_longest();
	test_ulid();
	return tap_done();
}
