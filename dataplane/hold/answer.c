/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * answer - the few hundred bytes that a blocked client reads. Written by hand, without stdio: it
 * runs on the packet path. It names the decision, never a rule or a list: that would be an oracle.
 */
#include <string.h>

#include "base/ulid.h"
#include "hold/hold.h"

struct text {
	char *p;
	uint32_t n, size;
};

static void put(struct text *t, const char *s, uint32_t n)
{
	if (n > t->size - t->n)
		n = t->size - t->n;
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void puts_(struct text *t, const char *s)
{
	put(t, s, (uint32_t)strlen(s));
}

static void put_number(struct text *t, uint32_t v)
{
	char d[10];
	uint32_t n = 0;

	do {
		d[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	while (n > 0)
		put(t, &d[--n], 1);
}

static bool has(const struct wr_str *s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; s->p != NULL && i + n <= s->len; i++)
		if (memcmp(s->p + i, word, n) == 0)
			return true;
	return false;
}

static bool is_s3(const struct wr_http_head *h)
{
	return h->amz_content_sha256.p != NULL || h->amz_copy_source.p != NULL ||
	       has(&h->target, "X-Amz-") || has(&h->target, "uploadId=");
}

enum listed { NOT_LISTED, ANY_LISTED, NAME_LISTED };

/* Whether the configuration lists the origin, by its name or by "*". */
static enum listed cors(const struct wr_conf *c, const struct wr_http_head *h)
{
	enum listed got = NOT_LISTED;

	if (h->origin.p == NULL || h->origin.len == 0 || h->cut)
		return NOT_LISTED;
	for (uint32_t i = 0; i < h->origin.len; i++)
		if ((unsigned char)h->origin.p[i] <= 0x20 || (unsigned char)h->origin.p[i] >= 0x7f)
			return NOT_LISTED;
	for (uint32_t i = 0; i < c->norigins; i++) {
		const char *o = c->cors_origin[i];

		if (strlen(o) == h->origin.len && memcmp(o, h->origin.p, h->origin.len) == 0)
			return NAME_LISTED;
		if (strcmp(o, "*") == 0)
			got = ANY_LISTED;
	}
	return got;
}

static const char *status_line(uint32_t status)
{
	switch (status) {
	case 422: return "HTTP/1.1 422 Unprocessable Content\r\n";
	case 451: return "HTTP/1.1 451 Unavailable For Legal Reasons\r\n";
	default: return "HTTP/1.1 403 Forbidden\r\n";
	}
}

static const char *body_of(struct text *b, const struct wr_http_head *h, const char *id)
{
	if (h != NULL && is_s3(h)) {
		puts_(b, "<?xml version=\"1.0\" "
		         "encoding=\"UTF-8\"?>\n<Error><Code>ContentRejected</Code>"
		         "<Message>The content of this upload was rejected.</Message><RequestId>");
		puts_(b, id);
		puts_(b, "</RequestId></Error>\n");
		return "application/xml";
	}
	if (h != NULL && has(&h->accept, "json")) {
		puts_(b, "{\"error\":\"content_rejected\",\"decision_id\":\"");
		puts_(b, id);
		puts_(b, "\"}\n");
		return "application/json";
	}
	puts_(b, "The content of this upload was rejected.\nDecision: ");
	puts_(b, id);
	puts_(b, "\n");
	return "text/plain";
}

uint32_t wr_hold_answer(const struct wr_conf *conf, const struct wr_http_head *head,
                        const uint8_t decision_id[16], char *buf, uint32_t size)
{
	char id[WR_ULID_TEXT + 1], body[400];
	struct text t = { buf, 0, size }, b = { body, 0, sizeof(body) };
	enum listed origin;
	const char *type;

	wr_ulid_text(decision_id, id);
	type = body_of(&b, head, id);
	puts_(&t, status_line(conf->answer_status));
	puts_(&t, "Weir-Decision-Id: ");
	puts_(&t, id);
	puts_(&t, "\r\nContent-Type: ");
	puts_(&t, type);
	puts_(&t, "\r\nContent-Length: ");
	put_number(&t, b.n);
	puts_(&t, "\r\nCache-Control: no-store\r\nConnection: close\r\n");
	if (head != NULL && head->tus_resumable.p != NULL)
		puts_(&t, "Tus-Resumable: 1.0.0\r\n");
	if (head != NULL && (origin = cors(conf, head)) != NOT_LISTED) {
		puts_(&t, "Access-Control-Allow-Origin: ");
		put(&t, head->origin.p, head->origin.len);
		puts_(&t,
		      "\r\nVary: Origin\r\nAccess-Control-Expose-Headers: Weir-Decision-Id\r\n");
		/* A fetch that sent cookies reads nothing without it; "*" never meant those. */
		if (origin == NAME_LISTED)
			puts_(&t, "Access-Control-Allow-Credentials: true\r\n");
	}
	puts_(&t, "\r\n");
	/* The answer to HEAD has no body; its Content-Length stays true. */
	if (head == NULL || !head->is_head)
		put(&t, body, b.n);
	return t.n;
}
