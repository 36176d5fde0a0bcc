/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/private.h"

/* Reads one YAML file into obj; -ENOENT when it is absent, 0 when its mistakes are in the errors.
 */
static int read_file(struct wr_reader *r, const char *path, const struct wr_schema *s)
{
	struct wr_node *root;
	uint8_t *p = NULL;
	size_t n = 0;
	int rc = wr_bundle_slurp(r->b->dirfd, path, WR_BUNDLE_YAML_MAX, &p, &n);

	if (rc != 0) {
		if (rc != -ENOENT)
			wr_bundle_error_add(r->e, path, 0, "cannot be read: %s%s", strerror(-rc),
			                    rc == -EFBIG ? " (limit 64 MiB)" : "");
		return rc;
	}
	r->file = path;
	rc = wr_yaml_parse(r->a, path, p, n, &root, r->e);
	if (rc == 0)
		rc = wr_schema_read(r, s, root, r->b);
	free(p);
	return rc;
}

static int read_rule_files(struct wr_reader *r)
{
	uint32_t before = r->e->nerrors;
	char **name;
	uint32_t n;
	int rc = wr_bundle_dir(r, r->b->dirfd, "rules", &name, &n);

	if (rc == -ENOENT)
		return 0; /* a bundle of lists only */
	if (rc != 0) {
		if (r->e->nerrors == before)
			wr_bundle_error_add(r->e, "rules", 0, "cannot be read: %s", strerror(-rc));
		return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		char path[512];

		if (snprintf(path, sizeof(path), "rules/%s", name[i]) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		rc = read_file(r, path, &wr_schema_rules);
		/* One unreadable file must not hide the mistakes of the next. */
		if (rc == -ENOMEM)
			return rc;
	}
	return 0;
}

static int read_all(struct wr_reader *r)
{
	int rc = read_file(r, "manifest.yaml", &wr_schema_manifest);

	if (rc == -ENOENT)
		wr_bundle_error_add(r->e, "manifest.yaml", 0,
		                    "there is none: this is not a bundle (see `weir bundle init`)");
	if (rc != 0)
		return rc;
	rc = read_rule_files(r);
	if (rc != 0)
		return rc;
	rc = read_file(r, "suppress.yaml", &wr_schema_suppressions);
	if (rc == -ENOMEM)
		return rc;
	if (r->b->name == NULL && (r->b->name = wr_arena_strndup(r->a, "", 0)) == NULL)
		return -ENOMEM;
	rc = read_file(r, ".overlay.yaml", &wr_schema_overlays);
	if (rc == -ENOMEM)
		return rc;
	rc = wr_bundle_index(r);
	return rc != 0 ? rc : wr_bundle_check(r);
}

int wr_bundle_load_at(int dirfd, struct wr_bundle **out, struct wr_bundle_errors *e)
{
	uint32_t before = e->nerrors;
	struct wr_bundle *b = calloc(1, sizeof(*b));
	struct wr_reader r = { .e = e, .b = b };
	int rc = -ENOMEM;

	*out = NULL;
	if (b == NULL)
		return rc;
	b->dirfd = -1;
	b->priv = calloc(1, sizeof(*b->priv));
	if (b->priv == NULL)
		goto fail;
	r.a = &b->priv->arena;
	b->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (b->dirfd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = read_all(&r);
	if (rc == 0 && e->nerrors != before)
		rc = -EBADMSG;
	if (rc != 0)
		goto fail;
	*out = b;
	return 0;
fail:
	wr_bundle_free(b);
	return rc;
}

int wr_bundle_load(const char *dir, struct wr_bundle **out, struct wr_bundle_errors *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	*out = NULL;
	if (fd < 0) {
		rc = -errno;
		wr_bundle_error_add(e, dir, 0, "cannot be opened: %s", strerror(-rc));
		return rc;
	}
	rc = wr_bundle_load_at(fd, out, e);
	close(fd);
	return rc;
}

void wr_bundle_free(struct wr_bundle *b)
{
	if (b == NULL)
		return;
	if (b->dirfd >= 0)
		close(b->dirfd);
	if (b->priv != NULL) {
		wr_arena_free(&b->priv->arena);
		free(b->priv);
	}
	free(b);
}
