/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/child.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

void wr_child_path(const char *env, const char *const place[3], char *out, size_t size)
{
	char self[PATH_MAX - 64] = "";
	const char *set = getenv(env);
	ssize_t n;

	if (set != NULL) {
		snprintf(out, size, "%s", set);
		return;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	for (size_t i = 0; i < 3; i++) {
		snprintf(out, size, "%.*s/%s",
		         (int)(strrchr(self, '/') != NULL ? strrchr(self, '/') - self : 0), self,
		         place[i]);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, size, "%s", place[0]);
}
