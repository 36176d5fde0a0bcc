/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and signatures in minisign's text formats, with libsodium: `minisign -V` checks what this
 * signs, and this checks what `minisign -S` signs.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "bundle/ship.h"
#include "bundle/text.h"

/* The secret key as minisign stores it; all byte arrays, so there is no padding. */
struct secret_file {
	uint8_t sig_alg[2], kdf_alg[2], sum_alg[2], salt[32], ops[8], mem[8];
	uint8_t id[8], key[64], check[32]; /* these three are encrypted */
};
static_assert(sizeof(struct secret_file) == 158, "the layout of minisign");
#define SEALED_BYTES (8u + 64u + 32u)

struct public_file {
	uint8_t alg[2], id[8], key[32];
};
struct signature_file {
	uint8_t alg[2], id[8], sig[64];
};
static_assert(sizeof(struct public_file) == 42 && sizeof(struct signature_file) == 74, "minisign");

/* The next line of [*p, end), without its end; false when there is none. */
static bool next_line(const char **p, const char *end, const char **line, size_t *n)
{
	const char *nl;

	if (*p >= end)
		return false;
	nl = memchr(*p, '\n', (size_t)(end - *p));
	*line = *p;
	*n = (size_t)((nl == NULL ? end : nl) - *p);
	*p = nl == NULL ? end : nl + 1;
	while (*n != 0 && (*line)[*n - 1] == '\r')
		(*n)--;
	return true;
}

static bool starts(const char *s, size_t n, const char *with)
{
	return n >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static bool decode(const char *s, size_t n, void *out, size_t want)
{
	size_t got = 0;

	return sodium_base642bin(out, want, s, n, NULL, &got, NULL,
	                         sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       got == want;
}

/* A file of one comment line and one line of base64; a bare line will do too. */
static bool decode_file(const char *text, size_t n, void *out, size_t want)
{
	const char *end = text + n, *line;
	size_t len;

	while (next_line(&text, end, &line, &len))
		if (len != 0 && !starts(line, len, "untrusted comment:"))
			return decode(line, len, out, want);
	return false;
}

void wr_minisign_id(const uint8_t id[8], char out[17])
{
	snprintf(out, 17, "%016llX", (unsigned long long)wr_get_le64(id));
}

int wr_minisign_public(const char *text, size_t n, struct wr_public_key *out)
{
	struct public_file f;

	if (!decode_file(text, n, &f, sizeof(f)) || memcmp(f.alg, "Ed", 2) != 0)
		return -EBADMSG;
	memcpy(out->id, f.id, sizeof(f.id));
	memcpy(out->key, f.key, sizeof(f.key));
	return 0;
}

/* Encrypts or decrypts the sealed part in place. */
static int seal(struct secret_file *f, const char *password)
{
	uint8_t stream[SEALED_BYTES], *sealed = f->id;
	uint64_t ops = wr_get_le64(f->ops), mem = wr_get_le64(f->mem);

	/* The file decides the cost; a hostile one must not take all memory. 2 GiB is twice the
	 * usual. */
	if (mem > 2ull << 30 || ops > 1ull << 28)
		return -EBADMSG;
	if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof(stream), password, strlen(password),
	                                       f->salt, ops, (size_t)mem) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < SEALED_BYTES; i++)
		sealed[i] ^= stream[i];
	sodium_memzero(stream, sizeof(stream));
	return 0;
}

static void checksum(const struct secret_file *f, uint8_t out[32])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, 32);
	crypto_generichash_update(&h, f->sig_alg, 2);
	crypto_generichash_update(&h, f->id, 8);
	crypto_generichash_update(&h, f->key, 64);
	crypto_generichash_final(&h, out, 32);
}

int wr_minisign_secret(const char *text, size_t n, const char *password, struct wr_secret_key *out)
{
	struct secret_file f;
	uint8_t sum[32];
	int rc = 0;

	if (sodium_init() < 0)
		return -EIO;
	if (!decode_file(text, n, &f, sizeof(f)) || memcmp(f.sig_alg, "Ed", 2) != 0 ||
	    memcmp(f.sum_alg, "B2", 2) != 0)
		return -EBADMSG;
	if (memcmp(f.kdf_alg, "Sc", 2) == 0)
		rc = password == NULL ? -ENOKEY : seal(&f, password);
	else if (f.kdf_alg[0] != 0 || f.kdf_alg[1] != 0)
		rc = -EBADMSG;
	if (rc == 0) {
		checksum(&f, sum);
		/* A wrong password looks like a broken file; the caller knows which it was. */
		if (sodium_memcmp(sum, f.check, sizeof(sum)) != 0)
			rc = -EKEYREJECTED;
	}
	if (rc == 0) {
		memcpy(out->id, f.id, sizeof(f.id));
		memcpy(out->key, f.key, sizeof(f.key));
	}
	sodium_memzero(&f, sizeof(f));
	return rc;
}

int wr_minisign_signature(const char *text, size_t n, struct wr_signature *out)
{
	static const char trusted[] = "trusted comment: ";
	const char *end = text + n, *line;
	struct signature_file f;
	size_t len;

	/* Exactly four lines: what follows them would be signed by nobody. */
	if (!next_line(&text, end, &line, &len) || !starts(line, len, "untrusted comment: ") ||
	    !next_line(&text, end, &line, &len) || !decode(line, len, &f, sizeof(f)) ||
	    !next_line(&text, end, &line, &len) || !starts(line, len, trusted) ||
	    len - (sizeof(trusted) - 1) >= sizeof(out->comment))
		return -EBADMSG;
	memset(out->comment, 0, sizeof(out->comment));
	memcpy(out->comment, line + sizeof(trusted) - 1, len - (sizeof(trusted) - 1));
	if (strlen(out->comment) != len - (sizeof(trusted) - 1) ||
	    !next_line(&text, end, &line, &len) || !decode(line, len, out->global, 64) ||
	    text != end)
		return -EBADMSG;
	if (memcmp(f.alg, "ED", 2) != 0 && memcmp(f.alg, "Ed", 2) != 0)
		return -EBADMSG;
	out->prehashed = f.alg[1] == 'D';
	memcpy(out->id, f.id, sizeof(f.id));
	memcpy(out->sig, f.sig, sizeof(f.sig));
	return 0;
}

int wr_minisign_verify(const struct wr_public_key *k, const struct wr_signature *s,
                       const uint8_t *msg, size_t n)
{
	uint8_t hash[64], both[64 + sizeof(s->comment)];
	size_t comment = strlen(s->comment);

	if (sodium_init() < 0)
		return -EIO;
	if (memcmp(k->id, s->id, sizeof(k->id)) != 0)
		return -ENOKEY;
	if (s->prehashed) {
		crypto_generichash(hash, sizeof(hash), msg, n, NULL, 0);
		msg = hash;
		n = sizeof(hash);
	}
	if (crypto_sign_verify_detached(s->sig, msg, n, k->key) != 0)
		return -EKEYREJECTED;
	memcpy(both, s->sig, 64);
	memcpy(both + 64, s->comment, comment);
	return crypto_sign_verify_detached(s->global, both, 64 + comment, k->key) == 0
	               ? 0
	               : -EKEYREJECTED;
}

static void encode(char *out, size_t size, const void *p, size_t n)
{
	WR_ASSERT(sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL) <= size);
	sodium_bin2base64(out, size, p, n, sodium_base64_VARIANT_ORIGINAL);
}

int wr_minisign_sign(const struct wr_secret_key *k, const uint8_t *msg, size_t n,
                     const char *comment, char *out, size_t size)
{
	struct signature_file f = { .alg = { 'E', 'D' } };
	uint8_t hash[64], both[64 + 256], global[64];
	char sig_text[128], global_text[128], id[17];
	size_t len = strlen(comment);

	if (sodium_init() < 0)
		return -EIO;
	if (len > 255 || strpbrk(comment, "\r\n") != NULL)
		return -EINVAL;
	crypto_generichash(hash, sizeof(hash), msg, n, NULL, 0);
	memcpy(f.id, k->id, sizeof(f.id));
	crypto_sign_detached(f.sig, NULL, hash, sizeof(hash), k->key);
	memcpy(both, f.sig, 64);
	memcpy(both + 64, comment, len);
	crypto_sign_detached(global, NULL, both, 64 + len, k->key);
	encode(sig_text, sizeof(sig_text), &f, sizeof(f));
	encode(global_text, sizeof(global_text), global, sizeof(global));
	wr_minisign_id(k->id, id);
	return (size_t)snprintf(out, size,
	                        "untrusted comment: signature from key %s\n%s\n"
	                        "trusted comment: %s\n%s\n",
	                        id, sig_text, comment, global_text) < size
	               ? 0
	               : -ENOSPC;
}

int wr_minisign_keygen(const char *password, char *pub, size_t pub_size, char *sec, size_t sec_size)
{
	struct secret_file s = { .sig_alg = { 'E', 'd' }, .sum_alg = { 'B', '2' } };
	struct public_file p = { .alg = { 'E', 'd' } };
	char text[256], id[17];
	int rc = 0;

	if (sodium_init() < 0)
		return -EIO;
	crypto_sign_keypair(p.key, s.key);
	randombytes_buf(p.id, sizeof(p.id));
	memcpy(s.id, p.id, sizeof(p.id));
	checksum(&s, s.check);
	if (password != NULL) {
		memcpy(s.kdf_alg, "Sc", 2);
		randombytes_buf(s.salt, sizeof(s.salt));
		wr_put_le64(s.ops, crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE);
		wr_put_le64(s.mem, crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE);
		rc = seal(&s, password);
	}
	wr_minisign_id(p.id, id);
	encode(text, sizeof(text), &p, sizeof(p));
	if (rc == 0 &&
	    (size_t)snprintf(pub, pub_size, "untrusted comment: minisign public key %s\n%s\n", id,
	                     text) >= pub_size)
		rc = -ENOSPC;
	encode(text, sizeof(text), &s, sizeof(s));
	if (rc == 0 &&
	    (size_t)snprintf(sec, sec_size, "untrusted comment: minisign %s secret key\n%s\n",
	                     password == NULL ? "unencrypted" : "encrypted", text) >= sec_size)
		rc = -ENOSPC;
	sodium_memzero(&s, sizeof(s));
	sodium_memzero(text, sizeof(text));
	return rc;
}
