// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "anon_state.h"
#include "rounds.h"

#define RW		(PROT_READ | PROT_WRITE)
#define MIN_ROUNDS	4
/* Until a rival has done something, however slow the machine. */
#define DEADLINE_MS	60000

/* How long a test races; ANON_OWNER_MS= races longer. */
static unsigned long race_ms = 60;

static void __attribute__((constructor)) setup_race_ms(void)
{
	const char *ms = getenv("ANON_OWNER_MS");

	if (ms)
		race_ms = strtoul(ms, NULL, 0);
}

static unsigned long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000UL + ts.tv_nsec / 1000000;
}

static bool pages_are(const struct area *area, unsigned long first,
		      unsigned long end, unsigned int seed)
{
	return find_bad_page(area_page(area, first), first, end - first,
			     seed) < 0;
}

/*
 * A VMA that is marked again, where the area was; of one that cannot be, the
 * folios are new.
 */
int renew_area(struct area *area)
{
	int err = 0;

	if (area->params->history == AREA_MARKED)
		err = area_map_pages(area, 0, area->nr, RW);
	else if (madvise(area->ptr, bytes(area->nr), MADV_DONTNEED))
		err = -errno;
	if (!err)
		fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	return err;
}

/* The rival does not share it, so it has to be what it was at first. */
static int check_renewed(const struct area *area)
{
	struct anon_state state;
	int err;

	if (!anon_state_available())
		return 0;
	err = anon_state_query(0, area->ptr, &state);
	if (err || !strcmp(state.vma, area_vma_state(area)))
		return err;
	ksft_print_msg("the renewed area is %s\n", state.vma);
	return -EUCLEAN;
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	| SEED_AREA |     |  SEED_A   |  writes while the parent does
 *	|-----------|  => |-----------|
 *	| SEED_AREA |     | SEED_AREA |
 *	|-----------|     |-----------|
 */
int round_fork(struct area *area)
{
	unsigned long half = area->nr / 2;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		bool good = pages_are(area, 0, area->nr, SEED_AREA);

		fill_pages(area->ptr, 0, half, SEED_A);
		good &= pages_are(area, 0, half, SEED_A);
		good &= pages_are(area, half, area->nr, SEED_AREA);
		_exit(good ? 0 : 1);
	}
	fill_pages(area_page(area, half), half, area->nr - half, SEED_AREA);
	if (wait_child(pid))
		return -EIO;
	return pages_are(area, 0, area->nr, SEED_AREA) ? 0 : -EIO;
}

/*
 *	|-----------|          |----+-----+----|          |-----------|
 *	|   area    |    =>    | rw |  r  | rw |    =>    |    rw     |
 *	|-----------|          |----+-----+----|          |-----------|
 */
int round_split(struct area *area)
{
	unsigned long first = area->nr / 4 + 1, end = area->nr / 4 * 3 - 1;
	char *middle = area_page(area, first);

	if (mprotect(middle, bytes(end - first), PROT_READ))
		return -errno;
	fill_pages(area->ptr, 0, first, SEED_A);
	if (!pages_are(area, 0, first, SEED_A) ||
	    !pages_are(area, first, area->nr, SEED_AREA))
		return -EIO;
	if (mprotect(middle, bytes(end - first), RW))
		return -errno;
	fill_pages(area->ptr, 0, end, SEED_AREA);
	return pages_are(area, 0, area->nr, SEED_AREA) ? 0 : -EIO;
}

/*
 *	|-----------|          |----|     |----|          |----+-----+----|
 *	|   area    |    =>    |    |     |    |    =>    |    | new |    |
 *	|-----------|          |----|     |----|          |----+-----+----|
 */
int round_munmap(struct area *area)
{
	unsigned long first = area->nr / 4 + 1, end = area->nr / 4 * 3 - 1;
	char *middle = area_page(area, first);
	int err;

	if (munmap(middle, bytes(end - first)))
		return -errno;
	err = area_map_pages(area, first, end - first, RW);
	if (err)
		return err;
	if (!pages_are(area, 0, first, SEED_AREA) ||
	    !pages_are(area, first, end, area_untouched_seed(area)) ||
	    !pages_are(area, end, area->nr, SEED_AREA))
		return -EIO;
	fill_pages(middle, first, end - first, SEED_AREA);
	return pages_are(area, 0, area->nr, SEED_AREA) ? 0 : -EIO;
}

static int move(char *from, unsigned long nr, char *to)
{
	void *ptr = mremap(from, bytes(nr), bytes(nr),
			   MREMAP_MAYMOVE | MREMAP_FIXED, to);

	return ptr == to ? 0 : -errno;
}

/*
 *	|-----------|                   |-----------|
 *	|   area    |        <=>        |   room    |
 *	|-----------|                   |-----------|
 */
int round_mremap(struct area *area)
{
	char *dest = area_page(area, area->nr);
	int err = move(area->ptr, area->nr, dest);

	if (err)
		return err;
	if (find_bad_page(dest, 0, area->nr, SEED_AREA) >= 0)
		return -EIO;
	fill_pages(dest, 0, area->nr / 2, SEED_A);
	err = move(dest, area->nr, area->ptr);
	if (err)
		return err;
	if (!map_anon(dest, area->nr, PROT_NONE))
		return -ENOMEM;
	if (!pages_are(area, 0, area->nr / 2, SEED_A) ||
	    !pages_are(area, area->nr / 2, area->nr, SEED_AREA))
		return -EIO;
	fill_pages(area->ptr, 0, area->nr / 2, SEED_AREA);
	return 0;
}

static void *rival_thread(void *data)
{
	struct rival *rival = data;
	int err;

	do {
		/* Not in step with the other, nor always in its way. */
		usleep(rival->steps % 7 * 20);
		err = rival->step(rival);
		__atomic_fetch_add(&rival->steps, 1, __ATOMIC_RELAXED);
	} while (!err && !__atomic_load_n(&rival->stop, __ATOMIC_RELAXED));
	__atomic_store_n(&rival->err, err, __ATOMIC_RELAXED);
	return NULL;
}

int rival_start(struct rival *rival)
{
	rival->stop = false;
	rival->steps = 0;
	rival->done = 0;
	rival->err = 0;
	rival->deadline = now_ms() + DEADLINE_MS;
	return -pthread_create(&rival->thread, NULL, rival_thread, rival);
}

void rival_count(struct rival *rival, unsigned long nr)
{
	__atomic_fetch_add(&rival->done, nr, __ATOMIC_RELAXED);
}

/* Returns what the last step did, -ETIME if all of them have done nothing. */
int rival_stop(struct rival *rival)
{
	__atomic_store_n(&rival->stop, true, __ATOMIC_RELAXED);
	pthread_join(rival->thread, NULL);
	if (!rival->err && rival->counts && !rival->done)
		return -ETIME;
	return rival->err;
}

/* It failed, or was there for more than a step that had begun before. */
bool rival_is_done(const struct rival *rival)
{
	if (__atomic_load_n(&rival->err, __ATOMIC_RELAXED))
		return true;
	if (__atomic_load_n(&rival->steps, __ATOMIC_RELAXED) <= 1)
		return false;
	return !rival->counts || now_ms() > rival->deadline ||
	       __atomic_load_n(&rival->done, __ATOMIC_RELAXED);
}

/* While the round has not begun yet, @rival has the area for @pause ms or until it is done. */
static int paused_round(struct area *area, int (*round)(struct area *area),
			struct rival *rival, unsigned long pause)
{
	unsigned long before = rival->observe ? rival->observe(rival) : 0;
	unsigned long after;
	int err;

	for (; pause && !rival_is_done(rival); pause--)
		usleep(1000);
	err = round(area);
	after = before ? rival->observe(rival) : 0;
	if (after && after != before)
		rival_count(rival, 1);
	return err;
}

/* Rounds against @rival for a while. Returns 0 or the first error of the two. */
int run_rounds(struct area *area, int (*round)(struct area *area),
	       struct rival *rival)
{
	unsigned long end = now_ms() + race_ms;
	unsigned long rounds = 0, pause = 0;
	int err, rival_err;

	err = rival_start(rival);
	if (err)
		return err;
	do {
		err = renew_area(area) ?: check_renewed(area);
		if (!err)
			err = paused_round(area, round, rival, pause);
		/* If it was always too late, it has more and more time. */
		if (++rounds >= MIN_ROUNDS && now_ms() >= end)
			pause = 4 * pause + 8;
	} while (!err && (!pause || !rival_is_done(rival)));
	rival_err = rival_stop(rival);
	ksft_print_msg("%lu rounds (%d) against %lu steps (%d), which did %lu\n",
		       rounds, err, rival->steps, rival_err, rival->done);
	return err ? err : rival_err;
}
