/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration that control writes is taken; each single lie in it is refused with its name. */
#include <errno.h>
#include <string.h>

#include "abi/conf.h"
#include "conf_sample.h"
#include "tap.h"

static struct wr_conf c;
static char err[160];

static int check(void)
{
	memset(err, 0, sizeof(err));
	return wr_conf_check(&c, sizeof(c), err, sizeof(err));
}

/* Sets one field wrong, wants a refusal that names it, and sets it right again. */
#define LIE(field, value, word)                                                                    \
	do {                                                                                       \
		sample_conf(&c);                                                                   \
		c.field = (value);                                                                 \
		OK(check() == -EPROTO && strstr(err, word) != NULL, "%s: %s", #field " = " #value, \
		   err);                                                                           \
	} while (0)

#define FINE(field, value)                                                                         \
	do {                                                                                       \
		sample_conf(&c);                                                                   \
		c.field = (value);                                                                 \
		OK(check() == 0, "%s is taken %s", #field " = " #value, err);                      \
	} while (0)

static void heads(void)
{
	sample_conf(&c);
	OK(check() == 0, "the sample is taken %s", err);
	OK(wr_conf_check(&c, sizeof(c) - 1, err, sizeof(err)) == -EPROTO, "a byte short: %s", err);
	OK(wr_conf_check(&c, sizeof(c) + 1, err, sizeof(err)) == -EPROTO, "a byte long: %s", err);
	OK(wr_conf_check(&c, 0, err, sizeof(err)) == -EPROTO, "empty: %s", err);
	LIE(magic, 1, "not a compiled");
	LIE(abi, 99, "another version");
	LIE(size, 1, "another version");
	LIE(nreasons, WR_R_COUNT + 1, "another version");
	LIE(ncauses, 0, "another version");
	LIE(node[0], 0, "node");
	LIE(run_dir[0], 'x', "run_dir");
	LIE(file_prefix[0], '/', "file_prefix");
	sample_conf(&c);
	memset(c.run_dir, 'a', sizeof(c.run_dir));
	OK(check() == -EPROTO, "a string without its end: %s", err);
	sample_conf(&c);
	memset(c.run_dir, '/', 100);
	OK(check() == -EPROTO, "a run_dir too long for a socket: %s", err);
}

static void wiring(void)
{
	LIE(nlinks, 0, "links");
	LIE(nlinks, WR_LINKS_MAX + 1, "links");
	LIE(nlinks, 2, "link 1");
	LIE(link[0].name[0], 0, "link 0");
	LIE(link[0].name[1], '/', "link 0");
	LIE(link[0].client.ndevices, 0, "client port");
	LIE(link[0].store.ndevices, WR_QUEUES_MAX + 1, "store port");
	LIE(link[0].store.device[0][0], 0, "store port");
	LIE(link[0].on_process_death, 2, "on_process_death");
	LIE(link[0].stall_limit_ns, 0, "stall_limit");
	LIE(nworkers, 0, "workers");
	LIE(nworkers, WR_WORKERS_MAX + 1, "workers");
	LIE(worker[0].link, 1, "no such link");
	LIE(worker[1].link, 0xffffffff, "no such link");
	LIE(worker[0].core, 1024, "out of range");
	LIE(worker[0].queue, WR_QUEUES_MAX, "out of range");
	LIE(worker[1].queue, 2, "queues are 0 to 1");
	LIE(worker[1].queue, 0, "share queue");
	LIE(worker[1].name[1], '0', "twice");
	sample_conf(&c);
	c.link[0].client.ndevices = 3;
	strcpy(c.link[0].client.device[2], "net_null2");
	OK(check() == -EPROTO && strstr(err, "want 1 or 2 devices") != NULL, "three devices: %s",
	   err);
	FINE(link[0].client.ndevices, 1);
}

static void cores(void)
{
	sample_conf(&c);
	c.shared_cores = 0;
	OK(check() == 0, "a core each: %s", err);
	c.worker[1].core = c.worker[0].core;
	OK(check() == -EPROTO && strstr(err, "share core 1") != NULL, "two workers on a core: %s",
	   err);
	c.shared_cores = 1;
	OK(check() == 0, "unless shared_cores says so");
	c.shared_cores = 0;
	c.worker[1].core = c.main_core;
	OK(check() == -EPROTO && strstr(err, "with main") != NULL, "main's core: %s", err);
	sample_conf(&c);
	c.shared_cores = 1;
	strcpy(c.link[0].client.device[0], "0000:3b:00.0");
	OK(check() == -EPROTO && strstr(err, "real NIC") != NULL, "shared cores on a NIC: %s", err);
	c.shared_cores = 0;
	c.idle_yield = 1;
	OK(check() == -EPROTO && strstr(err, "real NIC") != NULL, "yield on a NIC: %s", err);
	c.idle_yield = 0;
	OK(check() == 0, "a NIC, spinning: %s", err);
	LIE(no_huge, 1, "hugepages");
	LIE(mbufs, 2 * 8192 - 1, "AF_XDP needs 8192");
	FINE(mbufs, 2 * 8192);
}

static void values(void)
{
	LIE(nservices, WR_SERVICES_MAX + 1, "services");
	LIE(service[0].name[0], 0, "service 0");
	LIE(service[0].nnets, WR_SERVICE_NETS + 1, "address list");
	LIE(service[0].net[0].bits, 129, "address list");
	LIE(service[0].nproxies, WR_PROXIES_MAX + 1, "address list");
	LIE(service[0].nports, WR_SERVICE_PORTS + 1, "ports");
	LIE(service[0].port[0], 0, "port 0");
	LIE(service[0].mode, 2, "mode");
	LIE(service[0].proxy, 4, "mode");
	LIE(service[0].policy.ceiling, WR_A_COUNT, "policy");
	LIE(service[0].policy.on_verdict[WR_V_COUNT - 1], WR_A_COUNT, "policy");
	LIE(service[0].policy.on_cause[WR_C_COUNT - 1], 200, "policy");
	LIE(service[0].policy.on_reason[WR_R_COUNT - 1], WR_ON_REASSEMBLE + 1, "policy");
	LIE(service[0].policy.on_overload, 2, "policy");
	FINE(service[0].policy.on_reason[0], WR_ON_REASSEMBLE);
	FINE(nservices, 0);
	LIE(idle_yield, 2, "idle");
	LIE(mbufs, 0, "memory.mbufs");
	LIE(connections, 1, "memory.connections"); /* two workers: one each at least */
	LIE(uploads, 0, "memory.uploads");
	LIE(hold_budget_bytes, UINT64_MAX, "hold_budget");
	LIE(record_ring_bytes, 3 << 20, "power of two");
	LIE(record_ring_bytes, 32768, "record_ring");
	LIE(event_ring_bytes, 0, "event_ring");
	LIE(stream_state_bytes, 0, "stream_state");
	LIE(header_bytes, 0, "header_bytes");
	LIE(depth, 0, "depth");
	LIE(turn_bytes, 0, "limits.turn");
	LIE(idle_timeout_ns, 0, "idle_timeout");
	LIE(answer_status, 200, "answer.status");
	LIE(norigins, WR_ORIGINS_MAX + 1, "cors_origins");
	LIE(ndecoders, WR_DECODERS_MAX + 1, "decoders");
	sample_conf(&c);
	c.norigins = 1;
	strcpy(c.cors_origin[0], "https://a\r\nX: y");
	OK(check() == -EPROTO, "a line end in an origin: %s", err);
}

int main(void)
{
	heads();
	wiring();
	cores();
	values();
	return tap_done();
}
