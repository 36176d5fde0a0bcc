/* SPDX-License-Identifier: BSD-3-Clause */
/* weir-control as it is started: what stops it says so in one line and with exit code 2. */
#include "tap.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], out[1 << 16];

/* Runs a line of shell in the folder; $W is the program. Gives the exit code. */
static int sh(const char *line)
{
	char cmd[2048];
	size_t n;
	FILE *p;
	int rc;

	snprintf(cmd, sizeof(cmd), "cd %s && export W=%s WEIR_COMPILE=%s/compile; { %s\n} 2>&1",
	         dir, CONTROL, dir, line);
	p = popen(cmd, "r");
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = '\0';
	rc = pclose(p);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void put(const char *name, const char *text, const char *more, mode_t mode)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fprintf(f, "%s%s", text, more);
	fclose(f);
	chmod(path, mode);
}

static const char yaml[] =
        "node: n\nlinks: [ { name: a, client: { device: net_a }, store: { device: "
        "net_b }, on_process_death: open, on_worker_stall: closed } ]\n"
        "cores: { main: 0, workers: [ { name: w0, core: 1, link: a, queue: 0 } ] }\n"
        "services: [ { name: s1 } ]\npolicy: { match: block, suspect: flag, "
        "incomplete: block, error: block, skipped: flag, framing: block, overlap_conflict: "
        "block, midstream: block, one_way: block, not_http: block, bundle_expired: flag, "
        "on_overload: closed, on_records_lost: closed }\n"
        "api: { socket: c.sock, metrics: \"\" }\nrun: { dir: ., state: state }\n";

static const char compiler[] =
        "#!/bin/sh\n"
        "echo '{\"ok\":false,\"errors\":[{\"file\":\"rules/a.yaml\",\"line\":3,\"message\":\"no "
        "good\"}]}'\n";

/* Starts one, waits for its socket, runs `then`, ends it by SIGTERM and shows how it ended. */
#define RUNNING(then)                                                                              \
	"(ulimit -t 20; exec $W --config w.yaml 2>log) & p=$!; i=0; "                              \
	"while [ ! -S c.sock ] && [ $i -lt 400 ]; do sleep 0.01; i=$((i+1)); done; " then          \
	"; kill $p; wait $p; echo ended $?"

static const struct {
	const char *line;
	int rc;
	const char *want;
} row[] = {
	{ "timeout 5 $W", 2, "--config is missing" },
	{ "timeout 5 $W --config", 2, "an option lacks its value" },
	{ "timeout 5 $W --confg w.yaml", 2, "an option is unknown" },
	{ "timeout 5 $W --config none.yaml", 2, "none.yaml: cannot read" },
	{ "timeout 5 $W --config bad.yaml", 2,
	  "bad.yaml:1:1: unknown key 'nodes'; did you mean 'node'?" },
	{ "timeout 5 $W --config norec.yaml", 2, "records folder /proc/weir is not writable" },
	{ "timeout 5 $W --config nostate.yaml", 2, "state folder /proc/weir is not writable" },
	{ "timeout 5 $W --config w.yaml --bundle b", 2, "bundle refused: rules/a.yaml:3: no good" },
	{ RUNNING("true"), 0, "ended 0" },
	{ RUNNING("timeout 5 $W --config w.yaml; echo second $?"), 0, "second 2" },
	{ RUNNING("timeout 5 $W --config w.yaml"), 0, "is in use by another weir-control" },
	{ RUNNING("stat -c %a c.sock rec state"), 0, "660\n750\n700" },
	{ RUNNING("kill -9 $p; sleep 0.05; timeout 0.3 $W --config w.yaml; echo again $?"), 0,
	  "again 124" },
	{ "test -e c.sock; echo $?", 0, "1" },
};

int main(void)
{
	char cmd[128];

	snprintf(dir, sizeof(dir), "/tmp/weir-control-%d", (int)getpid());
	mkdir(dir, 0700);
	put("w.yaml", yaml, "records: { path: rec }\n", 0644);
	put("bad.yaml", "nodes: 1\n", yaml, 0644);
	put("norec.yaml", yaml, "records: { path: /proc/weir }\n", 0644);
	put("nostate.yaml", yaml, "records: { path: rec }\n", 0644);
	snprintf(cmd, sizeof(cmd), "sed -i 's|state: state|state: /proc/weir|' %s/nostate.yaml",
	         dir);
	if (system(cmd) != 0)
		return 2;
	put("compile", compiler, "", 0755);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int rc = sh(row[i].line);

		if (!tap_ok(rc == row[i].rc && strstr(out, row[i].want) != NULL, "%zu: %.60s", i,
		            strcspn(row[i].want, "\n") < strlen(row[i].want) ? "modes"
		                                                             : row[i].want))
			printf("# exit %d, wanted %d\n# %.500s\n", rc, row[i].rc, out);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# cannot remove %s\n", dir);
	return tap_done();
}
