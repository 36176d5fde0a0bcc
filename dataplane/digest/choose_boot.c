/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which kernels this CPU has, and which wins for which algorithms and how many lanes. Boot only.
 *
 * Five short measurements per set of algorithms are enough, because the cost of a kernel has a
 * simple shape: the portable one is linear in the lanes, SHA-NI goes by pairs, a SIMD group costs
 * the same however many of its lanes are filled. The plan may give each algorithm to another
 * kernel.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>

#include "digest/room.h"

static const char *const names[] = { "auto", "portable", "shani", "avx2", "avx512" };

const char *wr_digest_engine_name(enum wr_digest_engine e)
{
	return (unsigned)e < WR_COUNT_OF(names) ? names[e] : "unknown";
}

/* --- what the CPU has ----------------------------------------------------------------------------
 */

static bool has_shani(void)
{
	unsigned int a, b, c, d;

	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0)
		return false;
	return (b >> 29 & 1) != 0 && __builtin_cpu_supports("ssse3") &&
	       __builtin_cpu_supports("sse4.1");
}

static bool has(enum wr_digest_kernel_id k)
{
	/* These look at XCR0 too: a kernel that does not save the registers has not got them. */
	__builtin_cpu_init();
	switch (k) {
	case WR_DK_SHANI: return has_shani();
	case WR_DK_AVX2: return __builtin_cpu_supports("avx2");
	case WR_DK_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
	default: return true;
	}
}

void wr_digest_kernels(wr_digest_kernel *out[WR_DK_COUNT])
{
	static wr_digest_kernel *const all[WR_DK_COUNT] = {
		wr_digest_kernel_portable,
		wr_digest_kernel_shani,
		wr_digest_kernel_avx2,
		wr_digest_kernel_avx512,
	};

	for (uint32_t i = 0; i < WR_DK_COUNT; i++)
		out[i] = has(i) ? all[i] : NULL;
}

enum wr_digest_engine wr_digest_usable(enum wr_digest_engine e)
{
	int k = e == WR_DIGEST_AUTO || e > WR_DIGEST_AVX512 ? WR_DK_AVX512 : (int)e - 1;

	while (!has((enum wr_digest_kernel_id)k))
		k--;
	return (enum wr_digest_engine)(k + 1);
}

/* --- what a kernel costs
 * --------------------------------------------------------------------------- */

struct cost { /* of 64 bytes in each of the lanes, in any unit */
	double one, two, group;
};

/*
 * Cycles per byte measured on a Zen 4 core (docs/operate/capacity.md): what is believed until
 * wr_digest_choose() has measured this machine. Index: WR_HAS_* bits.
 */
static struct cost cost[WR_DK_COUNT][WR_DIGEST_MASKS] = {
	[WR_DK_PORTABLE] = { { 0 },
	                     { .one = 4.8 },
	                     { .one = 2.0 },
	                     { .one = 6.8 },
	                     { .one = 2.1 },
	                     { .one = 6.9 },
	                     { .one = 4.1 },
	                     { .one = 8.9 } },
	[WR_DK_SHANI] = { { 0 },
	                  { .one = 5.2, .two = 5.4 },
	                  { .one = 2.0, .two = 2.6 },
	                  { .one = 5.3, .two = 5.6 },
	                  { .one = 2.1, .two = 2.6 },
	                  { .one = 5.3, .two = 5.7 },
	                  { .one = 4.0, .two = 5.0 },
	                  { .one = 5.6, .two = 6.2 } },
	[WR_DK_AVX2] = { { 0 },
	                 { .group = 7 },
	                 { .group = 9 },
	                 { .group = 15 },
	                 { .group = 17 },
	                 { .group = 23 },
	                 { .group = 25 },
	                 { .group = 31 } },
	[WR_DK_AVX512] = { { 0 },
	                   { .group = 10.6 },
	                   { .group = 13 },
	                   { .group = 20 },
	                   { .group = 19.2 },
	                   { .group = 27 },
	                   { .group = 29 },
	                   { .group = 32 } },
};

static double cost_of(uint32_t kernel, uint32_t algos, uint32_t n)
{
	const struct cost *c = &cost[kernel][algos];

	switch (kernel) {
	case WR_DK_PORTABLE: return n * c->one;
	case WR_DK_SHANI: return n / 2 * c->two + n % 2 * c->one;
	case WR_DK_AVX2: return (n + 7) / 8 * c->group;
	default: return c->group;
	}
}

/* --- the plan
 * ----------------------------------------------------------------------------------------- */

/* Each further kernel builds nothing anew, but reads the blocks again: it has to win by this much.
 */
#define SPLIT_PRICE 1.06

/* Best way to do `algos` in n lanes with the kernels below `nkernels`: split where that wins. */
static double split(uint32_t algos, uint32_t n, uint32_t nkernels, struct wr_digest_step *out)
{
	double best = 1e30;

	if (algos == 0) {
		out->n = 0;
		return 0;
	}
	for (uint32_t part = algos; part != 0; part = (part - 1) & algos) {
		struct wr_digest_step rest;
		double c;

		/* The part with the lowest algorithm: every split is tried once. */
		if ((part & (algos & -algos)) == 0)
			continue;
		c = split(algos & ~part, n, nkernels, &rest);
		for (uint32_t k = 0; k < nkernels; k++) {
			double sum = (c + cost_of(k, part, n)) * (c > 0 ? SPLIT_PRICE : 1);

			if (!has((enum wr_digest_kernel_id)k) || sum >= best)
				continue;
			best = sum;
			*out = rest;
			out->kernel[out->n] = (uint8_t)k;
			out->algos[out->n++] = (uint8_t)part;
		}
	}
	return best;
}

void wr_digest_plan_of(enum wr_digest_engine e, struct wr_digest_plan *plan)
{
	uint32_t nkernels = (uint32_t)wr_digest_usable(e);

	memset(plan, 0, sizeof(*plan));
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++) {
		double lane[WR_DIGEST_LANES + 1], best = 1e30;

		for (uint32_t n = 1; n <= WR_DIGEST_LANES; n++) {
			lane[n] = split(algos, n, nkernels, &plan->step[algos][n]) / n;
			best = lane[n] < best ? lane[n] : best;
		}
		/* From here on waiting for more lanes gains less than five percent. */
		for (uint32_t n = WR_DIGEST_LANES; n >= 1; n--)
			if (lane[n] <= best * 1.05)
				plan->width[algos] = (uint8_t)n;
	}
}

/* --- the measurement
 * ------------------------------------------------------------------------------- */

#define MEASURE_ROWS 16u
#define MEASURE_RUNS 8

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The best of a few runs, per row, in nanoseconds; the first run only warms up. */
static double measure(wr_digest_kernel *kernel, struct wr_digest_batch *b, uint32_t algos,
                      uint32_t lanes)
{
	double best = 1e30;

	b->algos = algos;
	b->lanes = lanes;
	for (uint32_t l = 0; l < WR_DIGEST_LANES; l++)
		b->count[l] = l < lanes ? b->rows : 0;
	for (int i = 0; i <= MEASURE_RUNS; i++) {
		double t = now_ns();

		kernel(b);
		t = now_ns() - t;
		if (i > 0 && t < best)
			best = t;
	}
	return best / b->rows;
}

static void measure_all(void)
{
	static struct wr_digest_batch b;
	static WR_ALIGNED(64) uint32_t h[WR_DIGEST_LANES][32];
	static uint8_t bytes[WR_DIGEST_LANES][MEASURE_ROWS * WR_DIGEST_BLOCK];
	wr_digest_kernel *kernel[WR_DK_COUNT];

	wr_digest_kernels(kernel);
	b.rows = MEASURE_ROWS;
	for (uint32_t l = 0; l < WR_DIGEST_LANES; l++) {
		b.h[l] = h[l];
		for (uint32_t r = 0; r < b.rows; r++)
			b.blk[r][l] = bytes[l] + r * WR_DIGEST_BLOCK;
	}
	for (uint32_t algos = 1; algos < WR_DIGEST_MASKS; algos++) {
		cost[WR_DK_PORTABLE][algos].one = measure(kernel[WR_DK_PORTABLE], &b, algos, 1);
		if (kernel[WR_DK_SHANI] != NULL) {
			cost[WR_DK_SHANI][algos].one = measure(kernel[WR_DK_SHANI], &b, algos, 1);
			cost[WR_DK_SHANI][algos].two = measure(kernel[WR_DK_SHANI], &b, algos, 2);
		}
		if (kernel[WR_DK_AVX2] != NULL)
			cost[WR_DK_AVX2][algos].group = measure(kernel[WR_DK_AVX2], &b, algos, 8);
		if (kernel[WR_DK_AVX512] != NULL)
			cost[WR_DK_AVX512][algos].group =
			        measure(kernel[WR_DK_AVX512], &b, algos, WR_DIGEST_LANES);
	}
}

enum wr_digest_engine wr_digest_choose(enum wr_digest_engine want)
{
	measure_all();
	return wr_digest_usable(want);
}
