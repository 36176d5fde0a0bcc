/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every kernel of this CPU against the portable one on random tables: every number of lanes, every
 * set of algorithms, uneven columns, messages that end in any row, blocks at odd addresses.
 */
#include "digest/kernel.h"
#include "digest/room.h"
#include "rig.h"
#include "tap.h"

static uint8_t data[1 << 17];

struct table {
	struct wr_digest_batch b;
	WR_ALIGNED(64) uint32_t h[WR_DIGEST_LANES][32];
};

static void fill(struct table *t, uint32_t lanes, uint32_t algos)
{
	memset(t, 0, sizeof(*t));
	t->b.lanes = lanes;
	t->b.algos = algos;
	for (uint32_t l = 0; l < WR_DIGEST_LANES; l++) {
		t->b.h[l] = t->h[l];
		rig_fill((uint8_t *)t->h[l], WR_DIGEST_H_WORDS * 4);
		t->b.count[l] = l >= lanes         ? 0
		                : rig_rand(5) == 0 ? rig_rand(WR_DIGEST_ROWS + 1)
		                                   : 1 + rig_rand(24);
		t->b.rows = wr_max_u32(t->b.rows, t->b.count[l]);
	}
	for (uint32_t r = 0; r < WR_DIGEST_ROWS; r++) {
		t->b.last[r] = rig_rand(4) == 0 ? (uint16_t)rig_rand(1u << 16) : 0;
		for (uint32_t l = 0; l < WR_DIGEST_LANES; l++)
			t->b.blk[r][l] = data + rig_rand(sizeof(data) - WR_DIGEST_BLOCK);
	}
}

static void same(const char *name, wr_digest_kernel *kernel)
{
	static struct table a, b;
	uint32_t bad = 0, touched = 0;

	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++) {
		for (uint32_t lanes = 1; lanes <= WR_DIGEST_LANES; lanes++) {
			fill(&a, lanes, algos);
			memcpy(&b, &a, sizeof(a));
			for (uint32_t l = 0; l < WR_DIGEST_LANES; l++)
				b.b.h[l] = b.h[l];
			kernel(&a.b);
			wr_digest_kernel_portable(&b.b);
			bad += memcmp(a.h, b.h, sizeof(a.h)) != 0;
			for (uint32_t l = 0; l < lanes; l++)
				touched += a.b.count[l] != 0;
		}
	}
	OK(bad == 0 && touched > 500, "%s agrees with portable on 112 tables (%u differ)", name,
	   bad);
}

/* The plan gives every algorithm to exactly one kernel, one that this CPU and the engine have. */
static void plans(enum wr_digest_engine e)
{
	wr_digest_kernel *kernel[WR_DK_COUNT];
	struct wr_digest_plan plan;
	uint32_t bad = 0;

	wr_digest_kernels(kernel);
	wr_digest_plan_of(e, &plan);
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++) {
		bad += plan.width[algos] == 0 || plan.width[algos] > WR_DIGEST_LANES;
		for (uint32_t n = 1; n <= WR_DIGEST_LANES; n++) {
			const struct wr_digest_step *s = &plan.step[algos][n];
			uint32_t seen = 0;

			for (uint32_t i = 0; i < s->n; i++) {
				bad += (seen & s->algos[i]) != 0;
				seen |= s->algos[i];
				bad += kernel[s->kernel[i]] == NULL ||
				       s->kernel[i] >= wr_digest_usable(e);
			}
			bad += seen != algos;
		}
	}
	OK(bad == 0, "plan of %s covers every algorithm once (%u wrong)", wr_digest_engine_name(e),
	   bad);
}

int main(void)
{
	static const char *const name[] = { "portable", "shani", "avx2", "avx512" };
	wr_digest_kernel *kernel[WR_DK_COUNT];

	rig_fill(data, sizeof(data));
	wr_digest_kernels(kernel);
	for (uint32_t k = WR_DK_SHANI; k < WR_DK_COUNT; k++) {
		if (kernel[k] == NULL)
			SKIP("this CPU has no such kernel");
		else
			same(name[k], kernel[k]);
	}
	for (enum wr_digest_engine e = WR_DIGEST_AUTO; e <= WR_DIGEST_AVX512; e++)
		plans(e);
	wr_digest_choose(WR_DIGEST_AUTO);
	for (enum wr_digest_engine e = WR_DIGEST_AUTO; e <= WR_DIGEST_AVX512; e++)
		plans(e);
	return tap_done();
}
