/* SPDX-License-Identifier: BSD-3-Clause */
#include "life/breaker.h"

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 128u
#define SLOTS      (WR_BREAKER_ITEMS * 2u)

struct watched {
	char name[NAME_BYTES]; /* "bundle/rule:ID"; "" = free */
	uint64_t minute;       /* that `count` is of */
	uint32_t count, minutes;
	double learned; /* blocks a minute, moving average of whole minutes */
	bool open;
};

struct wr_breaker {
	struct wr_breaker_budget budget;
	uint32_t used;
	uint64_t lost;
	struct watched slot[SLOTS];
};

struct wr_breaker *wr_breaker_new(const struct wr_breaker_budget *budget)
{
	struct wr_breaker *b = calloc(1, sizeof(*b));

	if (b != NULL)
		b->budget = *budget;
	return b;
}

void wr_breaker_free(struct wr_breaker *b)
{
	free(b);
}

void wr_breaker_tune(struct wr_breaker *b, const struct wr_breaker_budget *budget)
{
	b->budget = *budget;
}

uint64_t wr_breaker_lost(const struct wr_breaker *b)
{
	return b->lost;
}

/* Names come from signed bundles, so a plain hash is enough. */
static struct watched *find(struct wr_breaker *b, const char *bundle, const char *item, bool make)
{
	char name[NAME_BYTES];
	uint64_t h = 0xcbf29ce484222325ull;
	uint32_t n = 0;

	for (const char *part = bundle; part != NULL; part = part == bundle ? item : NULL) {
		for (const char *s = part; *s != '\0' && n + 2 < NAME_BYTES; s++)
			name[n++] = *s;
		if (part == bundle && bundle != item)
			name[n++] = '/';
	}
	name[n] = '\0';
	for (uint32_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
	for (uint32_t i = (uint32_t)(h % SLOTS);; i = (i + 1) % SLOTS) {
		struct watched *w = &b->slot[i];

		if (w->name[0] != '\0' && strcmp(w->name, name) == 0)
			return w;
		if (w->name[0] != '\0')
			continue;
		if (!make || b->used == WR_BREAKER_ITEMS)
			return NULL;
		b->used++;
		memcpy(w->name, name, n + 1);
		return w;
	}
}

/* Whole minutes since the last block go into the average, the empty ones among them too. */
static void learn(struct watched *w, uint64_t minute)
{
	uint64_t gap = minute - w->minute;

	for (uint64_t i = 0; i < gap && i < 60; i++) {
		uint32_t count = i == 0 ? w->count : 0;

		w->learned = w->minutes == 0 ? count : w->learned * 0.9 + count * 0.1;
		if (w->minutes < UINT32_MAX)
			w->minutes++;
	}
	w->minute = minute;
	w->count = 0;
}

static bool too_many(const struct watched *w, const struct wr_breaker_budget *m)
{
	return (m->most != 0 && w->count >= m->most) ||
	       (m->factor != 0 && w->minutes >= m->learn && w->count > m->floor &&
	        w->count > m->factor * w->learned);
}

bool wr_breaker_hit(struct wr_breaker *b, const char *bundle, const char *item, uint64_t now)
{
	struct watched *w = find(b, bundle, item, true);
	uint64_t minute = now / 60;

	if (w == NULL) {
		b->lost++;
		return false;
	}
	if (w->minute == 0)
		w->minute = minute;
	/* A clock that went back gives no minutes to learn from. */
	if (minute > w->minute)
		learn(w, minute);
	w->count++;
	if (w->open)
		return false;
	w->open = too_many(w, &b->budget);
	return w->open;
}

void wr_breaker_close(struct wr_breaker *b, const char *bundle, const char *item)
{
	struct watched *w = find(b, bundle, item, false);

	if (w != NULL) {
		w->open = false;
		w->count = 0;
	}
}
