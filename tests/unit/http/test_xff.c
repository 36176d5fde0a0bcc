/* SPDX-License-Identifier: BSD-3-Clause */
/* Who an upload is from: X-Forwarded-For is believed as far as its writer is trusted. */
#include <arpa/inet.h>
#include <string.h>

#include "http/http.h"
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

int main(void)
{
	static struct wr_conf_service s;
	static char many[WR_HEAD_XFF_MAX + 1];
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
		IS(wr_http_xff(text(row[i].list), &s, addr, &port), row[i].got, "%s", row[i].name);
		OK(memcmp(addr, want, 16) == 0 && port == row[i].port, "... and the address");
	}

	/* As long as is kept: what the nearest proxy wrote may be missing. */
	memset(many, '1', sizeof(many) - 1);
	memcpy(many + WR_HEAD_XFF_MAX - 14, ", 192.0.2.7:80", 14);
	from(addr, "10.0.0.1");
	from(want, "10.0.0.1");
	IS(wr_http_xff((struct wr_str){ many, WR_HEAD_XFF_MAX }, &s, addr, &port), BAD,
	   "a list that may have been cut is not believed");
	OK(memcmp(addr, want, 16) == 0, "... and the peer stands");
	IS(wr_http_xff((struct wr_str){ many + 1, WR_HEAD_XFF_MAX - 1 }, &s, addr, &port), FOUND,
	   "one byte less is read");
	s.nproxies = 0;
	from(addr, "10.0.0.1");
	IS(wr_http_xff(text("192.0.2.7"), &s, addr, &port), NONE, "nobody is trusted unless named");
	return tap_done();
}
