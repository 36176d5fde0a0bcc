/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings of weir.yaml, one row each. docs/operate/config.md is generated from this table. */
#include "config/schema.h"

#include <string.h>

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define MS  1000000ull
#define SEC 1000000000ull

#define REQ   true, /* and no default */
#define OPT   false,
#define LIVE  WR_SCOPE_LIVE
#define CTL   WR_SCOPE_CONTROL
#define DP    WR_SCOPE_DATAPLANE
#define DEATH "open|closed"
#define ACT   "block|flag|pass"

/* clang-format off */
const struct wr_row wr_rows[] = {
	{ "", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "" },
	{ "node", WR_T_NAME, REQ 1, 63, NULL, NULL, DP, "name of this machine in records and metrics" },
	{ "region", WR_T_STR, OPT 0, 15, NULL, "", DP, "lists whose `regions` do not name it are off; empty: every list is on" },

	{ "links", WR_T_LIST, REQ 1, WR_LINKS_MAX, NULL, NULL, DP, "pairs of ports that Weir stands between" },
	{ "links[]", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "" },
	{ "links[].name", WR_T_NAME, REQ 1, 31, NULL, NULL, DP, "name of the link; its ports are NAME.client and NAME.store" },
	{ "links[].client", WR_T_MAP, REQ 0, 0, NULL, NULL, DP, "the port towards the clients" },
	{ "links[].client.device", WR_T_DEVICE, OPT 1, 127, NULL, NULL, DP, "PCI address, or a DPDK virtual device such as net_af_xdp0,iface=wc" },
	{ "links[].client.devices", WR_T_LIST, OPT 1, WR_QUEUES_MAX, NULL, NULL, DP, "instead of device: one virtual device per queue, in order" },
	{ "links[].client.devices[]", WR_T_DEVICE, OPT 1, 127, NULL, NULL, DP, "" },
	{ "links[].store", WR_T_MAP, REQ 0, 0, NULL, NULL, DP, "the port towards the object store" },
	{ "links[].store.device", WR_T_DEVICE, OPT 1, 127, NULL, NULL, DP, "as client.device" },
	{ "links[].store.devices", WR_T_LIST, OPT 1, WR_QUEUES_MAX, NULL, NULL, DP, "as client.devices" },
	{ "links[].store.devices[]", WR_T_DEVICE, OPT 1, 127, NULL, NULL, DP, "" },
	{ "links[].on_process_death", WR_T_ENUM, REQ 0, 0, DEATH, NULL, DP, "what the wire does when no dataplane is alive: open = frames pass unscanned, closed = nothing passes" },
	{ "links[].on_worker_stall", WR_T_ENUM, REQ 0, 0, DEATH, NULL, DP, "what the wire does when a worker stops turning" },
	{ "links[].stall_limit", WR_T_TIME, OPT 10 * MS, 60 * SEC, NULL, "100ms", DP, "a worker that has not turned for so long counts as stalled" },

	{ "cores", WR_T_MAP, REQ 0, 0, NULL, NULL, DP, "which thread runs where, by name" },
	{ "cores.main", WR_T_INT, REQ 0, 1023, NULL, NULL, DP, "core of the dataplane's main thread (control socket, port statistics)" },
	{ "cores.control", WR_T_CPUS, OPT 0, 0, NULL, "0", CTL, "cores of weir-control and weir-compile" },
	{ "cores.workers", WR_T_LIST, REQ 1, WR_WORKERS_MAX, NULL, NULL, DP, "one entry for each polling worker" },
	{ "cores.workers[]", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "" },
	{ "cores.workers[].name", WR_T_NAME, REQ 1, 31, NULL, NULL, DP, "name of the worker in metrics and records" },
	{ "cores.workers[].core", WR_T_INT, REQ 0, 1023, NULL, NULL, DP, "its core: one physical core for it alone" },
	{ "cores.workers[].link", WR_T_NAME, REQ 1, 31, NULL, NULL, DP, "the link it serves" },
	{ "cores.workers[].queue", WR_T_INT, REQ 0, WR_QUEUES_MAX - 1, NULL, NULL, DP, "its queue on both ports; the queues of a link are 0, 1, 2 ..." },
	{ "cores.decoders", WR_T_LIST, OPT 0, WR_DECODERS_MAX, NULL, "[]", DP, "cores of image decoders" },
	{ "cores.decoders[]", WR_T_INT, OPT 0, 1023, NULL, NULL, DP, "" },
	{ "cores.idle", WR_T_ENUM, OPT 0, 0, "spin|yield", "spin", DP, "yield: a short sleep after empty polls; only for labs, refused with a PCI device" },
	{ "cores.shared_cores", WR_T_BOOL, OPT 0, 0, NULL, "false", DP, "true: several threads may share a core; only for labs, refused with a PCI device" },

	{ "memory", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "sizes of pools and budgets; all of it is taken at start" },
	{ "memory.hugepages", WR_T_BOOL, OPT 0, 0, NULL, "true", DP, "false: ordinary pages; refused with a PCI device and with net_af_xdp" },
	{ "memory.in_memory", WR_T_BOOL, OPT 0, 0, NULL, "true", DP, "true: leave no files in hugetlbfs behind" },
	{ "memory.mbufs", WR_T_INT, OPT 1024, 1ull << 24, NULL, "262144", DP, "receive buffers of each link" },
	{ "memory.connections", WR_T_INT, OPT 64, 1ull << 26, NULL, "1000000", DP, "connections followed at once, all workers together" },
	{ "memory.uploads", WR_T_INT, OPT 16, 1ull << 24, NULL, "100000", DP, "uploads scanned at once, all workers together" },
	{ "memory.hold_budget", WR_T_SIZE, OPT 1 * MIB, 1024 * GIB, NULL, "1GiB", DP, "bytes of buffers that may be kept or held back, all workers together" },
	{ "memory.media_budget", WR_T_SIZE, OPT 0, 1024 * GIB, NULL, "1GiB", DP, "bytes of image bodies under decoding" },
	{ "memory.spool", WR_T_SIZE, OPT 0, 1024 * GIB, NULL, "4GiB", DP, "bytes of objects that are joined from several requests" },
	{ "memory.record_ring", WR_T_SIZE, OPT 64 * KIB, 256 * MIB, NULL, "1MiB", DP, "verdict records that wait for weir-control, per worker; a power of two" },
	{ "memory.event_ring", WR_T_SIZE, OPT 4 * KIB, 16 * MIB, NULL, "64KiB", DP, "events that wait for weir-control, per worker; a power of two" },
	{ "memory.stream_state", WR_T_SIZE, OPT 256, 1 * MIB, NULL, "16KiB", DP, "largest state of one pattern stream; a bundle that needs more is refused" },

	{ "services", WR_T_LIST, REQ 0, WR_SERVICES_MAX, NULL, NULL, DP, "what is inspected; everything else is passed and counted" },
	{ "services[]", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "" },
	{ "services[].name", WR_T_NAME, REQ 1, 31, NULL, NULL, DP, "name of the service in records and metrics" },
	{ "services[].address", WR_T_NETS, OPT 1, WR_SERVICE_NETS, NULL, "any", DP, "any, or a list of CIDR prefixes of the store" },
	{ "services[].port", WR_T_PORTS, OPT 1, WR_SERVICE_PORTS, NULL, "any", DP, "any, or a list of TCP ports of the store" },
	{ "services[].mode", WR_T_ENUM, OPT 0, 0, "enforce|observe", "enforce", DP, "observe: nothing is blocked or held beyond the scan; the record's `would` says what enforce had done" },
	{ "services[].proxy_protocol", WR_T_ENUM, OPT 0, 0, "off|v1|v2|any", "off", DP, "PROXY header in front of each connection" },
	{ "services[].trusted_proxies", WR_T_NETS, OPT 0, WR_PROXIES_MAX, NULL, "[]", DP, "peers whose X-Forwarded-For is believed" },
	{ "services[].policy", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "the keys of policy that differ for this service" },

	{ "policy", WR_T_MAP, REQ 0, 0, NULL, NULL, DP, "what is done about each outcome; every key without a default must be written" },
	{ "policy.match", WR_T_POLICY, REQ 0, 0, "block|flag", NULL, DP, "a ceiling for matches: flag turns every block into a flag" },
	{ "policy.suspect", WR_T_POLICY, REQ 0, 0, ACT, NULL, DP, "flag-only matches, type mismatch, polyglots, provenance; per cause: { default: flag, polyglot: block }" },
	{ "policy.incomplete", WR_T_POLICY, REQ 0, 0, ACT, NULL, DP, "not everything was scanned; per cause or reason: { default: block, decoder_late: flag }" },
	{ "policy.error", WR_T_POLICY, REQ 0, 0, ACT, NULL, DP, "an engine failed" },
	{ "policy.skipped", WR_T_POLICY, REQ 0, 0, ACT, NULL, DP, "policy says that this upload is not scanned" },
	{ "policy.framing", WR_T_POLICY, REQ 0, 0, "block|observe|pass", NULL, DP, "a request that servers may read differently; per reason: { default: block, bare_lf: observe }" },
	{ "policy.overlap_conflict", WR_T_POLICY, REQ 0, 0, "block|observe", NULL, DP, "a retransmission with other bytes; either way only the first copy goes out" },
	{ "policy.midstream", WR_T_POLICY, REQ 0, 0, "block|pass", NULL, DP, "connections that began before Weir did" },
	{ "policy.one_way", WR_T_POLICY, REQ 0, 0, "block|pass", NULL, DP, "connections of which only one direction is seen" },
	{ "policy.not_http", WR_T_POLICY, REQ 0, 0, "block|pass", NULL, DP, "no HTTP; pass only for services known to be something else" },
	{ "policy.fragments", WR_T_POLICY, OPT 0, 0, "drop|reassemble", "drop", DP, "TCP in IP fragments to an inspected service" },
	{ "policy.bundle_expired", WR_T_POLICY, REQ 0, 0, "flag|shadow", NULL, DP, "an expired bundle goes on enforcing (flag: records say so) or becomes shadow; it never blocks by itself" },
	{ "policy.on_overload", WR_T_POLICY, REQ 0, 0, DEATH, NULL, DP, "connections and uploads beyond a budget: open = pass unscanned, closed = refuse" },
	{ "policy.on_records_lost", WR_T_POLICY, REQ 0, 0, DEATH, NULL, DP, "verdict records cannot be written (ring full, disk full, control dead): open = release without, closed = refuse" },

	{ "answer", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "what a blocked client gets" },
	{ "answer.status", WR_T_ENUM, OPT 0, 0, "403|422|451", "403", DP, "HTTP status of the answer" },
	{ "answer.cors_origins", WR_T_LIST, OPT 0, WR_ORIGINS_MAX, NULL, "[]", DP, "origins whose browsers may read the answer, with cookies where named in full; \"*\": all" },
	{ "answer.cors_origins[]", WR_T_STR, OPT 1, 127, NULL, NULL, DP, "" },

	{ "http", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "limits of the HTTP parser" },
	{ "http.header_bytes", WR_T_INT, OPT 1024, 1 * MIB, NULL, "65536", DP, "bytes of one request's head" },
	{ "http.headers", WR_T_INT, OPT 1, 1000, NULL, "100", DP, "header lines of one request" },
	{ "http.expansion_ratio", WR_T_INT, OPT 1, 100000, NULL, "200", DP, "decoded bytes for each encoded byte" },
	{ "http.expansion_time", WR_T_TIME, OPT 10 * MS, 600 * SEC, NULL, "10s", DP, "how long the decoding of one body may keep its upload waiting, in all" },
	{ "http.depth", WR_T_INT, OPT 1, 16, NULL, "4", DP, "codings and multiparts inside each other" },

	{ "limits", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "bounds in time and work" },
	{ "limits.turn", WR_T_SIZE, OPT 4 * KIB, 1 * MIB, NULL, "32KiB", DP, "bytes that one turn of a worker may process" },
	{ "limits.drain", WR_T_SIZE, OPT 0, 1 * GIB, NULL, "256MiB", DP, "what a blocked client may still send and have acknowledged" },
	{ "limits.drain_time", WR_T_TIME, OPT 0, 600 * SEC, NULL, "30s", DP, "for how long" },
	{ "limits.idle_timeout", WR_T_TIME, OPT 1 * SEC, 86400 * SEC, NULL, "15m", DP, "a connection without frames is forgotten" },
	{ "limits.half_open_timeout", WR_T_TIME, OPT 1 * SEC, 600 * SEC, NULL, "10s", DP, "a connection that does not complete its handshake is forgotten" },
	{ "limits.linger", WR_T_TIME, OPT 0, 600 * SEC, NULL, "10s", DP, "state is kept after FIN or RST, for late repeats" },

	{ "trust", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "whose bundles are believed" },
	{ "trust.bundles", WR_T_ANYMAP, OPT 0, WR_TRUST_BUNDLES_MAX, NULL, "{}", CTL, "by bundle name: keys, and how many of them must have signed" },
	{ "trust.bundles.*", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "" },
	{ "trust.bundles.*.threshold", WR_T_INT, OPT 1, WR_TRUST_KEYS_MAX, NULL, "1", CTL, "distinct keys that must have signed each item" },
	{ "trust.bundles.*.keys", WR_T_LIST, REQ 1, WR_TRUST_KEYS_MAX, NULL, NULL, CTL, "minisign public keys" },
	{ "trust.bundles.*.keys[]", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "" },
	{ "trust.bundles.*.keys[].file", WR_T_PATH, REQ 1, WR_CONFIG_PATH - 1, NULL, NULL, CTL, "file of the key, relative to weir.yaml" },
	{ "trust.bundles.*.keys[].may", WR_T_LIST, OPT 0, WR_TRUST_MAY_MAX, NULL, "[]", CTL, "items the key may sign: list:NAME, rule:NAME, * at the end; empty: any" },
	{ "trust.bundles.*.keys[].may[]", WR_T_STR, OPT 1, 95, NULL, NULL, CTL, "" },
	{ "trust.allow_unsigned", WR_T_BOOL, OPT 0, 0, NULL, "false", CTL, "true: load bundles nobody signed; only for labs, refused with a PCI device" },

	{ "breaker", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "when a rule or list that blocks too much is lowered to shadow by itself" },
	{ "breaker.blocks", WR_T_INT, OPT 0, 100000000, NULL, "1000", LIVE, "blocks by one item in a minute that are always too many; 0: no such budget" },
	{ "breaker.factor", WR_T_INT, OPT 0, 1000000, NULL, "10", LIVE, "times the blocks a minute that it has learned; 0: no such budget" },
	{ "breaker.floor", WR_T_INT, OPT 0, 100000000, NULL, "50", LIVE, "blocks in a minute that are never too many by the factor" },
	{ "breaker.learn", WR_T_TIME, OPT 60 * SEC, 86400 * SEC, NULL, "10m", LIVE, "experience with an item before the factor counts, in whole minutes" },

	{ "api", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "how people and machines reach weir-control" },
	{ "api.socket", WR_T_PATH, OPT 1, 107, NULL, "/run/weir/control.sock", CTL, "UNIX socket of the control API (mode 0660)" },
	{ "api.group", WR_T_STR, OPT 0, 32, NULL, "", CTL, "group that owns the socket; empty: the group of weir-control" },
	{ "api.metrics", WR_T_ADDR, OPT 0, 95, NULL, "127.0.0.1:9477", CTL, "address of /metrics, /healthz and /readyz" },
	{ "api.push", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "bundles pushed over the network, with client certificates" },
	{ "api.push.listen", WR_T_ADDR, OPT 0, 95, NULL, "", CTL, "address; empty: off" },
	{ "api.push.cert", WR_T_PATH, OPT 0, WR_CONFIG_PATH - 1, NULL, "", CTL, "server certificate (PEM)" },
	{ "api.push.key", WR_T_PATH, OPT 0, WR_CONFIG_PATH - 1, NULL, "", CTL, "its key" },
	{ "api.push.client_ca", WR_T_PATH, OPT 0, WR_CONFIG_PATH - 1, NULL, "", CTL, "CA that client certificates must come from" },

	{ "records", WR_T_MAP, OPT 0, 0, NULL, NULL, CTL, "verdict records" },
	{ "records.path", WR_T_PATH, OPT 1, WR_CONFIG_PATH - 64, NULL, "/var/lib/weir/records", CTL, "folder of *.jsonl; must be writable" },
	{ "records.rotate", WR_T_SIZE, OPT 64 * KIB, 1024 * GIB, NULL, "256MiB", LIVE, "a file is closed at this size" },
	{ "records.keep", WR_T_INT, OPT 1, 100000, NULL, "64", LIVE, "closed files kept; older ones are removed" },
	{ "records.fsync", WR_T_ENUM, OPT 0, 0, "never|second|record", "second", LIVE, "when records are forced to disk" },

	{ "run", WR_T_MAP, OPT 0, 0, NULL, NULL, DP, "where the processes meet" },
	{ "run.dir", WR_T_PATH, OPT 1, 80, NULL, "/run/weir", DP, "folder of dataplane.sock" },
	{ "run.file_prefix", WR_T_NAME, OPT 1, 31, NULL, "weir", DP, "EAL file prefix; distinct for each instance on a machine" },
	{ "run.state", WR_T_PATH, OPT 1, WR_CONFIG_PATH - 64, NULL, "/var/lib/weir/state", CTL, "folder of the active bundle (mode 0700)" },
};
/* clang-format on */
const unsigned wr_nrows = WR_COUNT_OF(wr_rows);

/* A service's policy has the same keys as the global one. */
static const char *alias(const char *path)
{
	static const char prefix[] = "services[].policy.";

	return strncmp(path, prefix, sizeof(prefix) - 1) == 0 ? path + sizeof("services[].") - 1
	                                                      : path;
}

/* Like equality, but a `*` component of the row matches any key. */
static bool path_is(const char *row, const char *path)
{
	while (*row != '\0' && *path != '\0') {
		if (*row == '*') {
			row++;
			while (*path != '\0' && *path != '.' && *path != '[')
				path++;
			continue;
		}
		if (*row++ != *path++)
			return false;
	}
	return *row == '\0' && *path == '\0';
}

const struct wr_row *wr_row_find(const char *path)
{
	path = alias(path);
	for (unsigned i = 0; i < wr_nrows; i++)
		if (path_is(wr_rows[i].path, path))
			return &wr_rows[i];
	return NULL;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

#define EDIT_MAX 64u

/* Levenshtein distance of words up to EDIT_MAX - 1 bytes; longer ones are far from everything. */
static unsigned distance(const char *a, size_t na, const char *b)
{
	unsigned row[EDIT_MAX];
	size_t nb = strlen(b);

	if (na >= EDIT_MAX || nb >= EDIT_MAX)
		return EDIT_MAX;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned up = row[j];

			row[j] = min3(up + 1, row[j - 1] + 1, diag + (a[i - 1] != b[j - 1]));
			diag = up;
		}
	}
	return row[nb];
}

const char *wr_row_nearest(const char *path, const char *key)
{
	const char *best = NULL;
	unsigned best_d = EDIT_MAX;
	char want[600];

	if (strcmp(path, "services[].policy") == 0)
		path = "policy";
	for (unsigned i = 0; i < wr_nrows; i++) {
		const char *p = wr_rows[i].path, *last = strrchr(p, '.');
		unsigned d;

		last = last != NULL ? last + 1 : p;
		if (*last == '\0' || *last == '*' || strchr(last, '[') != NULL)
			continue;
		if (snprintf(want, sizeof(want), "%s%s%s", path, path[0] != '\0' ? "." : "",
		             last) >= (int)sizeof(want) ||
		    !path_is(p, want))
			continue;
		d = distance(last, strlen(last), key);
		if (d < best_d) {
			best_d = d;
			best = last;
		}
	}
	/* Half of a word wrong is another word, not a slip. */
	return best != NULL && best_d <= 1 + strlen(best) / 3 ? best : NULL;
}
