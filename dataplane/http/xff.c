/* SPDX-License-Identifier: BSD-3-Clause */
/* xff - X-Forwarded-For, as far as the one who wrote it is trusted. */
#include <arpa/inet.h>

#include "http/int.h"

static bool trusted(const struct wr_conf_service *s, const uint8_t addr[16])
{
	for (uint32_t i = 0; i < s->nproxies; i++)
		if (wr_conf_net_has(&s->trusted_proxy[i], addr))
			return true;
	return false;
}

/* The last element of the list, white space around it taken off; *list keeps what is before it. */
static struct wr_str last(struct wr_str *list)
{
	uint32_t end = list->len, at;

	while (end > 0 && (list->p[end - 1] == ' ' || list->p[end - 1] == '\t'))
		end--;
	at = end;
	while (at > 0 && list->p[at - 1] != ',')
		at--;
	list->len = at > 0 ? at - 1 : 0;
	while (at < end && (list->p[at] == ' ' || list->p[at] == '\t'))
		at++;
	return (struct wr_str){ list->p + at, end - at };
}

static bool number(const char *p, uint32_t n, uint16_t *out)
{
	uint32_t v = 0;

	if (n == 0 || n > 5)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(p[i] - '0');
	}
	*out = (uint16_t)v;
	return v <= UINT16_MAX;
}

/* 192.0.2.1, 192.0.2.1:443, 2001:db8::1, [2001:db8::1], [2001:db8::1]:443 */
static bool address(struct wr_str e, uint8_t out[16], uint16_t *port)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const char *from = e.p, *close = NULL, *colon;
	uint32_t n = e.len;
	char text[48];

	*port = 0;
	if (n == 0)
		return false;
	if (from[0] == '[') {
		close = memchr(from, ']', n);
		if (close == NULL)
			return false;
		if (close + 1 < e.p + n &&
		    (close[1] != ':' || !number(close + 2, (uint32_t)(e.p + n - close - 2), port)))
			return false;
		from++;
		n = (uint32_t)(close - from);
	} else {
		colon = memchr(from, ':', n);
		if (colon != NULL &&
		    memchr(colon + 1, ':', (size_t)(e.p + n - colon - 1)) == NULL) {
			if (!number(colon + 1, (uint32_t)(e.p + n - colon - 1), port))
				return false;
			n = (uint32_t)(colon - from);
		}
	}
	if (n == 0 || n >= sizeof(text) || memchr(from, 0, n) != NULL)
		return false;
	memcpy(text, from, n);
	text[n] = '\0';
	if (close == NULL && inet_pton(AF_INET, text, out + 12) == 1) {
		memcpy(out, mapped, 12);
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

uint32_t wr_http_xff(struct wr_str list, uint8_t cut, const struct wr_conf_service *s,
                     uint8_t addr[16], uint16_t *port)
{
	uint32_t got = WR_XFF_NONE;
	uint8_t next[16];
	uint16_t at;

	if (list.p == NULL || s->nproxies == 0 || !trusted(s, addr))
		return got;
	if (cut & WR_XFF_END_CUT)
		return WR_XFF_BAD;
	while (list.len > 0 && trusted(s, addr)) {
		struct wr_str e = last(&list);

		/* The front of a long list is gone, and perhaps a part of this one. */
		if ((cut && list.len == 0) || !address(e, next, &at))
			return got | WR_XFF_BAD;
		memcpy(addr, next, 16);
		*port = at;
		got = WR_XFF_FOUND;
	}
	return got;
}
