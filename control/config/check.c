/* SPDX-License-Identifier: BSD-3-Clause */
/* The walk of a tree along the schema, and the grammar of each type of value. */
#include "config/schema.h"

#include "abi/reason.h"
#include "abi/verdict.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static int digits(const char **p, uint64_t *out)
{
	uint64_t v = 0;
	const char *s = *p;

	if (!isdigit((unsigned char)*s) || strspn(s, "0123456789") > 18)
		return -EINVAL;
	while (isdigit((unsigned char)*s))
		v = v * 10 + (uint64_t)(*s++ - '0');
	*p = s;
	*out = v;
	return 0;
}

static int with_unit(const char *text, bool time, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t mul;
		bool time;
	} unit[] = {
		{ "", 1, false },
		{ "KiB", 1ull << 10, false },
		{ "MiB", 1ull << 20, false },
		{ "GiB", 1ull << 30, false },
		{ "TiB", 1ull << 40, false },
		{ "ns", 1, true },
		{ "us", 1000, true },
		{ "ms", 1000000, true },
		{ "s", 1000000000ull, true },
		{ "m", 60000000000ull, true },
		{ "h", 3600000000000ull, true },
	};
	uint64_t v;

	if (digits(&text, &v) != 0)
		return -EINVAL;
	for (size_t i = 0; i < WR_COUNT_OF(unit); i++)
		if (unit[i].time == time && strcmp(unit[i].unit, text) == 0)
			return __builtin_mul_overflow(v, unit[i].mul, out) ? -ERANGE : 0;
	return -EINVAL;
}

int wr_value_u64(const struct wr_row *row, const char *text, uint64_t *out)
{
	int rc;

	switch (row->type) {
	case WR_T_SIZE: rc = with_unit(text, false, out); break;
	case WR_T_TIME: rc = with_unit(text, true, out); break;
	case WR_T_INT:
		rc = digits(&text, out);
		if (rc == 0 && *text != '\0')
			rc = -EINVAL;
		break;
	default: return -EINVAL;
	}
	if (rc == 0 && (*out < row->min || *out > row->max))
		rc = -ERANGE;
	return rc;
}

int wr_word_index(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (int i = 0;; i++) {
		size_t k = strcspn(words, "|");

		if (k == n && strncmp(words, word, n) == 0)
			return i;
		words += k;
		if (*words++ == '\0')
			return -1;
	}
}

int wr_value_net(const char *text, struct wr_conf_net *out)
{
	char addr[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
	bool v4 = memchr(text, ':', n) == NULL;
	uint64_t bits = v4 ? 32 : 128;

	memset(out, 0, sizeof(*out));
	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (slash != NULL) {
		const char *p = slash + 1;

		if (digits(&p, &bits) != 0 || *p != '\0' || bits > (v4 ? 32u : 128u))
			return -EINVAL;
	}
	if (inet_pton(v4 ? AF_INET : AF_INET6, addr, v4 ? out->addr + 12 : out->addr) != 1)
		return -EINVAL;
	if (v4) {
		out->addr[10] = out->addr[11] = 0xff;
		bits += 96;
	}
	/* Bits behind the prefix are a typo more often than a habit, but harmless: cleared. */
	for (unsigned i = 0; i < 128; i++)
		if (i >= bits)
			out->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	out->bits = (uint8_t)bits;
	return 0;
}

bool wr_device_is_pci(const char *s)
{
	static const char full[] = "xxxx:xx:xx.x", brief[] = "xx:xx.x";
	const char *shape = strlen(s) == sizeof(full) - 1 ? full : brief;

	for (; *shape != '\0'; shape++, s++)
		if (*shape == 'x' ? !isxdigit((unsigned char)*s) : *s != *shape)
			return false;
	return *s == '\0';
}

int wr_value_cpus(const char *text, uint64_t set[16])
{
	memset(set, 0, 16 * sizeof(set[0]));
	do {
		uint64_t a, b;

		if (digits(&text, &a) != 0)
			return -EINVAL;
		b = a;
		if (*text == '-' && (text++, digits(&text, &b)) != 0)
			return -EINVAL;
		if (b < a || b > 1023)
			return -EINVAL;
		for (; a <= b; a++)
			set[a / 64] |= 1ull << a % 64;
	} while (*text == ',' && *++text != '\0');
	return *text == '\0' ? 0 : -EINVAL;
}

static bool device_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (wr_device_is_pci(s))
		return true;
	return strncmp(s, "net_", 4) == 0 && n > 4 && (s[n] == '\0' || s[n] == ',');
}

static bool addr_ok(const char *s)
{
	const char *colon = strrchr(s, ':'), *p = colon != NULL ? colon + 1 : s;
	uint64_t port;

	if (*s == '\0')
		return true;
	if (colon == NULL || colon == s || digits(&p, &port) != 0 || *p != '\0' || port > 65535)
		return false;
	if (*s == '[')
		return colon[-1] == ']';
	return memchr(s, ':', (size_t)(colon - s)) == NULL;
}

static const char *unit_text(const struct wr_row *row, uint64_t v, char *buf, size_t n)
{
	if (row->type == WR_T_TIME && v % 1000000000ull == 0)
		snprintf(buf, n, "%" PRIu64 "s", v / UINT64_C(1000000000));
	else if (row->type == WR_T_TIME)
		snprintf(buf, n, "%" PRIu64 "ms", v / 1000000);
	else if (row->type == WR_T_SIZE && v >= 1u << 30 && v % (1u << 30) == 0)
		snprintf(buf, n, "%" PRIu64 "GiB", v >> 30);
	else if (row->type == WR_T_SIZE && v >= 1u << 20 && v % (1u << 20) == 0)
		snprintf(buf, n, "%" PRIu64 "MiB", v >> 20);
	else if (row->type == WR_T_SIZE && v >= 1024 && v % 1024 == 0)
		snprintf(buf, n, "%" PRIu64 "KiB", v >> 10);
	else
		snprintf(buf, n, "%" PRIu64, v);
	return buf;
}

static void check_number(const struct wr_row *row, const struct wr_node *n,
                         struct wr_config_report *rep)
{
	char lo[32], hi[32];
	uint64_t v;
	int rc = wr_value_u64(row, n->value, &v);

	if (rc == 0)
		return;
	unit_text(row, row->min, lo, sizeof(lo));
	unit_text(row, row->max, hi, sizeof(hi));
	if (rc == -ERANGE)
		wr_config_say(rep, n, "%s is %.40s; it must be between %s and %s",
		              n->key ? n->key : "value", n->value, lo, hi);
	else
		wr_config_say(rep, n, "'%.40s' is not %s (%s to %s)", n->value,
		              row->type == WR_T_SIZE   ? "a size such as 4096, 64KiB or 1GiB"
		              : row->type == WR_T_TIME ? "a time such as 100ms or 5s"
		                                       : "a whole number",
		              lo, hi);
}

static void check_scalar(const struct wr_row *row, const struct wr_node *n,
                         struct wr_config_report *rep)
{
	const char *v = n->value, *want = NULL;
	uint64_t set[16];
	size_t len = strlen(v);

	switch (row->type) {
	case WR_T_INT:
	case WR_T_SIZE:
	case WR_T_TIME: check_number(row, n, rep); return;
	case WR_T_BOOL:
		if (strcmp(v, "true") != 0 && strcmp(v, "false") != 0)
			wr_config_say(rep, n, "'%.40s' is neither true nor false", v);
		return;
	case WR_T_POLICY:
	case WR_T_ENUM:
		if (wr_word_index(row->words, v) < 0)
			wr_config_say(rep, n, "unknown value '%.40s'; one of %s", v, row->words);
		return;
	case WR_T_NAME:
		if (strspn(v, NAME_CHARS) != len)
			want = "letters, digits, '.', '_' and '-' only";
		break;
	case WR_T_DEVICE:
		if (!device_ok(v))
			want = "a PCI address (0000:3b:00.0) or a virtual device "
			       "(net_af_xdp0,iface=NAME)";
		break;
	case WR_T_CPUS:
		if (wr_value_cpus(v, set) != 0)
			wr_config_say(rep, n, "'%.40s' is no list of cores such as 0-3,8", v);
		return;
	case WR_T_ADDR:
		if (!addr_ok(v))
			want = "host:port, [v6]:port or empty";
		break;
	default: break;
	}
	if (want != NULL)
		wr_config_say(rep, n, "'%.60s' is not allowed: %s", v, want);
	else if (len < row->min || len > row->max)
		wr_config_say(rep, n, "'%.40s' has %zu bytes; allowed are %" PRIu64 " to %" PRIu64,
		              v, len, row->min, row->max);
}

/* any | scalar | list: normalised to a list, or the scalar `any`. */
static void check_set(const struct wr_row *row, struct wr_node *n, struct wr_config_report *rep)
{
	unsigned count = 0;

	if (n->kind == WR_NODE_MAP) {
		wr_config_say(rep, n, "a list is wanted");
		return;
	}
	if (n->kind == WR_NODE_SCALAR && strcmp(n->value, "any") == 0 && row->min > 0)
		return;
	if (n->kind == WR_NODE_SCALAR) {
		struct wr_node *one = wr_node_new(WR_NODE_SCALAR, n);

		one->value = n->value;
		n->value = NULL;
		n->kind = WR_NODE_LIST;
		n->child = one;
	}
	for (const struct wr_node *c = n->child; c != NULL; c = c->next, count++) {
		struct wr_conf_net net;
		const char *p = c->value;
		uint64_t port;

		if (c->kind != WR_NODE_SCALAR)
			wr_config_say(rep, c, "a plain value is wanted");
		else if (row->type == WR_T_NETS && wr_value_net(p, &net) != 0)
			wr_config_say(rep, c,
			              "'%.60s' is no address or CIDR prefix such as 10.0.0.0/8", p);
		else if (row->type == WR_T_PORTS &&
		         (digits(&p, &port) != 0 || *p != '\0' || port < 1 || port > 65535))
			wr_config_say(rep, c, "'%.40s' is no TCP port (1 to 65535)", c->value);
	}
	if (count < row->min || count > row->max)
		wr_config_say(rep, n, "%u entries; allowed are %" PRIu64 " to %" PRIu64, count,
		              row->min, row->max);
}

/* Names that may stand beside `default`: reasons and causes that this key decides. */
static bool policy_name_ok(const char *key, const char *name)
{
	for (unsigned r = 0; r < WR_R_COUNT; r++)
		if (strcmp(wr_reason_info((enum wr_reason)r)->policy, key) == 0 &&
		    strcmp(wr_reason_info((enum wr_reason)r)->name, name) == 0)
			return true;
	for (unsigned c = 1; c < WR_C_COUNT; c++)
		if (strcmp(wr_cause_policy((enum wr_cause)c), key) == 0 &&
		    strcmp(wr_cause_name((enum wr_cause)c), name) == 0)
			return true;
	return false;
}

static void check_policy(const struct wr_row *row, const struct wr_node *n,
                         struct wr_config_report *rep)
{
	const char *key = strrchr(row->path, '.') + 1;

	if (n->kind == WR_NODE_SCALAR) {
		check_scalar(row, n, rep);
		return;
	}
	if (n->kind == WR_NODE_LIST) {
		wr_config_say(rep, n, "one of %s is wanted, or { default: ..., NAME: ... }",
		              row->words);
		return;
	}
	if (wr_node_get(n, "default") == NULL)
		wr_config_say(rep, n, "%s needs the key 'default' (%s)", key, row->words);
	for (const struct wr_node *c = n->child; c != NULL; c = c->next) {
		if (strcmp(c->key, "default") != 0 && !policy_name_ok(key, c->key))
			wr_config_say(rep, c,
			              "'%.60s' is no reason or cause that policy.%s decides; see "
			              "`weir reasons --list`",
			              c->key, key);
		else if (c->kind != WR_NODE_SCALAR)
			wr_config_say(rep, c, "one of %s is wanted", row->words);
		else
			check_scalar(row, c, rep);
	}
}

static void check(const char *path, struct wr_node *n, struct wr_config_report *rep);

static void order_children(const char *path, struct wr_node *n)
{
	struct wr_node *sorted = NULL, **at;

	for (struct wr_node *c = n->child; c != NULL; c = c->next) {
		char sub[600];
		const struct wr_row *row;

		snprintf(sub, sizeof(sub), "%s%s%s", path, path[0] != '\0' ? "." : "", c->key);
		row = wr_row_find(sub);
		c->order = row != NULL ? (unsigned)(row - wr_rows) : wr_nrows;
	}
	while (n->child != NULL) {
		struct wr_node *c = n->child;

		n->child = c->next;
		for (at = &sorted; *at != NULL && (*at)->order <= c->order; at = &(*at)->next)
			;
		c->next = *at;
		*at = c;
	}
	n->child = sorted;
}

/* Adds what is missing: an error for required keys, a node for defaults. */
static void fill(const char *path, struct wr_node *n, struct wr_config_report *rep)
{
	size_t k = strlen(path);

	if (strcmp(path, "services[].policy") == 0)
		return; /* what is not there is inherited */
	for (unsigned i = 1; i < wr_nrows; i++) {
		const struct wr_row *row = &wr_rows[i];
		const char *last = strrchr(row->path, '.');
		char parent[600];
		struct wr_node *c;

		if (row->path[strlen(row->path) - 1] == ']' ||
		    strchr("*", row->path[strlen(row->path) - 1]))
			continue;
		snprintf(parent, sizeof(parent), "%.*s", last != NULL ? (int)(last - row->path) : 0,
		         row->path);
		last = last != NULL ? last + 1 : row->path;
		/* The rows of user-keyed maps hold a `*`: compare through the walk's own lookup. */
		if (wr_row_find(path) != wr_row_find(parent) || wr_node_get(n, last) != NULL ||
		    (k == 0) != (parent[0] == '\0'))
			continue;
		if (row->required) {
			wr_config_say(rep, n, "key '%s%s%s' is missing: %s", path,
			              k != 0 ? "." : "", last, row->help);
			continue;
		}
		if (row->def == NULL &&
		    (row->type != WR_T_MAP || strcmp(row->path, "services[].policy") == 0))
			continue;
		c = wr_node_new(row->type == WR_T_MAP || row->type == WR_T_ANYMAP ? WR_NODE_MAP
		                : row->def[0] == '['                              ? WR_NODE_LIST
		                                                                  : WR_NODE_SCALAR,
		                n);
		c->defaulted = true;
		c->key = strdup(last);
		if (c->kind == WR_NODE_SCALAR)
			c->value = strdup(row->def);
		WR_ASSERT(c->key != NULL && (c->kind != WR_NODE_SCALAR || c->value != NULL));
		wr_node_add(n, c);
	}
}

static void check_map(const char *path, const struct wr_row *row, struct wr_node *n,
                      struct wr_config_report *rep)
{
	if (n->kind == WR_NODE_SCALAR && n->value[0] == '\0') {
		/* `memory:` with nothing behind it is an empty map. */
		n->kind = WR_NODE_MAP;
	}
	if (n->kind != WR_NODE_MAP) {
		wr_config_say(rep, n, "%s is a map of keys", path[0] != '\0' ? path : "the file");
		return;
	}
	if (row->type == WR_T_MAP)
		fill(path, n, rep);
	else if (wr_node_count(n) > row->max)
		wr_config_say(rep, n, "more than %" PRIu64 " entries", row->max);
	for (struct wr_node *c = n->child; c != NULL; c = c->next) {
		bool own = row->type == WR_T_ANYMAP; /* the user's own names */
		char sub[600];

		snprintf(sub, sizeof(sub), "%s%s%.200s", path, path[0] != '\0' ? "." : "",
		         own ? "*" : c->key);
		if (own && (c->key[0] == '\0' || strlen(c->key) > 63 ||
		            strspn(c->key, NAME_CHARS) != strlen(c->key))) {
			wr_config_say(
			        rep, c,
			        "'%.60s' is no name: letters, digits, '.', '_', '-', at most 63",
			        c->key);
			continue;
		}
		if (!own && (strpbrk(c->key, ".*[") != NULL || c->key[0] == '\0' ||
		             wr_row_find(sub) == NULL)) {
			const char *near = wr_row_nearest(path, c->key);

			wr_config_say(rep, c, "unknown key '%.60s'%s%s%s%s%s", c->key,
			              path[0] != '\0' ? " in " : "", path,
			              near != NULL ? "; did you mean '" : "",
			              near != NULL ? near : "", near != NULL ? "'?" : "");
			continue;
		}
		check(sub, c, rep);
	}
	if (row->type == WR_T_MAP)
		order_children(path, n);
}

static void check(const char *path, struct wr_node *n, struct wr_config_report *rep)
{
	const struct wr_row *row = wr_row_find(path);
	char sub[600];

	switch (row->type) {
	case WR_T_MAP:
	case WR_T_ANYMAP: check_map(path, row, n, rep); return;
	case WR_T_NETS:
	case WR_T_PORTS: check_set(row, n, rep); return;
	case WR_T_POLICY: check_policy(row, n, rep); return;
	case WR_T_LIST:
		if (n->kind != WR_NODE_LIST) {
			wr_config_say(rep, n, "%s is a list", path);
			return;
		}
		if (wr_node_count(n) < row->min || wr_node_count(n) > row->max)
			wr_config_say(rep, n,
			              "%s has %u entries; allowed are %" PRIu64 " to %" PRIu64,
			              path, wr_node_count(n), row->min, row->max);
		snprintf(sub, sizeof(sub), "%s[]", path);
		for (struct wr_node *c = n->child; c != NULL; c = c->next)
			check(sub, c, rep);
		return;
	default:
		if (n->kind != WR_NODE_SCALAR)
			wr_config_say(rep, n, "%s takes one plain value", path);
		else
			check_scalar(row, n, rep);
	}
}

void wr_schema_check(struct wr_node *root, struct wr_config_report *rep)
{
	check("", root, rep);
}
