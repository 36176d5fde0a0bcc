/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets the memory of every decoder aside. */
#include <stdlib.h>

#include "body/coding.h"

#define INFLATE_HEAP (48u << 10) /* state 7 KiB, window 32 KiB */
#define BROTLI_HEAP  (28u << 20) /* ring buffer 16 MiB, the half-sized one before it, tables */

static size_t zstd_heap(void)
{
	return (ZSTD_estimateDStreamSize((size_t)1 << WR_BODY_WINDOW_LOG) + 63) & ~(size_t)63;
}

static size_t heap_size(enum lib lib)
{
	return lib == LIB_ZLIB ? INFLATE_HEAP : lib == LIB_BROTLI ? BROTLI_HEAP : zstd_heap();
}

static uint32_t count_of(const struct wr_body_conf *c, enum lib lib)
{
	return lib == LIB_ZLIB ? c->inflate : lib == LIB_BROTLI ? c->brotli : c->zstd;
}

uint64_t wr_decoders_memory(const struct wr_body_conf *c)
{
	uint64_t n = 0;

	for (enum lib k = 0; k < LIB_COUNT; k++)
		n += (uint64_t)count_of(c, k) * (sizeof(struct decoder) + heap_size(k));
	return n;
}

int wr_decoders_new(struct wr_body_pool *p)
{
	uint32_t n = p->conf.inflate + p->conf.brotli + p->conf.zstd, at = 0;

	p->dec = calloc(n + 1, sizeof(*p->dec));
	if (p->dec == NULL)
		return -1;
	p->ndec = n;
	for (enum lib k = 0; k < LIB_COUNT; k++) {
		for (uint32_t i = 0; i < count_of(&p->conf, k); i++) {
			struct decoder *d = &p->dec[at++];

			d->lib = (uint8_t)k;
			d->heap.size = heap_size(k);
			d->heap.base = aligned_alloc(64, d->heap.size);
			if (d->heap.base == NULL)
				return -1;
			if (k == LIB_ZSTD) {
				d->u.zs = ZSTD_initStaticDStream(d->heap.base, d->heap.size);
				if (d->u.zs == NULL)
					return -1;
			}
			d->next = p->free_dec[k];
			p->free_dec[k] = at;
		}
	}
	return 0;
}

void wr_decoders_free(struct wr_body_pool *p)
{
	for (uint32_t i = 0; p->dec != NULL && i < p->ndec; i++)
		free(p->dec[i].heap.base);
	free(p->dec);
}
