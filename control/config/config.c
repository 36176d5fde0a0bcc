/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct wr_config {
	struct wr_tree *tree;
	struct wr_conf dp;
	struct wr_control_conf ctl;
};

static int read_file(const char *path, char **text, size_t *n, struct wr_config_report *rep)
{
	struct wr_node at = { .file = path };
	FILE *f = fopen(path, "rbe");
	char *buf;

	if (f == NULL) {
		int err = errno;

		wr_config_say(rep, &at, "cannot read: %s", strerror(err));
		return -err;
	}
	buf = malloc(WR_CONFIG_FILE_MAX + 1);
	WR_ASSERT(buf != NULL);
	*n = fread(buf, 1, WR_CONFIG_FILE_MAX + 1, f);
	if (ferror(f) != 0 || *n > WR_CONFIG_FILE_MAX) {
		wr_config_say(rep, &at,
		              ferror(f) != 0 ? "cannot read: not a file"
		                             : "larger than 1 MiB: this is no weir.yaml");
		fclose(f);
		free(buf);
		return -EFBIG;
	}
	fclose(f);
	*text = buf;
	return 0;
}

/* Takes the tree. *out holds it also after a failure, because messages point at its file names. */
static int finish(struct wr_tree *t, struct wr_config *c, struct wr_config_report *rep)
{
	unsigned before = rep->n;

	c->tree = t;
	wr_schema_check(t->root, rep);
	if (rep->n != before)
		return -EINVAL;
	return wr_config_build(t->root, &c->dp, &c->ctl, rep);
}

static struct wr_config *config_new(void)
{
	struct wr_config *c = calloc(1, sizeof(*c));

	WR_ASSERT(c != NULL);
	return c;
}

int wr_config_load_text(const char *name, const char *text, size_t n, struct wr_config **out,
                        struct wr_config_report *rep)
{
	struct wr_config *c = config_new();
	struct wr_tree *t = NULL;
	int rc = wr_tree_parse(name, text, n, &t, rep);

	*out = c;
	c->tree = t;
	return rc != 0 ? rc : finish(t, c, rep);
}

int wr_config_load(const char *const *files, unsigned nfiles, struct wr_config **out,
                   struct wr_config_report *rep)
{
	struct wr_config *c = config_new();

	*out = c;
	for (unsigned i = 0; i < nfiles; i++) {
		struct wr_tree *t = NULL;
		char *text = NULL;
		size_t n = 0;
		int rc = read_file(files[i], &text, &n, rep);

		if (rc != 0)
			return rc;
		rc = wr_tree_parse(files[i], text, n, &t, rep);
		free(text);
		if (rc != 0) {
			/* Kept for its name only. */
			t->next = c->tree;
			c->tree = t;
			return rc;
		}
		if (c->tree == NULL)
			c->tree = t;
		else
			wr_tree_merge(c->tree, t);
	}
	if (c->tree == NULL)
		return -EINVAL;
	return finish(c->tree, c, rep);
}

void wr_config_free(struct wr_config *c)
{
	if (c == NULL)
		return;
	wr_tree_free(c->tree);
	free(c);
}

const struct wr_conf *wr_config_dataplane(const struct wr_config *c)
{
	return &c->dp;
}

const struct wr_control_conf *wr_config_control(const struct wr_config *c)
{
	return &c->ctl;
}

void wr_config_show(const struct wr_config *c, FILE *f)
{
	wr_node_dump(c->tree->root, f, NULL);
}

const char *wr_config_scope_name(enum wr_config_scope s)
{
	static const char *const name[] = { "reload", "restart weir-control",
		                            "restart weir-dataplane" };

	return (unsigned)s < WR_COUNT_OF(name) ? name[s] : "?";
}
