/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * floors - what the kernels of the pipeline cost alone: the best loop known for each, on the same
 * frames in the same order, sharing no code with the dataplane.
 *
 * takes    payloads of equal length in the order they are used; loops over all of them
 * gives    nanoseconds of CPU time per byte, from one pass after one to warm up
 * threads  one; hs_set_stream_allocator() is process-wide, so no other stream may be open
 */
#ifndef WR_TESTS_PERF_FLOORS_H
#define WR_TESTS_PERF_FLOORS_H

#include <stdint.h>

struct hs_database;

struct floor_set {
	const uint8_t *const *piece;
	uint32_t pieces, len; /* bytes of each */
	uint32_t streams;     /* uploads in turn: piece k belongs to upload k % streams */
};

/* Hyperscan, streaming, state of each upload in its own lines, both prefetched. */
double floor_scan(const struct floor_set *s, const struct hs_database *db);
/* MD5, SHA-1 and SHA-256, a SIMD lane per upload, state kept turned; OpenSSL without AVX-512. */
double floor_digest(const struct floor_set *s);
/* Headers read, checksum of the payload, connection found in a table, sequence number compared. */
double floor_tcp(const struct floor_set *s);
/* A copy of each payload to one warm buffer. */
double floor_memcpy(const struct floor_set *s);
/* Nanoseconds a frame: header read, connection among `conns` found, sequence number compared. The
 * table stays between calls. */
double floor_flow(const uint8_t *const *frame, uint32_t n, uint32_t conns);
/* Nanoseconds of one lookup: n digests in one-line buckets, full digest compared on a hit. */
double floor_lookup(uint32_t n);

#endif
