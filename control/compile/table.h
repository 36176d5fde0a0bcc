/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table - digests in, one DIGEST or PDQ shard out.
 *
 * takes    digests in any order, with names; withdrawals
 * gives    a shard written to an fd: sorted, each digest once, hashed into one-line buckets
 * owns     its records: digest and four bytes each, and the names, in anonymous memory
 * threads  one table is used by one thread
 * limits   WR_TABLE_ENTRIES_MAX entries; 8 GiB of names; WR_TABLE_PROBES_MAX lines a search
 * fails    -errno: -ENOMEM, -E2BIG, or of the file
 * see      docs/concepts/lists.md, tests/unit/compile
 *
 * Why sort in place by radix: ten million records need neither a second copy nor comparisons, and a
 * hostile list (all digests alike but for the last byte) costs one pass a byte, never a quadratic
 * one.
 */
#ifndef WR_COMPILE_TABLE_H
#define WR_COMPILE_TABLE_H

#include "abi/artifact.h"

struct wr_table_build;

WR_MUST_USE struct wr_table_build *wr_table_build_new(uint32_t algo);
void wr_table_build_free(struct wr_table_build *b);
/* name: the entry's own id or NULL; deleted: no entry of this digest counts, whatever the order. */
WR_MUST_USE int wr_table_build_add(struct wr_table_build *b, const uint8_t *digest,
                                   const char *name, bool deleted);
/* Once, after the last add: sorts, drops repeats and withdrawals. Entries that remain. */
uint64_t wr_table_build_sort(struct wr_table_build *b);
/* Writes the shard to an empty file; *bytes: its size. */
WR_MUST_USE int wr_table_build_write(struct wr_table_build *b, const uint8_t source[32], int fd,
                                     uint64_t *bytes);

#endif
