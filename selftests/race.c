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
#include <sys/stat.h>
#include <sys/syscall.h>

#include <mm/gup_test.h>

#include "nodes.h"
#include "rounds.h"
#include "zram_swap.h"

/* A rival gets its time on a loaded machine as well. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

#define RW		(PROT_READ | PROT_WRITE)
#define SPLIT_DEBUGFS	"/sys/kernel/debug/split_huge_pages"
#define COMPACT_MEMORY	"/proc/sys/vm/compact_memory"
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define SUBTREE_CONTROL	CGROUP_ROOT "/cgroup.subtree_control"
#define CGROUP		CGROUP_ROOT "/anon_owner-race"

static bool have_swap, have_memcg, memcg_was_on;

static void remove_memcg(void)
{
	/* A task is in its cgroup for a little longer than waitpid() says. */
	for (int i = 0; i < 100 && rmdir(CGROUP); i++)
		usleep(10000);
	if (!memcg_was_on)
		write_string(SUBTREE_CONTROL, "-memory");
}

/*
 * Before the first test is forked, so that it lasts until the last one. Whom a
 * test executes finds it there.
 */
static void __attribute__((constructor)) setup_swap(void)
{
	char controllers[256];

	have_swap = zram_swap_on();
	memcg_was_on = read_file(SUBTREE_CONTROL, controllers, sizeof(controllers)) &&
		       strstr(controllers, "memory");
	if (write_string(SUBTREE_CONTROL, "+memory"))
		return;
	if (!mkdir(CGROUP, 0755))
		atexit(remove_memcg);
	have_memcg = !access(CGROUP "/memory.reclaim", W_OK);
}

/* What this process touches from now on is reclaim's whenever somebody asks. */
static bool join_memcg(void)
{
	return !write_string(CGROUP "/cgroup.procs", "0");
}

/* There may be less to be had. */
static void reclaim_memcg(size_t len)
{
	char buf[64], unused[2];

	/* Reclaim goes by the statistics, which are brought up to date for a reader. */
	read_file(CGROUP "/memory.stat", unused, sizeof(unused));
	snprintf(buf, sizeof(buf), "%zu swappiness=max", len);
	write_string(CGROUP "/memory.reclaim", buf);
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
	pid_t pid = __atomic_load_n(&rival->pid, __ATOMIC_RELAXED);
	int before[rival->nr], nodes[rival->nr], status[rival->nr];
	void *pages[rival->nr];
	long ret;

	for (unsigned long i = 0; i < rival->nr; i++) {
		pages[i] = rival->ptr + bytes(i);
		nodes[i] = rival->nodes[rival->steps & 1];
		status[i] = -EBUSY;
	}
	ret = syscall(SYS_move_pages, pid, rival->nr, pages, NULL, before, 0);
	if (!ret)
		ret = syscall(SYS_move_pages, pid, rival->nr, pages, nodes,
			      status, MPOL_MF_MOVE_ALL);
	/* Between two children there is nobody, or nobody's memory. */
	if (ret < 0 && pid && (errno == ESRCH || errno == EINVAL))
		return 0;
	if (ret < 0)
		return -errno;
	for (unsigned long i = 0; i < rival->nr; i++) {
		if (!is_move_status(status[i]))
			return status[i];
		if (before[i] >= 0 && before[i] != nodes[i])
			rival_count(rival, status[i] == nodes[i]);
	}
	return 0;
}

/*
 * With the mmap_lock, which keeps writers away, and every other time without:
 * that is what has to do something. There may be a hole where the area was.
 */
static int step_pageout(struct rival *rival)
{
	bool unlocked = rival->steps & 1;

	if (unlocked && have_memcg)
		reclaim_memcg(bytes(16));
	else if (madvise(rival->ptr, bytes(rival->nr), MADV_PAGEOUT) &&
		 errno != ENOMEM)
		return -errno;
	if (unlocked && !rival->done)
		rival_count(rival, count_swapped(rival->ptr, rival->nr / 2));
	return 0;
}

/*
 * With the mmap_lock, to order 2 or 0; most times without, all folios of the
 * machine, which takes longer.
 */
static int step_split_folios(struct rival *rival)
{
	char buf[64] = "1";

	if (rival->steps % 8 == 0)
		snprintf(buf, sizeof(buf), "%d,0x%lx,0x%lx,%d", getpid(),
			 (unsigned long)rival->ptr,
			 (unsigned long)rival->ptr + bytes(rival->nr),
			 rival->steps & 8 ? 0 : 2);
	return pwrite(rival->fd, buf, strlen(buf) + 1, 0) < 0 ? -errno : 0;
}

/* While it is done without the mmap_lock: whether the second page is of a large folio. */
static unsigned long observe_folio(const struct rival *rival)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	int kpageflags = open("/proc/kpageflags", O_RDONLY);
	unsigned long pfn = pagemap_get_pfn(pagemap, rival->ptr + psize());
	uint64_t flags = 0;

	if (pfn != -1UL)
		pageflags_get(pfn, kpageflags, &flags);
	close(kpageflags);
	close(pagemap);
	if (rival->steps % 8 == 0)
		return 0;
	return flags & KPF_COMPOUND_TAIL ? 2 : 1;
}

static int step_compact(struct rival *rival)
{
	return pwrite(rival->fd, "1", 1, 0) < 0 ? -errno : 0;
}

/*
 * Write to all of the pages for long, as a device would; none in a hole. With the
 * mmap_lock and, as far as the pages are there, without.
 */
static int step_pin(struct rival *rival)
{
	bool fast = rival->steps & 1;
	int err = pin_longterm(rival->fd, rival->ptr, rival->nr, PIN_LONGTERM_TEST_FLAG_USE_WRITE |
			       (fast ? PIN_LONGTERM_TEST_FLAG_USE_FAST : 0));

	if (err)
		return err == -EFAULT ? 0 : err;
	rival_count(rival, fast);
	return ioctl(rival->fd, PIN_LONGTERM_TEST_STOP) ? -errno : 0;
}

static int step_dontfork(struct rival *rival)
{
	if (madvise(rival->ptr, bytes(rival->nr),
		    rival->steps & 1 ? MADV_DOFORK : MADV_DONTFORK))
		return -errno;
	rival_count(rival, 1);
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

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	self->rival.ptr = area->ptr;
	/* And the room that the area may move to. */
	self->rival.nr = 2 * area->nr;
	self->rival.fd = -1;
}

FIXTURE_TEARDOWN(race)
{
	if (variant->params.folios == AREA_PMD)
		restore_mthp_orders();
	ASSERT_INVARIANTS();
	ASSERT_AREA(&self->area);
	if (self->rival.fd >= 0)
		close(self->rival.fd);
	ASSERT_EQ(0, area_unmap(&self->area));
}

#define ASSERT_RACE(round, against) do {				\
	self->rival.step = (against);					\
	self->rival.counts = true;					\
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
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
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
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
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
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
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
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
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
	/* No folio of a whole pageblock is moved. */
	if (variant->params.folios == AREA_PMD)
		set_mthp_orders(self->area.nr / 2);
	/* Nor is any other one for certain. */
	self->rival.step = step_compact;
	ASSERT_EQ(0, run_rounds(&self->area, round_mremap, &self->rival));
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
	ASSERT_EQ(have_memcg, join_memcg());
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
	ASSERT_EQ(have_memcg, join_memcg());
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
	ASSERT_EQ(have_memcg, join_memcg());
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
	ASSERT_EQ(have_memcg, join_memcg());
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
	self->rival.fd = open(GUP_DEBUGFS, O_RDWR);
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
	self->rival.fd = open(GUP_DEBUGFS, O_RDWR);
	if (self->rival.fd < 0)
		SKIP(return, "needs CONFIG_GUP_TEST and root");
	self->rival.nr = self->area.nr;
	ASSERT_RACE(round_split, step_pin);
}

/* The child has the whole area or none of it. */
static int round_dontfork(struct area *area)
{
	pid_t pid = fork();

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

/* Another program, which ends like any list of tests. */
#define LIST_EXIT_CODE	KSFT_SKIP

static void exec_list(void)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl("/proc/self/exe", "race", "-l", NULL);
	_exit(127);
}

/* In one address space with a child, until that has another program. */
static int round_exec(struct area *area)
{
	pid_t pid = vfork();

	if (pid < 0)
		return -errno;
	if (!pid)
		exec_list();
	if (wait_child(pid) != LIST_EXIT_CODE)
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
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
	ASSERT_RACE(round_exec, step_migrate);
	ASSERT_STATE(self->area.ptr, area_vma_state(&self->area));
}

/* Never returns: writes to a new area while it is moved, and leaves it in one of three ways. */
static void leave_area(struct area *area, int ready, unsigned int way)
{
	if (area_map_pages(area, 0, area->nr, RW))
		_exit(1);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	if (write(ready, "r", 1) != 1 ||
	    find_bad_page(area->ptr, 0, area->nr, SEED_A) >= 0)
		_exit(1);
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	if (find_bad_page(area->ptr, 0, area->nr, SEED_B) >= 0)
		_exit(1);
	if (way == 1)
		raise(SIGKILL);
	if (way == 2)
		exec_list();
	_exit(0);
}

/*
 *	rival                  parent     child
 *	node 0 <=> node 1                 |-----------|
 *	of the child           nothing    | new area  |  exits, is killed,
 *	                                  |-----------|  or has another program
 */
TEST_F(race, migrate_exit)
{
	const int exit_codes[] = { 0, -EINTR, LIST_EXIT_CODE };
	struct rival *rival = &self->rival;
	struct area *area = &self->area;
	unsigned int rounds = 0;
	int ready[2];
	char c;

	if (!find_nodes(rival->nodes))
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
	rival->nr = area->nr;
	rival->step = step_migrate;
	rival->counts = true;
	ASSERT_EQ(0, pipe(ready));
	/* The areas of all rounds have the same address. */
	do {
		unsigned int way = rounds % 3;
		pid_t pid = fork();

		ASSERT_GE(pid, 0);
		if (!pid)
			leave_area(area, ready[1], way);
		ASSERT_EQ(1, read(ready[0], &c, 1));
		__atomic_store_n(&rival->pid, pid, __ATOMIC_RELAXED);
		if (!rounds)
			ASSERT_EQ(0, rival_start(rival));
		ASSERT_EQ(exit_codes[way], wait_child(pid));
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

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	self->rival.fd = open(SPLIT_DEBUGFS, O_WRONLY);
	if (self->rival.fd < 0)
		SKIP(return, "needs debugfs and root");
	ASSERT_EQ(0, area_map(area, &variant->params));
	self->rival.ptr = area->ptr;
	self->rival.nr = area->nr;
	self->rival.observe = observe_folio;
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
 *	large => order 0, 2    |   area    |  <=>  |    |     |    |
 *	                       |-----------|       |----|     |----|
 */
TEST_F(split_folios, munmap)
{
	ASSERT_RACE(round_munmap, step_split_folios);
}

/*
 *	rival                  |-----------|       |----+-----+----|
 *	large => order 0, 2    |   area    |  <=>  | rw |  r  | rw |
 *	                       |-----------|       |----+-----+----|
 */
TEST_F(split_folios, split)
{
	ASSERT_RACE(round_split, step_split_folios);
}

/*
 *	rival                  parent            child
 *	large => order 0, 2    |-----------|     |-----------|
 *	                       |   area    |  => |   area    |
 *	                       |-----------|     |-----------|
 */
TEST_F(split_folios, fork)
{
	ASSERT_RACE(round_fork, step_split_folios);
}

/*
 *	rival                  |-----------|       |-----------|
 *	large => order 0, 2    |   area    |  <=>  |   room    |
 *	                       |-----------|       |-----------|
 */
TEST_F(split_folios, mremap)
{
	self->rival.nr += self->area.nr;
	ASSERT_RACE(round_mremap, step_split_folios);
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
 *	page 64    | own | of 0  | of 0  | of 0  |
 */
#define CHAIN	64

/* What a process is asked. Any smaller number: to write the pages of that process. */
#define CHAIN_SWAPPED	CHAIN		/* whether all of the area is in swap */
#define CHAIN_EXIT	(CHAIN + 1)	/* to exit, if all is as it was written */

FIXTURE(chain)
{
	pid_t *pids;
	int go[CHAIN][2], answer[2];
	unsigned int seed;
	int order[CHAIN];
	bool gone[CHAIN];
};

FIXTURE_VARIANT(chain)
{
	struct area_params params;
	/* Process number i * @step + @first, modulo CHAIN, exits as the i-th. */
	unsigned int first, step;
	/* Or it is any other: ANON_OWNER_SEED= has the same order again. */
	bool shuffled;
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

FIXTURE_VARIANT_ADD(chain, shuffled)
{
	.first = 0, .step = 1,
	.shuffled = true,
};

FIXTURE_VARIANT_ADD(chain, file_forward)
{
	.params = { .file = true },
	.first = 0, .step = 1,
};

FIXTURE_VARIANT_ADD(chain, file_shuffled)
{
	.params = { .file = true },
	.first = 0, .step = 1,
	.shuffled = true,
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

FIXTURE_VARIANT_ADD(chain, pmd_shuffled)
{
	.params = { .folios = AREA_PMD },
	.first = 0, .step = 1,
	.shuffled = true,
};

FIXTURE_SETUP(chain)
{
	const char *seed = getenv("ANON_OWNER_SEED");
	unsigned int random;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	self->pids = mmap(NULL, CHAIN * sizeof(*self->pids), RW,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->pids);
	ASSERT_EQ(0, pipe(self->answer));
	self->seed = seed ? strtoul(seed, NULL, 0) : time(NULL);
	random = self->seed;
	for (unsigned int i = 0; i < CHAIN; i++) {
		unsigned int j = variant->shuffled ? rand_r(&random) % (i + 1) : i;

		ASSERT_EQ(0, pipe(self->go[i]));
		self->order[i] = self->order[j];
		self->order[j] = (i * variant->step + variant->first) % CHAIN;
	}
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(chain)
{
	if (variant->shuffled && !__test_passed(_metadata))
		TH_LOG("ANON_OWNER_SEED=%u", self->seed);
	ASSERT_INVARIANTS();
}

/* As area_map() does, but no less than a page for each process of the chain. */
static int chain_map(struct area *area, const struct area_params *params)
{
	int err = area_map(area, params);

	if (err || area->nr >= CHAIN)
		return err;
	area->nr = CHAIN;
	area->ptr = reserve(CHAIN + 2);
	if (!area->ptr)
		return -ENOMEM;
	area->ptr += psize();
	if (params->file && ftruncate(area->fd, bytes(2 * CHAIN)))
		return -errno;
	err = area_map_pages(area, 0, CHAIN, RW);
	if (!err)
		fill_pages(area->ptr, 0, CHAIN, SEED_AREA);
	return err;
}

/* What @seeds says of a process is what this one knows, or has written. */
static void chain_write(struct area *area, unsigned int seeds[CHAIN], int process,
			unsigned int seed)
{
	seeds[process] = seed;
	for (unsigned long page = process; page < area->nr; page += CHAIN)
		fill_pages(area_page(area, page), page, 1, seed);
}

static bool chain_is_good(const struct area *area, const unsigned int seeds[CHAIN])
{
	for (unsigned long page = 0; page < area->nr; page++)
		if (find_bad_page(area_page(area, page), page, 1,
				  seeds[page % CHAIN]) >= 0)
			return false;
	return true;
}

/* Never returns: it is process @depth of the chain, and forks the others. */
static void chain_link(FIXTURE_DATA(chain) * self, struct area *area,
		       unsigned int seeds[CHAIN], int depth)
{
	unsigned char what = 0;
	bool good;

	chain_write(area, seeds, depth, SEED_B + depth);
	good = chain_is_good(area, seeds);
	if (depth + 1 < CHAIN) {
		pid_t pid = fork();

		if (!pid)
			chain_link(self, area, seeds, depth + 1);
		good &= pid > 0;
	}
	/* Whoever sees the last of the chain sees all of it. */
	__atomic_store_n(&self->pids[depth], getpid(), __ATOMIC_RELEASE);
	while (what != CHAIN_EXIT && read(self->go[depth][0], &what, 1) == 1) {
		bool answer = good;

		if (what == CHAIN_SWAPPED) {
			answer &= count_swapped(area->ptr, area->nr) == area->nr;
		} else {
			if (what < CHAIN)
				chain_write(area, seeds, what, SEED_B + CHAIN + depth);
			good &= chain_is_good(area, seeds);
			answer = good;
		}
		if (write(self->answer[1], &answer, 1) != 1)
			break;
	}
	_exit(0);
}

static bool chain_ask(FIXTURE_DATA(chain) * self, int depth, unsigned char what)
{
	bool answer;

	return write(self->go[depth][1], &what, 1) == 1 &&
	       read(self->answer[0], &answer, 1) == 1 && answer;
}

/* Who inherited from process @depth first, or else whom it inherited from; or nobody. */
static int chain_next(const FIXTURE_DATA(chain) * self, int depth)
{
	int next = depth;

	while (next < CHAIN && self->gone[next])
		next++;
	if (next == CHAIN)
		for (next = depth; next >= 0 && self->gone[next]; next--)
			;
	return next;
}

/* Swap out what all that are left share: reclaim has to find each of them. */
static bool chain_swap_out(FIXTURE_DATA(chain) * self)
{
	bool swapped = false;

	if (!have_swap || !have_memcg) {
		ksft_print_msg("no swap or memory cgroup: nothing is swapped out\n");
		return true;
	}
	for (int tries = 0; tries < 100 && !swapped; tries++) {
		if (tries)
			usleep(1000);
		drain_lru_batches();
		reclaim_memcg(64UL << 20);
		swapped = true;
		for (int depth = 0; depth < CHAIN && swapped; depth++)
			swapped = self->gone[depth] ||
				  chain_ask(self, depth, CHAIN_SWAPPED);
	}
	return swapped;
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

/*
 *	process 0        1          2          3
 *	|------|      |      |   |------|   |------|
 *	| area |  ..  | exit |   | area |   | area |  ..  the next one writes the pages of
 *	|------|      |      |   |------|   |------|      who exits; half-way, all => swap
 */
TEST_F(chain, exit)
{
	unsigned int seeds[CHAIN];
	struct area area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		/* If the test fails, the chain ends. */
		for (int i = 0; i < CHAIN; i++)
			close(self->go[i][1]);
		ASSERT_EQ(have_memcg, join_memcg());
		ASSERT_EQ(0, chain_map(&area, &variant->params));
		for (int i = 0; i < CHAIN; i++)
			seeds[i] = SEED_AREA;
		chain_link(self, &area, seeds, 0);
	}
	for (int i = 0; i < CHAIN; i++)
		while (!__atomic_load_n(&self->pids[i], __ATOMIC_ACQUIRE))
			usleep(1000);
	ASSERT_INVARIANTS();

	for (int i = 0; i < CHAIN; i++) {
		int depth = self->order[i], next;

		ASSERT_TRUE(chain_ask(self, depth, CHAIN_EXIT))
			TH_LOG("process %d, the %d. to exit", depth, i);
		ASSERT_TRUE(wait_for_exit(self->pids[depth]));
		self->gone[depth] = true;
		next = chain_next(self, depth);
		if (next >= 0)
			ASSERT_TRUE(chain_ask(self, next, depth))
				TH_LOG("process %d, after %d has exited", next, depth);
		if (i == CHAIN / 2) {
			ASSERT_INVARIANTS();
			ASSERT_TRUE(chain_swap_out(self));
			ASSERT_INVARIANTS();
		}
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/*
 * Threads that change what they have, each its own part, while it is forked:
 *
 *	parent                                  child
 *	|-------|--------|--------|-------|     |------|--------|--------|---
 *	| area  | faults | splits | moves |  => | area | what was written ..
 *	|-------|--------|--------|-------|     |------|--------|--------|---
 */
#define NR_PARTS	4
#define PART		16UL	/* pages, unless it is a huge one */

FIXTURE(threads)
{
	struct area area;
	char *reserved, *written;
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

/* And so are the parts. */
FIXTURE_VARIANT_ADD(threads, pmd)
{
	.params = { .folios = AREA_PMD },
};

/* Until @done is set, the part is not all written. */
static void set_done(struct rival *rival, bool done)
{
	__atomic_store_n(&rival->done, done, __ATOMIC_RELEASE);
}

static bool map_part(const struct rival *rival)
{
	if (!map_anon(rival->ptr, rival->nr, RW))
		return false;
	return rival->nr == PART ||
	       !madvise(rival->ptr, bytes(rival->nr), MADV_HUGEPAGE);
}

static int step_fault(struct rival *rival)
{
	set_done(rival, false);
	if (rival->steps % 4 == 0 && !map_part(rival))
		return -ENOMEM;
	if (madvise(rival->ptr, bytes(rival->nr), MADV_DONTNEED))
		return -errno;
	fill_pages(rival->ptr, 0, rival->nr, SEED_A);
	set_done(rival, true);
	return find_bad_page(rival->ptr, 0, rival->nr, SEED_A) < 0 ? 0 : -EIO;
}

static int step_split(struct rival *rival)
{
	char *middle = rival->ptr + bytes(rival->nr / 4);

	set_done(rival, false);
	if (!map_part(rival))
		return -ENOMEM;
	fill_pages(rival->ptr, 0, rival->nr, SEED_A);
	set_done(rival, true);
	if (mprotect(middle, bytes(rival->nr / 2), PROT_READ))
		return -errno;
	fill_pages(rival->ptr, 0, rival->nr / 4, SEED_A);
	if (mprotect(middle, bytes(rival->nr / 2), RW))
		return -errno;
	return find_bad_page(rival->ptr, 0, rival->nr, SEED_A) < 0 ? 0 : -EIO;
}

/* The other place of the part that moves. */
static char *other_place(const struct rival *rival)
{
	return rival->ptr + bytes(2 * rival->nr);
}

/* When it was written once, at least one place has all of it. */
static int step_move(struct rival *rival)
{
	char *from = rival->ptr, *to = other_place(rival);

	if (!map_part(rival))
		return -ENOMEM;
	fill_pages(from, 0, rival->nr, SEED_A);
	set_done(rival, true);
	for (int i = 0; i < 3; i++) {
		char *tmp = from;

		if (mremap(from, bytes(rival->nr), bytes(rival->nr),
			   MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
			return -errno;
		/* Nobody else's memory comes here. */
		if (!map_anon(from, rival->nr, PROT_NONE))
			return -ENOMEM;
		if (find_bad_page(to, 0, rival->nr, SEED_A) >= 0)
			return -EIO;
		fill_pages(to, 0, rival->nr / 2, SEED_A);
		from = to;
		to = tmp;
	}
	return 0;
}

FIXTURE_SETUP(threads)
{
	struct rival *rivals[] = { &self->faults, &self->splits, &self->moves };
	unsigned long nr = variant->params.folios == AREA_PMD ?
			   area_folio_pages(AREA_PMD) : PART;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, area_map(&self->area, &variant->params));
	self->faults.step = step_fault;
	self->splits.step = step_split;
	self->moves.step = step_move;
	/* As much room on both sides of each place. */
	self->reserved = reserve((2 * NR_PARTS + 1) * nr);
	ASSERT_NE(NULL, self->reserved);
	for (int i = 0; i < 3; i++) {
		rivals[i]->ptr = self->reserved + bytes((2 * i + 1) * nr);
		rivals[i]->nr = nr;
		ASSERT_TRUE(map_part(rivals[i]));
		fill_pages(rivals[i]->ptr, 0, nr, SEED_A);
		if (variant->params.folios == AREA_PMD)
			ASSERT_TRUE(check_huge_anon(rivals[i]->ptr, bytes(nr), 1, bytes(nr)));
	}
	self->written = malloc(bytes(nr));
	ASSERT_NE(NULL, self->written);
	fill_pages(self->written, 0, nr, SEED_A);
}

FIXTURE_TEARDOWN(threads)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->reserved, bytes((2 * NR_PARTS + 1) * self->faults.nr)));
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* Each word is the one that is written there, or still zero. */
static bool is_partly_written(const char *ptr, const char *written, unsigned long nr)
{
	const unsigned long *is = (const void *)ptr, *should = (const void *)written;

	for (size_t i = 0; i < bytes(nr) / sizeof(*is); i++)
		if (is[i] && is[i] != should[i])
			return false;
	return true;
}

static bool is_written(const char *ptr, const struct rival *rival, const char *written)
{
	/* Nothing of what this thread had written before a fork is lost by it. */
	return rival->done ? !memcmp(ptr, written, bytes(rival->nr)) :
			     is_partly_written(ptr, written, rival->nr);
}

static bool is_readable(const char *ptr)
{
	struct procmap_fd procmap;
	bool readable;

	if (open_self_procmap(&procmap))
		return false;
	readable = find_vma_procmap(&procmap, (void *)ptr) &&
		   procmap.query.vma_flags & PROCMAP_QUERY_VMA_READABLE;
	close_procmap(&procmap);
	return readable;
}

/* All of it is at one place, and nothing else at the other one. */
static bool is_moved(const struct rival *rival, const char *written)
{
	bool good = true, found = !rival->done;
	const char *place = rival->ptr;

	for (int i = 0; i < 2; i++) {
		if (is_readable(place)) {
			good &= is_partly_written(place, written, rival->nr);
			found |= !memcmp(place, written, bytes(rival->nr));
		}
		place = other_place(rival);
	}
	return good && found;
}

/*
 *	parent                                                 child
 *	|------|   |--------|   |--------|   |-------|       | as above, and
 *	| area |   | faults |   | splits |   | moves |  ..   | writes to its
 *	|------|   |--------|   |--------|   |-------|  =>   | copies
 */
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
			struct rival *faults = &self->faults, *splits = &self->splits;
			bool good = area_find_bad_page(area) < 0;

			good &= is_written(faults->ptr, faults, self->written);
			good &= is_written(splits->ptr, splits, self->written);
			good &= is_moved(&self->moves, self->written);
			fill_pages(faults->ptr, 0, faults->nr, SEED_B);
			good &= find_bad_page(faults->ptr, 0, faults->nr,
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

TEST_HARNESS_MAIN
