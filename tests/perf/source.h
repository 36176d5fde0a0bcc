/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * source - the peer on an lcore of its own, joined to the worker by two net_ring ports.
 *
 * takes    a peer (peer.h), made with `eal` set: nobody else may touch it while the source runs
 * gives    the worker's two ports; how many body bytes went in; how often the generator had to wait
 * owns     EAL, four rings and two ethdevs, until the program ends; the generator's lcore
 * threads  everything here: the main lcore, which is the worker's
 * limits   SOURCE_RING frames towards the worker. What comes back always finds room: no more can
 * come than went in and was kept. fails    source_boot(): -errno and one line. A frame that a ring
 * refuses on the way back ends the bench, as a lost one.
 *
 * The in-thread source measures its own time and takes it off; here nothing is taken off, but a
 * figure only means something while the generator waits for the worker and not the other way round:
 * see source_pushes().
 */
#ifndef WR_TESTS_PERF_SOURCE_H
#define WR_TESTS_PERF_SOURCE_H

#include <stddef.h>

#include "peer.h"
#include "port/port.h"

#define SOURCE_RING 4096u

/* Two cores of those that this process may use, or -ENOTSUP. Starts EAL: this thread becomes the
 * worker's lcore. A second call does nothing. */
int source_boot(char *err, size_t n);
/* Ports of a peer that source_start() puts to work. */
struct wr_port source_port(bool store);
void source_start(struct peer *p);
/* Body bytes that the generator has made so far. */
uint64_t source_bytes(void);
/* Pushes so far, and those of them that found the worker's ring full. */
struct source_pushes {
	uint64_t all, blocked;
};
struct source_pushes source_pushes(void);
/* No new uploads from now on. */
void source_finish(void);
/* Everything has been answered and closed (after source_finish()). */
bool source_quiet(void);
/* Ends the generator: the peer may be looked at again. */
void source_stop(void);

#endif
