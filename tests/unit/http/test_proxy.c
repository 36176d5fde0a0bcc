/* SPDX-License-Identifier: BSD-3-Clause */
/* PROXY v1 and v2 before a request. */
#include "http_run.h"
#include "tap.h"

#define GET    "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define SIG    "\r\n\r\n\0\r\nQUIT\n"
#define S(lit) (lit), sizeof(lit) - 1

static const struct {
	const char *name, *in;
	size_t n;
	uint8_t mode;
	const char *log;
	uint8_t known;
	uint16_t sport;
} row[] = {
	/* clang-format off */
	{ "v1 tcp4", S("PROXY TCP4 192.0.2.1 10.0.0.1 51544 80\r\n" GET), WR_PROXY_V1, "PHE", 1, 51544 },
	{ "v1 tcp6", S("PROXY TCP6 2001:db8::1 ::1 1 80\r\n" GET), WR_PROXY_ANY, "PHE", 1, 1 },
	{ "v1 unknown", S("PROXY UNKNOWN\r\n" GET), WR_PROXY_V1, "PHE", 0, 0 },
	{ "v1 missing", S(GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 where v2 is told", S("PROXY UNKNOWN\r\n" GET), WR_PROXY_V2, "X", 0, 0 },
	{ "v1 bad address", S("PROXY TCP4 192.0.2.1.1 10.0.0.1 51544 80\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 bad port", S("PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 leading zero", S("PROXY TCP4 192.0.2.1 10.0.0.1 080 80\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 two spaces", S("PROXY TCP4  192.0.2.1 10.0.0.1 80 80\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 more words", S("PROXY TCP4 192.0.2.1 10.0.0.1 80 80 x\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 bare LF", S("PROXY TCP4 192.0.2.1 10.0.0.1 80 80\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v1 too long", S("PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" GET), WR_PROXY_V1, "X", 0, 0 },
	{ "v2 tcp4", S(SIG "\x21\x11\0\x0c" "\xc0\0\2\1" "\x0a\0\0\1" "\xc9\x58\0\x50" GET), WR_PROXY_V2, "PHE", 1, 51544 },
	{ "v2 with a TLV", S(SIG "\x21\x11\0\x10" "\xc0\0\2\1" "\x0a\0\0\1" "\xc9\x58\0\x50" "\4\0\1x" GET), WR_PROXY_ANY, "PHE", 1, 51544 },
	{ "v2 local", S(SIG "\x20\0\0\0" GET), WR_PROXY_V2, "PHE", 0, 0 },
	{ "v2 too short", S(SIG "\x21\x11\0\x0b" "\xc0\0\2\1" "\x0a\0\0\1" "\xc9\x58\0" GET), WR_PROXY_V2, "X", 0, 0 },
	{ "v2 too long", S(SIG "\x21\x11\xff\xff"), WR_PROXY_V2, "X", 0, 0 },
	{ "v2 version 3", S(SIG "\x31\x11\0\x0c" "\xc0\0\2\1" "\x0a\0\0\1" "\xc9\x58\0\x50" GET), WR_PROXY_V2, "X", 0, 0 },
	{ "v2 where none is told", S(SIG "\x20\0\0\0" GET), WR_PROXY_OFF, "X", 0, 0 },
	/* clang-format on */
};

int main(void)
{
	struct http_run *r = http_run_new(2);

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		for (size_t cut = 0; cut < 2; cut++) {
			memset(&r->proxy, 0, sizeof(r->proxy));
			http_feed(r, row[i].in, row[i].n, cut, row[i].mode);
			OK(strcmp(r->log, row[i].log) == 0 && r->proxy.known == row[i].known &&
			           r->proxy.sport == row[i].sport,
			   "%s, cut %zu: %s", row[i].name, cut, r->log);
			if (row[i].log[0] == 'X')
				IS(r->reason,
				   row[i].mode == WR_PROXY_OFF ? WR_R_PROXY_UNEXPECTED
				                               : WR_R_PROXY_BAD,
				   "... for its own reason");
			IS(wr_http_heads_free(r->t), 2, "... and no slot is lost");
		}
	}
	http_feed(r, row[0].in, row[0].n, 0, WR_PROXY_V1);
	OK(memcmp(r->proxy.src, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16) == 0, "v4 is mapped");
	http_run_free(r);
	return tap_done();
}
