/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telling - the events of a whole worker: whom a reason befell, and that a flood is told a few
 * times only.
 *
 * usage: telling WEIR-COMPILE BUNDLE
 */
#include "sim/desk.h"
#include "tap.h"

static uint32_t events_of(enum wr_reason why, struct wr_event *last)
{
	uint32_t size, tag, n = 0;
	struct wr_event e;
	const void *p;

	while (wr_ring_peek(events, RING, &p, &size, &tag) == 1) {
		WR_ASSERT(size == sizeof(e) && tag == WR_EVENT_TAG);
		memcpy(&e, p, sizeof(e));
		wr_ring_pop(events, size);
		if (e.reason == why) {
			*last = e;
			n++;
		}
	}
	return n;
}

/* Whom a reason befell is told, and a flood of it is told a few times only. */
static void telling(void)
{
	static const uint8_t from[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
	struct wr_event e = { 0 };
	struct seg s;

	later(60 * S);
	(void)events_of(WR_R_NONE, &e);
	connected();
	say(CLIENT, "PUT /o HTTP/1.1\r\nHost: store\r\nContent-Length: +3\r\n\r\nabc");
	IS(events_of(WR_R_CL_BAD, &e), 1, "a request that is refused: one event");
	OK(memcmp(e.client, from, 16) == 0 && e.client_port == client.port && e.store_port == 80 &&
	           e.b == 0 && e.ts_ns > REAL,
	   "it names client and port");

	connected();
	(void)reason(WR_R_TCP_SYN_IN_STREAM);
	for (int i = 0; i < 40; i++) {
		s = segment(CLIENT, -1, NULL, 0, F_SYN);
		s.seq += 77777;
		put(CLIENT, &s);
		turn();
	}
	IS(reason(WR_R_TCP_SYN_IN_STREAM), 40, "a flood is counted in full");
	IS(events_of(WR_R_TCP_SYN_IN_STREAM, &e), WR_EVENT_BURST, "but told a few times only");
	IS(e.a, C_ISN + 77777, "with the segment's number");
	OK(reason(WR_R_EVENT_SUPPRESSED) >= 40 - WR_EVENT_BURST, "what is not told is counted");

	connected();
	say(CLIENT, HEAD(1000));
	send_at(CLIENT, sent[CLIENT] + 10, "later", 5);
	IS(events_of(WR_R_TCP_OOO, &e), 0, "what is routine is no event");
	no_records();
}

/* Who speaks first is no HTTP server: refused without a word of HTTP, or let through and said so.
 */
static void server_first(void)
{
	struct wr_policy *p = &conf.service[0].policy;
	struct wr_record r;

	no_records();
	connected();
	say(STORE, "220 hello\r\n");
	OK(flagged(CLIENT, F_RST) && flagged(STORE, F_RST) && payload(CLIENT) == 0,
	   "block: both sides are reset, nothing is answered");
	r = record();
	OK(r.verdict == WR_V_INCOMPLETE && r.action == WR_A_BLOCK && r.reason == WR_R_NOT_HTTP,
	   "and recorded");

	connected();
	say(CLIENT, "\x16\x03\x01\x02\x03");
	OK(flagged(CLIENT, F_RST) && payload(CLIENT) == 0, "a TLS hello gets no HTTP either");
	later(300 * MS);
	(void)record();

	p->on_reason[WR_R_NOT_HTTP] = WR_ON_PASS;
	connected();
	say(STORE, "220 hello\r\n");
	IS(payload(CLIENT), 11, "pass: the greeting goes on");
	IS(record().action, WR_A_PASS, "and the record says that it passed");
	p->on_reason[WR_R_NOT_HTTP] = WR_ON_BLOCK;

	conf.service[0].mode = WR_MODE_OBSERVE;
	connected();
	say(STORE, "220 hello\r\n");
	IS(payload(CLIENT), 11, "observe: nothing is refused");
	r = record();
	OK(r.action != WR_A_BLOCK && r.would == WR_A_BLOCK, "the record says what would have been");
	conf.service[0].mode = WR_MODE_ENFORCE;
	no_records();
}

int main(int argc, char **argv)
{
	if (argc != 3 || boot(argv[1], argv[2]) != 0)
		return 2;
	telling();
	server_first();
	return tap_done();
}
