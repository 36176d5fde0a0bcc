/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring - single producer, single consumer, in memory that two processes share.
 *
 * Used for verdict records (variable slots) and events (fixed slots). The producer owns `head`, the
 * consumer owns `tail`, each on its own line; both count bytes for ever and are masked on use, so a
 * full ring and an empty one differ. A slot is an 8-byte header (payload length, or WR_RING_SKIP up
 * to the end of the area) and a payload padded to 8. Neither side believes the other: every length
 * read back is compared with the area first.
 *
 * threads  one producer thread, one consumer thread, different processes allowed
 * fails    reserve gives NULL when full; peek gives -EPROTO when the producer wrote nonsense
 */
#ifndef WR_ABI_RING_H
#define WR_ABI_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"

#define WR_RING_MAGIC 0x474e495257ull
#define WR_RING_SKIP  0xffffffffu

struct wr_ring {
	uint64_t magic, size;                 /* size of data[]: a power of two */
	WR_ALIGNED(64) _Atomic uint64_t head; /* producer writes */
	WR_ALIGNED(64) _Atomic uint64_t tail; /* consumer writes */
	WR_ALIGNED(64) unsigned char data[];
};

struct wr_ring_slot {
	uint32_t len, tag; /* tag: the user's own word, e.g. a record's kind */
};

static inline uint64_t wr_ring_bytes(uint64_t size)
{
	return sizeof(struct wr_ring) + size;
}

static inline void wr_ring_init(struct wr_ring *r, uint64_t size)
{
	WR_ASSERT(size >= 4096 && (size & (size - 1)) == 0);
	r->size = size;
	atomic_store_explicit(&r->head, 0, memory_order_relaxed);
	atomic_store_explicit(&r->tail, 0, memory_order_relaxed);
	r->magic = WR_RING_MAGIC;
}

static inline uint64_t wr_ring_pad(uint64_t n)
{
	return (n + 7) & ~7ull;
}

/* Producer: room for n payload bytes, contiguous, or NULL. Nothing is visible before commit. */
static inline void *wr_ring_reserve(struct wr_ring *r, uint32_t n)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint64_t need = sizeof(struct wr_ring_slot) + wr_ring_pad(n);
	uint64_t at = head & (r->size - 1);
	uint64_t skip = r->size - at < need ? r->size - at : 0;

	/* A consumer that lies about tail costs itself records, never our memory. */
	if (head - tail > r->size || skip + need > r->size - (head - tail))
		return NULL;
	if (skip != 0) {
		struct wr_ring_slot s = { WR_RING_SKIP, 0 };

		memcpy(r->data + at, &s, sizeof(s));
		atomic_store_explicit(&r->head, head + skip, memory_order_release);
		at = 0;
	}
	return r->data + at + sizeof(struct wr_ring_slot);
}

/* Producer: publishes n bytes (at most what was reserved) at p. */
static inline void wr_ring_commit(struct wr_ring *r, void *p, uint32_t n, uint32_t tag)
{
	struct wr_ring_slot s = { n, tag };
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	memcpy((unsigned char *)p - sizeof(s), &s, sizeof(s));
	atomic_store_explicit(&r->head, head + sizeof(s) + wr_ring_pad(n), memory_order_release);
}

/* Consumer: 1 and the oldest slot, 0 when empty, -EPROTO when the ring is not one. */
static inline int wr_ring_peek(struct wr_ring *r, uint64_t size, const void **p, uint32_t *n,
                               uint32_t *tag)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	for (;;) {
		uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
		uint64_t at = tail & (size - 1);
		struct wr_ring_slot s;

		if (head == tail)
			return 0;
		if (head - tail > size || size - at < sizeof(s))
			return -EPROTO;
		memcpy(&s, r->data + at, sizeof(s));
		if (s.len == WR_RING_SKIP) {
			if (at == 0 || head - tail < size - at)
				return -EPROTO;
			tail += size - at;
			atomic_store_explicit(&r->tail, tail, memory_order_release);
			continue;
		}
		if (sizeof(s) + wr_ring_pad(s.len) > wr_min_u64(size - at, head - tail))
			return -EPROTO;
		*p = r->data + at + sizeof(s);
		*n = s.len;
		*tag = s.tag;
		return 1;
	}
}

/* Consumer: done with the slot that peek gave. */
static inline void wr_ring_pop(struct wr_ring *r, uint32_t n)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + sizeof(struct wr_ring_slot) + wr_ring_pad(n),
	                      memory_order_release);
}

#endif
