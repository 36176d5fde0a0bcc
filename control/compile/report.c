/* SPDX-License-Identifier: BSD-3-Clause */
#include "compile/compile.h"

/* Bytes beyond ASCII and control bytes are escaped one by one: a bundle's text is not always UTF-8.
 */
static void string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s != '\0'; s++) {
		unsigned char b = (unsigned char)*s;

		if (b == '"' || b == '\\')
			fprintf(out, "\\%c", b);
		else if (b < 0x20 || b > 0x7e)
			fprintf(out, "\\u%04x", b);
		else
			fputc(b, out);
	}
	fputc('"', out);
}

static void hash(FILE *out, const uint8_t sha256[32])
{
	char hex[65];

	wr_out_hex(sha256, 32, hex);
	fprintf(out, "\"%s\"", hex);
}

static void lines(FILE *out, const struct wr_bundle_errors *e, bool warnings)
{
	bool first = true;

	for (uint32_t i = 0; i < e->n; i++) {
		if ((e->e[i].warning != 0) != warnings)
			continue;
		fputs(first ? "{\"file\":" : ",{\"file\":", out);
		string(out, e->e[i].file);
		fprintf(out, ",\"line\":%u,\"message\":", e->e[i].line);
		string(out, e->e[i].message);
		fputc('}', out);
		first = false;
	}
}

static void shards(FILE *out, const struct wr_compile *c)
{
	static const uint8_t none[32];

	fputs("\"shards\":[", out);
	hash(out, c->meta);
	for (uint32_t i = 0; i < c->ngroups; i++) {
		bool again = c->group[i].npatterns == 0;

		for (uint32_t k = 0; k < i && !again; k++)
			again = memcmp(c->group[k].shard, c->group[i].shard, 32) == 0;
		if (again)
			continue;
		fputc(',', out);
		hash(out, c->group[i].shard);
	}
	for (uint32_t i = 0; i < c->nlists; i++) {
		bool again = memcmp(c->list[i].shard, none, 32) == 0;

		for (uint32_t k = 0; k < i && !again; k++)
			again = memcmp(c->list[k].shard, c->list[i].shard, 32) == 0;
		if (again)
			continue;
		fputc(',', out);
		hash(out, c->list[i].shard);
	}
	fputs("],", out);
}

static void bundles_lists(FILE *out, const struct wr_compile *c)
{
	static const uint8_t none[32];

	fputs("\"bundles\":[", out);
	for (uint32_t i = 0; i < c->nbundles; i++) {
		fputs(i == 0 ? "{\"name\":" : ",{\"name\":", out);
		string(out, c->bundle[i]->name);
		fprintf(out,
		        ",\"version\":%llu,\"sha256\":", (unsigned long long)c->bundle[i]->version);
		hash(out, c->bundle_sha256[i]);
		fprintf(out, ",\"expires\":%llu}", (unsigned long long)c->bundle[i]->expires);
	}
	fputs("],\"lists\":[", out);
	for (uint32_t i = 0; i < c->nlists; i++) {
		const struct wr_plan_list *l = &c->list[i];
		bool off = memcmp(l->shard, none, 32) == 0;

		fputs(i == 0 ? "{\"bundle\":" : ",{\"bundle\":", out);
		string(out, c->bundle[l->bundle]->name);
		fputs(",\"id\":", out);
		string(out, l->l->id);
		fprintf(out,
		        ",\"algo\":\"%s\",\"mode\":\"%s\",\"entries\":%llu,\"bad_lines\":%llu}",
		        off ? "" : wr_algo_name((enum wr_algo)l->algo),
		        wr_item_mode_name((enum wr_item_mode)l->mode),
		        (unsigned long long)l->entries, (unsigned long long)l->bad_lines);
	}
	fputs("],", out);
}

static void cost(FILE *out, const struct wr_compile *c)
{
	fputs("\"groups\":[", out);
	for (uint32_t i = 0; i < c->ngroups; i++)
		fprintf(out, "%s{\"patterns\":%u,\"stream_bytes\":%u,\"bytes\":%llu,\"reused\":%s}",
		        i == 0 ? "" : ",", c->group[i].npatterns, c->group[i].stream_bytes,
		        (unsigned long long)c->group[i].shard_bytes,
		        c->group[i].reused ? "true" : "false");
	fputs("],", out);
	if (!c->opts->bench)
		return;
	fprintf(out, "\"cycles_per_byte\":%.3f,\"dear\":[", c->bench_cycles_per_byte);
	for (uint32_t i = 0; i < c->ndear; i++) {
		const struct wr_plan_rule *p = &c->rule[c->dear[i].rule];

		fputs(i == 0 ? "{\"bundle\":" : ",{\"bundle\":", out);
		string(out, c->bundle[p->bundle]->name);
		fputs(",\"rule\":", out);
		string(out, p->r->id);
		fputs(",\"file\":", out);
		string(out, p->r->file);
		fprintf(out, ",\"line\":%u,\"cycles_per_byte\":%.3f}", p->r->line,
		        c->dear[i].cycles_per_byte);
	}
	fputs("],", out);
}

void wr_compile_report(const struct wr_compile *c, int rc, const struct wr_bundle_errors *e,
                       FILE *out)
{
	if (rc != 0) {
		fputs("{\"ok\":false,\"errors\":[", out);
		lines(out, e, false);
		fputs("],\"warnings\":[", out);
		lines(out, e, true);
		fputs("]}\n", out);
		return;
	}
	fputs("{\"ok\":true,\"meta\":", out);
	hash(out, c->meta);
	fputc(',', out);
	shards(out, c);
	bundles_lists(out, c);
	cost(out, c);
	fprintf(out,
	        "\"rules\":%u,\"stream_state_bytes\":%u,\"memory_bytes\":%llu,\"recompile_at\":%"
	        "llu,",
	        c->nrules, c->stream_state_bytes, (unsigned long long)c->memory_bytes,
	        (unsigned long long)c->recompile_at);
	fputs("\"warnings\":[", out);
	lines(out, e, true);
	fputs("]}\n", out);
}
