/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conf_sample - a small configuration as control would write it: one link on two AF_XDP devices a
 * side, two workers, one service on every port. Tests change what they need.
 */
#ifndef WR_TESTS_CONF_SAMPLE_H
#define WR_TESTS_CONF_SAMPLE_H

#include <stdio.h>
#include <string.h>

#include "abi/conf.h"

static inline void sample_policy(struct wr_policy *p)
{
	memset(p, 0, sizeof(*p));
	p->ceiling = WR_A_BLOCK;
	p->on_verdict[WR_V_MATCH] = p->on_verdict[WR_V_INCOMPLETE] = p->on_verdict[WR_V_ERROR] =
	        WR_A_BLOCK;
	p->on_verdict[WR_V_SUSPECT] = p->on_verdict[WR_V_SKIPPED] = WR_A_FLAG;
	for (unsigned i = 0; i < WR_C_COUNT; i++)
		p->on_cause[i] = strcmp(wr_cause_policy((enum wr_cause)i), "suspect") == 0
		                         ? WR_A_FLAG
		                         : WR_A_BLOCK;
	for (unsigned i = 0; i < WR_R_COUNT; i++) {
		static const uint8_t on[] = { [WR_RD_INSPECT] = WR_ON_INSPECT,
			                      [WR_RD_WIRE] = WR_ON_PASS,
			                      [WR_RD_DROP] = WR_ON_DROP,
			                      [WR_RD_POLICY] = WR_ON_BLOCK };

		p->on_reason[i] = on[wr_reason_info((enum wr_reason)i)->def];
	}
}

static inline void sample_conf(struct wr_conf *c)
{
	struct wr_conf_link *l = &c->link[0];

	memset(c, 0, sizeof(*c));
	c->magic = WR_CONF_MAGIC;
	c->abi = WR_ABI_VERSION;
	c->size = sizeof(*c);
	c->nreasons = WR_R_COUNT;
	c->ncauses = WR_C_COUNT;
	strcpy(c->node, "test");
	strcpy(c->run_dir, "/tmp");
	strcpy(c->file_prefix, "weir-test");
	c->nlinks = 1;
	strcpy(l->name, "a");
	l->stall_limit_ns = 2000000000;
	l->client.ndevices = l->store.ndevices = 2;
	c->nworkers = 2;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(l->client.device[i], WR_DEVICE_MAX,
		         "net_af_xdp_c%u,iface=wc,start_queue=%u", i, i);
		snprintf(l->store.device[i], WR_DEVICE_MAX,
		         "net_af_xdp_s%u,iface=ws,start_queue=%u", i, i);
		snprintf(c->worker[i].name, WR_NAME_MAX, "w%u", i);
		c->worker[i].core = i + 1;
		c->worker[i].queue = i;
	}
	c->nservices = 1;
	strcpy(c->service[0].name, "store");
	c->service[0].nnets = 1;
	c->service[0].net[0].bits = 0;
	c->service[0].nports = 1;
	c->service[0].port[0] = 80;
	sample_policy(&c->service[0].policy);
	c->in_memory = 1;
	c->mbufs = 32768;
	c->connections = 1000;
	c->uploads = 200;
	c->hold_budget_bytes = 16 << 20;
	c->header_bytes = 65536;
	c->headers = 100;
	c->expansion_ratio = 200;
	c->depth = 4;
	c->answer_status = 403;
	c->turn_bytes = 32768;
	c->record_ring_bytes = 1 << 20;
	c->event_ring_bytes = 1 << 16;
	c->drain_bytes = 1 << 20;
	c->drain_time_ns = 5000000000;
	c->idle_timeout_ns = 900000000000;
	c->half_open_timeout_ns = 10000000000;
	c->linger_ns = 10000000000;
	c->stream_state_bytes = 16384;
}

#endif
