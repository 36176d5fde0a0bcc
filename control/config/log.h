/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log - control's log: one line on stderr, key=value, no secrets, no bytes of clients unless
 * escaped.
 *
 * `error` means that somebody must act; `what` is the name under which docs/operate/alarms.md says
 * how. threads  any: one write(2) a line
 */
#ifndef WR_CONFIG_LOG_H
#define WR_CONFIG_LOG_H

#include <stddef.h>

#include "base/base.h"

enum wr_log_level { WR_LOG_FATAL, WR_LOG_ERROR, WR_LOG_WARN, WR_LOG_INFO, WR_LOG_DEBUG };

/* Lines above this level are not written; INFO at start. */
void wr_log_set_level(enum wr_log_level level);
/* fmt gives the rest of the line: "path=%s bytes=%lu". */
WR_PRINTF(3, 4)
void wr_log(enum wr_log_level level, const char *what, const char *fmt, ...);
/* Quotes s ("..." with \xNN for what is not plain ASCII) into buf; gives buf. */
const char *wr_log_quote(char *buf, size_t size, const char *s);

#endif
