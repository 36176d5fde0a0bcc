/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: looking ahead in a ring (audit/) and peeking and popping it (abi/ring.h) give the same slots
 * in the same order and end alike, whatever stands in the ring; every slot lies inside it. Input: 2
 * bytes tail, 2 bytes length, then what stands in the ring from its beginning.
 */
#include "audit/audit.h"

#include <stdlib.h>
#include <string.h>

#define SIZE  4096u
#define SLOTS (SIZE / 8 + 1)

static _Alignas(64) unsigned char area[sizeof(struct wr_ring) + SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_ring *r = (struct wr_ring *)(void *)area;
	struct {
		const void *p;
		uint32_t n, tag;
	} seen[SLOTS];
	uint16_t tail, len;
	unsigned k = 0, i = 0;
	uint64_t at;
	const void *p;
	uint32_t bytes, tag;
	int rc, rc2;

	if (n < 4)
		return 0;
	memcpy(&tail, data, 2);
	memcpy(&len, data + 2, 2);
	memset(area, 0, sizeof(area));
	wr_ring_init(r, SIZE);
	memcpy(r->data, data + 4, n - 4 < SIZE ? n - 4 : SIZE);
	/* A producer moves by eights; a length beyond the ring is a producer that lies. */
	atomic_store(&r->tail, (uint64_t)tail * 8);
	atomic_store(&r->head, (uint64_t)tail * 8 + len);
	at = (uint64_t)tail * 8;
	while ((rc = wr_ring_look(r, SIZE, &at, &p, &bytes, &tag)) == 1) {
		WR_ASSERT(k < SLOTS);
		WR_ASSERT((const unsigned char *)p >= r->data &&
		          (const unsigned char *)p + bytes <= r->data + SIZE);
		seen[k].p = p;
		seen[k].n = bytes;
		seen[k++].tag = tag;
	}
	while ((rc2 = wr_ring_peek(r, SIZE, &p, &bytes, &tag)) == 1) {
		WR_ASSERT(i < k && seen[i].p == p && seen[i].n == bytes && seen[i].tag == tag);
		i++;
		wr_ring_pop(r, bytes);
	}
	/* Both read the same slots; only the stricter one may refuse what is left. */
	WR_ASSERT(i == k && (rc == rc2 || rc == -EPROTO));
	return 0;
}
