/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An area that changes in rounds, and a rival thread that does something else
 * to it all the while.
 */
#ifndef __ROUNDS_H__
#define __ROUNDS_H__

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "test_area.h"

/* Of a renewed area. Each returns 0 or a negative errno, -EIO if a byte is wrong. */
int round_fork(struct area *area);
int round_split(struct area *area);
int round_munmap(struct area *area);
int round_mremap(struct area *area);

int renew_area(struct area *area);

struct rival {
	/* Again and again until it fails or is stopped; 0 or a negative errno. */
	int (*step)(struct rival *rival);
	char *ptr;
	unsigned long nr;
	int nodes[2];
	pid_t pid;
	int fd;

	/*
	 * Whether the steps have to do something in time, and how much they have
	 * done: they count it, or a round changes what @observe returns, unless
	 * that is 0.
	 */
	bool counts;
	unsigned long (*observe)(const struct rival *rival);
	unsigned long done;

	pthread_t thread;
	bool stop;
	unsigned long steps;
	unsigned long deadline;
	int err;
};

int rival_start(struct rival *rival);
void rival_count(struct rival *rival, unsigned long nr);
int rival_stop(struct rival *rival);
bool rival_is_done(const struct rival *rival);

int run_rounds(struct area *area, int (*round)(struct area *area),
	       struct rival *rival);

#endif /* __ROUNDS_H__ */
