// SPDX-License-Identifier: GPL-2.0
/*
 * Both at once: a VMA changes, and somebody who found it through one of its
 * folios is in it. Neither may fail for the other, and no byte may change.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <mm/gup_test.h>

#include "nodes.h"
#include "rounds.h"
#include "zram_swap.h"

#define RW		(PROT_READ | PROT_WRITE)
#define SPLIT_DEBUGFS	"/sys/kernel/debug/split_huge_pages"
#define COMPACT_MEMORY	"/proc/sys/vm/compact_memory"
#define GUP_TEST	"/sys/kernel/debug/gup_test"

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

/* What add_folio_for_migration() may say, with or without owners. */
static bool is_move_status(int status)
{
	return status >= 0 || status == -EFAULT || status == -ENOENT ||
	       status == -EBUSY;
}

/* From one node to the other and back, shared or not. */
static int step_migrate(struct rival *rival)
{
	void *pages[rival->nr];
	int nodes[rival->nr], status[rival->nr];
	long ret;

	for (unsigned long i = 0; i < rival->nr; i++) {
		pages[i] = rival->ptr + bytes(i);
		nodes[i] = rival->nodes[rival->steps & 1];
		status[i] = 0;
	}
	ret = syscall(SYS_move_pages, rival->pid, rival->nr, pages, nodes,
		      status, MPOL_MF_MOVE_ALL);
	/* Between two children there is nobody, or nobody's memory. */
	if (ret < 0 && rival->pid && (errno == ESRCH || errno == EINVAL))
		return 0;
	if (ret < 0)
		return -errno;
	for (unsigned long i = 0; i < rival->nr; i++)
		if (!is_move_status(status[i]))
			return status[i];
	return 0;
}

/* There may be a hole where the area was. */
static int step_pageout(struct rival *rival)
{
	if (madvise(rival->ptr, bytes(rival->nr), MADV_PAGEOUT) &&
	    errno != ENOMEM)
		return -errno;
	return 0;
}

static int step_split_folios(struct rival *rival)
{
	char buf[64];
	int len;

	len = snprintf(buf, sizeof(buf), "%d,0x%lx,0x%lx,%d", getpid(),
		       (unsigned long)rival->ptr,
		       (unsigned long)rival->ptr + bytes(rival->nr),
		       rival->steps & 1 ? 2 : 0);
	return pwrite(rival->fd, buf, len + 1, 0) < 0 ? -errno : 0;
}

static int step_compact(struct rival *rival)
{
	return pwrite(rival->fd, "1", 1, 0) < 0 ? -errno : 0;
}

/* Write to all of the pages for long, as a device would; none in a hole. */
static int step_pin(struct rival *rival)
{
	struct pin_longterm_test pin = {
		.addr = (unsigned long)rival->ptr,
		.size = bytes(rival->nr),
		.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
	};

	if (ioctl(rival->fd, PIN_LONGTERM_TEST_START, &pin))
		return errno == EFAULT ? 0 : -errno;
	return ioctl(rival->fd, PIN_LONGTERM_TEST_STOP) ? -errno : 0;
}

static int step_dontfork(struct rival *rival)
{
	if (madvise(rival->ptr, bytes(rival->nr),
		    rival->steps & 1 ? MADV_DOFORK : MADV_DONTFORK))
		return -errno;
	return 0;
}

FIXTURE(race)
{
	struct area area;
	struct rival rival;
};

FIXTURE_VARIANT(race)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(race, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(race, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(race, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(race, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(race, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(race, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(race, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(race)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	self->rival.ptr = area->ptr;
	/* And the room that the area may move to. */
	self->rival.nr = 2 * area->nr;
	self->rival.fd = -1;
}

FIXTURE_TEARDOWN(race)
{
	ASSERT_INVARIANTS();
	ASSERT_AREA(&self->area);
	if (self->rival.fd >= 0)
		close(self->rival.fd);
	ASSERT_EQ(0, area_unmap(&self->area));
}

#define ASSERT_RACE(round, against) do {				\
	self->rival.step = (against);					\
	ASSERT_EQ(0, run_rounds(&self->area, round, &self->rival));	\
} while (0)

/*
 *	rival                  parent            child
 *	node 0 <=> node 1      |-----------|     |-----------|
 *	                       |   area    |  => |   area    |
 *	                       |-----------|     |-----------|
 */
TEST_F(race, migrate_fork)
{
	if (!find_nodes(self->rival.nodes))
		SKIP(return, "needs two NUMA nodes");
	ASSERT_RACE(round_fork, step_migrate);
}

/*
 *	rival                  |-----------|       |----+-----+----|
 *	node 0 <=> node 1      |   area    |  <=>  | rw |  r  | rw |
 *	                       |-----------|       |----+-----+----|
 */
TEST_F(race, migrate_split)
{
	if (!find_nodes(self->rival.nodes))
		SKIP(return, "needs two NUMA nodes");
	ASSERT_RACE(round_split, step_migrate);
}

/*
 *	rival                  |-----------|       |----|     |----|
 *	node 0 <=> node 1      |   area    |  <=>  |    |     |    |
 *	                       |-----------|       |----|     |----|
 */
TEST_F(race, migrate_munmap)
{
	if (!find_nodes(self->rival.nodes))
		SKIP(return, "needs two NUMA nodes");
	ASSERT_RACE(round_munmap, step_migrate);
}

/*
 *	rival                  |-----------|       |-----------|
 *	node 0 <=> node 1      |   area    |  <=>  |   room    |
 *	                       |-----------|       |-----------|
 */
TEST_F(race, migrate_mremap)
{
	if (!find_nodes(self->rival.nodes))
		SKIP(return, "needs two NUMA nodes");
	ASSERT_RACE(round_mremap, step_migrate);
}

/*
 *	rival                  |-----------|       |-----------|
 *	all zones, by /proc    |   area    |  <=>  |   room    |
 *	                       |-----------|       |-----------|
 */
TEST_F(race, compact_mremap)
{
	self->rival.fd = open(COMPACT_MEMORY, O_WRONLY);
	if (self->rival.fd < 0)
		SKIP(return, "needs CONFIG_COMPACTION and root");
	ASSERT_RACE(round_mremap, step_compact);
}

/*
 *	rival                  parent            child
 *	swap <= area           |-----------|     |-----------|
 *	                       |   area    |  => |   area    |
 *	                       |-----------|     |-----------|
 */
TEST_F(race, pageout_fork)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_RACE(round_fork, step_pageout);
}

/*
 *	rival                  |-----------|       |----+-----+----|
 *	swap <= area           |   area    |  <=>  | rw |  r  | rw |
 *	                       |-----------|       |----+-----+----|
 */
TEST_F(race, pageout_split)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_RACE(round_split, step_pageout);
}

/*
 *	rival                  |-----------|       |----|     |----|
 *	swap <= area           |   area    |  <=>  |    |     |    |
 *	                       |-----------|       |----|     |----|
 */
TEST_F(race, pageout_munmap)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_RACE(round_munmap, step_pageout);
}

/*
 *	rival                  |-----------|       |-----------|
 *	swap <= area, room     |   area    |  <=>  |   room    |
 *	                       |-----------|       |-----------|
 */
TEST_F(race, pageout_mremap)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_RACE(round_mremap, step_pageout);
}

/*
 *	rival                  parent            child
 *	pins the area          |-----------|     |-----------|
 *	                       |   area    |  => |   area    |  copied at once
 *	                       |-----------|     |-----------|  where pinned
 */
TEST_F(race, pin_fork)
{
	self->rival.fd = open(GUP_TEST, O_RDWR);
	if (self->rival.fd < 0)
		SKIP(return, "needs CONFIG_GUP_TEST and root");
	self->rival.nr = self->area.nr;
	ASSERT_RACE(round_fork, step_pin);
}

/*
 *	rival                  |-----------|       |----+-----+----|
 *	pins the area          |   area    |  <=>  | rw |  r  | rw |
 *	                       |-----------|       |----+-----+----|
 */
TEST_F(race, pin_split)
{
	self->rival.fd = open(GUP_TEST, O_RDWR);
	if (self->rival.fd < 0)
		SKIP(return, "needs CONFIG_GUP_TEST and root");
	self->rival.nr = self->area.nr;
	ASSERT_RACE(round_split, step_pin);
}

/* The child has the whole area or none of it. */
static int round_dontfork(struct area *area)
{
	int err = renew_area(area);
	pid_t pid;

	if (err)
		return err;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(count_vmas(area->ptr, area->nr) &&
		      area_find_bad_page(area) >= 0);
	if (wait_child(pid))
		return -EIO;
	return area_find_bad_page(area) >= 0 ? -EIO : 0;
}

/*
 *	rival                  parent            child
 *	DONTFORK, DOFORK       |-----------|     |-----------|     |           |
 *	                       |   area    |  => |   area    | or  |  nothing  |
 *	                       |-----------|     |-----------|     |           |
 */
TEST_F(race, dontfork)
{
	self->rival.nr = self->area.nr;
	ASSERT_RACE(round_dontfork, step_dontfork);
}

/* In one address space with a child, until that has another program. */
static int round_exec(struct area *area)
{
	int err = renew_area(area);
	pid_t pid;

	if (err)
		return err;
	pid = vfork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl("/proc/self/exe", "race", "-l", NULL);
		_exit(127);
	}
	/* What a list of the tests ends with. */
	if (wait_child(pid) != KSFT_SKIP)
		return -ECHILD;
	return area_find_bad_page(area) >= 0 ? -EIO : 0;
}

/*
 *	rival                  |-----------|  vfork and exec: nothing is
 *	node 0 <=> node 1      |   area    |  shared by copying
 *	                       |-----------|
 */
TEST_F(race, migrate_exec)
{
	if (!find_nodes(self->rival.nodes))
		SKIP(return, "needs two NUMA nodes");
	ASSERT_RACE(round_exec, step_migrate);
	ASSERT_STATE(self->area.ptr, area_vma_state(&self->area));
}

/*
 *	rival                  parent     child
 *	node 0 <=> node 1                 |-----------|
 *	of the child           nothing    | new area  |  exits, or is killed
 *	                                  |-----------|
 */
TEST_F(race, migrate_exit)
{
	struct rival *rival = &self->rival;
	struct area *area = &self->area;
	unsigned int rounds = 0;
	int ready[2];
	char c;

	if (!find_nodes(rival->nodes))
		SKIP(return, "needs two NUMA nodes");
	rival->nr = area->nr;
	rival->step = step_migrate;
	rival->pid = getppid();
	ASSERT_EQ(0, pipe(ready));
	/* The areas of all rounds have the same address. */
	do {
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid) {
			int bad = area_map_pages(area, 0, area->nr, RW);

			fill_pages(area->ptr, 0, area->nr, SEED_A);
			bad |= write(ready[1], "r", 1) != 1;
			bad |= find_bad_page(area->ptr, 0, area->nr,
					     SEED_A) >= 0;
			fill_pages(area->ptr, 0, area->nr, SEED_B);
			bad |= find_bad_page(area->ptr, 0, area->nr,
					     SEED_B) >= 0;
			if (rounds & 1)
				raise(SIGKILL);
			_exit(!!bad);
		}
		ASSERT_EQ(1, read(ready[0], &c, 1));
		__atomic_store_n(&rival->pid, pid, __ATOMIC_RELAXED);
		if (!rounds)
			ASSERT_EQ(0, rival_start(rival));
		ASSERT_EQ(rounds & 1 ? -EINTR : 0, wait_child(pid));
	} while (++rounds < 12 || !rival_is_done(rival));
	ASSERT_EQ(0, rival_stop(rival));
	close(ready[0]);
	close(ready[1]);
}

/* Only large folios can be split. */
FIXTURE(split_folios)
{
	struct area area;
	struct rival rival;
};

FIXTURE_VARIANT(split_folios)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(split_folios, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(split_folios, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(split_folios, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(split_folios, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(split_folios)
{
	struct area *area = &self->area;

	self->rival.fd = open(SPLIT_DEBUGFS, O_WRONLY);
	if (self->rival.fd < 0)
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, area_map(area, &variant->params));
	self->rival.ptr = area->ptr;
	self->rival.nr = area->nr;
}

FIXTURE_TEARDOWN(split_folios)
{
	ASSERT_INVARIANTS();
	ASSERT_AREA(&self->area);
	close(self->rival.fd);
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	rival                  |-----------|       |----|     |----|
 *	order 9 => order 0, 2  |   area    |  <=>  |    |     |    |
 *	                       |-----------|       |----|     |----|
 */
TEST_F(split_folios, munmap)
{
	ASSERT_RACE(round_munmap, step_split_folios);
}

/*
 *	rival                  |-----------|       |----+-----+----|
 *	order 9 => order 0, 2  |   area    |  <=>  | rw |  r  | rw |
 *	                       |-----------|       |----+-----+----|
 */
TEST_F(split_folios, split)
{
	ASSERT_RACE(round_split, step_split_folios);
}

/*
 *	rival                  parent            child
 *	order 9 => order 0, 2  |-----------|     |-----------|
 *	                       |   area    |  => |   area    |
 *	                       |-----------|     |-----------|
 */
TEST_F(split_folios, fork)
{
	ASSERT_RACE(round_fork, step_split_folios);
}

/*
 * A chain of processes, each the child of the one before, which write their
 * pages before they fork:
 *
 *	process       0       1       2       3
 *	           |-----|-------|-------|-------|-----
 *	page 0     | own | of 0  | of 0  | of 0  |
 *	page 1     |     |  own  | of 1  | of 1  |
 *	page 2     |     |       |  own  | of 2  |
 *	...
 */
#define CHAIN	64

struct chain {
	pid_t pids[CHAIN];
	bool good[CHAIN];
};

FIXTURE(chain)
{
	struct chain *chain;
	int go[CHAIN][2];
};

FIXTURE_VARIANT(chain)
{
	struct area_params params;
	/* Process number i * @step + @first, modulo CHAIN, exits as the i-th. */
	unsigned int first, step;
};

FIXTURE_VARIANT_ADD(chain, forward)
{
	.first = 0, .step = 1,
};

FIXTURE_VARIANT_ADD(chain, reverse)
{
	.first = CHAIN - 1, .step = CHAIN - 1,
};

FIXTURE_VARIANT_ADD(chain, mixed)
{
	.first = 17, .step = 27,
};

FIXTURE_VARIANT_ADD(chain, file_forward)
{
	.params = { .file = true },
	.first = 0, .step = 1,
};

FIXTURE_VARIANT_ADD(chain, file_mixed)
{
	.params = { .file = true },
	.first = 40, .step = 37,
};

FIXTURE_VARIANT_ADD(chain, pmd_forward)
{
	.params = { .folios = AREA_PMD },
	.first = 0, .step = 1,
};

FIXTURE_VARIANT_ADD(chain, pmd_reverse)
{
	.params = { .folios = AREA_PMD },
	.first = CHAIN - 1, .step = CHAIN - 1,
};

FIXTURE_VARIANT_ADD(chain, pmd_mixed)
{
	.params = { .folios = AREA_PMD },
	.first = 5, .step = 43,
};

FIXTURE_SETUP(chain)
{
	self->chain = mmap(NULL, sizeof(*self->chain), RW,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->chain);
	for (int i = 0; i < CHAIN; i++)
		ASSERT_EQ(0, pipe(self->go[i]));
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(chain)
{
	ASSERT_INVARIANTS();
}

/* Which process of the chain writes @page. */
static int chain_writer(const struct area *area, unsigned long page)
{
	return area->nr < CHAIN ? page * CHAIN / area->nr : page % CHAIN;
}

/* Process @depth has what it and those before it have written. */
static bool chain_is_good(const struct area *area, int depth)
{
	for (unsigned long page = 0; page < area->nr; page++) {
		int writer = chain_writer(area, page);
		unsigned int seed = writer <= depth ? SEED_B + writer : SEED_AREA;

		if (find_bad_page(area_page(area, page), page, 1, seed) >= 0)
			return false;
	}
	return true;
}

/* Never returns: it is process @depth of the chain, and forks the others. */
static void chain_link(struct chain *chain, int go[CHAIN][2],
		       struct area *area, int depth)
{
	bool good;
	char c;

	for (unsigned long page = 0; page < area->nr; page++)
		if (chain_writer(area, page) == depth)
			fill_pages(area_page(area, page), page, 1,
				   SEED_B + depth);
	good = chain_is_good(area, depth);
	if (depth + 1 < CHAIN) {
		pid_t pid = fork();

		if (!pid)
			chain_link(chain, go, area, depth + 1);
		good &= pid > 0;
	}
	/* Whoever sees the last of the chain sees all of it. */
	__atomic_store_n(&chain->pids[depth], getpid(), __ATOMIC_RELEASE);
	good &= read(go[depth][0], &c, 1) == 1;
	good &= chain_is_good(area, depth);
	__atomic_store_n(&chain->good[depth], good, __ATOMIC_RELEASE);
	_exit(0);
}

/* exit() has given the memory up before anybody can wait for it. */
static bool wait_for_exit(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	bool ok;

	/* Its parent may have exited, and we may have reaped it. */
	if (fd < 0)
		return errno == ESRCH;
	ok = poll(&pollfd, 1, 10000) == 1;
	close(fd);
	return ok;
}

TEST_F(chain, exit)
{
	struct chain *chain = self->chain;
	struct area area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		/* If the test fails, the chain ends. */
		for (int i = 0; i < CHAIN; i++)
			close(self->go[i][1]);
		ASSERT_EQ(0, area_map(&area, &variant->params));
		chain_link(chain, self->go, &area, 0);
	}
	for (int i = 0; i < CHAIN; i++)
		while (!__atomic_load_n(&chain->pids[i], __ATOMIC_ACQUIRE))
			usleep(1000);
	ASSERT_INVARIANTS();

	for (int i = 0; i < CHAIN; i++) {
		int depth = (i * variant->step + variant->first) % CHAIN;

		ASSERT_EQ(1, write(self->go[depth][1], "g", 1));
		ASSERT_TRUE(wait_for_exit(chain->pids[depth]));
		ASSERT_TRUE(chain->good[depth])
			TH_LOG("process %d, the %d. to exit", depth, i);
		if (i == CHAIN / 2)
			ASSERT_INVARIANTS();
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/*
 * Threads that change what they have, each its own part, while it is forked:
 *
 *	parent                                  child
 *	|-------|--------|--------|-------|     |------|--------|--------|---
 *	| area  | faults | splits | moves |  => | area | a part of what  | ...
 *	|-------|--------|--------|-------|     |------| was written ----|---
 */
#define PART	16UL

FIXTURE(threads)
{
	struct area area;
	char *reserved;
	struct rival faults, splits, moves;
};

FIXTURE_VARIANT(threads)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(threads, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(threads, child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(threads, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(threads, pmd)
{
	.params = { .folios = AREA_PMD },
};

static int step_fault(struct rival *rival)
{
	if (rival->steps % 4 == 0 && !map_anon(rival->ptr, PART, RW))
		return -ENOMEM;
	if (madvise(rival->ptr, bytes(PART), MADV_DONTNEED))
		return -errno;
	fill_pages(rival->ptr, 0, PART, SEED_A);
	return find_bad_page(rival->ptr, 0, PART, SEED_A) < 0 ? 0 : -EIO;
}

static int step_split(struct rival *rival)
{
	char *middle = rival->ptr + bytes(PART / 4);

	if (!map_anon(rival->ptr, PART, RW))
		return -ENOMEM;
	fill_pages(rival->ptr, 0, PART, SEED_A);
	if (mprotect(middle, bytes(PART / 2), PROT_READ))
		return -errno;
	fill_pages(rival->ptr, 0, PART / 4, SEED_A);
	if (mprotect(middle, bytes(PART / 2), RW))
		return -errno;
	return find_bad_page(rival->ptr, 0, PART, SEED_A) < 0 ? 0 : -EIO;
}

static int step_move(struct rival *rival)
{
	char *from = rival->ptr, *to = from + bytes(PART + 1);

	if (!map_anon(from, PART, RW))
		return -ENOMEM;
	fill_pages(from, 0, PART, SEED_A);
	for (int i = 0; i < 3; i++) {
		char *tmp = from;

		if (mremap(from, bytes(PART), bytes(PART),
			   MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
			return -errno;
		/* Nobody else's memory comes here. */
		if (!map_anon(from, PART, PROT_NONE))
			return -ENOMEM;
		if (find_bad_page(to, 0, PART, SEED_A) >= 0)
			return -EIO;
		fill_pages(to, 0, PART / 2, SEED_A);
		from = to;
		to = tmp;
	}
	return 0;
}

FIXTURE_SETUP(threads)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, area_map(area, &variant->params));
	self->reserved = reserve(4 * (PART + 1) + 1);
	ASSERT_NE(NULL, self->reserved);
	self->faults.ptr = self->reserved + psize();
	self->faults.step = step_fault;
	self->splits.ptr = self->faults.ptr + bytes(PART + 1);
	self->splits.step = step_split;
	self->moves.ptr = self->splits.ptr + bytes(PART + 1);
	self->moves.step = step_move;
	ASSERT_NE(NULL, map_anon(self->faults.ptr, PART, RW));
	ASSERT_NE(NULL, map_anon(self->splits.ptr, PART, RW));
}

FIXTURE_TEARDOWN(threads)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes(4 * (PART + 1) + 1)));
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* Each word is the one that is written there, or zero when it was not yet. */
static bool is_partly_written(const char *ptr, unsigned long nr)
{
	size_t words = bytes(nr) / sizeof(unsigned long);
	const unsigned long *is = (const void *)ptr;
	unsigned long *should = malloc(bytes(nr));
	bool good = should;

	if (good)
		fill_pages((char *)should, 0, nr, SEED_A);
	for (size_t i = 0; i < words && good; i++)
		good = !is[i] || is[i] == should[i];
	free(should);
	return good;
}

TEST_F(threads, fork)
{
	struct area *area = &self->area;
	unsigned int forks = 0;

	ASSERT_EQ(0, rival_start(&self->faults));
	ASSERT_EQ(0, rival_start(&self->splits));
	ASSERT_EQ(0, rival_start(&self->moves));
	do {
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid) {
			bool good = area_find_bad_page(area) < 0;

			good &= is_partly_written(self->faults.ptr, PART);
			good &= is_partly_written(self->splits.ptr, PART);
			fill_pages(self->faults.ptr, 0, PART, SEED_B);
			good &= find_bad_page(self->faults.ptr, 0, PART,
					      SEED_B) < 0;
			fill_pages(area->ptr, 0, area->nr / 2, SEED_B);
			good &= find_bad_page(area->ptr, 0, area->nr / 2,
					      SEED_B) < 0;
			_exit(good ? 0 : 1);
		}
		ASSERT_EQ(0, wait_child(pid));
		ASSERT_AREA(area);
	} while (++forks < 32 || !rival_is_done(&self->faults) ||
		 !rival_is_done(&self->splits) || !rival_is_done(&self->moves));
	ASSERT_EQ(0, rival_stop(&self->faults));
	ASSERT_EQ(0, rival_stop(&self->splits));
	ASSERT_EQ(0, rival_stop(&self->moves));
	TH_LOG("%u forks, %lu faulting, %lu splitting, %lu moving", forks,
	       self->faults.steps, self->splits.steps, self->moves.steps);
}

/* Pages that a device writes to stay the parent's. */
FIXTURE(pinned)
{
	struct area area;
	char *seen;
	int fd;
};

FIXTURE_VARIANT(pinned)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(pinned, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(pinned, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(pinned, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(pinned, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(pinned, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(pinned, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_SETUP(pinned)
{
	struct area *area = &self->area;
	struct pin_longterm_test pin = {
		.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
	};

	ASSERT_EQ(0, area_map(area, &variant->params));
	self->seen = malloc(bytes(area->nr));
	ASSERT_NE(NULL, self->seen);
	self->fd = open(GUP_TEST, O_RDWR);
	if (self->fd < 0)
		SKIP(return, "needs CONFIG_GUP_TEST and root");
	pin.addr = (unsigned long)area->ptr;
	pin.size = bytes(area->nr);
	ASSERT_EQ(0, ioctl(self->fd, PIN_LONGTERM_TEST_START, &pin));
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(pinned)
{
	ASSERT_INVARIANTS();
	close(self->fd);
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* The device sees what the process has at the area. */
#define ASSERT_SEEN(seed) do {						\
	__u64 __ptr = (unsigned long)self->seen;			\
									\
	ASSERT_EQ(0, ioctl(self->fd, PIN_LONGTERM_TEST_READ, &__ptr));	\
	ASSERT_PAGES(self->seen, 0, self->area.nr, seed);		\
} while (0)

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  pinned   |  => |  copies   |
 *	|-----------|     |-----------|
 */
TEST_F(pinned, fork)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		fill_pages(area->ptr, 0, area->nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
		_exit(0);
	}
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_SEEN(SEED_A);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_SEEN(SEED_A);
	ASSERT_STATE(area->ptr, "anon_vma");
}

/*
 *	|-----------|          |----+-----+----|          |-----------|
 *	|  pinned   |    =>    | rw |  r  | rw |    =>    |  pinned   |
 *	|-----------|          |----+-----+----|          |-----------|
 */
TEST_F(pinned, split)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1, nr = area->nr / 2;

	ASSERT_EQ(0, mprotect(area_page(area, first), bytes(nr), PROT_READ));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, mprotect(area_page(area, first), bytes(nr), RW));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_SEEN(SEED_A);
}

/*
 *	|-----------|                |-----------|
 *	|  pinned   |      =>        |  pinned   |
 *	|-----------|                |-----------|
 */
TEST_F(pinned, move)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_STATE(dest, "anon_vma");
	fill_pages(dest, 0, area->nr, SEED_A);
	ASSERT_SEEN(SEED_A);
}

TEST_HARNESS_MAIN
