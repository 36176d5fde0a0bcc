/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of checks and what is common to them. The checks themselves: check_cpu.c, check_io.c,
 * check_state.c. */
#include <stdarg.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "sre/check.h"

static const struct {
	const char *id;
	wr_check *run;
} check[] = {
#define X(id, fn) { id, fn },
	WR_CHECKS(X)
#undef X
};
static_assert(WR_COUNT_OF(check) <= WR_CHECKS_MAX, "room for every result");

const char *wr_level_name(enum wr_level l)
{
	static const char *const name[] = { "ok", "warn", "fail", "na" };

	return (unsigned)l < WR_COUNT_OF(name) ? name[l] : "?";
}

#define SET(to)                                                                                    \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		vsnprintf(to, WR_CHECK_TEXT, fmt, ap);                                             \
		va_end(ap);                                                                        \
	} while (0)

void wr_found(struct wr_result *r, const char *fmt, ...)
{
	SET(r->found);
}

void wr_fix(struct wr_result *r, enum wr_level level, const char *fmt, ...)
{
	r->level = level;
	SET(r->fix);
}

void wr_na(struct wr_result *r, const char *fmt, ...)
{
	r->level = WR_NA;
	SET(r->found);
}

uint32_t wr_doctor_run(const struct wr_doctor_in *in, struct wr_result *out)
{
	for (size_t i = 0; i < WR_COUNT_OF(check); i++) {
		struct wr_result *r = &out[i];

		memset(r, 0, sizeof(*r));
		r->id = check[i].id;
		check[i].run(in, r);
	}
	return WR_COUNT_OF(check);
}

int wr_doctor_exit(const struct wr_result *r, uint32_t n)
{
	int worst = 0;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].level == WR_FAIL)
			worst = 2;
		else if (r[i].level == WR_WARN && worst == 0)
			worst = 1;
	return worst;
}

void wr_doctor_metrics(const struct wr_result *r, uint32_t n, FILE *f)
{
	fputs("# HELP weir_doctor_check_ok 1: the check of `weir doctor` is content or does not "
	      "apply\n"
	      "# TYPE weir_doctor_check_ok gauge\n",
	      f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "weir_doctor_check_ok{check=\"%s\"} %d\n", r[i].id,
		        r[i].level == WR_OK || r[i].level == WR_NA);
}

void wr_facts_time(struct wr_facts *f)
{
	struct timex t = { 0 };
	int state = adjtimex(&t);

	f->now = (int64_t)time(NULL);
	f->time_known = state >= 0;
	f->time_synced = state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
	f->time_error_us = t.maxerror > 0 ? (uint64_t)t.maxerror : 0;
}
