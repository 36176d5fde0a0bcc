/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void wr_assert_fail(const char *what, const char *file, int line)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "weir: assertion failed: %s at %s:%d\n", what, file,
	                 line);

	/* write, not stdio: the process may be in any state and we must not deadlock in it. */
	if (n > 0 && write(STDERR_FILENO, text, wr_min_u64((uint64_t)n, sizeof(text) - 1)) < 0)
		abort();
	abort();
}
