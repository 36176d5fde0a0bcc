/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every sample request against its class in manifest.tsv, and its objects against objects.tsv: the
 * digests there come from an independent decoder. Cut in five ways each.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "body_run.h"
#include "tap.h"

#define SAMPLE_MAX 131072

static struct {
	char file[64], object[32];
	size_t n;
	char md5[33], sha256[65];
	int found;
} want[128];
static size_t nwant;

static const struct {
	const char *file;
	enum wr_reason why;
} refused[] = {
	/* clang-format off */
	{ "mp_two_boundaries.req", WR_R_MULTIPART_BAD },
	{ "mp_bare_lf.req", WR_R_MULTIPART_BAD },
	{ "mp_boundary_prefix_longer.req", WR_R_MULTIPART_BAD },
	{ "mp_dup_filename.req", WR_R_MULTIPART_BAD },
	{ "smug_te_cl.req", WR_R_CL_TE },
	{ "smug_cl_plus.req", WR_R_CL_BAD },
	{ "smug_cl_ws_colon.req", WR_R_WS_BEFORE_COLON },
	{ "smug_te_twice.req", WR_R_TE_BAD },
	{ "smug_te_xchunked.req", WR_R_TE_BAD },
	{ "smug_te_http10.req", WR_R_TE_HTTP10 },
	{ "smug_chunk_data_noterm.req", WR_R_CHUNK_BAD_END },
	{ "smug_chunk_spill.req", WR_R_CHUNK_BAD_END },
	{ "smug_barelf_hdr.req", WR_R_BARE_LF },
	{ "smug_barecr.req", WR_R_BARE_CR },
	{ "smug_get_body.req", WR_R_GET_BODY },
	{ "aws_fake_ce_header.req", WR_R_AWS_MARKERS_DISAGREE },
	{ "h2_preface.req", WR_R_H2_PREFACE },
	{ "h2c_upgrade.req", WR_R_UPGRADE },
	/* Compatible servers take small chunks: decoded, not refused. */
	{ "aws_small_chunks.req", WR_R_NONE },
	/* clang-format on */
};

static void hex_digest(const EVP_MD *md, const struct run_view *v, char *out)
{
	unsigned char d[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_Digest(v->p != NULL ? (const void *)v->p : "", v->n, d, &n, md, NULL);
	for (unsigned i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", d[i]);
}

static size_t slurp(const char *dir, const char *file, char *buf)
{
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "rb");
	if (f == NULL)
		return 0;
	n = fread(buf, 1, SAMPLE_MAX, f);
	fclose(f);
	return n;
}

static void load_objects(const char *dir)
{
	static char buf[SAMPLE_MAX + 1];
	char *save = NULL;

	buf[slurp(dir, "objects.tsv", buf)] = '\0';
	strtok_r(buf, "\n", &save);
	for (char *l; (l = strtok_r(NULL, "\n", &save)) != NULL; nwant++)
		if (sscanf(l, "%63s %31s %zu %32s %64s", want[nwant].file, want[nwant].object,
		           &want[nwant].n, want[nwant].md5, want[nwant].sha256) != 5)
			exit(1);
}

/* objects.tsv names "1:stored", "1:decoded-x", "1:partN"; one row is one view of ours. */
static int has_view(const struct body_run *r, size_t w)
{
	int decoded = strstr(want[w].object, "decoded") != NULL;
	unsigned part = 0;

	sscanf(want[w].object, "1:part%u", &part);
	for (uint32_t i = 0; i < r->nobjects; i++) {
		const struct run_object *o = &r->object[i];
		char md5[65], sha256[129];

		if (!o->ended || o->lost || o->view[decoded].n != want[w].n)
			continue;
		if (o->kind != (part > 0 ? WR_BODY_FILE : WR_BODY_WHOLE))
			continue;
		hex_digest(EVP_md5(), &o->view[decoded], md5);
		hex_digest(EVP_sha256(), &o->view[decoded], sha256);
		if (strcmp(md5, want[w].md5) == 0 && strcmp(sha256, want[w].sha256) == 0)
			return 1;
	}
	return 0;
}

/* Nothing beyond the listed: files and whole bodies, in either view. */
static uint32_t views(const struct body_run *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->nobjects; i++)
		if (r->object[i].kind <= WR_BODY_FILE)
			n += 1u + (r->object[i].coding != WR_CODING_NONE);
	return n;
}

static void check(struct body_run *r, const char *dir, const char *file, const char *class)
{
	static char buf[SAMPLE_MAX];
	static const size_t cuts[] = { 0, 1, 2, 7, 1460 };
	size_t n = slurp(dir, file, buf);
	const char *must_refuse = NULL;
	enum wr_reason why = WR_R_NONE;

	if (strcmp(class, "reject") == 0 || strcmp(class, "ambiguous") == 0 ||
	    strcmp(class, "detect") == 0 || strcmp(class, "strip") == 0)
		must_refuse = class;
	for (size_t i = 0; i < WR_COUNT_OF(refused); i++)
		if (strcmp(refused[i].file, file) == 0) {
			why = refused[i].why;
			must_refuse = why == WR_R_NONE ? NULL : class;
		}
	for (size_t c = 0; c < WR_COUNT_OF(cuts); c++) {
		uint32_t listed = 0, found = 0;

		body_run(r, buf, n, cuts[c], 0);
		if (must_refuse != NULL) {
			OK(r->reason == why && why != WR_R_NONE, "%s: %s, refused: %s (cut %zu)",
			   file, class, wr_reason_info(r->reason)->name, cuts[c]);
			continue;
		}
		for (size_t w = 0; w < nwant; w++)
			if (strcmp(want[w].file, file) == 0) {
				listed++;
				found += (uint32_t)has_view(r, w);
			}
		if (strcmp(file, "aws_small_chunks.req") == 0) {
			/* The table has no row for it: the object is the one of the other aws
			 * samples. */
			OK(r->reason == WR_R_NONE && r->nobjects == 1 && r->object[0].ended &&
			           r->object[0].view[0].n == 2135,
			   "%s: decoded (cut %zu)", file, cuts[c]);
			continue;
		}
		OK(n > 0 && r->reason == WR_R_NONE && r->note == WR_R_NONE && r->requests == 1 &&
		           found == listed && views(r) == listed,
		   "%s: %s, %u of %u objects, %s (cut %zu)", file, class, found, listed,
		   wr_reason_info(r->reason)->name, cuts[c]);
	}
}

int main(int argc, char **argv)
{
	static char buf[SAMPLE_MAX + 1];
	struct body_run *r = body_run_new(NULL);
	char *save = NULL;
	int files = 0;

	if (argc != 2)
		return 1;
	load_objects(argv[1]);
	buf[slurp(argv[1], "manifest.tsv", buf)] = '\0';
	strtok_r(buf, "\n", &save);
	for (char *l; (l = strtok_r(NULL, "\n", &save)) != NULL; files++) {
		char file[64], class[32];

		if (sscanf(l, "%63s %31s", file, class) == 2)
			check(r, argv[1], file, class);
	}
	OK(files >= 55 && nwant >= 39, "%d samples, %zu objects", files, nwant);
	body_run_free(r);
	return tap_done();
}
