/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "compile/bench.h"
#include "compile/compile.h"

static bool feed_file(EVP_MD_CTX *md, int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		WR_ASSERT(EVP_DigestUpdate(md, buf, (size_t)n) == 1);
	close(fd);
	return n == 0;
}

/*
 * What the record calls the bundle: the hash of SHA256SUMS, which covers every file. A folder
 * without one (a lab's) is named by its own files.
 */
static int bundle_hash(const struct wr_bundle *b, uint8_t sha256[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t out[EVP_MAX_MD_SIZE];
	int rc = -ENOMEM;

	if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) {
		if (!feed_file(md, b->dirfd, "SHA256SUMS")) {
			(void)feed_file(md, b->dirfd, "manifest.yaml");
			(void)feed_file(md, b->dirfd, "suppress.yaml");
			for (uint32_t i = 0; i < b->nrules; i++)
				if (i == 0 || strcmp(b->rules[i].file, b->rules[i - 1].file) != 0)
					(void)feed_file(md, b->dirfd, b->rules[i].file);
			for (uint32_t i = 0; i < b->nlists; i++)
				(void)feed_file(md, b->dirfd, b->lists[i].path);
		}
		rc = EVP_DigestFinal_ex(md, out, NULL) == 1 ? 0 : -EIO;
	}
	EVP_MD_CTX_free(md);
	if (rc == 0)
		memcpy(sha256, out, 32);
	return rc;
}

/* Shards once each; a database is there twice, as bytes and as Hyperscan's copy. */
static uint64_t memory_of(const struct wr_compile *c)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->ngroups; i++) {
		bool again = false;

		for (uint32_t k = 0; k < i; k++)
			again |= memcmp(c->group[k].shard, c->group[i].shard, 32) == 0;
		sum += again ? 0 : 2 * c->group[i].shard_bytes;
	}
	for (uint32_t i = 0; i < c->nlists; i++) {
		bool again = c->list[i].entries == 0;

		for (uint32_t k = 0; k < i && !again; k++)
			again = memcmp(c->list[k].shard, c->list[i].shard, 32) == 0;
		sum += again ? 0 : wr_out_have(c->out, c->list[i].shard);
	}
	return sum;
}

static uint32_t state_of(const struct wr_compile *c)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < c->ngroups; i++)
		most = wr_max_u32(most, c->group[i].stream_bytes);
	return (most + 63) / 64 * 64 + (c->nrules + 63) / 64 * 8;
}

static int admit(struct wr_compile *c, struct wr_bundle_errors *e)
{
	const struct wr_compile_opts *o = c->opts;
	int rc = 0;

	if (o->stream_state_bytes != 0 && c->stream_state_bytes > o->stream_state_bytes) {
		wr_bundle_error_add(
		        e, "", 0, "a stream needs %u bytes of state, this node admits %llu",
		        c->stream_state_bytes, (unsigned long long)o->stream_state_bytes);
		rc = -E2BIG;
	}
	if (o->memory_bytes != 0 && c->memory_bytes > o->memory_bytes) {
		wr_bundle_error_add(
		        e, "", 0, "the ruleset needs %llu bytes of memory, this node admits %llu",
		        (unsigned long long)c->memory_bytes, (unsigned long long)o->memory_bytes);
		rc = -E2BIG;
	}
	for (uint32_t i = 0; i < c->nbundles; i++) {
		const struct wr_bundle_budgets *b = &c->bundle[i]->budgets;
		/* A bundle answers for itself; beside others it cannot be told who needs what. */
		bool alone = c->nbundles == 1, bad = false;

		if (b->stream_state_bytes != 0 && c->stream_state_bytes > b->stream_state_bytes) {
			(alone ? wr_bundle_error_add : wr_bundle_warning_add)(
			        e, "manifest.yaml", 0,
			        "bundle `%s`: a stream needs %u bytes of state, its budget is %llu",
			        c->bundle[i]->name, c->stream_state_bytes,
			        (unsigned long long)b->stream_state_bytes);
			bad = true;
		}
		if (b->memory_bytes != 0 && c->memory_bytes > b->memory_bytes) {
			(alone ? wr_bundle_error_add : wr_bundle_warning_add)(
			        e, "manifest.yaml", 0,
			        "bundle `%s`: the ruleset needs %llu bytes of memory, its budget "
			        "is "
			        "%llu",
			        c->bundle[i]->name, (unsigned long long)c->memory_bytes,
			        (unsigned long long)b->memory_bytes);
			bad = true;
		}
		if (bad && alone)
			rc = -E2BIG;
	}
	return rc;
}

static int names(const struct wr_compile *c, struct wr_bundle_errors *e)
{
	for (uint32_t i = 0; i < c->nbundles; i++)
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(c->bundle[i]->name, c->bundle[k]->name) == 0) {
				wr_bundle_error_add(e, "manifest.yaml", 0,
				                    "two bundles are called `%s`",
				                    c->bundle[i]->name);
				return -EEXIST;
			}
	return 0;
}

int wr_compile_run(struct wr_compile *c, struct wr_bundle_errors *e)
{
	int rc = names(c, e), lists;

	if (rc != 0)
		return rc;
	c->bundle_sha256 = calloc(c->nbundles + 1u, sizeof(*c->bundle_sha256));
	if (c->bundle_sha256 == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->nbundles; i++) {
		rc = bundle_hash(c->bundle[i], c->bundle_sha256[i]);
		if (rc != 0)
			return rc;
	}
	/* Rules and lists are looked at both, so that one report holds all mistakes. */
	rc = wr_plan_rules(c, e);
	if (rc == 0)
		rc = wr_plan_groups(c, e);
	for (uint32_t i = 0; i < c->ngroups && rc == 0; i++)
		rc = wr_compile_group(c, &c->group[i], e);
	if (rc == -ENOMEM)
		return rc;
	lists = wr_compile_lists(c, e);
	if (rc == 0)
		rc = lists;
	if (rc != 0)
		return rc;
	c->memory_bytes = memory_of(c);
	c->stream_state_bytes = state_of(c);
	rc = admit(c, e);
	if (rc == 0 && c->opts->bench && c->ngroups != 0)
		rc = wr_compile_bench(c, e);
	return rc != 0 ? rc : wr_compile_meta(c, e);
}

void wr_compile_free(struct wr_compile *c)
{
	for (uint32_t i = 0; i < c->nrules; i++)
		wr_expr_free(&c->rule[i].expr);
	for (uint32_t i = 0; c->rule_index != NULL && i < c->nbundles; i++)
		free(c->rule_index[i]);
	for (uint32_t i = 0; i < c->ntypes; i++)
		free(c->type[i]);
	for (uint32_t i = 0; i < WR_META_GROUPS_MAX; i++)
		free(c->group[i].pattern);
	free(c->rule);
	free(c->rule_index);
	free(c->op);
	free(c->watch);
	free(c->list);
	free(c->suppressed);
	free(c->bundle_sha256);
}
