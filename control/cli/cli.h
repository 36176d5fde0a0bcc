/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli - the command line tool `weir`: a table of commands and what they share.
 *
 * takes    argv; the control socket's HTTP API; weir.yaml and record folders for what works offline
 * gives    text for people, one JSON document with --json, exit codes 0 (done), 1 (it says no: a
 *          check failed, a warning stands), 2 (it could not be done)
 * owns     nothing
 * threads  one
 * limits   WR_CLI_REPLY_MAX bytes of one answer
 * fails    one line to stderr that says what to do, and an exit code
 *
 * How to add commands: write NAME.c with `const struct wr_cmd wr_cmds_NAME[]` (the last row is all
 * zero) and put NAME into the list at the top of meson.build. Several files may add commands to one
 * group. Help, completion and the man page come from the table.
 */
#ifndef WR_CLI_CLI_H
#define WR_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/base.h"

#define WR_CLI_REPLY_MAX (64u << 20)

enum wr_exit { WR_EXIT_OK = 0, WR_EXIT_NO = 1, WR_EXIT_FAIL = 2 };

struct wr_cli {
	bool json;           /* --json, anywhere on the command line */
	const char *socket;  /* --socket, $WEIR_SOCKET, api.socket of the configuration */
	const char *config;  /* --config, $WEIR_CONFIG, /etc/weir/weir.yaml */
	const char *records; /* --records, $WEIR_RECORDS; NULL: ask control */
	const char *name;    /* "weir bundle load", for messages */
	char socket_buf[108];
};

struct wr_cmd {
	const char *group; /* "bundle", or NULL for commands of one word */
	const char *name;
	const char *args; /* as shown in help: "DIR [--wait]" */
	const char *help; /* one line, lower case, no full stop */
	int (*run)(struct wr_cli *c, int argc, char **argv); /* argv[0] is the command's name */
};

/* One line to stderr: "weir bundle load: ..."; gives WR_EXIT_FAIL, for `return wr_cli_fail(...)`.
 */
WR_PRINTF(2, 3) int wr_cli_fail(const struct wr_cli *c, const char *fmt, ...);
/* Says how the command is used; gives WR_EXIT_FAIL. */
int wr_cli_usage(const struct wr_cli *c, const struct wr_cmd *cmd);
int wr_cli_usage_of(const struct wr_cli *c, const char *group, const char *name);

/*
 * Takes `--name VALUE` or `--name=VALUE` (or a flag without value) out of argv. The value is lent.
 * `wr_cli_opt` gives NULL when absent; a missing value exits with a usage line.
 */
const char *wr_cli_opt(struct wr_cli *c, int *argc, char **argv, const char *name);
bool wr_cli_flag(int *argc, char **argv, const char *name);

/* Prints v (borrowed) as one JSON document on stdout. */
void wr_cli_print_json(const json_t *v);

/*
 * One request to weir-control. body may be NULL. *reply (owned by the caller) is the JSON answer,
 * an error object included. Gives the HTTP status, or -errno with a line on stderr that says what
 * to do.
 */
WR_MUST_USE int wr_cli_call(struct wr_cli *c, const char *method, const char *path,
                            const json_t *body, json_t **reply);
/* As above, and everything but 2xx ends in a printed line (or the JSON) and NULL. */
WR_MUST_USE json_t *wr_cli_ask(struct wr_cli *c, const char *method, const char *path,
                               const json_t *body);
/* The path of the control socket, resolved on first use. */
const char *wr_cli_socket(struct wr_cli *c);

/* Strings out of JSON: "" when absent. */
const char *wr_cli_str(const json_t *o, const char *key);
long long wr_cli_int(const json_t *o, const char *key);

/* Writes s with control and non-ASCII bytes escaped: names come from the wire. */
void wr_cli_put_safe(FILE *f, const char *s);

/* Walks all commands; NULL at the end. */
const struct wr_cmd *wr_cli_cmd(unsigned i);

#endif
