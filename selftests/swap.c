// SPDX-License-Identifier: GPL-2.0
/*
 * Swapping out and in: a folio that comes back belongs to the VMA that maps
 * it then, whoever owned it when it was written out.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "test_area.h"
#include "zram_swap.h"

#define RW	(PROT_READ | PROT_WRITE)

#define KPF_WRITEBACK	BIT_ULL(8)
#define MAX_PAGES	64

static bool have_swap, have_loop_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
	have_loop_swap = loop_swap_make();
}

FIXTURE(swap)
{
	struct area area;
	unsigned long first, end;
};

FIXTURE_VARIANT(swap)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(swap, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(swap, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(swap, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(swap, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap, mthp_child)
{
	.params = { .folios = AREA_MTHP, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(swap, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap, pmd_child)
{
	.params = { .folios = AREA_PMD, .history = AREA_CHILD },
};

FIXTURE_SETUP(swap)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* MADV_PAGEOUT leaves pages alone that are shared with a parent. */
	if (variant->params.history == AREA_CHILD)
		ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTNEED));
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	if (variant->params.folios != AREA_SMALL)
		ASSERT_TRUE(area_has_large_folios(area));
	self->first = area->nr / 4 + 1;
	self->end = area->nr / 4 * 3 - 1;
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_VMA(area->ptr, area_vma_state(area));
	ASSERT_FOLIO(area->ptr, "none");
}

FIXTURE_TEARDOWN(swap)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	|-----------|          |-----------|          |-----------|
 *	|  swapped  |  =read>  |  present  |  =out>   |  swapped  |  ...
 *	|-----------|          |-----------|          |-----------|
 */
TEST_F(swap, read_in)
{
	struct area *area = &self->area;

	ASSERT_AREA(area);
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));

	/* Once more while nothing has been written. */
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, area_vma_state(area));

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|           |-----+-----+-----|
 *	|  swapped  |  =write>  | out | new | out |
 *	|-----------|           |-----+-----+-----|
 */
TEST_F(swap, write_in)
{
	struct area *area = &self->area;
	unsigned long nr = self->end - self->first;
	char *middle = area_page(area, self->first);

	fill_pages(middle, self->first, nr, SEED_A);
	ASSERT_STATE(middle, area_vma_state(area));
	ASSERT_INVARIANTS();
	ASSERT_PAGES(area->ptr, 0, self->first, SEED_AREA);
	ASSERT_PAGES(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

/*
 *	|-----------|              |-----------|
 *	|  swapped  |  =swapoff>   |  present  |
 *	|-----------|              |-----------|
 */
TEST_F(swap, swapoff)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	ASSERT_AREA(area);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  swapped  |  => |  swapped  |  reads, exits; then the parent reads
 *	|-----------|     |-----------|
 */
TEST_F(swap, fork_child_first)
{
	struct area *area = &self->area;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, self->first, SEED_A);
		ASSERT_PAGES(area->ptr, 0, self->first, SEED_A);
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_VMA(area->ptr, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  swapped  |  => |  swapped  |  reads after the parent has written
 *	|-----------|     |-----------|
 */
TEST_F(swap, fork_parent_first)
{
	struct area *area = &self->area;
	int go;
	pid_t pid = fork_held(&go);

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		_exit(0);
	}
	fill_pages(area->ptr, 0, self->end, SEED_A);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, release_child(pid, go));
	ASSERT_PAGES(area->ptr, 0, self->end, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
}

/*
 *	|-----------|              |----+-----+----|
 *	|  swapped  |  =mprotect>  | rw |  r  | rw |  swapped in three VMAs
 *	|-----------|              |----+-----+----|
 */
TEST_F(swap, split)
{
	struct area *area = &self->area;
	char *middle = area_page(area, self->first);
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, mprotect(middle, bytes(nr), PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(middle, "anon_vma");
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, mprotect(middle, bytes(nr), RW));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|            |----|     |----|
 *	|  swapped  |  =munmap>  | out|     | out|  then mapped anew
 *	|-----------|            |----|     |----|
 */
TEST_F(swap, munmap)
{
	struct area *area = &self->area;
	char *middle = area_page(area, self->first);
	unsigned long nr = self->end - self->first;

	ASSERT_EQ(0, munmap(middle, bytes(nr)));
	ASSERT_EQ(0, area_map_pages(area, self->first, nr, RW));
	ASSERT_PAGES(middle, self->first, nr, area_untouched_seed(area));
	fill_pages(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, self->first, SEED_AREA);
	ASSERT_PAGES(middle, self->first, nr, SEED_A);
	ASSERT_PAGES(area_page(area, self->end), self->end,
		     area->nr - self->end, SEED_AREA);
}

/*
 *	|-----------|                           |-----------|
 *	|  swapped  |          =mremap>         |  swapped  |
 *	|-----------|                           |-----------|
 */
TEST_F(swap, move)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_INVARIANTS();
	fill_pages(dest, 0, area->nr, SEED_A);
	ASSERT_EQ(0, pageout(dest, area->nr));
	ASSERT_PAGES(dest, 0, area->nr, SEED_A);
}

/*
 *	|-----------|           |------+---------|
 *	|  swapped  |  =read>   | page | swapped |  then out again
 *	|-----------|           |------+---------|
 */
TEST_F(swap, one_page)
{
	struct area *area = &self->area;
	char *page = area_page(area, self->first);

	ASSERT_PAGES(page, self->first, 1, SEED_AREA);
	ASSERT_STATE(page, area_vma_state(area));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_AREA(area);
}

/* A thread that reads an area. */
struct reader {
	const struct area *area;
	pthread_t thread;
	pid_t tid;
	long bad_page;
};

/*
 * Pages that a pipe holds or that are under writeback are unmapped by reclaim
 * and stay in the swap cache, with the owner's name on them. Whoever faults next
 * finds them there. Reclaim does not take a large folio that a pipe holds.
 */
FIXTURE(swap_cache)
{
	struct area area;
	struct reader reader;
	unsigned long middle;
	int pipe[2];
	unsigned long pfns[MAX_PAGES];
};

FIXTURE_VARIANT(swap_cache)
{
	struct area_params params;
	bool writeback;
	/* Nobody may write to what is under writeback. */
	bool stable_writes;
};

FIXTURE_VARIANT_ADD(swap_cache, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(swap_cache, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(swap_cache, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(swap_cache, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(swap_cache, writeback)
{
	.writeback = true,
};

FIXTURE_VARIANT_ADD(swap_cache, stable_writeback)
{
	.writeback = true,
	.stable_writes = true,
};

FIXTURE_VARIANT_ADD(swap_cache, mthp_stable_writeback)
{
	.params = { .folios = AREA_MTHP },
	.writeback = true,
	.stable_writes = true,
};

static void get_pfns(char *addr, unsigned long *pfns, unsigned long nr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	for (unsigned long i = 0; i < nr; i++)
		pfns[i] = pagemap_get_pfn(fd, addr + bytes(i));
	close(fd);
}

FIXTURE_SETUP(swap_cache)
{
	struct area *area = &self->area;
	struct iovec iov;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	if (variant->writeback && !have_loop_swap)
		SKIP(return, "needs CONFIG_BLK_DEV_LOOP, CONFIG_USERFAULTFD and root");
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_GE(MAX_PAGES, area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	get_pfns(area->ptr, self->pfns, area->nr);
	/* Not on a folio's boundary. */
	self->middle = area->nr / 2 + 1;

	ASSERT_EQ(0, pipe(self->pipe));
	if (variant->writeback) {
		ASSERT_EQ(0, loop_swap_on(variant->stable_writes));
		ASSERT_EQ(0, loop_swap_hold());
	} else {
		iov.iov_base = area->ptr;
		iov.iov_len = bytes(area->nr);
		ASSERT_EQ(iov.iov_len, vmsplice(self->pipe[1], &iov, 1, 0));
	}
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
}

FIXTURE_TEARDOWN(swap_cache)
{
	loop_swap_release();
	ASSERT_INVARIANTS();
	close(self->pipe[0]);
	close(self->pipe[1]);
	ASSERT_EQ(0, area_unmap(&self->area));
	if (variant->writeback)
		ASSERT_EQ(0, loop_swap_off());
}

/* How many of the @nr pages at @addr are those of @pfns, out of the swap cache. */
static unsigned long count_cached(char *addr, const unsigned long *pfns,
				  unsigned long nr)
{
	unsigned long now[MAX_PAGES];
	unsigned long count = 0;

	get_pfns(addr, now, nr);
	for (unsigned long i = 0; i < nr; i++)
		count += now[i] == pfns[i];
	return count;
}

/* All of the area is, at @addr. */
#define ASSERT_CACHED(addr) \
	ASSERT_EQ(self->area.nr, count_cached(addr, self->pfns, self->area.nr))

/* The number of the first page that the pipe does not give back, or -1. */
static long find_bad_page_in_pipe(int fd, unsigned long nr)
{
	char *buf = malloc(psize());
	long bad = -1;

	for (unsigned long i = 0; i < nr && bad < 0; i++)
		if (!buf || read(fd, buf, psize()) != psize() ||
		    find_bad_page(buf, i, 1, SEED_AREA) >= 0)
			bad = i;
	free(buf);
	return bad;
}

/* The pipe still holds what was put into it. */
#define ASSERT_PIPE(nr) do {						\
	if (!variant->writeback)					\
		ASSERT_EQ(-1, find_bad_page_in_pipe(self->pipe[0], nr));\
} while (0)

static unsigned long count_under_writeback(const unsigned long *pfns,
					   unsigned long nr)
{
	int fd = open("/proc/kpageflags", O_RDONLY);
	unsigned long count = 0;
	uint64_t flags;

	for (unsigned long i = 0; i < nr; i++)
		if (!pageflags_get(pfns[i], fd, &flags) && (flags & KPF_WRITEBACK))
			count++;
	close(fd);
	return count;
}

/* What has been done until now was done under writeback. */
#define ASSERT_WRITEBACK() do {						\
	if (variant->writeback)						\
		ASSERT_EQ(self->area.nr, count_under_writeback(		\
				self->pfns, self->area.nr));		\
} while (0)

/*
 *	|--------------|            |-----------|
 *	|  swap cache  |  =read>    |   area    |  the same VMA
 *	|--------------|            |-----------|
 */
TEST_F(swap_cache, same_vma)
{
	struct area *area = &self->area;

	ASSERT_AREA(area);
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	/* arm64 swaps large folios out whole if pages are of 4K. */
	if (variant->params.folios != AREA_SMALL && psize() == 4096)
		ASSERT_TRUE(area_has_large_folios(area));
	ASSERT_PIPE(area->nr);

	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_WRITEBACK();
	ASSERT_EQ(variant->stable_writes ? 0 : area->nr,
		  count_cached(area->ptr, self->pfns, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|--------------|              |-----------|-----------|
 *	|  swap cache  |  =mprotect>  |    rw     |     r     |
 *	|--------------|              |-----------|-----------|
 */
TEST_F(swap_cache, split)
{
	struct area *area = &self->area;
	unsigned long middle = self->middle, nr = area->nr - middle;
	char *right = area_page(area, middle);

	ASSERT_EQ(0, mprotect(right, bytes(nr), PROT_READ));
	ASSERT_AREA(area);
	ASSERT_WRITEBACK();
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(right, "anon_vma");
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(right, middle, nr, SEED_AREA);
}

/*
 *	|--------------|            |-----|      |-----|
 *	|  swap cache  |  =munmap>  |     |      |     |
 *	|--------------|            |-----|      |-----|
 *	                               v mmap, touch
 *	                            |-----+------+-----|
 *	                            |     | new  |     |
 *	                            |-----+------+-----|
 */
TEST_F(swap_cache, munmap)
{
	struct area *area = &self->area;
	unsigned long first = self->middle / 2 + 1, nr = self->middle;
	char *middle = area_page(area, first);
	char *right = area_page(area, first + nr);

	ASSERT_EQ(0, munmap(middle, bytes(nr)));
	ASSERT_EQ(0, area_map_pages(area, first, nr, RW));
	ASSERT_PAGES(middle, first, nr, area_untouched_seed(area));
	fill_pages(middle, first, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, first, SEED_AREA);
	ASSERT_PAGES(middle, first, nr, SEED_A);
	ASSERT_PAGES(right, first + nr, area->nr - first - nr, SEED_AREA);
	ASSERT_WRITEBACK();
	ASSERT_EQ(area->nr - nr, count_cached(area->ptr, self->pfns, area->nr));
	ASSERT_PIPE(area->nr);
}

/*
 *	|--------------|            |     |           |-----------|
 *	|  swap cache  |  =mremap>  |     |           |   dest    |
 *	|--------------|            |     |           |-----------|
 *	                               v mmap, touch
 *	                            |-----|
 *	                            | new |  may be the owner's memory again
 *	                            |-----|
 */
TEST_F(swap_cache, owner_freed)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *dest = area_page(area, nr);
	char *others[64];

	ASSERT_EQ(dest, mremap(area->ptr, bytes(nr), bytes(nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_EQ(0, area_map_pages(area, 0, nr, RW));
	fill_pages(area->ptr, 0, nr, SEED_A);

	/* Separated by their protection, each is a VMA of its own. */
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = mmap(NULL, psize(), i & 1 ? RW : RW | PROT_EXEC,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, others[i]);
		fill_pages(others[i], i, 1, SEED_B);
	}

	ASSERT_PAGES(dest, 0, nr, SEED_AREA);
	ASSERT_WRITEBACK();
	ASSERT_CACHED(dest);
	ASSERT_INVARIANTS();
	ASSERT_PIPE(nr);

	fill_pages(dest, 0, nr, SEED_A);
	ASSERT_PAGES(dest, 0, nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_PAGES(others[i], i, 1, SEED_B);
		munmap(others[i], psize());
	}
}

/*
 *	parent               child
 *	|--------------|     |--------------|
 *	|  swap cache  |  => |  swap cache  |  reads, then the parent unmaps
 *	|--------------|     |--------------|  and the child goes on
 */
TEST_F(swap_cache, fork)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	int child_done[2], parent_done[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(child_done));
	ASSERT_EQ(0, pipe(parent_done));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(parent_done[1]);
		ASSERT_PAGES(area->ptr, 0, self->middle, SEED_AREA);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		close(child_done[1]);
		ASSERT_EQ(0, read(parent_done[0], &c, 1));
		ASSERT_AREA(area);
		ASSERT_STATE(area_page(area, nr - 1), "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, nr, SEED_B);
		_exit(0);
	}
	close(child_done[1]);
	ASSERT_EQ(0, read(child_done[0], &c, 1));
	ASSERT_AREA(area);
	ASSERT_WRITEBACK();
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_EQ(0, munmap(area->ptr, bytes(nr)));
	ASSERT_EQ(0, area_map_pages(area, 0, nr, RW));
	fill_pages(area->ptr, 0, nr, SEED_A);
	close(parent_done[1]);
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_PIPE(nr);
}

/*
 *	parent               child
 *	|--------------|     |--------------|
 *	|  swap cache  |  => |  swap cache  |  the parent unmaps, the child reads
 *	|--------------|     |--------------|
 */
TEST_F(swap_cache, fork_then_munmap)
{
	struct area *area = &self->area;
	int go;
	pid_t pid = fork_held(&go);

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_WRITEBACK();
		ASSERT_CACHED(area->ptr);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, area->nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
		_exit(0);
	}
	ASSERT_EQ(0, munmap(area->ptr, bytes(area->nr)));
	ASSERT_EQ(0, release_child(pid, go));
	ASSERT_PIPE(area->nr);
}

/*
 *	|--------------|-----------|
 *	|  swap cache  | new, rwx  |  touched
 *	|--------------|-----------|
 *	             v mprotect
 *	|--------------------------|
 *	|            rw            |  one VMA, unless inherited
 *	|--------------------------|
 */
TEST_F(swap_cache, merge)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *new = area_page(area, nr);

	ASSERT_EQ(0, area_map_pages(area, nr, nr, RW | PROT_EXEC));
	fill_pages(new, nr, nr, SEED_A);
	ASSERT_EQ(0, mprotect(new, bytes(nr), RW));
	ASSERT_EQ(variant->params.history == AREA_CHILD ? 2 : 1,
		  count_vmas(area->ptr, 2 * nr));
	ASSERT_AREA(area);
	ASSERT_WRITEBACK();
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_PIPE(nr);
	fill_pages(area->ptr, 0, 2 * nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, 2 * nr, SEED_B);
}

/* Returns 0 when none of @pfns is under writeback any more, or -EAGAIN. */
static int wait_for_writeback(const unsigned long *pfns, unsigned long nr)
{
	for (int i = 0; i < 5000; i++) {
		if (!count_under_writeback(pfns, nr))
			return 0;
		usleep(1000);
	}
	return -EAGAIN;
}

/* How many pages are in memory, be it in the swap cache alone. */
static unsigned long count_in_memory(const struct area *area)
{
	unsigned char pages[MAX_PAGES];
	unsigned long count = 0;

	if (mincore(area->ptr, bytes(area->nr), pages))
		return -1;
	for (unsigned long i = 0; i < area->nr; i++)
		count += pages[i] & 1;
	return count;
}

/*
 * Swap the area out, and have nothing of it left in the swap cache, where a page
 * stays that somebody else holds for a moment. Returns 0 or -EAGAIN.
 */
static int drop_area(const struct area *area)
{
	for (int i = 0; i < 100; i++) {
		drain_lru_batches();
		if (!pageout(area->ptr, area->nr) && !count_in_memory(area))
			return 0;
		area_find_bad_page(area);
	}
	return -EAGAIN;
}

static void *read_area(void *arg)
{
	struct reader *reader = arg;

	__atomic_store_n(&reader->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	reader->bad_page = area_find_bad_page(reader->area);
	return NULL;
}

/* Returns 0 when @reader waits for a page to be read, or -EAGAIN. */
static int wait_for_reader(struct reader *reader)
{
	char path[64], stat[64], state = 0;
	pid_t tid;

	for (int i = 0; i < 5000 && state != 'D'; i++) {
		usleep(1000);
		tid = __atomic_load_n(&reader->tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		if (tid && read_file(path, stat, sizeof(stat)))
			sscanf(stat, "%*d (%*[^)]) %c", &state);
	}
	return state == 'D' ? 0 : -EAGAIN;
}

/*
 * Have nobody hold the area and all of it swapped out. Then somebody reads it;
 * the swap cache is filled already, but if the device is held, with pages that
 * are yet to be read, as what it is to write goes first.
 */
#define ASSERT_READ_AHEAD() do {					\
	struct area *__area = &self->area;				\
	bool __held = variant->writeback;				\
	char *__spare = area_page(__area, __area->nr + 1);		\
									\
	loop_swap_release();						\
	close(self->pipe[0]);						\
	close(self->pipe[1]);						\
	ASSERT_AREA(__area);						\
	ASSERT_EQ(0, wait_for_writeback(self->pfns, __area->nr));	\
	ASSERT_EQ(0, drop_area(__area));				\
	if (__held) {							\
		ASSERT_EQ(0, loop_swap_hold());				\
		ASSERT_NE(NULL, map_anon(__spare, 1, RW));		\
		fill_pages(__spare, 0, 1, SEED_B);			\
		ASSERT_EQ(0, pageout(__spare, 1));			\
	}								\
	ASSERT_EQ(0, madvise(__area->ptr, bytes(__area->nr),		\
			     MADV_WILLNEED));				\
	ASSERT_EQ(__held || variant->params.file ? 0 : __area->nr,	\
		  count_in_memory(__area));				\
	self->reader.area = __area;					\
	ASSERT_EQ(0, pthread_create(&self->reader.thread, NULL,		\
				    read_area, &self->reader));		\
	if (__held)							\
		ASSERT_EQ(0, wait_for_reader(&self->reader));		\
} while (0)

/* The device goes on, and what was read is right. */
#define ASSERT_READER() do {						\
	loop_swap_release();						\
	ASSERT_EQ(0, pthread_join(self->reader.thread, NULL));		\
	ASSERT_EQ(-1, self->reader.bad_page);				\
} while (0)

/*
 *	|-----------|              |--------------|          |-----------|
 *	|  swapped  |  =WILLNEED>  |  swap cache  |  =read>  |   area    |
 *	|-----------|              |--------------|          |-----------|
 */
TEST_F(swap_cache, read_ahead)
{
	struct area *area = &self->area;

	ASSERT_READ_AHEAD();
	ASSERT_READER();
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_STATE(area_page(area, area->nr - 1), area_vma_state(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|--------------|          |--------------|              |-----------|-----------|
 *	|  swap cache  |  =read>  |    waits     |  =mprotect>  |    rw     |     r     |
 *	|--------------|          |--------------|              |-----------|-----------|
 */
TEST_F(swap_cache, read_ahead_then_split)
{
	struct area *area = &self->area;
	unsigned long middle = self->middle, nr = area->nr - middle;
	char *right = area_page(area, middle);

	ASSERT_READ_AHEAD();
	ASSERT_EQ(0, mprotect(right, bytes(nr), PROT_READ));
	ASSERT_READER();
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(right, "anon_vma");
	fill_pages(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(right, middle, nr, SEED_AREA);
}

/*
 *	|--------------|             |-----------|
 *	|  swap cache  |  =swapoff>  |   area    |
 *	|--------------|             |-----------|
 */
TEST_F(swap_cache, swapoff)
{
	struct area *area = &self->area;

	loop_swap_release();
	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|--------------|              |-------+------|             |-----|-----|
 *	|  swap cache  |  =mprotect>  |  swap cache  |  =swapoff>  | rw  |  r  |
 *	|--------------|              |-------+------|             |-----|-----|
 */
TEST_F(swap_cache, split_then_swapoff)
{
	struct area *area = &self->area;
	unsigned long middle = self->middle, nr = area->nr - middle;
	char *right = area_page(area, middle);

	ASSERT_EQ(0, mprotect(right, bytes(nr), PROT_READ));
	loop_swap_release();
	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
	ASSERT_CACHED(area->ptr);
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(right, "anon_vma");
	ASSERT_AREA(area);
	ASSERT_PIPE(area->nr);
	fill_pages(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(area->ptr, 0, middle, SEED_A);
	ASSERT_PAGES(right, middle, nr, SEED_AREA);
}

/*
 *	|--------------|            |     |--------------|             |-----------|
 *	|  swap cache  |  =mremap>  |     |  swap cache  |  =swapoff>  |   dest    |
 *	|--------------|            |     |--------------|             |-----------|
 */
TEST_F(swap_cache, move_then_swapoff)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *dest = area_page(area, nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(nr), bytes(nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	loop_swap_release();
	ASSERT_EQ(0, cycle_swap());
	ASSERT_EQ(0, count_swapped(dest, nr));
	ASSERT_CACHED(dest);
	ASSERT_STATE(dest, "anon_vma");
	ASSERT_PAGES(dest, 0, nr, SEED_AREA);
	ASSERT_PIPE(nr);
	fill_pages(dest, 0, nr, SEED_A);
	ASSERT_PAGES(dest, 0, nr, SEED_A);
}

/*
 *	parent               child
 *	|--------------|     |--------------|             |-----------|
 *	|  swap cache  |  => |  swap cache  |  =swapoff>  |   area    |  the parent
 *	|--------------|     |--------------|             |-----------|  has unmapped it
 */
TEST_F(swap_cache, fork_then_swapoff)
{
	struct area *area = &self->area;
	int go;
	pid_t pid = fork_held(&go);

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
		ASSERT_CACHED(area->ptr);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_AREA(area);
		fill_pages(area->ptr, 0, area->nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
		_exit(0);
	}
	ASSERT_EQ(0, munmap(area->ptr, bytes(area->nr)));
	loop_swap_release();
	ASSERT_EQ(0, cycle_swap());
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, release_child(pid, go));
	ASSERT_PIPE(area->nr);
}

TEST_HARNESS_MAIN
