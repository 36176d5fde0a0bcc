/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048u

static enum wr_log_level highest = WR_LOG_INFO;

void wr_log_set_level(enum wr_log_level level)
{
	highest = level;
}

const char *wr_log_quote(char *buf, size_t size, const char *s)
{
	static const char digit[] = "0123456789abcdef";
	size_t n = 0;

	WR_ASSERT(size >= 8);
	buf[n++] = '"';
	for (; *s != '\0' && n + 6 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			buf[n++] = '\\';
			buf[n++] = (char)c;
		} else if (c >= 0x20 && c < 0x7f) {
			buf[n++] = (char)c;
		} else {
			buf[n++] = '\\';
			buf[n++] = 'x';
			buf[n++] = digit[c >> 4];
			buf[n++] = digit[c & 15];
		}
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}

void wr_log(enum wr_log_level level, const char *what, const char *fmt, ...)
{
	static const char *const name[] = { "fatal", "error", "warn", "info", "debug" };
	char line[LINE_MAX_BYTES];
	struct timespec ts;
	struct tm tm;
	size_t n;
	va_list ap;
	int k;

	if (level > highest)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(line, sizeof(line), "ts=%Y-%m-%dT%H:%M:%S", &tm);
	k = snprintf(line + n, sizeof(line) - n, ".%03ldZ level=%s what=%s ", ts.tv_nsec / 1000000,
	             name[level], what);
	n += (size_t)k;
	va_start(ap, fmt);
	k = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n += k < 0 ? 0 : wr_min_u64((uint64_t)k, sizeof(line) - n - 2);
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
