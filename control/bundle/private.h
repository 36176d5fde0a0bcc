/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * private - what the files of this room share and nobody else sees.
 */
#ifndef WR_BUNDLE_PRIVATE_H
#define WR_BUNDLE_PRIVATE_H

#include "bundle/arena.h"
#include "bundle/bundle.h"
#include "bundle/schema.h"

struct wr_bundle_private {
	struct wr_arena arena;
	const struct wr_bundle_rule **rule_by_id; /* sorted by id */
	const struct wr_bundle_list **list_by_id;
};

/*
 * Opens a file below dirfd without following a symlink in any component. The path must be relative,
 * without empty, `.` or `..` components; only regular files are opened. -errno.
 */
WR_MUST_USE int wr_bundle_open(int dirfd, const char *path);
/* The whole file, at most max bytes, in malloc'ed memory. */
WR_MUST_USE int wr_bundle_slurp(int dirfd, const char *path, size_t max, uint8_t **p, size_t *n);
/* Names of the regular files in folder `path` that end in .yaml, sorted; -ENOENT when it is absent.
 */
WR_MUST_USE int wr_bundle_dir(struct wr_reader *r, int dirfd, const char *path, char ***name,
                              uint32_t *n);

/* Checks after reading; mistakes go to the errors. */
WR_MUST_USE int wr_bundle_check(struct wr_reader *r);
WR_MUST_USE int wr_bundle_index(struct wr_reader *r);

/* "md5:HEX" into a struct wr_bundle_suppress. */
WR_MUST_USE int wr_bundle_read_digest(struct wr_reader *r, const struct wr_node *n, void *obj);

#endif
