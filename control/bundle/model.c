/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of a bundle's files. The reference page is printed from these tables, so a key cannot
 * exist without its help text.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "bundle/private.h"
#include "bundle/schema.h"
#include "bundle/text.h"

#define AT(type, field) .at = offsetof(struct type, field)

static const char *const bools[] = { "false", "true", NULL };
static const char *const modes[] = { "off", "shadow", "canary", "enforce", NULL };
static const char *const rule_actions[] = { "none", "flag", "block", NULL };
static const char *const list_actions[] = { "flag", "block", NULL };
static const char *const severities[] = { "low", "medium", "high", "critical", NULL };
static const char *const classes[] = { "deny", "allow", NULL };
static const char *const flags[] = { "caseless", "dotall", "multiline", NULL };
static const char *const formats[] = {
	"auto",           "plain", "bsd",      "csv",  "hashdeep", "clamav", "suricata",
	"datarep",        "vics",  "ncmec",    "icse", "stix",     "misp",   "nsrl",
	"threatexchange", "te",    "stopncii", "tat",  "pdq",      NULL,
};
static_assert(WR_COUNT_OF(formats) == WR_LF_COUNT + 1, "one name per list format");

const char *wr_list_format_name(enum wr_list_format f)
{
	return (unsigned)f < WR_LF_COUNT ? formats[f] : "?";
}

const char *wr_severity_name(enum wr_severity s)
{
	return (unsigned)s < WR_COUNT_OF(severities) - 1 ? severities[s] : "?";
}

const char *wr_item_mode_name(enum wr_item_mode m)
{
	return (unsigned)m < WR_COUNT_OF(modes) - 1 ? modes[m] : "?";
}

const char *wr_algo_name(enum wr_algo a)
{
	static const char *const name[] = { "md5", "sha1", "sha256", "pdq" };

	return (unsigned)a < WR_COUNT_OF(name) ? name[a] : "?";
}

/* --- manifest.yaml ------------------------------------------------------------------- */

static const struct wr_key budget_keys[] = {
	{ .name = "stream_state_bytes",
	  .kind = WR_K_U64,
	  AT(wr_bundle_budgets, stream_state_bytes),
	  .help = "Hyperscan state of one upload" },
	{ .name = "memory_bytes",
	  .kind = WR_K_U64,
	  AT(wr_bundle_budgets, memory_bytes),
	  .help = "compiled patterns and lists in the dataplane" },
	{ .name = "cycles_per_byte",
	  .kind = WR_K_F64,
	  AT(wr_bundle_budgets, cycles_per_byte),
	  .help = "cost of the patterns, as `weir bundle bench` measures it" },
};
const struct wr_schema wr_schema_budgets = {
	"budgets", "In manifest.yaml.",
	"Limits that build and push refuse to exceed; an absent one is not checked.", budget_keys,
	WR_COUNT_OF(budget_keys)
};

static int read_budgets(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle *b = obj;

	return wr_schema_read(r, &wr_schema_budgets, n, &b->budgets);
}

static int read_format(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	(void)obj;
	if (strcmp(n->text, WR_BUNDLE_FORMAT) != 0)
		wr_bundle_error_add(r->e, r->file, n->line, "`format` must be %s",
		                    WR_BUNDLE_FORMAT);
	return 0;
}

static int read_name(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle *b = obj;

	if (n->kind != WR_NODE_SCALAR || !wr_text_id(n->text, WR_BUNDLE_NAME_MAX)) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`name` must be 1 to %u characters of a-z 0-9 . _ -",
		                    WR_BUNDLE_NAME_MAX);
		return 0;
	}
	b->name = wr_arena_strndup(r->a, n->text, n->len);
	return b->name == NULL ? -ENOMEM : 0;
}

static const struct wr_key list_keys[] = {
	{ .name = "id",
	  .kind = WR_K_ID,
	  .required = 1,
	  .max = WR_BUNDLE_ID_MAX,
	  AT(wr_bundle_list, id),
	  .help = "unique among the lists of the bundle" },
	{ .name = "file",
	  .kind = WR_K_STR,
	  .required = 1,
	  .max = 255,
	  AT(wr_bundle_list, path),
	  .help = "below `lists/`" },
	{ .name = "format",
	  .kind = WR_K_WORD,
	  .words = formats,
	  .dflt = "auto",
	  AT(wr_bundle_list, format),
	  .help = "what the file is; `auto` detects it" },
	{ .name = "class",
	  .kind = WR_K_WORD,
	  .words = classes,
	  .dflt = "deny",
	  AT(wr_bundle_list, allow),
	  .help = "`allow` exempts from the deny lists of the same owner in the same bundle, from "
	          "nothing else" },
	{ .name = "owner",
	  .kind = WR_K_STR,
	  .max = 64,
	  AT(wr_bundle_list, owner),
	  .help = "who answers for the list; required with `class: allow`" },
	{ .name = "action",
	  .kind = WR_K_WORD,
	  .words = list_actions,
	  .min = WR_A_FLAG,
	  .dflt = "block",
	  AT(wr_bundle_list, action),
	  .help = "what a match asks for" },
	{ .name = "mode",
	  .kind = WR_K_WORD,
	  .words = modes,
	  .dflt = "enforce",
	  AT(wr_bundle_list, mode),
	  .help = "`shadow` only records; `canary` applies to a share of the uploads" },
	{ .name = "canary_percent",
	  .kind = WR_K_PPM,
	  .min = 1,
	  .max = 1000000,
	  AT(wr_bundle_list, canary_ppm),
	  .help = "share of the uploads with `mode: canary`; the same upload id always falls on "
	          "the same side" },
	{ .name = "severity",
	  .kind = WR_K_WORD,
	  .words = severities,
	  .dflt = "medium",
	  AT(wr_bundle_list, severity),
	  .help = "for people and alerts; changes no decision" },
	{ .name = "basis",
	  .kind = WR_K_STR,
	  .max = 512,
	  AT(wr_bundle_list, basis),
	  .help = "the lawful basis, kept in the record" },
	{ .name = "valid_until",
	  .kind = WR_K_TIME,
	  AT(wr_bundle_list, valid_until),
	  .help = "past it the list is off" },
	{ .name = "regions",
	  .kind = WR_K_STRS,
	  .max = WR_BUNDLE_REGIONS_MAX,
	  AT(wr_bundle_list, regions),
	  .count_at = offsetof(struct wr_bundle_list, nregions),
	  .help = "the list is off where `region` of weir.yaml is not one of these; absent = "
	          "everywhere" },
	{ .name = "categories",
	  .kind = WR_K_STRS,
	  .max = 64,
	  AT(wr_bundle_list, categories),
	  .count_at = offsetof(struct wr_bundle_list, ncategories),
	  .help = "take only entries of these categories or classifications (VICS, NCMEC, ICSE "
	          "baseline, CSV column `category`)" },
	{ .name = "max_bad_lines",
	  .kind = WR_K_U64,
	  .dflt = "0",
	  AT(wr_bundle_list, max_bad_lines),
	  .help = "more unreadable lines than this refuse the bundle" },
	{ .name = "max_distance",
	  .kind = WR_K_U8,
	  .max = 31,
	  .dflt = "31",
	  AT(wr_bundle_list, max_distance),
	  .help = "PDQ: bits that may differ" },
	{ .name = "min_quality",
	  .kind = WR_K_U8,
	  .max = 100,
	  .dflt = "50",
	  AT(wr_bundle_list, min_quality),
	  .help = "PDQ: uploads and entries below this quality do not match" },
	{ .name = "dihedral",
	  .kind = WR_K_BOOL,
	  .words = bools,
	  .dflt = "true",
	  AT(wr_bundle_list, dihedral),
	  .help = "PDQ: also match turned and mirrored images" },
	{ .name = "meta",
	  .kind = WR_K_META,
	  AT(wr_bundle_list, category),
	  .help = "your own keys; `meta.category` is copied to the record" },
};
const struct wr_schema wr_schema_list = {
	"list", "An element of `lists` in manifest.yaml.",
	"One file of digests or perceptual hashes and what a match means.", list_keys,
	WR_COUNT_OF(list_keys)
};

static int read_lists(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle *b = obj;
	uint32_t i = 0;

	if (n->kind != WR_NODE_SEQ || n->n > WR_BUNDLE_LISTS_MAX) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`lists` must be a sequence of at most %u mappings",
		                    WR_BUNDLE_LISTS_MAX);
		return 0;
	}
	b->lists = wr_arena_array(r->a, n->n + 1, sizeof(*b->lists));
	if (b->lists == NULL)
		return -ENOMEM;
	for (const struct wr_node *c = n->first; c != NULL; c = c->next, i++) {
		int rc = wr_schema_read(r, &wr_schema_list, c, &b->lists[i]);

		if (rc != 0)
			return rc;
		b->lists[i].line = c->line;
	}
	b->nlists = i;
	return 0;
}

static const struct wr_key manifest_keys[] = {
	{ .name = "format",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_format,
	  .form = "`weir-bundle/1`",
	  .help = "the version of this format" },
	{ .name = "name",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_name,
	  .form = "id, at most 39 characters",
	  .help = "a new version replaces the bundle of the same name" },
	{ .name = "version",
	  .kind = WR_K_U64,
	  .required = 1,
	  .min = 1,
	  .max = INT64_MAX,
	  AT(wr_bundle, version),
	  .help = "must grow with every push" },
	{ .name = "created",
	  .kind = WR_K_TIME,
	  .required = 1,
	  AT(wr_bundle, created),
	  .help = "when this version was made; also the time of every file in the archive" },
	{ .name = "expires",
	  .kind = WR_K_TIME,
	  AT(wr_bundle, expires),
	  .help = "an expired bundle goes on working; weir.yaml `policy.bundle_expired` says what "
	          "else happens. It cannot be pushed" },
	{ .name = "min_engine",
	  .kind = WR_K_STR,
	  .max = 16,
	  AT(wr_bundle, min_engine),
	  .help = "the oldest Weir that understands the bundle" },
	{ .name = "rolls_back_to",
	  .kind = WR_K_U64,
	  .min = 1,
	  .max = INT64_MAX,
	  AT(wr_bundle, rolls_back_to),
	  .help = "says that this version deliberately restores an earlier one" },
	{ .name = "budgets",
	  .kind = WR_K_CUSTOM,
	  .read = read_budgets,
	  .form = "mapping, see budgets",
	  .help = "limits that build and push refuse to exceed" },
	{ .name = "meta", .kind = WR_K_META, AT(wr_bundle, category), .help = "your own keys" },
	{ .name = "lists",
	  .kind = WR_K_CUSTOM,
	  .read = read_lists,
	  .form = "sequence, see list",
	  .help = "digest and perceptual hash lists" },
};
const struct wr_schema wr_schema_manifest = { "manifest", "The file manifest.yaml.",
	                                      "What the bundle is and which lists it has.",
	                                      manifest_keys, WR_COUNT_OF(manifest_keys) };

/* --- rules --------------------------------------------------------------------------- */

static const struct wr_key at_keys[] = {
	{ .name = "from",
	  .kind = WR_K_U64,
	  .dflt = "0",
	  .max = INT64_MAX,
	  AT(wr_bundle_rule, at_from),
	  .help = "first byte of the object that the match may use" },
	{ .name = "to",
	  .kind = WR_K_U64,
	  .max = INT64_MAX,
	  AT(wr_bundle_rule, at_to),
	  .help = "one behind the last byte; absent = the end of the object" },
};
const struct wr_schema wr_schema_at = { "at", "In a rule.",
	                                "Where in the object the whole match must lie. `at: end` "
	                                "instead of a mapping: the match ends at the last byte.",
	                                at_keys, WR_COUNT_OF(at_keys) };

static int read_at(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle_rule *rule = obj;
	int rc;

	if (n->kind == WR_NODE_SCALAR && strcmp(n->text, "end") == 0) {
		rule->at = WR_AT_END;
		return 0;
	}
	if (n->kind != WR_NODE_MAP) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`at` must be `end` or a mapping with `from` and `to`");
		return 0;
	}
	rule->at_to = UINT64_MAX;
	rc = wr_schema_read(r, &wr_schema_at, n, rule);
	rule->at = WR_AT_RANGE;
	if (rc == 0 && rule->at_from >= rule->at_to)
		wr_bundle_error_add(r->e, r->file, n->line, "`at.from` must be below `at.to`");
	return rc;
}

static int read_text(struct wr_reader *r, const struct wr_node *n, struct wr_bundle_rule *rule,
                     enum wr_rule_kind kind)
{
	if (n->kind != WR_NODE_SCALAR || n->len == 0 || n->len > WR_BUNDLE_PATTERN_MAX) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "a pattern must be a text of 1 to %u bytes",
		                    WR_BUNDLE_PATTERN_MAX);
		return 0;
	}
	if (rule->text != NULL) {
		wr_bundle_error_add(
		        r->e, r->file, n->line,
		        "a rule has one of `pattern`, `literal`, `hex`, `condition`, not several");
		return 0;
	}
	rule->kind = (uint8_t)kind;
	rule->text = wr_arena_strndup(r->a, n->text, n->len);
	rule->text_len = n->len;
	return rule->text == NULL ? -ENOMEM : 0;
}

static int read_pattern(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return read_text(r, n, obj, WR_RULE_PATTERN);
}

static int read_literal(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return read_text(r, n, obj, WR_RULE_LITERAL);
}

static int read_hex(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return read_text(r, n, obj, WR_RULE_HEX);
}

static int read_condition(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	return read_text(r, n, obj, WR_RULE_CONDITION);
}

static int read_references(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	(void)obj;
	if (n->kind != WR_NODE_SEQ)
		wr_bundle_error_add(r->e, r->file, n->line, "`references` must be a list of texts");
	return 0;
}

static const struct wr_key rule_keys[] = {
	{ .name = "id",
	  .kind = WR_K_ID,
	  .required = 1,
	  .max = WR_BUNDLE_ID_MAX,
	  AT(wr_bundle_rule, id),
	  .help = "unique among the rules of the bundle" },
	{ .name = "pattern",
	  .kind = WR_K_CUSTOM,
	  .read = read_pattern,
	  .form = "regular expression",
	  .help = "Hyperscan's subset of PCRE, on bytes" },
	{ .name = "literal",
	  .kind = WR_K_CUSTOM,
	  .read = read_literal,
	  .form = "text",
	  .help = "the bytes as they stand" },
	{ .name = "hex",
	  .kind = WR_K_CUSTOM,
	  .read = read_hex,
	  .form = "hex digits, `??`, `[n-m]`",
	  .help = "bytes in hex; `??` is any byte, `[n-m]` a gap of n to m bytes" },
	{ .name = "condition",
	  .kind = WR_K_CUSTOM,
	  .read = read_condition,
	  .form = "rule ids with `&`, `\\|`, `!` and parentheses",
	  .help = "a combination of other rules that the object has hit; with `!` it is decided at "
	          "the end of the object" },
	{ .name = "flags",
	  .kind = WR_K_WORDS,
	  .words = flags,
	  AT(wr_bundle_rule, flags),
	  .help = "as in PCRE; they concern pattern, literal and hex" },
	{ .name = "at",
	  .kind = WR_K_CUSTOM,
	  .read = read_at,
	  .form = "`end` or mapping, see at",
	  .help = "where the match must lie" },
	{ .name = "types",
	  .kind = WR_K_STRS,
	  .max = WR_BUNDLE_TYPES_MAX,
	  AT(wr_bundle_rule, types),
	  .count_at = offsetof(struct wr_bundle_rule, ntypes),
	  .help = "only in objects whose sniffed type is one of these; absent = all" },
	{ .name = "action",
	  .kind = WR_K_WORD,
	  .required = 1,
	  .words = rule_actions,
	  AT(wr_bundle_rule, action),
	  .help = "what a match asks for; `none` is for helpers of combinations" },
	{ .name = "mode",
	  .kind = WR_K_WORD,
	  .words = modes,
	  .dflt = "enforce",
	  AT(wr_bundle_rule, mode),
	  .help = "`shadow` only records; `canary` applies to a share of the uploads" },
	{ .name = "canary_percent",
	  .kind = WR_K_PPM,
	  .min = 1,
	  .max = 1000000,
	  AT(wr_bundle_rule, canary_ppm),
	  .help = "share of the uploads with `mode: canary`" },
	{ .name = "severity",
	  .kind = WR_K_WORD,
	  .words = severities,
	  .dflt = "medium",
	  AT(wr_bundle_rule, severity),
	  .help = "for people and alerts; changes no decision" },
	{ .name = "description",
	  .kind = WR_K_STR,
	  .max = 4096,
	  AT(wr_bundle_rule, description),
	  .help = "what it finds and what to do" },
	{ .name = "references",
	  .kind = WR_K_CUSTOM,
	  .read = read_references,
	  .form = "list of texts",
	  .help = "where to read more" },
	{ .name = "added_in",
	  .kind = WR_K_U64,
	  AT(wr_bundle_rule, added_in),
	  .help = "bundle version that brought the rule" },
	{ .name = "meta",
	  .kind = WR_K_META,
	  AT(wr_bundle_rule, category),
	  .help = "your own keys; `meta.category` is copied to the record" },
};
const struct wr_schema wr_schema_rule = { "rule", "An element of `rules` in rules/*.yaml.",
	                                  "One byte pattern or one combination of them.", rule_keys,
	                                  WR_COUNT_OF(rule_keys) };

static int read_rules(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle *b = obj;
	struct wr_bundle_rule *all;
	char *file = wr_arena_strndup(r->a, r->file, strlen(r->file));

	if (n->kind != WR_NODE_SEQ || n->n > WR_BUNDLE_RULES_MAX - b->nrules) {
		wr_bundle_error_add(r->e, r->file, n->line,
		                    "`rules` must be a sequence, and a bundle has at most %u rules",
		                    WR_BUNDLE_RULES_MAX);
		return 0;
	}
	all = wr_arena_array(r->a, (size_t)b->nrules + n->n + 1, sizeof(*all));
	if (all == NULL || file == NULL)
		return -ENOMEM;
	if (b->nrules != 0)
		memcpy(all, b->rules, b->nrules * sizeof(*all));
	b->rules = all;
	for (const struct wr_node *c = n->first; c != NULL; c = c->next) {
		struct wr_bundle_rule *rule = &all[b->nrules++];
		int rc = wr_schema_read(r, &wr_schema_rule, c, rule);

		if (rc != 0)
			return rc;
		rule->line = c->line;
		rule->file = file;
		if (rule->text == NULL) {
			wr_bundle_error_add(
			        r->e, r->file, c->line,
			        "a rule needs one of `pattern`, `literal`, `hex`, `condition`");
			rule->text = (char *)(uintptr_t) "";
		}
	}
	return 0;
}

static const struct wr_key rules_keys[] = {
	{ .name = "rules",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_rules,
	  .form = "sequence, see rule",
	  .help = "byte patterns and combinations" },
};
const struct wr_schema wr_schema_rules = { "rules", "The files rules/*.yaml.",
	                                   "A sequence of rules.", rules_keys,
	                                   WR_COUNT_OF(rules_keys) };

/* --- suppress.yaml ------------------------------------------------------------------- */

int wr_bundle_read_digest(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle_suppress *s = obj;
	const char *colon = n->kind == WR_NODE_SCALAR ? strchr(n->text, ':') : NULL;

	for (unsigned a = 0; colon != NULL && a < WR_ALGO_COUNT; a++) {
		static const uint8_t bytes[WR_ALGO_COUNT] = { 16, 20, 32, 32 };
		const char *name = wr_algo_name((enum wr_algo)a);
		size_t len = (size_t)(colon - n->text);

		if (strlen(name) == len && memcmp(name, n->text, len) == 0 &&
		    strlen(colon + 1) == 2u * bytes[a] &&
		    wr_text_hex(colon + 1, s->digest, bytes[a])) {
			s->has_digest = 1;
			s->algo = (uint8_t)a;
			return 0;
		}
	}
	wr_bundle_error_add(r->e, r->file, n->line,
	                    "`digest` must be md5:, sha1:, sha256: or pdq: and the hex digits");
	return 0;
}

static const struct wr_key suppress_keys[] = {
	{ .name = "item",
	  .kind = WR_K_STR,
	  .required = 1,
	  .max = 72,
	  AT(wr_bundle_suppress, item),
	  .help = "`rule:ID` or `list:ID`" },
	{ .name = "digest",
	  .kind = WR_K_CUSTOM,
	  .read = wr_bundle_read_digest,
	  .form = "`md5:HEX` ...",
	  .help = "only this entry of the list; absent = the whole list" },
	{ .name = "reason",
	  .kind = WR_K_STR,
	  .required = 1,
	  .max = 512,
	  AT(wr_bundle_suppress, reason),
	  .help = "why, for whoever reads it later" },
	{ .name = "ticket",
	  .kind = WR_K_STR,
	  .max = 128,
	  AT(wr_bundle_suppress, ticket),
	  .help = "where it is being worked on" },
	{ .name = "expires",
	  .kind = WR_K_TIME,
	  AT(wr_bundle_suppress, expires),
	  .help = "past it the entry is back; absent = until the line is removed" },
};
const struct wr_schema wr_schema_suppress = {
	"suppression", "An element of `suppress` in suppress.yaml.",
	"An entry switched off; it is kept and shown, never deleted.", suppress_keys,
	WR_COUNT_OF(suppress_keys)
};

static int read_suppress(struct wr_reader *r, const struct wr_node *n, void *obj)
{
	struct wr_bundle *b = obj;
	uint32_t i = 0;

	if (n->kind != WR_NODE_SEQ) {
		wr_bundle_error_add(r->e, r->file, n->line, "`suppress` must be a sequence");
		return 0;
	}
	b->suppress = wr_arena_array(r->a, n->n + 1, sizeof(*b->suppress));
	if (b->suppress == NULL)
		return -ENOMEM;
	for (const struct wr_node *c = n->first; c != NULL; c = c->next, i++) {
		int rc = wr_schema_read(r, &wr_schema_suppress, c, &b->suppress[i]);

		if (rc != 0)
			return rc;
		b->suppress[i].line = c->line;
	}
	b->nsuppress = i;
	return 0;
}

static const struct wr_key suppressions_keys[] = {
	{ .name = "suppress",
	  .kind = WR_K_CUSTOM,
	  .required = 1,
	  .read = read_suppress,
	  .form = "sequence, see suppression",
	  .help = "what is switched off" },
};
const struct wr_schema wr_schema_suppressions = { "suppressions", "The file suppress.yaml.",
	                                          "Entries switched off.", suppressions_keys,
	                                          WR_COUNT_OF(suppressions_keys) };
