/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which engines this CPU has, and which wins. Boot only.
 */
#include <string.h>

#include "digest/room.h"

static const char *const names[] = { "auto", "portable", "shani", "avx2", "avx512" };

const char *wr_digest_engine_name(enum wr_digest_engine e)
{
	return (unsigned)e < WR_COUNT_OF(names) ? names[e] : "unknown";
}

void wr_digest_kernels(wr_digest_kernel *out[WR_DK_COUNT])
{
	for (uint32_t i = 0; i < WR_DK_COUNT; i++)
		out[i] = wr_digest_kernel_portable;
}

enum wr_digest_engine wr_digest_usable(enum wr_digest_engine e)
{
	(void)e;
	return WR_DIGEST_PORTABLE;
}

void wr_digest_plan_of(enum wr_digest_engine e, struct wr_digest_plan *plan)
{
	(void)e;
	memset(plan, 0, sizeof(*plan));
	memset(plan->width, 1, sizeof(plan->width));
}

enum wr_digest_engine wr_digest_choose(enum wr_digest_engine want)
{
	return wr_digest_usable(want);
}
