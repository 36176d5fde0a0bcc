/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conf - weir.yaml as the dataplane gets it: one flat structure, every policy resolved.
 *
 * The dataplane parses no YAML. `weir-control` (and `weir config compile`) writes this structure to
 * a file; `weir-dataplane --conf FILE` reads it, checks magic, version, size and every index, and
 * refuses anything else. docs/adr/0002 says why.
 * units    in the names. Strings are NUL-terminated, unused bytes zero.
 */
#ifndef WR_ABI_CONF_H
#define WR_ABI_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "abi/reason.h"
#include "abi/verdict.h"

#define WR_ABI_VERSION   2u
#define WR_CONF_MAGIC    0x31464e4f43524557ull /* "WERCONF1", little endian */
#define WR_LINKS_MAX     8u
#define WR_WORKERS_MAX   64u
#define WR_QUEUES_MAX    16u /* devices per port where a driver gives one queue each */
#define WR_SERVICES_MAX  32u
#define WR_SERVICE_NETS  8u
#define WR_SERVICE_PORTS 16u
#define WR_PROXIES_MAX   16u
#define WR_ORIGINS_MAX   8u
#define WR_DECODERS_MAX  16u
#define WR_NAME_MAX      32u
#define WR_DEVICE_MAX    128u
#define WR_PATH_LEN      104u

/* What policy does with a reason: the resolved form of weir.yaml's words. */
enum wr_on {
	WR_ON_INSPECT, /* count and go on ("observe") */
	WR_ON_PASS, /* stop inspecting this connection, let it pass, count its bytes as unscanned */
	WR_ON_BLOCK, /* end the connection: 403 where a request is known, else RST to both */
	WR_ON_DROP,  /* the frame ends here */
	WR_ON_REASSEMBLE,
};

enum wr_death { WR_DEATH_CLOSED, WR_DEATH_OPEN };
enum wr_svc_mode { WR_MODE_ENFORCE, WR_MODE_OBSERVE };
enum wr_proxy_proto { WR_PROXY_OFF, WR_PROXY_V1, WR_PROXY_V2, WR_PROXY_ANY };

struct wr_conf_port {
	char device[WR_QUEUES_MAX]
	           [WR_DEVICE_MAX]; /* PCI address or "net_xxx0,args"; [0] always set */
	uint32_t ndevices, pad;
};

struct wr_conf_link {
	char name[WR_NAME_MAX];
	struct wr_conf_port client, store;
	uint8_t on_process_death, on_worker_stall; /* enum wr_death */
	uint8_t pad[6];
	uint64_t stall_limit_ns;
};

struct wr_conf_worker {
	char name[WR_NAME_MAX];
	uint32_t core, link, queue, pad;
};

struct wr_conf_net {
	uint8_t addr[16]; /* IPv4 mapped: ::ffff:a.b.c.d */
	uint8_t bits;     /* 0..128; 0 = any */
	uint8_t pad[7];
};

static inline bool wr_conf_net_has(const struct wr_conf_net *net, const uint8_t addr[16])
{
	uint32_t bytes = net->bits / 8u, rest = net->bits % 8u;

	if (memcmp(net->addr, addr, bytes) != 0)
		return false;
	return rest == 0 || ((net->addr[bytes] ^ addr[bytes]) & (0xff00u >> rest) & 0xffu) == 0;
}

/* Policy with every reason and cause resolved by control. */
struct wr_policy {
	uint8_t ceiling;                /* enum wr_action: policy.match */
	uint8_t on_verdict[WR_V_COUNT]; /* enum wr_action; MATCH and INCOMPLETE by the tables below
	                                 */
	uint8_t on_cause[WR_C_COUNT];   /* enum wr_action for incomplete and suspect causes */
	uint8_t on_reason[WR_R_COUNT];  /* enum wr_on */
	uint8_t on_overload;            /* enum wr_death */
	uint8_t on_records_lost;        /* enum wr_death */
	uint8_t bundle_expired;         /* 0 flag, 1 shadow */
};

struct wr_conf_service {
	char name[WR_NAME_MAX];
	struct wr_conf_net net[WR_SERVICE_NETS];
	uint16_t port[WR_SERVICE_PORTS];
	uint32_t nnets, nports; /* 0 = any */
	uint8_t mode, proxy;    /* enum wr_svc_mode, enum wr_proxy_proto */
	uint8_t pad[2];
	uint32_t nproxies;
	struct wr_conf_net trusted_proxy[WR_PROXIES_MAX];
	struct wr_policy policy;
};

struct wr_conf {
	uint64_t magic;
	uint32_t abi, size, nreasons, ncauses;
	char node[64], region[16];
	char run_dir[WR_PATH_LEN]; /* dataplane.sock lives here */
	char file_prefix[WR_NAME_MAX];
	uint32_t nlinks, nworkers, nservices, ndecoders;
	struct wr_conf_link link[WR_LINKS_MAX];
	struct wr_conf_worker worker[WR_WORKERS_MAX];
	struct wr_conf_service service[WR_SERVICES_MAX];
	uint32_t main_core, decoder_core[WR_DECODERS_MAX];
	uint8_t idle_yield, shared_cores, no_huge, in_memory;
	uint32_t mbufs;                /* receive buffers per link */
	uint32_t connections, uploads; /* in all; divided among the workers */
	uint64_t hold_budget_bytes, media_budget_bytes, spool_bytes;
	uint32_t header_bytes, headers, expansion_ratio, depth;
	uint32_t answer_status, norigins;
	char cors_origin[WR_ORIGINS_MAX][128];
	uint64_t expansion_time_ns; /* pauses of one body's decoding; 0 = 10 s */
	uint64_t turn_bytes;        /* bytes one turn of the loop may process; 32 KiB */
	uint64_t record_ring_bytes, event_ring_bytes;
	uint64_t drain_bytes, drain_time_ns; /* what a blocked client may still send */
	uint64_t idle_timeout_ns, half_open_timeout_ns, linger_ns;
	uint32_t stream_state_bytes; /* largest Hyperscan stream admitted */
	uint32_t lab;                /* 1: the lab's own relaxations are allowed */
};

/* 0, or -EPROTO with one line in err (at least 160 bytes) that says what is wrong. */
int wr_conf_check(const struct wr_conf *c, uint64_t file_size, char *err, uint64_t err_size);

#endif
