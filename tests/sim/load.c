/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim/load.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int unhex(const char *s, uint8_t out[32])
{
	for (int i = 0; i < 32; i++) {
		unsigned v;

		if (sscanf(s + 2 * i, "%2x", &v) != 1)
			return -1;
		out[i] = (uint8_t)v;
	}
	return 0;
}

static int add(struct wr_shard_store *s, const char *dir, const char *hex, char *err, size_t n)
{
	char path[512];
	uint8_t sha[32];
	struct stat st;
	int fd, mem, r = -1;
	void *p;

	snprintf(path, sizeof(path), "%s/%s.shard", dir, hex);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || unhex(hex, sha) != 0) {
		snprintf(err, n, "cannot open %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	mem = memfd_create("shard", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mem >= 0 && p != MAP_FAILED && write(mem, p, (size_t)st.st_size) == st.st_size &&
	    fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		r = wr_shard_add(s, mem, (uint64_t)st.st_size, sha, err, n);
	if (p != MAP_FAILED)
		munmap(p, (size_t)st.st_size);
	if (mem >= 0)
		close(mem);
	close(fd);
	return r;
}

int sim_load_as(const char *compiler, const char *bundle, uint64_t generation,
                struct wr_ruleset **out, char *err, size_t n)
{
	struct wr_shard_store *s = wr_shard_store_new();
	char dir[] = "/tmp/weir-sim-XXXXXX", cmd[1200], line[65536];
	json_t *doc, *list;
	uint8_t meta[32];
	size_t i, len;
	json_t *v;
	FILE *f;

	if (s == NULL || mkdtemp(dir) == NULL)
		return -1;
	snprintf(cmd, sizeof(cmd), "'%s' --out %s '%s'", compiler, dir, bundle);
	f = popen(cmd, "r");
	if (f == NULL)
		return -1;
	len = fread(line, 1, sizeof(line) - 1, f);
	line[len] = '\0';
	pclose(f);
	doc = json_loads(line, 0, NULL);
	if (doc == NULL || !json_is_true(json_object_get(doc, "ok"))) {
		snprintf(err, n, "weir-compile: %.200s", line);
		return -1;
	}
	list = json_object_get(doc, "shards");
	json_array_foreach(list, i,
	                   v) if (add(s, dir, json_string_value(v), err, n) != 0) return -1;
	if (unhex(json_string_value(json_object_get(doc, "meta")), meta) != 0)
		return -1;
	if (!wr_shard_have(s, meta) &&
	    add(s, dir, json_string_value(json_object_get(doc, "meta")), err, n) != 0)
		return -1;
	json_decref(doc);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		return -1;
	return wr_ruleset_new(s, meta, generation, "", out, err, n);
}

int sim_load(const char *compiler, const char *bundle, struct wr_ruleset **out, char *err, size_t n)
{
	return sim_load_as(compiler, bundle, 1, out, err, n);
}
