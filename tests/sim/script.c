/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * script - connections, placement, blocking, records: what leaves a worker, segment by segment.
 *
 * usage: script WEIR-COMPILE BUNDLE
 */
#include "sim/desk.h"
#include "tap.h"

/* --- the scripts: opening
 * ------------------------------------------------------------------------------ */

static void opening(void)
{
	struct seg s;

	connect_with("early", 5, 60000);
	OK(flagged(STORE, F_SYN) && payload(STORE) == 0, "data on a SYN stays behind");
	IS(reason(WR_R_SYN_DATA), 1, "and is counted");

	connected();
	s = segment(CLIENT, -1, NULL, 0, F_SYN);
	s.seq += 77777;
	put(CLIENT, &s);
	turn();
	IS(nout[STORE], 0, "a SYN inside an open connection goes nowhere");
	IS(reason(WR_R_TCP_SYN_IN_STREAM), 1, "and is counted");

	client.port += 500; /* nobody has seen this connection begin */
	s = segment(CLIENT, 100, "abc", 3, F_ACK);
	put(CLIENT, &s);
	turn();
	OK(flagged(CLIENT, F_RST) && flagged(STORE, F_RST), "midstream: both sides are reset");
	IS(payload(STORE), 0, "midstream: no byte reaches the store");

	connected();
	s = segment(CLIENT, 0, "PUT", 3, F_ACK | F_URG);
	put(CLIENT, &s);
	turn();
	IS(payload(STORE), 3, "an urgent byte goes on as data");
	OK(!flagged(STORE, F_URG), "without the urgent flag");

	connected();
	s = segment(CLIENT, 500, NULL, 0, F_RST); /* in the window, not the expected number */
	put(CLIENT, &s);
	turn();
	s = segment(CLIENT, 0, "PUT", 3, F_ACK);
	put(CLIENT, &s);
	turn();
	IS(payload(STORE), 3, "an RST beside the expected number ends nothing");
}

/* --- placement
 * -------------------------------------------------------------------------------------- */

static const uint8_t *byte_at(uint32_t off) /* of the last frames to the store, by stream offset */
{
	for (uint32_t i = nout[STORE]; i-- > 0;) {
		const struct seg *g = &out[STORE][i].seg;
		uint32_t at = g->seq - C_ISN - 1;

		if (off >= at && off < at + g->len)
			return g->data + (off - at);
	}
	return NULL;
}

static void placement(void)
{
	static uint8_t a[400], b[400];
	struct seg s;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	conf.service[0].policy.on_reason[WR_R_OVERLAP_CONFLICT] = WR_ON_INSPECT;

	connected();
	say(CLIENT, HEAD(1000));
	send_at(CLIENT, sent[CLIENT], a, 100);
	send_at(CLIENT, sent[CLIENT] - 50, b, 200);
	OK(byte_at(sent[CLIENT] - 160) && *byte_at(sent[CLIENT] - 160) == 'a',
	   "in order over old: the old bytes are the first copy's");
	OK(byte_at(sent[CLIENT] - 10) && *byte_at(sent[CLIENT] - 10) == 'b', "the new ones pass");
	send_at(CLIENT, sent[CLIENT] - 250, b, 100);
	OK(byte_at(sent[CLIENT] - 250) && *byte_at(sent[CLIENT] - 250) == 'a',
	   "a repeat goes out with the first copy's bytes");

	send_at(CLIENT, sent[CLIENT] + 300, a, 100);
	IS(payload(STORE), 100, "an early segment goes on at once");
	send_at(CLIENT, sent[CLIENT] - 150, b, 200); /* over its first half and beyond */
	OK(byte_at(sent[CLIENT] - 120) && *byte_at(sent[CLIENT] - 120) == 'a',
	   "early over early: the first copy's bytes");
	OK(reason(WR_R_OVERLAP_CONFLICT) >= 3, "each conflict is counted");

	connected();
	window[STORE] = 500;
	ack(STORE, 0);
	say(CLIENT, HEAD(5000));
	send_at(CLIENT, sent[CLIENT], a, 400);
	/* 60000 was offered with the SYN: that edge stands, and not a byte beyond its probe. */
	send_at(CLIENT, 60001 - 100, a, 100);
	IS(reason(WR_R_TCP_OUT_OF_WINDOW), 0, "the window's edge and one probe byte are taken");
	send_at(CLIENT, 60002 - 100, a, 100);
	IS(nout[STORE], 0, "a segment beyond the window goes nowhere");
	IS(reason(WR_R_TCP_OUT_OF_WINDOW), 1, "and is counted");

	connected();
	say(CLIENT, HEAD(1000));
	acked[STORE] = sent[CLIENT] + 400; /* of bytes that never left */
	s = segment(STORE, 0, NULL, 0, F_ACK);
	put(STORE, &s);
	turn();
	IS(nout[CLIENT], 0, "an ACK of what was never forwarded goes nowhere");
	IS(reason(WR_R_TCP_ACK_UNSENT), 1, "and is counted");
	conf.service[0].policy.on_reason[WR_R_OVERLAP_CONFLICT] = WR_ON_BLOCK;

	connected();
	say(CLIENT, HEAD(1000));
	send_at(CLIENT, sent[CLIENT], a, 100);
	send_at(CLIENT, sent[CLIENT] - 50, b, 50);
	OK(flagged(STORE, F_RST) != NULL, "policy block: a conflict resets the store");
	OK(IN(answer(), " 403 "), "and answers the client");

	/* The filler of a gap waits until all that it completes is scanned. */
	connected();
	say(CLIENT, HEAD(68));
	send_at(CLIENT, sent[CLIENT] + 30, mark + 30, MARK - 30);
	send_at(CLIENT, sent[CLIENT] - MARK, mark, 30);
	IS(payload(STORE), 0, "the filler that completes a match never leaves");
	OK(flagged(STORE, F_RST) != NULL, "the store is reset");
	no_records();
}

/* --- blocking
 * --------------------------------------------------------------------------------------- */

static void blocked_upload(uint32_t rest)
{
	char head[160];

	snprintf(head, sizeof(head),
	         "PUT /bad HTTP/1.1\r\nHost: store\r\nContent-Length: %u\r\n\r\n", MARK + rest);
	connected();
	say(CLIENT, head);
	ack(STORE, sent[CLIENT]);
	say(CLIENT, mark);
}

static void blocking(void)
{
	const struct seg *g;
	struct seg s;
	struct wr_record r;
	uint32_t head;

	no_records();
	blocked_upload(1000);
	head = sent[CLIENT] - MARK;
	g = flagged(STORE, F_RST);
	OK(g && g->seq == C_ISN + 1 + head, "block: RST to the store where its stream ends");
	OK(IN(answer(), "HTTP/1.1 403 ") && IN(answer(), "Weir-Decision-Id: "),
	   "block: the client is answered");
	g = flagged(CLIENT, F_FIN);
	OK(g && g->ack == C_ISN + 1 + sent[CLIENT],
	   "block: FIN, and all of the client's is acknowledged");
	IS(payload(STORE), 0, "block: not a byte of the match reaches the store");

	s = segment(STORE, 0, NULL, 0, F_ACK); /* RFC 5961: where do you take an RST? */
	s.ack = C_ISN + 1 + head - 5;
	put(STORE, &s);
	turn();
	g = flagged(STORE, F_RST);
	OK(g && g->seq == C_ISN + 1 + head - 5,
	   "a challenge ACK is answered with RST at its number");
	IS(nout[CLIENT], 0, "and does not reach the client");

	send_at(CLIENT, sent[CLIENT], mark, 50);
	IS(nout[STORE], 0, "what the client goes on sending reaches nobody");
	g = flagged(CLIENT, F_ACK);
	OK(g && g->ack == C_ISN + 1 + sent[CLIENT], "but is acknowledged");

	later(300 * MS);
	OK(IN(answer(), "HTTP/1.1 403 "), "an answer that is not acknowledged is repeated");
	OK(flagged(STORE, F_RST) != NULL,
	   "so is the reset of a store that is not known to be gone");
	s = segment(STORE, 0, NULL, 0, F_RST | F_ACK);
	put(STORE, &s);
	later(S);
	later(2 * S);
	OK(flagged(STORE, F_RST) == NULL, "a store that has reset is left alone");
	r = record();
	OK(r.verdict == WR_V_MATCH && r.action == WR_A_BLOCK && r.committed == WR_COMMITTED_NO,
	   "block: the record says match, block, not committed");
	OK(record().verdict == 0xff, "block: one record");

	/* The window that the client offers holds for the answer as well. */
	stamps = false;
	connect_with(NULL, 0, 50);
	say(CLIENT, HEAD(68));
	say(CLIENT, mark);
	IS(payload(CLIENT), 0, "the answer does not fit into the client's window: it waits");
	window[CLIENT] = 60000;
	ack(CLIENT, 0);
	later(300 * MS);
	OK(IN(answer(), " 403 "), "once the window opens it is sent");

	/* A store that has begun to answer: nothing may be injected. */
	no_records();
	connected();
	say(CLIENT, HEAD(1068));
	say(STORE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh");
	ack(CLIENT, sent[STORE]);
	say(CLIENT, mark);
	OK(answer() == NULL, "a response has begun: nothing is injected");
	OK(flagged(CLIENT, F_RST) && flagged(STORE, F_RST), "both sides are reset");
	r = record();
	OK(r.action == WR_A_BLOCK && r.answered == 0, "the record says blocked, not answered");

	/* The answer waits for the responses to earlier requests. */
	connected();
	say(CLIENT, HEAD(3) "abc");
	say(CLIENT, HEAD(68));
	say(CLIENT, mark);
	OK(answer() == NULL && !flagged(STORE, F_RST), "an earlier request is unanswered: wait");
	say(STORE, CREATED);
	OK(IN(answer(), " 201 ") && !IN(answer(), " 403 "), "its response goes on");
	ack(CLIENT, sent[STORE]);
	OK(IN(answer(), " 403 "), "then comes the refusal");
	OK(flagged(STORE, F_RST) != NULL, "and the reset of the store");
	no_records();
}

/* --- verdicts and records
 * ------------------------------------------------------------------------------ */

static void verdicts(void)
{
	static uint8_t listed[LISTED];
	struct wr_record r;
	struct seg s;

	connected();
	say(CLIENT, HEAD(3) "abc");
	OK(payload(STORE) > 0, "a clean upload goes on");
	OK(record().verdict == 0xff, "its record waits for the store's answer");
	say(STORE, CREATED);
	r = record();
	OK(r.verdict == WR_V_CLEAN && r.committed == WR_COMMITTED_YES, "201: clean, committed");

	connected();
	say(CLIENT, HEAD(0));
	say(STORE, CREATED);
	r = record();
	OK(r.verdict == WR_V_CLEAN && r.committed == WR_COMMITTED_YES, "an empty body: committed");

	connected();
	say(CLIENT, HEAD(3) "abc");
	say(STORE, "HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n");
	r = record();
	OK(r.verdict == WR_V_CLEAN && r.committed == WR_COMMITTED_NO, "507: clean, not committed");

	connected();
	say(CLIENT, HEAD(300) "abc");
	s = segment(CLIENT, sent[CLIENT], NULL, 0, F_RST | F_ACK);
	put(CLIENT, &s);
	turn();
	r = record();
	OK(r.verdict == WR_V_INCOMPLETE && r.cause == WR_C_ABORTED, "broken off: incomplete");
	IS(r.committed, WR_COMMITTED_NO, "broken off: not committed");
	connected();
	say(CLIENT, HEAD(300) "abc");
	s = segment(CLIENT, sent[CLIENT], NULL, 0, F_RST | F_ACK);
	put(CLIENT, &s);
	turn();
	IS(hashed(), 0, "a digest that never stood covers nothing");

	for (uint32_t i = 0; i < LISTED; i++)
		listed[i] = (uint8_t)('A' + i * 7 % 23);
	connected();
	say(CLIENT, HEAD(3000));
	send_at(CLIENT, sent[CLIENT], listed, 1400);
	ack(STORE, sent[CLIENT]);
	send_at(CLIENT, sent[CLIENT], listed + 1400, 1400);
	ack(STORE, sent[CLIENT]);
	send_at(CLIENT, sent[CLIENT], listed + 2800, 200);
	IS(payload(STORE), 0, "a listed body: its last segment never leaves");
	OK(flagged(STORE, F_RST) && IN(answer(), " 403 "), "it is blocked");
	later(300 * MS); /* the record waits a little for the client to read */
	r = record();
	OK(r.verdict == WR_V_MATCH && r.action == WR_A_BLOCK, "and recorded");
	no_records();
}

/* A rule for one type: what an object is, is told by its first bytes, however they come. */
static void types(void)
{
	struct wr_record r;

	connected();
	say(CLIENT, HEAD(20) "GIF89a....TYPED-MARK");
	OK(IN(answer(), " 403 "), "a mark of GIFs in a GIF: blocked");
	later(300 * MS);
	r = record();
	OK(r.verdict == WR_V_MATCH && r.action == WR_A_BLOCK, "and recorded");

	connected();
	say(CLIENT, HEAD(20) "G");
	ack(STORE, sent[CLIENT]);
	say(CLIENT, "IF89a....TYPED-MARK");
	OK(IN(answer(), " 403 "), "a first piece too short to tell hides nothing");
	later(300 * MS);
	(void)record();

	connected();
	say(CLIENT, HEAD(20) "a text....TYPED-MARK");
	OK(payload(STORE) > 0 && answer() == NULL, "the same mark in a text is none");
	say(STORE, CREATED);
	r = record();
	IS(r.verdict, WR_V_CLEAN, "and the text is clean");
	no_records();
}

/* While no record can be written, a verdict does not help: the tail stays held. */
static void holding(void)
{
	uint32_t n = 0, tail;

	while (n < 120) { /* nobody reads the ring */
		connected();
		say(CLIENT, HEAD(3) "abc");
		if (payload(STORE) == 0 || reason(WR_R_RECORD_RING_FULL) != 0)
			break;
		say(STORE, CREATED);
		n++;
	}
	OK(n > 4 && n < 120, "a full record ring holds the tail (after %u uploads)", n);
	IS(payload(STORE), 0, "nothing of the held frame went out");
	tail = sent[CLIENT];
	later(300 * MS);
	IS(payload(STORE), 0, "nor later");
	send_at(CLIENT, tail - 3, "abc", 3);
	IS(payload(STORE), 0, "a repeat of held bytes goes nowhere");
	IS(reason(WR_R_HELD_REPEAT), 1, "and is counted");
	send_at(CLIENT, tail - 1, "c", 1);
	IS(payload(STORE), 0, "nor does a probe");
	send_at(CLIENT, tail + 10, "behind", 6);
	IS(payload(STORE), 0, "what comes behind a held tail waits too");
	while (record().verdict != 0xff)
		;
	later(MS);
	OK(payload(STORE) > 0, "once there is room the tail goes");
	say(STORE, CREATED);
	no_records();
}

/* A match over the megabyte: the engine's state lives as long as the body. */
static void long_body(void)
{
	static uint8_t block[1400];
	uint32_t at = 0, want = (1u << 20) - 30;

	memset(block, 'x', sizeof(block));
	connected();
	say(CLIENT, HEAD(2000000));
	while (at < want) {
		uint32_t n = wr_min_u32(want - at, sizeof(block));

		send_at(CLIENT, sent[CLIENT], block, n);
		ack(STORE, sent[CLIENT]);
		at += n;
	}
	send_at(CLIENT, sent[CLIENT], mark, 20);
	send_at(CLIENT, sent[CLIENT], mark + 20, MARK - 20);
	OK(flagged(STORE, F_RST) != NULL, "a match over the first megabyte's end is found");
	IS(payload(STORE), 0, "and its last bytes never leave");
	no_records();
}

/* More requests without an answer than can be paired, and none to judge a request by. */
static void waiting(void)
{
	static const char get[] = "GET /x HTTP/1.1\r\nHost: store\r\n\r\n";
	static const char two[] = HEAD(5) "hello" HEAD(5) "world";
	struct seg s;

	connected();
	for (int i = 0; i < 16; i++)
		say(CLIENT, get);
	(void)reason(WR_R_PIPELINE_LIMIT);
	marks = 0;
	say(CLIENT, HEAD(68));
	IS(reason(WR_R_PIPELINE_LIMIT), 1, "the seventeenth request without an answer is counted");
	OK(payload(STORE) > 0, "and goes on: it may not wait for an answer");
	send_at(CLIENT, sent[CLIENT], mark, 60);
	send_at(CLIENT, sent[CLIENT], mark + 60, MARK - 60);
	later(300 * MS);
	IS(marks, 0, "it is scanned like any other");
	OK(record().verdict == WR_V_MATCH, "and its record says so");
	no_records();

	connected();
	for (int i = 0; i < 17; i++)
		say(CLIENT, HEAD(0));
	IS(record().committed, WR_COMMITTED_UNKNOWN,
	   "nobody waits for answers that cannot be paired");
	no_records();

	connected();
	wr_worker_publish(worker, NULL);
	say(CLIENT, HEAD(5));
	IS(payload(STORE), 0, "no ruleset: nothing passes");
	IS(reason(WR_R_NO_RULESET) > 0, 1, "and it is counted");
	wr_worker_publish(worker, ruleset);
	send_at(CLIENT, 0, HEAD(5), (uint32_t)strlen(HEAD(5)));
	say(CLIENT, "hello");
	OK(payload(STORE) > 0, "with one again the client's repeat passes");

	/* The second request is read in the turn after the first one's verdict. */
	connected();
	s = segment(CLIENT, 0, two, sizeof(two) - 1, F_ACK);
	put(CLIENT, &s);
	nout[STORE] = 0;
	wr_worker_turn(worker, now, now + REAL);
	wr_worker_publish(worker, NULL);
	later(MS);
	IS(payload(STORE), 0, "a request begins only under a ruleset");
	wr_worker_publish(worker, ruleset);
	later(MS);
	OK(payload(STORE) > 0, "and with one it goes on");
	no_records();
}

int main(int argc, char **argv)
{
	if (argc != 3 || boot(argv[1], argv[2]) != 0)
		return 2;
	opening();
	placement();
	blocking();
	verdicts();
	types();
	holding();
	long_body();
	waiting();
	return tap_done();
}
