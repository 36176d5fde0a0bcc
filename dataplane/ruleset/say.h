/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WR_RULESET_SAY_H
#define WR_RULESET_SAY_H

#include <stddef.h>

#include "base/base.h"

/* Writes one line to err and returns code. */
int wr_say(char *err, size_t size, int code, const char *fmt, ...) WR_PRINTF(4, 5);

#endif
