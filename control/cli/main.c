/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The list of files is meson.build's: WR_CLI_GROUPS is X(status) X(config) ... */
#define X(name) extern const struct wr_cmd wr_cmds_##name[];
WR_CLI_GROUPS
#undef X

static const struct wr_cmd *const groups[] = {
#define X(name) wr_cmds_##name,
	WR_CLI_GROUPS
#undef X
};

const struct wr_cmd *wr_cli_cmd(unsigned i)
{
	for (size_t g = 0; g < WR_COUNT_OF(groups); g++)
		for (const struct wr_cmd *c = groups[g]; c->name != NULL; c++)
			if (i-- == 0)
				return c;
	return NULL;
}

int wr_cli_fail(const struct wr_cli *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", c->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return WR_EXIT_FAIL;
}

static void put_command(FILE *f, const struct wr_cmd *cmd)
{
	fprintf(f, "weir %s%s%s%s%s", cmd->group != NULL ? cmd->group : "",
	        cmd->group != NULL ? " " : "", cmd->name, cmd->args[0] != '\0' ? " " : "",
	        cmd->args);
}

int wr_cli_usage(const struct wr_cli *c, const struct wr_cmd *cmd)
{
	(void)c;
	fprintf(stderr, "usage: ");
	put_command(stderr, cmd);
	fprintf(stderr, "  (%s)\n", cmd->help);
	return WR_EXIT_FAIL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

int wr_cli_usage_of(const struct wr_cli *c, const char *group, const char *name)
{
	const struct wr_cmd *cmd;

	for (unsigned i = 0; (cmd = wr_cli_cmd(i)) != NULL; i++)
		if (same(cmd->group, group) && same(cmd->name, name))
			return wr_cli_usage(c, cmd);
	return WR_EXIT_FAIL;
}

static void take(int *argc, char **argv, int at, int n)
{
	for (int i = at; i + n <= *argc; i++)
		argv[i] = argv[i + n];
	*argc -= n;
}

bool wr_cli_flag(int *argc, char **argv, const char *name)
{
	for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], name) == 0) {
			take(argc, argv, i, 1);
			return true;
		}
	}
	return false;
}

const char *wr_cli_opt(struct wr_cli *c, int *argc, char **argv, const char *name)
{
	size_t n = strlen(name);

	for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		const char *v;

		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
			v = argv[i] + n + 1;
			take(argc, argv, i, 1);
			return v;
		}
		if (strcmp(argv[i], name) != 0)
			continue;
		if (i + 1 >= *argc)
			exit(wr_cli_fail(c, "%s needs a value", name));
		v = argv[i + 1];
		take(argc, argv, i, 2);
		return v;
	}
	return NULL;
}

static int help(FILE *f, const char *group)
{
	const struct wr_cmd *cmd;
	int shown = 0;

	if (group == NULL)
		fprintf(f,
		        "weir %s: the tool for SREs and rule teams\n"
		        "usage: weir [--json] [--socket PATH] [--config FILE] COMMAND\n\n",
		        WR_VERSION);
	for (unsigned i = 0; (cmd = wr_cli_cmd(i)) != NULL; i++) {
		char line[240];

		if (group != NULL && !same(cmd->group, group) && !same(cmd->name, group))
			continue;
		snprintf(line, sizeof(line), "%s%s%s%s%s", cmd->group != NULL ? cmd->group : "",
		         cmd->group != NULL ? " " : "", cmd->name, cmd->args[0] != '\0' ? " " : "",
		         cmd->args);
		if (strlen(line) > 44)
			fprintf(f, "  %s\n  %-44s %s\n", line, "", cmd->help);
		else
			fprintf(f, "  %-44s %s\n", line, cmd->help);
		shown++;
	}
	return shown;
}

static const struct wr_cmd *find(int argc, char **argv, int *used)
{
	const struct wr_cmd *cmd;

	for (unsigned i = 0; (cmd = wr_cli_cmd(i)) != NULL; i++) {
		*used = cmd->group != NULL ? 2 : 1;
		if (*used == 2 ? argc >= 2 && same(cmd->group, argv[0]) && same(cmd->name, argv[1])
		               : same(cmd->name, argv[0]))
			return cmd;
	}
	return NULL;
}

static int run(struct wr_cli *c, int argc, char **argv)
{
	const struct wr_cmd *cmd;
	char name[96];
	int used = 0;

	cmd = find(argc, argv, &used);
	if (cmd == NULL) {
		/* A group alone lists what is in it: an unfinished command, not a wrong one. */
		if (help(argc == 1 ? stdout : stderr, argv[0]) == 0)
			return wr_cli_fail(c, "no command '%s'; `weir help` lists them", argv[0]);
		return WR_EXIT_FAIL;
	}
	snprintf(name, sizeof(name), "weir %s%s%s", cmd->group != NULL ? cmd->group : "",
	         cmd->group != NULL ? " " : "", cmd->name);
	c->name = name;
	argc -= used - 1;
	argv += used - 1;
	if (wr_cli_flag(&argc, argv, "--help") || wr_cli_flag(&argc, argv, "-h")) {
		put_command(stdout, cmd);
		printf("\n  %s\n", cmd->help);
		return WR_EXIT_OK;
	}
	int rc = cmd->run(c, argc, argv);

	/* Output that did not reach the disk or the pipe is not done. */
	if (fflush(stdout) != 0 && errno != EPIPE)
		rc = wr_cli_fail(c, "cannot write to stdout: %s", strerror(errno));
	c->name = "weir";
	return rc;
}

int main(int argc, char **argv)
{
	struct wr_cli c = { .name = "weir" };

	signal(SIGPIPE, SIG_IGN);
	c.json = wr_cli_flag(&argc, argv, "--json");
	c.socket = wr_cli_opt(&c, &argc, argv, "--socket");
	c.config = wr_cli_opt(&c, &argc, argv, "--config");
	c.records = wr_cli_opt(&c, &argc, argv, "--records");
	if (c.socket == NULL)
		c.socket = getenv("WEIR_SOCKET");
	if (c.config == NULL)
		c.config = getenv("WEIR_CONFIG");
	if (c.records == NULL)
		c.records = getenv("WEIR_RECORDS");
	if (argc < 2 || same(argv[1], "help") || same(argv[1], "--help") || same(argv[1], "-h")) {
		help(stdout, argc > 2 ? argv[2] : NULL);
		return argc < 2 ? WR_EXIT_FAIL : WR_EXIT_OK;
	}
	if (same(argv[1], "--version") || same(argv[1], "version")) {
		printf("weir %s\n", WR_VERSION);
		return WR_EXIT_OK;
	}
	return run(&c, argc - 1, argv + 1);
}
