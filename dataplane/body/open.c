/* SPDX-License-Identifier: BSD-3-Clause */
/* open - which layers a request's head asks for. */
#include "body/int.h"

void wr_body_turn(struct wr_body_pool *p, uint64_t bytes)
{
	p->budget = (int64_t)wr_min_u64(bytes, INT64_MAX);
}

uint16_t wr_body_framing(const struct wr_body *b)
{
	return b->framing;
}

void wr_body_close(struct wr_body *b)
{
	struct wr_body_pool *p = b->pool;

	while (b->nlayers > 0)
		wr_body_pop(b);
	b->next = p->free_body;
	p->free_body = b->index + 1;
}

/* -------------------------------------------------------------------------------- aws-chunked ---
 */

/* The kinds that x-amz-content-sha256 names; NONE: not one of them. */
static enum wr_framing aws_kind(struct wr_str v)
{
	static const struct {
		struct wr_str name;
		enum wr_framing kind;
	} kind[] = {
#define K(text, k) { { (text), sizeof(text) - 1 }, WR_FRAMING_AWS_##k }
		K("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SIGNED),
		K("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SIGNED_TRAILER),
		K("STREAMING-UNSIGNED-PAYLOAD-TRAILER", UNSIGNED_TRAILER),
		K("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", SIGV4A),
		K("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", SIGV4A),
#undef K
	};

	for (uint32_t i = 0; i < WR_COUNT_OF(kind); i++)
		if (wr_str_is(v, kind[i].name))
			return kind[i].kind;
	return WR_FRAMING_NONE;
}

static bool lists(struct wr_str list, struct wr_str want)
{
	struct wr_str item;

	while (wr_str_next(&list, &item))
		if (wr_str_is(item, want))
			return true;
	return false;
}

static enum wr_reason open_aws(struct wr_lcore *lc, struct wr_body *b)
{
	const struct wr_http_head *d = b->head;
	enum wr_framing kind = aws_kind(d->amz_content_sha256);
	struct wr_str want = d->amz_decoded_length;
	struct layer *l;

	if (kind == WR_FRAMING_NONE) {
		/* A kind we do not know: the store may know it. */
		if (wr_str_starts(d->amz_content_sha256, WR_STR("STREAMING-"))) {
			wr_count(lc, WR_R_AWS_CHUNK_BAD, 1);
			return WR_R_AWS_CHUNK_BAD;
		}
		/* Observed: as x-amz-content-sha256 says, not framed. */
		if (lists(d->content_encoding, WR_STR("aws-chunked")) &&
		    !wr_body_tolerates(lc, b, WR_R_AWS_MARKERS_DISAGREE))
			return WR_R_AWS_MARKERS_DISAGREE;
		return WR_R_NONE;
	}
	l = wr_body_push(b, L_AWS);
	l->aws.kind = (uint8_t)kind;
	b->framing |= (uint16_t)(1u << kind);
	if (want.p == NULL)
		return WR_R_NONE;
	l->aws.has_want = want.len > 0 && want.len <= 18;
	for (uint32_t i = 0; i < want.len && l->aws.has_want; i++) {
		l->aws.has_want = want.p[i] >= '0' && want.p[i] <= '9';
		l->aws.want = l->aws.want * 10 + (uint64_t)(want.p[i] - '0');
	}
	if (!l->aws.has_want && !wr_body_tolerates(lc, b, WR_R_AWS_LENGTH))
		return WR_R_AWS_LENGTH;
	return WR_R_NONE;
}

/* ---------------------------------------------------------------------------- content codings ---
 */

static int coding_of(struct wr_str v)
{
	if (wr_str_is(v, WR_STR("gzip")) || wr_str_is(v, WR_STR("x-gzip")))
		return WR_CODING_GZIP;
	if (wr_str_is(v, WR_STR("deflate")))
		return WR_CODING_DEFLATE;
	if (wr_str_is(v, WR_STR("br")))
		return WR_CODING_BR;
	if (wr_str_is(v, WR_STR("zstd")))
		return WR_CODING_ZSTD;
	return v.len == 0 || wr_str_is(v, WR_STR("identity")) || wr_str_is(v, WR_STR("aws-chunked"))
	               ? WR_CODING_NONE
	               : -1;
}

/* Pushes the decoders, the last coding applied first (RFC 9110 8.4). False: the views cannot be
 * had. */
static bool open_codings(struct wr_lcore *lc, struct wr_body *b, uint32_t *count)
{
	struct wr_str list = b->head->content_encoding, item;
	int coding[WR_BODY_LAYERS];
	uint32_t n = 0;
	enum wr_reason why = WR_R_NONE;

	while (why == WR_R_NONE && wr_str_next(&list, &item)) {
		int k = coding_of(item);

		if (k < 0)
			why = WR_R_CODING_UNKNOWN;
		else if (k != WR_CODING_NONE &&
		         n >= wr_min_u32(b->pool->conf.depth, WR_BODY_LAYERS - 4))
			why = WR_R_EXPANSION_LIMIT;
		else if (k != WR_CODING_NONE)
			coding[n++] = k;
	}
	if (why != WR_R_NONE) {
		wr_count(lc, why, 1);
		b->note = (uint16_t)why;
		b->lost = 1;
		*count = 1;
		return false;
	}
	*count = n;
	b->meta.coding = (uint8_t)(n == 0   ? WR_CODING_NONE
	                           : n == 1 ? coding[0]
	                                    : WR_CODING_SEVERAL);
	while (n > 0)
		wr_body_push(b, L_CODING)->coding = (uint8_t)coding[--n];
	return true;
}

/* ---------------------------------------------------------------------------------------- open ---
 */

static void describe(struct wr_body *b)
{
	struct wr_str type = b->head->content_type, cd = b->head->content_disposition;
	struct wr_param p;

	b->meta.kind = WR_BODY_WHOLE;
	if (type.p != NULL)
		b->meta.type = wr_param_head(&type);
	if (cd.p == NULL)
		return;
	wr_param_head(&cd);
	while (wr_param_next(&cd, &p) == 1)
		if (wr_str_is(p.name, WR_STR("filename")))
			b->meta.filename = p.value;
		else if (wr_str_is(p.name, WR_STR("filename*")))
			b->meta.filename_ext = p.value;
}

static enum wr_reason open_layers(struct wr_lcore *lc, struct wr_body *b)
{
	struct wr_str boundary, type = b->head->content_type;
	bool multipart = wr_str_starts(type, WR_STR("multipart/")), decodes;
	struct layer *raw;
	uint32_t codings, framing;
	enum wr_reason why;

	wr_body_push(b, L_SOURCE);
	why = open_aws(lc, b);
	if (why != WR_R_NONE)
		return why;
	raw = &b->layer[b->nlayers - 1];
	decodes = open_codings(lc, b, &codings);
	if (multipart && wr_param_boundary(type, &boundary) <= 0) {
		if (!wr_body_tolerates(lc, b, WR_R_MULTIPART_BAD))
			return WR_R_MULTIPART_BAD;
		multipart = false; /* observed: one object */
	}
	if (multipart && decodes) {
		b->depth = 1;
		if (!wr_multi_push(b, boundary,
		                   wr_str_starts(type, WR_STR("multipart/form-data")))) {
			wr_count(lc, WR_R_DECODER_BUDGET, 1);
			return WR_R_DECODER_BUDGET;
		}
		framing = wr_str_starts(type, WR_STR("multipart/form-data")) ? WR_FRAMING_MULTIPART
		                                                             : WR_FRAMING_RELATED;
		b->framing |= (uint16_t)(1u << framing);
	}
	b->whole = !multipart || codings > 0;
	if (!b->whole)
		return WR_R_NONE;
	b->next_obj = 1;
	raw->obj = 0;
	raw->view = WR_VIEW_RAW;
	b->meta.container = multipart && decodes;
	if (multipart || !decodes || codings == 0) {
		b->meta.coding = WR_CODING_NONE; /* the decoded view is its parts */
	} else {
		b->layer[b->nlayers - 1].obj = 0;
		b->layer[b->nlayers - 1].view = WR_VIEW_DECODED;
	}
	return WR_R_NONE;
}

enum wr_reason wr_body_open(struct wr_lcore *lc, struct wr_body_pool *p,
                            const struct wr_http_head *head, const struct wr_policy *policy,
                            struct wr_body **out)
{
	struct wr_body *b;
	uint32_t index;
	enum wr_reason why;

	*out = NULL;
	if (p->free_body == 0) {
		wr_count(lc, WR_R_OVERLOAD, 1);
		return WR_R_OVERLOAD;
	}
	b = &p->body[p->free_body - 1];
	index = b->index;
	p->free_body = b->next;
	memset(b, 0, sizeof(*b));
	b->index = index;
	b->pool = p;
	b->head = head;
	b->policy = policy;
	b->hold = WR_BODY_HOLD_NONE;
	b->framing = (uint16_t)(1u << head->framing);
	describe(b);
	why = open_layers(lc, b);
	if (why != WR_R_NONE) {
		wr_body_close(b);
		return why;
	}
	*out = b;
	return WR_R_NONE;
}
