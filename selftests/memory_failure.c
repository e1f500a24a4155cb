// SPDX-License-Identifier: GPL-2.0
/*
 * A page is lost: whoever maps it hears of it, nobody else does, and that also
 * while its owner is being written to all the time.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "rounds.h"

#define RW		(PROT_READ | PROT_WRITE)
#define CORRUPT_PFN	"/sys/kernel/debug/hwpoison/corrupt-pfn"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

/* What this process was told. */
static volatile struct {
	unsigned int count;
	int code;
	char *addr;
	int lsb;
	pid_t tid;
} sigbus;

static sigjmp_buf after_touch;
static volatile bool touching;

static void sigbus_action(int signo, siginfo_t *si, void *context)
{
	sigbus.code = si->si_code;
	sigbus.addr = si->si_addr;
	sigbus.lsb = si->si_addr_lsb;
	sigbus.tid = syscall(SYS_gettid);
	__atomic_add_fetch(&sigbus.count, 1, __ATOMIC_SEQ_CST);
	if (touching)
		siglongjmp(after_touch, 1);
}

/* Have SIGBUS early or late, and none so far. */
static int expect_sigbus(int policy)
{
	struct sigaction sa = {
		.sa_sigaction = sigbus_action,
		.sa_flags = SA_SIGINFO,
	};

	sigbus.count = 0;
	if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0) ||
	    sigaction(SIGBUS, &sa, NULL))
		return -errno;
	return 0;
}

/* Returns whether the page at @addr can be read. */
static bool touch(char *addr)
{
	bool readable = false;

	touching = true;
	if (!sigsetjmp(after_touch, 1)) {
		FORCE_READ(*addr);
		readable = true;
	}
	touching = false;
	return readable;
}

/* A process with as much memory, often at the same address. */
struct bystander {
	int fd;
};

static int bystander_start(struct bystander *bystander,
			   const struct area_params *params)
{
	struct area_params own = *params;
	struct area area;
	char c = 'r';
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid) {
		close(fds[1]);
		bystander->fd = fds[0];
		return read(fds[0], &c, 1) == 1 ? 0 : -ECHILD;
	}

	close(fds[0]);
	own.history = AREA_MARKED;
	if (!expect_sigbus(PR_MCE_KILL_EARLY) && !area_map(&area, &own) &&
	    write(fds[1], &c, 1) == 1 && read(fds[1], &c, 1) == 1) {
		bool good = !sigbus.count && area_find_bad_page(&area) < 0;

		if (sigbus.count)
			ksft_print_msg("bystander: SIGBUS %d at %p\n",
				       sigbus.code, sigbus.addr);
		if (write(fds[1], good ? "g" : "b", 1) != 1)
			good = false;
	}
	_exit(0);
}

/* Returns whether nothing has happened to it. */
static bool bystander_stop(struct bystander *bystander)
{
	char c = 'q';
	bool good = write(bystander->fd, &c, 1) == 1 &&
		    read(bystander->fd, &c, 1) == 1 && c == 'g';

	close(bystander->fd);
	return good;
}

/*
 *	victim            bystanders
 *	|-----------|     |-----------|     |-----------|
 *	|  area     |     |  their    |     |  their    |
 *	|     x     |     |  own      |     |  own      |
 *	|-----------|     |-----------|     |-----------|
 */
FIXTURE(memory_failure)
{
	struct bystander bystanders[2];
	struct area area;
	int pagemap, kpageflags;
	/* The page that is lost, and the PFN that it was at. */
	unsigned long lost, pfn;
	char *addr;
	bool pte_mapped;
};

FIXTURE_VARIANT(memory_failure)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(memory_failure, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(memory_failure, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(memory_failure, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(memory_failure, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(memory_failure, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(memory_failure, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(memory_failure, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(memory_failure)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (access(CORRUPT_PFN, W_OK))
		SKIP(return, "needs CONFIG_HWPOISON_INJECT and root");
	for (int i = 0; i < ARRAY_SIZE(self->bystanders); i++)
		ASSERT_EQ(0, bystander_start(&self->bystanders[i],
					     &variant->params));
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* Nothing is shared with a parent any more. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	self->kpageflags = open("/proc/kpageflags", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	ASSERT_GE(self->kpageflags, 0);
	self->pte_mapped = variant->params.folios == AREA_MTHP;
	self->lost = area->nr / 2 + 1;
	self->addr = area_page(area, self->lost);
	self->pfn = pagemap_get_pfn(self->pagemap, self->addr);
}

FIXTURE_TEARDOWN(memory_failure)
{
	ASSERT_INVARIANTS();
	for (int i = 0; i < ARRAY_SIZE(self->bystanders); i++)
		ASSERT_TRUE(bystander_stop(&self->bystanders[i]));
	close(self->pagemap);
	close(self->kpageflags);
	ASSERT_EQ(0, area_unmap(&self->area));
}

static bool is_poisoned(const FIXTURE_DATA(memory_failure) * self)
{
	uint64_t flags;

	return !pageflags_get(self->pfn, self->kpageflags, &flags) &&
	       flags & KPF_HWPOISON;
}

/* What a machine check in another context does. */
static int corrupt_pfn(unsigned long pfn)
{
	char buf[32];
	int len = snprintf(buf, sizeof(buf), "%lu", pfn);
	int fd = open(CORRUPT_PFN, O_WRONLY);
	int ret = 0;

	if (write(fd, buf, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

/* Somebody may still have it in a batch. */
static int unpoison(const FIXTURE_DATA(memory_failure) * self)
{
	for (int i = 0; i < 100; i++) {
		if (!unpoison_memory(self->pfn) && !is_poisoned(self))
			return 0;
		usleep(1000);
		drain_lru_batches();
	}
	return -EBUSY;
}

/* The process has been told once, and right. */
#define ASSERT_SIGBUS(expected_code, expected_addr) do {		\
	ASSERT_EQ(1, sigbus.count);					\
	ASSERT_EQ(expected_code, sigbus.code);				\
	ASSERT_EQ(expected_addr, sigbus.addr);				\
	ASSERT_EQ(pshift(), sigbus.lsb);				\
	sigbus.count = 0;						\
} while (0)

/*
 * Told at once. But not if PTEs map a large folio, whoever owns it: it is split
 * first, for which try_to_migrate_one() puts a poisoned entry in place of the PTE
 * of the page with the error. So memory_failure() finds that page unmapped and
 * nobody to be told, until somebody touches it. Of a PMD the split makes migration
 * entries, and the page is mapped again before anybody is looked for.
 */
#define ASSERT_TOLD(expected_code) do {					\
	if (self->pte_mapped) {						\
		ASSERT_EQ(0, sigbus.count);				\
	} else {							\
		ASSERT_SIGBUS(expected_code, self->addr);		\
	}								\
} while (0)

#define ASSERT_OTHER_PAGES() do {					\
	ASSERT_PAGES(self->area.ptr, 0, self->lost, SEED_AREA);		\
	ASSERT_PAGES(self->addr + psize(), self->lost + 1,		\
		     self->area.nr - self->lost - 1, SEED_AREA);	\
} while (0)

/* The page is lost, and no other one. Who touches it is told. */
#define ASSERT_LOST() do {						\
	ASSERT_TRUE(is_poisoned(self));					\
	ASSERT_FALSE(touch(self->addr));				\
	ASSERT_EQ(syscall(SYS_gettid), sigbus.tid);			\
	ASSERT_SIGBUS(BUS_MCEERR_AR, self->addr);			\
	ASSERT_OTHER_PAGES();						\
} while (0)

/* Nor for ever. */
#define ASSERT_RECOVERY() do {						\
	ASSERT_EQ(0, madvise(self->addr, psize(), MADV_DONTNEED));	\
	ASSERT_EQ(0, unpoison(self));					\
	fill_pages(self->addr, self->lost, 1, SEED_AREA);		\
	ASSERT_AREA(&self->area);					\
	ASSERT_EQ(0, sigbus.count);					\
} while (0)

/*
 *	|-----+---+-----|
 *	|     | x |     |  the process itself runs into it
 *	|-----+---+-----|
 */
TEST_F(memory_failure, action_required)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_EQ(0, madvise(self->addr, psize(), MADV_HWPOISON));
	ASSERT_TOLD(BUS_MCEERR_AR);
	ASSERT_LOST();
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(self->addr + psize(), area_vma_state(area));
	ASSERT_RECOVERY();
	ASSERT_STATE(self->addr, area_vma_state(area));
}

/*
 *	|-----+---+-----|
 *	|     | x |     |  found elsewhere, the process wants to know
 *	|-----+---+-----|
 */
TEST_F(memory_failure, early_kill)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	ASSERT_TOLD(BUS_MCEERR_AO);
	ASSERT_LOST();
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(self->addr + psize(), area_vma_state(area));
	ASSERT_RECOVERY();
}

/*
 *	|-----+---+-----|
 *	|     | x |     |  found elsewhere, the process hears when it is there
 *	|-----+---+-----|
 */
TEST_F(memory_failure, late_kill)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	ASSERT_EQ(0, sigbus.count);
	ASSERT_LOST();
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(self->addr + psize(), area_vma_state(area));
	ASSERT_RECOVERY();
}

static void *early_thread(void *data)
{
	int *fds = data;
	bool ok = !prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	pid_t tid = syscall(SYS_gettid);
	char c;

	/* The signal interrupts the second one. */
	if (ok && write(fds[1], &tid, sizeof(tid)) == sizeof(tid))
		while (read(fds[1], &c, 1) < 0)
			;
	return NULL;
}

/*
 *	|-----+---+-----|
 *	|     | x |     |  a thread wants to know for all of the process
 *	|-----+---+-----|
 */
TEST_F(memory_failure, early_kill_thread)
{
	pthread_t thread;
	int fds[2];
	pid_t tid;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	ASSERT_EQ(0, pthread_create(&thread, NULL, early_thread, fds));
	ASSERT_EQ(sizeof(tid), read(fds[0], &tid, sizeof(tid)));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	close(fds[0]);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	close(fds[1]);
	if (!self->pte_mapped)
		ASSERT_EQ(tid, sigbus.tid);
	ASSERT_TOLD(BUS_MCEERR_AO);
	ASSERT_LOST();
	ASSERT_RECOVERY();
}

/* Another process, with the same mm. */
static int sharer(void *data)
{
	int *fds = data;

	close(fds[0]);
	early_thread(fds);
	return 0;
}

/*
 *	|-----+---+-----|
 *	|     | x |     |  of two processes: both hear of it
 *	|-----+---+-----|
 */
TEST_F(memory_failure, early_kill_shared_mm)
{
	const size_t stack_size = 64 << 10;
	char *stack = malloc(stack_size);
	pid_t pid, tid;
	int fds[2];

	ASSERT_NE(NULL, stack);
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	pid = clone(sharer, stack + stack_size, CLONE_VM | SIGCHLD, fds);
	ASSERT_GE(pid, 0);
	ASSERT_EQ(sizeof(tid), read(fds[0], &tid, sizeof(tid)));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	/* Its signal is handled before it ends. */
	close(fds[0]);
	close(fds[1]);
	ASSERT_EQ(0, wait_child(pid));
	if (!self->pte_mapped) {
		ASSERT_EQ(2, sigbus.count);
		sigbus.count = 1;
	}
	ASSERT_TOLD(BUS_MCEERR_AO);
	ASSERT_LOST();
	ASSERT_RECOVERY();
	free(stack);
}

/*
 *	|---+-----------|
 *	| x |           |  the first page of a folio, and of the VMA
 *	|---+-----------|
 */
TEST_F(memory_failure, early_kill_first_page)
{
	struct area *area = &self->area;

	self->lost = 0;
	self->addr = area->ptr;
	self->pfn = pagemap_get_pfn(self->pagemap, self->addr);
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	ASSERT_TOLD(BUS_MCEERR_AO);
	ASSERT_LOST();
	ASSERT_STATE(self->addr + psize(), area_vma_state(area));
	ASSERT_RECOVERY();
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|     x     |  => |     x     |  shared: both hear of it
 *	|-----------|     |-----------|
 */
TEST_F(memory_failure, shared)
{
	int fds[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(fds[0]);
		ASSERT_EQ(1, write(fds[1], "r", 1));
		ASSERT_EQ(1, TEMP_FAILURE_RETRY(read(fds[1], &c, 1)));
		ASSERT_TOLD(BUS_MCEERR_AO);
		ASSERT_LOST();
		_exit(0);
	}
	ASSERT_EQ(1, read(fds[0], &c, 1));
	ASSERT_EQ(0, corrupt_pfn(self->pfn));
	ASSERT_TOLD(BUS_MCEERR_AO);
	ASSERT_LOST();
	ASSERT_EQ(1, write(fds[0], "c", 1));
	ASSERT_EQ(0, wait_child(pid));
	close(fds[0]);
	close(fds[1]);
	ASSERT_RECOVERY();
}

/*
 *	|-----+---+-----|          |-----+---+-----|
 *	|     | x |     |    =>    |     | y |     |  no byte is lost
 *	|-----+---+-----|          |-----+---+-----|
 */
TEST_F(memory_failure, soft_offline)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_EQ(0, madvise(self->addr, psize(), MADV_SOFT_OFFLINE));
	ASSERT_EQ(0, sigbus.count);
	ASSERT_NE(self->pfn, pagemap_get_pfn(self->pagemap, self->addr));
	ASSERT_TRUE(is_poisoned(self));
	ASSERT_AREA(area);
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(self->addr, area_vma_state(area));
	ASSERT_EQ(0, unpoison(self));
	ASSERT_AREA(area);
}

/* The whole VMA is write-locked most of the time. */
static int storm_whole(struct rival *rival)
{
	for (int i = 0; i < 64; i++)
		if (mprotect(rival->ptr, bytes(rival->nr),
			     i & 1 ? RW : PROT_READ))
			return -errno;
	return 0;
}

/* Another one comes and goes beside it. */
static int storm_beside(struct rival *rival)
{
	char *beside = rival->ptr + bytes(rival->nr);

	for (int i = 0; i < 64; i++)
		if (!map_anon(beside, 4, i & 1 ? PROT_NONE : PROT_READ))
			return -errno;
	return 0;
}

/* It is shared with a child that ends at once. */
static int storm_fork(struct rival *rival)
{
	return share_with_child();
}

/* It is locked as well, but not shared. */
static int storm_dontfork(struct rival *rival)
{
	if (madvise(rival->ptr, bytes(rival->nr), MADV_DONTFORK))
		return -errno;
	return share_with_child();
}

#define STORM_ROUNDS	4
/* The owner may be busy for seconds in each round, and more on a busy machine. */
#define STORM_TIMEOUT	120

/*
 *	storm of writers  |-----+---+-----|
 *	of the mmap_lock  |     | x |     |  a new area in every round
 *	                  |-----+---+-----|
 */
#define ASSERT_STORM(storm, round) do {					\
	struct rival rival = { .step = (storm) };			\
									\
	rival.ptr = self->area.ptr;					\
	rival.nr = self->area.nr;					\
	for (int i = 0; i < STORM_ROUNDS; i++) {			\
		ASSERT_EQ(0, renew_area(&self->area));			\
		ASSERT_STATE(self->addr, area_vma_state(&self->area));	\
		self->pfn = pagemap_get_pfn(self->pagemap, self->addr);	\
		ASSERT_EQ(0, rival_start(&rival));			\
		while (!rival_is_done(&rival))				\
			usleep(100);					\
		round;							\
		if (i < STORM_ROUNDS - 1)				\
			ASSERT_EQ(0, unpoison(self));			\
		ASSERT_EQ(0, rival_stop(&rival));			\
	}								\
	ASSERT_RECOVERY();						\
} while (0)

/* The first fork to share it may be under way when the page is lost. */
#define FORK_ROUND(round) do {						\
	if (variant->params.folios == AREA_SMALL) {			\
		ASSERT_EQ(0, renew_area(&self->area));			\
		self->pfn = pagemap_get_pfn(self->pagemap, self->addr);	\
	}								\
	round;								\
} while (0)

/*
 * A large folio that an exiting child holds for a moment cannot be split, and then
 * is not unmapped, on the base as well: such ones are not shared.
 */
#define ASSERT_STORM_OF_FORKS(round)					\
	ASSERT_STORM(variant->params.folios == AREA_SMALL ?		\
		     storm_fork : storm_dontfork, FORK_ROUND(round))

/* In the storm: read only. */
#define HARD_ROUND() do {						\
	ASSERT_EQ(0, madvise(self->addr, psize(), MADV_HWPOISON));	\
	ASSERT_TOLD(BUS_MCEERR_AR);					\
	ASSERT_LOST();							\
} while (0)

#define EARLY_ROUND() do {						\
	ASSERT_EQ(0, corrupt_pfn(self->pfn));				\
	ASSERT_TOLD(BUS_MCEERR_AO);					\
	ASSERT_LOST();							\
} while (0)

#define LATE_ROUND() do {						\
	ASSERT_EQ(0, corrupt_pfn(self->pfn));				\
	ASSERT_EQ(0, sigbus.count);					\
	ASSERT_LOST();							\
} while (0)

/*
 * A writer may have the page's owner each time that it is tried, for which few
 * tries are enough. A child that exits has a reference until it is done.
 */
#define SOFT_ROUND(tries) do {						\
	int left = (tries);						\
									\
	while (madvise(self->addr, psize(), MADV_SOFT_OFFLINE)) {	\
		ASSERT_EQ(EBUSY, errno);				\
		ASSERT_LT(0, --left);					\
		usleep(1000);						\
	}								\
	ASSERT_EQ(0, sigbus.count);					\
	ASSERT_TRUE(is_poisoned(self));					\
	ASSERT_AREA(&self->area);					\
} while (0)

/*
 *	|-----+---+-----|          |-----+---+-----|
 *	|  r  | x |  r  |   <=>    | rw  | x | rw  |  run into
 *	|-----+---+-----|          |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, action_required_storm_whole, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM(storm_whole, HARD_ROUND());
}

/*
 *	|-----+---+-----|              |-----+---+-----|---|
 *	|     | x |     |     <=>      |     | x |     | r |  run into
 *	|-----+---+-----|              |-----+---+-----|---|
 */
TEST_F_TIMEOUT(memory_failure, action_required_storm_beside, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM(storm_beside, HARD_ROUND());
}

/*
 *	parent                child
 *	|-----+---+-----|     |-----+---+-----|
 *	|     | x |     |  => |     | x |     |  run into
 *	|-----+---+-----|     |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, action_required_storm_fork, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM_OF_FORKS(HARD_ROUND());
}

/*
 *	|-----+---+-----|          |-----+---+-----|
 *	|  r  | x |  r  |   <=>    | rw  | x | rw  |  told at once
 *	|-----+---+-----|          |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, early_kill_storm_whole, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM(storm_whole, EARLY_ROUND());
}

/*
 *	|-----+---+-----|              |-----+---+-----|---|
 *	|     | x |     |     <=>      |     | x |     | r |  told at once
 *	|-----+---+-----|              |-----+---+-----|---|
 */
TEST_F_TIMEOUT(memory_failure, early_kill_storm_beside, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM(storm_beside, EARLY_ROUND());
}

/*
 *	parent                child
 *	|-----+---+-----|     |-----+---+-----|
 *	|     | x |     |  => |     | x |     |  told at once
 *	|-----+---+-----|     |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, early_kill_storm_fork, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM_OF_FORKS(EARLY_ROUND());
}

/*
 *	|-----+---+-----|          |-----+---+-----|
 *	|  r  | x |  r  |   <=>    | rw  | x | rw  |  told when it is there
 *	|-----+---+-----|          |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, late_kill_storm_whole, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM(storm_whole, LATE_ROUND());
}

/*
 *	|-----+---+-----|              |-----+---+-----|---|
 *	|     | x |     |     <=>      |     | x |     | r |  told when it is there
 *	|-----+---+-----|              |-----+---+-----|---|
 */
TEST_F_TIMEOUT(memory_failure, late_kill_storm_beside, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM(storm_beside, LATE_ROUND());
}

/*
 *	parent                child
 *	|-----+---+-----|     |-----+---+-----|
 *	|     | x |     |  => |     | x |     |  told when it is there
 *	|-----+---+-----|     |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, late_kill_storm_fork, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_LATE));
	ASSERT_STORM_OF_FORKS(LATE_ROUND());
}

/*
 *	|-----+---+-----|          |-----+---+-----|
 *	|  r  | x |  r  |   <=>    | rw  | x | rw  |  no byte is lost
 *	|-----+---+-----|          |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, soft_offline_storm_whole, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM(storm_whole, SOFT_ROUND(5));
}

/*
 *	|-----+---+-----|              |-----+---+-----|---|
 *	|     | x |     |     <=>      |     | x |     | r |  no byte is lost
 *	|-----+---+-----|              |-----+---+-----|---|
 */
TEST_F_TIMEOUT(memory_failure, soft_offline_storm_beside, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM(storm_beside, SOFT_ROUND(5));
}

/*
 *	parent                child
 *	|-----+---+-----|     |-----+---+-----|
 *	|     | x |     |  => |     | x |     |  no byte is lost
 *	|-----+---+-----|     |-----+---+-----|
 */
TEST_F_TIMEOUT(memory_failure, soft_offline_storm_fork, STORM_TIMEOUT)
{
	ASSERT_EQ(0, expect_sigbus(PR_MCE_KILL_EARLY));
	ASSERT_STORM_OF_FORKS(SOFT_ROUND(1000));
}

TEST_HARNESS_MAIN
