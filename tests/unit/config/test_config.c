/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *base;

static void read_base(void)
{
	FILE *f = fopen(BASE, "r");

	base = calloc(1, 1 << 16);
	if (f == NULL || base == NULL || fread(base, 1, (1 << 16) - 1, f) == 0)
		exit(2);
	fclose(f);
}

/* The text with the first `from` replaced by `to`. */
static char *swap(const char *text, const char *from, const char *to)
{
	char *out = calloc(1, 1 << 17);
	const char *at = strstr(text, from);

	if (out == NULL || at == NULL) {
		printf("Bail out! '%s' is not in the base file\n", from);
		exit(2);
	}
	sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return out;
}

static char *with(const char *from, const char *to)
{
	return swap(base, from, to);
}

static struct wr_config *load(const char *text, struct wr_config_report *rep)
{
	struct wr_config *c = NULL;

	memset(rep, 0, sizeof(*rep));
	if (wr_config_load_text("w.yaml", text, strlen(text), &c, rep) == 0)
		return c;
	wr_config_free(c);
	return NULL;
}

/* Each row breaks one thing; what is said names the place and the fix. line 0: any place. */
static const struct {
	const char *from, *to;
	unsigned line, col;
	const char *want;
} wrong[] = {
	/* clang-format off */
	{ "node: t1", "nod: t1", 1, 1, "did you mean 'node'" },
	{ "node: t1", "nod: t1", 0, 0, "key 'node' is missing" },
	{ "node: t1", "node: \"a b\"", 1, 1, "letters, digits" },
	{ "node: t1", "node: t1\nnode: t2", 2, 1, "stands twice" },
	{ "node: t1", "node: [t1]", 1, 1, "one plain value" },
	{ "node: t1", "node: &x t1", 1, 7, "anchors are not supported" },
	{ "node: t1", "node: t1\nzzzzzz: 1", 2, 1, "unknown key 'zzzzzz'" },
	{ "on_process_death: closed", "on_process_death: opn", 7, 5, "one of open|closed" },
	{ "    on_process_death: closed\n", "", 4, 5, "on_process_death' is missing" },
	{ "stall_limit: 250ms", "stall_limit: 250", 9, 5, "time such as 100ms" },
	{ "stall_limit: 250ms", "stall_limit: 9ms", 9, 5, "between 10ms and 60s" },
	{ "stall_limit: 250ms", "stal_limit: 250ms", 9, 5, "did you mean 'stall_limit'" },
	{ "mbufs: 4096", "mbufs: 1023", 0, 0, "between 1024 and" },
	{ "mbufs: 4096", "mbufs: 4096x", 0, 0, "whole number" },
	{ "mbufs: 4096", "mbufs: 99999999999999999999", 0, 0, "whole number" },
	{ "hold_budget: 64MiB", "hold_budget: 64MB", 0, 0, "64KiB or 1GiB" },
	{ "hold_budget: 64MiB", "hold_budget: 64MiB, record_ring: 100KiB", 0, 0, "power of two" },
	{ "core: 1,", "core: 0,", 14, 7, "already taken" },
	{ "link: a,", "link: b,", 14, 7, "not in links" },
	{ "queue: 0", "queue: 1", 0, 0, "must be 0 to 0" },
	{ "{ name: w0, core: 1, link: a, queue: 0 }",
	  "{ name: w0, core: 1, link: a, queue: 0 }\n    - { name: w0, core: 2, link: a, queue: 0 }",
	  0, 0, "two workers on queue 0" },
	{ "{ name: w0, core: 1, link: a, queue: 0 }",
	  "{ name: w0, core: 1, link: a, queue: 0 }\n    - { name: w0, core: 2, link: a, queue: 1 }",
	  15, 7, "second worker named 'w0'" },
	{ "control: \"0\"", "control: \"0-1\"", 12, 3, "belongs to worker w0" },
	{ "control: \"0\"", "control: \"0-\"", 12, 3, "no list of cores" },
	{ "net_af_packet0,iface=c", "eth0", 5, 15, "PCI address" },
	{ "net_af_packet1,iface=s", "net_af_packet0,iface=c", 3, 1, "used twice" },
	{ "device: \"net_af_packet0,iface=c\"", "", 5, 5, "either 'device' or 'devices'" },
	{ "10.0.0.0/8", "10.0.0.0/33", 0, 0, "CIDR" },
	{ "10.0.0.0/8", "10.0.0/8", 0, 0, "CIDR" },
	{ "[80, 9000]", "[0]", 0, 0, "no TCP port" },
	{ "[80, 9000]", "[65536]", 0, 0, "no TCP port" },
	{ "[80, 9000]", "[]", 0, 0, "0 entries" },
	{ "name: odd", "name: objects", 0, 0, "second service named" },
	{ "mode: observe", "mode: obsrve", 0, 0, "one of enforce|observe" },
	{ "match: flag", "match: pass", 0, 0, "one of block|flag" },
	{ "bare_lf: observe", "bare_lff: observe", 0, 0, "no reason or cause that policy.framing" },
	{ "bare_lf: observe", "gap: observe", 0, 0, "no reason or cause that policy.framing" },
	{ "{ default: block, bare_lf: observe }", "{ bare_lf: observe }", 0, 0, "needs the key 'default'" },
	{ "  on_overload: open\n", "", 0, 0, "policy.on_overload' is missing" },
	{ "not_http: pass,", "not_htp: pass,", 0, 0, "did you mean 'not_http'" },
	{ "status: 451", "status: 200", 0, 0, "403|422|451" },
	{ "threshold: 1", "threshold: 2", 0, 0, "needs as many keys" },
	{ "file: keys/a.pub,", "", 0, 0, "keys[].file' is missing" },
	{ "region: EU", "region: 0123456789abcdef", 2, 1, "16 bytes" },
	{ "answer:", "memory: 4\nanswer:", 0, 0, "stands twice" },
	{ "region: EU", "region: [", 0, 0, "not YAML" },
	{ "region: EU", "region: \"\\0\"", 2, 9, "NUL byte" },
	{ "mbufs: 4096", "mbufs: 4096, hugepages: no", 0, 0, "neither true nor false" },
	{ "idle: spin", "idle: spin\n  decoders: [1]", 0, 0, "already taken" },
	{ "answer:", "api: { metrics: \"9477\" }\nanswer:", 0, 0, "host:port" },
	{ "answer:", "api: { push: { listen: \"0.0.0.0:1\" } }\nanswer:", 0, 0, "needs cert, key and client_ca" },
	/* clang-format on */
};

static bool said(const struct wr_config_report *rep, unsigned line, unsigned col, const char *want)
{
	for (unsigned i = 0; i < rep->n; i++)
		if (strstr(rep->d[i].text, want) != NULL &&
		    (line == 0 || (rep->d[i].line == line && rep->d[i].col == col)))
			return true;
	return false;
}

static void test_wrong(void)
{
	struct wr_config_report rep;

	for (size_t i = 0; i < WR_COUNT_OF(wrong); i++) {
		char *text = with(wrong[i].from, wrong[i].to);
		struct wr_config *c = load(text, &rep);

		OK(c == NULL && said(&rep, wrong[i].line, wrong[i].col, wrong[i].want),
		   "row %zu: %s", i, wrong[i].want);
		if (c != NULL || !said(&rep, wrong[i].line, wrong[i].col, wrong[i].want))
			for (unsigned k = 0; k < rep.n; k++)
				printf("# %u:%u: %s\n", rep.d[k].line, rep.d[k].col, rep.d[k].text);
		wr_config_free(c);
		free(text);
	}
}

static void test_lab(void)
{
	static const char *const row[][2] = { { "shared_cores: false", "shared_cores: true" },
		                              { "idle: spin", "idle: yield" },
		                              { "trust: {", "trust: { allow_unsigned: true," } };
	struct wr_config_report rep;

	for (size_t i = 0; i < WR_COUNT_OF(row); i++) {
		char *text = with(row[i][0], row[i][1]), *nic;
		struct wr_config *c = load(text, &rep);

		OK(c != NULL && wr_config_dataplane(c)->lab == 1, "a lab may: %s", row[i][1]);
		wr_config_free(c);
		nic = swap(text, "net_af_packet0,iface=c", "0000:3b:00.0");
		c = load(nic, &rep);
		OK(c == NULL && said(&rep, 0, 0, "labs only"), "a NIC refuses it");
		wr_config_free(c);
		free(nic);
		free(text);
	}
}

static void test_policy(void)
{
	struct wr_config_report rep;
	struct wr_config *c = load(base, &rep);
	const struct wr_conf *d = wr_config_dataplane(c);
	const struct wr_policy *p = &d->service[0].policy, *q = &d->service[1].policy;

	IS(p->ceiling, WR_A_FLAG, "match: flag is the ceiling");
	IS(p->on_verdict[WR_V_CLEAN], WR_A_PASS, "clean passes");
	IS(p->on_verdict[WR_V_MATCH], WR_A_FLAG, "match by the ceiling");
	IS(p->on_verdict[WR_V_SKIPPED], WR_A_PASS, "skipped: pass");
	IS(p->on_cause[WR_C_POLYGLOT], WR_A_BLOCK, "a cause of its own");
	IS(p->on_cause[WR_C_TYPE_MISMATCH], WR_A_FLAG, "the key's default");
	IS(p->on_cause[WR_C_DECODER_LATE], WR_A_FLAG, "incomplete: decoder_late");
	IS(p->on_cause[WR_C_GAP], WR_A_BLOCK, "incomplete: default");
	IS(p->on_cause[WR_C_MIDSTREAM], WR_A_PASS, "midstream: pass");
	IS(p->on_cause[WR_C_OBJECT_BAD], WR_A_FLAG, "a bad object is a match: the ceiling");
	IS(p->on_reason[WR_R_BARE_LF], WR_ON_INSPECT, "bare_lf: observe");
	IS(p->on_reason[WR_R_CL_TE], WR_ON_BLOCK, "framing: default");
	IS(p->on_reason[WR_R_CODING_UNKNOWN], WR_ON_INSPECT, "incomplete, by reason");
	IS(p->on_reason[WR_R_CODING_BAD], WR_ON_BLOCK, "incomplete: block ends the connection");
	IS(p->on_reason[WR_R_MIDSTREAM], WR_ON_PASS, "midstream: pass");
	IS(p->on_reason[WR_R_OVERLAP_CONFLICT], WR_ON_INSPECT, "overlap_conflict: observe");
	IS(p->on_reason[WR_R_BAD_IP_HEADER], WR_ON_DROP, "a fixed default: drop");
	IS(p->on_reason[WR_R_NOT_IP], WR_ON_PASS, "a fixed default: wire");
	IS(p->on_reason[WR_R_IP_FRAGMENT], WR_ON_DROP, "fragments: drop unless asked");
	IS(p->on_reason[WR_R_OVERLOAD], WR_ON_PASS, "on_overload: open");
	IS(p->on_reason[WR_R_RECORD_LOST], WR_ON_BLOCK, "on_records_lost: closed");
	IS(p->on_overload, WR_DEATH_OPEN, "on_overload");
	IS(p->on_records_lost, WR_DEATH_CLOSED, "on_records_lost");
	IS(p->bundle_expired, 1, "bundle_expired: shadow");
	IS(q->on_reason[WR_R_NOT_HTTP], WR_ON_PASS, "a service's own not_http");
	IS(p->on_reason[WR_R_NOT_HTTP], WR_ON_BLOCK, "is not everybody's");
	IS(q->on_reason[WR_R_CL_TE], WR_ON_BLOCK, "a service's own framing, by reason");
	IS(q->on_reason[WR_R_BARE_LF], WR_ON_INSPECT, "replaces the global key as a whole");
	IS(q->on_cause[WR_C_FRAMING], WR_A_FLAG, "observe is a flag for the upload");
	wr_config_free(c);
}

static void test_values(void)
{
	static const uint8_t v4[16] = { [10] = 0xff, 0xff, 10 }, v6[16] = { 0xfd, 0x77, [15] = 2 };
	struct wr_config_report rep;
	struct wr_config *c = load(base, &rep);
	const struct wr_conf *d = wr_config_dataplane(c);
	const struct wr_control_conf *k = wr_config_control(c);

	OK(c != NULL && rep.n == 0, "the base file is right");
	IS(d->nlinks, 1, "one link");
	OK(strcmp(d->link[0].client.device[0], "net_af_packet0,iface=c") == 0, "device");
	IS(d->link[0].on_worker_stall, WR_DEATH_OPEN, "on_worker_stall");
	IS(d->link[0].stall_limit_ns, 250000000, "a time in ns");
	IS(d->hold_budget_bytes, 64 << 20, "a size in bytes");
	IS(d->worker[0].core, 1, "core");
	IS(d->nservices, 2, "two services");
	IS(d->service[0].nnets, 2, "two prefixes");
	IS(d->service[0].net[0].bits, 104, "IPv4 is mapped");
	OK(memcmp(d->service[0].net[0].addr, v4, 16) == 0, "10.0.0.0");
	OK(d->service[0].net[1].bits == 128 && memcmp(d->service[0].net[1].addr, v6, 16) == 0,
	   "fd77::2");
	IS(d->service[0].port[1], 9000, "a port");
	IS(d->service[1].nports, 0, "any port");
	IS(d->service[1].nnets, 0, "any address by default");
	IS(d->service[1].mode, WR_MODE_OBSERVE, "observe");
	IS(d->answer_status, 451, "answer.status");
	IS(d->norigins, 1, "an origin");
	IS(d->size, sizeof(*d), "its size is in it");
	IS(d->nreasons, WR_R_COUNT, "reasons of this build");
	IS(d->turn_bytes, 32768, "a default");
	IS(d->lab, 0, "nothing for labs only");
	IS(k->nbundles, 1, "a bundle is trusted");
	OK(strcmp(k->bundle[0].key[0].file, "keys/a.pub") == 0, "its key");
	IS(k->bundle[0].key[0].nmay, 1, "what it may sign");
	IS(k->records_fsync, WR_FSYNC_SECOND, "records.fsync");
	IS(k->breaker.blocks, 1000, "breaker.blocks");
	IS(k->breaker.factor, 10, "breaker.factor");
	IS(k->breaker.floor, 50, "breaker.floor");
	IS(k->breaker.learn_minutes, 10, "breaker.learn, in minutes");
	wr_config_free(c);
}

static char *shown(const struct wr_config *c)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	wr_config_show(c, f);
	fclose(f);
	return text;
}

static void test_show(void)
{
	struct wr_config_report rep;
	struct wr_config *a = load(base, &rep), *b;
	char *one = shown(a), *two;

	b = load(one, &rep);
	OK(b != NULL, "what is shown loads");
	if (b == NULL) {
		wr_config_report_print(&rep, stdout);
		return;
	}
	two = shown(b);
	OK(strcmp(one, two) == 0, "and shows the same");
	OK(memcmp(wr_config_dataplane(a), wr_config_dataplane(b), sizeof(struct wr_conf)) == 0,
	   "and means the same to the dataplane");
	OK(memcmp(wr_config_control(a), wr_config_control(b), sizeof(struct wr_control_conf)) == 0,
	   "and to control");
	free(one);
	free(two);
	wr_config_free(a);
	wr_config_free(b);
}

static void test_init(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct wr_config_report rep;
	struct wr_config *c;

	IS(wr_config_init(f), 0, "init writes");
	fclose(f);
	c = load(text, &rep);
	OK(c != NULL, "what init writes is right");
	OK(c != NULL && wr_config_dataplane(c)->link[0].on_process_death == WR_DEATH_CLOSED &&
	           wr_config_dataplane(c)->service[0].policy.on_reason[WR_R_NOT_HTTP] ==
	                   WR_ON_BLOCK,
	   "and closed");
	wr_config_free(c);
	free(text);
}

struct changes {
	unsigned n, live, dataplane;
	char text[4096];
};

static void change(void *arg, const char *path, const char *was, const char *is,
                   enum wr_config_scope scope)
{
	struct changes *c = arg;
	size_t n = strlen(c->text);

	c->n++;
	c->live += scope == WR_SCOPE_LIVE;
	c->dataplane += scope == WR_SCOPE_DATAPLANE;
	snprintf(c->text + n, sizeof(c->text) - n, "%s:%s>%s;", path, was ? was : "-",
	         is ? is : "-");
}

static void test_diff(void)
{
	char *text = with("answer: { status: 451,", "records: { keep: 3 }\nanswer: { status: 403,");
	struct wr_config_report rep;
	struct wr_config *a = load(base, &rep), *b = load(text, &rep);
	struct changes c = { 0 };

	wr_config_diff(a, b, change, &c);
	IS(c.n, 2, "two settings differ (%s)", c.text);
	IS(c.live, 1, "one takes effect by reload");
	IS(c.dataplane, 1, "one needs the dataplane");
	OK(strstr(c.text, "records.keep:64>3;") != NULL, "with both values");
	memset(&c, 0, sizeof(c));
	wr_config_diff(a, a, change, &c);
	IS(c.n, 0, "nothing differs from itself");
	wr_config_free(a);
	wr_config_free(b);
	free(text);
}

static void test_merge(const char *dir)
{
	static const char over[] = "services: [ { name: only, port: 1 } ]\n"
	                           "memory: { mbufs: 8192 }\npolicy: { incomplete: flag }\n";
	static const char bad[] = "memory: { mbfs: 8192 }\n";
	char path[2][512];
	const char *files[3] = { BASE, path[0], path[1] };
	struct wr_config_report rep = { 0 };
	struct wr_config *c = NULL;

	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path[i], sizeof(path[i]), "%s/merge-%d-%d.yaml", dir, (int)getpid(), i);
		f = fopen(path[i], "w");
		fputs(i == 0 ? over : bad, f);
		fclose(f);
	}
	IS(wr_config_load(files, 2, &c, &rep), 0, "a file merged over another");
	IS(wr_config_dataplane(c)->nservices, 1, "lists are replaced");
	IS(wr_config_dataplane(c)->mbufs, 8192, "maps are merged");
	IS(wr_config_dataplane(c)->uploads, 100, "key by key");
	IS(wr_config_dataplane(c)->service[0].policy.on_cause[WR_C_GAP], WR_A_FLAG,
	   "word over map");
	wr_config_free(c);
	c = NULL;
	OK(wr_config_load(files, 3, &c, &rep) != 0 && rep.n == 1 &&
	           strcmp(rep.d[0].file, path[1]) == 0 && rep.d[0].line == 1 && rep.d[0].col == 11,
	   "an error names the file it stands in");
	wr_config_free(c);
	c = NULL;
	memset(&rep, 0, sizeof(rep));
	files[1] = "/nonexistent/w.yaml";
	OK(wr_config_load(files, 2, &c, &rep) == -ENOENT && said(&rep, 0, 0, "cannot read"),
	   "no such file");
	wr_config_free(c);
	unlink(path[0]);
	unlink(path[1]);
}

static void test_limits(void)
{
	struct wr_config_report rep;
	char *deep = calloc(1, 4096), *text;

	for (int i = 0; i < 40; i++)
		strcat(deep, "[");
	text = with("EU", deep);
	OK(load(text, &rep) == NULL && said(&rep, 0, 0, "16 levels"), "depth has a limit");
	free(text);
	free(deep);
	deep = calloc(1, 1 << 17);
	for (int i = 0; i < 20001; i++)
		strcat(deep + (size_t)i * 2, "1,");
	text = calloc(1, 1 << 18);
	sprintf(text, "node: [%s1]\n", deep);
	OK(load(text, &rep) == NULL && said(&rep, 0, 0, "20000 values"),
	   "so has the number of values");
	free(text);
	free(deep);
}

int main(void)
{
	read_base();
	test_values();
	test_wrong();
	test_lab();
	test_policy();
	test_show();
	test_init();
	test_diff();
	test_merge("/tmp");
	test_limits();
	free(base);
	return tap_done();
}
