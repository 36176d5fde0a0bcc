/* SPDX-License-Identifier: BSD-3-Clause */
/* finish - what a complete head means: the framing of the body, decided once (RFC 9112 section 6).
 */
#include "http/int.h"

#define FAULT(why)                                                                                 \
	do {                                                                                       \
		if (!wr_http_tolerates(lc, h, why))                                                \
			return why;                                                                \
	} while (0)
#define REFUSE(why) return (wr_count(lc, why, 1), why)

/* uri-host [ ":" port ]; a comma, a slash or a space is read as two things by two servers. */
static bool host_ok(struct wr_str s)
{
	for (uint32_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr(".-_~:[]%!$&'()*+;=", c) != NULL)))
			return false;
	}
	return true;
}

static struct wr_str authority(struct wr_str target)
{
	struct wr_str a = { NULL, 0 };
	uint32_t i = 0;

	if (target.len == 0 || target.p[0] == '/' || target.p[0] == '*')
		return a;
	while (i + 3 <= target.len && memcmp(target.p + i, "://", 3) != 0)
		i++;
	if (i + 3 > target.len)
		return a;
	a.p = target.p + i + 3;
	while (i + 3 + a.len < target.len && memchr("/?#", a.p[a.len], 3) == NULL)
		a.len++;
	return a;
}

static enum wr_reason check_host(struct wr_lcore *lc, struct wr_http_req *h, struct wr_http_head *d)
{
	struct wr_str a = authority(d->target);

	if (d->host.p == NULL && d->version_minor > 0)
		FAULT(WR_R_HOST_MISSING);
	if (d->host.p != NULL && !host_ok(d->host))
		FAULT(WR_R_BAD_HEADER);
	if (a.p != NULL && d->host.p != NULL && !wr_str_is(a, d->host))
		FAULT(WR_R_HOST_TWICE);
	return WR_R_NONE;
}

/* Connection: close, x. A framing header named here may be stripped by the next hop. */
static enum wr_reason check_connection(struct wr_lcore *lc, struct wr_http_req *h,
                                       struct wr_http_head *d)
{
	static const struct wr_str framing[] = {
		{ "content-length", 14 },
		{ "transfer-encoding", 17 },
		{ "host", 4 },
		{ "content-encoding", 16 },
		{ "content-type", 12 },
		{ "x-amz-content-sha256", 20 },
	};
	struct wr_str list = d->connection, item;

	d->keep_alive = d->version_minor > 0;
	while (wr_str_next(&list, &item)) {
		if (wr_str_is(item, WR_STR("close")))
			d->keep_alive = 0;
		else if (wr_str_is(item, WR_STR("keep-alive")))
			d->keep_alive = 1;
		for (uint32_t i = 0; i < WR_COUNT_OF(framing); i++)
			if (wr_str_is(item, framing[i]))
				FAULT(WR_R_CONNECTION_BAD);
	}
	return WR_R_NONE;
}

static bool parse_length(struct wr_str s, uint64_t *v)
{
	*v = 0;
	if (s.len == 0)
		return false;
	for (uint32_t i = 0; i < s.len; i++) {
		uint64_t digit = (uint64_t)(s.p[i] - '0');

		if (s.p[i] < '0' || s.p[i] > '9' || *v > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		*v = *v * 10 + digit;
	}
	return true;
}

static enum wr_reason check_length(struct wr_lcore *lc, struct wr_http_req *h,
                                   struct wr_http_head *d)
{
	if (d->transfer_encoding.p != NULL) {
		/* "chunked, chunked", "x, chunked", "chunked;q=1", "": some server reads each
		 * differently. */
		if (!wr_str_is(d->transfer_encoding, WR_STR("chunked")))
			REFUSE(WR_R_TE_BAD);
		if (d->version_minor == 0)
			FAULT(WR_R_TE_HTTP10);
		if (d->content_length_text.p != NULL)
			FAULT(WR_R_CL_TE); /* observed: Transfer-Encoding overrides, RFC 9112 6.3 */
		d->chunked = 1;
		return WR_R_NONE;
	}
	if (d->content_length_text.p == NULL)
		return WR_R_NONE;
	if (!parse_length(d->content_length_text, &d->content_length))
		REFUSE(WR_R_CL_BAD);
	/* A leading zero is octal to some. */
	if (d->content_length_text.len > 1 && d->content_length_text.p[0] == '0')
		FAULT(WR_R_CL_BAD);
	d->has_length = 1;
	return WR_R_NONE;
}

static bool body_is_odd(struct wr_str method)
{
	static const struct wr_str odd[] = { { "GET", 3 },     { "HEAD", 4 },  { "DELETE", 6 },
		                             { "OPTIONS", 7 }, { "TRACE", 5 }, { "CONNECT", 7 } };

	for (uint32_t i = 0; i < WR_COUNT_OF(odd); i++)
		if (wr_str_is(method, odd[i]))
			return true;
	return false;
}

enum wr_reason wr_http_head_finish(struct wr_lcore *lc, struct wr_http_req *h, uint64_t body_off)
{
	struct wr_http_head *d = &slot_of(h)->head;
	struct wr_str list = d->expect, item;
	enum wr_reason why;

	if ((why = check_host(lc, h, d)) != WR_R_NONE)
		return why;
	if ((why = check_connection(lc, h, d)) != WR_R_NONE)
		return why;
	if ((why = check_length(lc, h, d)) != WR_R_NONE)
		return why;
	d->has_body = d->chunked || d->content_length > 0;
	d->has_upgrade = d->upgrade.p != NULL;
	if (d->has_upgrade || d->is_connect)
		FAULT(WR_R_UPGRADE);
	if (d->has_body && body_is_odd(d->method))
		FAULT(WR_R_GET_BODY);
	while (wr_str_next(&list, &item))
		if (wr_str_is(item, WR_STR("100-continue")))
			d->expects_continue = 1;
	d->framing = d->chunked      ? WR_FRAMING_CHUNKED
	             : d->has_length ? WR_FRAMING_LENGTH
	                             : WR_FRAMING_NONE;
	d->body = body_off;
	d->head_bytes = body_off - d->start;
	h->hold = WR_HTTP_HOLD_NONE;
	h->left = d->content_length;
	if (!d->has_body)
		h->state = S_END;
	else if (d->chunked)
		wr_http_chunk_begin(h, body_off);
	else {
		h->state = S_BODY;
		h->hold = body_off + d->content_length - 1;
	}
	h->bytes = 0;
	return WR_R_NONE;
}
