/* SPDX-License-Identifier: BSD-3-Clause */
/* schema - one row per setting; private to config/. */
#ifndef WR_CONFIG_SCHEMA_H
#define WR_CONFIG_SCHEMA_H

#include "config/tree.h"

enum wr_type {
	WR_T_MAP,    /* keys are the rows below it */
	WR_T_ANYMAP, /* keys are the user's own: the row path.* describes each */
	WR_T_LIST,   /* elements are the row path[] */
	WR_T_STR,    /* min..max bytes */
	WR_T_NAME,   /* [A-Za-z0-9._-], min..max bytes: it becomes a label */
	WR_T_BOOL,
	WR_T_INT,
	WR_T_SIZE, /* bytes: 4096, 64KiB, 1GiB */
	WR_T_TIME, /* 100ms, 5s; kept in ns */
	WR_T_ENUM, /* words */
	WR_T_DEVICE,
	WR_T_CPUS,   /* 0-3,8 */
	WR_T_NETS,   /* any, or CIDR prefixes */
	WR_T_PORTS,  /* any, or numbers */
	WR_T_POLICY, /* a word, or { default: word, NAME: word } */
	WR_T_PATH,
	WR_T_ADDR, /* host:port, [v6]:port, or empty */
};

struct wr_row {
	const char *path;
	enum wr_type type;
	bool required;
	uint64_t min, max;
	const char *words; /* "a|b" */
	const char *def;   /* as text; NULL: optional without default */
	enum wr_config_scope scope;
	const char *help;
};

extern const struct wr_row wr_rows[];
extern const unsigned wr_nrows;

/* The row of a path as composed by the walk ("links[].client.device"); NULL = unknown. */
const struct wr_row *wr_row_find(const char *path);
/* The known key under `path` nearest to key, or NULL when nothing is near. */
const char *wr_row_nearest(const char *path, const char *key);

/* Checks the tree, fills defaults, sorts keys. Errors go to rep. */
void wr_schema_check(struct wr_node *root, struct wr_config_report *rep);

/* Values of checked scalars. */
WR_MUST_USE int wr_value_u64(const struct wr_row *row, const char *text, uint64_t *out);
WR_MUST_USE int wr_value_net(const char *text, struct wr_conf_net *out);
/* Is word one of "a|b|c"? Its position, or -1. */
int wr_word_index(const char *words, const char *word);
/* A PCI address: the kind of device that is a NIC for certain. */
bool wr_device_is_pci(const char *text);
/* A bit for each CPU of "0-3,8"; -EINVAL beyond 1023 or when malformed. */
WR_MUST_USE int wr_value_cpus(const char *text, uint64_t set[16]);

/* build.c */
int wr_config_build(const struct wr_node *root, struct wr_conf *dp, struct wr_control_conf *ctl,
                    struct wr_config_report *rep);
/* policy.c: base is the global policy, over (may be NULL) the service's own. */
void wr_policy_resolve(const struct wr_node *base, const struct wr_node *over,
                       struct wr_policy *out);

#endif
