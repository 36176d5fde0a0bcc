/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-compile - turns bundles into the shards of one ruleset, in a sandbox.
 *
 * exit 0: done; 1: the bundles are refused (the line on stdout says where and why); 2: used
 * wrongly, or the machine failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "compile/compile.h"

static const char usage[] =
        "usage: weir-compile --out DIR [--region R] [--stream-state-bytes N] [--memory-bytes N]\n"
        "                    [--seconds N] [--bench] BUNDLE_DIR...\n"
        "Writes shards to DIR and one line of JSON to stdout.\n";

/* Address space beyond the ruleset's own memory: tables are sorted before they are written. */
#define SPACE_FACTOR 4u
#define SPACE_MORE   (4ull << 30)

struct args {
	struct wr_compile_opts opts;
	const char *out;
	uint64_t seconds;
};

static bool number(const char *s, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(s, &end, 10);
	return s[0] >= '0' && s[0] <= '9' && *end == '\0' && errno == 0;
}

static bool parse(int argc, char **argv, struct args *a)
{
	enum { OUT = 256, REGION, STATE, MEMORY, SECONDS, BENCH };
	static const struct option option[] = {
		{ "out", required_argument, NULL, OUT },
		{ "region", required_argument, NULL, REGION },
		{ "stream-state-bytes", required_argument, NULL, STATE },
		{ "memory-bytes", required_argument, NULL, MEMORY },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "bench", no_argument, NULL, BENCH },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", option, NULL)) != -1)
		switch (c) {
		case OUT: a->out = optarg; break;
		case REGION: a->opts.region = optarg; break;
		case BENCH: a->opts.bench = true; break;
		case STATE:
			if (!number(optarg, &a->opts.stream_state_bytes))
				return false;
			break;
		case MEMORY:
			if (!number(optarg, &a->opts.memory_bytes))
				return false;
			break;
		case SECONDS:
			if (!number(optarg, &a->seconds))
				return false;
			break;
		case 'h': fputs(usage, stdout); exit(0);
		default: return false;
		}
	if (a->opts.region != NULL &&
	    strlen(a->opts.region) >= sizeof(((struct wr_meta *)0)->region))
		return false;
	return a->out != NULL && optind < argc;
}

static void out_of_time(int sig)
{
	static const char line[] = "{\"ok\":false,\"errors\":[{\"file\":\"\",\"line\":0,"
	                           "\"message\":\"compiling took more "
	                           "CPU time than --seconds allows\"}],\"warnings\":[]}\n";

	(void)sig;
	(void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
	_exit(1);
}

static int open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fprintf(stderr, "weir-compile: %s: %m\n", path);
	return fd;
}

static int enter(const struct args *a, const int *fd, uint32_t n, int outfd,
                 struct wr_bundle_errors *e)
{
	struct wr_sandbox box = {
		.read_fd = fd, .nread = n, .write_fd = outfd, .seconds = a->seconds
	};
	struct sigaction sa = { .sa_handler = out_of_time };
	char warning[160];
	uint8_t md[EVP_MAX_MD_SIZE];
	int rc;

	if (a->opts.memory_bytes != 0)
		box.memory_bytes = a->opts.memory_bytes * SPACE_FACTOR + SPACE_MORE;
	/* OpenSSL reads its configuration at the first digest; later it could not. */
	if (EVP_Digest("", 0, md, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	sigaction(SIGXCPU, &sa, NULL);
	rc = wr_sandbox_enter(&box, warning, sizeof(warning));
	if (rc == 0 && warning[0] != '\0')
		wr_bundle_warning_add(e, "", 0, "%s", warning);
	return rc;
}

int main(int argc, char **argv)
{
	struct args a = { .opts = { .now = (uint64_t)time(NULL) } };
	struct wr_bundle_errors e = { 0 };
	struct wr_bundle *bundle[WR_META_BUNDLES_MAX] = { 0 };
	int fd[WR_META_BUNDLES_MAX], rc = 0;
	struct wr_out out = { .dirfd = -1 };
	struct wr_compile c = { .opts = &a.opts, .out = &out, .bundle = bundle };
	uint32_t n;

	if (!parse(argc, argv, &a)) {
		fputs(usage, stderr);
		return 2;
	}
	n = (uint32_t)(argc - optind);
	if (n > WR_META_BUNDLES_MAX) {
		wr_bundle_error_add(&e, "", 0, "%u bundles, the limit is %u", n,
		                    WR_META_BUNDLES_MAX);
		wr_compile_report(&c, -E2BIG, &e, stdout);
		return 1;
	}
	out.dirfd = open_folder(a.out);
	for (uint32_t i = 0; i < n && out.dirfd >= 0; i++)
		if ((fd[i] = open_folder(argv[optind + (int)i])) < 0)
			return 2;
	if (out.dirfd < 0)
		return 2;
	rc = enter(&a, fd, n, out.dirfd, &e);
	if (rc != 0) {
		fprintf(stderr, "weir-compile: cannot enter the sandbox: %s\n", strerror(-rc));
		return 2;
	}
	for (uint32_t i = 0; i < n; i++) {
		int load = wr_bundle_load_at(fd[i], &bundle[i], &e);

		if (rc == 0)
			rc = load;
	}
	c.nbundles = n;
	if (rc == 0)
		rc = wr_compile_run(&c, &e);
	if (rc != 0 && e.nerrors == 0)
		wr_bundle_error_add(&e, "", 0, "%s", strerror(-rc));
	wr_compile_report(&c, rc, &e, stdout);
	return rc == 0 ? 0 : rc == -ENOMEM || rc == -EIO || rc == -ENOSPC ? 2 : 1;
}
