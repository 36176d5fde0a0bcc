/* SPDX-License-Identifier: BSD-3-Clause */
/* private to link/ */
#ifndef WR_LINK_PRIVATE_H
#define WR_LINK_PRIVATE_H

#include "link/link.h"

#include <pthread.h>

#define WR_LINK_FDS (1u + 2u * WR_WORKERS_MAX)

struct wr_link {
	char run_dir[WR_PATH_LEN];
	pthread_t thread;
	bool started, stop;
	pthread_mutex_t io; /* one request at a time; guards fd, seq */
	int fd;
	uint32_t seq;
	int wake[2];          /* written to stop the thread */
	pthread_mutex_t lock; /* guards what follows; never held over a request */
	struct wr_session *session;
	struct wr_link_status status;
	struct wr_ruleset_files *active;
	uint64_t generation;
};

/* Under io. Sends m (and fd, if not -1), waits for an answer of type `want`; fills fds. */
int wr_link_request(struct wr_link *l, const struct wr_msg *m, int fd, struct wr_msg *answer,
                    int *fds, unsigned *nfds, int timeout_ms, char *err);
/* Under io: the connection is out of step or gone. */
void wr_link_drop(struct wr_link *l, const char *why);
/* Under io: push without taking the lock. */
int wr_link_push_locked(struct wr_link *l, const struct wr_ruleset_files *rs, uint64_t *generation,
                        char *err);

#endif
