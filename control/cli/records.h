/* SPDX-License-Identifier: BSD-3-Clause */
/* records - reading verdict records; for the commands of cli/ that do. */
#ifndef WR_CLI_RECORDS_H
#define WR_CLI_RECORDS_H

#include "cli/cli.h"

/* The folder: --records, or what weir-control says. NULL after a printed line. */
const char *wr_records_dir(struct wr_cli *c, char *buf, size_t size);

/* Gets each whole line without its newline, oldest first; anything but 0 ends the walk. */
typedef int wr_record_line_fn(void *arg, const char *line);
/* 0, what fn gave, or -errno after a printed line. */
WR_MUST_USE int wr_records_each(struct wr_cli *c, const char *dir, wr_record_line_fn *fn,
                                void *arg);

/* One record on one line, for people. */
void wr_record_print_line(const json_t *r);

#endif
