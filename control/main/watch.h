/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch - looks at the wire every second and lets the doctor look at the machine every minute.
 *
 * takes    the running control
 * gives    weir_wire_*, weir_doctor_check_ok
 * threads  one of its own; it only reads
 */
#ifndef WR_CTLMAIN_WATCH_H
#define WR_CTLMAIN_WATCH_H

#include "api/api.h"

struct wr_watch;

/* NULL: no thread. The API must outlive it. */
struct wr_watch *wr_watch_new(struct wr_api *api);
void wr_watch_free(struct wr_watch *w);

#endif
