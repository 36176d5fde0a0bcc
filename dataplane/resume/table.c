/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/ulid.h"
#include "resume/private.h"

struct wr_session *wr_session_at(const struct wr_resume *r, uint32_t s)
{
	return wr_pool_at(r->sessions, s);
}

uint32_t wr_session_index(const struct wr_resume *r, const struct wr_session *s)
{
	return wr_pool_index(r->sessions, s);
}

struct wr_part *wr_part_at(const struct wr_resume *r, uint32_t i)
{
	return wr_pool_at(r->parts, i);
}

uint32_t wr_session_count(const struct wr_resume *r)
{
	return wr_pool_used_count(r->sessions);
}

/* --- by key, by age
 * ------------------------------------------------------------------------------- */

uint32_t wr_session_find(const struct wr_resume *r, const uint64_t key[2])
{
	uint32_t s = r->by_key[key[0] & r->key_mask];

	while (s != 0 && !wr_session_key_is(wr_session_at(r, s)->key, key))
		s = wr_session_at(r, s)->hash_next;
	return s;
}

static struct list *list_of(struct wr_resume *r, const struct wr_session *s)
{
	return &r->lru[s->confirmed != 0];
}

static void lru_cut(struct wr_resume *r, uint32_t i)
{
	struct wr_session *s = wr_session_at(r, i);
	struct list *l = list_of(r, s);

	if (s->lru_prev != 0)
		wr_session_at(r, s->lru_prev)->lru_next = s->lru_next;
	else
		l->head = s->lru_next;
	if (s->lru_next != 0)
		wr_session_at(r, s->lru_next)->lru_prev = s->lru_prev;
	else
		l->tail = s->lru_prev;
}

static void lru_add(struct wr_resume *r, uint32_t i)
{
	struct wr_session *s = wr_session_at(r, i);
	struct list *l = list_of(r, s);

	s->lru_next = 0;
	s->lru_prev = l->tail;
	if (l->tail != 0)
		wr_session_at(r, l->tail)->lru_next = i;
	else
		l->head = i;
	l->tail = i;
}

uint32_t wr_session_get(struct wr_resume *r, struct wr_lcore *lc)
{
	uint32_t i = wr_pool_get(r->sessions);
	struct wr_session *s;

	if (i == 0)
		return 0;
	s = wr_session_at(r, i);
	memset(s, 0, sizeof(*s));
	s->first_ns = s->used_ns = lc->now;
	s->doubt = UINT64_MAX;
	wr_ulid_make(s->id, (lc->now + lc->real) / 1000000, wr_random(lc), wr_random(lc));
	lru_add(r, i);
	return i;
}

void wr_session_name(struct wr_resume *r, uint32_t i, const uint64_t key[2])
{
	struct wr_session *s = wr_session_at(r, i);
	uint32_t *head = &r->by_key[key[0] & r->key_mask];

	WR_ASSERT(!s->keyed);
	s->key[0] = key[0];
	s->key[1] = key[1];
	s->keyed = 1;
	s->hash_next = *head;
	*head = i;
}

void wr_session_used(struct wr_resume *r, struct wr_lcore *lc, uint32_t i)
{
	wr_session_at(r, i)->used_ns = lc->now;
	lru_cut(r, i);
	lru_add(r, i);
}

void wr_session_confirm(struct wr_resume *r, struct wr_lcore *lc, uint32_t i)
{
	struct wr_session *s = wr_session_at(r, i);

	lru_cut(r, i);
	s->confirmed = 1;
	s->used_ns = lc->now;
	lru_add(r, i);
}

#define VICTIM_LOOK 16u /* entries with requests under way that are passed over */

uint32_t wr_session_victim(const struct wr_resume *r)
{
	for (unsigned l = 0; l < 2; l++) {
		uint32_t i = r->lru[l].head;

		for (uint32_t n = 0; i != 0 && n < VICTIM_LOOK; n++) {
			if (wr_session_at(r, i)->requests == 0)
				return i;
			i = wr_session_at(r, i)->lru_next;
		}
	}
	return 0;
}

uint32_t wr_session_old(const struct wr_resume *r, uint64_t now)
{
	for (unsigned l = 0; l < 2; l++) {
		uint32_t i = r->lru[l].head;

		if (i != 0 && wr_session_at(r, i)->requests == 0 &&
		    now - wr_session_at(r, i)->used_ns >= WR_RESUME_IDLE_NS)
			return i;
	}
	return 0;
}

uint32_t wr_session_walk(const struct wr_resume *r, uint32_t *at)
{
	for (uint32_t n = 0; n < 64; n++) {
		if (++*at > r->sessions->n) {
			*at = 0;
			return 0;
		}
		if (wr_pool_is_out(r->sessions, *at))
			return *at;
	}
	return 0;
}

/* --- parts
 * ---------------------------------------------------------------------------------------- */

static uint32_t *part_bucket(const struct wr_resume *r, uint32_t session, uint32_t number)
{
	uint64_t h = ((uint64_t)session << 32 | number) * 0x9e3779b97f4a7c15ull;

	return &r->by_part[(uint32_t)(h >> 32) & r->part_mask];
}

uint32_t wr_part_find(const struct wr_resume *r, uint32_t session, uint32_t number)
{
	uint32_t i = *part_bucket(r, session, number);

	while (i != 0 &&
	       (wr_part_at(r, i)->session != session || wr_part_at(r, i)->number != number))
		i = wr_part_at(r, i)->hash_next;
	return i;
}

/* Sorted by number; parts mostly come in that order, so the search begins at the end. */
static void part_insert(struct wr_resume *r, struct wr_session *s, uint32_t i)
{
	struct wr_part *p = wr_part_at(r, i);
	uint32_t after = s->parts_tail;

	while (after != 0 && wr_part_at(r, after)->number > p->number)
		after = wr_part_at(r, after)->prev;
	p->prev = after;
	p->next = after != 0 ? wr_part_at(r, after)->next : s->parts;
	if (after != 0)
		wr_part_at(r, after)->next = i;
	else
		s->parts = i;
	if (p->next != 0)
		wr_part_at(r, p->next)->prev = i;
	else
		s->parts_tail = i;
	s->nparts++;
}

uint32_t wr_part_get(struct wr_resume *r, struct wr_lcore *lc, uint32_t session, uint32_t number)
{
	uint32_t i = wr_part_find(r, session, number), *bucket;
	struct wr_part *p;

	if (i != 0)
		return i;
	i = wr_pool_get(r->parts);
	if (i == 0) {
		wr_count(lc, WR_R_SESSION_PART_LIMIT, 1);
		return 0;
	}
	p = wr_part_at(r, i);
	memset(p, 0, sizeof(*p));
	p->session = session;
	p->number = number;
	bucket = part_bucket(r, session, number);
	p->hash_next = *bucket;
	*bucket = i;
	part_insert(r, wr_session_at(r, session), i);
	return i;
}

static void part_put(struct wr_resume *r, uint32_t i)
{
	struct wr_part *p = wr_part_at(r, i);
	uint32_t *at = part_bucket(r, p->session, p->number);

	while (*at != i)
		at = &wr_part_at(r, *at)->hash_next;
	*at = p->hash_next;
	wr_chain_free(r, &p->bytes);
	wr_pool_put(r->parts, i);
}

void wr_session_put(struct wr_resume *r, uint32_t i)
{
	struct wr_session *s = wr_session_at(r, i);
	uint32_t next;

	for (uint32_t p = s->parts; p != 0; p = next) {
		next = wr_part_at(r, p)->next;
		part_put(r, p);
	}
	wr_chain_free(r, &s->window);
	if (s->keyed) {
		uint32_t *at = &r->by_key[s->key[0] & r->key_mask];

		while (*at != i)
			at = &wr_session_at(r, *at)->hash_next;
		*at = s->hash_next;
	}
	lru_cut(r, i);
	wr_pool_put(r->sessions, i);
}

/* --- found bad
 * ------------------------------------------------------------------------------------- */

static struct bad_key *bad_set(const struct wr_resume *r, const uint64_t key[2])
{
	return &r->bad[((uint32_t)(key[1] >> 16) & (r->bad_sets - 1)) * BAD_WAYS];
}

bool wr_bad_has(const struct wr_resume *r, const uint64_t key[2])
{
	const struct bad_key *b = bad_set(r, key);

	for (unsigned i = 0; i < BAD_WAYS; i++)
		if (b[i].at_ns != 0 && wr_session_key_is(b[i].key, key))
			return true;
	return false;
}

void wr_bad_add(struct wr_resume *r, struct wr_lcore *lc, const uint64_t key[2])
{
	struct bad_key *b = bad_set(r, key), *to = b;

	if (wr_bad_has(r, key))
		return;
	for (unsigned i = 1; i < BAD_WAYS; i++)
		if (b[i].at_ns < to->at_ns)
			to = &b[i];
	if (to->at_ns != 0)
		wr_count(lc, WR_R_SESSION_BAD_FORGOTTEN, 1);
	*to = (struct bad_key){ { key[0], key[1] }, lc->now | 1 };
}
