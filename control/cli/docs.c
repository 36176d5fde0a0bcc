/* SPDX-License-Identifier: BSD-3-Clause */
/* weir docs: the reference pages, from the tables that the programs themselves use. */
#include "bundle/cases.h"
#include "cli/cli.h"
#include "config/config.h"
#include "metrics/metrics.h"

#include <string.h>

static void commands(FILE *f)
{
	const struct wr_cmd *cmd;

	fputs("# Commands\n\n"
	      "Generated from `control/cli` by `weir docs commands`. Every command takes `--json`; "
	      "exit\n"
	      "codes are 0 (done), 1 (it says no: a check failed, a warning stands), 2 (it could "
	      "not be\n"
	      "done, with one line that says what to do).\n\n"
	      "| command | what it does |\n|---|---|\n",
	      f);
	for (unsigned i = 0; (cmd = wr_cli_cmd(i)) != NULL; i++) {
		fprintf(f, "| `weir %s%s%s", cmd->group != NULL ? cmd->group : "",
		        cmd->group != NULL ? " " : "", cmd->name);
		if (cmd->args[0] != '\0')
			fputc(' ', f);
		for (const char *s = cmd->args; *s != '\0'; s++) {
			if (*s == '|')
				fputc('\\', f);
			fputc(*s, f);
		}
		fprintf(f, "` | %s |\n", cmd->help);
	}
}

static int run_docs(struct wr_cli *c, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "config") == 0)
		wr_config_docs(stdout);
	else if (argc == 2 && strcmp(argv[1], "metrics") == 0)
		wr_metrics_docs(stdout);
	else if (argc == 2 && strcmp(argv[1], "bundle") == 0)
		wr_bundle_docs(stdout);
	else if (argc == 2 && strcmp(argv[1], "commands") == 0)
		commands(stdout);
	else
		return wr_cli_usage_of(c, NULL, "docs");
	return WR_EXIT_OK;
}

const struct wr_cmd wr_cmds_docs[] = {
	{ NULL, "docs", "config|metrics|bundle|commands",
	  "print a page of the reference (Markdown)", run_docs },
	{ 0 },
};
