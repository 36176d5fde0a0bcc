/* SPDX-License-Identifier: BSD-3-Clause */
/* weir trace: frames of one client as a pcapng file, headers only unless asked. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int write_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -EIO;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int save(struct wr_cli *c, const char *out, const char *text)
{
	size_t n = strlen(text), got = 0;
	unsigned char *p = malloc(n / 4 * 3 + 3);
	int fd, rc = 0;

	if (p == NULL || sodium_base642bin(p, n / 4 * 3 + 3, text, n, NULL, &got, NULL,
	                                   sodium_base64_VARIANT_ORIGINAL) != 0) {
		free(p);
		return wr_cli_fail(c, "weir-control's answer does not fit");
	}
	/* Addresses of clients are in it, perhaps more: for its owner alone. */
	fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_all(fd, p, got) != 0 || close(fd) != 0)
		rc = wr_cli_fail(c, "cannot write %s: %s", out, strerror(errno));
	free(p);
	return rc;
}

static int number(struct wr_cli *c, const char *what, const char *text, long *out)
{
	char *end;

	if (text == NULL)
		return 0;
	*out = strtol(text, &end, 10);
	return end == text || *end != '\0' || *out < 1
	               ? wr_cli_fail(c, "%s wants a number above 0, not '%s'", what, text)
	               : 0;
}

/* Asks until the trace is over. The dataplane ends it by itself, whatever becomes of us. */
static json_t *wait_done(struct wr_cli *c)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	json_t *reply;

	for (;;) {
		if (stop)
			json_decref(wr_cli_ask(c, "POST", "/v1/trace/stop", NULL));
		reply = wr_cli_ask(c, "GET", "/v1/trace", NULL);
		if (reply == NULL || strcmp(wr_cli_str(reply, "state"), "running") != 0)
			return reply;
		json_decref(reply);
		nanosleep(&pause, NULL);
	}
}

static int run_trace(struct wr_cli *c, int argc, char **argv)
{
	const char *client = wr_cli_opt(c, &argc, argv, "--client");
	const char *out = wr_cli_opt(c, &argc, argv, "--out");
	const char *n = wr_cli_opt(c, &argc, argv, "--packets");
	const char *s = wr_cli_opt(c, &argc, argv, "--seconds");
	bool payload = wr_cli_flag(&argc, argv, "--payload");
	long packets = 1000, seconds = 10;
	json_t *body, *reply;
	int rc;

	if (argc > 1 || client == NULL || out == NULL)
		return wr_cli_usage_of(c, NULL, "trace");
	if (number(c, "--packets", n, &packets) != 0 || number(c, "--seconds", s, &seconds) != 0)
		return WR_EXIT_FAIL;
	body = json_pack("{s:s,s:I,s:I,s:b}", "client", client, "packets", (json_int_t)packets,
	                 "seconds", (json_int_t)seconds, "payload", payload);
	reply = wr_cli_ask(c, "POST", "/v1/trace", body);
	json_decref(body);
	if (reply == NULL)
		return WR_EXIT_FAIL;
	json_decref(reply);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (!c->json)
		fprintf(stderr, "tracing %s for %ld s or %ld frames%s; ^C ends it\n", client,
		        seconds, packets, payload ? ", with payload (this is on record)" : "");
	reply = wait_done(c);
	if (reply == NULL)
		return WR_EXIT_FAIL;
	rc = save(c, out, wr_cli_str(reply, "pcapng"));
	json_object_del(reply, "pcapng");
	json_object_set_new(reply, "file", json_string(out));
	if (rc == 0 && c->json)
		wr_cli_print_json(reply);
	else if (rc == 0)
		printf("%lld frames in %s%s%s\n", wr_cli_int(reply, "frames"), out,
		       wr_cli_str(reply, "missing")[0] != '\0' ? "; not all: " : "",
		       wr_cli_str(reply, "missing"));
	json_decref(reply);
	return rc;
}

const struct wr_cmd wr_cmds_trace[] = {
	{ NULL, "trace", "--client IP[:PORT] --out FILE [--packets N] [--seconds S] [--payload]",
	  "frames of one client as pcapng; headers only unless asked for more", run_trace },
	{ 0 },
};
