/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bundle on its way: the archive is the same twice, every hostile archive is refused with its
 * code, and `minisign` and `sha256sum` agree with what is signed and checked here.
 */
#include "bundle/ship.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "folder.h"
#include "tap.h"

static struct wr_refusal ref;
static struct wr_ship_trust trust;
static char pub[2][256], sec[2][512];

static const char manifest[] =
        "format: weir-bundle/1\nname: core\nversion: 7\ncreated: 2026-11-23T19:00:00Z\n"
        "lists: [ { id: industry-a, file: lists/a.txt } ]\n";
static const char rules[] = "rules: [ { id: r, literal: x, action: block } ]\n";

static int dir_fd(void)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		abort();
	return fd;
}

static void fill(void)
{
	folder_new();
	folder_put("manifest.yaml", manifest);
	folder_put("rules/r.yaml", rules);
	folder_put("lists/a.txt", "44d88612fea8a8f36de82e1278abb02f\n");
	folder_put("tests/samples/a.bin", "benign");
}

static void sign(unsigned key, const char *comment, const char *name)
{
	struct wr_secret_key k;
	char text[1024], sums[8192];
	FILE *f = fopen(folder_path("SHA256SUMS"), "rb");
	size_t n;

	if (f == NULL)
		abort();
	n = fread(sums, 1, sizeof(sums), f);
	fclose(f);
	if (wr_minisign_secret(sec[key], strlen(sec[key]), NULL, &k) != 0 ||
	    wr_minisign_sign(&k, (uint8_t *)sums, n, comment, text, sizeof(text)) != 0)
		abort();
	folder_put(name, text);
}

static const struct wr_ship_trust *find(void *ctx, const char *name)
{
	(void)ctx;
	if (name == NULL)
		return trust.allow_unsigned ? &trust : NULL;
	return strcmp(name, trust.bundle) == 0 ? &trust : NULL;
}

static int verify(void)
{
	struct wr_bundle_errors e = { 0 };
	struct wr_verified v;
	struct wr_bundle *b;
	int fd = dir_fd(), rc = wr_ship_verify(fd, find, NULL, &v, &b, &e, &ref);

	if (rc == 0 && (b == NULL || strcmp(v.name, "core") != 0 || v.version != 7))
		abort();
	wr_bundle_free(b);
	wr_bundle_errors_free(&e);
	close(fd);
	return rc;
}

static void seal(void)
{
	int fd = dir_fd();

	if (wr_ship_sums_write(fd, &ref) != 0)
		abort();
	close(fd);
}

static const char *const may_all[] = { "rule:*", "list:*" };
static const char *const may_lists[] = { "list:industry-*" };

static void keys(void)
{
	trust = (struct wr_ship_trust){ .bundle = "core", .nkeys = 2, .threshold = 1 };
	for (int i = 0; i < 2; i++) {
		IS(wr_minisign_keygen(NULL, pub[i], sizeof(pub[i]), sec[i], sizeof(sec[i])), 0,
		   "keygen");
		IS(wr_minisign_public(pub[i], strlen(pub[i]), &trust.key[i].key), 0, "public key");
		trust.key[i].may = may_all;
		trust.key[i].nmay = 2;
		snprintf(trust.key[i].name, sizeof(trust.key[i].name), "key%d", i);
	}
}

static void want(enum wr_refusal_code code, const char *what)
{
	int rc = verify();

	OK((rc == 0) == (code == WR_REFUSE_NONE) && (rc == 0 || ref.code == code), "%s: %s", what,
	   wr_refusal_name(rc == 0 ? WR_REFUSE_NONE : ref.code));
	if (rc != 0 && ref.code != code)
		printf("#   %s\n", ref.text);
}

static void signatures(void)
{
	fill();
	want(WR_REFUSE_NO_SUMS, "no SHA256SUMS");
	seal();
	want(WR_REFUSE_UNSIGNED, "no signature");
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	want(WR_REFUSE_NONE, "signed");
	folder_put("lists/a.txt", "44d88612fea8a8f36de82e1278abb02e\n");
	want(WR_REFUSE_SUM_MISMATCH, "one digit changed");
	folder_put("lists/a.txt", "44d88612fea8a8f36de82e1278abb02f\n");
	folder_put("lists/b.txt", "");
	want(WR_REFUSE_EXTRA_FILE, "one file more");
	unlink(folder_path("lists/b.txt"));
	folder_put("zz", "");
	want(WR_REFUSE_EXTRA_FILE, "one file more, behind all others");
	unlink(folder_path("zz"));
	unlink(folder_path("tests/samples/a.bin"));
	want(WR_REFUSE_MISSING_FILE, "one file less");
	folder_put("tests/samples/a.bin", "benign");
	folder_put(".hidden", "");
	want(WR_REFUSE_BAD_PATH, "a hidden file");
	unlink(folder_path(".hidden"));
	if (symlink("manifest.yaml", folder_path("link")) != 0)
		abort();
	want(WR_REFUSE_BAD_TYPE, "a symlink");
	unlink(folder_path("link"));
	want(WR_REFUSE_NONE, "as it was");
	sign(0, "weir-bundle core 8", "SHA256SUMS.a.minisig");
	want(WR_REFUSE_WRONG_NAME, "signed as another version");
	sign(0, "weir-bundle other 7", "SHA256SUMS.a.minisig");
	want(WR_REFUSE_NOT_TRUSTED, "signed as another name");
	sign(0, "timestamp:1", "SHA256SUMS.a.minisig");
	want(WR_REFUSE_WRONG_NAME, "signed with another comment");
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	seal(); /* the same sums again: still valid */
	want(WR_REFUSE_NONE, "sums written again");
	folder_put("rules/r.yaml", "rules: [ { id: r, literal: y, action: block } ]\n");
	seal();
	want(WR_REFUSE_BAD_SIGNATURE, "sums rewritten after signing");
	folder_put("SHA256SUMS.a.minisig", "nonsense\n");
	want(WR_REFUSE_BAD_SIGNATURE, "not a signature");
	unlink(folder_path("SHA256SUMS.a.minisig"));
	trust.allow_unsigned = true;
	want(WR_REFUSE_NONE, "a lab takes an unsigned one");
	trust.allow_unsigned = false;
	folder_put("rules/r.yaml", "rules: [ { id: r, action: block } ]\n");
	seal();
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	want(WR_REFUSE_BAD_BUNDLE, "signed, but it does not load");
}

static void thresholds(void)
{
	fill();
	seal();
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	trust.threshold = 2;
	want(WR_REFUSE_UNDER_SIGNED, "one of two");
	sign(0, "weir-bundle core 7", "SHA256SUMS.b.minisig");
	want(WR_REFUSE_UNDER_SIGNED, "the same key twice is one key");
	sign(1, "weir-bundle core 7", "SHA256SUMS.b.minisig");
	want(WR_REFUSE_NONE, "two of two");
	trust.key[1].may = may_lists;
	trust.key[1].nmay = 1;
	want(WR_REFUSE_UNDER_SIGNED, "the second key may not ship rules");
	trust.threshold = 1;
	unlink(folder_path("SHA256SUMS.a.minisig"));
	want(WR_REFUSE_UNDER_SIGNED, "a key for lists alone does not ship a rule");
	unlink(folder_path("rules/r.yaml"));
	seal();
	sign(1, "weir-bundle core 7", "SHA256SUMS.b.minisig");
	want(WR_REFUSE_NONE, "it ships the lists of its glob");
	folder_put("suppress.yaml", "suppress: [ { item: 'list:other', reason: r } ]\n");
	seal();
	sign(1, "weir-bundle core 7", "SHA256SUMS.b.minisig");
	want(WR_REFUSE_UNDER_SIGNED, "and suppresses nothing else");
	unlink(folder_path("suppress.yaml"));
	seal();
	sign(1, "weir-bundle core 7", "SHA256SUMS.b.minisig");
	trust.key[1] = trust.key[0];
	want(WR_REFUSE_UNSIGNED, "a signature of a key that is not trusted counts for nothing");
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	trust.key[1].key = trust.key[0].key;
	trust.threshold = 2;
	want(WR_REFUSE_NOT_TRUSTED, "one key named twice in weir.yaml does not count twice");
	keys();
}

/* --- archives ----------------------------------------------------------------------------------
 */

static int memory(void)
{
	int fd = memfd_create("a", 0);

	if (fd < 0)
		abort();
	return fd;
}

static void packing(void)
{
	struct wr_ship_limits l = WR_SHIP_LIMITS_DEFAULT;
	int a = memory(), b = memory(), dir, out;
	char one[65536], two[65536], to[64];
	ssize_t na, nb;

	fill();
	seal();
	folder_put(".git/config", "hidden");
	dir = dir_fd();
	IS(wr_ship_pack(dir, 1795460400, a, &ref), 0, "packed");
	folder_put("rules/r.yaml", rules); /* another time and order on disk */
	IS(wr_ship_pack(dir, 1795460400, b, &ref), 0, "packed again");
	na = pread(a, one, sizeof(one), 0);
	nb = pread(b, two, sizeof(two), 0);
	OK(na > 0 && na == nb && memcmp(one, two, (size_t)na) == 0, "the same bytes twice");
	close(dir);
	strcpy(to, folder);
	fill();
	folder_new();
	dir = dir_fd();
	lseek(a, 0, SEEK_SET);
	IS(wr_ship_unpack(a, dir, &l, &ref), 0, "unpacked");
	IS(wr_ship_sums_check(dir, &ref), 0, "and it is the same set of files");
	OK(access(folder_path(".git"), F_OK) != 0, "without what was hidden");
	close(dir);
	/* Cut anywhere: refused, never half a bundle that looks whole. */
	out = 0;
	for (ssize_t n = 0; n < na; n += 7) {
		int cut = memory(), rc;

		if (write(cut, one, (size_t)n) != n)
			abort();
		lseek(cut, 0, SEEK_SET);
		folder_new();
		dir = dir_fd();
		rc = wr_ship_unpack(cut, dir, &l, &ref);
		out += rc == 0 && wr_ship_sums_check(dir, &ref) == 0;
		close(dir);
		close(cut);
	}
	IS(out, 0, "no truncated archive passes");
	close(a);
	close(b);
}

struct evil {
	const char *path, *link;
	int type;
	int64_t bytes;
};

static int unpack_evil(const struct evil *e, size_t n, const struct wr_ship_limits *l, bool gzip)
{
	struct archive *a = archive_write_new();
	static char zeros[65536];
	int fd = memory(), dir, rc;

	archive_write_set_format_pax(a);
	if (gzip)
		archive_write_add_filter_gzip(a);
	else
		archive_write_add_filter_zstd(a);
	archive_write_open_fd(a, fd);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *x = archive_entry_new();

		archive_entry_set_pathname(x, e[i].path);
		archive_entry_set_filetype(x, e[i].type == 0 ? AE_IFREG : (unsigned)e[i].type);
		archive_entry_set_perm(x, 0777);
		if (e[i].link != NULL && e[i].type == AE_IFLNK)
			archive_entry_set_symlink(x, e[i].link);
		else if (e[i].link != NULL)
			archive_entry_set_hardlink(x, e[i].link);
		archive_entry_set_size(x, e[i].bytes);
		archive_write_header(a, x);
		for (int64_t k = 0; k < e[i].bytes; k += (int64_t)sizeof(zeros))
			archive_write_data(a, zeros, sizeof(zeros));
		archive_entry_free(x);
	}
	archive_write_close(a);
	archive_write_free(a);
	lseek(fd, 0, SEEK_SET);
	folder_new();
	dir = dir_fd();
	rc = wr_ship_unpack(fd, dir, l, &ref);
	close(dir);
	close(fd);
	return rc;
}

static void hostile(void)
{
	static const struct {
		struct evil e[2];
		enum wr_refusal_code code;
	} row[] = {
		/* clang-format off */
		{ { { "/etc/passwd", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "../x", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "a/../../x", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "./a", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "a/b/c/d/e/f/g", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "a b", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "a\tb", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "-rf", NULL, 0, 0 } }, WR_REFUSE_BAD_PATH },
		{ { { "a", "/etc/passwd", AE_IFLNK, 0 } }, WR_REFUSE_BAD_TYPE },
		{ { { "b", NULL, 0, 0 }, { "a", "b", 0, 0 } }, WR_REFUSE_BAD_TYPE },
		{ { { "a", NULL, AE_IFIFO, 0 } }, WR_REFUSE_BAD_TYPE },
		{ { { "a", NULL, AE_IFCHR, 0 } }, WR_REFUSE_BAD_TYPE },
		{ { { "a", NULL, AE_IFDIR, 0 } }, WR_REFUSE_BAD_TYPE },
		{ { { "a", NULL, 0, 0 }, { "a", NULL, 0, 0 } }, WR_REFUSE_DUPLICATE },
		{ { { "a", NULL, 0, 0 }, { "a/b", NULL, 0, 0 } }, WR_REFUSE_DUPLICATE },
		{ { { "big", NULL, 0, 64 << 20 } }, WR_REFUSE_TOO_LARGE },
		/* clang-format on */
	};
	struct wr_ship_limits l = { .packed_bytes = 1 << 20,
		                    .unpacked_bytes = 1 << 20,
		                    .files = 4 };
	struct evil many[5] = { { "a", NULL, 0, 0 },
		                { "b", NULL, 0, 0 },
		                { "c", NULL, 0, 0 },
		                { "d", NULL, 0, 0 },
		                { "e", NULL, 0, 0 } };
	int rc;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		rc = unpack_evil(row[i].e, row[i].e[1].path == NULL ? 1 : 2, &l, false);
		OK(rc != 0 && ref.code == row[i].code, "archive with %s: %s", row[i].e[0].path,
		   wr_refusal_name(ref.code));
	}
	OK(unpack_evil(many, 4, &l, false) == 0, "as many files as the limit");
	OK(unpack_evil(many, 5, &l, false) != 0 && ref.code == WR_REFUSE_TOO_MANY_FILES,
	   "one more");
	OK(unpack_evil(many, 1, &l, true) != 0 && ref.code == WR_REFUSE_BAD_ARCHIVE, "gzip");
	l.packed_bytes = 16;
	OK(unpack_evil(many, 1, &l, false) != 0 && ref.code == WR_REFUSE_TOO_LARGE,
	   "packed too large");
}

/* --- the tools that people have ------------------------------------------------------------------
 */

static int shell(const char *cmd)
{
	int rc = system(cmd);

	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void other_tools(void)
{
	char cmd[1024];

	fill();
	seal();
	snprintf(cmd, sizeof(cmd), "cd %s && sha256sum -c --strict --quiet SHA256SUMS", folder);
	IS(shell(cmd), 0, "sha256sum -c agrees");
	if (shell("command -v minisign >/dev/null 2>&1") != 0) {
		SKIP("minisign is not installed");
		return;
	}
	sign(0, "weir-bundle core 7", "SHA256SUMS.a.minisig");
	folder_put("key.pub", pub[0]);
	snprintf(cmd, sizeof(cmd),
	         "cd %s && minisign -Vm SHA256SUMS -x SHA256SUMS.a.minisig -p key.pub >/dev/null",
	         folder);
	IS(shell(cmd), 0, "minisign -V accepts our signature");
	folder_put("sec.key", sec[0]);
	snprintf(cmd, sizeof(cmd),
	         "cd %s && minisign -Sm SHA256SUMS -x SHA256SUMS.a.minisig -s sec.key "
	         "-t 'weir-bundle core 7' >/dev/null </dev/null && rm sec.key key.pub",
	         folder);
	IS(shell(cmd), 0, "minisign -S takes our secret key");
	want(WR_REFUSE_NONE, "and we accept what minisign signed");
	folder_put("sec.key", sec[0]);
	snprintf(cmd, sizeof(cmd),
	         "cd %s && minisign -Slm SHA256SUMS -x SHA256SUMS.a.minisig -s sec.key "
	         "-t 'weir-bundle core 7' >/dev/null </dev/null; rm -f sec.key",
	         folder);
	if (shell(cmd) == 0)
		want(WR_REFUSE_NONE, "and its legacy signatures");
}

static void key_files(void)
{
	struct wr_public_key p;
	struct wr_secret_key s;
	struct wr_signature g;
	static const char bare[] = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

	IS(wr_minisign_public(bare, strlen(bare), &p), 0, "a bare public key");
	OK(wr_minisign_public(bare, strlen(bare) - 1, &p) != 0, "one digit short");
	OK(wr_minisign_public("", 0, &p) != 0, "nothing");
	OK(wr_minisign_secret(pub[0], strlen(pub[0]), NULL, &s) != 0,
	   "a public key is no secret key");
	OK(wr_minisign_signature(pub[0], strlen(pub[0]), &g) != 0, "nor a signature");
}

int main(void)
{
	keys();
	key_files();
	signatures();
	thresholds();
	packing();
	hostile();
	other_tools();
	folder_remove();
	return tap_done();
}
