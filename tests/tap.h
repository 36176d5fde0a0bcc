/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap - the few lines a unit test needs: OK(cond, fmt...), IS(a, b, fmt...), SKIP(reason),
 * tap_done().
 */
#ifndef WR_TESTS_TAP_H
#define WR_TESTS_TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_n, tap_bad;

__attribute__((format(printf, 2, 3), unused)) static int tap_ok(int ok, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", ok ? "" : "not ", ++tap_n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_bad += !ok;
	return ok;
}

#define OK(cond, ...)                                                                              \
	do {                                                                                       \
		if (!tap_ok(!!(cond), __VA_ARGS__))                                                \
			printf("#   %s:%d: %s\n", __FILE__, __LINE__, #cond);                      \
	} while (0)

#define IS(a, b, ...)                                                                              \
	do {                                                                                       \
		long long a_ = (long long)(a), b_ = (long long)(b);                                \
		if (!tap_ok(a_ == b_, __VA_ARGS__))                                                \
			printf("#   %s:%d: %s = %lld, wanted %lld\n", __FILE__, __LINE__, #a, a_,  \
			       b_);                                                                \
	} while (0)

#define SKIP(why) printf("ok %d - # SKIP %s\n", ++tap_n, (why))

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_n);
	return tap_bad != 0;
}

#endif
