/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: only what was signed verifies. The input is the text of a signature; against a fixed key and
 * message it may verify only when every signed field is the one that the key made.
 */
#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "bundle/ship.h"

static const uint8_t message[] = "SHA256SUMS of a bundle\n";
static struct wr_public_key pub;
static struct wr_signature made;

static void prepare(void)
{
	struct wr_secret_key sec;
	uint8_t seed[32];
	char text[1024];

	WR_ASSERT(sodium_init() >= 0);
	memset(seed, 7, sizeof(seed));
	crypto_sign_seed_keypair(pub.key, sec.key, seed);
	memset(pub.id, 1, sizeof(pub.id));
	memset(sec.id, 1, sizeof(sec.id));
	WR_ASSERT(wr_minisign_sign(&sec, message, sizeof(message), "weir-bundle core 7", text,
	                           sizeof(text)) == 0);
	WR_ASSERT(wr_minisign_signature(text, strlen(text), &made) == 0);
	WR_ASSERT(wr_minisign_verify(&pub, &made, message, sizeof(message)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool ready;
	struct wr_public_key p;
	struct wr_secret_key k;
	struct wr_signature s;

	if (!ready)
		prepare();
	ready = true;
	(void)!wr_minisign_public((const char *)data, n, &p);
	(void)!wr_minisign_secret((const char *)data, n, NULL, &k);
	if (wr_minisign_signature((const char *)data, n, &s) != 0)
		return 0;
	WR_ASSERT(memchr(s.comment, '\0', sizeof(s.comment)) != NULL);
	WR_ASSERT(strpbrk(s.comment, "\r\n") == NULL || s.comment[0] != '\0');
	if (wr_minisign_verify(&pub, &s, message, sizeof(message)) == 0)
		WR_ASSERT(memcmp(s.sig, made.sig, 64) == 0 &&
		          memcmp(s.global, made.global, 64) == 0 && memcmp(s.id, made.id, 8) == 0 &&
		          strcmp(s.comment, made.comment) == 0 && s.prehashed);
	return 0;
}
