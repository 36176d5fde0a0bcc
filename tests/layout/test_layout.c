/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout that two processes, perhaps built apart, agree about. What HELLO compares (ABI
 * version, counts of reasons and causes, sizes of stats and records) may change together with both;
 * what is checked here may not change without WR_ABI_VERSION, since it is what HELLO itself travels
 * in.
 */
#include <stddef.h>

#include "abi/artifact.h"
#include "abi/conf.h"
#include "abi/event.h"
#include "abi/msg.h"
#include "abi/record.h"
#include "abi/ring.h"
#include "abi/stats.h"
#include "abi/wire.h"
#include "tap.h"

#define AT(type, field, off) IS(offsetof(struct type, field), off, "%s.%s", #type, #field)
#define SIZE(type, n)        IS(sizeof(struct type), n, "size of %s", #type)

static void messages(void)
{
	SIZE(wr_msg, 256);
	AT(wr_msg, type, 0);
	AT(wr_msg, len, 4);
	AT(wr_msg, body, 8);
	SIZE(wr_msg_hello, 32);
	AT(wr_msg_hello, abi, 4);
	AT(wr_msg_hello, stats_size, 16);
	SIZE(wr_msg_welcome, 88);
	AT(wr_msg_welcome, abi, 4);
	AT(wr_msg_welcome, stats_bytes, 16);
	AT(wr_msg_welcome, meta_sha256, 56);
	SIZE(wr_msg_result, 216);
	AT(wr_msg_result, error, 4);
	AT(wr_msg_result, text, 16);
	SIZE(wr_msg_shard, 56);
	AT(wr_msg_shard, generation, 16);
	AT(wr_msg_shard, sha256, 24);
	SIZE(wr_msg_simple, 80);
	SIZE(wr_msg_status, 208);
	IS(WR_MSG_HELLO, 1, "HELLO is 1");
	IS(WR_MSG_QUERY, 13, "and QUERY the last, 13");
}

static void rings(void)
{
	AT(wr_ring, size, 8);
	AT(wr_ring, head, 64);
	AT(wr_ring, tail, 128);
	AT(wr_ring, data, 192);
	SIZE(wr_ring_slot, 8);
	SIZE(wr_event, 64);
	AT(wr_event, client, 32);
	OK(sizeof(struct wr_record) % 8 == 0, "a record is whole words");
}

static void pages(void)
{
	AT(wr_stats_head, magic, 0);
	AT(wr_stats_head, abi, 8);
	AT(wr_stats_head, stats_size, 16);
	AT(wr_stats_head, boot_id, 32);
	AT(wr_stats, abi, 0);
	AT(wr_stats, beat_ns, 128);
	OK(sizeof(struct wr_stats_head) % 64 == 0, "the first worker's page is on a cache line");
	OK(offsetof(struct wr_stats, reason) % 64 == 0, "and its reasons too");
	AT(wr_wire_shared, decision, 0);
	OK(offsetof(struct wr_wire_shared, beat) % 64 == 0, "beats of two workers share no line");
	SIZE(wr_wire_beat, 64);
}

static void files(void)
{
	AT(wr_conf, magic, 0);
	AT(wr_conf, abi, 8);
	AT(wr_conf, size, 12);
	AT(wr_conf, nreasons, 16);
	SIZE(wr_shard, 64);
	AT(wr_shard, version, 8);
	AT(wr_shard, source, 24);
	SIZE(wr_meta_rule, 48);
	SIZE(wr_meta_list, 96);
}

int main(void)
{
	messages();
	rings();
	pages();
	files();
	return tap_done();
}
