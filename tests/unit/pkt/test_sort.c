/* SPDX-License-Identifier: BSD-3-Clause */
/* Every kind of frame goes to its lane, with its reason and its fields. */
#include "frames.h"
#include "mem/mem.h"
#include "pkt/pkt.h"
#include "tap.h"

static struct wr_stats stats;
static struct wr_conf conf;
static struct wr_lcore lc;
static struct rte_mempool *pool;
static uint8_t *tight; /* the mbuf's data lies here, so that it ends where the allocation ends */

static struct rte_mbuf *to_mbuf(const struct raw *r)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	tight = malloc(r->n + 1);
	memcpy(tight, r->b, r->n);
	tight = realloc(tight, r->n);
	m->buf_addr = tight;
	m->data_off = 0;
	m->buf_len = (uint16_t)r->n;
	m->data_len = (uint16_t)r->n;
	m->pkt_len = r->n;
	return m;
}

static void drop_mbuf(struct rte_mbuf *m)
{
	free(tight);
	m->buf_addr = (uint8_t *)m + sizeof(*m);
	m->buf_len = 2048 + RTE_PKTMBUF_HEADROOM;
	rte_pktmbuf_free(m);
}

static struct wr_lanes lanes;

/* Sorts one frame; returns the reason that was counted, WR_R_NONE for inspect. */
static enum wr_reason sort(const struct raw *r, enum wr_side side)
{
	struct rte_mbuf *m = to_mbuf(r);
	enum wr_reason why = WR_R_NONE;

	memset(&stats, 0, sizeof(stats));
	wr_pkt_sort_burst(&lc, side, &m, 1, &lanes);
	for (int i = 1; i < WR_R_COUNT; i++)
		if (wr_counter_get(&stats.reason[i]) != 0)
			why = (enum wr_reason)i;
	if (lanes.ninspect + lanes.npass + lanes.ndrop != 1)
		OK(0, "a frame is in exactly one lane");
	if ((why == WR_R_NONE) != (lanes.ninspect == 1))
		OK(0, "only inspected frames have no reason");
	if (lanes.npass == 1 && wr_reason_info(why)->def != WR_RD_WIRE)
		OK(0, "%s does not pass", wr_reason_info(why)->name);
	if (memcmp(tight, r->b, r->n) != 0)
		OK(0, "sorting writes nothing into the frame");
	drop_mbuf(m);
	return why;
}

static const uint8_t ts_opt[12] = { 1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4 };
static const struct raw_tcp http = { .sport = 51544,
	                             .dport = 80,
	                             .flags = 0x18,
	                             .window = 500,
	                             .seq = 0xfffffff0,
	                             .ack = 7,
	                             .opt = ts_opt,
	                             .nopt = 12,
	                             .data = "PUT /o HTTP/1.1\r\n",
	                             .ndata = 17 };

static void fields(void)
{
	struct raw r;
	const struct wr_pkt *p = &lanes.inspect[0];
	uint64_t hash;
	static const unsigned vid[2] = { 100, 0xabc };
	struct raw_tcp back = { .sport = 80, .dport = 51544, .flags = 0x10, .seq = 7, .window = 9 };

	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, NULL, 0, &http);
	raw_pad(&r, 5);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NONE, "IPv4 to a service is inspected");
	IS(p->len, 17, "padding is no payload");
	OK(p->l3 == 14 && p->l4 == 34 && p->payload == 66, "offsets");
	OK(p->seq == 0xfffffff0 && p->ack == 7 && p->window == 500 && p->tcp_flags == 0x18,
	   "numbers");
	OK(p->opt == WR_PKT_TSTAMP && p->ts_val == 0x0102 && p->ts_ecr == 0x0304, "timestamps");
	OK(p->ttl == 61 && p->service == 1 && p->side == WR_SIDE_CLIENT, "ttl, service, side");
	OK(p->key.client_port == 51544 && p->key.store_port == 80, "ports from the client's view");
	OK(p->key.client[12] == 192 && p->key.store[12] == 10 && p->key.client[10] == 0xff,
	   "addresses");
	hash = p->hash;

	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, NULL, 0, &back);
	memcpy(r.b + r.l3 + 12, "\x0a\0\0\x05\xc0\0\x02\x01", 8);
	fix_ip4(&r);
	fix_tcp(&r);
	IS(sort(&r, WR_SIDE_STORE), WR_R_NONE, "the answer is inspected");
	OK(p->hash == hash && p->key.client_port == 51544, "both directions have one key");
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NOT_SERVICE,
	   "a client's frame from port 80 is no service");

	raw_ether(&r, 0x0800, 2, vid);
	raw_ip4(&r, NULL, 0, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NONE, "QinQ");
	OK(p->key.vlan == (100 | 0xa000) && p->key.inner_vlan == 0xbc, "both VIDs are in the key");
	OK(p->hash != hash, "and part the connections of two VLANs");
	raw_ether(&r, 0x0800, 1, (const unsigned[]){ 0 });
	raw_ip4(&r, NULL, 0, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NONE, "a priority tag");
	OK(p->key.vlan == 0 && p->hash == hash, "is the same connection as untagged");
	raw_ether(&r, 0x0800, 2, vid);
	memmove(r.b + 20, r.b + 16, 6);
	put16(r.b + 16, 0x8100);
	r.n += 4;
	raw_ip4(&r, NULL, 0, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_VLAN_DEPTH, "three tags are refused");

	raw_ether(&r, 0x86dd, 0, NULL);
	raw_ip6(&r, 6, NULL, 0, &http);
	raw_pad(&r, 3);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NONE, "IPv6");
	OK(p->opt == (WR_PKT_TSTAMP | WR_PKT_V6) && p->len == 17 && p->payload == 86, "its fields");
	OK(p->key.client[0] == 0x20 && p->key.store[0] == 0xfd, "its addresses");
}

static void ip4_faults(void)
{
	static const uint8_t nops[4] = { 1, 1, 1, 0 }, lsrr[8] = { 131, 7, 4, 1, 2, 3, 4, 0 };
	static const uint8_t rr_bad[4] = { 7, 9, 4, 0 }, rr_zero[4] = { 7, 0, 4, 0 };
	static const struct {
		const char *what;
		unsigned at, value; /* byte of the IP header */
		int fix;            /* header checksum set right afterwards */
		enum wr_reason want;
	} row[] = {
		/* clang-format off */
		{ "version 5",             0, 0x55, 1, WR_R_BAD_IP_HEADER },
		{ "header of 16 bytes",    0, 0x44, 1, WR_R_BAD_IP_HEADER },
		{ "total below header",    3, 19,   1, WR_R_BAD_IP_HEADER },
		{ "total above the frame", 2, 9,    1, WR_R_TRUNCATED },
		{ "wrong checksum",        8, 60,   0, WR_R_BAD_IP_CHECKSUM },
		{ "UDP",                   9, 17,   1, WR_R_NOT_TCP },
		{ "IP in IP",              9, 4,    1, WR_R_NOT_TCP },
		{ "MF",                    6, 0x20, 1, WR_R_IP_FRAGMENT },
		{ "fragment offset 8",     7, 1,    1, WR_R_NOT_SERVICE },
		{ "DF",                    6, 0x40, 1, WR_R_NONE },
		{ "evil bit",              6, 0x80, 1, WR_R_NONE },
		{ "other address",         16, 11,  1, WR_R_BAD_TCP_CHECKSUM },
		{ "total: no TCP header",  3, 39,   1, WR_R_BAD_TCP_HEADER },
		{ "total: no ports",       3, 23,   1, WR_R_BAD_TCP_HEADER },
		/* clang-format on */
	};
	struct raw r;

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		raw_ether(&r, 0x0800, 0, NULL);
		raw_ip4(&r, NULL, 0, &http);
		r.b[r.l3 + row[i].at] = (uint8_t)row[i].value;
		if (row[i].fix)
			fix_ip4(&r);
		IS(sort(&r, WR_SIDE_CLIENT), row[i].want, "IPv4: %s", row[i].what);
	}
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, nops, 4, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NONE, "IPv4: options");
	IS(lanes.inspect[0].payload, 70, "IPv4: options are stepped over");
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, lsrr, 8, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_IP_SOURCE_ROUTE, "IPv4: source route");
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, rr_bad, 4, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_IP_HEADER, "IPv4: option beyond the header");
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, rr_zero, 4, &http);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_IP_HEADER, "IPv4: option of length 0");
}

static void ip6_chains(void)
{
	/* clang-format off */
	static const struct {
		const char *what;
		unsigned first, n;
		uint8_t ext[80];
		enum wr_reason want;
	} row[] = {
		{ "hop-by-hop",             0, 8, { 6 }, WR_R_NONE },
		{ "hop, dest, long",        0, 24, { 60, 0, 0, 0, 0, 0, 0, 0, 6, 1 }, WR_R_NONE },
		{ "routing, used up",       43, 8, { 6, 0, 0, 0 }, WR_R_NONE },
		{ "routing, 1 left",        43, 8, { 6, 0, 0, 1 }, WR_R_IP6_EXTENSION },
		{ "AH",                     51, 16, { 6, 2 }, WR_R_NONE },
		{ "ESP",                    50, 8, { 6 }, WR_R_NOT_TCP },
		{ "no next header",         59, 0, { 0 }, WR_R_NOT_TCP },
		{ "ICMPv6",                 58, 0, { 0 }, WR_R_NOT_TCP },
		{ "atomic fragment",        44, 8, { 6, 0, 0, 0 }, WR_R_IP_FRAGMENT },
		{ "first fragment",         44, 8, { 6, 0, 0, 1 }, WR_R_IP_FRAGMENT },
		{ "later fragment",         44, 8, { 6, 0, 0, 9 }, WR_R_NOT_SERVICE },
		{ "later, hides a chain",   44, 8, { 60, 0, 0, 9 }, WR_R_IP6_EXTENSION },
		{ "two fragment headers",   44, 16, { 44, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0, 1 }, WR_R_IP6_EXTENSION },
		{ "extension beyond the end", 60, 8, { 6, 200 }, WR_R_IP6_EXTENSION },
		{ "eight extensions",       0, 64, { 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 6 }, WR_R_NONE },
		{ "nine extensions",        0, 72, { 60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
		                                     60, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 6 }, WR_R_IP6_EXTENSION },
	};
	/* clang-format on */
	struct raw r;

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		raw_ether(&r, 0x86dd, 0, NULL);
		raw_ip6(&r, row[i].first, row[i].ext, row[i].n, &http);
		IS(sort(&r, WR_SIDE_CLIENT), row[i].want, "IPv6: %s", row[i].what);
	}
	raw_ether(&r, 0x86dd, 0, NULL);
	raw_ip6(&r, 6, NULL, 0, &http);
	r.b[r.l3] = 0x40;
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_IP_HEADER, "IPv6: version 4");
	r.b[r.l3] = 0x60;
	put16(r.b + r.l3 + 4, r.ip_end - r.l3 - 39);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_TRUNCATED, "IPv6: payload length above the frame");
	put16(r.b + r.l3 + 4, 0);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_TCP_HEADER, "IPv6: payload length 0");
}

static void tcp_options(void)
{
	/* clang-format off */
	static const struct {
		const char *what;
		unsigned n, flags;
		uint8_t opt[40];
		enum wr_reason want;
		unsigned bits;
	} row[] = {
		{ "Linux SYN", 20, 0x02, { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7 }, WR_R_NONE,
		  WR_PKT_MSS | WR_PKT_SACKOK | WR_PKT_TSTAMP | WR_PKT_WSCALE },
		{ "MPTCP on SYN",      12, 0x02, { 30, 12, 0, 0x81 }, WR_R_NONE, WR_PKT_ODDOPT },
		{ "MPTCP in stream",   12, 0x10, { 30, 12, 0, 0x81 }, WR_R_NONE, 0 },
		{ "TFO cookie",        12, 0x02, { 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1 }, WR_R_NONE, WR_PKT_ODDOPT },
		{ "MD5",               20, 0x02, { 19, 18 }, WR_R_NONE, WR_PKT_ODDOPT },
		{ "SACK, 1 block",     12, 0x10, { 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, WR_R_NONE, 0 },
		{ "SACK of 9 bytes",   12, 0x10, { 1, 1, 5, 9, 0, 0, 0, 1, 0, 0, 0, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "SACK of 2 bytes",   4, 0x10, { 1, 1, 5, 2 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "end, then junk",    4, 0x10, { 0, 8, 99, 99 }, WR_R_NONE, 0 },
		{ "length 0",          4, 0x10, { 8, 0, 1, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "length 1",          4, 0x10, { 30, 1, 1, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "length beyond",     4, 0x10, { 1, 1, 30, 3 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "kind without length", 4, 0x10, { 1, 1, 1, 8 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "MSS of 3 bytes",    4, 0x02, { 2, 3, 5, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "timestamps of 9",   12, 0x10, { 8, 9, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "SACK permitted of 3", 4, 0x02, { 4, 3, 1, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "two MSS",           8, 0x02, { 2, 4, 5, 180, 2, 4, 1, 1 }, WR_R_BAD_TCP_HEADER, 0 },
		{ "two timestamps",    20, 0x10, { 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10 }, WR_R_BAD_TCP_HEADER, 0 },
	};
	/* clang-format on */
	struct raw r;

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		struct raw_tcp t = http;

		t.flags = row[i].flags;
		t.opt = row[i].opt;
		t.nopt = row[i].n;
		raw_ether(&r, 0x0800, 0, NULL);
		raw_ip4(&r, NULL, 0, &t);
		IS(sort(&r, WR_SIDE_CLIENT), row[i].want, "options: %s", row[i].what);
		if (row[i].want == WR_R_NONE)
			IS(lanes.inspect[0].opt, row[i].bits, "options: %s: flags", row[i].what);
		if (i == 0)
			OK(lanes.inspect[0].mss == 1460 && lanes.inspect[0].wscale == 7,
			   "options: values");
	}
}

static void the_rest(void)
{
	struct raw r;
	struct rte_mbuf *m;

	raw_ether(&r, 0x0806, 0, NULL);
	raw_pad(&r, 46);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_NOT_IP, "ARP passes");
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, NULL, 0, &http);
	r.b[r.n - 1] ^= 1;
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_TCP_CHECKSUM, "a flipped payload bit");
	r.b[r.n - 1] ^= 1;
	r.b[r.l4 + 12] = 4 << 4;
	fix_tcp(&r);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_TCP_HEADER, "data offset 4");
	r.b[r.l4 + 12] = 15 << 4;
	fix_tcp(&r);
	IS(sort(&r, WR_SIDE_CLIENT), WR_R_BAD_TCP_HEADER, "data offset beyond the segment");
	for (unsigned n = 0; n < r.n; n++) {
		struct raw cut = r;
		enum wr_reason why;

		raw_ether(&cut, 0x0800, 0, NULL);
		raw_ip4(&cut, NULL, 0, &http);
		cut.n = n;
		why = n == 0 ? WR_R_TRUNCATED : sort(&cut, WR_SIDE_CLIENT);
		if (why != WR_R_TRUNCATED)
			OK(0, "cut at %u: %s", n, wr_reason_info(why)->name);
	}
	OK(1, "cut anywhere, a frame is TRUNCATED and nothing behind it is read");
	raw_ether(&r, 0x0800, 0, NULL);
	raw_ip4(&r, NULL, 0, &http);
	m = to_mbuf(&r);
	m->nb_segs = 2;
	memset(&stats, 0, sizeof(stats));
	wr_pkt_sort_burst(&lc, WR_SIDE_CLIENT, &m, 1, &lanes);
	OK(lanes.ndrop == 1 && wr_counter_get(&stats.reason[WR_R_MULTI_SEG]) == 1,
	   "a frame in two buffers is dropped");
	m->nb_segs = 1;
	drop_mbuf(m);
}

static void services(void)
{
	uint8_t a[16] = { 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5 };
	uint8_t v4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 5 };

	IS(wr_pkt_service(&conf, v4, 80), 1, "the first one that fits");
	IS(wr_pkt_service(&conf, v4, 9000), 0, "by port");
	IS(wr_pkt_service(&conf, a, 443), -1, "no such port");
	IS(wr_pkt_service(&conf, a, 8443), 2, "by net");
	a[15] = 0x15;
	IS(wr_pkt_service(&conf, a, 8443), -1, "one bit beyond the net");
	a[15] = 6;
	IS(wr_pkt_service(&conf, a, 8443), 2, "inside the net");
	IS(wr_pkt_service(&conf, v4, WR_PKT_ANY_PORT), -1, "none inspects every port");
	conf.service[0].nports = 0;
	IS(wr_pkt_service(&conf, v4, WR_PKT_ANY_PORT), 0, "one does");
	conf.service[0].nports = 1;
}

int main(void)
{
	pool = wr_mem_mbufs_sim("pkt", 8, 2048);
	lc.stats = &stats;
	lc.conf = &conf;
	lc.key = (struct wr_mix_key){ { 1, 2, 3, 4 } };
	conf.nservices = 3;
	conf.service[0].nports = 1;
	conf.service[0].port[0] = 9000;
	conf.service[1].nports = 2;
	conf.service[1].port[0] = 8080;
	conf.service[1].port[1] = 80;
	conf.service[2].nports = 1;
	conf.service[2].port[0] = 8443;
	conf.service[2].nnets = 1;
	conf.service[2].net[0] = (struct wr_conf_net){ .addr = { 0xfd }, .bits = 124 };
	fields();
	ip4_faults();
	ip6_chains();
	tcp_options();
	the_rest();
	services();
	wr_mem_mbufs_sim_free(pool);
	return tap_done();
}
