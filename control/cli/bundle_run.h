/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bundle_run - what the bundle commands share: a folder or .weir opened, children run, errors
 * shown.
 *
 * owns     temporary folders, until wr_opened_close()
 * fails    a line on stderr (or in the JSON answer) and an exit code
 */
#ifndef WR_CLI_BUNDLE_RUN_H
#define WR_CLI_BUNDLE_RUN_H

#include <limits.h>

#include "bundle/bundle.h"
#include "bundle/ship.h"
#include "cli/cli.h"

struct wr_opened {
	char dir[PATH_MAX]; /* the folder; a temporary one when the argument was an archive */
	int fd;
	bool temporary;
};

/* A folder as it is, a .weir unpacked. 0 or an exit code (the line is printed). */
WR_MUST_USE int wr_opened_open(struct wr_cli *c, const char *arg, struct wr_opened *o);
void wr_opened_close(struct wr_opened *o);

/* A folder below $TMPDIR, 0700; empty on failure. */
void wr_temp_dir(char out[PATH_MAX]);
void wr_temp_remove(const char *dir);

/* Errors and warnings as lines on stderr; with --json they are put into `answer`. */
void wr_cli_bundle_errors(struct wr_cli *c, const struct wr_bundle_errors *e, json_t *answer);
/* {"ok": false, "code": ..., "error": ...} or a line; gives WR_EXIT_NO. */
int wr_cli_refused(struct wr_cli *c, const struct wr_refusal *r);

/* Loads; on failure the errors are shown. Exit code. */
WR_MUST_USE int wr_cli_bundle_load(struct wr_cli *c, const struct wr_opened *o,
                                   struct wr_bundle **out);

/*
 * Runs weir-compile over the folders into out_dir; its answer, or NULL (said on stderr). With
 * errors in the answer they are shown and NULL is given.
 */
WR_MUST_USE json_t *wr_cli_compile(struct wr_cli *c, const char *const *dir, unsigned n,
                                   const char *out_dir, bool bench);

/* weir-scan as a child that is fed jobs and asked for answers, in turn. */
struct wr_scanner {
	pid_t pid;
	FILE *to, *from;
};
WR_MUST_USE int wr_scanner_start(struct wr_cli *c, const char *artifact, const char *meta_hex,
                                 const char *region, struct wr_scanner *s);
/* One file; NULL when the child died (said on stderr). */
WR_MUST_USE json_t *wr_scanner_scan(struct wr_cli *c, struct wr_scanner *s, uint64_t cut,
                                    const char *type, const char *path);
void wr_scanner_stop(struct wr_scanner *s);

/* "\r 12/340 what" on stderr when it is a terminal. */
void wr_cli_progress(const char *what, size_t done, size_t all);

#endif
