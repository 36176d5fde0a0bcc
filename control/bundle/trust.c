/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/private.h"
#include "bundle/ship.h"
#include "bundle/ship_private.h"
#include "bundle/text.h"

#define SIGNATURE_BYTES 4096u

struct check {
	int dirfd;
	const struct wr_ship_trust *(*find)(void *ctx, const char *name);
	void *ctx;
	const struct wr_ship_trust *trust;
	struct wr_verified *v;
	struct wr_refusal *r;
	uint8_t *sums;
	size_t nsums;
	bool unknown_name;
};

/* "weir-bundle NAME VERSION" */
static bool read_comment(const char *comment, char name[WR_BUNDLE_NAME_MAX + 1], uint64_t *version)
{
	static const char head[] = "weir-bundle ";
	const char *space;
	size_t n;

	if (strncmp(comment, head, sizeof(head) - 1) != 0)
		return false;
	comment += sizeof(head) - 1;
	space = strchr(comment, ' ');
	n = space == NULL ? 0 : (size_t)(space - comment);
	if (n == 0 || n > WR_BUNDLE_NAME_MAX)
		return false;
	memcpy(name, comment, n);
	name[n] = '\0';
	return wr_text_id(name, WR_BUNDLE_NAME_MAX) && wr_text_u64(space + 1, version) &&
	       *version != 0;
}

static int verify_signature(struct check *c, const char *path, const struct wr_signature *s)
{
	char name[WR_BUNDLE_NAME_MAX + 1], id[17];
	const struct wr_ship_trust *t;
	uint64_t version;

	wr_minisign_id(s->id, id);
	if (!read_comment(s->comment, name, &version))
		return wr_refuse(c->r, WR_REFUSE_WRONG_NAME,
		                 "%s: its trusted comment is not `weir-bundle NAME VERSION`", path);
	t = c->find(c->ctx, name);
	if (t == NULL) {
		c->unknown_name = true; /* refused below, when no signature counts */
		return 0;
	}
	for (uint32_t i = 0; i < t->nkeys && i < WR_SHIP_KEYS_MAX; i++) {
		if (memcmp(t->key[i].key.id, s->id, sizeof(s->id)) != 0)
			continue;
		if (wr_minisign_verify(&t->key[i].key, s, c->sums, c->nsums) != 0)
			return wr_refuse(c->r, WR_REFUSE_BAD_SIGNATURE,
			                 "%s: the signature of key %s (%s) does not verify", path,
			                 id, t->key[i].name);
		if (c->v->signers != 0 &&
		    (strcmp(c->v->name, name) != 0 || c->v->version != version))
			return wr_refuse(c->r, WR_REFUSE_WRONG_NAME,
			                 "%s: signatures for different bundles or versions", path);
		memcpy(c->v->name, name, sizeof(name));
		c->v->version = version;
		c->v->signers |= 1u << i;
		c->trust = t;
	}
	return 0; /* a key that we do not know counts for nothing, and harms nothing */
}

static int verify_signatures(struct check *c)
{
	struct wr_ship_files f;
	uint32_t seen = 0;
	int rc = wr_ship_walk(c->dirfd, false, &f, c->r);

	for (uint32_t i = 0; rc == 0 && i < f.n; i++) {
		const char *path = f.file[i].path;
		struct wr_signature s;
		uint8_t *p = NULL;
		size_t n = 0;

		if (!wr_ship_beside_sums(path) || strcmp(path, WR_SHIP_SUMS) == 0)
			continue;
		if (++seen > WR_SHIP_SIGNATURES_MAX)
			rc = wr_refuse(c->r, WR_REFUSE_BAD_SIGNATURE, "more than %u signatures",
			               WR_SHIP_SIGNATURES_MAX);
		else if (wr_bundle_slurp(c->dirfd, path, SIGNATURE_BYTES, &p, &n) != 0 ||
		         wr_minisign_signature((const char *)p, n, &s) != 0)
			rc = wr_refuse(c->r, WR_REFUSE_BAD_SIGNATURE,
			               "%s: not a minisign signature", path);
		else
			rc = verify_signature(c, path, &s);
		free(p);
	}
	wr_ship_files_free(&f);
	return rc;
}

/* How many of the keys that signed may ship this item? */
static uint32_t shippers(const struct check *c, const char *item)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->trust->nkeys; i++) {
		const struct wr_ship_key *k = &c->trust->key[i];
		bool may = false;

		for (uint32_t m = 0; m < k->nmay && !may; m++)
			may = wr_text_glob(k->may[m], item);
		n += may && (c->v->signers >> i & 1);
	}
	return n;
}

static int check_item(const struct check *c, const char *kind, const char *id)
{
	char item[WR_BUNDLE_ID_MAX + 16];
	uint32_t n;

	snprintf(item, sizeof(item), "%s%s", kind, id);
	n = shippers(c, item);
	if (n < c->trust->threshold)
		return wr_refuse(c->r, WR_REFUSE_UNDER_SIGNED,
		                 "%s: %u of the keys that signed may ship it, and %u must", item, n,
		                 c->trust->threshold);
	return 0;
}

static int check_items(const struct check *c, const struct wr_bundle *b)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < b->nlists; i++)
		rc = check_item(c, "list:", b->lists[i].id);
	for (uint32_t i = 0; rc == 0 && i < b->nrules; i++)
		rc = check_item(c, "rule:", b->rules[i].id);
	/* Switching an entry off is as grave as shipping it. */
	for (uint32_t i = 0; rc == 0 && i < b->nsuppress; i++)
		rc = check_item(c, "", b->suppress[i].item);
	return rc;
}

static int distinct_keys(const struct check *c)
{
	for (uint32_t i = 0; i < c->trust->nkeys; i++)
		for (uint32_t k = 0; k < i; k++)
			if (memcmp(c->trust->key[i].key.key, c->trust->key[k].key.key, 32) == 0 &&
			    (c->v->signers >> i & 1) && (c->v->signers >> k & 1))
				return wr_refuse(c->r, WR_REFUSE_NOT_TRUSTED,
				                 "weir.yaml names one key twice (%s, %s): it would "
				                 "count twice",
				                 c->trust->key[k].name, c->trust->key[i].name);
	return 0;
}

static int check_manifest(struct check *c, const struct wr_bundle *b)
{
	uint32_t n = (uint32_t)__builtin_popcount(c->v->signers);
	int rc;

	if (c->v->signers == 0) { /* allowed, or it would not have come this far */
		snprintf(c->v->name, sizeof(c->v->name), "%s", b->name);
		c->v->version = b->version;
		return 0;
	}
	if (strcmp(c->v->name, b->name) != 0 || c->v->version != b->version)
		return wr_refuse(c->r, WR_REFUSE_WRONG_NAME,
		                 "signed as %s %llu, but the manifest says %s %llu", c->v->name,
		                 (unsigned long long)c->v->version, b->name,
		                 (unsigned long long)b->version);
	if (c->trust->threshold == 0 || n < c->trust->threshold)
		return wr_refuse(c->r, WR_REFUSE_UNDER_SIGNED,
		                 "%u trusted keys signed, and %u must", n, c->trust->threshold);
	rc = distinct_keys(c);
	return rc != 0 ? rc : check_items(c, b);
}

/* Signed by nobody we know: only a lab goes on, and then before the first byte of it is parsed. */
static int check_unsigned(struct check *c)
{
	if (c->v->signers != 0)
		return 0;
	c->trust = c->find(c->ctx, NULL);
	if (c->trust != NULL && c->trust->allow_unsigned)
		return 0;
	if (c->unknown_name)
		return wr_refuse(c->r, WR_REFUSE_NOT_TRUSTED,
		                 "weir.yaml trusts no key for a bundle of this name");
	return wr_refuse(c->r, WR_REFUSE_UNSIGNED, "there is no signature of a trusted key");
}

static int load(struct check *c, struct wr_bundle **out, struct wr_bundle_errors *e)
{
	int rc = wr_bundle_load_at(c->dirfd, out, e);

	if (rc == 0 || rc == -ENOMEM)
		return rc;
	for (uint32_t i = 0; i < e->n; i++)
		if (!e->e[i].warning)
			return wr_refuse(c->r, WR_REFUSE_BAD_BUNDLE, "%s:%u: %s%s", e->e[i].file,
			                 e->e[i].line, e->e[i].message,
			                 e->nerrors > 1 ? " (and more)" : "");
	return wr_refuse(c->r, WR_REFUSE_BAD_BUNDLE, "the bundle does not load: %s", strerror(-rc));
}

int wr_ship_verify(int dirfd, const struct wr_ship_trust *(*find)(void *ctx, const char *name),
                   void *ctx, struct wr_verified *v, struct wr_bundle **out,
                   struct wr_bundle_errors *e, struct wr_refusal *r)
{
	struct check c = { .dirfd = dirfd, .find = find, .ctx = ctx, .v = v, .r = r };
	int rc;

	*out = NULL;
	*v = (struct wr_verified){ 0 };
	*r = (struct wr_refusal){ 0 };
	rc = wr_bundle_slurp(dirfd, WR_SHIP_SUMS, 4u << 20, &c.sums, &c.nsums);
	if (rc != 0)
		return wr_refuse(r, rc == -ENOENT ? WR_REFUSE_NO_SUMS : WR_REFUSE_BAD_SUMS,
		                 "SHA256SUMS: %s", strerror(-rc));
	crypto_hash_sha256(v->sums_sha256, c.sums, c.nsums);
	/* Signatures first: sums of gigabytes are computed only for someone we know. */
	rc = verify_signatures(&c);
	if (rc == 0)
		rc = check_unsigned(&c);
	if (rc == 0)
		rc = wr_ship_sums_check(dirfd, r);
	if (rc == 0)
		rc = load(&c, out, e);
	if (rc == 0)
		rc = check_manifest(&c, *out);
	if (rc != 0) {
		wr_bundle_free(*out);
		*out = NULL;
	}
	free(c.sums);
	return rc;
}
