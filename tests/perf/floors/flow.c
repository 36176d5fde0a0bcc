/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a frame of one connection among many can cost: its header read and checked, the
 * addresses and ports hashed, an entry of one line found, compared and moved on. Bursts of 32;
 * headers are fetched a burst ahead, entries within it.
 */
#include <nmmintrin.h>
#include <stdlib.h>
#include <string.h>

#include "../perf.h"
#include "floors.h"

#define BURST 32u

struct entry {
	uint32_t src, dst, ports, used;
	uint32_t seq, ack;
	uint64_t frames, bytes;
	uint64_t pad[3];
};
_Static_assert(sizeof(struct entry) == 64, "one line");

struct key {
	uint32_t src, dst, ports, hash, seq, ack, len, good;
};

static volatile uint64_t sink;

__attribute__((target("sse4.2"))) static void parse(const uint8_t *f, struct key *k)
{
	uint16_t total;
	uint64_t h;

	memcpy(&k->src, f + 26, 4);
	memcpy(&k->dst, f + 30, 4);
	memcpy(&k->ports, f + 34, 4);
	memcpy(&k->seq, f + 38, 4);
	memcpy(&k->ack, f + 42, 4);
	memcpy(&total, f + 16, 2);
	k->len = (uint32_t)__builtin_bswap16(total) - 20 - (f[46] >> 4) * 4u;
	k->seq = __builtin_bswap32(k->seq);
	k->good = f[12] == 8 && f[13] == 0 && f[14] == 0x45 && f[23] == 6 &&
	          (f[47] & 7) == 0; /* no SYN, FIN or RST */
	h = _mm_crc32_u64(0x9e3779b9, (uint64_t)k->dst << 32 | k->src);
	k->hash = (uint32_t)_mm_crc32_u64(h, k->ports);
}

static double pass(const uint8_t *const *frame, uint32_t n, struct entry *table, uint32_t mask)
{
	double t = perf_cpu_ns();
	uint64_t in_order = 0;

	for (uint32_t at = 0; at + BURST <= n; at += BURST) {
		struct key k[BURST];

		for (uint32_t i = at + BURST; i < at + 2 * BURST && i < n; i++)
			__builtin_prefetch(frame[i]);
		for (uint32_t i = 0; i < BURST; i++) {
			parse(frame[at + i], &k[i]);
			__builtin_prefetch(&table[k[i].hash & mask]);
		}
		for (uint32_t i = 0; i < BURST; i++) {
			struct entry *e = &table[k[i].hash & mask];

			while (e->used != 0 &&
			       (e->src != k[i].src || e->dst != k[i].dst || e->ports != k[i].ports))
				e = e == &table[mask] ? table : e + 1;
			if (e->used == 0) { /* the first time round: an unknown connection */
				e->used = 1;
				e->src = k[i].src;
				e->dst = k[i].dst;
				e->ports = k[i].ports;
			}
			in_order += k[i].good && e->seq == k[i].seq;
			e->seq = k[i].seq + k[i].len;
			e->ack = k[i].ack;
			e->bytes += k[i].len;
			e->frames++;
		}
	}
	sink = in_order;
	return perf_cpu_ns() - t;
}

double floor_flow(const uint8_t *const *frame, uint32_t n, uint32_t conns)
{
	static struct entry *table;
	static uint32_t mask;

	if (mask + 1 < 2 * conns) {
		uint32_t size = 1024;

		while (size < 2 * conns)
			size *= 2;
		free(table);
		table = aligned_alloc(
		        1 << 21, size * sizeof(*table) < 1 << 21 ? 1 << 21 : size * sizeof(*table));
		if (table == NULL)
			abort();
		memset(table, 0, size * sizeof(*table));
		mask = size - 1;
		pass(frame, n, table, mask);
	}
	return pass(frame, n, table, mask) / (n - n % BURST);
}
