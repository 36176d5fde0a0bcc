/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases - the tests of a bundle: the YAML files in tests.
 *
 * takes    a loaded bundle (its folder is read again, by openat)
 * gives    cases with their bytes: a file below tests/, hex, or text
 * owns     struct wr_cases, until wr_cases_free()
 * limits   WR_CASES_MAX cases, WR_CASE_CUTS_MAX cuts each, WR_CASE_NAMES_MAX expected names each
 * fails    as bundle.h: errors with file and line
 */
#ifndef WR_BUNDLE_CASES_H
#define WR_BUNDLE_CASES_H

#include "bundle/bundle.h"

#define WR_CASES_MAX      100000u
#define WR_CASE_CUTS_MAX  32u
#define WR_CASE_NAMES_MAX 64u

enum wr_case_verdict { WR_CASE_ANY, WR_CASE_CLEAN, WR_CASE_MATCH, WR_CASE_SUSPECT };

struct wr_case {
	char *name, *type; /* type: sniffed media type, "" = unknown */
	char *path;        /* below the bundle ("tests/samples/a.bin"), or "" */
	uint8_t *bytes;    /* of hex and text */
	size_t nbytes;
	uint64_t *cuts;
	uint32_t ncuts;
	uint8_t verdict; /* enum wr_case_verdict: what is found, whatever the stage of its items */
	char **rules, **not_rules, **lists, **not_lists;
	uint32_t nrules, nnot_rules, nlists, nnot_lists;
	char *file; /* of the case, for messages */
	uint32_t line;
};

struct wr_cases {
	struct wr_case *c;
	uint32_t n;
	void *priv;
};

WR_MUST_USE int wr_cases_load(const struct wr_bundle *b, struct wr_cases *out,
                              struct wr_bundle_errors *e);
void wr_cases_free(struct wr_cases *c);
/* The reference of all files of a bundle, Markdown: manifest, rules, suppress, cases. */
void wr_bundle_docs(FILE *out);

#endif
