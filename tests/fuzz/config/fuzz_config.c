/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: a configuration that loads shows itself as text that loads again, shows the same text and
 * means the same to both processes. Whatever does not load is refused with a message.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

static char *shown(const struct wr_config *c, size_t *n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, n);

	WR_ASSERT(f != NULL);
	wr_config_show(c, f);
	fclose(f);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_config_report rep = { 0 };
	struct wr_config *a = NULL, *b = NULL;
	char *one, *two;
	size_t n1 = 0, n2 = 0;

	if (wr_config_load_text("f", (const char *)data, n, &a, &rep) != 0) {
		WR_ASSERT(rep.n != 0);
		wr_config_free(a);
		return 0;
	}
	one = shown(a, &n1);
	WR_ASSERT(wr_config_load_text("f", one, n1, &b, &rep) == 0);
	two = shown(b, &n2);
	WR_ASSERT(n1 == n2 && memcmp(one, two, n1) == 0);
	WR_ASSERT(memcmp(wr_config_dataplane(a), wr_config_dataplane(b), sizeof(struct wr_conf)) ==
	          0);
	WR_ASSERT(memcmp(wr_config_control(a), wr_config_control(b),
	                 sizeof(struct wr_control_conf)) == 0);
	free(one);
	free(two);
	wr_config_free(a);
	wr_config_free(b);
	return 0;
}
