/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics/private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct own {
	unsigned family;
	char labels[192];
	double value;
};

struct hit {
	bool list; /* else a rule */
	uint8_t mode;
	char bundle[41], item[69];
	uint64_t n;
};

struct wr_metrics {
	struct wr_conf conf;
	struct wr_control_conf ctl;
	struct wr_link *link;
	struct wr_audit *audit;
	pthread_mutex_t lock; /* own, hits */
	struct own *own;
	unsigned nown;
	struct hit *hit; /* open addressing; n == 0 is free */
	unsigned nhit;
};

static unsigned family(const char *name)
{
	for (unsigned i = 0; i < wr_nfamilies; i++)
		if (strcmp(wr_families[i].name, name) == 0)
			return i;
	wr_assert_fail("the metric is in the table of families.c", __FILE__, __LINE__);
}

int wr_metrics_new(const struct wr_config *cfg, struct wr_link *link, struct wr_metrics **out)
{
	struct wr_metrics *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->own = calloc(WR_METRICS_OWN, sizeof(*m->own));
	m->hit = calloc(WR_METRICS_HITS, sizeof(*m->hit));
	m->conf = *wr_config_dataplane(cfg);
	m->ctl = *wr_config_control(cfg);
	m->link = link;
	pthread_mutex_init(&m->lock, NULL);
	if (m->own == NULL || m->hit == NULL) {
		wr_metrics_free(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

void wr_metrics_free(struct wr_metrics *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m->own);
	free(m->hit);
	free(m);
}

void wr_metrics_watch(struct wr_metrics *m, struct wr_audit *a)
{
	m->audit = a;
}

static struct own *own_slot(struct wr_metrics *m, const char *name, const char *labels)
{
	unsigned f = family(name);

	for (unsigned i = 0; i < m->nown; i++)
		if (m->own[i].family == f && strcmp(m->own[i].labels, labels) == 0)
			return &m->own[i];
	if (m->nown == WR_METRICS_OWN || strlen(labels) >= sizeof(m->own[0].labels))
		return NULL;
	m->own[m->nown].family = f;
	m->own[m->nown].value = 0;
	memcpy(m->own[m->nown].labels, labels, strlen(labels) + 1);
	return &m->own[m->nown++];
}

void wr_metrics_set(struct wr_metrics *m, const char *name, const char *labels, double value)
{
	struct own *o;

	pthread_mutex_lock(&m->lock);
	o = own_slot(m, name, labels);
	if (o != NULL)
		o->value = value;
	pthread_mutex_unlock(&m->lock);
}

void wr_metrics_add(struct wr_metrics *m, const char *name, const char *labels, double more)
{
	struct own *o;

	pthread_mutex_lock(&m->lock);
	o = own_slot(m, name, labels);
	if (o != NULL)
		o->value += more;
	pthread_mutex_unlock(&m->lock);
}

void wr_metrics_clear(struct wr_metrics *m, const char *name)
{
	unsigned f = family(name), k = 0;

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->nown; i++)
		if (m->own[i].family != f)
			m->own[k++] = m->own[i];
	m->nown = k;
	pthread_mutex_unlock(&m->lock);
}

void wr_metrics_label(char *buf, size_t size, const char *name, const char *value)
{
	size_t n = strlen(buf);
	int k = snprintf(buf + n, size - n, "%s%s=\"", n != 0 ? "," : "", name);

	n = k < 0 ? n : wr_min_u64(n + (size_t)k, size - 1);
	for (; *value != '\0' && n + 4 < size; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			buf[n++] = '\\';
		buf[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	if (n + 1 < size)
		buf[n++] = '"';
	buf[n] = '\0';
}

/* --- hits ----------------------------------------------------------------------------------------
 */

static uint32_t hash(const struct hit *h)
{
	uint32_t v = 2166136261u ^ h->mode ^ (uint32_t)h->list << 8;

	for (const char *s = h->bundle; *s != '\0'; s++)
		v = (v ^ (uint8_t)*s) * 16777619u;
	for (const char *s = h->item; *s != '\0'; s++)
		v = (v ^ (uint8_t)*s) * 16777619u;
	return v;
}

static bool same_hit(const struct hit *a, const struct hit *b)
{
	return a->list == b->list && a->mode == b->mode && strcmp(a->bundle, b->bundle) == 0 &&
	       strcmp(a->item, b->item) == 0;
}

static struct hit *find_hit(struct wr_metrics *m, const struct hit *want)
{
	uint32_t i = hash(want) % WR_METRICS_HITS;

	while (m->hit[i].n != 0 && !same_hit(&m->hit[i], want))
		i = (i + 1) % WR_METRICS_HITS;
	return &m->hit[i];
}

static void count_hit(struct wr_metrics *m, const struct wr_record_match *r)
{
	struct hit h = { .list = r->kind != WR_MATCH_PATTERN, .mode = r->mode }, *at;

	snprintf(h.bundle, sizeof(h.bundle), "%.40s", r->bundle);
	snprintf(h.item, sizeof(h.item), "%.68s", r->item);
	at = find_hit(m, &h);
	/* A quarter stays free for `other` and for short probes. */
	if (at->n == 0 && m->nhit >= WR_METRICS_HITS / 4 * 3) {
		snprintf(h.bundle, sizeof(h.bundle), "other");
		snprintf(h.item, sizeof(h.item), "other");
		at = find_hit(m, &h);
	}
	if (at->n == 0) {
		*at = h;
		m->nhit++;
	}
	at->n++;
}

void wr_metrics_record(void *arg, const struct wr_record_parts *p)
{
	struct wr_metrics *m = arg;

	if (p->rec->nmatches == 0)
		return;
	pthread_mutex_lock(&m->lock);
	for (uint16_t i = 0; i < p->rec->nmatches; i++) {
		bool again = false;

		/* One upload counts once for a rule, however often and in how many views it hit. */
		for (uint16_t k = 0; k < i && !again; k++)
			again = p->match[k].kind == p->match[i].kind &&
			        p->match[k].mode == p->match[i].mode &&
			        memcmp(p->match[k].item, p->match[i].item,
			               sizeof(p->match[i].item)) == 0 &&
			        memcmp(p->match[k].bundle, p->match[i].bundle,
			               sizeof(p->match[i].bundle)) == 0;
		if (!again)
			count_hit(m, &p->match[i]);
	}
	pthread_mutex_unlock(&m->lock);
}

static void write_hits(struct wr_metrics *m, FILE *f, const char *name, bool list)
{
	static const char *const mode[] = { "off", "shadow", "canary", "enforce" };

	for (unsigned i = 0; i < WR_METRICS_HITS; i++) {
		const struct hit *h = &m->hit[i];
		char labels[400] = "";

		if (h->n == 0 || h->list != list)
			continue;
		wr_metrics_label(labels, sizeof(labels), "bundle", h->bundle);
		wr_metrics_label(labels, sizeof(labels), list ? "list" : "rule", h->item);
		wr_metrics_label(labels, sizeof(labels), "mode", mode[h->mode & 3]);
		fprintf(f, "%s{%s} %llu\n", name, labels, (unsigned long long)h->n);
	}
}

/* --- the page
 * -------------------------------------------------------------------------------------- */

static void write_own(struct wr_metrics *m, FILE *f, unsigned fam)
{
	const char *name = wr_families[fam].name;

	if (strcmp(name, "weir_list_hits_total") == 0)
		write_hits(m, f, name, true);
	else if (strcmp(name, "weir_rule_hits_total") == 0)
		write_hits(m, f, name, false);
	for (unsigned i = 0; i < m->nown; i++) {
		const struct own *o = &m->own[i];

		if (o->family == fam)
			fprintf(f, "%s%s%s%s %.17g\n", name, o->labels[0] != '\0' ? "{" : "",
			        o->labels, o->labels[0] != '\0' ? "}" : "", o->value);
	}
}

void wr_metrics_write(struct wr_metrics *m, FILE *f)
{
	struct wr_session *s = wr_session_get(m->link);
	struct wr_page p = { .f = f, .conf = &m->conf, .ctl = &m->ctl, .s = s };

	wr_link_status(m->link, &p.link);
	if (m->audit != NULL)
		wr_audit_counts(m->audit, &p.audit);
	for (unsigned i = 0; i < wr_nfamilies; i++) {
		const struct wr_family *fam = &wr_families[i];

		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", fam->name, fam->help, fam->name,
		        fam->type);
		p.name = fam->name;
		if (fam->emit != NULL) {
			fam->emit(&p);
			continue;
		}
		pthread_mutex_lock(&m->lock);
		write_own(m, f, i);
		pthread_mutex_unlock(&m->lock);
	}
	wr_session_put(m->link, s);
}

const char *wr_metrics_name(unsigned i)
{
	return i < wr_nfamilies ? wr_families[i].name : NULL;
}

void wr_metrics_docs(FILE *f)
{
	fputs("# Metrics\n\n"
	      "Generated from `control/metrics/families.c` by `weir docs metrics`. weir-control "
	      "serves them\n"
	      "on `api.metrics` at `/metrics`, with `/healthz` (it runs) and `/readyz` (uploads "
	      "are being\n"
	      "inspected). Counters of the dataplane begin at 0 when weir-dataplane starts; use "
	      "`rate()`.\n"
	      "For each worker, once quiet: received + generated = sent + dropped + absorbed + "
	      "held.\n\n"
	      "| metric | type | labels | meaning |\n|---|---|---|---|\n",
	      f);
	for (unsigned i = 0; i < wr_nfamilies; i++)
		fprintf(f, "| `%s` | %s | %s | %s |\n", wr_families[i].name, wr_families[i].type,
		        wr_families[i].labels[0] != '\0' ? wr_families[i].labels : "-",
		        wr_families[i].help);
}
