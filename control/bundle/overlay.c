/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local overlay: `.overlay.yaml`, written by control beside a verified bundle. No bundle can
 * carry one (hidden names are refused on the way in), and it can only lower: off < shadow < canary
 * < enforce.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/private.h"
#include "bundle/schema.h"
#include "bundle/text.h"

struct overlay {
	struct wr_bundle_suppress s; /* first: its fields are read by its own reader */
	uint64_t at, expires_at;
	char *who;
	uint32_t canary_ppm;
	uint8_t mode;
};

static const char *const modes[] = { "off", "shadow", "canary", "enforce", NULL };

static const struct wr_key overlay_keys[] = {
	{ .name = "item",
	  .kind = WR_K_STR,
	  .required = 1,
	  .max = 80,
	  .at = offsetof(struct overlay, s.item),
	  .help = "`rule:ID`, `list:ID`, or a glob of them" },
	{ .name = "mode",
	  .kind = WR_K_WORD,
	  .required = 1,
	  .words = modes,
	  .at = offsetof(struct overlay, mode),
	  .help = "no more than this" },
	{ .name = "canary_percent",
	  .kind = WR_K_PPM,
	  .min = 1,
	  .max = 1000000,
	  .at = offsetof(struct overlay, canary_ppm),
	  .help = "with mode canary" },
	{ .name = "digest",
	  .kind = WR_K_CUSTOM,
	  .read = wr_bundle_read_digest,
	  .form = "`md5:HEX` ...",
	  .help = "with mode off: only this entry of the list" },
	{ .name = "reason",
	  .kind = WR_K_STR,
	  .required = 1,
	  .at = offsetof(struct overlay, s.reason),
	  .help = "why" },
	{ .name = "ticket",
	  .kind = WR_K_STR,
	  .at = offsetof(struct overlay, s.ticket),
	  .help = "where it is being worked on" },
	{ .name = "who",
	  .kind = WR_K_STR,
	  .at = offsetof(struct overlay, who),
	  .help = "who said so" },
	{ .name = "at", .kind = WR_K_U64, .at = offsetof(struct overlay, at), .help = "when" },
	{ .name = "expires",
	  .kind = WR_K_TIME,
	  .at = offsetof(struct overlay, s.expires),
	  .help = "until when" },
	{ .name = "expires_at",
	  .kind = WR_K_U64,
	  .at = offsetof(struct overlay, expires_at),
	  .help = "the same in unix seconds" },
};
static const struct wr_schema overlay_schema = { "overlay line", "Written by control.",
	                                         "Lowers an item.", overlay_keys,
	                                         WR_COUNT_OF(overlay_keys) };

static void lower(uint8_t *mode, uint32_t *ppm, const struct overlay *o)
{
	bool both = *mode == WR_ITEM_CANARY && o->mode == WR_ITEM_CANARY;

	if (both && o->canary_ppm < *ppm)
		*ppm = o->canary_ppm;
	if (o->mode >= *mode)
		return;
	*mode = o->mode;
	if (o->mode == WR_ITEM_CANARY)
		*ppm = o->canary_ppm;
}

static int add_suppression(struct wr_reader *r, const struct overlay *o)
{
	struct wr_bundle *b = r->b;
	struct wr_bundle_suppress *all =
	        wr_arena_array(r->a, (size_t)b->nsuppress + 1, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	if (b->nsuppress != 0)
		memcpy(all, b->suppress, b->nsuppress * sizeof(*all));
	all[b->nsuppress] = o->s;
	b->suppress = all;
	b->nsuppress++;
	return 0;
}

static int apply(struct wr_reader *r, const struct overlay *o)
{
	struct wr_bundle *b = r->b;
	const char *glob = strchr(o->s.item, ':');

	if (o->s.expires != 0 && o->s.expires <= (uint64_t)time(NULL))
		return 0;
	if (o->s.has_digest)
		return add_suppression(r, o);
	if (glob == NULL)
		return 0;
	glob++;
	for (uint32_t i = 0; strncmp(o->s.item, "rule:", 5) == 0 && i < b->nrules; i++)
		if (wr_text_glob(glob, b->rules[i].id))
			lower(&b->rules[i].mode, &b->rules[i].canary_ppm, o);
	for (uint32_t i = 0; strncmp(o->s.item, "list:", 5) == 0 && i < b->nlists; i++)
		if (wr_text_glob(glob, b->lists[i].id))
			lower(&b->lists[i].mode, &b->lists[i].canary_ppm, o);
	return 0;
}

static int read_overlay(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	(void)obj;
	if (n->kind != WR_NODE_SEQ) {
		wr_bundle_error_add(r->e, r->file, n->line, "`overlay` must be a sequence");
		return 0;
	}
	for (const struct wr_node *c = n->first; c != NULL; c = c->next) {
		struct overlay o = { 0 };
		int rc = wr_schema_read(r, &overlay_schema, c, &o);

		o.s.line = c->line;
		if (rc == 0 && o.s.item != NULL)
			rc = apply(r, &o);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static const struct wr_key overlays_keys[] = {
	{ .name = "overlay",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_overlay,
	  .form = "sequence",
	  .help = "what is lowered" },
};
const struct wr_schema wr_schema_overlays = { "overlay",
	                                      "The file .overlay.yaml, written by control.",
	                                      "Items lowered on this machine.", overlays_keys,
	                                      WR_COUNT_OF(overlays_keys) };
