/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * audit - from the dataplane's rings to files: verdict records as weir.verdict/1, events as log
 * lines.
 *
 * takes    sessions of link/ (rings in shared memory, whose writer is not believed)
 * gives    *.jsonl in records.path: name order = time order, whole lines, mode 0640, at least once
 * owns     one thread; the folder's files
 * lends    each valid record and its matches to a hook, before the line is written
 * threads  _new, _start, _free: main; counters and state: any
 * limits   WR_RECORD_MAX a record, WR_AUDIT_BATCH bytes between two writes
 * fails    a record leaves its ring only when its line is in the file (with fsync: record, on the
 *          disk). While the disk is full nothing leaves the ring, which fills, which the
 * dataplane's policy on_records_lost answers. A slot that is not a record is counted and logged.
 * see      docs/concepts/records.md, tests/unit/audit
 */
#ifndef WR_AUDIT_AUDIT_H
#define WR_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/record.h"
#include "abi/ring.h"
#include "base/base.h"
#include "config/config.h"

struct wr_link;
struct wr_session;

#define WR_AUDIT_BATCH (256u << 10)
#define WR_AUDIT_ERR   200u

/* --- one record ----------------------------------------------------------------------------------
 */

struct wr_record_parts { /* pointers into a private copy of the slot */
	const struct wr_record *rec;
	const struct wr_record_view *view;
	const struct wr_record_match *match;
	const struct wr_record_bundle *bundle;
	struct {
		const char *p;
		uint16_t len;
	} field[WR_F_COUNT]; /* p NULL = absent */
};

/* Validates n bytes as one record. -EPROTO: every length, count and enum is compared first. */
WR_MUST_USE int wr_record_split(const void *slot, uint32_t n, struct wr_record_parts *out);

/*
 * The JSON line with its newline; malloc'd, owned by the caller. NULL without memory. worker: the
 * name, service names come from conf (may be NULL).
 */
WR_MUST_USE char *wr_record_json(const struct wr_record_parts *p, const struct wr_conf *conf,
                                 size_t *len);

void wr_ulid_put(const uint8_t id[16], char out[27]);

/* --- files ---------------------------------------------------------------------------------------
 */

struct wr_record_files;

/* Makes the folder if needed (0750), tries to write in it, repairs a torn last line. */
WR_MUST_USE int wr_record_files_new(const char *dir, uint64_t rotate, uint32_t keep,
                                    enum wr_fsync fsync, struct wr_record_files **out, char *err);
void wr_record_files_free(struct wr_record_files *f);
/*
 * Whole lines or nothing: -errno leaves the file as it was. A reader at the same time sees whole
 * lines too: a line ends in the page where it began (the one before is filled with blanks), unless
 * it is longer than 4096 bytes: of such a line the head may be seen first.
 */
WR_MUST_USE int wr_record_files_put(struct wr_record_files *f, const char *lines, size_t n);
/* Called now and then: fsync policy `second`. */
void wr_record_files_tick(struct wr_record_files *f, uint64_t now_ns);
void wr_record_files_tune(struct wr_record_files *f, uint64_t rotate, uint32_t keep,
                          enum wr_fsync fsync);

/* --- the reader ----------------------------------------------------------------------------------
 */

/*
 * Looks ahead in a ring without moving its tail: *at starts as the tail. 1 and a slot, 0 when there
 * is none, -EPROTO when the ring is nonsense. wr_ring_take() gives everything before `at` back.
 */
WR_MUST_USE int wr_ring_look(const struct wr_ring *r, uint64_t size, uint64_t *at, const void **p,
                             uint32_t *n, uint32_t *tag);
void wr_ring_take(struct wr_ring *r, uint64_t at);

struct wr_audit;

struct wr_audit_counts {
	uint64_t written, bytes, invalid, write_errors, events, broken_rings;
	uint64_t last_write_ns;   /* CLOCK_REALTIME */
	bool stalled;             /* records wait because they cannot be written */
	char error[WR_AUDIT_ERR]; /* why */
};

typedef void wr_audit_hook(void *arg, const struct wr_record_parts *p);

WR_MUST_USE int wr_audit_new(const struct wr_config *cfg, struct wr_link *link, wr_audit_hook *hook,
                             void *arg, struct wr_audit **out, char *err);
WR_MUST_USE int wr_audit_start(struct wr_audit *a);
void wr_audit_free(struct wr_audit *a); /* stops, after one last look at the rings */
void wr_audit_counts(struct wr_audit *a, struct wr_audit_counts *out);
void wr_audit_tune(struct wr_audit *a, const struct wr_control_conf *c);
/* One pass over the rings of a session, as the thread does it; for tests. Gives records written. */
unsigned wr_audit_pass(struct wr_audit *a, struct wr_session *s);

#endif
