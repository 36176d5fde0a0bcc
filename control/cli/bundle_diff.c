/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle diff: what changes when B replaces A. Digests are counted, never printed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bundle_run.h"

struct entry {
	uint8_t algo, digest[32];
};
struct entries {
	struct entry *e;
	size_t n, room;
};

static int on_entry(void *ctx, const struct wr_list_entry *le)
{
	struct entries *s = ctx;

	if (le->deleted)
		return 0;
	if (s->n == s->room) {
		size_t room = s->room == 0 ? 1024 : s->room * 2;
		struct entry *e = realloc(s->e, room * sizeof(*e));

		if (e == NULL)
			return -ENOMEM;
		s->e = e;
		s->room = room;
	}
	memset(&s->e[s->n], 0, sizeof(s->e[0]));
	s->e[s->n].algo = le->algo;
	memcpy(s->e[s->n++].digest, le->digest, le->len);
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct entry));
}

static int read_list(const struct wr_bundle *b, const struct wr_bundle_list *l, struct entries *s,
                     struct wr_bundle_errors *e)
{
	struct wr_list_stats st;
	int rc = l == NULL ? 0 : wr_list_read(b, l, on_entry, s, &st, e);

	if (s->n > 1)
		qsort(s->e, s->n, sizeof(*s->e), by_bytes);
	return rc;
}

static void count(const struct entries *a, const struct entries *b, long long *added,
                  long long *removed)
{
	size_t i = 0, k = 0;

	*added = *removed = 0;
	while (i < a->n || k < b->n) {
		int d = i == a->n ? 1 : k == b->n ? -1 : by_bytes(&a->e[i], &b->e[k]);

		*removed += d < 0;
		*added += d > 0;
		i += d <= 0;
		k += d >= 0;
	}
}

struct diff {
	struct wr_cli *c;
	const struct wr_bundle *a, *b;
	json_t *rules, *lists;
	int rc;
};

static void note(json_t *all, const char *id, const char *what, const char *detail)
{
	json_t *v = json_pack("{s:s,s:s}", "id", id, "change", what);

	if (detail[0] != '\0')
		json_object_set_new(v, "detail", json_string(detail));
	json_array_append_new(all, v);
}

static void word(char *out, size_t size, const char *key, const char *was, const char *is)
{
	if (strcmp(was, is) != 0)
		snprintf(out + strlen(out), size - strlen(out), "%s%s %s -> %s",
		         out[0] == '\0' ? "" : ", ", key, was, is);
}

static void diff_rule(struct diff *d, const struct wr_bundle_rule *x,
                      const struct wr_bundle_rule *y)
{
	char t[256] = "";

	word(t, sizeof(t), "mode", wr_item_mode_name((enum wr_item_mode)x->mode),
	     wr_item_mode_name((enum wr_item_mode)y->mode));
	word(t, sizeof(t), "action", wr_action_name((enum wr_action)x->action),
	     wr_action_name((enum wr_action)y->action));
	word(t, sizeof(t), "severity", wr_severity_name((enum wr_severity)x->severity),
	     wr_severity_name((enum wr_severity)y->severity));
	if (x->kind != y->kind || x->text_len != y->text_len ||
	    memcmp(x->text, y->text, x->text_len) != 0 || x->flags != y->flags || x->at != y->at ||
	    x->at_from != y->at_from || x->at_to != y->at_to || x->ntypes != y->ntypes)
		word(t, sizeof(t), "pattern", "old", "new");
	if (x->canary_ppm != y->canary_ppm)
		word(t, sizeof(t), "canary", "old", "new");
	if (t[0] != '\0')
		note(d->rules, y->id, "changed", t);
}

static void diff_rules(struct diff *d)
{
	for (uint32_t i = 0; i < d->b->nrules; i++) {
		const struct wr_bundle_rule *y = &d->b->rules[i];
		const struct wr_bundle_rule *x = wr_bundle_rule_get(d->a, y->id);

		if (x == NULL)
			note(d->rules, y->id, "added", "");
		else
			diff_rule(d, x, y);
	}
	for (uint32_t i = 0; i < d->a->nrules; i++)
		if (wr_bundle_rule_get(d->b, d->a->rules[i].id) == NULL)
			note(d->rules, d->a->rules[i].id, "removed", "");
}

static void diff_list(struct diff *d, const struct wr_bundle_list *x,
                      const struct wr_bundle_list *y)
{
	struct wr_bundle_errors e = { 0 };
	struct entries s = { 0 }, t = { 0 };
	char text[256] = "";
	long long added, removed;

	if (x != NULL && y != NULL) {
		word(text, sizeof(text), "mode", wr_item_mode_name((enum wr_item_mode)x->mode),
		     wr_item_mode_name((enum wr_item_mode)y->mode));
		word(text, sizeof(text), "action", wr_action_name((enum wr_action)x->action),
		     wr_action_name((enum wr_action)y->action));
		word(text, sizeof(text), "class", x->allow ? "allow" : "deny",
		     y->allow ? "allow" : "deny");
	}
	if (read_list(d->a, x, &s, &e) != 0 || read_list(d->b, y, &t, &e) != 0) {
		wr_bundle_errors_print(&e, stderr);
		d->rc = WR_EXIT_FAIL;
	}
	count(&s, &t, &added, &removed);
	if (x == NULL || y == NULL || added != 0 || removed != 0)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		         "%s%lld entries added, %lld removed", text[0] == '\0' ? "" : ", ", added,
		         removed);
	if (text[0] != '\0') {
		note(d->lists, y != NULL ? y->id : x->id,
		     x == NULL   ? "added"
		     : y == NULL ? "removed"
		                 : "changed",
		     text);
		json_object_set_new(json_array_get(d->lists, json_array_size(d->lists) - 1),
		                    "entries_added", json_integer(added));
		json_object_set_new(json_array_get(d->lists, json_array_size(d->lists) - 1),
		                    "entries_removed", json_integer(removed));
	}
	free(s.e);
	free(t.e);
	wr_bundle_errors_free(&e);
}

static void diff_lists(struct diff *d)
{
	for (uint32_t i = 0; i < d->b->nlists; i++) {
		wr_cli_progress(d->b->lists[i].id, i, d->b->nlists);
		diff_list(d, wr_bundle_list_get(d->a, d->b->lists[i].id), &d->b->lists[i]);
	}
	wr_cli_progress("", 1, 1);
	for (uint32_t i = 0; i < d->a->nlists; i++)
		if (wr_bundle_list_get(d->b, d->a->lists[i].id) == NULL)
			diff_list(d, &d->a->lists[i], NULL);
}

static void print(const char *kind, const json_t *all)
{
	json_t *v;
	size_t i;

	json_array_foreach(all, i, v)
	        printf("%s %s: %s%s%s\n", kind, wr_cli_str(v, "id"), wr_cli_str(v, "change"),
	               wr_cli_str(v, "detail")[0] == '\0' ? "" : ": ", wr_cli_str(v, "detail"));
}

static int compare(struct diff *d)
{
	size_t n;

	d->rules = json_array();
	d->lists = json_array();
	diff_rules(d);
	diff_lists(d);
	n = json_array_size(d->rules) + json_array_size(d->lists);
	if (d->c->json) {
		json_t *v = json_pack("{s:{s:s,s:I},s:{s:s,s:I},s:O,s:O}", "from", "name",
		                      d->a->name, "version", (json_int_t)d->a->version, "to",
		                      "name", d->b->name, "version", (json_int_t)d->b->version,
		                      "rules", d->rules, "lists", d->lists);

		wr_cli_print_json(v);
		json_decref(v);
	} else {
		printf("%s %llu -> %s %llu: %zu changes\n", d->a->name,
		       (unsigned long long)d->a->version, d->b->name,
		       (unsigned long long)d->b->version, n);
		print("rule", d->rules);
		print("list", d->lists);
	}
	json_decref(d->rules);
	json_decref(d->lists);
	/* As diff(1): 1 says that there are differences. */
	return d->rc != 0 ? d->rc : n != 0 ? WR_EXIT_NO : WR_EXIT_OK;
}

static int run_diff(struct wr_cli *c, int argc, char **argv)
{
	struct wr_opened o[2];
	struct wr_bundle *b[2] = { NULL, NULL };
	struct diff d = { .c = c };
	int rc;

	if (argc != 3)
		return wr_cli_usage_of(c, "bundle", "diff");
	rc = wr_opened_open(c, argv[1], &o[0]);
	if (rc != 0)
		return rc;
	rc = wr_opened_open(c, argv[2], &o[1]);
	if (rc == 0) {
		rc = wr_cli_bundle_load(c, &o[0], &b[0]);
		if (rc == 0)
			rc = wr_cli_bundle_load(c, &o[1], &b[1]);
		d.a = b[0];
		d.b = b[1];
		if (rc == 0)
			rc = compare(&d);
		wr_bundle_free(b[0]);
		wr_bundle_free(b[1]);
		wr_opened_close(&o[1]);
	}
	wr_opened_close(&o[0]);
	return rc;
}

const struct wr_cmd wr_cmds_bundle_diff[] = {
	{ "bundle", "diff", "A B",
	  "rules and list entries added, removed, changed; exit 1 when any", run_diff },
	{ 0 },
};
