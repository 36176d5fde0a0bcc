/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ship_private - shared by the files behind ship.h.
 */
#ifndef WR_BUNDLE_SHIP_PRIVATE_H
#define WR_BUNDLE_SHIP_PRIVATE_H

#include "bundle/ship.h"

/* Relative, no `.` or `..`, few characters, few levels. */
bool wr_ship_path_ok(const char *path, bool hidden_ok);
/* SHA256SUMS itself or a signature over it. */
bool wr_ship_beside_sums(const char *path);
/* Whole file, synced, renamed into place. */
WR_MUST_USE int wr_ship_write_file(int dirfd, const char *name, const void *p, size_t n,
                                   struct wr_refusal *r);

#endif
