/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * perf - clocks, repeats and the report (weir.bench/1) of the bench programs.
 *
 * Times are CPU time of the thread, so that a neighbour on the machine costs us nothing but caches.
 * Cycles are that time multiplied by the clock rate, which is measured by a chain of additions: a
 * time stamp counter does not follow the core.
 */
#ifndef WR_TESTS_PERF_PERF_H
#define WR_TESTS_PERF_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PERF_REPEATS_MAX 64
#define PERF_STAGES_MAX  24
#define PERF_EXTRA_MAX   24

struct perf_stat {
	double median, min, max;
};

struct perf_named {
	char name[32];
	double value;
};

/* One case of the report; what is NAN is written as null. */
struct perf_case {
	char name[64], params[256]; /* params: the inside of a JSON object, or empty */
	struct perf_stat gbit;
	double total_cpb, floor_cpb, ratio;
	double frames_lost, delay_p50, delay_p99, delay_max;
	struct perf_named stage[PERF_STAGES_MAX], extra[PERF_EXTRA_MAX];
	uint32_t nstages, nextra;
};

double perf_cpu_ns(void);
/* Cycles per nanosecond of this core at this moment. */
double perf_ghz(void);
/* Sorts x. */
struct perf_stat perf_stats(double *x, size_t n);
uint64_t perf_rand(uint64_t *seed);

void perf_case_init(struct perf_case *c, const char *name);
void perf_case_stage(struct perf_case *c, const char *name, double cpb);
void perf_case_extra(struct perf_case *c, const char *name, double value);
/* Options that every program knows: --json FILE, --repeats N, --quick, --only SUBSTRING. */
struct perf_opts {
	const char *json, *only;
	uint32_t repeats;
	bool quick;
};
void perf_args(int argc, char **argv, struct perf_opts *o);
bool perf_wants(const struct perf_opts *o, const char *name);
/* Writes the report; the commit comes from WEIR_BENCH_COMMIT. 0 or -errno. */
int perf_write(const struct perf_opts *o, const struct perf_case *c, size_t n);

#endif
