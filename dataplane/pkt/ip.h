/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip - IPv4 and IPv6 headers down to TCP. Private to pkt/.
 */
#ifndef WR_PKT_IP_H
#define WR_PKT_IP_H

#include "abi/reason.h"
#include "base/base.h"
#include "handoff/pkt.h"

#define WR_IP_TCP 6u

struct wr_ip {
	uint32_t l3, l4, end; /* offsets into the frame; end: first byte behind the datagram */
	uint32_t frag_offset; /* bytes */
	uint32_t id;          /* of the datagram, for reassembly */
	bool v6, fragment, more;
	uint8_t ttl;
	uint32_t frag_head; /* IPv6: offset of the fragment header; frag_prev: of the byte naming it
	                     */
	uint32_t frag_prev;
};

/*
 * WR_R_NONE: TCP (or a fragment of it) at l4 .. end. n: bytes in the frame; l3 <= n.
 * A fragment that is not the first is WR_R_NONE too, when its datagram may carry TCP.
 */
enum wr_reason wr_ip4_parse(const uint8_t *b, uint32_t l3, uint32_t n, struct wr_ip *ip);
enum wr_reason wr_ip6_parse(const uint8_t *b, uint32_t l3, uint32_t n, struct wr_ip *ip);

/* Ethernet and tags: p->l3 and the VLAN words of p->key; *type is what follows. sort.c */
enum wr_reason wr_ether_parse(const uint8_t *b, uint32_t n, struct wr_pkt *p, uint32_t *type);
/* Addresses into the key: `client` is the end on the client's side, whoever sent the frame. sort.c
 */
void wr_key_addresses(const uint8_t *b, const struct wr_ip *ip, enum wr_side side,
                      struct wr_flow_key *k);

/* Partial checksum of the pseudo header for a TCP segment of n bytes. */
uint64_t wr_ip_pseudo(const uint8_t *b, const struct wr_ip *ip, uint32_t n);

#endif
