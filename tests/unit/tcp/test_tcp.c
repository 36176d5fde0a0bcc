/* SPDX-License-Identifier: BSD-3-Clause */
/* What may be placed: PAWS, the window and one probe byte, the FIN. A pure function, a row a rule.
 */
#include "tcp/tcp.h"

#include "tap.h"

static const struct {
	const char *what;
	uint32_t seq; /* stream offset; the half has read 1000 bytes, the edge is at 5000 */
	uint32_t ts;
	uint16_t len;
	uint8_t flags, opt;
	enum wr_reason want;
} row[] = {
	/* clang-format off */
	{ "the next bytes",                  1000, 50, 100,  WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_NONE },
	{ "an equal timestamp",              1000, 40, 100,  WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_NONE },
	{ "an older timestamp",              1000, 39, 100,  WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_TCP_OLD_TIMESTAMP },
	{ "an older one on a bare ACK",      1000, 39, 0,    WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_TCP_OLD_TIMESTAMP },
	{ "an older one on an RST",          1000, 39, 0,    WR_TCP_RST, WR_PKT_TSTAMP, WR_R_NONE },
	{ "no timestamp",                    1000, 0,  100,  WR_TCP_ACK, 0,             WR_R_NONE },
	{ "up to the edge",                  4000, 50, 1000, WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_NONE },
	{ "one probe byte behind the edge",  5000, 50, 1,    WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_NONE },
	{ "two bytes behind the edge",       5000, 50, 2,    WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_TCP_OUT_OF_WINDOW },
	{ "a repeat",                        0,    50, 1000, WR_TCP_ACK, WR_PKT_TSTAMP, WR_R_NONE },
	{ "a FIN inside what was read",      100,  50, 100,  WR_TCP_ACK | WR_TCP_FIN, WR_PKT_TSTAMP, WR_R_TCP_OUT_OF_WINDOW },
	{ "a FIN at the end",                1000, 50, 0,    WR_TCP_ACK | WR_TCP_FIN, WR_PKT_TSTAMP, WR_R_NONE },
	/* clang-format on */
};

int main(void)
{
	/* Sequence numbers wrap inside the stream: offset 0 is near the top. */
	uint32_t isn = 0xffffff00u;
	struct wr_half h;

	for (unsigned i = 0; i < WR_COUNT_OF(row); i++) {
		struct wr_pkt p = { .seq = isn + 1 + row[i].seq,
			            .len = row[i].len,
			            .ts_val = row[i].ts,
			            .tcp_flags = row[i].flags,
			            .opt = row[i].opt };

		wr_half_init(&h, isn);
		h.nxt = 1000;
		h.edge = 5000;
		h.has_ts = 1;
		h.ts_recent = 40;
		IS(wr_tcp_check(&h, &p), row[i].want, "%s", row[i].what);
		if (row[i].want == WR_R_NONE && row[i].seq == 4000) {
			h.fin = 4500;
			IS(wr_tcp_check(&h, &p), WR_R_TCP_OUT_OF_WINDOW, "data behind the FIN");
		}
	}
	IS(wr_half_off(&h, isn + 1 + 1000), 1000, "offsets do not wrap");
	return tap_done();
}
