/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle load: from a folder to every worker, or the compiler's own words why not. */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int print_errors(struct wr_cli *c, const json_t *reply)
{
	const json_t *errors = json_object_get(reply, "errors");
	json_t *e;
	size_t i;

	json_array_foreach(errors, i, e)
	{
		wr_cli_put_safe(stderr, wr_cli_str(e, "file"));
		if (wr_cli_int(e, "line") > 0)
			fprintf(stderr, ":%lld", wr_cli_int(e, "line"));
		fputs(": ", stderr);
		wr_cli_put_safe(stderr, wr_cli_str(e, "message"));
		fputc('\n', stderr);
	}
	if (wr_cli_str(reply, "error")[0] != '\0')
		wr_cli_fail(c, "%s; the old ruleset stays in force", wr_cli_str(reply, "error"));
	else
		wr_cli_fail(c, "the bundle is refused; the old ruleset stays in force");
	return WR_EXIT_FAIL;
}

static int run_load(struct wr_cli *c, int argc, char **argv)
{
	json_t *dirs = json_array(), *body, *reply = NULL, *b;
	char path[PATH_MAX];
	int status, rc;
	size_t k;

	if (argc < 2) {
		json_decref(dirs);
		return wr_cli_usage_of(c, "bundle", "load");
	}
	for (int i = 1; i < argc; i++) {
		if (realpath(argv[i], path) == NULL) {
			json_decref(dirs);
			return wr_cli_fail(c, "%s: %s", argv[i], strerror(errno));
		}
		json_array_append_new(dirs, json_string(path));
	}
	body = json_pack("{s:o}", "dirs", dirs);
	status = wr_cli_call(c, "POST", "/v1/bundle/load", body, &reply);
	json_decref(body);
	if (status < 0)
		return WR_EXIT_FAIL;
	if (c->json)
		wr_cli_print_json(reply);
	if (status == 200) {
		rc = WR_EXIT_OK;
		if (!c->json)
			json_array_foreach(json_object_get(reply, "bundles"), k, b)
			        printf("%s version %lld is active: every worker uses it "
			               "(generation %lld)\n",
			               wr_cli_str(b, "name"), wr_cli_int(b, "version"),
			               wr_cli_int(reply, "generation"));
	} else if (status == 202) {
		rc = WR_EXIT_NO;
		if (!c->json)
			wr_cli_fail(c, "compiled and kept, but %s",
			            strcmp(wr_cli_str(reply, "state"), "staged") == 0
			                    ? "too many generations drain; it comes into force "
			                      "when one has ended"
			                    : "no dataplane is connected; it gets the bundle as "
			                      "soon as it is there");
	} else {
		rc = c->json ? WR_EXIT_FAIL : print_errors(c, reply);
	}
	json_decref(reply);
	return rc;
}

const struct wr_cmd wr_cmds_bundle_load[] = {
	{ "bundle", "load", "DIR|FILE...", "compile, push, wait until every worker uses it",
	  run_load },
	{ 0 },
};
