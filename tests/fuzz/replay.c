/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over the files and folders named as arguments: a found crash stays fixed, and
 * the law is checked on the corpus in every test run, without a fuzzer. TAP output, a line a
 * folder.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf;
	long n;

	if (f == NULL)
		return 0;
	if (fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0) {
		fclose(f);
		return 0;
	}
	/* Exactly as large as the input, so that a sanitizer sees one byte too many. */
	buf = malloc((size_t)n + (n == 0));
	if (buf == NULL || fread(buf, 1, (size_t)n, f) != (size_t)n) {
		free(buf);
		fclose(f);
		return 0;
	}
	fclose(f);
	LLVMFuzzerTestOneInput(buf, (size_t)n);
	free(buf);
	return 1;
}

static int run_path(const char *path)
{
	struct stat st;
	DIR *d;
	int files = 0;

	if (stat(path, &st) != 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	d = opendir(path);
	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char child[4096];

		if (e->d_name[0] == '.')
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) < (int)sizeof(child))
			files += run_path(child);
	}
	closedir(d);
	return files;
}

int main(int argc, char **argv)
{
	int bad = 0;

	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		int n = run_path(argv[i]);

		printf("%s %d - %d inputs of %s\n", n > 0 ? "ok" : "not ok", i, n, argv[i]);
		bad += n == 0;
	}
	return bad != 0;
}
