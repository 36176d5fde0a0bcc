/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every sample list, read with `format: auto`: the counts, and that each digest is one of the four
 * benign files of samples/truth.json (or the made-up hash that the sample is about).
 */
#include "bundle/bundle.h"

#include <fcntl.h>
#include <jansson.h>

#include "folder.h"
#include "tap.h"

static json_t *truth;
static struct wr_bundle_errors errs;

struct seen {
	uint32_t
	        of_truth[WR_ALGO_COUNT]; /* bit i: digest of file i of truth.json was handed over */
	uint32_t others, deleted, n;
	char first_id[WR_BUNDLE_ENTRY_MAX + 1];
	uint64_t first_size;
};

static int on_entry(void *ctx, const struct wr_list_entry *e)
{
	struct seen *s = ctx;
	const char *name;
	json_t *file;
	char hex[65];
	uint32_t i = 0;
	bool known = false;

	for (uint32_t k = 0; k < e->len; k++)
		sprintf(hex + 2 * k, "%02x", e->digest[k]);
	if (s->n++ == 0) {
		snprintf(s->first_id, sizeof(s->first_id), "%s", e->id);
		s->first_size = e->size;
	}
	if (e->deleted) {
		s->deleted++;
		return 0;
	}
	json_object_foreach(truth, name, file)
	{
		const char *want = json_string_value(
		        json_object_get(file, wr_algo_name((enum wr_algo)e->algo)));

		if (want != NULL && strcmp(want, hex) == 0) {
			s->of_truth[e->algo] |= 1u << i;
			known = true;
		}
		i++;
	}
	s->others += !known;
	return 0;
}

static int read_list(const char *path, const char *keys, struct seen *s, struct wr_list_stats *st)
{
	char manifest[1024];
	struct wr_bundle *b;
	int rc;

	*s = (struct seen){ 0 };
	*st = (struct wr_list_stats){ 0 };
	snprintf(manifest, sizeof(manifest),
	         "format: weir-bundle/1\nname: t\nversion: 1\ncreated: 2026-11-23T19:00:00Z\n"
	         "lists: [ { id: l, file: lists/%s%s } ]\n",
	         path, keys);
	folder_put("manifest.yaml", manifest);
	wr_bundle_errors_free(&errs);
	rc = wr_bundle_load(folder, &b, &errs);
	if (rc == 0)
		rc = wr_list_read(b, &b->lists[0], on_entry, s, st, &errs);
	wr_bundle_free(b);
	return rc;
}

static void copy_sample(const char *name)
{
	char path[512], to[512];
	char *buf = malloc(1 << 20);
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", SAMPLES, name);
	f = fopen(path, "rb");
	if (f == NULL)
		abort();
	n = fread(buf, 1, 1 << 20, f);
	fclose(f);
	snprintf(to, sizeof(to), "lists/%s", name);
	folder_put_bytes(to, buf, n);
	free(buf);
}

/* f: which files of truth.json (bit 0 eicar.com, 1 hello.txt, 2 neg_plain.png, 3 neg_plain.jpg) */
static const struct {
	const char *file, *keys;
	enum wr_list_format format;
	uint32_t md5, sha1, sha256, pdq, others;
	uint64_t unsupported, empty, zero, deleted;
	const char *id;
} good[] = {
	/* clang-format off */
	{ "plain_mixed.txt", "", WR_LF_PLAIN, 1, 1, 1, 0, 0, 0, 0, 0, 0, "" },
	{ "md5sum.txt", "", WR_LF_PLAIN, 15, 0, 0, 0, 0, 0, 0, 0, 0, "eicar.com" },
	{ "sha1sum.txt", "", WR_LF_PLAIN, 0, 15, 0, 0, 0, 0, 0, 0, 0, "eicar.com" },
	{ "sha256sum.txt", "", WR_LF_PLAIN, 0, 0, 15, 0, 1, 0, 0, 0, 0, "eicar.com" },
	{ "sha256sum_bsd.txt", "", WR_LF_BSD, 0, 0, 15, 0, 0, 0, 0, 0, 0, "eicar.com" },
	{ "suricata_filesha256.list", "", WR_LF_PLAIN, 0, 0, 15, 0, 0, 0, 0, 0, 0, "" },
	{ "suricata_dataset_sha256.lst", "", WR_LF_PLAIN, 0, 0, 15, 0, 0, 0, 0, 0, 0, "" },
	{ "suricata_datarep_sha256.rep", "", WR_LF_SURICATA_DATAREP, 0, 0, 15, 0, 0, 0, 0, 0, 0, "" },
	{ "hashdeep.txt", "", WR_LF_HASHDEEP, 15, 0, 15, 0, 0, 0, 0, 0, 0, "eicar.com" },
	{ "clamav.hdb", "", WR_LF_CLAMAV, 15, 0, 0, 0, 0, 0, 0, 0, 0, "Test.Benign.eicar_com" },
	{ "clamav.hsb", "", WR_LF_CLAMAV, 0, 2, 15, 0, 0, 0, 0, 0, 0, "Test.Benign.eicar_com" },
	{ "clamav.fp", ", class: allow, owner: x", WR_LF_CLAMAV, 2, 0, 0, 0, 0, 0, 0, 0, 0, "allow-hello" },
	{ "clamav.sfp", ", class: allow, owner: x", WR_LF_CLAMAV, 0, 0, 2, 0, 0, 0, 0, 0, 0, "allow-hello" },
	{ "NSRLFile.txt", "", WR_LF_NSRL, 15, 15, 0, 0, 0, 0, 0, 0, 0, "eicar.com" },
	{ "misp_attributes.csv", "", WR_LF_MISP, 1, 0, 1, 0, 0, 0, 0, 0, 0, "00000000-0000-4000-8000-000000000011" },
	{ "interpol_icse.csv", "", WR_LF_ICSE, 10, 10, 0, 0, 0, 0, 0, 0, 0, "1000001" },
	{ "interpol_icse.csv", ", categories: ['1']", WR_LF_ICSE, 8, 8, 0, 0, 0, 0, 0, 0, 0, "1000001" },
	{ "iwf_like.csv", "", WR_LF_CSV, 2, 2, 2, 0, 0, 0, 0, 0, 0, "1" },
	{ "pdq_plain.csv", "", WR_LF_CSV, 0, 0, 0, 0, 1, 0, 0, 0, 0, "synthetic-1" },
	{ "tx_local_file.txt", "", WR_LF_PDQ, 2, 0, 0, 0, 1, 0, 0, 0, 0, "" },
	{ "simple.HASH_PDQ.te", "", WR_LF_TE, 0, 0, 0, 0, 1, 0, 0, 0, 0, "2" },
	{ "caid_vics12.json", "", WR_LF_VICS, 15, 15, 0, 0, 0, 0, 0, 0, 0, "1000" },
	{ "caid_vics12.json", ", categories: ['1', '2']", WR_LF_VICS, 6, 6, 0, 0, 0, 0, 0, 0, 0, "1001" },
	{ "projectvic_vics13.json", "", WR_LF_VICS, 15, 15, 0, 0, 0, 0, 0, 0, 0, "1000" },
	{ "projectvic_vics20.json", "", WR_LF_VICS, 15, 15, 0, 0, 0, 0, 0, 0, 0, "1000" },
	{ "ncmec_v2.xml", "", WR_LF_NCMEC, 10, 8, 0, 0, 1, 0, 0, 0, 0, "image1" },
	{ "stix21_bundle.json", "", WR_LF_STIX, 1, 0, 1, 0, 0, 0, 0, 0, 0, "indicator--00000000-0000-4000-8000-000000000002" },
	{ "stopncii_fetchhashes.json", "", WR_LF_STOPNCII, 0, 0, 0, 0, 1, 0, 0, 0, 0, "" },
	{ "tat_hashlist.json", "", WR_LF_TAT, 2, 0, 0, 0, 0, 0, 0, 0, 0, "1" },
	{ "threatexchange_threat_updates.json", "", WR_LF_THREATEXCHANGE, 0, 0, 0, 0, 1, 0, 0, 0, 1, "1000000000000001" },
	/* The two bad lines are within the limit; both empty-file digests are dropped. */
	{ "malformed_mix.txt", ", max_bad_lines: 2", WR_LF_PLAIN, 1, 1, 0, 0, 0, 0, 2, 0, 0, "" },
	/* clang-format on */
};

static void samples(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct wr_list_stats st;
		struct seen s;
		int rc;

		copy_sample(good[i].file);
		rc = read_list(good[i].file, good[i].keys, &s, &st);
		OK(rc == 0 && st.format == good[i].format, "%s%s is read as %s", good[i].file,
		   good[i].keys, wr_list_format_name(good[i].format));
		if (rc != 0)
			wr_bundle_errors_print(&errs, stdout);
		OK(s.of_truth[0] == good[i].md5 && s.of_truth[1] == good[i].sha1 &&
		           s.of_truth[2] == good[i].sha256 && s.of_truth[3] == good[i].pdq,
		   "  its digests are those of truth.json (%x %x %x %x)", s.of_truth[0],
		   s.of_truth[1], s.of_truth[2], s.of_truth[3]);
		OK(s.others == good[i].others && st.unsupported == good[i].unsupported &&
		           st.empty_file == good[i].empty && st.zero_pdq == good[i].zero &&
		           st.deleted == good[i].deleted,
		   "  others %u, unsupported %llu, empty %llu, zero %llu, deleted %llu", s.others,
		   (unsigned long long)st.unsupported, (unsigned long long)st.empty_file,
		   (unsigned long long)st.zero_pdq, (unsigned long long)st.deleted);
		OK(strcmp(s.first_id, good[i].id) == 0, "  the first entry is called `%s`",
		   s.first_id);
	}
}

#define MD5  "44d88612fea8a8f36de82e1278abb02f"
#define PDQ0 "0000000000000000000000000000000000000000000000000000000000000000"
#define PDQ1 "d8f8f0cec4f4a84f0637022a078f67f0b36e2ee5b6621e1d33e6239c4e9c9b22"

static const struct {
	const char *name, *keys, *text;
	int rc;
	uint32_t line;
	const char *says; /* in an error, or in a warning when rc is 0 */
} row[] = {
	/* clang-format off */
	{ "a.txt", "", MD5 "\nzz" MD5 "\n", -EBADMSG, 2, "not a digest" },
	{ "a.txt", "", MD5 "\nzz\nyy\n", -EBADMSG, 0, "max_bad_lines is 0" },
	{ "a.txt", ", max_bad_lines: 1", MD5 "\nzz\n", 0, 2, "not a digest: zz" },
	{ "a.txt", ", max_bad_lines: 1", MD5 "\nzz\nyy\n", -EBADMSG, 3, "not a digest: yy" },
	{ "a.txt", "", "# only\n\n  \n", 0, 0, NULL },
	{ "a.txt", "", "", 0, 0, NULL },
	{ "a.txt", "", MD5, 0, 0, NULL },
	{ "a.txt", "", MD5 "\r\n", 0, 0, NULL },
	{ "a.txt", "", "\xef\xbb\xbf" MD5 "\r\n", 0, 0, NULL },
	{ "a.txt", "", "\xff\xfe" "4\0", -EBADMSG, 1, "UTF-16" },
	{ "a.txt", "", "hello\n", -EBADMSG, 1, "no list format" },
	{ "a.txt", ", format: plain", "hello\n", -EBADMSG, 1, "not a digest: hello" },
	{ "a.mdb", "", "83456:" MD5 ":N\n", -EBADMSG, 1, "no list format" },
	{ "a.hdb", ", format: clamav", MD5 ":x:N\n", -EBADMSG, 1, "neither a number nor *" },
	{ "a.rep", "", MD5 ",5\n" MD5 ",70000\n", -EBADMSG, 2, "reputation" },
	{ "a.csv", "", "name,md5\na," MD5 "\nb,\"" MD5 "\n", -EBADMSG, 3, "does not end" },
	{ "a.csv", "", "name,md5\na," MD5 "\nb,12\n", -EBADMSG, 3, "not a digest: 12" },
	{ "a.csv", ", format: csv", "a,b\n1,2\n", -EBADMSG, 1, "header" },
	{ "x.te", ", format: te", PDQ1 ",1,2,3\n", -EBADMSG, 0, "says in its name" },
	{ "a.json", "", "{\"odata.metadata\":1,\"value\":[{\"MD5\":\"xx\"}]}", -EBADMSG, 1, "not a digest: xx" },
	{ "a.json", "", "{\"odata.metadata\":1,\"value\":[{\"MD5\":\"" MD5 "\"}", -EBADMSG, 1, "ends inside" },
	{ "a.json", "", "{\"odata.metadata\":1,\n\"value\":[{\"MD5\" \"\"", -EBADMSG, 2, "`:` was expected" },
	{ "a.json", "", "{\"odata.metadata\":1,\"other\":[]}", -EBADMSG, 0, "needs an array `value`" },
	{ "a.json", ", format: tat", "{\"value\":[]}", -EBADMSG, 0, "needs an array `results`" },
	{ "a.json", ", max_bad_lines: 1", "{\"odata.metadata\":1,\"value\":[{\"MD5\":\"1\"},{\"MD5\":\"2\"}]}", -EBADMSG, 1, "not a digest: 2" },
	{ "a.xml", "", "<queryResult><images></queryResult>", -EBADMSG, 1, "not valid XML" },
	{ "a.xml", "", "<!DOCTYPE queryResult [<!ENTITY a \"b\">]><queryResult/>", -EBADMSG, 1, "document type" },
	{ "a.xml", "", "<queryResult><image><id>1</id><fingerprints><md5>1</md5></fingerprints></image></queryResult>", -EBADMSG, 1, "not a digest: 1" },
	{ "absent.txt", "", NULL, -ENOENT, 0, "cannot be opened" },
	/* clang-format on */
};

static void rows(void)
{
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct wr_list_stats st;
		struct seen s;
		char path[64];
		bool found = row[i].says == NULL;
		int rc;

		snprintf(path, sizeof(path), "lists/%s", row[i].name);
		if (row[i].text != NULL)
			folder_put(path, row[i].text);
		rc = read_list(row[i].name, row[i].keys, &s, &st);
		for (uint32_t k = 0; k < errs.n && row[i].says != NULL; k++)
			found |= errs.e[k].warning == (row[i].rc == 0) &&
			         errs.e[k].line == row[i].line &&
			         strstr(errs.e[k].message, row[i].says) != NULL;
		OK(rc == row[i].rc && found, "%s row %zu: %s", row[i].name, i,
		   row[i].says == NULL ? "is read" : row[i].says);
		if (rc != row[i].rc || !found) {
			printf("#   rc %d\n", rc);
			wr_bundle_errors_print(&errs, stdout);
		}
	}
}

/* What one record does to the counts: entries handed over, withdrawn, dropped. */
static const struct {
	const char *name, *keys, *text;
	uint64_t entries, deleted, unsupported, zero, low;
	const char *what;
} meaning[] = {
	/* clang-format off */
	{ "p.txt", ", format: pdq", PDQ0 "\npdq " PDQ1 "\n", 1, 0, 0, 1, 0, "an all-zero PDQ hash is dropped" },
	{ "p.csv", "", "hash,quality\n" PDQ1 ",49\n" PDQ1 ",50\n", 1, 0, 0, 0, 1, "PDQ below min_quality is dropped" },
	{ "p.txt", "", "pdq " PDQ1 "\ntmk 00\n", 1, 0, 1, 0, 0, "a kind that is not matched is counted" },
	{ "s.txt", "", MD5 MD5 MD5 MD5 "\n", 0, 0, 1, 0, 0, "SHA-512 is counted, not refused" },
	{ "x.json", "", "{\"hashRecords\":[{\"hashStatus\":\"Withdrawn\",\"hashValue\":\"" PDQ1 "\",\"signalType\":\"ImagePDQ\"}]}", 0, 1, 0, 0, 0, "StopNCII: withdrawn" },
	{ "t.json", "", "{\"results\":[{\"deleted\":true,\"hash_digest\":\"" MD5 "\",\"algorithm\":\"MD5\"}]}", 0, 1, 0, 0, 0, "TAT: deleted" },
	{ "e.json", "", "{\"data\":[{\"indicator\":\"" MD5 "\",\"type\":\"HASH_MD5\",\"descriptors\":{\"data\":[{\"status\":\"NON_MALICIOUS\"}]}}]}", 0, 1, 0, 0, 0, "ThreatExchange: all say harmless" },
	{ "e.json", "", "{\"data\":[{\"indicator\":\"" MD5 "\",\"type\":\"HASH_MD5\",\"descriptors\":{\"data\":[{\"status\":\"NON_MALICIOUS\"},{\"status\":\"MALICIOUS\"}]}}]}", 1, 0, 0, 0, 0, "ThreatExchange: one says malicious" },
	{ "i.json", "", "{\"type\":\"bundle\",\"objects\":[{\"type\":\"indicator\",\"revoked\":true,\"pattern\":\"[file:hashes.MD5='" MD5 "']\"}]}", 0, 1, 0, 0, 0, "STIX: revoked" },
	{ "i.json", "", "{\"type\":\"bundle\",\"objects\":[{\"type\":\"indicator\",\"valid_until\":\"2026-01-01T00:00:00Z\",\"pattern\":\"[file:hashes.'MD5' = '" MD5 "']\"}]}", 0, 1, 0, 0, 0, "STIX: expired when the bundle was made" },
	{ "i.json", "", "{\"type\":\"bundle\",\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[file:hashes.MD5='" MD5 "' AND file:name='x']\"}]}", 0, 0, 1, 0, 0, "STIX: AND is more than a hash" },
	{ "i.json", "", "{\"type\":\"bundle\",\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[file:hashes.MD5='" MD5 "' OR file:hashes.\\u0027SHA-512\\u0027='00']\"}]}", 1, 0, 1, 0, 0, "STIX: the kinds that are known are taken" },
	{ "c.json", "", "{\"odata.metadata\":\"\",\"value\":[{\"CaseID\":\"1\",\"Media\":[{\"MD5\":\"" MD5 "\",\"MediaFiles\":[{\"MD5\":\"bad\"}]}]}]}", 1, 0, 0, 0, 0, "VICS: case export; hashes of inner files are not records" },
	{ "c.json", "", "{\"odata.metadata\":\"\",\"value\":[{\"Tags\":\"a]},{\",\"AlternativeHashes\":[{\"HashName\":\"SHA-256\",\"HashValue\":\"" PDQ1 "\"}]}]}", 1, 0, 0, 0, 0, "VICS: alternative hashes" },
	{ "n.xml", "", "<queryResult><deletedImage><member id=\"1\"/><id>a</id><timestamp>2025-01-02T00:00:00Z</timestamp></deletedImage>"
	  "<image><member id=\"1\"/><id>a</id><timestamp>2025-01-01T00:00:00Z</timestamp><fingerprints><md5>" MD5 "</md5></fingerprints></image></queryResult>", 0, 1, 0, 0, 0, "NCMEC: the deletion is newer, though it stands first" },
	{ "n.xml", "", "<queryResult><deletedImage><member id=\"1\"/><id>a</id><timestamp>2025-01-02T00:00:00Z</timestamp></deletedImage>"
	  "<image><member id=\"1\"/><id>a</id><timestamp>2025-01-03T00:00:00Z</timestamp><fingerprints><md5>" MD5 "</md5></fingerprints></image></queryResult>", 1, 0, 0, 0, 0, "NCMEC: the entry is newer than its deletion" },
	{ "n.xml", "", "<queryResult><deletedImage><member id=\"2\"/><id>a</id></deletedImage>"
	  "<image><member id=\"1\"/><id>a</id><fingerprints><md5>" MD5 "</md5></fingerprints></image></queryResult>", 1, 0, 0, 0, 0, "NCMEC: another member's entry stays" },
	{ "n.xml", ", categories: [A1]", "<queryResult><image><id>a</id><classification>B2</classification><fingerprints><md5>" MD5 "</md5></fingerprints></image></queryResult>", 0, 0, 0, 0, 0, "NCMEC: another classification" },
	{ "m.csv", "", "uuid,event_id,category,type,value,comment,to_ids\nu,1,c,md5," MD5 ",,0\nu,1,c,filename|md5,a|" MD5 ",,1\nu,1,c,ssdeep,3:x,,1\n", 1, 0, 1, 0, 0, "MISP: to_ids 0 is skipped, composites are split" },
	/* clang-format on */
};

static void meanings(void)
{
	for (size_t i = 0; i < sizeof(meaning) / sizeof(meaning[0]); i++) {
		struct wr_list_stats st;
		struct seen s;
		char path[64];
		uint64_t n = 0;
		int rc;

		snprintf(path, sizeof(path), "lists/%s", meaning[i].name);
		folder_put(path, meaning[i].text);
		rc = read_list(meaning[i].name, meaning[i].keys, &s, &st);
		for (int a = 0; a < WR_ALGO_COUNT; a++)
			n += st.entries[a];
		OK(rc == 0 && n == meaning[i].entries && st.deleted == meaning[i].deleted &&
		           st.unsupported == meaning[i].unsupported &&
		           st.zero_pdq == meaning[i].zero && st.low_quality == meaning[i].low,
		   "%s", meaning[i].what);
		if (rc != 0)
			wr_bundle_errors_print(&errs, stdout);
		if (n != meaning[i].entries)
			printf("#   %llu entries, %llu deleted, %llu unsupported\n",
			       (unsigned long long)n, (unsigned long long)st.deleted,
			       (unsigned long long)st.unsupported);
	}
}

static void long_line(void)
{
	struct wr_list_stats st;
	struct seen s;
	char *text = malloc(3 * WR_LIST_LINE_MAX);
	int rc;

	memset(text, 'a', 3 * WR_LIST_LINE_MAX);
	memcpy(text, MD5 "\n", 33);
	text[33 + WR_LIST_LINE_MAX + 1] = '\n';
	memcpy(text + 33 + WR_LIST_LINE_MAX + 2, MD5 "\n", 33);
	folder_put_bytes("lists/long.txt", text, 33 + WR_LIST_LINE_MAX + 2 + 33);
	rc = read_list("long.txt", ", max_bad_lines: 1", &s, &st);
	OK(rc == 0 && st.entries[0] == 2 && st.bad_lines == 1 && errs.n == 1 && errs.e[0].line == 2,
	   "a line one byte too long is bad; the lines around it are read");
	memset(text + 33, ' ', WR_LIST_LINE_MAX);
	memcpy(text + 33, MD5, 32);
	text[33 + WR_LIST_LINE_MAX] = '\n';
	folder_put_bytes("lists/long.txt", text, 33 + WR_LIST_LINE_MAX + 1);
	rc = read_list("long.txt", "", &s, &st);
	OK(rc == 0 && st.entries[0] == 2, "a line of exactly the limit is read");
	free(text);
}

int main(void)
{
	truth = json_load_file(SAMPLES "/truth.json", 0, NULL);
	OK(json_object_size(truth) == 4, "truth.json has four files");
	folder_new();
	samples();
	rows();
	meanings();
	long_line();
	wr_bundle_errors_free(&errs);
	json_decref(truth);
	folder_remove();
	return tap_done();
}
