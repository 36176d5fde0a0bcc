/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads streams from stdin, each behind its length (32 bits, big endian), and prints one line for
 * each: "no REASON", or "ok" and for every object "
 * KIND:NAME:FILENAME:SHA256(raw)[:SHA256(decoded)]". argv[1]: how the stream is cut (0: not at
 * all).
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/bytes.h"
#include "body_run.h"

static void put_sha(const struct run_view *v)
{
	unsigned char d[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_Digest(v->p != NULL ? (const void *)v->p : "", v->n, d, &n, EVP_sha256(), NULL);
	putchar(':');
	for (unsigned i = 0; i < n; i++)
		printf("%02x", d[i]);
}

static void put_hex(const char *s)
{
	putchar(':');
	for (; *s != '\0'; s++)
		printf("%02x", (unsigned char)*s);
}

int main(int argc, char **argv)
{
	static uint8_t buf[1 << 20];
	static const char kind[] = "wpfa";
	struct body_run *r = body_run_new(NULL);
	size_t cut = argc > 1 ? (size_t)atoi(argv[1]) : 0;
	uint8_t len[4];

	while (fread(len, 1, 4, stdin) == 4) {
		uint32_t n = wr_get_be32(len);

		if (n > sizeof(buf) || fread(buf, 1, n, stdin) != n)
			return 1;
		body_run(r, buf, n, cut, 0);
		if (r->requests > 1) { /* damage made a second request of it */
			puts("no single request");
			continue;
		}
		if (r->reason != WR_R_NONE || r->note != WR_R_NONE || r->requests == 0) {
			printf("no %s\n",
			       wr_reason_info(r->reason != WR_R_NONE ? r->reason : r->note)->name);
			continue;
		}
		printf("ok");
		for (uint32_t i = 0; i < r->nobjects; i++) {
			const struct run_object *o = &r->object[i];

			printf(" %c", kind[o->kind]);
			put_hex(o->name);
			put_hex(o->filename);
			put_sha(&o->view[0]);
			if (o->coding != WR_CODING_NONE)
				put_sha(&o->view[1]);
		}
		putchar('\n');
	}
	body_run_free(r);
	return 0;
}
