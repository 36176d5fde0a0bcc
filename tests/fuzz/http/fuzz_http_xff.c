/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: what a client writes itself stands before what the proxies add, and changes nothing of the
 * address that the first untrusted hop got. The list lies at the end of its memory: one byte read
 * beyond it is seen.
 */
#include <stdlib.h>
#include <string.h>

#include "http/http.h"

static uint32_t run(const uint8_t *data, size_t n, const char *before, uint8_t addr[16],
                    uint16_t *port)
{
	static struct wr_conf_service s;
	size_t more = strlen(before);
	char *copy = malloc(more + n + 1);
	uint32_t got;

	/* 10.0.0.0/8 and fd00::/8 are trusted, and so is the peer. */
	s.nproxies = 2;
	memcpy(s.trusted_proxy[0].addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\0", 16);
	s.trusted_proxy[0].bits = 104;
	s.trusted_proxy[1].addr[0] = 0xfd;
	s.trusted_proxy[1].bits = 8;
	memcpy(addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
	*port = 7;
	memcpy(copy + 1, before, more);
	memcpy(copy + 1 + more, data, n);
	got = wr_http_xff((struct wr_str){ copy + 1, (uint32_t)(more + n) }, 0, &s, addr, port);
	free(copy);
	return got;
}

static int is_trusted(const uint8_t a[16])
{
	return a[0] == 0xfd || memcmp(a, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a", 13) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const before[] = { "unknown, ", "198.51.100.1,", ",", "10.0.0.9 ," };
	uint8_t first[16], again[16];
	uint16_t port, port2;
	uint32_t got;

	if (n == 0 || n > WR_HEAD_XFF_MAX - 16)
		return 0;
	got = run(data, n, "", first, &port);
	WR_ASSERT(got <= (WR_XFF_FOUND | WR_XFF_BAD));
	WR_ASSERT((got & WR_XFF_FOUND) || port == 7);
	if (got != WR_XFF_FOUND || is_trusted(first))
		return 0;
	for (size_t i = 0; i < WR_COUNT_OF(before); i++) {
		WR_ASSERT(run(data, n, before[i], again, &port2) == got);
		WR_ASSERT(memcmp(first, again, 16) == 0 && port == port2);
	}
	return 0;
}
