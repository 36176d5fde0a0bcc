/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkt/pkt.h"

#include <rte_prefetch.h>

#include "base/bytes.h"
#include "pkt/csum.h"
#include "pkt/frag.h"
#include "pkt/ip.h"

#define PREFETCH_AHEAD 2
#define HEAD_AHEAD                                                                                 \
	12 /* the first line of a frame, with which parsing begins: bench_conns, Zen 4             \
	    */

#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu
#define TYPE_VLAN 0x8100u
#define TYPE_QINQ 0x88a8u
#define TYPE_OLDQ 0x9100u /* QinQ before 802.1ad */

#define OPT_END      0u
#define OPT_NOP      1u
#define OPT_MSS      2u
#define OPT_WSCALE   3u
#define OPT_SACKOK   4u
#define OPT_SACK     5u
#define OPT_TSTAMP   8u
#define WSCALE_MAX   14u /* RFC 7323 section 2.3: a larger shift counts as 14 */
#define TCP_HEAD_MIN 20u

static bool is_tag(uint32_t type)
{
	return type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_OLDQ;
}

enum wr_reason wr_ether_parse(const uint8_t *b, uint32_t n, struct wr_pkt *p, uint32_t *type)
{
	uint32_t at = 12, tags = 0, vid[WR_PKT_TAGS] = { 0 };

	if (n < 14)
		return WR_R_TRUNCATED;
	*type = wr_get_be16(b + at);
	at += 2;
	while (is_tag(*type)) {
		if (tags == WR_PKT_TAGS)
			return WR_R_VLAN_DEPTH;
		if (n - at < 4)
			return WR_R_TRUNCATED;
		vid[tags++] = wr_get_be16(b + at) & 0xfffu;
		*type = wr_get_be16(b + at + 2);
		at += 4;
	}
	p->key.vlan = (uint16_t)(vid[0] | (vid[1] & 0xf00u) << 4);
	p->key.inner_vlan = (uint8_t)vid[1];
	p->l3 = (uint16_t)at;
	return WR_R_NONE;
}

/* One option's payload; false when it contradicts itself. seen: kinds met so far, as bits. */
static bool take_option(struct wr_pkt *p, const uint8_t *o, uint32_t kind, uint32_t len,
                        uint32_t *seen)
{
	bool syn = (p->tcp_flags & WR_TCP_SYN) != 0;

	if (kind > OPT_TSTAMP || kind == 6 || kind == 7) {
		/* Blanking concerns the handshake: what it does not offer, the stream does not use.
		 */
		if (syn)
			p->opt |= WR_PKT_ODDOPT;
		return true;
	}
	/* Twice the same option: stacks differ in which one counts, so none does. */
	if ((*seen & 1u << kind) != 0)
		return false;
	*seen |= 1u << kind;
	switch (kind) {
	case OPT_MSS:
		if (len != 4)
			return false;
		p->mss = wr_get_be16(o + 2);
		p->opt |= WR_PKT_MSS;
		return true;
	case OPT_WSCALE:
		if (len != 3)
			return false;
		p->wscale = o[2] > WSCALE_MAX ? WSCALE_MAX : o[2];
		p->opt |= WR_PKT_WSCALE;
		return true;
	case OPT_SACKOK: p->opt |= WR_PKT_SACKOK; return len == 2;
	case OPT_SACK: return len >= 10 && (len - 2) % 8 == 0;
	default:
		if (len != 10)
			return false;
		p->ts_val = wr_get_be32(o + 2);
		p->ts_ecr = wr_get_be32(o + 6);
		p->opt |= WR_PKT_TSTAMP;
		return true;
	}
}

static bool parse_options(struct wr_pkt *p, const uint8_t *o, uint32_t n)
{
	uint32_t at = 0, seen = 0;

	/* By far the most frequent form on an open connection: NOP, NOP, timestamps. */
	if (n == 12 && wr_get_be32(o) == 0x0101080au)
		return take_option(p, o + 2, OPT_TSTAMP, 10, &seen);
	while (at < n) {
		uint32_t kind = o[at], len;

		if (kind == OPT_END)
			return true;
		if (kind == OPT_NOP) {
			at++;
			continue;
		}
		if (n - at < 2)
			return false;
		len = o[at + 1];
		if (len < 2 || len > n - at || !take_option(p, o + at, kind, len, &seen))
			return false;
		at += len;
	}
	return true;
}

/* b: the frame; ip->l4 .. ip->end is the TCP segment. */
static enum wr_reason parse_tcp(const uint8_t *b, const struct wr_ip *ip, struct wr_pkt *p)
{
	const uint8_t *t = b + ip->l4;
	uint32_t n = ip->end - ip->l4, head;

	if (n < TCP_HEAD_MIN)
		return WR_R_BAD_TCP_HEADER;
	head = (uint32_t)(t[12] >> 4) * 4;
	if (head < TCP_HEAD_MIN || head > n)
		return WR_R_BAD_TCP_HEADER;
	if (wr_csum_fold(wr_ip_pseudo(b, ip, n) + wr_csum_bytes(t, n)) != 0xffff)
		return WR_R_BAD_TCP_CHECKSUM;
	p->seq = wr_get_be32(t + 4);
	p->ack = wr_get_be32(t + 8);
	p->tcp_flags = t[13];
	p->window = wr_get_be16(t + 14);
	p->payload = (uint16_t)(ip->l4 + head);
	p->len = (uint16_t)(n - head);
	if (head > TCP_HEAD_MIN && !parse_options(p, t + TCP_HEAD_MIN, head - TCP_HEAD_MIN))
		return WR_R_BAD_TCP_HEADER;
	return WR_R_NONE;
}

bool wr_pkt_service_has(const struct wr_conf_service *s, const uint8_t addr[16])
{
	for (uint32_t k = 0; k < s->nnets; k++)
		if (wr_conf_net_has(&s->net[k], addr))
			return true;
	return s->nnets == 0;
}

int wr_pkt_service(const struct wr_conf *c, const uint8_t addr[16], uint32_t port)
{
	for (uint32_t i = 0; i < c->nservices; i++) {
		const struct wr_conf_service *s = &c->service[i];
		bool q = s->nports == 0;

		for (uint32_t k = 0; !q && k < s->nports; k++)
			q = s->port[k] == port;
		if (q && wr_pkt_service_has(s, addr))
			return (int)i;
	}
	return -1;
}

void wr_key_addresses(const uint8_t *b, const struct wr_ip *ip, enum wr_side side,
                      struct wr_flow_key *k)
{
	uint8_t *src = side == WR_SIDE_CLIENT ? k->client : k->store;
	uint8_t *dst = side == WR_SIDE_CLIENT ? k->store : k->client;

	if (ip->v6) {
		memcpy(src, b + ip->l3 + 8, 16);
		memcpy(dst, b + ip->l3 + 24, 16);
		return;
	}
	memset(src, 0, 10);
	memset(dst, 0, 10);
	memset(src + 10, 0xff, 2);
	memset(dst + 10, 0xff, 2);
	memcpy(src + 12, b + ip->l3 + 12, 4);
	memcpy(dst + 12, b + ip->l3 + 16, 4);
}

/*
 * A fragment that is not the first carries no ports, and its offset of at least 8 bytes cannot
 * rewrite the first one's either. Without that first fragment, which goes nowhere, it completes
 * nothing; so it ends here only where every port of the address is a service.
 */
static enum wr_reason later_fragment(const struct wr_conf *c, const struct wr_pkt *p)
{
	return wr_pkt_service(c, p->key.store, WR_PKT_ANY_PORT) >= 0 ? WR_R_IP_FRAGMENT
	                                                             : WR_R_NOT_SERVICE;
}

static enum wr_reason parse_l4(const struct wr_lcore *lc, enum wr_side side, const uint8_t *b,
                               const struct wr_ip *ip, struct wr_pkt *p)
{
	uint16_t sport, dport;
	int service;

	wr_key_addresses(b, ip, side, &p->key);
	if (ip->frag_offset != 0)
		return later_fragment(lc->conf, p);
	if (ip->end - ip->l4 < 4)
		return WR_R_BAD_TCP_HEADER;
	sport = wr_get_be16(b + ip->l4);
	dport = wr_get_be16(b + ip->l4 + 2);
	p->key.client_port = side == WR_SIDE_CLIENT ? sport : dport;
	p->key.store_port = side == WR_SIDE_CLIENT ? dport : sport;
	service = wr_pkt_service(lc->conf, p->key.store, p->key.store_port);
	if (service < 0)
		return WR_R_NOT_SERVICE;
	if (ip->fragment)
		return WR_R_IP_FRAGMENT;
	p->service = (uint8_t)service;
	return parse_tcp(b, ip, p);
}

enum wr_reason wr_pkt_parse(const struct wr_lcore *lc, enum wr_side side, struct rte_mbuf *m,
                            struct wr_pkt *p)
{
	const uint8_t *b = rte_pktmbuf_mtod(m, const uint8_t *);
	struct wr_ip ip = { 0 };
	enum wr_reason why;
	uint32_t type;

	memset(p, 0, sizeof(*p));
	p->m = m;
	p->side = (uint8_t)side;
	if (m->nb_segs != 1)
		return WR_R_MULTI_SEG;
	why = wr_ether_parse(b, m->data_len, p, &type);
	if (why != WR_R_NONE)
		return why;
	if (type == TYPE_IPV4)
		why = wr_ip4_parse(b, p->l3, m->data_len, &ip);
	else if (type == TYPE_IPV6)
		why = wr_ip6_parse(b, p->l3, m->data_len, &ip);
	else
		return WR_R_NOT_IP;
	if (why != WR_R_NONE)
		return why;
	p->key.proto = WR_IP_TCP;
	p->l4 = (uint16_t)ip.l4;
	p->ttl = ip.ttl;
	if (ip.v6)
		p->opt = WR_PKT_V6;
	why = parse_l4(lc, side, b, &ip, p);
	if (why == WR_R_NONE)
		p->hash = wr_mix_hash(&lc->key, &p->key, sizeof(p->key));
	return why;
}

/* Every line: the checksum reads them all, and what it leaves behind is what the scanners read. */
static void warm(struct rte_mbuf **m, uint16_t n, uint16_t i)
{
	if (i >= n)
		return;
	for (uint32_t at = 0; at < m[i]->data_len; at += WR_CACHE_LINE)
		rte_prefetch0(rte_pktmbuf_mtod_offset(m[i], void *, at));
}

/* The event names what the frame was found to be before it failed: perhaps not even addresses. */
static void drop(struct wr_lcore *lc, struct wr_lanes *out, enum wr_reason why, struct rte_mbuf *m)
{
	const struct wr_pkt *p = &out->inspect[out->ninspect];
	struct wr_event e = { .a = p->seq, .b = m->pkt_len, .side = p->side };

	memcpy(e.client, p->key.client, sizeof(e.client));
	e.client_port = p->key.client_port;
	e.store_port = p->key.store_port;
	wr_event_emit(lc, why, &e);
	out->drop[out->ndrop++] = m;
}

void wr_pkt_sort_burst(struct wr_lcore *lc, enum wr_side side, struct rte_mbuf **m, uint16_t n,
                       struct wr_lanes *out)
{
	WR_ASSERT(n <= WR_BURST);
	out->ninspect = out->npass = out->ndrop = 0;
	for (uint16_t i = 0; i < HEAD_AHEAD && i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (uint16_t i = 0; i < PREFETCH_AHEAD; i++)
		warm(m, n, i);
	for (uint16_t i = 0; i < n; i++) {
		enum wr_reason why;

		if (i + HEAD_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + HEAD_AHEAD], void *));
		warm(m, n, (uint16_t)(i + PREFETCH_AHEAD));
		why = wr_pkt_parse(lc, side, m[i], &out->inspect[out->ninspect]);
		if (wr_likely(why == WR_R_NONE)) {
			out->ninspect++;
			continue;
		}
		/* A fragment that is taken up ends here; the datagram comes back as a frame. */
		if (lc->frag != NULL && (why == WR_R_IP_FRAGMENT || why == WR_R_NOT_SERVICE) &&
		    wr_frag_take(lc, lc->frag, side, m[i]))
			why = WR_R_IP_FRAGMENT;
		wr_count(lc, why, 1);
		if (wr_reason_info(why)->def == WR_RD_WIRE)
			out->pass[out->npass++] = m[i];
		else
			drop(lc, out, why, m[i]);
	}
	/* Conservation: a frame in no lane is a leak, in two lanes a double send. */
	WR_DCHECK(out->ninspect + out->npass + out->ndrop == n);
}
