/* SPDX-License-Identifier: BSD-3-Clause */
/* param - the parameters of Content-Type and Content-Disposition, read strictly (RFC 9110 5.6.6).
 */
#include "body/int.h"

static struct wr_str cut_left(struct wr_str s, uint32_t n)
{
	return (struct wr_str){ s.p + n, s.len - n };
}

struct wr_str wr_param_head(struct wr_str *rest)
{
	struct wr_str v = { rest->p, 0 };

	while (v.len < rest->len && v.p[v.len] != ';')
		v.len++;
	*rest = cut_left(*rest, v.len);
	return wr_str_trim(v);
}

/* A quoted string; *rest moves behind the closing quote. */
static int quoted(struct wr_str *rest, struct wr_param *out)
{
	uint32_t i = 1;

	for (; i < rest->len && rest->p[i] != '"'; i++) {
		/* Browsers send back slashes as they are; only \" and \\ are read differently. */
		if (rest->p[i] == '\\' && i + 1 < rest->len &&
		    (rest->p[i + 1] == '"' || rest->p[i + 1] == '\\')) {
			out->escaped |= rest->p[i + 1] == '"';
			i++;
		}
	}
	if (i >= rest->len)
		return -1;
	out->quoted = 1;
	out->value = (struct wr_str){ rest->p + 1, i - 1 };
	*rest = cut_left(*rest, i + 1);
	return 1;
}

int wr_param_next(struct wr_str *rest, struct wr_param *out)
{
	uint32_t n = 0;

	memset(out, 0, sizeof(*out));
	for (;;) {
		*rest = wr_str_trim(*rest);
		if (rest->len == 0)
			return 0;
		if (rest->p[0] != ';')
			return -1;
		*rest = wr_str_trim(cut_left(*rest, 1));
		if (rest->len == 0)
			return 0;
		if (rest->p[0] != ';')
			break;
	}
	while (n < rest->len && rest->p[n] != '=' && rest->p[n] != ';' && rest->p[n] != ' ' &&
	       rest->p[n] != '\t' && rest->p[n] != '"')
		n++;
	if (n == 0 || n >= rest->len || rest->p[n] != '=')
		return -1;
	out->name = (struct wr_str){ rest->p, n };
	*rest = cut_left(*rest, n + 1);
	if (rest->len > 0 && rest->p[0] == '"')
		return quoted(rest, out);
	for (n = 0; n < rest->len && rest->p[n] != ';' && rest->p[n] != ' ' && rest->p[n] != '\t';)
		if (rest->p[n++] == '"')
			return -1;
	out->value = (struct wr_str){ rest->p, n };
	*rest = cut_left(*rest, n);
	return 1;
}

/* bchars of RFC 2046 5.1.1; a comma or a space only in quotes: some parsers end the value there. */
static bool boundary_ok(const struct wr_param *p)
{
	if (p->value.len == 0 || p->value.len > WR_BODY_BOUNDARY_MAX ||
	    p->value.p[p->value.len - 1] == ' ')
		return false;
	for (uint32_t i = 0; i < p->value.len; i++) {
		char c = p->value.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			continue;
		if (c == '\0' || strchr("'()+_-./:=?, ", c) == NULL)
			return false;
		if ((c == ',' || c == ' ') && !p->quoted)
			return false;
	}
	return true;
}

int wr_param_boundary(struct wr_str content_type, struct wr_str *boundary)
{
	struct wr_param p;
	int r, found = 0;

	*boundary = (struct wr_str){ NULL, 0 };
	wr_param_head(&content_type);
	while ((r = wr_param_next(&content_type, &p)) == 1) {
		if (!wr_str_starts(p.name, WR_STR("boundary")))
			continue;
		/* boundary*0=, boundary*=: RFC 2231 pieces, joined by some and ignored by others.
		 */
		if (p.name.len != 8 || found++ || !boundary_ok(&p))
			return -1;
		*boundary = p.value;
	}
	return r < 0 ? -1 : found;
}
