// SPDX-License-Identifier: GPL-2.0
/*
 * userfaultfd moves owned folios to another address and another owner, write-
 * protects them and fills a VMA that nobody has faulted.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "test_area.h"
#include "zram_swap.h"

#define RW	(PROT_READ | PROT_WRITE)

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

/* Returns a file descriptor or a negative errno. */
static int open_uffd(__u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static bool have_uffd(__u64 features)
{
	int fd = open_uffd(features);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int watch_missing(int uffd, char *addr, unsigned long nr)
{
	return uffd_register(uffd, addr, bytes(nr), true, false, false);
}

static int watch_writes(int uffd, char *addr, unsigned long nr)
{
	return uffd_register(uffd, addr, bytes(nr), false, true, false);
}

static int unwatch(int uffd, char *addr, unsigned long nr)
{
	return uffd_unregister(uffd, addr, bytes(nr));
}

/* One UFFDIO_MOVE. Returns how many pages it has moved, or a negative errno. */
static long move_some(int uffd, char *dest, char *src, unsigned long nr)
{
	struct uffdio_move move = {
		.dst = (unsigned long)dest,
		.src = (unsigned long)src,
		.len = bytes(nr),
	};

	if (!ioctl(uffd, UFFDIO_MOVE, &move))
		return nr;
	return move.move > 0 ? move.move / psize() : -errno;
}

/*
 * Move all of @nr pages. A folio that somebody else holds for a moment cannot
 * be split, so ask more than once. Returns 0 or a negative errno.
 */
static int move_pages(int uffd, char *dest, char *src, unsigned long nr)
{
	long ret = -EAGAIN;

	for (int i = 0; nr && i < 1000; i++) {
		ret = move_some(uffd, dest, src, nr);
		if (ret > 0) {
			dest += bytes(ret);
			src += bytes(ret);
			nr -= ret;
			continue;
		}
		if (ret != -EAGAIN && ret != -EBUSY)
			break;
		usleep(1000);
		drain_lru_batches();
	}
	return nr ? ret : 0;
}

static int copy_pages(int uffd, char *dest, const char *src, unsigned long nr)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)dest,
		.src = (unsigned long)src,
		.len = bytes(nr),
	};

	return ioctl(uffd, UFFDIO_COPY, &copy) ? -errno : 0;
}

static int zero_pages(int uffd, char *dest, unsigned long nr)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)dest, .len = bytes(nr) },
	};

	return ioctl(uffd, UFFDIO_ZEROPAGE, &zero) ? -errno : 0;
}

static int protect_pages(int uffd, char *addr, unsigned long nr, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (unsigned long)addr, .len = bytes(nr) },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/* How many of @nr pages at @addr have one of @flags in /proc/self/pagemap. */
static unsigned long count_pagemap(char *addr, unsigned long nr, uint64_t flags)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	unsigned long count = 0;

	for (unsigned long i = 0; i < nr; i++)
		if (pagemap_get_entry(fd, addr + bytes(i)) & flags)
			count++;
	close(fd);
	return count;
}

static unsigned long count_populated(char *addr, unsigned long nr)
{
	return count_pagemap(addr, nr, PM_PRESENT | PM_SWAP);
}

/*
 *  reserved
 *  |<---------------------------------->|
 *  | PROT_NONE | nr pages  | PROT_NONE  |
 *              ^ returned, aligned to a PMD for large folios
 */
static char *map_between(char **reserved, unsigned long nr,
			 enum area_folios folios)
{
	unsigned long before = 1;
	char *addr;

	if (folios != AREA_SMALL)
		before = area_folio_pages(AREA_PMD);
	*reserved = reserve(before + nr + 1);
	if (!*reserved)
		return NULL;
	addr = map_anon(*reserved + bytes(before), nr, RW);
	if (addr && folios != AREA_SMALL &&
	    madvise(addr, bytes(nr), MADV_HUGEPAGE))
		return NULL;
	return addr;
}

static int unmap_between(char *reserved, unsigned long nr,
			 enum area_folios folios)
{
	unsigned long before = 1;

	if (folios != AREA_SMALL)
		before = area_folio_pages(AREA_PMD);
	return munmap(reserved, bytes(before + nr + 1));
}

/* Split a VMA and merge it: it has an anon_vma from then on, and no page. */
static int upgrade(char *addr, unsigned long nr)
{
	*addr = 1;
	if (mprotect(addr, psize(), PROT_READ) || mprotect(addr, psize(), RW) ||
	    madvise(addr, bytes(nr), MADV_DONTNEED))
		return -errno;
	return count_vmas(addr, nr) == 1 ? 0 : -EINVAL;
}

/* UFFDIO_MOVE of the pages of an area to another VMA. */
FIXTURE(move)
{
	struct area area;
	int uffd;
	char *reserved;
	char *dest;
	const char *dest_state;
};

FIXTURE_VARIANT(move)
{
	struct area_params params;
	bool dest_upgraded;
};

FIXTURE_VARIANT_ADD(move, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(move, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(move, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(move, anon_to_upgraded)
{
	.params = { .history = AREA_MARKED },
	.dest_upgraded = true,
};

FIXTURE_VARIANT_ADD(move, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(move, mthp_upgraded)
{
	.params = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(move, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(move, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(move, pmd_to_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_MARKED },
	.dest_upgraded = true,
};

FIXTURE_SETUP(move)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_uffd(UFFD_FEATURE_MOVE))
		SKIP(return, "needs UFFDIO_MOVE");
	ASSERT_EQ(0, area_map(area, &variant->params));
	/* Pages that are shared with a parent do not move. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->uffd = open_uffd(UFFD_FEATURE_MOVE);
	ASSERT_GE(self->uffd, 0);

	self->dest = map_between(&self->reserved, area->nr,
				 variant->params.folios);
	ASSERT_NE(NULL, self->dest);
	self->dest_state = variant->dest_upgraded ? "anon_vma" : "owned";
	if (variant->dest_upgraded)
		ASSERT_EQ(0, upgrade(self->dest, area->nr));
	ASSERT_VMA(self->dest, variant->dest_upgraded ? "anon_vma" : "unfaulted");
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(move)
{
	ASSERT_INVARIANTS();
	close(self->uffd);
	ASSERT_EQ(0, unmap_between(self->reserved, self->area.nr,
				   variant->params.folios));
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* @nr pages at @addr and their VMA are in @expected state. */
#define ASSERT_STATES(addr, nr, expected) do {				\
	const char *__start = (addr), *__state = (expected);		\
	unsigned long __nr = (nr);					\
									\
	for (unsigned long __i = 0; __i < __nr; __i += 7)		\
		ASSERT_STATE(__start + bytes(__i), __state);		\
	ASSERT_STATE(__start + bytes(__nr - 1), __state);		\
} while (0)

/* All pages of the area are at the destination, and nothing is left behind. */
#define ASSERT_MOVED() do {						\
	struct area *__area = &self->area;				\
									\
	ASSERT_EQ(0, count_populated(__area->ptr, __area->nr));		\
	ASSERT_VMA(__area->ptr, area_vma_state(__area));		\
	ASSERT_EQ(1, count_vmas(self->dest, __area->nr));		\
	ASSERT_PAGES(self->dest, 0, __area->nr, SEED_AREA);		\
	ASSERT_STATES(self->dest, __area->nr, self->dest_state);	\
	ASSERT_INVARIANTS();						\
} while (0)

/*
 *	source                  destination
 *	|-----------|           |-----------|
 *	|   area    |  =move>   | SEED_AREA |  owned by the destination,
 *	|-----------|           |-----------|  found there, and moved back
 */
TEST_F(move, whole)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, nr));
	ASSERT_EQ(0, move_pages(self->uffd, self->dest, area->ptr, nr));
	ASSERT_MOVED();
	if (variant->params.folios == AREA_PMD)
		ASSERT_TRUE(check_huge_anon(self->dest, bytes(nr), 1, bytes(nr)));

	ASSERT_EQ(0, unwatch(self->uffd, self->dest, nr));
	if (have_swap)
		ASSERT_EQ(0, pageout(self->dest, nr));
	ASSERT_MOVED();
	fill_pages(self->dest, 0, nr, SEED_A);

	ASSERT_PAGES(area->ptr, 0, nr, SEED_ZERO);
	ASSERT_EQ(0, madvise(area->ptr, bytes(nr), MADV_DONTNEED));
	ASSERT_EQ(0, watch_missing(self->uffd, area->ptr, nr));
	ASSERT_EQ(0, move_pages(self->uffd, area->ptr, self->dest, nr));
	ASSERT_EQ(0, unwatch(self->uffd, area->ptr, nr));
	ASSERT_EQ(0, count_populated(self->dest, nr));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_STATES(area->ptr, nr, area_vma_state(area));
	if (have_swap)
		ASSERT_EQ(0, pageout(area->ptr, nr));
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
}

/*
 *	source                  destination
 *	|---+---+---+---|       |---+---+---+---|
 *	| 0 | 1 | 2 | 3 |   =>  | 3 | 2 | 1 | 0 |  large folios are split
 *	|---+---+---+---|       |---+---+---+---|
 */
TEST_F(move, reversed)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, nr));
	for (unsigned long i = 0; i < nr; i++)
		ASSERT_EQ(0, move_pages(self->uffd,
					self->dest + bytes(nr - 1 - i),
					area_page(area, i), 1));
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, nr));
	ASSERT_EQ(0, count_populated(area->ptr, nr));
	ASSERT_STATES(self->dest, nr, self->dest_state);
	ASSERT_INVARIANTS();

	/* The rmap finds each of them at its new place. */
	if (have_swap)
		ASSERT_EQ(0, pageout(self->dest, nr));
	for (unsigned long i = 0; i < nr; i++)
		ASSERT_PAGES(self->dest + bytes(nr - 1 - i), i, 1, SEED_AREA);
	ASSERT_STATES(self->dest, nr, self->dest_state);
}

/*
 *	source                  destination
 *	|---+-------+---|       |---+-------+---|
 *	|   | moved |   |   =>  |   |       |   |  large folios are split
 *	|---+-------+---|       |---+-------+---|
 */
TEST_F(move, middle)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1;
	unsigned long end = area->nr / 4 * 3 - 1;
	char *middle = self->dest + bytes(first);

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, area->nr));
	ASSERT_EQ(0, move_pages(self->uffd, middle, area_page(area, first),
				end - first));
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, area->nr));
	ASSERT_EQ(end - first, count_populated(self->dest, area->nr));
	ASSERT_EQ(area->nr - (end - first), count_populated(area->ptr, area->nr));
	ASSERT_STATES(middle, end - first, self->dest_state);
	ASSERT_STATES(area->ptr, first, area_vma_state(area));
	ASSERT_STATES(area_page(area, end), area->nr - end, area_vma_state(area));
	ASSERT_INVARIANTS();

	if (have_swap) {
		ASSERT_EQ(0, pageout(middle, end - first));
		ASSERT_EQ(0, pageout(area->ptr, first));
		ASSERT_EQ(0, pageout(area_page(area, end), area->nr - end));
	}
	ASSERT_PAGES(middle, first, end - first, SEED_AREA);
	ASSERT_PAGES(area->ptr, 0, first, SEED_AREA);
	ASSERT_PAGES(area_page(area, first), first, end - first, SEED_ZERO);
	ASSERT_PAGES(area_page(area, end), end, area->nr - end, SEED_AREA);
	ASSERT_PAGES(self->dest, 0, first, SEED_ZERO);
}

/*
 *	|-------+-------|       |-------+-------|
 *	|  old  | none  |   =>  | none  |  old  |  one VMA, one owner
 *	|-------+-------|       |-------+-------|
 */
TEST_F(move, within)
{
	struct area *area = &self->area;
	unsigned long half = area->nr / 2;
	char *right = area_page(area, half);

	ASSERT_EQ(0, madvise(right, bytes(half), MADV_DONTNEED));
	ASSERT_EQ(0, watch_missing(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(0, move_pages(self->uffd, right, area->ptr, half));
	ASSERT_EQ(0, unwatch(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(0, count_populated(area->ptr, half));
	ASSERT_STATES(right, half, area_vma_state(area));
	ASSERT_INVARIANTS();

	if (have_swap)
		ASSERT_EQ(0, pageout(right, half));
	ASSERT_PAGES(right, 0, half, SEED_AREA);
	ASSERT_PAGES(area->ptr, 0, half, SEED_ZERO);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATES(area->ptr, area->nr, area_vma_state(area));
}

/*
 *	source                  destination
 *	|-----------|           |-----------|
 *	|  swapped  |  =move>   |  swapped  |  comes in as the destination's
 *	|-----------|           |-----------|
 */
TEST_F(move, swapped)
{
	struct area *area = &self->area;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, area->nr));
	ASSERT_EQ(0, move_pages(self->uffd, self->dest, area->ptr, area->nr));
	ASSERT_EQ(area->nr, count_swapped(self->dest, area->nr));
	ASSERT_VMA(self->dest, self->dest_state);
	ASSERT_FOLIO(self->dest, "none");
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, area->nr));
	ASSERT_MOVED();
	ASSERT_EQ(0, pageout(self->dest, area->nr));
	ASSERT_MOVED();
}

/*
 *	source                  destination      child's
 *	|-----------|           |-----------|    |-----------|
 *	|   area    |  =move>   | SEED_AREA | => |  SEED_A   |
 *	|-----------|           |-----------|    |-----------|
 */
TEST_F(move, fork)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	pid_t pid;

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, nr));
	ASSERT_EQ(0, move_pages(self->uffd, self->dest, area->ptr, nr));
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, nr));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
		ASSERT_PAGES(area->ptr, 0, nr, SEED_ZERO);
		fill_pages(self->dest, 0, nr, SEED_A);
		ASSERT_PAGES(self->dest, 0, nr, SEED_A);
		ASSERT_STATES(self->dest, nr, "anon_vma");
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PAGES(self->dest, 0, nr, SEED_AREA);
	ASSERT_STATES(self->dest, nr, "anon_vma");
	fill_pages(self->dest, 0, nr, SEED_B);
	ASSERT_PAGES(self->dest, 0, nr, SEED_B);
}

/*
 *	source                  destination
 *	|- - - - - -|           |-----------|
 *	   unmapped    <=move   | SEED_AREA |  the source VMA's memory is used
 *	|- - - - - -|           |-----------|  again
 */
TEST_F(move, source_gone)
{
	struct area *area = &self->area;
	char *others[64];

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, area->nr));
	ASSERT_EQ(0, move_pages(self->uffd, self->dest, area->ptr, area->nr));
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, area->nr));
	ASSERT_EQ(0, munmap(area->ptr, bytes(area->nr)));

	/* Separated by their protection, each is a VMA of its own. */
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = mmap(NULL, psize(), i & 1 ? RW : RW | PROT_EXEC,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, others[i]);
		fill_pages(others[i], i, 1, SEED_B);
	}
	ASSERT_INVARIANTS();

	for (int i = 0; i < 2; i++) {
		if (have_swap)
			ASSERT_EQ(0, pageout(self->dest, area->nr));
		ASSERT_PAGES(self->dest, 0, area->nr, SEED_AREA);
		ASSERT_STATES(self->dest, area->nr, self->dest_state);
	}
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_PAGES(others[i], i, 1, SEED_B);
		munmap(others[i], psize());
	}
}

/*
 *	|-----------|-----------|
 *	|   area    |   watched |
 *	|-----------|-----------|
 *	             v move, unregister
 *	|-----------------------|
 *	|   none    | SEED_AREA |  one VMA, unless inherited
 *	|-----------------------|
 */
TEST_F(move, then_merge)
{
	bool child = variant->params.history == AREA_CHILD;
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	char *dest = area_page(area, nr);

	/* It does not merge before: first it is read-only, then watched. */
	ASSERT_EQ(0, area_map_pages(area, nr, nr, PROT_READ));
	ASSERT_EQ(0, watch_missing(self->uffd, dest, nr));
	ASSERT_EQ(0, mprotect(dest, bytes(nr), RW));
	ASSERT_EQ(2, count_vmas(area->ptr, 2 * nr));
	ASSERT_EQ(0, move_pages(self->uffd, dest, area->ptr, nr));
	ASSERT_STATES(dest, nr, "owned");

	ASSERT_EQ(0, unwatch(self->uffd, dest, nr));
	/* Two anon_vmas, which the base has here, do not merge. */
	if (anon_state_available())
		ASSERT_EQ(child ? 2 : 1, count_vmas(area->ptr, 2 * nr));
	ASSERT_INVARIANTS();
	if (have_swap)
		ASSERT_EQ(0, pageout(dest, nr));
	ASSERT_PAGES(dest, 0, nr, SEED_AREA);
	ASSERT_PAGES(area->ptr, 0, nr, SEED_ZERO);
	fill_pages(area->ptr, 0, 2 * nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, 2 * nr, SEED_A);
}

/*
 * Pages that a pipe holds are unmapped by reclaim and stay in the swap cache,
 * with the owner's name on them.
 */
FIXTURE(move_cached)
{
	struct area area;
	int uffd;
	char *reserved;
	char *dest;
	int pipe[2];
	int pagemap;
	unsigned long pfns[16];
};

FIXTURE_VARIANT(move_cached)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(move_cached, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(move_cached, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(move_cached, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_SETUP(move_cached)
{
	struct area *area = &self->area;
	struct iovec iov;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_uffd(UFFD_FEATURE_MOVE) || !have_swap)
		SKIP(return, "needs UFFDIO_MOVE and swap");
	ASSERT_EQ(0, area_map(area, &variant->params));
	ASSERT_GE(ARRAY_SIZE(self->pfns), area->nr);
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->uffd = open_uffd(UFFD_FEATURE_MOVE);
	ASSERT_GE(self->uffd, 0);
	self->dest = map_between(&self->reserved, area->nr, AREA_SMALL);
	ASSERT_NE(NULL, self->dest);

	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	for (int i = 0; i < area->nr; i++)
		self->pfns[i] = pagemap_get_pfn(self->pagemap,
						area_page(area, i));
	ASSERT_EQ(0, pipe(self->pipe));
	iov.iov_base = area->ptr;
	iov.iov_len = bytes(area->nr);
	ASSERT_EQ(iov.iov_len, vmsplice(self->pipe[1], &iov, 1, 0));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
}

FIXTURE_TEARDOWN(move_cached)
{
	ASSERT_INVARIANTS();
	close(self->pipe[0]);
	close(self->pipe[1]);
	close(self->pagemap);
	close(self->uffd);
	ASSERT_EQ(0, unmap_between(self->reserved, self->area.nr, AREA_SMALL));
	ASSERT_EQ(0, area_unmap(&self->area));
}

/*
 *	source                   destination
 *	|--------------|         |-----------|
 *	|  swap cache  |  =move> | SEED_AREA |  backwards; the very same pages,
 *	|--------------|         |-----------|  while the source is used anew
 */
TEST_F(move_cached, reversed)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;

	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, nr));
	for (unsigned long i = 0; i < nr; i++)
		ASSERT_EQ(0, move_pages(self->uffd,
					self->dest + bytes(nr - 1 - i),
					area_page(area, i), 1));
	ASSERT_EQ(0, unwatch(self->uffd, self->dest, nr));
	ASSERT_EQ(nr, count_swapped(self->dest, nr));
	fill_pages(area->ptr, 0, nr, SEED_A);

	for (unsigned long i = 0; i < nr; i++) {
		char *page = self->dest + bytes(nr - 1 - i);

		ASSERT_PAGES(page, i, 1, SEED_AREA);
		ASSERT_EQ(self->pfns[i],
			  pagemap_get_pfn(self->pagemap, page));
		ASSERT_STATE(page, "owned");
	}
	ASSERT_INVARIANTS();
	ASSERT_PAGES(area->ptr, 0, nr, SEED_A);
	ASSERT_EQ(0, pageout(self->dest, nr));
	for (unsigned long i = 0; i < nr; i++)
		ASSERT_PAGES(self->dest + bytes(nr - 1 - i), i, 1, SEED_AREA);
}

/* UFFDIO_MOVE while other threads want the mmap_lock, and the source, for write. */
FIXTURE(move_storm)
{
	int uffd;
	char *src_reserved, *dest_reserved;
	char *src, *dest;
	unsigned long nr;
	pthread_t threads[2];
	bool stop;
};

FIXTURE_VARIANT(move_storm)
{
	enum area_folios folios;
};

FIXTURE_VARIANT_ADD(move_storm, small)
{
	.folios = AREA_SMALL,
};

FIXTURE_VARIANT_ADD(move_storm, mthp)
{
	.folios = AREA_MTHP,
};

FIXTURE_VARIANT_ADD(move_storm, pmd)
{
	.folios = AREA_PMD,
};

/* Its flags change as a whole, so that it keeps its mark. */
static void *storm(void *arg)
{
	FIXTURE_DATA(move_storm) * self = arg;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		madvise(self->src, bytes(self->nr), MADV_DONTDUMP);
		madvise(self->src, bytes(self->nr), MADV_DODUMP);
	}
	return NULL;
}

FIXTURE_SETUP(move_storm)
{
	SKIP_WITHOUT_FOLIOS(return, variant->folios);
	if (!have_uffd(UFFD_FEATURE_MOVE))
		SKIP(return, "needs UFFDIO_MOVE");
	self->uffd = open_uffd(UFFD_FEATURE_MOVE);
	ASSERT_GE(self->uffd, 0);
	self->nr = variant->folios == AREA_PMD ? area_folio_pages(AREA_PMD) : 64;
	self->src = map_between(&self->src_reserved, self->nr, variant->folios);
	ASSERT_NE(NULL, self->src);
	self->dest = map_between(&self->dest_reserved, self->nr,
				 variant->folios);
	ASSERT_NE(NULL, self->dest);
	if (variant->folios == AREA_MTHP)
		set_mthp_orders(area_folio_pages(AREA_MTHP));
	ASSERT_EQ(0, watch_missing(self->uffd, self->dest, self->nr));
	for (int i = 0; i < ARRAY_SIZE(self->threads); i++)
		ASSERT_EQ(0, pthread_create(&self->threads[i], NULL, storm, self));
}

FIXTURE_TEARDOWN(move_storm)
{
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < ARRAY_SIZE(self->threads); i++)
		ASSERT_EQ(0, pthread_join(self->threads[i], NULL));
	ASSERT_INVARIANTS();
	close(self->uffd);
	restore_mthp_orders();
	ASSERT_EQ(0, unmap_between(self->src_reserved, self->nr,
				   variant->folios));
	ASSERT_EQ(0, unmap_between(self->dest_reserved, self->nr,
				   variant->folios));
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

#define STORM_MS	6000
#define MAX_MOVE_MS	5000

/*
 *	source              destination
 *	|-----------|       |-----------|
 *	|   owned   | =move>|           |  moved, or -EAGAIN and no later
 *	|-----------|       |-----------|  than the next writer
 *	  ^ write-locked all the time
 *
 * In one call, and in a call for each folio: a call returns what it has moved
 * before the error.
 */
TEST_F_TIMEOUT(move_storm, never_fails, 120)
{
	unsigned long folio_pages = area_folio_pages(variant->folios);
	long end = milliseconds() + STORM_MS, longest = 0;
	unsigned long again = 0, rounds = 0;

	while (rounds < 4 || milliseconds() < end) {
		unsigned int seed = rounds & 1 ? SEED_A : SEED_B;
		unsigned long step = rounds & 1 ? self->nr : folio_pages;
		unsigned long done = 0;

		/* A whole PMD moves as it is: have it split. */
		if (variant->folios == AREA_PMD && !(rounds & 2))
			step = 1;
		ASSERT_EQ(0, madvise(self->dest, bytes(self->nr),
				     MADV_DONTNEED));
		ASSERT_EQ(self->src, map_anon(self->src, self->nr, RW));
		if (variant->folios != AREA_SMALL)
			ASSERT_EQ(0, madvise(self->src, bytes(self->nr),
					     MADV_HUGEPAGE));
		fill_pages(self->src, 0, self->nr, seed);

		while (done < self->nr) {
			unsigned long nr = self->nr - done;
			long start = milliseconds(), took, ret;

			ret = move_some(self->uffd, self->dest + bytes(done),
					self->src + bytes(done),
					nr < step ? nr : step);
			took = milliseconds() - start;
			longest = took > longest ? took : longest;
			ASSERT_GT(MAX_MOVE_MS, took);
			if (ret == -EAGAIN) {
				again++;
				continue;
			}
			ASSERT_GT(ret, 0)
				TH_LOG("page %lu of round %lu: %s", done,
				       rounds, strerror(-ret));
			done += ret;
			/* The rest of a PMD at once, or this takes too long. */
			if (variant->folios == AREA_PMD)
				step = self->nr;
		}
		ASSERT_PAGES(self->dest, 0, self->nr, seed);
		ASSERT_STATE(self->dest, "owned");
		ASSERT_STATE(self->dest + bytes(self->nr - 1), "owned");
		ASSERT_EQ(0, count_populated(self->src, self->nr));
		if (!(rounds++ % 8))
			ASSERT_INVARIANTS();
	}
	ASSERT_VMA(self->src, "owned");
	TH_LOG("%lu rounds, %lu times EAGAIN, longest call %ld ms", rounds,
	       again, longest);
}

/* UFFDIO_COPY and UFFDIO_ZEROPAGE into an area with nothing in its middle. */
FIXTURE(missing)
{
	struct area area;
	int uffd;
	unsigned long first, nr;
	char *middle;
	char *buf;
};

FIXTURE_VARIANT(missing)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(missing, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(missing, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(missing, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(missing, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(missing, file_child)
{
	.params = { .file = true, .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(missing, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(missing, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_SETUP(missing)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_uffd(0))
		SKIP(return, "needs userfaultfd");
	ASSERT_EQ(0, area_map(area, &variant->params));
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->uffd = open_uffd(0);
	ASSERT_GE(self->uffd, 0);
	self->first = area->nr / 4 + 1;
	self->nr = area->nr / 2 - 2;
	self->middle = area_page(area, self->first);
	self->buf = aligned_alloc(psize(), bytes(self->nr));
	ASSERT_NE(NULL, self->buf);
	fill_pages(self->buf, self->first, self->nr, SEED_A);

	/* Not in the file either, or it would not be missing. */
	ASSERT_EQ(0, madvise(self->middle, bytes(self->nr), MADV_DONTNEED));
	if (variant->params.file)
		ASSERT_EQ(0, fallocate(area->fd, FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_KEEP_SIZE,
				       bytes(area->nr + self->first),
				       bytes(self->nr)));
	ASSERT_EQ(0, watch_missing(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

FIXTURE_TEARDOWN(missing)
{
	ASSERT_INVARIANTS();
	close(self->uffd);
	free(self->buf);
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* The pages on both sides of the middle. */
#define ASSERT_SIDES() do {						\
	unsigned long __end = self->first + self->nr;			\
									\
	ASSERT_PAGES(self->area.ptr, 0, self->first, SEED_AREA);	\
	ASSERT_PAGES(area_page(&self->area, __end), __end,		\
		     self->area.nr - __end, SEED_AREA);			\
} while (0)

/*
 *	|------+--------+------|          |------+--------+------|
 *	| area |  none  | area |  =copy>  | area | SEED_A | area |
 *	|------+--------+------|          |------+--------+------|
 */
TEST_F(missing, copy)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, copy_pages(self->uffd, self->middle, self->buf, self->nr));
	ASSERT_EQ(-EEXIST, copy_pages(self->uffd, self->middle, self->buf, 1));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATES(self->middle, self->nr, area_vma_state(area));
	ASSERT_PAGES(self->middle, self->first, self->nr, SEED_A);
	ASSERT_SIDES();
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, unwatch(self->uffd, area->ptr, area->nr));
	if (have_swap)
		ASSERT_EQ(0, pageout(self->middle, self->nr));
	ASSERT_PAGES(self->middle, self->first, self->nr, SEED_A);
	ASSERT_SIDES();
	ASSERT_EQ(0, share_with_child());
	fill_pages(self->middle, self->first, self->nr, SEED_B);
	ASSERT_PAGES(self->middle, self->first, self->nr, SEED_B);
	ASSERT_SIDES();
}

/*
 *	|------+--------+------|          |------+--------+------|
 *	| area |  none  | area |  =zero>  | area |  zero  | area |
 *	|------+--------+------|          |------+--------+------|
 */
TEST_F(missing, zero)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, zero_pages(self->uffd, self->middle, self->nr));
	ASSERT_VMA(self->middle, area_vma_state(area));
	ASSERT_FOLIO(self->middle, "none");
	ASSERT_PAGES(self->middle, self->first, self->nr, SEED_ZERO);
	ASSERT_SIDES();

	fill_pages(self->middle, self->first, self->nr / 2, SEED_A);
	ASSERT_STATES(self->middle, self->nr / 2, area_vma_state(area));
	ASSERT_PAGES(self->middle, self->first, self->nr / 2, SEED_A);
	ASSERT_PAGES(self->middle + bytes(self->nr / 2),
		     self->first + self->nr / 2, self->nr - self->nr / 2,
		     SEED_ZERO);
	ASSERT_SIDES();
}

/* A thread that touches @nr pages at @addr and then closes @done. */
struct toucher {
	char *addr;
	unsigned long first, nr;
	unsigned int seed;	/* to write; 0: read */
	long bad;
	int done[2];
};

static void *touch_pages(void *arg)
{
	struct toucher *toucher = arg;

	toucher->bad = -1;
	if (toucher->seed)
		fill_pages(toucher->addr, toucher->first, toucher->nr,
			   toucher->seed);
	else
		toucher->bad = find_bad_page(toucher->addr, toucher->first,
					     toucher->nr, SEED_A);
	close(toucher->done[1]);
	return NULL;
}

/*
 * The next page that a thread waits for, NULL if the toucher has done, and
 * MAP_FAILED if nothing happens or it is not a fault with @flags.
 */
static char *next_fault(int uffd, const struct toucher *toucher, __u64 flags)
{
	struct pollfd fds[] = {
		{ .fd = uffd, .events = POLLIN },
		{ .fd = toucher->done[0], .events = POLLIN },
	};
	struct uffd_msg msg;

	if (poll(fds, 2, 10000) <= 0)
		return MAP_FAILED;
	if (!(fds[0].revents & POLLIN))
		return NULL;
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT ||
	    (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) != flags)
		return MAP_FAILED;
	return (char *)((unsigned long)msg.arg.pagefault.address &
			~(psize() - 1UL));
}

/*
 *	|------+--------+------|
 *	| area |  none  | area |  a thread reads it, page by page, and waits
 *	|------+--------+------|  for each copy
 */
TEST_F(missing, fault)
{
	struct toucher toucher = {
		.addr = self->middle, .first = self->first, .nr = self->nr,
	};
	struct area *area = &self->area;
	unsigned long faults = 0;
	pthread_t thread;
	char *page;

	ASSERT_EQ(0, pipe(toucher.done));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_pages, &toucher));
	while ((page = next_fault(self->uffd, &toucher, 0))) {
		ASSERT_NE(MAP_FAILED, page);
		ASSERT_EQ(0, copy_pages(self->uffd, page,
					self->buf + (page - self->middle), 1));
		faults++;
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	close(toucher.done[0]);
	ASSERT_EQ(-1, toucher.bad);
	ASSERT_EQ(self->nr, faults);
	ASSERT_STATES(self->middle, self->nr, area_vma_state(area));
	ASSERT_PAGES(self->middle, self->first, self->nr, SEED_A);
	ASSERT_SIDES();
}

/*
 *	|------------|           |------------|
 *	| unfaulted  |  =copy>   | SEED_A |   |  marked, and owns it
 *	|------------|           |------------|
 */
TEST(copy_is_the_first_fault)
{
	char *reserved, *dest, *buf;
	unsigned long nr = 16;
	int uffd;

	if (!have_uffd(0))
		SKIP(return, "needs userfaultfd");
	uffd = open_uffd(0);
	ASSERT_GE(uffd, 0);
	dest = map_between(&reserved, nr, AREA_SMALL);
	ASSERT_NE(NULL, dest);
	buf = aligned_alloc(psize(), bytes(nr));
	ASSERT_NE(NULL, buf);
	fill_pages(buf, 0, nr, SEED_A);

	ASSERT_EQ(0, watch_missing(uffd, dest, nr));
	ASSERT_VMA(dest, "unfaulted");
	ASSERT_EQ(0, copy_pages(uffd, dest, buf, nr / 2));
	ASSERT_STATE(dest, "owned");
	ASSERT_STATE(dest + bytes(nr / 2 - 1), "owned");
	ASSERT_EQ(0, unwatch(uffd, dest, nr));
	ASSERT_PAGES(dest, 0, nr / 2, SEED_A);
	ASSERT_PAGES(dest + bytes(nr / 2), nr / 2, nr / 2, SEED_ZERO);
	ASSERT_INVARIANTS();
	close(uffd);
	free(buf);
	ASSERT_EQ(0, unmap_between(reserved, nr, AREA_SMALL));
}

/* Write-protection of an area. */
FIXTURE(wp)
{
	struct area area;
	int uffd;
};

FIXTURE_VARIANT(wp)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(wp, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(wp, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(wp, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(wp, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(wp, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(wp, pmd)
{
	.params = { .folios = AREA_PMD },
};

#define WP_FEATURES (UFFD_FEATURE_PAGEFAULT_FLAG_WP | \
		     UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

FIXTURE_SETUP(wp)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_uffd(WP_FEATURES))
		SKIP(return, "needs userfaultfd's write-protection");
	ASSERT_EQ(0, area_map(area, &variant->params));
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->uffd = open_uffd(WP_FEATURES);
	ASSERT_GE(self->uffd, 0);
}

FIXTURE_TEARDOWN(wp)
{
	ASSERT_INVARIANTS();
	close(self->uffd);
	ASSERT_EQ(0, area_unmap(&self->area));
}

#define ASSERT_PROTECTED(expected) \
	ASSERT_EQ(expected, count_pagemap(self->area.ptr, self->area.nr,	\
					  PM_UFFD_WP))

/*
 *	|----------------|
 *	|      area      |  a thread writes, and waits at each page until its
 *	|----------------|  protection is lifted
 */
TEST_F(wp, write)
{
	struct area *area = &self->area;
	struct toucher toucher = {
		.addr = area->ptr, .nr = area->nr, .seed = SEED_A,
	};
	unsigned long faults = 0;
	pthread_t thread;
	char *page;

	ASSERT_EQ(0, watch_writes(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(0, protect_pages(self->uffd, area->ptr, area->nr, true));
	ASSERT_PROTECTED(area->nr);
	ASSERT_STATES(area->ptr, area->nr, area_vma_state(area));
	ASSERT_AREA(area);

	ASSERT_EQ(0, pipe(toucher.done));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_pages, &toucher));
	while ((page = next_fault(self->uffd, &toucher,
				  UFFD_PAGEFAULT_FLAG_WP))) {
		unsigned long index = (page - area->ptr) / psize();

		ASSERT_NE(MAP_FAILED, page);
		ASSERT_PAGES(page, index, 1, SEED_AREA);
		ASSERT_EQ(0, protect_pages(self->uffd, page, 1, false));
		faults++;
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	close(toucher.done[0]);
	ASSERT_EQ(area->nr, faults);
	ASSERT_PROTECTED(0);
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_STATES(area->ptr, area->nr, area_vma_state(area));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
}

/*
 *	|-----------|          |-----------|          |-----------|
 *	| protected |  =out>   | protected |  =read>  | protected |
 *	|-----------|          |-----------|          |-----------|
 */
TEST_F(wp, swap)
{
	struct area *area = &self->area;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, watch_writes(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(0, protect_pages(self->uffd, area->ptr, area->nr, true));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_PROTECTED(area->nr);
	ASSERT_AREA(area);
	ASSERT_PROTECTED(area->nr);
	ASSERT_STATES(area->ptr, area->nr, area_vma_state(area));

	ASSERT_EQ(0, protect_pages(self->uffd, area->ptr, area->nr, false));
	ASSERT_PROTECTED(0);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATES(area->ptr, area->nr, area_vma_state(area));
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	| protected |  => |  SEED_A   |  it is not the child's business
 *	|-----------|     |-----------|
 */
TEST_F(wp, fork)
{
	struct area *area = &self->area;
	pid_t pid;

	ASSERT_EQ(0, watch_writes(self->uffd, area->ptr, area->nr));
	ASSERT_EQ(0, protect_pages(self->uffd, area->ptr, area->nr, true));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_PROTECTED(0);
		ASSERT_AREA(area);
		fill_pages(area->ptr, 0, area->nr, SEED_A);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
		ASSERT_STATES(area->ptr, area->nr, "anon_vma");
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_PROTECTED(area->nr);
	ASSERT_AREA(area);
	ASSERT_EQ(0, protect_pages(self->uffd, area->ptr, area->nr, false));
	fill_pages(area->ptr, 0, area->nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
}

/*
 *	|------+---------+------|          |-----------------------|
 *	| area | watched | area |    =>    |         area          |
 *	|------+---------+------|          |-----------------------|
 */
TEST_F(wp, middle)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1, nr = area->nr / 2 - 2;
	char *middle = area_page(area, first);
	char *right = area_page(area, first + nr);

	ASSERT_EQ(0, watch_writes(self->uffd, middle, nr));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_EQ(0, protect_pages(self->uffd, middle, nr, true));
	ASSERT_PROTECTED(nr);
	ASSERT_STATES(area->ptr, first, "anon_vma");
	ASSERT_STATES(middle, nr, "anon_vma");
	ASSERT_INVARIANTS();
	fill_pages(area->ptr, 0, first, SEED_A);
	ASSERT_PAGES(area->ptr, 0, first, SEED_A);
	ASSERT_PAGES(middle, first, nr, SEED_AREA);
	ASSERT_PAGES(right, first + nr, area->nr - first - nr, SEED_AREA);

	ASSERT_EQ(0, unwatch(self->uffd, middle, nr));
	ASSERT_PROTECTED(0);
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	fill_pages(middle, first, nr, SEED_B);
	ASSERT_PAGES(area->ptr, 0, first, SEED_A);
	ASSERT_PAGES(middle, first, nr, SEED_B);
	ASSERT_PAGES(right, first + nr, area->nr - first - nr, SEED_AREA);
}

TEST_HARNESS_MAIN
