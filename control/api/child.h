/* SPDX-License-Identifier: BSD-3-Clause */
/* child - where the programs are that weir-control starts. */
#ifndef WR_API_CHILD_H
#define WR_API_CHILD_H

#include <stddef.h>

/*
 * $env before all; else the first of three places, relative to this program's folder, that can be
 * run; else the last component of the first place, for $PATH.
 */
void wr_child_path(const char *env, const char *const place[3], char *out, size_t size);

#endif
