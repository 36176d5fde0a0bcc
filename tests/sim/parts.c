/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * parts - objects that come in several requests, through whole workers: each request by hand, each
 * answer of the store by hand, and what left for the store asserted.
 *
 * usage: parts WEIR-COMPILE BUNDLE WORKERS
 */
#include <openssl/evp.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem/mem.h"
#include "sim/load.h"
#include "sim/rig.h"
#include "tap.h"
#include "worker/worker.h"

#define MS      1000000ull
#define S       1000000000ull
#define RING    (512u << 10)
#define MBUFS   4096u
#define REAL    (1700000000 * S)
#define CLIENT  0
#define STORE   1
#define C_ISN   1000u
#define S_ISN   9000u
#define MSS     1400u
#define CONNS   64u
#define KEEP    (4u << 20)
#define LISTED  3000u
#define WORKERS 2u

#define CREATED "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
#define TUS_H   "Host: store\r\nTus-Resumable: 1.0.0\r\n"

static const char mark[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
#define MARK ((uint32_t)sizeof(mark) - 1)

struct link { /* one connection, with what each end got of it */
	struct addr client;
	uint32_t sent[2];        /* stream offsets, by who sent */
	uint32_t got[2];         /* highest contiguous offset, by who got */
	bool reset[2];           /* by who got it */
	uint8_t in[2][1u << 16]; /* the last bytes, by stream offset modulo */
};

static struct wr_conf conf;
static struct wr_stats stats[WORKERS];
static struct wr_ring *records[WORKERS];
static struct rte_mempool *pools[3];
static struct wr_worker *worker[WORKERS];
static struct wr_ruleset *rulesets[8];
static struct frame *in[WORKERS][2];
static struct link conn[CONNS];
static uint32_t nworkers, nconns, port = 2000;
static uint64_t now = S;
static struct addr store = { { 10, 0, 0, 2 }, 80, false };
static uint8_t listed[LISTED];

/* --- ports, hosts
 * --------------------------------------------------------------------------------------- */

struct end {
	uint32_t worker;
	int side;
};
static struct end ends[WORKERS][2];

static uint16_t port_rx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	const struct end *e = ctx;
	uint16_t got = 0;

	while (got < n && in[e->worker][e->side] != NULL) {
		struct frame *f = in[e->worker][e->side];
		struct rte_mbuf *b = rte_pktmbuf_alloc(pools[0]);

		in[e->worker][e->side] = f->next;
		WR_ASSERT(b != NULL);
		memcpy(rte_pktmbuf_append(b, (uint16_t)f->len), f->b, f->len);
		m[got++] = b;
		free(f);
	}
	return got;
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **m, uint16_t n)
{
	int to = ((const struct end *)ctx)->side;

	for (uint16_t i = 0; i < n; i++) {
		uint8_t b[FRAME_MAX + 1];
		struct seg s;

		memcpy(b, rte_pktmbuf_mtod(m[i], uint8_t *), m[i]->data_len);
		WR_ASSERT(frame_read(b, m[i]->data_len, &s));
		for (uint32_t c = 0; c < nconns; c++) {
			struct link *l = &conn[c];
			uint32_t at = s.seq - (to == STORE ? C_ISN : S_ISN) - 1;

			if (l->client.port != (to == STORE ? s.sport : s.dport))
				continue;
			l->reset[to] |= (s.flags & F_RST) != 0;
			for (uint32_t k = 0; k < s.len && at + k <= l->got[to]; k++) {
				l->in[to][(at + k) % sizeof(l->in[to])] = s.data[k];
				if (at + k == l->got[to])
					l->got[to]++;
			}
		}
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

static void turn(void)
{
	for (int i = 0; i < 6; i++) {
		now += MS / 10;
		for (uint32_t w = 0; w < nworkers; w++)
			wr_worker_turn(worker[w], now, now + REAL);
	}
}

static void put(uint32_t c, int side, const struct seg *s)
{
	struct frame *f = calloc(1, sizeof(*f)), **p = &in[conn[c].client.port % nworkers][side];

	WR_ASSERT(f != NULL);
	f->len = frame_make(f->b, side == CLIENT ? &conn[c].client : &store,
	                    side == CLIENT ? &store : &conn[c].client, s);
	while (*p != NULL)
		p = &(*p)->next;
	*p = f;
}

static void segment(uint32_t c, int side, uint8_t flags, const void *data, uint32_t n)
{
	struct link *l = &conn[c];
	bool client = side == CLIENT, syn = (flags & F_SYN) != 0;
	struct seg s = { .seq = (client ? C_ISN : S_ISN) + (syn ? 0 : 1 + l->sent[side]),
		         .ack = (client ? S_ISN : C_ISN) + 1 + l->got[side],
		         .flags = flags,
		         .window = 60000,
		         .data = data,
		         .len = n };

	if (syn && client)
		s.ack = 0;
	put(c, side, &s);
	l->sent[side] += n;
}

/* A new connection in the place of the oldest one, which ends. */
static uint32_t dial(void)
{
	static uint32_t next;
	uint32_t c = next++ % CONNS;

	if (c < nconns) {
		segment(c, CLIENT, F_RST | F_ACK, NULL, 0);
		turn();
	} else {
		nconns++;
	}

	memset(&conn[c], 0, sizeof(conn[c]));
	conn[c].client = (struct addr){ { 10, 0, 0, 1 }, (uint16_t)++port, false };
	segment(c, CLIENT, F_SYN, NULL, 0);
	turn();
	segment(c, STORE, F_SYN | F_ACK, NULL, 0);
	turn();
	segment(c, CLIENT, F_ACK, NULL, 0);
	turn();
	return c;
}

static void send_bytes(uint32_t c, int side, const void *data, uint32_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		uint32_t k = wr_min_u32(n, MSS);

		segment(c, side, F_ACK | F_PSH, p, k);
		turn();
		segment(c, !side, F_ACK, NULL, 0);
		p += k;
		n -= k;
	}
	turn();
}

static void say(uint32_t c, int side, const char *text)
{
	send_bytes(c, side, text, (uint32_t)strlen(text));
}

static void hang_up(uint32_t c)
{
	segment(c, CLIENT, F_RST | F_ACK, NULL, 0);
	turn();
}

/* The first `n` bytes that this end got, from offset at: as text. */
static bool got(uint32_t c, int side, const char *what)
{
	const struct link *l = &conn[c];

	return l->got[side] < sizeof(l->in[side]) &&
	       memmem(l->in[side], l->got[side], what, strlen(what)) != NULL;
}

static bool refused(uint32_t c)
{
	return got(c, CLIENT, "HTTP/1.1 403 ") && conn[c].reset[STORE];
}

/* Everything that the client sent is with the store. */
static bool arrived(uint32_t c)
{
	return conn[c].got[STORE] == conn[c].sent[CLIENT];
}

/* --- records
 * ---------------------------------------------------------------------------------------- */

struct rec {
	struct wr_record r;
	struct wr_record_view v;
};

static bool next_record(struct rec *out)
{
	const void *p;
	uint32_t n, tag;

	memset(out, 0, sizeof(*out));
	for (uint32_t w = 0; w < nworkers; w++)
		if (wr_ring_peek(records[w], RING, &p, &n, &tag) == 1) {
			memcpy(&out->r, p, sizeof(out->r));
			if (out->r.nviews != 0)
				memcpy(&out->v, (const uint8_t *)p + sizeof(out->r),
				       sizeof(out->v));
			wr_ring_pop(records[w], n);
			return true;
		}
	return false;
}

static void no_records(void)
{
	struct rec r;

	now += 20 * S;
	turn();
	turn();
	while (next_record(&r))
		;
}

/* The record of the whole, whatever others came before it. */
static struct rec whole(void)
{
	struct rec r;

	for (int i = 0; i < 5; i++) {
		while (next_record(&r))
			if (r.r.kind == WR_REC_OBJECT)
				return r;
		now += 300 * MS; /* a blocked one waits a little for the client */
		turn();
	}
	memset(&r, 0xff, sizeof(r));
	return r;
}

static struct rec any(void)
{
	struct rec r;

	for (int i = 0; i < 5; i++) {
		if (next_record(&r))
			return r;
		now += 300 * MS;
		turn();
	}
	memset(&r, 0xff, sizeof(r));
	return r;
}

static bool is_sha(const struct rec *r, const void *data, uint32_t n)
{
	uint8_t d[32];
	unsigned len;

	EVP_Digest(data, n, d, &len, EVP_sha256(), NULL);
	return r->v.bytes == n && (r->v.digests.has & WR_HAS_SHA256) &&
	       memcmp(d, r->v.digests.sha256, 32) == 0;
}

/* --- boot
 * -------------------------------------------------------------------------------------------- */

static void conf_make(void)
{
	struct wr_conf_service *svc = &conf.service[0];

	conf.nlinks = conf.nservices = 1;
	conf.nworkers = nworkers;
	strcpy(svc->name, "all");
	svc->policy.ceiling = WR_A_BLOCK;
	memset(svc->policy.on_verdict, WR_A_BLOCK, sizeof(svc->policy.on_verdict));
	svc->policy.on_verdict[WR_V_CLEAN] = WR_A_PASS;
	memset(svc->policy.on_cause, WR_A_BLOCK, sizeof(svc->policy.on_cause));
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		svc->policy.on_reason[r] =
		        wr_reason_info(r)->def == WR_RD_POLICY ? WR_ON_BLOCK : WR_ON_DROP;
	conf.mbufs = MBUFS;
	conf.connections = 2048 * nworkers;
	conf.uploads = 128 * nworkers;
	conf.hold_budget_bytes = 64 << 20;
	conf.spool_bytes = nworkers * (1u << 20);
	conf.header_bytes = 65536;
	conf.headers = 100;
	conf.expansion_ratio = 200;
	conf.depth = 4;
	conf.answer_status = 403;
	conf.turn_bytes = 32768;
	conf.drain_bytes = 1 << 20;
	conf.drain_time_ns = 20 * S;
	conf.idle_timeout_ns = 7200 * S;
	conf.half_open_timeout_ns = 100 * S;
	conf.linger_ns = 2 * S;
	conf.stream_state_bytes = 65536;
}

static struct rte_ring *ring(void)
{
	struct rte_ring *r = aligned_alloc(64, (size_t)rte_ring_get_memsize(1024));

	WR_ASSERT(r != NULL);
	return rte_ring_init(r, "x", 1024, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0 ? r : NULL;
}

static int boot(const char *compiler, const char *bundle)
{
	struct rte_ring *x[WORKERS][WORKERS] = { { NULL } };
	struct wr_ruleset *rs = NULL;
	char err[256] = "no memory";

	conf_make();
	pools[0] = wr_mem_mbufs_sim("rx", MBUFS, 2048);
	pools[1] = wr_mem_mbufs_sim("small", 8192, WR_SMALL_BYTES);
	pools[2] = wr_mem_mbufs_sim("large", 4096, WR_LARGE_BYTES);
	for (uint32_t i = 0; i < nworkers; i++)
		for (uint32_t k = 0; k < nworkers; k++)
			if (i != k)
				x[i][k] = ring();
	for (uint32_t i = 0; i < nworkers; i++) {
		struct wr_worker_args a = { .conf = &conf, .id = i, .index = i, .peers = nworkers };

		records[i] = wr_mem_alloc("records", wr_ring_bytes(RING));
		wr_ring_init(records[i], RING);
		ends[i][0] = (struct end){ i, CLIENT };
		ends[i][1] = (struct end){ i, STORE };
		a.client = (struct wr_port){ port_rx, port_tx, &ends[i][0] };
		a.store = (struct wr_port){ port_rx, port_tx, &ends[i][1] };
		a.pools = (struct wr_pools){ .rx = pools[0],
			                     .small = pools[1],
			                     .large = pools[2],
			                     .gen = pools[2],
			                     .rx_reserve = 256,
			                     .rx_low_water = 512 };
		a.stats = &stats[i];
		a.records = records[i];
		a.key = (struct wr_mix_key){ { 1, 2, 3, 4 } };
		a.seed = 42 + i;
		a.digest = WR_DIGEST_PORTABLE;
		for (uint32_t k = 0; k < nworkers; k++) {
			a.to[k] = x[i][k];
			a.from[k] = x[k][i];
		}
		worker[i] = wr_worker_new(&a, err, sizeof(err));
		if (worker[i] == NULL)
			goto fail;
	}
	if (wr_worker_join(worker, nworkers) != 0)
		goto fail;
	for (uint32_t g = 0; g < WR_COUNT_OF(rulesets); g++)
		if (sim_load_as(compiler, bundle, g + 1, &rulesets[g], err, sizeof(err)) != 0)
			goto fail;
	rs = rulesets[0];
	for (uint32_t i = 0; i < nworkers; i++) {
		if (wr_scan_stage(wr_worker_scan(worker[i]), rs, err, sizeof(err)) != 0)
			goto fail;
		wr_worker_publish(worker[i], rs);
	}
	for (uint32_t i = 0; i < LISTED; i++)
		listed[i] = (uint8_t)('A' + i * 7 % 23);
	return 0;
fail:
	fprintf(stderr, "parts: %s\n", err);
	return -1;
}

static uint64_t reason(enum wr_reason r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < nworkers; i++)
		n += wr_counter_get(&stats[i].reason[r]);
	return n;
}

/* --- tus
 * -------------------------------------------------------------------------------------------- */

static uint32_t names;
static char url[64];

static void tus_answer(uint32_t c, const char *status, uint64_t offset)
{
	char text[256];

	snprintf(text, sizeof(text),
	         "HTTP/1.1 %s\r\n%sUpload-Offset: %lu\r\nContent-Length: 0\r\n\r\n", status,
	         "Tus-Resumable: 1.0.0\r\n", (unsigned long)offset);
	if (strncmp(status, "204", 3) == 0)
		snprintf(text, sizeof(text),
		         "HTTP/1.1 %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %lu\r\n\r\n",
		         status, (unsigned long)offset);
	say(c, STORE, text);
}

static void tus_create(uint64_t total)
{
	char text[300];
	uint32_t c = dial();

	snprintf(url, sizeof(url), "/files/u%u", ++names);
	snprintf(text, sizeof(text),
	         "POST /files HTTP/1.1\r\n" TUS_H "Upload-Length: %lu\r\nContent-Length: 0\r\n\r\n",
	         (unsigned long)total);
	say(c, CLIENT, text);
	snprintf(text, sizeof(text),
	         "HTTP/1.1 201 Created\r\nLocation: http://store%s\r\nContent-Length: 0\r\n\r\n",
	         url);
	say(c, STORE, text);
}

static uint32_t tus_patch_head(uint64_t offset, uint32_t n)
{
	char text[400];
	uint32_t c = dial();

	snprintf(text, sizeof(text),
	         "PATCH %s HTTP/1.1\r\n" TUS_H "Content-Type: application/offset+octet-stream\r\n"
	         "Upload-Offset: %lu\r\nContent-Length: %u\r\n\r\n",
	         url, (unsigned long)offset, n);
	say(c, CLIENT, text);
	return c;
}

static uint32_t tus_patch(uint64_t offset, const void *data, uint32_t n)
{
	uint32_t c = tus_patch_head(offset, n);

	send_bytes(c, CLIENT, data, n);
	return c;
}

static void tus_in_order(void)
{
	static uint8_t body[5000];
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 31 + i / 7);
	no_records();
	tus_create(5000);
	c = tus_patch(0, body, 2000);
	OK(arrived(c), "tus: the first piece goes on");
	tus_answer(c, "204 No Content", 2000);
	c = tus_patch(2000, body + 2000, 3000);
	OK(arrived(c), "tus: the last piece goes on");
	tus_answer(c, "204 No Content", 5000);
	r = whole();
	IS(r.r.verdict, WR_V_CLEAN, "tus: the whole is clean");
	OK(is_sha(&r, body, 5000), "tus: the record has the whole's digests");
	IS(r.r.committed, WR_COMMITTED_YES, "tus: and says that it is stored");
	IS(r.v.coverage[WR_COV_PATTERN], 5000, "tus: all of it was scanned");

	no_records();
	tus_create(LISTED);
	c = tus_patch(0, listed, 1000);
	tus_answer(c, "204 No Content", 1000);
	c = tus_patch(1000, listed + 1000, 2000);
	OK(refused(c) && !arrived(c), "tus: a listed whole in two pieces is refused");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && r.r.action == WR_A_BLOCK && is_sha(&r, listed, LISTED),
	   "tus: the whole's record says match");
	c = tus_patch(1000, listed + 1000, 10);
	OK(refused(c) && conn[c].got[STORE] < 20, "tus: every later request for it is refused");
	c = dial();
	say(c, CLIENT, "HEAD ");
	say(c, CLIENT, url);
	say(c, CLIENT, " HTTP/1.1\r\n" TUS_H "\r\n");
	OK(got(c, CLIENT, "403") && conn[c].reset[STORE], "tus: a question about it as well");
	c = dial();
	say(c, CLIENT, "DELETE ");
	say(c, CLIENT, url);
	say(c, CLIENT, " HTTP/1.1\r\n" TUS_H "\r\n");
	OK(arrived(c), "tus: its removal passes");
	OK(reason(WR_R_SESSION_BAD) >= 2, "tus: counted");
	no_records();
}

static void tus_split(void)
{
	struct rec r;
	uint32_t c;

	tus_create(MARK + 20);
	c = tus_patch(0, mark, 30);
	OK(arrived(c), "split: the first half of a bad sequence passes");
	tus_answer(c, "204 No Content", 30);
	c = tus_patch(30, mark + 30, MARK - 30);
	OK(refused(c) && !arrived(c), "split: the piece that completes it never gets through");
	do
		r = any();
	while (r.r.verdict == WR_V_CLEAN);
	OK(r.r.verdict == WR_V_MATCH && r.r.action == WR_A_BLOCK, "split: recorded as a match");
	c = tus_patch(30, "x", 1);
	OK(refused(c), "split: the upload stays refused");
	no_records();

	/* The border within the last piece's own first byte. */
	tus_create(MARK);
	c = tus_patch(0, mark, MARK - 1);
	tus_answer(c, "204 No Content", MARK - 1);
	c = tus_patch(MARK - 1, mark + MARK - 1, 1);
	OK(refused(c), "split: the last byte alone completes it");
	no_records();
}

static void tus_again(void)
{
	static uint8_t body[9000];
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 17 + i / 5);
	/* Broken off; the store has some of it; the client asks and goes on there. */
	tus_create(9000);
	c = tus_patch_head(0, 9000);
	send_bytes(c, CLIENT, body, 5000);
	hang_up(c);
	c = tus_patch(3700, body + 3700, 5300);
	OK(arrived(c), "resumed: goes on");
	tus_answer(c, "204 No Content", 9000);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 9000),
	   "resumed: the whole is what was sent");
	no_records();

	/* The same, with other bytes where both overlap. */
	tus_create(9000);
	c = tus_patch_head(0, 9000);
	send_bytes(c, CLIENT, body, 5000);
	hang_up(c);
	body[4000] ^= 1;
	c = tus_patch(3700, body + 3700, 5300);
	OK(refused(c), "resumed with other bytes: nobody knows what is stored");
	r = whole();
	OK(r.r.verdict == WR_V_INCOMPLETE && r.r.cause == WR_C_PART_ORDER, "resumed: incomplete");
	OK(r.v.digests.has == 0, "resumed: no digests of what is not known");
	no_records();

	/* Bytes that never passed here. */
	tus_create(9000);
	c = tus_patch(0, body, 1000);
	tus_answer(c, "204 No Content", 1000);
	c = tus_patch(2000, body, 7000);
	OK(refused(c), "a hole before the last piece");
	r = whole();
	OK(r.r.verdict == WR_V_INCOMPLETE && r.r.cause == WR_C_ELSEWHERE, "incomplete: elsewhere");
	no_records();

	/* What the store refused is not what a later request may build on. */
	tus_create(2000);
	c = tus_patch(0, body, 1000);
	tus_answer(c, "460 Checksum Mismatch", 0);
	c = tus_patch(1000, body + 1000, 1000);
	OK(refused(c), "going on behind refused bytes");
	IS(whole().r.cause, WR_C_ELSEWHERE, "is elsewhere");
	tus_create(2000);
	c = tus_patch(0, body, 1000);
	tus_answer(c, "460 Checksum Mismatch", 0);
	c = tus_patch(0, body, 1000);
	tus_answer(c, "204 No Content", 1000);
	c = tus_patch(1000, body + 1000, 1000);
	OK(arrived(c), "sending them again is fine");
	r = whole();
	tus_answer(c, "204 No Content", 2000);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 2000), "and the whole is known");
	no_records();
}

static void tus_ways(void)
{
	struct rec r;
	uint32_t c;
	char text[400];

	/* With the first bytes in the creation. */
	c = dial();
	snprintf(url, sizeof(url), "/files/u%u", ++names);
	say(c, CLIENT,
	    "POST /files HTTP/1.1\r\n" TUS_H "Upload-Length: 10\r\nContent-Length: 4\r\n\r\nabcd");
	OK(arrived(c), "creation with bytes: goes on");
	snprintf(text, sizeof(text),
	         "HTTP/1.1 201 Created\r\nLocation: files/u%u\r\nUpload-Offset: "
	         "4\r\nContent-Length: "
	         "0\r\n\r\n",
	         names);
	say(c, STORE, text);
	c = tus_patch(4, "efghij", 6);
	OK(arrived(c), "its rest: goes on");
	tus_answer(c, "204 No Content", 10);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, "abcdefghij", 10), "one whole");
	no_records();

	/* All of it in the creation. */
	c = dial();
	snprintf(text, sizeof(text),
	         "POST /files HTTP/1.1\r\n" TUS_H "Upload-Length: %u\r\nContent-Length: %u\r\n\r\n",
	         LISTED, LISTED);
	say(c, CLIENT, text);
	send_bytes(c, CLIENT, listed, LISTED);
	OK(refused(c), "all in the creation: judged as what it is");
	no_records();

	/* A length that comes later, by the method's other name, under another spelling. */
	c = dial();
	snprintf(url, sizeof(url), "/files/u%u", ++names);
	say(c, CLIENT,
	    "POST /files HTTP/1.1\r\n" TUS_H "Upload-Defer-Length: 1\r\nContent-Length: 0\r\n\r\n");
	snprintf(text, sizeof(text),
	         "HTTP/1.1 201 Created\r\nLocation: /files/u%u\r\nContent-Length: 0\r\n\r\n",
	         names);
	say(c, STORE, text);
	c = tus_patch(0, listed, 1000);
	tus_answer(c, "204 No Content", 1000);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, listed, 1000),
	   "of unknown length: each piece may be the last");
	c = dial();
	snprintf(text, sizeof(text),
	         "POST /files//./u%%%02x%u HTTP/1.1\r\n" TUS_H "X-HTTP-Method-Override: PATCH\r\n"
	         "Upload-Length: %u\r\nUpload-Offset: 1000\r\nContent-Length: 2000\r\n\r\n",
	         '0' + (int)(names / 10), names % 10, LISTED);
	if (names < 10)
		snprintf(text, sizeof(text),
		         "POST /files//./u%%%02x HTTP/1.1\r\n" TUS_H
		         "X-HTTP-Method-Override: PATCH\r\n"
		         "Upload-Length: %u\r\nUpload-Offset: 1000\r\nContent-Length: 2000\r\n\r\n",
		         '0' + (int)names, LISTED);
	say(c, CLIENT, text);
	send_bytes(c, CLIENT, listed + 1000, 2000);
	OK(refused(c), "other method, other spelling, deferred length: the same upload");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && is_sha(&r, listed, LISTED), "and its whole is listed");
	no_records();

	/* Concatenation: its order is decided by what cannot be looked into. */
	c = dial();
	say(c, CLIENT,
	    "POST /files HTTP/1.1\r\n" TUS_H
	    "Upload-Concat: final;/files/x /files/y\r\nContent-Length: 0\r\n\r\n");
	OK(refused(c) && !arrived(c), "a concatenation is not followed");
	IS(any().r.cause, WR_C_PROTOCOL, "and says so");
	no_records();
}

/* --- S3 multipart
 * ------------------------------------------------------------------------------- */

static char upload[64];

static void s3_upload(void)
{
	snprintf(upload, sizeof(upload), "ID-%u", ++names);
}

static void md5_text(const void *data, uint32_t n, char out[33])
{
	uint8_t d[16];
	unsigned len;

	EVP_Digest(data, n, d, &len, EVP_md5(), NULL);
	for (unsigned i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", d[i]);
}

static uint32_t part_head(uint32_t number, uint32_t n)
{
	char text[300];
	uint32_t c = dial();

	snprintf(text, sizeof(text),
	         "PUT /b/k?partNumber=%u&uploadId=%s HTTP/1.1\r\nHost: store\r\nContent-Length: "
	         "%u\r\n\r\n",
	         number, upload, n);
	say(c, CLIENT, text);
	return c;
}

static uint32_t part_begin(uint32_t number, const void *data, uint32_t n)
{
	uint32_t c = part_head(number, n);

	send_bytes(c, CLIENT, data, n);
	return c;
}

static void part_stored(uint32_t c, const void *data, uint32_t n)
{
	char text[200], md5[33];

	md5_text(data, n, md5);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: 0\r\n\r\n",
	         md5);
	say(c, STORE, text);
}

static void part(uint32_t number, const void *data, uint32_t n)
{
	part_stored(part_begin(number, data, n), data, n);
}

/* A list of these parts: their numbers, cut from data at these offsets. */
static uint32_t complete(uint32_t count, const uint32_t *number, const uint8_t *const *data,
                         const uint32_t *len)
{
	static char xml[1 << 16];
	char text[300], md5[33];
	uint32_t c = dial();
	int n = snprintf(xml, sizeof(xml),
	                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload "
	                 "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");

	for (uint32_t i = 0; i < count; i++) {
		md5_text(data[i], len[i], md5);
		n += snprintf(
		        xml + n, sizeof(xml) - (size_t)n,
		        "<Part><ETag>&quot;%s&quot;</ETag><PartNumber>%u</PartNumber></Part>\n",
		        md5, number[i]);
	}
	n += snprintf(xml + n, sizeof(xml) - (size_t)n, "</CompleteMultipartUpload>");
	snprintf(text, sizeof(text),
	         "POST /b/k?uploadId=%s HTTP/1.1\r\nHost: store\r\nContent-Length: %d\r\n\r\n",
	         upload, n);
	say(c, CLIENT, text);
	send_bytes(c, CLIENT, xml, (uint32_t)n);
	for (int i = 0; i < 40; i++) /* kept parts are scanned a turn's bytes at a time */
		turn();
	return c;
}

/* Parts of these sizes of one body, listed in order. */
struct cuts {
	uint32_t n, number[8], len[8];
	const uint8_t *data[8];
};

static struct cuts cut(const uint8_t *body, uint32_t total, uint32_t n)
{
	struct cuts k = { .n = n };
	uint32_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		k.number[i] = i + 1;
		k.len[i] = i + 1 == n ? total - at : total / n;
		k.data[i] = body + at;
		at += k.len[i];
	}
	return k;
}

static uint32_t finish(const struct cuts *k)
{
	return complete(k->n, k->number, k->data, k->len);
}

#define OKAY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void s3_orders(void)
{
	static const uint32_t order[][4] = {
		{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 0, 3, 2 }, { 2, 0, 3, 1 }
	};
	static uint8_t body[200000];
	struct cuts k;
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 13 + i / 251);
	for (uint32_t o = 0; o < WR_COUNT_OF(order); o++) {
		no_records();
		s3_upload();
		k = cut(body, sizeof(body), 4);
		for (uint32_t i = 0; i < 4; i++)
			part(order[o][i] + 1, k.data[order[o][i]], k.len[order[o][i]]);
		c = finish(&k);
		OK(arrived(c), "S3, order %u: the completing request goes on", o);
		say(c, STORE, OKAY);
		r = whole();
		OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, sizeof(body)),
		   "S3, order %u: one whole", o);
		IS(r.r.committed, WR_COMMITTED_YES, "S3: stored");
	}

	/* All at once, byte by byte in turn. */
	no_records();
	s3_upload();
	k = cut(body, 4000, 4);
	{
		uint32_t conn_of[4];

		for (uint32_t i = 0; i < 4; i++)
			conn_of[i] = part_head(i + 1, k.len[i]);
		for (uint32_t at = 0; at < 1000; at += 100)
			for (uint32_t i = 4; i-- > 0;)
				send_bytes(conn_of[i], CLIENT, k.data[i] + at, 100);
		for (uint32_t i = 0; i < 4; i++) {
			OK(arrived(conn_of[i]), "S3, at once: part %u goes on", i + 1);
			part_stored(conn_of[i], k.data[i], k.len[i]);
		}
	}
	say(finish(&k), STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 4000), "S3, at once: one whole");

	/* Listed as a whole, in no part. */
	no_records();
	s3_upload();
	k = cut(listed, LISTED, 3);
	for (uint32_t i = 3; i-- > 0;)
		part(i + 1, k.data[i], k.len[i]);
	c = finish(&k);
	OK(refused(c) && !arrived(c), "S3: a listed whole is refused where it is completed");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && is_sha(&r, listed, LISTED), "S3: and recorded");
	c = part_begin(9, "x", 1);
	OK(refused(c), "S3: nothing more is taken for it");
	no_records();
}

static void s3_borders(void)
{
	static uint8_t bad[3000];
	struct cuts k;
	struct rec r;
	uint32_t c;

	memset(bad, '.', sizeof(bad));
	memcpy(bad + 1000 - 20, mark, MARK);
	/* In order: the part that completes the sequence is stopped. */
	s3_upload();
	k = cut(bad, 3000, 3);
	part(1, k.data[0], k.len[0]);
	c = part_begin(2, k.data[1], k.len[1]);
	OK(refused(c), "S3: a bad sequence over two parts, in order");
	no_records();
	/* The other way round it is found when the first part is there. */
	s3_upload();
	part(2, k.data[1], k.len[1]);
	part(3, k.data[2], k.len[2]);
	part(1, k.data[0], k.len[0]);
	for (int i = 0; i < 10; i++)
		turn();
	c = finish(&k);
	OK(refused(c), "S3: a bad sequence over two parts, the second first");
	no_records();
	/* In one part: that part is refused, and with it the object. */
	s3_upload();
	part(1, k.data[0], k.len[0]);
	c = part_begin(2, mark, MARK);
	OK(refused(c), "S3: a bad part");
	c = complete(1, k.number, k.data, k.len);
	OK(refused(c) && conn[c].got[STORE] < 40, "S3: refuses the object without it");
	do
		r = any();
	while (r.r.cause != WR_C_OBJECT_BAD && r.r.verdict != 0xff);
	OK(r.r.verdict == WR_V_MATCH && r.r.cause == WR_C_OBJECT_BAD, "S3: object_bad");
	no_records();
}

static void s3_replaced(void)
{
	static uint8_t body[8000];
	struct cuts k;
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 29 + i / 11);
	k = cut(body, 8000, 2);

	s3_upload();
	c = part_begin(1, k.data[1], k.len[1]); /* other bytes, not stored */
	say(c, STORE, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	part(1, k.data[0], k.len[0]);
	part(2, k.data[1], k.len[1]);
	c = finish(&k);
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 8000),
	   "a part that was not stored is undone");
	no_records();

	s3_upload();
	part(1, k.data[0], k.len[0]);
	c = part_head(2, k.len[1]);
	send_bytes(c, CLIENT, k.data[0], 2500);
	hang_up(c);
	part(2, k.data[1], k.len[1]);
	c = finish(&k);
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 8000),
	   "a part that was broken off is undone");
	no_records();

	s3_upload();
	part(1, k.data[0], k.len[0]);
	part(1, k.data[0], k.len[0]);
	part(2, k.data[1], k.len[1]);
	c = finish(&k);
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 8000), "the same part twice is that part");
	no_records();

	s3_upload();
	part(2, k.data[0], k.len[0]); /* early, then replaced: nothing was scanned on */
	part(2, k.data[1], k.len[1]);
	part(1, k.data[0], k.len[0]);
	c = finish(&k);
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 8000), "a kept part is replaced");
	no_records();

	s3_upload();
	part(1, k.data[1], k.len[1]);
	part(1, k.data[0], k.len[0]);
	part(2, k.data[1], k.len[1]);
	c = finish(&k);
	OK(refused(c), "a part replaced after it was scanned on");
	IS(whole().r.cause, WR_C_PART_ORDER, "part_order");
	no_records();
}

static void s3_gaps(void)
{
	static uint8_t body[6000];
	uint32_t c;
	struct cuts k, some;
	struct rec r;

	memset(body, 'q', sizeof(body));
	body[10] = 'z';
	k = cut(body, 6000, 3);

	s3_upload(); /* never seen */
	c = finish(&k);
	OK(refused(c), "a completion of parts that never passed");
	r = whole();
	OK(r.r.verdict == WR_V_INCOMPLETE && r.r.cause == WR_C_ELSEWHERE, "elsewhere");

	s3_upload(); /* one elsewhere */
	part(1, k.data[0], k.len[0]);
	part(3, k.data[2], k.len[2]);
	c = finish(&k);
	OK(refused(c) && whole().r.cause == WR_C_ELSEWHERE, "one part that never passed");

	s3_upload(); /* replaced by way of another node: the tag tells */
	part(1, k.data[0], k.len[0]);
	part(2, k.data[1], k.len[1]);
	part(3, k.data[0], k.len[0]);
	c = finish(&k);
	OK(refused(c) && whole().r.cause == WR_C_ELSEWHERE, "a tag that is not the part's");

	s3_upload(); /* listed less than sent: from the front */
	for (uint32_t i = 0; i < 3; i++)
		part(i + 1, k.data[i], k.len[i]);
	some = k;
	some.n = 2;
	c = finish(&some);
	OK(refused(c) && whole().r.cause == WR_C_PART_ORDER, "fewer parts than were scanned on");

	s3_upload(); /* with holes in the numbers */
	for (uint32_t i = 0; i < 3; i++) {
		k.number[i] = 5 + 2 * i;
		part(k.number[i], k.data[i], k.len[i]);
	}
	c = finish(&k);
	OK(arrived(c), "numbers with holes: goes on");
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 6000), "numbers with holes: one whole");

	c = dial();
	s3_upload();
	part(1, k.data[0], k.len[0]);
	{
		char text[300];

		snprintf(text, sizeof(text),
		         "PUT /b/k?partNumber=2&uploadId=%s HTTP/1.1\r\nHost: store\r\n"
		         "x-amz-copy-source: /b/other\r\nContent-Length: 0\r\n\r\n",
		         upload);
		conf.service[0].policy.on_cause[WR_C_PROTOCOL] = WR_A_FLAG;
		say(c, CLIENT, text);
		OK(arrived(c), "a copied part, let through by policy");
		say(c, STORE, OKAY);
	}
	k = cut(body, 6000, 3);
	k.n = 2;
	c = finish(&k);
	OK(refused(c) && whole().r.cause == WR_C_ELSEWHERE, "its bytes never passed");
	conf.service[0].policy.on_cause[WR_C_PROTOCOL] = WR_A_BLOCK;

	s3_upload(); /* a list with two readings */
	part(1, k.data[0], k.len[0]);
	k.n = 2;
	k.number[0] = k.number[1] = 1;
	c = finish(&k);
	OK(refused(c) && whole().r.reason == WR_R_SESSION_LIST_BAD, "a part listed twice");
	no_records();
}

/* --- GCS, ranges
 * -------------------------------------------------------------------------------- */

static uint32_t chunk(const char *range, const void *data, uint32_t n)
{
	char text[400];
	uint32_t c = dial();

	snprintf(text, sizeof(text),
	         "PUT /upload/b/o?uploadType=resumable&upload_id=%s HTTP/1.1\r\nHost: store\r\n"
	         "Content-Range: bytes %s\r\nContent-Length: %u\r\n\r\n",
	         upload, range, n);
	say(c, CLIENT, text);
	send_bytes(c, CLIENT, data, n);
	return c;
}

static void more(uint32_t c, uint32_t upto)
{
	char text[200];

	snprintf(text, sizeof(text),
	         "HTTP/1.1 308 Resume Incomplete\r\nRange: bytes=0-%u\r\nContent-Length: 0\r\n\r\n",
	         upto - 1);
	say(c, STORE, text);
}

static void gcs(void)
{
	static uint8_t body[6000];
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 + i / 13);
	no_records();
	s3_upload();
	more(chunk("0-1999/*", body, 2000), 2000);
	/* The store kept less than was sent: the client goes back there. */
	more(chunk("2000-3999/*", body + 2000, 2000), 3000);
	c = chunk("3000-5999/6000", body + 3000, 3000);
	OK(arrived(c), "GCS: the last chunk goes on");
	say(c, STORE, OKAY);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, body, 6000), "GCS: one whole");
	IS(r.r.committed, WR_COMMITTED_YES, "GCS: stored");

	s3_upload();
	more(chunk("0-999/3000", listed, 1000), 1000);
	c = chunk("*/3000", NULL, 0);
	OK(arrived(c), "GCS: asking how much is there passes");
	more(c, 1000);
	more(chunk("1000-2999/*", listed + 1000, 2000), 3000);
	c = chunk("*/3000", NULL, 0);
	OK(refused(c) && !arrived(c), "GCS: with all of it there, it completes: refused");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && is_sha(&r, listed, LISTED), "GCS: the whole is listed");
	c = chunk("0-999/3000", body, 1000);
	OK(refused(c), "GCS: the session stays refused");
	no_records();

	s3_upload();
	c = chunk("3000-5999/6000", body + 3000, 3000);
	OK(refused(c) && whole().r.cause == WR_C_ELSEWHERE, "GCS: its beginning never passed");
	no_records();

	/* Without a range: all in one. */
	c = dial();
	s3_upload();
	{
		char text[200];

		snprintf(
		        text, sizeof(text),
		        "PUT /o?upload_id=%s HTTP/1.1\r\nHost: store\r\nContent-Length: %u\r\n\r\n",
		        upload, LISTED);
		say(c, CLIENT, text);
	}
	send_bytes(c, CLIENT, listed, LISTED);
	OK(refused(c), "GCS: all in one request");
	no_records();
}

static uint32_t ranged(uint32_t from, uint32_t to, uint32_t total, const uint8_t *body)
{
	char text[300];
	uint32_t c = dial();

	snprintf(text, sizeof(text),
	         "PUT /r/%u HTTP/1.1\r\nHost: store\r\nContent-Range: bytes %u-%u/%u\r\n"
	         "Content-Length: %u\r\n\r\n",
	         names, from, to - 1, total, to - from);
	say(c, CLIENT, text);
	send_bytes(c, CLIENT, body + from, to - from);
	return c;
}

static void ranges(void)
{
	struct rec r;
	uint32_t c;

	names++;
	say(ranged(0, 1000, LISTED, listed), STORE, CREATED);
	say(ranged(1000, 2000, LISTED, listed), STORE, CREATED);
	c = ranged(2000, LISTED, LISTED, listed);
	OK(refused(c), "ranges: the one that completes a listed whole");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && is_sha(&r, listed, LISTED), "ranges: and its record");
	c = ranged(0, 10, LISTED, listed);
	OK(refused(c), "ranges: refused from then on");
	no_records();

	names++;
	c = ranged(100, LISTED, LISTED, listed);
	OK(refused(c) && whole().r.cause == WR_C_ELSEWHERE, "ranges: the beginning never passed");
	no_records();

	names++; /* the same place again, another object */
	say(ranged(0, 500, 600, listed), STORE, CREATED);
	say(ranged(500, 600, 600, listed), STORE, CREATED);
	IS(whole().r.verdict, WR_V_CLEAN, "ranges: clean");
	say(ranged(0, 500, 600, listed + 7), STORE, CREATED);
	say(ranged(500, 600, 600, listed + 7), STORE, CREATED);
	r = whole();
	OK(r.r.verdict == WR_V_CLEAN && is_sha(&r, listed + 7, 600),
	   "ranges: the place is used again");
	no_records();
}

/* --- limits
 * -------------------------------------------------------------------------------------- */

static void limits(void)
{
	static uint8_t body[1400000];
	uint64_t before;
	struct cuts k;
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 11 + i / 301);
	no_records();
	before = reason(WR_R_SESSION_SPOOL_LIMIT);
	s3_upload();
	k = cut(body, sizeof(body), 2);
	k.len[1] += k.len[0] - 1000; /* the second: all but a thousand bytes */
	k.len[0] = 1000;
	k.data[1] = body + 1000;
	part(2, k.data[1], k.len[1]);
	part(1, k.data[0], k.len[0]);
	c = finish(&k);
	OK(refused(c), "more early bytes than the spool holds");
	r = whole();
	OK(r.r.verdict == WR_V_INCOMPLETE && r.r.cause == WR_C_PART_ORDER,
	   "incomplete: part_order");
	OK(reason(WR_R_SESSION_SPOOL_LIMIT) > before, "counted");
	s3_upload(); /* and what it held is free again */
	now += 4000 * S;
	for (int i = 0; i < 80; i++)
		turn();
	OK(reason(WR_R_SESSION_AGED) > 0, "uploads that rest for an hour are forgotten");
	k = cut(body, 300000, 3);
	for (uint32_t i = 3; i-- > 0;)
		part(i + 1, k.data[i], k.len[i]);
	say(finish(&k), STORE, OKAY);
	r = whole();
	OK(is_sha(&r, body, 300000) && r.r.verdict == WR_V_CLEAN,
	   "the spool serves the next upload");

	/* In the middle of an upload: a session is forgotten, what comes then is a rest without its
	 * beginning. */
	tus_create(3000);
	tus_answer(tus_patch(0, body, 1000), "204 No Content", 1000);
	now += 4000 * S;
	turn();
	c = tus_patch(1000, body + 1000, 2000);
	OK(refused(c), "a rest whose beginning was forgotten");
	no_records();

	/* More uploads than entries: the one that rested longest gives way. */
	before = reason(WR_R_SESSION_EVICTED);
	tus_create(3000);
	tus_answer(tus_patch(0, body, 1000), "204 No Content", 1000);
	{
		char first[64];

		memcpy(first, url, sizeof(first));
		for (uint32_t i = 0; i < 20 * nworkers; i++)
			tus_create(3000);
		OK(reason(WR_R_SESSION_EVICTED) > before, "uploads give way to newer ones");
		memcpy(url, first, sizeof(url));
	}
	c = tus_patch(1000, body + 1000, 2000);
	OK(refused(c) && whole().r.verdict == WR_V_INCOMPLETE, "and are not called clean");
	no_records();

	/* None gives way while requests are under way. */
	before = reason(WR_R_SESSION_LIMIT);
	for (uint32_t i = 0; i < 18 * nworkers; i++) {
		snprintf(url, sizeof(url), "/files/u%u", ++names);
		(void)tus_patch_head(0, 10);
	}
	OK(reason(WR_R_SESSION_LIMIT) > before, "no entry is left");
	for (uint32_t i = 0; i < CONNS; i++)
		hang_up(i);
	no_records();
}

/* Connections that end before the upload's owner has answered leave nothing behind. */
static void leavers(void)
{
	uint64_t before = reason(WR_R_SESSION_LIMIT);
	char text[400];
	struct rec r;
	uint32_t c;

	for (uint32_t i = 0; i < 300; i++) {
		c = dial();
		snprintf(text, sizeof(text),
		         "PATCH /files/l%u HTTP/1.1\r\n" TUS_H "Upload-Offset: 0\r\n"
		         "Upload-Length: 9\r\nContent-Length: 9\r\n\r\nabc",
		         i);
		segment(c, CLIENT, F_ACK | F_PSH, text, (uint32_t)strlen(text));
		if (i % 2 != 0) { /* the others are slow: they have not answered yet */
			uint32_t w = conn[c].client.port % nworkers;

			now++;
			wr_worker_turn(worker[w], now, now + REAL);
		}
		segment(c, CLIENT, F_RST | F_ACK, NULL, 0);
		if (i % 2 != 0) {
			uint32_t w = conn[c].client.port % nworkers;

			now++;
			wr_worker_turn(worker[w], now, now + REAL);
		}
		turn();
	}
	for (uint32_t i = 0; i < 200; i++) { /* at its end: the whole is being made elsewhere */
		uint32_t w;

		tus_create(9);
		c = tus_patch_head(0, 9);
		w = conn[c].client.port % nworkers;
		for (int k = 0; k < 2; k++) {
			segment(c, CLIENT, k == 0 ? F_ACK : F_RST | F_ACK, "abcdefghi",
			        k == 0 ? 9 : 0);
			now++;
			wr_worker_turn(worker[w], now, now + REAL);
		}
		turn();
	}
	no_records();
	tus_create(100);
	c = tus_patch(0, listed, 100);
	OK(arrived(c) && reason(WR_R_SESSION_LIMIT) == before, "500 that left early leave entries");
	tus_answer(c, "204 No Content", 100);
	r = whole();
	IS(r.r.verdict, WR_V_CLEAN, "and the next upload is joined");
	no_records();
}

/* --- rulesets, an open wire
 * --------------------------------------------------------------------- */

static void published(uint32_t g)
{
	for (uint32_t i = 0; i < nworkers; i++)
		wr_worker_publish(worker[i], rulesets[g]);
	for (int i = 0; i < 60; i++)
		turn();
}

static void rules(void)
{
	struct rec r;
	uint32_t c;

	no_records();
	tus_create(LISTED); /* begun under one ruleset, listed and completed under another */
	tus_answer(tus_patch(0, listed, 1000), "204 No Content", 1000);
	published(1);
	c = tus_patch(1000, listed + 1000, 2000);
	OK(refused(c), "a new ruleset in the middle: judged at the end by what is in force then");
	r = whole();
	OK(r.r.verdict == WR_V_MATCH && r.r.ruleset_generation == 2, "and the record says which");
	no_records();
	tus_create(MARK);
	tus_answer(tus_patch(0, mark, 30), "204 No Content", 30);
	published(2);
	c = tus_patch(30, mark + 30, MARK - 30);
	OK(refused(c), "a sequence over the border of two rulesets");
	no_records();

	tus_create(2000);
	tus_answer(tus_patch(0, listed, 1000), "204 No Content", 1000);
	OK(wr_ruleset_open_count(rulesets[2]) > 0, "an upload under way keeps its ruleset");
	published(5);
	OK(wr_ruleset_open_count(rulesets[2]) > 0, "while three later ones come");
	published(6);
	OK(reason(WR_R_SESSION_OUTLIVED) > 0 && wr_ruleset_open_count(rulesets[2]) == 0,
	   "but not for ever");
	c = tus_patch(1000, listed + 1000, 1000);
	OK(refused(c) && whole().r.cause == WR_C_LIMIT, "and its whole says so");
	no_records();
}

/* --- the law: whatever order, cuts and accidents, the whole is what the store has
 * --------------- */

static uint64_t dice = 88172645463325252ull;

static uint32_t roll(uint32_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)(dice >> 33) % n;
}

#define OPEN 3u

struct flight { /* a part on its way */
	uint32_t conn, part, sent;
	bool doomed, other; /* will not be stored; holds other bytes */
};

static bool fly(struct flight *f, const struct cuts *k, const uint8_t *noise)
{
	const uint8_t *from = f->other ? noise : k->data[f->part];
	uint32_t n = wr_min_u32(1 + roll(900), k->len[f->part] - f->sent);

	send_bytes(f->conn, CLIENT, from + f->sent, n);
	f->sent += n;
	if (f->doomed && roll(6) == 0) {
		hang_up(f->conn);
		return true;
	}
	if (f->sent < k->len[f->part])
		return false;
	if (f->doomed)
		say(f->conn, STORE, "HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n");
	else
		part_stored(f->conn, from, k->len[f->part]);
	return true;
}

static bool law_s3(const uint8_t *body, const uint8_t *noise)
{
	uint32_t total = 8 + roll(16000), n = 1 + roll(7), at = 0, nfly = 0, stored = 0;
	struct flight f[OPEN];
	bool done[8] = { false };
	struct cuts k = { .n = n };
	struct rec r;

	s3_upload();
	for (uint32_t i = 0; i < n; i++) {
		k.number[i] = i + 1 + (roll(3) == 0 && i > 0 ? 20 * i : 0);
		if (i > 0 && k.number[i] <= k.number[i - 1])
			k.number[i] = k.number[i - 1] + 1;
		k.len[i] = i + 1 == n ? total - at : roll(2 * (total - at) / n + 1);
		k.data[i] = body + at;
		at += k.len[i];
	}
	while (stored < n || nfly > 0) {
		uint32_t i = roll(OPEN);

		if (i >= nfly && stored < n) {
			uint32_t p = roll(n);
			bool flying = false;

			for (uint32_t q = 0; q < nfly; q++)
				flying |= f[q].part == p;
			if (done[p] || flying)
				continue;
			f[nfly] = (struct flight){ .part = p, .doomed = roll(3) == 0 };
			f[nfly].other = f[nfly].doomed && roll(2) == 0;
			f[nfly].conn = part_head(k.number[p], k.len[p]);
			if (k.len[p] == 0) {
				part_stored(f[nfly].conn, "", 0);
				done[p] = true;
				stored++;
				continue;
			}
			nfly++;
		} else if (i < nfly && fly(&f[i], &k, noise)) {
			if (!f[i].doomed) {
				done[f[i].part] = true;
				stored++;
			}
			f[i] = f[--nfly];
		}
	}
	say(finish(&k), STORE, OKAY);
	r = whole();
	return r.r.verdict == WR_V_CLEAN && is_sha(&r, body, total);
}

static bool law_tus(const uint8_t *body)
{
	uint32_t total = 1 + roll(16000), at = 0;
	struct rec r;

	tus_create(total);
	while (at < total) {
		uint32_t n = 1 + roll(total - at), k = roll(3) == 0 ? roll(n) : n;
		uint32_t c = tus_patch_head(at, n);

		for (uint32_t sent = 0; sent < k;) {
			uint32_t step = wr_min_u32(1 + roll(2000), k - sent);

			send_bytes(c, CLIENT, body + at + sent, step);
			sent += step;
		}
		if (k == n && roll(5) == 0) {
			tus_answer(c, "423 Locked", at); /* nothing of it is stored */
		} else if (k == n) {
			at += n;
			tus_answer(c, "204 No Content", at);
		} else {
			hang_up(c);
			at += roll(k + 1);
		}
	}
	r = whole();
	return r.r.verdict == WR_V_CLEAN && is_sha(&r, body, total);
}

static void law(void)
{
	static uint8_t body[16384], noise[16384];
	uint32_t held[2] = { 0, 0 };

	for (uint32_t i = 0; i < sizeof(body); i++) {
		body[i] = (uint8_t)roll(256);
		noise[i] = (uint8_t)roll(256);
	}
	for (uint32_t i = 0; i < 120; i++) {
		no_records();
		held[0] += law_s3(body, noise);
		no_records();
		held[1] += law_tus(body);
	}
	IS(held[0], 120, "the law, S3: parts in any order, broken off, refused, sent again");
	IS(held[1], 120, "the law, tus: pieces broken off, locked out, taken up anywhere");
	no_records();
}

int main(int argc, char **argv)
{
	nworkers = argc == 4 ? (uint32_t)atoi(argv[3]) : 0;
	if (nworkers == 0 || nworkers > WORKERS || boot(argv[1], argv[2]) != 0)
		return 2;
	tus_in_order();
	tus_split();
	tus_again();
	tus_ways();
	s3_orders();
	s3_borders();
	s3_replaced();
	s3_gaps();
	gcs();
	ranges();
	leavers();
	rules();
	law();
	limits();
	OK((reason(WR_R_SESSION_FAR) > 20) == (nworkers > 1),
	   "many uploads had another worker's connection");
	return tap_done();
}
