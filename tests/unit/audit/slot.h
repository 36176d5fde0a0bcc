/* SPDX-License-Identifier: BSD-3-Clause */
/* slot - builds record slots as a worker does, for tests of audit/ and metrics/. */
#ifndef WR_TESTS_SLOT_H
#define WR_TESTS_SLOT_H

#include "abi/conf.h"
#include "abi/reason.h"
#include "abi/record.h"
#include "abi/stats.h"

#include <string.h>

struct slot {
	_Alignas(8) unsigned char p[WR_RECORD_MAX];
	uint32_t n;
};

__attribute__((unused)) static struct wr_record *slot_begin(struct slot *s)
{
	struct wr_record *r = (struct wr_record *)(void *)s->p;

	memset(s, 0, sizeof(*s));
	s->n = sizeof(*r);
	r->abi = WR_ABI_VERSION;
	return r;
}

__attribute__((unused)) static void slot_put(struct slot *s, const void *p, size_t n)
{
	memcpy(s->p + s->n, p, n);
	s->n += (uint32_t)n;
}

__attribute__((unused)) static void slot_field(struct slot *s, enum wr_field_kind kind,
                                               const char *p, size_t n)
{
	uint16_t head[2] = { (uint16_t)kind, (uint16_t)n };

	slot_put(s, head, 4);
	memcpy(s->p + s->n, p, n);
	s->n += (uint32_t)((n + 3) & ~(size_t)3);
	((struct wr_record *)(void *)s->p)->nfields++;
}

__attribute__((unused)) static void slot_end(struct slot *s)
{
	s->n = (s->n + 7) & ~7u;
	((struct wr_record *)(void *)s->p)->size = s->n;
}

#endif
