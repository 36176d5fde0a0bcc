/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aws - aws-chunked: hex size, signature where the kind has one, data, CRLF; trailers where it has
 * them.
 *
 * Signatures are not checked (Weir has no keys): the store does that. What is checked is that every
 * reader finds the same object bytes.
 */
#include "body/int.h"

#define DIGITS_MAX 15u

enum {
	A_SIZE,
	A_EXT, /* ";chunk-signature=" as it passes: aws.digits counts */
	A_SIG,
	A_SIZE_CR,
	A_DATA,
	A_DATA_CR,
	A_DATA_LF,
	A_LINE, /* first byte of a trailer line, or of the empty last one */
	A_NAME,
	A_VALUE,
	A_VALUE_LF, /* some clients write LF before the CRLF of a trailer */
	A_VALUE_CR,
	A_LAST_CR,
	A_END,
};

static const char ext[] = ";chunk-signature=";

static bool is_signed(const struct layer *l)
{
	return l->aws.kind != WR_FRAMING_AWS_UNSIGNED_TRAILER;
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void begin_line(struct layer *l, uint64_t off)
{
	l->state = A_SIZE;
	l->aws.line_off = off;
	l->aws.left = 0;
	l->aws.digits = 0;
	l->aws.bytes = 0;
}

/* Behind the size line. False: more than the declared length. */
static bool size_done(struct wr_lcore *lc, struct wr_body *b, struct layer *l)
{
	struct aws_state *a = &l->aws;

	a->bytes = 0;
	l->state = a->left == 0 ? A_LINE : A_DATA;
	if (!a->has_want || a->left <= a->want - a->decoded)
		return true;
	a->has_want = 0;
	return wr_body_tolerates(lc, b, WR_R_AWS_LENGTH);
}

static bool size_byte(struct wr_body *b, struct layer *l, uint8_t c)
{
	struct aws_state *a = &l->aws;
	int d = hex(c);

	if (d >= 0) {
		if (a->digits >= DIGITS_MAX)
			return false;
		a->digits++;
		a->left = a->left << 4 | (uint64_t)d;
		/* While it is only zeros it may be the last chunk: hold from its first byte. */
		b->hold = a->left == 0 ? a->line_off : WR_BODY_HOLD_NONE;
		return true;
	}
	if (a->digits == 0 || (c == ';') != is_signed(l) || (c != ';' && c != '\r'))
		return false;
	l->state = c == ';' ? A_EXT : A_SIZE_CR;
	a->at = 1;
	return true;
}

static bool ext_byte(struct layer *l, uint8_t c)
{
	struct aws_state *a = &l->aws;

	if (l->state == A_EXT) {
		if (c != (uint8_t)ext[a->at])
			return false;
		if (ext[++a->at] == '\0') {
			l->state = A_SIG;
			a->bytes = 0;
		}
		return true;
	}
	if (c == '\r') {
		l->state = A_SIZE_CR;
		return a->bytes >= 64;
	}
	/* sigv4a signatures are longer and padded with '*'. */
	return (hex(c) >= 0 || c == '*') && ++a->bytes <= WR_BODY_AWS_SIG_MAX;
}

static bool trailer_byte(struct layer *l, uint8_t c)
{
	struct aws_state *a = &l->aws;
	bool has_trailers = a->kind != WR_FRAMING_AWS_SIGNED && a->kind != WR_FRAMING_AWS_SIGV4A;

	if (++a->bytes > WR_BODY_AWS_TRAILER)
		return false;
	switch (l->state) {
	case A_LINE:
		if (c == '\r') {
			l->state = A_LAST_CR;
			return true;
		}
		l->state = A_NAME;
		/* A sigv4a body may have trailers: its kind does not say so. */
		return (has_trailers || a->kind == WR_FRAMING_AWS_SIGV4A) && c > ' ' && c < 0x7f &&
		       c != ':';
	case A_NAME:
		if (c == ':')
			l->state = A_VALUE;
		return c > ' ' && c < 0x7f;
	case A_VALUE:
		if (c == '\r')
			l->state = A_VALUE_CR;
		else if (c == '\n')
			l->state = A_VALUE_LF;
		return c == '\r' || c == '\n' || (c >= ' ' && c < 0x7f);
	case A_VALUE_LF: l->state = A_VALUE_CR; return c == '\r';
	case A_VALUE_CR: l->state = A_LINE; return c == '\n';
	default: /* A_LAST_CR */ l->state = A_END; return c == '\n';
	}
}

static enum run give_data(struct wr_body *b, struct layer *l, struct wr_body_out *out)
{
	uint64_t n = wr_min_u64(l->aws.left, (uint64_t)(l->in.end - l->in.p)), off = l->in.off;
	struct wr_piece piece = { l->in.p, (uint32_t)n, l->in.owner };

	layer_take(l, n);
	l->aws.left -= n;
	l->aws.decoded += n;
	if (l->aws.left == 0)
		l->state = A_DATA_CR;
	return wr_body_give(b, l, piece, off, l->derived, out);
}

enum run wr_aws_run(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                    struct wr_body_out *out)
{
	while (l->in.p < l->in.end) {
		uint8_t c = *l->in.p;
		bool good;

		if (l->state == A_DATA)
			return give_data(b, l, out);
		if (l->state == A_SIZE && l->aws.digits == 0)
			l->aws.line_off = l->in.off;
		layer_take(l, 1);
		switch (l->state) {
		case A_SIZE: good = size_byte(b, l, c); break;
		case A_EXT:
		case A_SIG: good = ext_byte(l, c); break;
		case A_SIZE_CR:
			good = c == '\n';
			if (good && !size_done(lc, b, l))
				return wr_body_refuse(NULL, out, WR_R_AWS_LENGTH);
			break;
		case A_DATA_CR:
			good = c == '\r';
			l->state = A_DATA_LF;
			break;
		case A_DATA_LF:
			good = c == '\n';
			begin_line(l, l->in.off);
			break;
		case A_END: good = false; break;
		default: good = trailer_byte(l, c);
		}
		if (!good)
			return wr_body_refuse(lc, out, WR_R_AWS_CHUNK_BAD);
	}
	return RUN_IDLE;
}

enum run wr_aws_finish(struct wr_lcore *lc, struct wr_body *b, struct layer *l,
                       struct wr_body_out *out)
{
	if (l->state != A_END)
		return wr_body_refuse(lc, out, WR_R_AWS_CHUNK_BAD);
	if (l->aws.has_want && l->aws.decoded != l->aws.want) {
		l->aws.has_want = 0;
		if (!wr_body_tolerates(lc, b, WR_R_AWS_LENGTH))
			return wr_body_refuse(NULL, out, WR_R_AWS_LENGTH);
	}
	return RUN_DONE;
}

static const struct layer *aws_layer(const struct wr_body *b)
{
	for (uint32_t i = 0; i < b->nlayers; i++)
		if (b->layer[i].kind == L_AWS)
			return &b->layer[i];
	return NULL;
}

bool wr_body_tail_known(const struct wr_body *b)
{
	const struct layer *l = aws_layer(b);

	return l != NULL && b->hold != WR_BODY_HOLD_NONE && l->state >= A_LINE;
}

bool wr_body_hold_firm(const struct wr_body *b)
{
	return b->hold != WR_BODY_HOLD_NONE && (aws_layer(b) == NULL || wr_body_tail_known(b));
}
