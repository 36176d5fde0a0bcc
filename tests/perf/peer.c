/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "mem/mem.h"
#include "perf.h"

#define HEAD     54u /* Ethernet, IPv4, TCP without options */
#define C_ISN    1000u
#define S_ISN    5000u
#define WINDOW   65535u
#define PLANT_AT 700u /* where in a payload frame */
#define WSCALE   7u

#define F_FIN 1u
#define F_SYN 2u
#define F_RST 4u
#define F_PSH 8u
#define F_ACK 16u

enum phase { CLOSED, SYN_SENT, HEADER, BODY, ANSWER, FIN_SENT };
enum { REPLY_SYNACK = 1, REPLY_ACK = 2, REPLY_200 = 4, REPLY_FIN = 8 };

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
#define RESPONSE_LEN (sizeof(response) - 1)

/* --- frames ------------------------------------------------------------------------------------
 */

static uint64_t sum(const uint8_t *b, uint32_t n)
{
	uint64_t s = 0;
	uint32_t i;

	for (i = 0; i + 4 <= n; i += 4) {
		uint32_t w;

		memcpy(&w, b + i, 4);
		s += w;
	}
	if (i < n) {
		uint32_t w = 0;

		memcpy(&w, b + i, n - i);
		s += w;
	}
	return s;
}

static uint16_t fold(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Headers of a frame of connection i; psum is the sum of the payload behind them. */
static void header(struct rte_mbuf *m, const struct peer *p, uint32_t i, bool from_client,
                   uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len, uint64_t psum)
{
	static const uint8_t start[HEAD] = { 2, 0, 0,    0, 0, 2, 2, 0, 0,    0, 0,  1,
		                             8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6 };
	uint8_t *b = rte_pktmbuf_mtod(m, uint8_t *), *ip = b + 14, *tcp = ip + 20;
	uint32_t client = 0x0a000001u + i, store = 0x0ac80001u;
	uint16_t port = p->conn[i].port;

	memcpy(b, start, HEAD);
	wr_put_be16(ip + 2, (uint16_t)(40 + len));
	wr_put_be32(ip + 12, from_client ? client : store);
	wr_put_be32(ip + 16, from_client ? store : client);
	wr_put_be16(tcp, from_client ? port : 80);
	wr_put_be16(tcp + 2, from_client ? 80 : port);
	wr_put_be32(tcp + 4, seq);
	wr_put_be32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = flags;
	wr_put_be16(tcp + 14, WINDOW);
	wr_put_le16(ip + 10, fold(sum(ip, 20)));
	/* Pseudo header: both addresses, protocol, length. */
	psum += sum(ip + 12, 8) + sum(tcp, 20) + ((uint64_t)htobe16((uint16_t)(20 + len)) << 16) +
	        ((uint64_t)htobe16(6));
	wr_put_le16(tcp + 16, fold(psum));
	m->data_len = (uint16_t)(HEAD + len);
	m->pkt_len = HEAD + len;
}

static struct rte_mbuf *small_frame(struct peer *p, uint32_t i, bool from_client, uint8_t flags,
                                    uint32_t seq, uint32_t ack, const void *data, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->small_mp);

	if (m == NULL) {
		fprintf(stderr, "bench: the peer's own buffers are used up\n");
		exit(1);
	}
	if (len != 0)
		memcpy(rte_pktmbuf_mtod_offset(m, void *, HEAD), data, len);
	header(m, p, i, from_client, flags, seq, ack, len, sum(data, len));
	return m;
}

/* A SYN with MSS and window scale: its options follow the header that header() wrote. */
static struct rte_mbuf *syn_frame(struct peer *p, uint32_t i, bool from_client, uint8_t flags,
                                  uint32_t seq, uint32_t ack)
{
	static const uint8_t opt[8] = { 2, 4, PEER_MSS >> 8, PEER_MSS & 0xff, 1, 3, 3, WSCALE };
	struct rte_mbuf *m = small_frame(p, i, from_client, flags, seq, ack, opt, sizeof(opt));
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14), *tcp = ip + 20;
	uint64_t s;

	tcp[12] = 0x70;
	tcp[16] = tcp[17] = 0;
	s = sum(ip + 12, 8) + sum(tcp, 28) + ((uint64_t)htobe16(28) << 16) + (uint64_t)htobe16(6);
	wr_put_le16(tcp + 16, fold(s));
	return m;
}

/* --- queues --------------------------------------------------------------------------------------
 */

static void make_ready(struct peer *p, uint32_t i)
{
	if (p->conn[i].queued)
		return;
	p->conn[i].queued = 1;
	p->ready[(p->ready_head + p->nready++) % p->o.conns] = i;
}

static uint32_t next_ready(struct peer *p)
{
	uint32_t i = p->ready[p->ready_head];

	p->ready_head = (p->ready_head + 1) % p->o.conns;
	p->nready--;
	p->conn[i].queued = 0;
	return i;
}

static void owe(struct peer *p, uint32_t i, uint8_t reply)
{
	if (p->conn[i].reply == 0)
		p->owed[(p->owed_head + p->nowed++) % p->o.conns] = i;
	p->conn[i].reply |= reply;
}

/* --- clients
 * --------------------------------------------------------------------------------------- */

static void upload_begin(struct peer *p, struct peer_conn *c)
{
	c->phase = HEADER;
	c->planted = 0;
	c->listed = p->o.listed_every != 0 && ++p->uploads % p->o.listed_every == 0;
	if (p->o.listed_every == 0)
		p->uploads++;
	c->body_left = c->listed ? PEER_MSS : p->o.body_bytes;
	/* The first is cut somewhere, or all uploads would end in the same moment, for ever. */
	if (!c->staggered)
		c->body_left = 1 + (uint32_t)(perf_rand(&p->seed) % c->body_left);
	c->listed &= c->staggered;
	c->staggered = 1;
}

static struct rte_mbuf *head_frame(struct peer *p, uint32_t i)
{
	struct peer_conn *c = &p->conn[i];
	char head[256];
	int n = snprintf(head, sizeof(head),
	                 "PUT /bucket/%u/%u HTTP/1.1\r\nHost: store.example\r\n"
	                 "User-Agent: bench/1\r\nContent-Type: %s\r\nContent-Length: %u\r\n\r\n",
	                 i, c->uploads, p->o.content == PEER_TEXT ? "text/plain" : "image/jpeg",
	                 c->body_left);
	struct rte_mbuf *m =
	        small_frame(p, i, true, F_ACK | F_PSH, c->c_nxt, c->s_nxt, head, (uint32_t)n);

	c->c_nxt += (uint32_t)n;
	c->c_end = c->c_nxt + c->body_left;
	c->phase = BODY;
	return m;
}

/* The next payload frame that nobody holds any more; NULL: the worker has them all. */
static struct rte_mbuf *body_frame(struct peer *p, uint32_t i)
{
	struct peer_conn *c = &p->conn[i];
	uint32_t k = p->next_frame, len = wr_min_u32(c->body_left, PEER_MSS);
	struct rte_mbuf *m = c->listed ? p->listed : p->frame[k];
	uint64_t psum = c->listed ? p->listed_sum : p->frame_sum[k];

	if (rte_mbuf_refcnt_read(m) != 1) {
		p->starved++;
		return NULL;
	}
	if (!c->listed)
		p->next_frame = k + 1 == p->o.frames ? 0 : k + 1;
	if (len != PEER_MSS)
		psum = sum(rte_pktmbuf_mtod_offset(m, uint8_t *, HEAD), len);
	if (!c->listed && p->frame_planted[k] && len >= PLANT_AT + sizeof(PEER_PLANT) - 1)
		c->planted = 1;
	header(m, p, i, true, F_ACK, c->c_nxt, c->s_nxt, len, psum);
	rte_mbuf_refcnt_update(m, 1);
	c->c_nxt += len;
	c->body_left -= len;
	p->body_bytes += len;
	if (c->body_left == 0) {
		c->phase = ANSWER;
		c->last_in = (uint64_t)perf_cpu_ns();
		p->planted += c->planted;
		p->listed_uploads += c->listed;
	}
	return m;
}

static bool window_open(const struct peer *p, const struct peer_conn *c)
{
	return c->c_nxt - c->c_una < p->o.window * PEER_MSS;
}

/* One frame of this connection; *again: it may send another one. NULL: nothing now. */
static struct rte_mbuf *client_frame(struct peer *p, uint32_t i, bool *again)
{
	struct peer_conn *c = &p->conn[i];
	struct rte_mbuf *m;

	*again = false;
	switch (c->phase) {
	case CLOSED:
		if (p->stop)
			return NULL;
		c->port = (uint16_t)(c->port < 10000 || c->port >= 60000 ? 10000 : c->port + 1);
		c->c_nxt = c->c_una = C_ISN + 1;
		c->s_rcv = C_ISN + 1;
		c->s_nxt = S_ISN + 1;
		c->uploads = 0;
		c->phase = SYN_SENT;
		p->opened++;
		return syn_frame(p, i, true, F_SYN, C_ISN, 0);
	case HEADER: *again = true; return head_frame(p, i);
	case BODY:
		if (!window_open(p, c))
			return NULL;
		m = body_frame(p, i);
		*again = c->phase == BODY;
		return m;
	case FIN_SENT:
		c->c_nxt++;
		return small_frame(p, i, true, F_FIN | F_ACK, c->c_nxt - 1, c->s_nxt, NULL, 0);
	default: return NULL;
	}
}

void peer_pace(struct peer *p, double bytes_per_ns)
{
	p->pace = bytes_per_ns;
	p->pace_from = (uint64_t)perf_cpu_ns();
	p->pace_bytes = p->body_bytes;
}

/* Body bytes that may go now. */
static uint64_t allowance(const struct peer *p)
{
	uint64_t due, gone = p->body_bytes - p->pace_bytes;

	if (p->pace <= 0)
		return UINT64_MAX;
	due = (uint64_t)((perf_cpu_ns() - (double)p->pace_from) * p->pace);
	return due > gone ? due - gone : 0;
}

static uint16_t client_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct peer *p = ctx;
	uint64_t t = rte_rdtsc();
	uint64_t until = p->body_bytes, may = allowance(p);
	uint32_t tries = p->nready;
	uint16_t k = 0;

	until = may == UINT64_MAX ? may : until + may;
	while (k < n && tries-- > 0 && p->body_bytes < until) {
		uint32_t i = next_ready(p);
		bool again = true;

		/* The header of the frame after next, that its line is here when it is patched. */
		rte_prefetch0(
		        rte_pktmbuf_mtod(p->frame[(p->next_frame + 4) % p->o.frames], void *));
		for (uint32_t b = 0; b < p->o.burst && again && k < n; b++) {
			m[k] = client_frame(p, i, &again);
			if (m[k] == NULL)
				break;
			k++;
		}
		if (again)
			make_ready(p, i);
	}
	p->c2s_in += k;
	p->ticks_rx += rte_rdtsc() - t;
	return k;
}

static void client_got(struct peer *p, uint32_t i, const uint8_t *tcp, uint32_t len)
{
	struct peer_conn *c = &p->conn[i];
	uint32_t ack = wr_get_be32(tcp + 8);

	if ((tcp[13] & F_RST) != 0) {
		p->unexpected++;
		return;
	}
	if ((int32_t)(ack - c->c_una) > 0)
		c->c_una = ack;
	if ((tcp[13] & F_SYN) != 0) {
		/* The third step of the handshake goes with the first data, as RFC 9293 allows. */
		upload_begin(p, c);
		make_ready(p, i);
	} else if ((tcp[13] & F_FIN) != 0) {
		c->phase = CLOSED;
		make_ready(p, i);
	} else if (len != 0) {
		if (len != RESPONSE_LEN || memcmp(tcp + 20, response, 12) != 0)
			p->unexpected++;
		c->s_nxt += len;
		c->uploads++;
		if (c->uploads < p->o.requests && !p->stop)
			upload_begin(p, c);
		else
			c->phase = FIN_SENT;
		make_ready(p, i);
	} else if (c->phase == BODY && window_open(p, c)) {
		make_ready(p, i);
	}
}

/* --- the store
 * --------------------------------------------------------------------------------------- */

static void store_got(struct peer *p, uint32_t i, const uint8_t *tcp, uint32_t len)
{
	struct peer_conn *c = &p->conn[i];
	uint32_t seq = wr_get_be32(tcp + 4);

	if ((tcp[13] & F_RST) != 0) {
		p->unexpected++;
	} else if ((tcp[13] & F_SYN) != 0) {
		owe(p, i, REPLY_SYNACK);
	} else if (seq != c->s_rcv) {
		p->unexpected++;
	} else if ((tcp[13] & F_FIN) != 0) {
		c->s_rcv += len + 1;
		owe(p, i, REPLY_FIN);
	} else if (len != 0) {
		c->s_rcv += len;
		if (c->phase == ANSWER && c->s_rcv == c->c_end) {
			p->delay[p->ndelays++ % PEER_DELAYS] = (uint64_t)perf_cpu_ns() - c->last_in;
			owe(p, i, REPLY_200);
		} else if (++c->unacked == 2) {
			owe(p, i, REPLY_ACK);
		}
	}
}

static struct rte_mbuf *store_frame(struct peer *p, uint32_t i)
{
	struct peer_conn *c = &p->conn[i];
	uint8_t reply = c->reply;

	c->reply = c->unacked = 0;
	if ((reply & REPLY_SYNACK) != 0)
		return syn_frame(p, i, false, F_SYN | F_ACK, S_ISN, C_ISN + 1);
	if ((reply & REPLY_FIN) != 0)
		return small_frame(p, i, false, F_FIN | F_ACK, c->s_nxt, c->s_rcv, NULL, 0);
	if ((reply & REPLY_200) != 0)
		return small_frame(p, i, false, F_ACK | F_PSH, c->s_nxt, c->s_rcv, response,
		                   RESPONSE_LEN);
	return small_frame(p, i, false, F_ACK, c->s_nxt, c->s_rcv, NULL, 0);
}

static uint16_t store_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct peer *p = ctx;
	uint64_t t = rte_rdtsc();
	uint16_t k = 0;

	while (k < n && p->nowed != 0) {
		uint32_t i = p->owed[p->owed_head];

		p->owed_head = (p->owed_head + 1) % p->o.conns;
		p->nowed--;
		m[k++] = store_frame(p, i);
	}
	p->s2c_in += k;
	p->ticks_rx += rte_rdtsc() - t;
	return k;
}

/* --- what the worker sends
 * ------------------------------------------------------------------------------ */

static uint16_t sink(struct peer *p, struct rte_mbuf **m, uint16_t n, bool to_store)
{
	uint64_t t = rte_rdtsc();

	for (uint16_t k = 0; k < n; k++) {
		const uint8_t *ip = rte_pktmbuf_mtod_offset(m[k], const uint8_t *, 14);
		const uint8_t *tcp = ip + 20;
		uint32_t i = wr_get_be32(ip + (to_store ? 12 : 16)) - 0x0a000001u;
		uint32_t len = wr_get_be16(ip + 2) - 20u - 4u * (tcp[12] >> 4);

		if (i >= p->o.conns || wr_get_be16(tcp + (to_store ? 0 : 2)) != p->conn[i].port)
			p->unexpected++;
		else if (to_store)
			store_got(p, i, tcp, len);
		else
			client_got(p, i, tcp, len);
		rte_pktmbuf_free(m[k]);
	}
	p->ticks_tx += rte_rdtsc() - t;
	return n;
}

static uint16_t store_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct peer *p = ctx;

	p->c2s_out += n;
	return sink(p, m, n, true);
}

static uint16_t client_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	struct peer *p = ctx;

	p->s2c_out += n;
	return sink(p, m, n, false);
}

struct wr_port peer_client_port(struct peer *p)
{
	return (struct wr_port){ .rx = client_rx, .tx = client_tx, .ctx = p };
}

struct wr_port peer_store_port(struct peer *p)
{
	return (struct wr_port){ .rx = store_rx, .tx = store_tx, .ctx = p };
}

bool peer_quiet(const struct peer *p)
{
	for (uint32_t i = 0; i < p->o.conns; i++)
		if (p->conn[i].phase != CLOSED || p->conn[i].reply != 0)
			return false;
	return true;
}

/* --- content
 * ------------------------------------------------------------------------------------------------
 */

/* Words of 2 to 11 letters with frequencies like a language's, sentences, line ends. */
static void fill_text(uint8_t *b, uint32_t n, uint64_t *seed)
{
	static const char letters[] = "etaoinshrdlcumwfgypbvk";
	uint32_t i = 0, words = 0;

	while (i < n) {
		/* A word is a function of its number, and small numbers come more often. */
		uint64_t r = perf_rand(seed), id = (r % 1000) * (r >> 32 & 1023) >> 9;
		uint32_t len = 2 + (uint32_t)(perf_rand(&id) % 10);

		for (uint32_t k = 0; k < len && i < n; k++) {
			uint64_t x = perf_rand(&id);

			b[i++] = (uint8_t)letters[(x % 22) * (x >> 32 & 1023) >> 10];
		}
		if (i < n)
			b[i++] = ++words % 12 == 0 ? '\n' : words % 7 == 0 ? ',' : ' ';
	}
}

/* Entropy-coded data as in a JPEG scan: 0xff is always followed by zero. */
static void fill_jpeg(uint8_t *b, uint32_t n, uint64_t *seed)
{
	for (uint32_t i = 0; i < n; i++) {
		b[i] = (uint8_t)(perf_rand(seed) >> 24);
		if (i > 0 && b[i - 1] == 0xff)
			b[i] = 0;
	}
}

static void fill(uint8_t *b, uint32_t n, enum peer_content content, uint64_t *seed)
{
	switch (content) {
	case PEER_TEXT: fill_text(b, n, seed); break;
	case PEER_JPEG: fill_jpeg(b, n, seed); break;
	default:
		for (uint32_t i = 0; i < n; i++)
			b[i] = (uint8_t)(perf_rand(seed) >> 24);
	}
}

static struct rte_mbuf *payload_mbuf(struct peer *p, uint64_t *seed)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->payload_mp);

	if (m == NULL)
		abort();
	fill(rte_pktmbuf_mtod_offset(m, uint8_t *, HEAD), PEER_MSS, p->o.content, seed);
	return m;
}

const uint8_t *peer_listed_body(const struct peer *p)
{
	return rte_pktmbuf_mtod_offset(p->listed, const uint8_t *, HEAD);
}

struct peer *peer_new(const struct peer_opts *o, uint64_t seed)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->o = *o;
	p->seed = seed;
	p->conn = calloc(o->conns, sizeof(*p->conn));
	p->ready = calloc(o->conns, sizeof(*p->ready));
	p->owed = calloc(o->conns, sizeof(*p->owed));
	p->frame = calloc(o->frames, sizeof(*p->frame));
	p->frame_sum = calloc(o->frames, sizeof(*p->frame_sum));
	p->frame_planted = calloc(o->frames, 1);
	p->payload_mp = wr_mem_mbufs_sim("bench payload", o->frames + 1, 2048);
	p->small_mp = o->eal ? wr_mem_mbufs_eal("bench small", o->conns * 4 + 16384, 512, -1)
	                     : wr_mem_mbufs_sim("bench small", o->conns * 4 + 4096, 512);
	if (p->conn == NULL || p->ready == NULL || p->owed == NULL || p->frame == NULL ||
	    p->frame_sum == NULL || p->frame_planted == NULL || p->payload_mp == NULL ||
	    p->small_mp == NULL)
		return NULL;
	p->listed = payload_mbuf(p, &seed);
	p->listed_sum = sum(peer_listed_body(p), PEER_MSS);
	for (uint32_t k = 0; k < o->frames; k++) {
		uint8_t *b;

		p->frame[k] = payload_mbuf(p, &seed);
		b = rte_pktmbuf_mtod_offset(p->frame[k], uint8_t *, HEAD);
		if (o->plant_frames != 0 && k % (o->frames / o->plant_frames) == 17) {
			memcpy(b + PLANT_AT, PEER_PLANT, sizeof(PEER_PLANT) - 1);
			p->frame_planted[k] = 1;
		}
		p->frame_sum[k] = sum(b, PEER_MSS);
	}
	for (uint32_t i = 0; i < o->conns; i++)
		make_ready(p, i);
	return p;
}

void peer_free(struct peer *p)
{
	if (p == NULL)
		return;
	for (uint32_t k = 0; k < p->o.frames; k++)
		rte_pktmbuf_free(p->frame[k]);
	rte_pktmbuf_free(p->listed);
	wr_mem_mbufs_sim_free(p->payload_mp);
	if (p->o.eal)
		rte_mempool_free(p->small_mp);
	else
		wr_mem_mbufs_sim_free(p->small_mp);
	free(p->conn);
	free(p->ready);
	free(p->owed);
	free(p->frame);
	free(p->frame_sum);
	free(p->frame_planted);
	free(p);
}
