/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double perf_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double perf_ghz(void)
{
	const uint64_t steps = 400000;
	static double best = 1e18; /* of the program's life: one clock for all of its figures */

	for (int k = 0; k < 20; k++) {
		double t = perf_cpu_ns();
		uint64_t x = 1;

		/* Eight dependent additions a turn: eight cycles, whatever else the core can do. */
		for (uint64_t i = 0; i < steps / 8; i++)
			__asm__ volatile("add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\t"
			                 "add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0"
			                 : "+r"(x));
		t = perf_cpu_ns() - t;
		best = t < best ? t : best;
	}
	return (double)steps / best;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct perf_stat perf_stats(double *x, size_t n)
{
	struct perf_stat s = { NAN, NAN, NAN };

	if (n == 0)
		return s;
	qsort(x, n, sizeof(*x), by_value);
	s.median = n % 2 != 0 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
	s.min = x[0];
	s.max = x[n - 1];
	return s;
}

uint64_t perf_rand(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void perf_case_init(struct perf_case *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->gbit = (struct perf_stat){ NAN, NAN, NAN };
	c->total_cpb = c->floor_cpb = c->ratio = NAN;
	c->frames_lost = c->delay_p50 = c->delay_p99 = c->delay_max = NAN;
}

static void add(struct perf_named *at, uint32_t *n, uint32_t max, const char *name, double value)
{
	if (*n == max)
		return;
	snprintf(at[*n].name, sizeof(at->name), "%s", name);
	at[(*n)++].value = value;
}

void perf_case_stage(struct perf_case *c, const char *name, double cpb)
{
	add(c->stage, &c->nstages, PERF_STAGES_MAX, name, cpb);
}

void perf_case_extra(struct perf_case *c, const char *name, double value)
{
	add(c->extra, &c->nextra, PERF_EXTRA_MAX, name, value);
}

void perf_args(int argc, char **argv, struct perf_opts *o)
{
	memset(o, 0, sizeof(*o));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			o->json = argv[++i];
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			o->only = argv[++i];
		} else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc) {
			o->repeats = (uint32_t)strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--quick") == 0) {
			o->quick = true;
		} else {
			fprintf(stderr,
			        "usage: %s [--json FILE] [--only NAME] [--repeats N] [--quick]\n",
			        argv[0]);
			exit(2);
		}
	}
	if (o->repeats == 0)
		o->repeats = o->quick ? 1 : 5;
	if (o->repeats > PERF_REPEATS_MAX)
		o->repeats = PERF_REPEATS_MAX;
}

bool perf_wants(const struct perf_opts *o, const char *name)
{
	return o->only == NULL || strstr(name, o->only) != NULL;
}

static void number(FILE *f, const char *name, double x, const char *after)
{
	if (isfinite(x))
		fprintf(f, "\"%s\": %.6g%s", name, x, after);
	else
		fprintf(f, "\"%s\": null%s", name, after);
}

static void one_case(FILE *f, const struct perf_case *c)
{
	fprintf(f, "  {\"name\": \"%s\", \"params\": {%s},\n   ", c->name, c->params);
	if (isfinite(c->gbit.median)) {
		fprintf(f, "\"gbit_per_core\": {");
		number(f, "median", c->gbit.median, ", ");
		number(f, "min", c->gbit.min, ", ");
		number(f, "max", c->gbit.max, "},\n   ");
	} else {
		fprintf(f, "\"gbit_per_core\": null,\n   ");
	}
	fprintf(f, "\"cycles_per_byte\": {");
	for (uint32_t i = 0; i < c->nstages; i++)
		number(f, c->stage[i].name, c->stage[i].value, ", ");
	number(f, "total", c->total_cpb, "},\n   ");
	number(f, "floor_cycles_per_byte", c->floor_cpb, ", ");
	number(f, "ratio", c->ratio, ", ");
	number(f, "frames_lost", c->frames_lost, ",\n   ");
	if (isfinite(c->delay_p50)) {
		fprintf(f, "\"verdict_delay_us\": {");
		number(f, "p50", c->delay_p50, ", ");
		number(f, "p99", c->delay_p99, ", ");
		number(f, "max", c->delay_max, "},\n   ");
	} else {
		fprintf(f, "\"verdict_delay_us\": null,\n   ");
	}
	fprintf(f, "\"extra\": {");
	for (uint32_t i = 0; i < c->nextra; i++)
		number(f, c->extra[i].name, c->extra[i].value, i + 1 < c->nextra ? ", " : "");
	fprintf(f, "}}");
}

/* The processor as the kernel names it, without what JSON would have to escape. */
static void machine(char *out, size_t n)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, n, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *v = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || v == NULL)
			continue;
		v[strcspn(v, "\n\"\\")] = 0;
		snprintf(out, n, "%s", v + 2);
		break;
	}
	if (f != NULL)
		fclose(f);
}

int perf_write(const struct perf_opts *o, const struct perf_case *c, size_t n)
{
	const char *commit = getenv("WEIR_BENCH_COMMIT");
	char cpu[256];
	FILE *f;

	if (o->json == NULL)
		return 0;
	f = fopen(o->json, "w");
	if (f == NULL)
		return -errno;
	machine(cpu, sizeof(cpu));
	fprintf(f,
	        "{\"schema\": \"weir.bench/1\", \"machine\": \"%s, %.2f GHz\", \"commit\": "
	        "\"%s\",\n",
	        cpu, perf_ghz(), commit != NULL ? commit : "");
	fprintf(f, " \"cases\": [\n");
	for (size_t i = 0; i < n; i++) {
		one_case(f, &c[i]);
		fprintf(f, i + 1 < n ? ",\n" : "\n");
	}
	fprintf(f, " ]}\n");
	return fclose(f) == 0 ? 0 : -EIO;
}
