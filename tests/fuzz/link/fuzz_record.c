/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Law: bytes that are accepted as a record give one line of JSON that says the same twice, fits a
 * batch, and repeats what the record says; bytes that are not are refused without being read
 * beyond.
 */
#include "audit/audit.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wr_record_parts p;
	size_t len = 0, again_len = 0;
	char *line, *again;
	void *slot;
	json_t *o;

	if (n == 0 || n > WR_RECORD_MAX)
		return 0;
	slot = aligned_alloc(8, (n + 7) & ~(size_t)7);
	WR_ASSERT(slot != NULL);
	memcpy(slot, data, n);
	if (wr_record_split(slot, (uint32_t)n, &p) == 0) {
		line = wr_record_json(&p, NULL, &len);
		again = wr_record_json(&p, NULL, &again_len);
		WR_ASSERT(line != NULL && again != NULL && len == again_len &&
		          memcmp(line, again, len) == 0);
		WR_ASSERT(len < 7 * WR_RECORD_MAX && memchr(line, '\n', len) == line + len - 1);
		o = json_loadb(line, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
		/* Two bundles of one name are one key: everything else is there once. */
		if (o == NULL)
			o = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
		WR_ASSERT(o != NULL);
		WR_ASSERT(json_array_size(json_object_get(o, "matches")) == p.rec->nmatches);
		WR_ASSERT(json_array_size(json_object_get(o, "views")) == p.rec->nviews);
		json_decref(o);
		free(line);
		free(again);
	}
	free(slot);
	return 0;
}
