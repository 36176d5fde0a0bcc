/* SPDX-License-Identifier: BSD-3-Clause */
#include "pkt/frag.h"

#include "base/bytes.h"
#include "mem/mem.h"
#include "pkt/csum.h"
#include "pkt/ip.h"
#include "pkt/pkt.h"

#define DATAGRAM_MAX 65535u
#define HEAD_MAX     256u /* Ethernet, tags, IP header, extensions in front of the fragment header */
#define MTU_MIN      576u /* every IPv4 network carries it; smaller pieces would only be for show */
#define TCP_MIN      20u

struct id { /* compared as bytes: no padding */
	uint8_t addr[32];
	uint32_t id;
	uint16_t vlan;
	uint8_t inner_vlan, side;
};

struct piece {
	uint16_t from, to;
};

struct datagram {
	struct id id;
	uint64_t since;
	bool used, dead; /* dead: an overlap was seen; swallows what still comes */
	uint32_t total;  /* bytes behind the IP headers, 0 = the last fragment is not there yet */
	uint32_t have, mtu, head_len, npieces;
	struct piece piece[WR_FRAG_PIECES];
	uint8_t head[HEAD_MAX];
	uint8_t data[DATAGRAM_MAX + 1];
};

struct wr_frag {
	struct datagram d[WR_FRAG_DATAGRAMS];
	struct rte_mbuf *out[2][WR_FRAG_OUT];
	uint16_t nout[2];
	uint8_t whole[HEAD_MAX + DATAGRAM_MAX + 1];
};

struct wr_frag *wr_frag_new(void)
{
	return wr_mem_alloc("fragments", sizeof(struct wr_frag));
}

void wr_frag_free(struct wr_frag *f)
{
	for (int side = 0; f != NULL && side < 2; side++)
		for (uint16_t i = 0; i < f->nout[side]; i++)
			rte_pktmbuf_free(f->out[side][i]);
	wr_mem_free(f);
}

bool wr_frag_wanted(const struct wr_conf *c)
{
	for (uint32_t i = 0; i < c->nservices; i++)
		if (c->service[i].policy.on_reason[WR_R_IP_FRAGMENT] == WR_ON_REASSEMBLE)
			return true;
	return false;
}

/* --- finding the datagram
 * ------------------------------------------------------------------------------ */

static void forget(struct datagram *d)
{
	d->used = d->dead = false;
	d->total = d->have = d->mtu = d->head_len = d->npieces = 0;
}

/* The entry of id, or a fresh one: empty, too old, or the oldest of all. */
static struct datagram *entry(struct wr_lcore *lc, struct wr_frag *f, const struct id *id)
{
	struct datagram *best = &f->d[0];

	for (uint32_t i = 0; i < WR_FRAG_DATAGRAMS; i++) {
		struct datagram *d = &f->d[i];

		if (d->used && lc->now - d->since > WR_FRAG_NS) {
			if (!d->dead)
				wr_count(lc, WR_R_FRAG_TIMEOUT, 1);
			forget(d);
		}
		if (d->used && memcmp(&d->id, id, sizeof(*id)) == 0)
			return d;
		if (best->used && (!d->used || d->since < best->since))
			best = d;
	}
	if (best->used)
		wr_count(lc, WR_R_FRAG_LIMIT, 1);
	forget(best);
	best->used = true;
	best->since = lc->now;
	best->id = *id;
	return best;
}

/* --- one fragment
 * --------------------------------------------------------------------------------------- */

static bool overlaps(const struct datagram *d, uint32_t from, uint32_t to, const uint8_t *b,
                     bool *repeat)
{
	*repeat = false;
	for (uint32_t i = 0; i < d->npieces; i++) {
		const struct piece *p = &d->piece[i];

		if (to <= p->from || from >= p->to)
			continue;
		*repeat =
		        from == p->from && to == p->to && memcmp(d->data + from, b, to - from) == 0;
		return !*repeat;
	}
	return false;
}

/* False: the datagram can never be whole and unambiguous. */
static bool add(struct wr_lcore *lc, struct datagram *d, const uint8_t *b, const struct wr_ip *ip)
{
	uint32_t at = ip->frag_head != 0 ? ip->frag_head + 8 : ip->l4;
	uint32_t from = ip->frag_offset, n = ip->end - at, to = from + n;
	bool repeat;

	/* Lengths that cannot be: RFC 791, RFC 8200 section 4.5. */
	if (n == 0 || to > DATAGRAM_MAX || (ip->more && n % 8 != 0) ||
	    (!ip->more && d->total != 0 && d->total != to) || (d->total != 0 && to > d->total))
		return false;
	if (overlaps(d, from, to, b + at, &repeat))
		return false;
	if (repeat)
		return true;
	if (d->npieces == WR_FRAG_PIECES) {
		wr_count(lc, WR_R_FRAG_LIMIT, 1);
		return false;
	}
	if (!ip->more) {
		for (uint32_t i = 0; i < d->npieces; i++)
			if (d->piece[i].to > to)
				return false;
		d->total = to;
	}
	if (from == 0) {
		/* Everything in front of what was cut, as the sender meant it before cutting. */
		d->head_len = ip->frag_head != 0 ? ip->frag_head : ip->l4;
		if (d->head_len > HEAD_MAX)
			return false;
		memcpy(d->head, b, d->head_len);
		if (ip->frag_head != 0)
			d->head[ip->frag_prev] = b[ip->frag_head];
	}
	memcpy(d->data + from, b + at, n);
	d->piece[d->npieces++] = (struct piece){ (uint16_t)from, (uint16_t)to };
	d->have += n;
	d->mtu = wr_max_u32(d->mtu, ip->end - ip->l3);
	return true;
}

/* --- the whole
 * ------------------------------------------------------------------------------------------ */

static void set_lengths(uint8_t *b, const struct wr_ip *ip, uint32_t end, uint32_t part)
{
	uint8_t *h = b + ip->l3;
	uint16_t sum;

	if (ip->v6) {
		wr_put_be16(h + 4, (uint16_t)(end - ip->l3 - 40));
		return;
	}
	wr_put_be16(h + 2, (uint16_t)(end - ip->l3));
	wr_put_be16(h + 4, (uint16_t)(wr_get_be16(h + 4) + part));
	wr_put_be16(h + 6, 0);
	wr_put_be16(h + 10, 0);
	sum = (uint16_t)~wr_csum_fold(wr_csum_head(h, (uint32_t)(h[0] & 15) * 4));
	memcpy(h + 10, &sum, 2);
}

/* Payload bytes [from, from + n) of the whole segment as one frame; part counts the frames. */
static struct rte_mbuf *cut(struct wr_lcore *lc, const uint8_t *b, const struct wr_ip *ip,
                            uint32_t from, uint32_t n, uint32_t part)
{
	uint32_t tcp_head = (uint32_t)(b[ip->l4 + 12] >> 4) * 4, head = ip->l4 + tcp_head;
	bool last = head + from + n == ip->end;
	struct rte_mbuf *m = rte_pktmbuf_alloc(lc->pools.gen);
	struct wr_ip out = *ip;
	uint8_t *o, *t;
	uint16_t sum;

	if (m == NULL)
		return NULL;
	o = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(head + n));
	if (o == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(o, b, head);
	memcpy(o + head, b + head + from, n);
	t = o + ip->l4;
	wr_put_be32(t + 4, wr_get_be32(t + 4) + from);
	if (!last)
		t[13] &= (uint8_t) ~(WR_TCP_FIN | WR_TCP_PSH);
	/* An urgent pointer is counted from its own segment; only the first keeps it. */
	if (from != 0)
		t[13] &= (uint8_t)~WR_TCP_URG;
	out.end = head + n;
	set_lengths(o, &out, out.end, part);
	wr_put_be16(t + 16, 0);
	sum = (uint16_t)~wr_csum_fold(wr_ip_pseudo(o, &out, tcp_head + n) +
	                              wr_csum_bytes(t, tcp_head + n));
	memcpy(t + 16, &sum, 2);
	return m;
}

static enum wr_reason split(struct wr_lcore *lc, struct wr_frag *f, enum wr_side side,
                            const uint8_t *b, const struct wr_ip *ip, uint32_t mtu)
{
	uint32_t n = ip->end - ip->l4, tcp_head, head, len, step, parts;
	uint16_t first = f->nout[side];

	if (n < TCP_MIN)
		return WR_R_BAD_TCP_HEADER;
	tcp_head = (uint32_t)(b[ip->l4 + 12] >> 4) * 4;
	if (tcp_head < TCP_MIN || tcp_head > n)
		return WR_R_BAD_TCP_HEADER;
	/* Before it is cut: afterwards every piece would have a right checksum. */
	if (wr_csum_fold(wr_ip_pseudo(b, ip, n) + wr_csum_bytes(b + ip->l4, n)) != 0xffff)
		return WR_R_BAD_TCP_CHECKSUM;
	head = ip->l4 + tcp_head;
	/* Extension headers behind the fragment header would be repeated in every piece. */
	if (head - ip->l3 > MTU_MIN / 2)
		return WR_R_IP6_EXTENSION;
	len = ip->end - head;
	step = wr_max_u32(mtu, MTU_MIN) - (head - ip->l3);
	parts = len == 0 ? 1 : (len + step - 1) / step;
	/* SYN and RST take no data here, so they are never cut. */
	if (parts > 1 && (b[ip->l4 + 13] & (WR_TCP_SYN | WR_TCP_RST)) != 0)
		return WR_R_BAD_TCP_HEADER;
	if (parts > WR_FRAG_OUT - f->nout[side])
		return WR_R_FRAG_LIMIT;
	for (uint32_t i = 0; i < parts; i++) {
		struct rte_mbuf *m = cut(lc, b, ip, i * step, wr_min_u32(step, len - i * step), i);

		if (m == NULL) {
			while (f->nout[side] > first)
				rte_pktmbuf_free(f->out[side][--f->nout[side]]);
			return WR_R_POOL_LOW;
		}
		f->out[side][f->nout[side]++] = m;
	}
	return WR_R_FRAG_REASSEMBLED;
}

static enum wr_reason finish(struct wr_lcore *lc, struct wr_frag *f, enum wr_side side,
                             struct datagram *d)
{
	uint32_t n = d->head_len + d->total, l3 = 14;
	struct wr_ip ip = { 0 };
	struct wr_pkt p = { 0 };
	uint32_t type;
	enum wr_reason why;

	memcpy(f->whole, d->head, d->head_len);
	memcpy(f->whole + d->head_len, d->data, d->total);
	why = wr_ether_parse(f->whole, n, &p, &type);
	if (why != WR_R_NONE)
		return why;
	l3 = p.l3;
	ip.l3 = l3;
	ip.end = n;
	ip.v6 = type == 0x86ddu;
	if (n - l3 > DATAGRAM_MAX)
		return WR_R_BAD_IP_HEADER;
	set_lengths(f->whole, &ip, n, 0);
	why = ip.v6 ? wr_ip6_parse(f->whole, l3, n, &ip) : wr_ip4_parse(f->whole, l3, n, &ip);
	if (why != WR_R_NONE)
		return why;
	return split(lc, f, side, f->whole, &ip, d->mtu);
}

/* --- what the sort calls
 * ----------------------------------------------------------------------------------- */

static bool address_reassembles(const struct wr_conf *c, const uint8_t addr[16])
{
	for (uint32_t i = 0; i < c->nservices; i++)
		if (c->service[i].policy.on_reason[WR_R_IP_FRAGMENT] == WR_ON_REASSEMBLE &&
		    wr_pkt_service_has(&c->service[i], addr))
			return true;
	return false;
}

bool wr_frag_take(struct wr_lcore *lc, struct wr_frag *f, enum wr_side side,
                  const struct rte_mbuf *m)
{
	const uint8_t *b = rte_pktmbuf_mtod(m, const uint8_t *);
	struct wr_ip ip = { 0 };
	struct wr_pkt p = { 0 };
	struct datagram *d;
	struct id id = { 0 };
	enum wr_reason why;
	uint32_t type;

	if (wr_ether_parse(b, m->data_len, &p, &type) != WR_R_NONE)
		return false;
	why = type == 0x0800u   ? wr_ip4_parse(b, p.l3, m->data_len, &ip)
	      : type == 0x86ddu ? wr_ip6_parse(b, p.l3, m->data_len, &ip)
	                        : WR_R_NOT_IP;
	if (why != WR_R_NONE || !ip.fragment)
		return false;
	wr_key_addresses(b, &ip, side, &p.key);
	if (!address_reassembles(lc->conf, p.key.store))
		return false;
	memcpy(id.addr, p.key.client, 16);
	memcpy(id.addr + 16, p.key.store, 16);
	id.id = ip.id;
	id.vlan = p.key.vlan;
	id.inner_vlan = p.key.inner_vlan;
	id.side = (uint8_t)side;
	d = entry(lc, f, &id);
	if (d->dead)
		return true;
	if (!add(lc, d, b, &ip)) {
		wr_count(lc, WR_R_FRAG_OVERLAP, 1);
		d->dead = true;
		return true;
	}
	if (d->total != 0 && d->have == d->total && d->head_len != 0) {
		wr_count(lc, finish(lc, f, side, d), 1);
		forget(d);
	}
	return true;
}

uint16_t wr_frag_fetch(struct wr_frag *f, enum wr_side side, struct rte_mbuf **m, uint16_t max)
{
	uint16_t n = f->nout[side] < max ? f->nout[side] : max;

	memcpy(m, f->out[side], n * sizeof(m[0]));
	f->nout[side] = (uint16_t)(f->nout[side] - n);
	memmove(f->out[side], f->out[side] + n, f->nout[side] * sizeof(m[0]));
	return n;
}
