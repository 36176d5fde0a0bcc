/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkt/ip.h"

#include "base/bytes.h"
#include "pkt/csum.h"
#include "pkt/pkt.h"

#define IP4_HEAD_MIN 20u
#define IP6_HEAD     40u

#define IP4_OPT_END  0u
#define IP4_OPT_NOP  1u
#define IP4_OPT_LSRR 131u
#define IP4_OPT_SSRR 137u

#define NEXT_HOP      0u
#define NEXT_ROUTING  43u
#define NEXT_FRAGMENT 44u
#define NEXT_AUTH     51u
#define NEXT_DEST     60u
#define NEXT_MOBILITY 135u
#define NEXT_HIP      139u
#define NEXT_SHIM6    140u

/* With a source route the destination in the header is only the next stop. */
static enum wr_reason ip4_options(const uint8_t *o, uint32_t n)
{
	for (uint32_t at = 0; at < n;) {
		uint32_t kind = o[at];

		if (kind == IP4_OPT_END)
			break;
		if (kind == IP4_OPT_NOP) {
			at++;
			continue;
		}
		if (n - at < 2 || o[at + 1] < 2 || o[at + 1] > n - at)
			return WR_R_BAD_IP_HEADER;
		if (kind == IP4_OPT_LSRR || kind == IP4_OPT_SSRR)
			return WR_R_IP_SOURCE_ROUTE;
		at += o[at + 1];
	}
	return WR_R_NONE;
}

enum wr_reason wr_ip4_parse(const uint8_t *b, uint32_t l3, uint32_t n, struct wr_ip *ip)
{
	const uint8_t *h = b + l3;
	uint32_t head, total, frag;
	enum wr_reason why;

	if (n - l3 < IP4_HEAD_MIN)
		return WR_R_TRUNCATED;
	head = (uint32_t)(h[0] & 15) * 4;
	total = wr_get_be16(h + 2);
	if (h[0] >> 4 != 4 || head < IP4_HEAD_MIN || total < head)
		return WR_R_BAD_IP_HEADER;
	if (total > n - l3)
		return WR_R_TRUNCATED;
	if (wr_csum_fold(wr_csum_head(h, head)) != 0xffff)
		return WR_R_BAD_IP_CHECKSUM;
	if (h[9] != WR_IP_TCP)
		return WR_R_NOT_TCP;
	if (head > IP4_HEAD_MIN) {
		why = ip4_options(h + IP4_HEAD_MIN, head - IP4_HEAD_MIN);
		if (why != WR_R_NONE)
			return why;
	}
	frag = wr_get_be16(h + 6);
	ip->l3 = l3;
	ip->l4 = l3 + head;
	ip->end = l3 + total;
	ip->ttl = h[8];
	ip->id = wr_get_be16(h + 4);
	ip->more = (frag & 0x2000u) != 0;
	ip->frag_offset = (frag & 0x1fffu) * 8;
	ip->fragment = ip->more || ip->frag_offset != 0;
	return WR_R_NONE;
}

/* Bytes of the extension header at h, or 0 when next is not one that can be stepped over. */
static uint32_t extension_bytes(uint32_t next, const uint8_t *h)
{
	switch (next) {
	case NEXT_HOP:
	case NEXT_ROUTING:
	case NEXT_DEST:
	case NEXT_MOBILITY:
	case NEXT_HIP:
	case NEXT_SHIM6: return ((uint32_t)h[1] + 1) * 8;
	case NEXT_FRAGMENT: return 8;
	case NEXT_AUTH: return ((uint32_t)h[1] + 2) * 4;
	default: return 0;
	}
}

static bool is_extension(uint32_t next)
{
	return next == NEXT_HOP || next == NEXT_ROUTING || next == NEXT_DEST ||
	       next == NEXT_FRAGMENT || next == NEXT_AUTH || next == NEXT_MOBILITY ||
	       next == NEXT_HIP || next == NEXT_SHIM6;
}

/* Walks the chain; ip->l4 is where it ends. A routing header that is not used up hides the end. */
static enum wr_reason ip6_chain(const uint8_t *b, struct wr_ip *ip, uint32_t *next)
{
	uint32_t at = ip->l3 + IP6_HEAD, prev = ip->l3 + 6;
	bool routed = false;

	for (uint32_t i = 0; is_extension(*next); i++) {
		uint32_t bytes;

		if (i == WR_PKT_EXTENSIONS || ip->end - at < 8)
			return WR_R_IP6_EXTENSION;
		bytes = extension_bytes(*next, b + at);
		if (bytes > ip->end - at)
			return WR_R_IP6_EXTENSION;
		routed |= *next == NEXT_ROUTING && b[at + 3] != 0;
		if (*next == NEXT_FRAGMENT) {
			uint32_t off = wr_get_be16(b + at + 2);

			/* A second one would cut what the first has cut: nobody does that in
			 * earnest. */
			if (ip->fragment)
				return WR_R_IP6_EXTENSION;
			ip->fragment = true;
			ip->more = (off & 1) != 0;
			ip->frag_offset = off & 0xfff8u;
			ip->id = wr_get_be32(b + at + 4);
			ip->frag_head = at;
			ip->frag_prev = prev;
		}
		prev = at;
		*next = b[at];
		at += bytes;
		/* Behind a later fragment's header lies payload, not headers. */
		if (ip->frag_offset != 0)
			break;
	}
	ip->l4 = at;
	return routed && *next == WR_IP_TCP ? WR_R_IP6_EXTENSION : WR_R_NONE;
}

enum wr_reason wr_ip6_parse(const uint8_t *b, uint32_t l3, uint32_t n, struct wr_ip *ip)
{
	const uint8_t *h = b + l3;
	uint32_t next;
	enum wr_reason why;

	if (n - l3 < IP6_HEAD)
		return WR_R_TRUNCATED;
	if (h[0] >> 4 != 6)
		return WR_R_BAD_IP_HEADER;
	if (wr_get_be16(h + 4) > n - l3 - IP6_HEAD)
		return WR_R_TRUNCATED;
	ip->v6 = true;
	ip->l3 = l3;
	ip->end = l3 + IP6_HEAD + wr_get_be16(h + 4);
	ip->ttl = h[7];
	next = h[6];
	why = ip6_chain(b, ip, &next);
	if (why != WR_R_NONE)
		return why;
	/* A later fragment names the header that follows in the first one; an extension may hide
	 * TCP. */
	if (ip->frag_offset != 0 && is_extension(next))
		return WR_R_IP6_EXTENSION;
	return next == WR_IP_TCP ? WR_R_NONE : WR_R_NOT_TCP;
}

uint64_t wr_ip_pseudo(const uint8_t *b, const struct wr_ip *ip, uint32_t n)
{
	uint8_t tail[4] = { 0, WR_IP_TCP, (uint8_t)(n >> 8), (uint8_t)n };

	return (ip->v6 ? wr_csum_head(b + ip->l3 + 8, 32) : wr_csum_head(b + ip->l3 + 12, 8)) +
	       wr_csum_head(tail, 4);
}
