/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hsdb - one pattern group as a serialized Hyperscan database in a shard.
 *
 * The source key covers all that decides the bytes: the expressions in order, Hyperscan's version,
 * the CPU features it compiles for. Ids inside the database are positions in the group, so a rule
 * that is renamed, or whose action changes, leaves the shard as it is.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "compile/compile.h"

static void feed(EVP_MD_CTX *md, const void *p, size_t n)
{
	WR_ASSERT(EVP_DigestUpdate(md, p, n) == 1);
}

static int source_key(const struct wr_compile *c, const struct wr_plan_group *g,
                      const hs_platform_info_t *platform, uint8_t key[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t out[EVP_MAX_MD_SIZE];
	uint32_t version = WR_ARTIFACT_VERSION;

	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		return -ENOMEM;
	}
	feed(md, "weir hsdb", 10);
	feed(md, &version, sizeof(version));
	feed(md, hs_version(), strlen(hs_version()) + 1);
	feed(md, &platform->tune, sizeof(platform->tune));
	feed(md, &platform->cpu_features, sizeof(platform->cpu_features));
	for (uint32_t i = 0; i < g->npatterns; i++) {
		const struct wr_expr *x = &c->rule[g->pattern[i]].expr;

		feed(md, x->text, strlen(x->text) + 1);
		feed(md, &x->flags, sizeof(x->flags));
		feed(md, &x->ext.flags, sizeof(x->ext.flags));
		feed(md, &x->ext.min_offset, sizeof(x->ext.min_offset));
		feed(md, &x->ext.max_offset, sizeof(x->ext.max_offset));
	}
	WR_ASSERT(EVP_DigestFinal_ex(md, out, NULL) == 1);
	EVP_MD_CTX_free(md);
	memcpy(key, out, 32);
	return 0;
}

int wr_hs_compile(const struct wr_compile *c, const uint32_t *pattern, uint32_t n,
                  uint32_t drop_flags, hs_database_t **db, struct wr_bundle_errors *e)
{
	const char **text = calloc(n + 1u, sizeof(*text));
	const hs_expr_ext_t **ext = calloc(n + 1u, sizeof(*ext));
	unsigned *flags = calloc(n + 1u, sizeof(*flags)), *id = calloc(n + 1u, sizeof(*id));
	hs_compile_error_t *err = NULL;
	int rc = text != NULL && ext != NULL && flags != NULL && id != NULL ? 0 : -ENOMEM;

	*db = NULL;
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		const struct wr_expr *x = &c->rule[pattern[i]].expr;

		text[i] = x->text;
		ext[i] = &x->ext;
		flags[i] = x->flags & ~drop_flags;
		id[i] = i;
	}
	if (rc == 0 && hs_compile_ext_multi(text, flags, id, ext, n, HS_MODE_STREAM, NULL, db,
	                                    &err) != HS_SUCCESS) {
		const struct wr_bundle_rule *r = NULL;

		if (err->expression >= 0 && (uint32_t)err->expression < n)
			r = c->rule[pattern[err->expression]].r;
		if (r != NULL)
			wr_bundle_error_add(e, r->file, r->line, "rule `%s`: %s", r->id,
			                    err->message);
		else
			wr_bundle_error_add(e, "rules", 0, "Hyperscan: %s", err->message);
		hs_free_compile_error(err);
		rc = -EBADMSG;
	}
	free(text);
	free(ext);
	free(flags);
	free(id);
	return rc;
}

static int write_shard(struct wr_compile *c, struct wr_plan_group *g, const uint8_t key[32],
                       uint64_t features, const hs_database_t *db)
{
	struct wr_hsdb head = { .cpu_features = features, .npatterns = g->npatterns };
	size_t n = 0, stream = 0, room = sizeof(head.hs_version);
	char *bytes = NULL;
	uint8_t *shard;
	int rc;

	if (hs_stream_size(db, &stream) != HS_SUCCESS || stream > UINT32_MAX ||
	    hs_serialize_database(db, &bytes, &n) != HS_SUCCESS)
		return -ENOMEM;
	strncpy(head.hs_version, hs_version(), room - 1);
	head.stream_bytes = (uint32_t)stream;
	head.db = (struct wr_range){ .off = (sizeof(head) + 63) / 64 * 64, .count = n };
	head.shard = (struct wr_shard){ .magic = WR_SHARD_MAGIC,
		                        .version = WR_ARTIFACT_VERSION,
		                        .kind = WR_SHARD_HSDB,
		                        .bytes = head.db.off + n };
	memcpy(head.shard.source, key, 32);
	shard = calloc(1, head.shard.bytes);
	if (shard == NULL) {
		free(bytes);
		return -ENOMEM;
	}
	memcpy(shard, &head, sizeof(head));
	memcpy(shard + head.db.off, bytes, n);
	free(bytes);
	rc = wr_out_write(c->out, shard, head.shard.bytes, g->shard);
	free(shard);
	g->stream_bytes = head.stream_bytes;
	g->shard_bytes = head.shard.bytes;
	return rc;
}

/* "SHARDHEX STREAM_BYTES" */
static bool reuse(struct wr_compile *c, struct wr_plan_group *g, const uint8_t key[32])
{
	char text[128];
	unsigned stream;

	if (wr_out_key_get(c->out, key, text, sizeof(text)) != 0 ||
	    !wr_out_unhex(text, g->shard, 32) || sscanf(text + 64, " %u", &stream) != 1)
		return false;
	g->shard_bytes = wr_out_have(c->out, g->shard);
	g->stream_bytes = stream;
	return g->reused = g->shard_bytes != 0;
}

int wr_compile_group(struct wr_compile *c, struct wr_plan_group *g, struct wr_bundle_errors *e)
{
	hs_platform_info_t platform;
	hs_database_t *db = NULL;
	char text[128];
	uint8_t key[32];
	int rc;

	if (g->npatterns == 0)
		return 0;
	memset(&platform, 0, sizeof(platform));
	if (hs_populate_platform(&platform) != HS_SUCCESS) {
		wr_bundle_error_add(e, "", 0,
		                    "Hyperscan does not run on this CPU (it needs SSSE3)");
		return -ENOTSUP;
	}
	rc = source_key(c, g, &platform, key);
	if (rc != 0 || reuse(c, g, key))
		return rc;
	rc = wr_hs_compile(c, g->pattern, g->npatterns, 0, &db, e);
	if (rc != 0)
		return rc;
	rc = write_shard(c, g, key, platform.cpu_features, db);
	hs_free_database(db);
	if (rc != 0) {
		wr_bundle_error_add(e, "", 0, "cannot write a pattern shard: %s", strerror(-rc));
		return rc;
	}
	wr_out_hex(g->shard, 32, text);
	snprintf(text + 64, sizeof(text) - 64, " %u\n", g->stream_bytes);
	return wr_out_key_put(c->out, key, text);
}
