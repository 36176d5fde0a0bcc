/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * folder - a bundle in a temporary folder, for tests: made, filled, removed.
 */
#ifndef WR_TESTS_BUNDLE_FOLDER_H
#define WR_TESTS_BUNDLE_FOLDER_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int folder_rm_one(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(p);
}

__attribute__((unused)) static void folder_remove(void)
{
	if (folder[0] != '\0')
		nftw(folder, folder_rm_one, 16, FTW_DEPTH | FTW_PHYS);
	folder[0] = '\0';
}

__attribute__((unused)) static const char *folder_new(void)
{
	folder_remove();
	strcpy(folder, "/tmp/wr-bundle-XXXXXX");
	if (mkdtemp(folder) == NULL)
		abort();
	return folder;
}

__attribute__((unused)) static const char *folder_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* Writes a file, making the folders of its name. */
__attribute__((unused)) static void folder_put_bytes(const char *name, const void *p, size_t n)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (char *s = path + strlen(folder) + 1; (s = strchr(s, '/')) != NULL; s++) {
		*s = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			abort();
		*s = '/';
	}
	f = fopen(path, "wb");
	if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		abort();
}

__attribute__((unused)) static void folder_put(const char *name, const char *text)
{
	folder_put_bytes(name, text, strlen(text));
}

#endif
