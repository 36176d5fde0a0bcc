/* SPDX-License-Identifier: BSD-3-Clause */
/* Who an upload is from: X-Forwarded-For is believed as far as its writer is trusted. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "http_run.h"
#include "tap.h"

#define NONE  WR_XFF_NONE
#define FOUND WR_XFF_FOUND
#define BAD   WR_XFF_BAD

static const struct {
	const char *name, *peer, *list, *want;
	uint32_t got;
	uint16_t port;
} row[] = {
	/* clang-format off */
	{ "no list", "10.0.0.1", NULL, "10.0.0.1", NONE, 7 },
	{ "an empty list", "10.0.0.1", "", "10.0.0.1", NONE, 7 },
	{ "one address", "10.0.0.1", "192.0.2.7", "192.0.2.7", FOUND, 0 },
	{ "with a port", "10.0.0.1", "192.0.2.7:51544", "192.0.2.7", FOUND, 51544 },
	{ "a peer that is not trusted", "192.0.2.9", "192.0.2.7", "192.0.2.9", NONE, 7 },
	{ "what the client wrote itself", "10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7", FOUND, 0 },
	{ "two trusted proxies", "10.0.0.1", "198.51.100.1, 192.0.2.7 ,\t10.0.0.2", "192.0.2.7", FOUND, 0 },
	{ "trusted to the last", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", FOUND, 0 },
	{ "IPv6", "10.0.0.1", "2001:db8::1", "2001:db8::1", FOUND, 0 },
	{ "IPv6 in brackets", "10.0.0.1", "[2001:db8::1]", "2001:db8::1", FOUND, 0 },
	{ "IPv6 with a port", "10.0.0.1", "[2001:db8::1]:443", "2001:db8::1", FOUND, 443 },
	{ "an IPv6 peer", "fd00::5", "192.0.2.7", "192.0.2.7", FOUND, 0 },
	{ "just outside the IPv6 prefix", "fd00:0:0:1::5", "192.0.2.7", "fd00:0:0:1::5", NONE, 7 },
	{ "just outside the IPv4 prefix", "10.0.0.4", "192.0.2.7", "10.0.0.4", NONE, 7 },
	{ "a word", "10.0.0.1", "unknown", "10.0.0.1", BAD, 7 },
	{ "a word behind a trusted one", "10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2", FOUND | BAD, 0 },
	{ "a word that nobody trusted wrote", "10.0.0.1", "unknown, 192.0.2.7", "192.0.2.7", FOUND, 0 },
	{ "an empty element", "10.0.0.1", "192.0.2.7,", "10.0.0.1", BAD, 7 },
	{ "white space only", "10.0.0.1", " ", "10.0.0.1", BAD, 7 },
	{ "a port too large", "10.0.0.1", "192.0.2.7:65536", "10.0.0.1", BAD, 7 },
	{ "a port without digits", "10.0.0.1", "192.0.2.7:", "10.0.0.1", BAD, 7 },
	{ "a number with a leading zero", "10.0.0.1", "192.0.2.07", "10.0.0.1", BAD, 7 },
	{ "an open bracket", "10.0.0.1", "[2001:db8::1", "10.0.0.1", BAD, 7 },
	{ "empty brackets", "10.0.0.1", "[]", "10.0.0.1", BAD, 7 },
	{ "IPv4 in brackets", "10.0.0.1", "[192.0.2.7]", "10.0.0.1", BAD, 7 },
	{ "more behind the bracket", "10.0.0.1", "[2001:db8::1]x", "10.0.0.1", BAD, 7 },
	{ "an interface", "10.0.0.1", "fe80::1%eth0", "10.0.0.1", BAD, 7 },
	/* clang-format on */
};

static void from(uint8_t out[16], const char *text)
{
	uint8_t four[4];

	memset(out, 0, 16);
	if (inet_pton(AF_INET, text, four) == 1) {
		out[10] = out[11] = 0xff;
		memcpy(out + 12, four, 4);
	} else {
		OK(inet_pton(AF_INET6, text, out) == 1, "%s reads", text);
	}
}

static struct wr_str text(const char *s)
{
	return (struct wr_str){ s, s != NULL ? (uint32_t)strlen(s) : 0 };
}

#define A50  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define S50  "                                                  "
#define A300 A50 A50 A50 A50 A50 A50
#define X(v) "X-Forwarded-For: " v "\r\n"

/*
 * A client may write as much as it likes in front of what a proxy adds: of a list longer than is
 * kept the end counts, and a part of an address is none.
 */
static void long_lists(const struct wr_conf_service *s)
{
	static const struct {
		const char *lines;
		uint32_t got;
	} l[] = {
		{ X(A300 ", 192.0.2.7"), FOUND },
		{ X(A300) X("192.0.2.7"), FOUND },
		{ X(A300) X(A300) X(A300) X(A300) X(A300) X("192.0.2.7"), FOUND },
		{ X("6.6.6.6" S50 S50 S50 S50 S50 "x, 192.0.2.7"), FOUND },
		{ X(A300), BAD },
		{ X("6.6.6.6, " A300 "," S50 ","), BAD },
	};
	struct http_run *r = http_run_new(2);
	uint8_t addr[16], peer[16], want[16];
	uint16_t port;
	char in[4096];
	int believed = 0;

	from(want, "192.0.2.7");
	from(peer, "10.0.0.1");
	for (size_t i = 0; i < WR_COUNT_OF(l); i++)
		for (size_t cut = 0; cut < 3; cut++) {
			int n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n",
			                 l[i].lines);

			http_feed(r, in, (size_t)n, cut, WR_PROXY_OFF);
			memcpy(addr, peer, 16);
			IS(wr_http_xff(r->head.xff, r->head.xff_cut, s, addr, &port), l[i].got,
			   "long list %zu, cut %zu", i, cut);
			OK(memcmp(addr, l[i].got == FOUND ? want : peer, 16) == 0,
			   "... and the address");
		}
	for (int spaces = 200; spaces < 260; spaces++) {
		int n = snprintf(in, sizeof(in),
		                 "GET / HTTP/1.1\r\nHost: a\r\n"
		                 "X-Forwarded-For: 192.0.2.7,%*s10.0.0.2\r\n\r\n",
		                 spaces, "");

		http_feed(r, in, (size_t)n, 0, WR_PROXY_OFF);
		memcpy(addr, peer, 16);
		wr_http_xff(r->head.xff, r->head.xff_cut, s, addr, &port);
		believed += memcmp(addr, want, 16) != 0 && addr[12] != 10;
	}
	memcpy(addr, peer, 16);
	IS(wr_http_xff(text("192.0.2.7"), WR_XFF_END_CUT, s, addr, &port), BAD,
	   "without its end a list is not believed at all");
	OK(memcmp(addr, peer, 16) == 0, "... and the peer stands");
	IS(believed, 0, "no part of an address is taken for one");
	http_run_free(r);
}

int main(void)
{
	static struct wr_conf_service s;
	uint8_t addr[16], want[16];
	uint16_t port;

	s.nproxies = 2;
	from(s.trusted_proxy[0].addr, "10.0.0.0");
	s.trusted_proxy[0].bits = 126;
	from(s.trusted_proxy[1].addr, "fd00::");
	s.trusted_proxy[1].bits = 64;
	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		from(addr, row[i].peer);
		from(want, row[i].want);
		port = 7;
		IS(wr_http_xff(text(row[i].list), 0, &s, addr, &port), row[i].got, "%s",
		   row[i].name);
		OK(memcmp(addr, want, 16) == 0 && port == row[i].port, "... and the address");
	}

	long_lists(&s);
	s.nproxies = 0;
	from(addr, "10.0.0.1");
	IS(wr_http_xff(text("192.0.2.7"), 0, &s, addr, &port), NONE,
	   "nobody is trusted unless named");
	return tap_done();
}
