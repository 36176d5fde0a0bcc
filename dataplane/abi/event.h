/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * event - 64 bytes that a worker writes instead of a log line (ring tag: WR_EVENT_TAG).
 */
#ifndef WR_ABI_EVENT_H
#define WR_ABI_EVENT_H

#include <stdint.h>

#include "base/base.h"

#define WR_EVENT_TAG 1u

struct wr_event {
	uint64_t ts_ns; /* CLOCK_REALTIME */
	uint64_t a, b;  /* by reason: sequence numbers, sizes */
	uint32_t reason, worker;
	uint8_t client[16];
	uint16_t client_port, store_port;
	uint8_t side, pad[3];
	uint64_t spare;
};
static_assert(sizeof(struct wr_event) == 64, "one event, one cache line");

#endif
