/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bundle keygen, sign, verify: minisign's formats, so that `minisign` can do and check the
 * same. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bundle_run.h"
#include "config/config.h"

#define KEY_FILE_MAX 4096

static int read_text(struct wr_cli *c, const char *path, char out[KEY_FILE_MAX], size_t *n)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	*n = fread(out, 1, KEY_FILE_MAX - 1, f);
	out[*n] = '\0';
	fclose(f);
	return 0;
}

/* The first line of a file; NULL when none was given. */
static int read_password(struct wr_cli *c, const char *path, char out[KEY_FILE_MAX])
{
	size_t n;
	int rc = read_text(c, path, out, &n);

	if (rc == 0)
		out[strcspn(out, "\r\n")] = '\0';
	return rc;
}

static int write_key(struct wr_cli *c, const char *path, const char *text, mode_t mode)
{
	/* O_EXCL: a key that is lost is lost for good. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	size_t n = strlen(text);

	if (fd < 0)
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) != 0) {
		close(fd);
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	}
	return close(fd) == 0 ? 0 : WR_EXIT_FAIL;
}

static int run_keygen(struct wr_cli *c, int argc, char **argv)
{
	const char *pub_path = wr_cli_opt(c, &argc, argv, "-p");
	const char *sec_path = wr_cli_opt(c, &argc, argv, "-s");
	const char *file = wr_cli_opt(c, &argc, argv, "--password-file");
	char pub[512], sec[512], password[KEY_FILE_MAX];
	int rc = 0;

	if (argc != 1 || pub_path == NULL || sec_path == NULL)
		return wr_cli_usage_of(c, "bundle", "keygen");
	if (file != NULL)
		rc = read_password(c, file, password);
	if (rc == 0 && wr_minisign_keygen(file == NULL ? NULL : password, pub, sizeof(pub), sec,
	                                  sizeof(sec)) != 0)
		rc = wr_cli_fail(c, "cannot make a key (an encrypted one needs 1 GiB of memory)");
	if (rc == 0)
		rc = write_key(c, sec_path, sec, 0600);
	if (rc == 0)
		rc = write_key(c, pub_path, pub, 0644);
	sodium_memzero(sec, sizeof(sec));
	sodium_memzero(password, sizeof(password));
	if (rc == 0 && c->json)
		printf("{\"ok\":true,\"encrypted\":%s}\n", file != NULL ? "true" : "false");
	else if (rc == 0)
		printf("%s: give it to those who run Weir\n%s: keep it%s\n", pub_path, sec_path,
		       file != NULL ? "" : "; it is not encrypted (--password-file encrypts it)");
	return rc;
}

static int load_secret(struct wr_cli *c, const char *path, const char *password_file,
                       struct wr_secret_key *k)
{
	char text[KEY_FILE_MAX], password[KEY_FILE_MAX];
	size_t n;
	int rc = read_text(c, path, text, &n);

	if (rc == 0 && password_file != NULL)
		rc = read_password(c, password_file, password);
	if (rc == 0) {
		rc = wr_minisign_secret(text, n, password_file == NULL ? NULL : password, k);
		if (rc == -ENOKEY)
			rc = wr_cli_fail(
			        c, "%s is encrypted: name its password with --password-file", path);
		else if (rc == -EKEYREJECTED)
			rc = wr_cli_fail(c, "%s: wrong password, or a damaged key", path);
		else if (rc != 0)
			rc = wr_cli_fail(c, "%s: not a minisign secret key", path);
	}
	sodium_memzero(text, sizeof(text));
	sodium_memzero(password, sizeof(password));
	return rc;
}

/* Signatures for another version stay behind when a team goes on from one; a push would refuse
 * them. */
static void drop_stale(int dirfd, const char *comment)
{
	struct wr_ship_files f;
	struct wr_refusal r;

	if (wr_ship_walk(dirfd, true, &f, &r) != 0)
		return;
	for (uint32_t i = 0; i < f.n; i++) {
		size_t n = strlen(f.file[i].path), head = strlen(WR_SHIP_SUMS);
		struct wr_signature s;
		char text[KEY_FILE_MAX];
		ssize_t got;
		int fd;

		if (n < head + 8 || strncmp(f.file[i].path, WR_SHIP_SUMS ".", head + 1) != 0 ||
		    strcmp(f.file[i].path + n - 8, ".minisig") != 0)
			continue;
		fd = openat(dirfd, f.file[i].path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		got = fd < 0 ? -1 : read(fd, text, sizeof(text));
		if (fd >= 0)
			close(fd);
		if (got > 0 && wr_minisign_signature(text, (size_t)got, &s) == 0 &&
		    strcmp(s.comment, comment) != 0)
			(void)unlinkat(dirfd, f.file[i].path, 0);
	}
	wr_ship_files_free(&f);
}

/* Writes SHA256SUMS anew and signs it: what is signed is what lies there now. */
static int sign(struct wr_cli *c, const struct wr_opened *o, const struct wr_bundle *b,
                const struct wr_secret_key *k, char name[64])
{
	struct wr_refusal r = { 0 };
	char comment[128], text[1024], id[17], path[PATH_MAX * 2];
	uint8_t *sums;
	size_t n = 0;
	FILE *f;
	int rc;

	if (wr_ship_sums_write(o->fd, &r) != 0)
		return wr_cli_refused(c, &r);
	snprintf(path, sizeof(path), "%s/%s", o->dir, WR_SHIP_SUMS);
	f = fopen(path, "rb");
	sums = malloc(4u << 20);
	if (f != NULL && sums != NULL)
		n = fread(sums, 1, 4u << 20, f);
	if (f != NULL)
		fclose(f);
	snprintf(comment, sizeof(comment), "weir-bundle %s %llu", b->name,
	         (unsigned long long)b->version);
	drop_stale(o->fd, comment);
	rc = n == 0 ? -EIO : wr_minisign_sign(k, sums, n, comment, text, sizeof(text));
	free(sums);
	if (rc != 0)
		return wr_cli_fail(c, "cannot sign: %s", strerror(-rc));
	wr_minisign_id(k->id, id);
	snprintf(name, 64, "%s.%s.minisig", WR_SHIP_SUMS, id);
	snprintf(path, sizeof(path), "%s/%s", o->dir, name);
	f = fopen(path, "wb");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		return wr_cli_fail(c, "%s: %s", path, strerror(errno));
	return 0;
}

static int repack(struct wr_cli *c, const struct wr_opened *o, const struct wr_bundle *b,
                  const char *path)
{
	struct wr_refusal r = { 0 };
	char tmp[PATH_MAX + 8];
	int fd, rc;

	if (!o->temporary)
		return 0;
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return wr_cli_fail(c, "%s: %s", tmp, strerror(errno));
	rc = wr_ship_pack(o->fd, b->created, fd, &r);
	if (rc != 0)
		rc = wr_cli_refused(c, &r);
	else if (fsync(fd) != 0 || rename(tmp, path) != 0)
		rc = wr_cli_fail(c, "%s: %s", path, strerror(errno));
	close(fd);
	return rc;
}

static int run_sign(struct wr_cli *c, int argc, char **argv)
{
	const char *key = wr_cli_opt(c, &argc, argv, "-s");
	const char *password = wr_cli_opt(c, &argc, argv, "--password-file");
	struct wr_secret_key k;
	struct wr_opened o;
	struct wr_bundle *b;
	char name[64];
	int rc;

	if (argc != 2 || key == NULL)
		return wr_cli_usage_of(c, "bundle", "sign");
	rc = load_secret(c, key, password, &k);
	if (rc != 0)
		return rc;
	rc = wr_opened_open(c, argv[1], &o);
	if (rc == 0) {
		rc = wr_cli_bundle_load(c, &o, &b);
		if (rc == 0) {
			rc = sign(c, &o, b, &k, name);
			if (rc == 0)
				rc = repack(c, &o, b, argv[1]);
			if (rc == 0 && c->json)
				printf("{\"ok\":true,\"signature\":\"%s\"}\n", name);
			else if (rc == 0)
				printf("%s %llu signed: %s%s\n", b->name,
				       (unsigned long long)b->version, name,
				       o.temporary ? "" : "; now `weir bundle build`");
			wr_bundle_free(b);
		}
		wr_opened_close(&o);
	}
	sodium_memzero(&k, sizeof(k));
	return rc;
}

/* --- verify --------------------------------------------------------------------------------------
 */

static const char *const may_all[] = { "*" };

struct trusts {
	struct wr_ship_trust t[WR_TRUST_BUNDLES_MAX];
	const char *may[WR_TRUST_BUNDLES_MAX][WR_TRUST_KEYS_MAX][WR_TRUST_MAY_MAX];
	unsigned n;
	bool any_name; /* keys were given by hand: they count for every name */
};

static const struct wr_ship_trust *find(void *ctx, const char *name)
{
	const struct trusts *s = ctx;

	for (unsigned i = 0; i < s->n; i++) {
		if (name == NULL && s->t[i].allow_unsigned)
			return &s->t[i];
		if (name != NULL && (s->any_name || strcmp(s->t[i].bundle, name) == 0))
			return &s->t[i];
	}
	return NULL;
}

static int load_public(struct wr_cli *c, const char *path, struct wr_ship_key *k)
{
	char text[KEY_FILE_MAX];
	size_t n;
	int rc = read_text(c, path, text, &n);

	if (rc == 0 && wr_minisign_public(text, n, &k->key) != 0)
		rc = wr_cli_fail(c, "%s: not a minisign public key", path);
	snprintf(k->name, sizeof(k->name), "%.63s",
	         strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
	return rc;
}

static int trust_of_config(struct wr_cli *c, struct trusts *s)
{
	static struct wr_config_report rep;
	const struct wr_control_conf *cc;
	struct wr_config *cfg;
	int rc = 0;

	if (wr_config_load(&c->config, 1, &cfg, &rep) != 0) {
		wr_config_report_print(&rep, stderr);
		return wr_cli_fail(
		        c, "whom to trust is decided by weir.yaml (--config), or by -p KEY");
	}
	cc = wr_config_control(cfg);
	for (unsigned i = 0; rc == 0 && i < cc->nbundles; i++) {
		struct wr_ship_trust *t = &s->t[s->n++];

		snprintf(t->bundle, sizeof(t->bundle), "%.39s", cc->bundle[i].name);
		t->threshold = cc->bundle[i].threshold;
		t->allow_unsigned = cc->allow_unsigned;
		for (unsigned k = 0; rc == 0 && k < cc->bundle[i].nkeys; k++) {
			const struct wr_trust_key *key = &cc->bundle[i].key[k];

			rc = load_public(c, key->file, &t->key[k]);
			for (unsigned m = 0; m < key->nmay; m++)
				s->may[i][k][m] = strdup(key->may[m]);
			t->key[k].may = key->nmay == 0 ? may_all : s->may[i][k];
			t->key[k].nmay = key->nmay == 0 ? 1 : key->nmay;
			t->nkeys = k + 1;
		}
	}
	wr_config_free(cfg);
	return rc;
}

static int gather_trust(struct wr_cli *c, int *argc, char **argv, struct trusts *s)
{
	const char *key, *threshold = wr_cli_opt(c, argc, argv, "--threshold");

	while ((key = wr_cli_opt(c, argc, argv, "-p")) != NULL) {
		struct wr_ship_key *k = &s->t[0].key[s->t[0].nkeys];
		int rc;

		if (s->t[0].nkeys == WR_SHIP_KEYS_MAX)
			return wr_cli_fail(c, "more than %u keys", WR_SHIP_KEYS_MAX);
		rc = load_public(c, key, k);
		if (rc != 0)
			return rc;
		k->may = may_all;
		k->nmay = 1;
		s->t[0].nkeys++;
	}
	if (s->t[0].nkeys == 0)
		return trust_of_config(c, s);
	s->n = 1;
	s->any_name = true;
	s->t[0].threshold = threshold == NULL ? 1 : (uint32_t)strtoul(threshold, NULL, 10);
	return 0;
}

static int print_verified(struct wr_cli *c, const struct wr_verified *v, const struct trusts *s)
{
	const struct wr_ship_trust *t = find((void *)(uintptr_t)s, v->name);
	json_t *keys = json_array(), *out;
	char hex[65], id[17];

	sodium_bin2hex(hex, sizeof(hex), v->sums_sha256, 32);
	for (uint32_t i = 0; t != NULL && i < t->nkeys; i++) {
		if ((v->signers >> i & 1) == 0)
			continue;
		wr_minisign_id(t->key[i].key.id, id);
		json_array_append_new(keys,
		                      json_pack("{s:s,s:s}", "key", id, "name", t->key[i].name));
		if (!c->json)
			printf("signed by %s (%s)\n", id, t->key[i].name);
	}
	if (!c->json)
		printf("%s %llu verifies\n", v->name, (unsigned long long)v->version);
	out = json_pack("{s:b,s:s,s:I,s:s,s:o}", "ok", 1, "name", v->name, "version",
	                (json_int_t)v->version, "sums_sha256", hex, "signers", keys);
	if (c->json)
		wr_cli_print_json(out);
	json_decref(out);
	return 0;
}

static int run_verify(struct wr_cli *c, int argc, char **argv)
{
	static struct trusts s;
	struct wr_bundle_errors e = { 0 };
	struct wr_verified v;
	struct wr_refusal r;
	struct wr_bundle *b;
	struct wr_opened o;
	int rc = gather_trust(c, &argc, argv, &s);

	if (rc != 0)
		return rc;
	if (argc != 2)
		return wr_cli_usage_of(c, "bundle", "verify");
	rc = wr_opened_open(c, argv[1], &o);
	if (rc != 0)
		return rc;
	rc = wr_ship_verify(o.fd, find, &s, &v, &b, &e, &r);
	if (rc == 0)
		rc = print_verified(c, &v, &s);
	else
		rc = wr_cli_refused(c, &r);
	wr_bundle_errors_free(&e);
	wr_bundle_free(b);
	wr_opened_close(&o);
	return rc;
}

const struct wr_cmd wr_cmds_bundle_sign[] = {
	{ "bundle", "keygen", "-p PUBLIC -s SECRET [--password-file F]", "make a minisign key pair",
	  run_keygen },
	{ "bundle", "sign", "DIR|FILE -s SECRET [--password-file F]",
	  "write SHA256SUMS and sign it (minisign format)", run_sign },
	{ "bundle", "verify", "DIR|FILE [-p PUBLIC]... [--threshold N]",
	  "check sums, signatures and who may ship what, as a push would", run_verify },
	{ 0 },
};
