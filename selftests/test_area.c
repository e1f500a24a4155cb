// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <mm/gup_test.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "mm/hugepage_settings.h"
#include "anon_state.h"
#include "test_area.h"

#define MTHP_ORDER	4

static void set_mthp_order(int order, bool enabled)
{
	char path[64];

	snprintf(path, sizeof(path), "hugepages-%ukB/enabled",
		 (psize() >> 10) << order);
	thp_write_string(path, enabled ? "inherit" : "never");
}

/* Let MADV_HUGEPAGE use folios of the orders in the mask @orders only. */
void set_mthp_orders(unsigned long orders)
{
	unsigned long supported = thp_supported_orders();

	for (int order = 0; supported >> order; order++)
		if (supported & (1UL << order))
			set_mthp_order(order, orders & (1UL << order));
}

/* MADV_HUGEPAGE gives an aligned PMD a huge page and anything smaller mTHPs. */
void restore_mthp_orders(void)
{
	set_mthp_orders((1UL << MTHP_ORDER) | area_folio_pages(AREA_PMD));
}

/* And khugepaged does not rebuild behind our back what a test has split. */
static void __attribute__((constructor)) setup_thp(void)
{
	if (!thp_available())
		return;

	thp_save_settings();
	thp_write_string("enabled", "madvise");
	thp_write_string("defrag", "madvise");
	restore_mthp_orders();
	thp_write_num("khugepaged/max_ptes_none", 0);
	thp_write_num("khugepaged/scan_sleep_millisecs", 3600 * 1000);
}

/* Every 8 bytes of every page differ; SEED_ZERO stands for zeroes. */
static unsigned long page_pattern(unsigned int seed, unsigned long index)
{
	return (seed * 1000003UL + index + 1) * 0x9e3779b97f4a7c15ULL;
}

#define WORD_STEP	0xd1b54a32d192ed03ULL

/*
 * Write @nr pages at @addr. @first is the index of the first one in the area,
 * so that a page which turns up at another place is noticed.
 */
void fill_pages(char *addr, unsigned long first, unsigned long nr,
		unsigned int seed)
{
	size_t words = psize() / sizeof(unsigned long);

	for (unsigned long i = 0; i < nr; i++) {
		unsigned long *page = (void *)(addr + bytes(i));
		unsigned long value = page_pattern(seed, first + i);

		for (size_t w = 0; w < words; w++)
			page[w] = value + w * WORD_STEP;
	}
}

/* Returns the number of the first page with a wrong byte, -1 if there is none. */
long find_bad_page(const char *addr, unsigned long first, unsigned long nr,
		   unsigned int seed)
{
	size_t words = psize() / sizeof(unsigned long);
	unsigned long step = seed == SEED_ZERO ? 0 : WORD_STEP;

	for (unsigned long i = 0; i < nr; i++) {
		const unsigned long *page = (const void *)(addr + bytes(i));
		unsigned long value = 0, diff = 0;

		if (seed != SEED_ZERO)
			value = page_pattern(seed, first + i);
		for (size_t w = 0; w < words; w++)
			diff |= page[w] ^ (value + w * step);
		if (diff) {
			ksft_print_msg("page %lu at %p is not that of seed %u\n",
				       i, page, seed);
			return i;
		}
	}
	return -1;
}

/* The VMAs that overlap @nr_pages at @start, or a negative errno. */
int count_vmas(const char *start, unsigned long nr_pages)
{
	unsigned long end = (unsigned long)start + bytes(nr_pages);
	struct procmap_fd procmap;
	int count = 0;
	int err;

	err = open_self_procmap(&procmap);
	if (err)
		return err;

	procmap.query.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA;
	procmap.query.query_addr = (unsigned long)start;
	while (!(err = query_procmap(&procmap)) &&
	       procmap.query.vma_start < end) {
		count++;
		procmap.query.query_addr = procmap.query.vma_end;
	}
	close_procmap(&procmap);
	return err && err != -ENOENT ? err : count;
}

unsigned long count_swapped(const char *start, unsigned long nr_pages)
{
	unsigned long count = 0;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0)
		return 0;
	for (unsigned long i = 0; i < nr_pages; i++)
		if (pagemap_get_entry(fd, (char *)start + bytes(i)) & PM_SWAP)
			count++;
	close(fd);
	return count;
}

/* Unlike vm_util's write_file(), returns 0 or a negative errno. */
int write_string(const char *path, const char *string)
{
	const ssize_t len = strlen(string);
	int fd = open(path, O_WRONLY);
	ssize_t written;
	int ret = 0;

	if (fd < 0)
		return -errno;
	written = write(fd, string, len);
	if (written != len)
		ret = written < 0 ? -errno : -EIO;
	close(fd);
	return ret;
}

/*
 * Reclaim does not find pages that wait in a CPU's batch for their place on an
 * LRU list. Asking for pages to be moved empties the batches of all CPUs; where
 * there are no nodes, the page cache has to go with them.
 */
void drain_lru_batches(void)
{
	char *page = reserve(1);

	if (!page)
		return;
	if (syscall(SYS_mbind, page, psize(), MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE))
		write_string("/proc/sys/vm/drop_caches", "1");
	munmap(page, psize());
}

/*
 * Swap all of @nr_pages at @addr out. A page that somebody else holds for a
 * moment is left by reclaim, so ask more than once. Returns 0 or -EAGAIN.
 */
int pageout(char *addr, unsigned long nr_pages)
{
	for (int i = 0; i < 100; i++) {
		if (madvise(addr, bytes(nr_pages), MADV_PAGEOUT))
			return -errno;
		if (count_swapped(addr, nr_pages) == nr_pages)
			return 0;
		usleep(1000);
		drain_lru_batches();
	}
	return -EAGAIN;
}

/* Until @gup is closed or told to stop. Returns 0 or a negative errno. */
int pin_longterm(int gup, char *addr, unsigned long nr_pages, unsigned int flags)
{
	struct pin_longterm_test args = {
		.addr = (unsigned long)addr,
		.size = bytes(nr_pages),
		.flags = flags,
	};

	return ioctl(gup, PIN_LONGTERM_TEST_START, &args) ? -errno : 0;
}

/* Returns the exit code of @pid, -EINTR if a signal ended it. */
int wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* Like fork(), but the child goes on when release_child() says so. */
pid_t fork_held(int *go)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		close(fds[1]);
		if (read(fds[0], &c, 1))
			_exit(KSFT_FAIL);
	}
	close(fds[0]);
	*go = fds[1];
	return pid;
}

/* Returns what wait_child() does. */
int release_child(pid_t pid, int go)
{
	close(go);
	return wait_child(pid);
}

/* Let a child share every page of the process for a moment. */
int share_with_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(0);
	return wait_child(pid);
}

/*
 * Go on in a child. The parent waits for the end of the test, finds its own
 * copy of the area unchanged, and passes the child's result on.
 */
static int become_child(const struct area *area)
{
	pid_t pid = fork();
	int ret;

	if (pid < 0)
		return -errno;
	if (!pid)
		return 0;

	ret = wait_child(pid);
	if (ret < 0) {
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	if (find_bad_page(area->ptr, 0, area->nr, SEED_AREA) >= 0) {
		ksft_print_msg("the child has changed its parent's memory\n");
		ret = KSFT_FAIL;
	}
	_exit(ret);
}

/* Reserve @nr_pages, aligned to a PMD where that is of a usual size. */
char *reserve(unsigned long nr_pages)
{
	size_t align = thp_available() ? read_pmd_pagesize() : psize();
	size_t len = bytes(nr_pages);
	char *ptr, *aligned;

	ptr = mmap(NULL, len + align, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ptr == MAP_FAILED)
		return NULL;
	aligned = (char *)(((uintptr_t)ptr + align - 1) & ~(align - 1));
	if (aligned != ptr)
		munmap(ptr, aligned - ptr);
	munmap(aligned + len, ptr + align - aligned);
	return aligned;
}

/* Map @nr_pages of anonymous memory at @addr over whatever is there. */
char *map_anon(char *addr, unsigned long nr_pages, int prot)
{
	char *ptr = mmap(addr, bytes(nr_pages), prot, MAP_PRIVATE | MAP_FIXED |
			 MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return ptr == MAP_FAILED ? NULL : ptr;
}

static bool first_touch_marks(unsigned long nr_pages)
{
	struct anon_state state = {};
	char *base = reserve(nr_pages + 2);
	char *ptr;

	if (!base)
		return false;
	ptr = map_anon(base + psize(), nr_pages, PROT_READ | PROT_WRITE);
	if (ptr) {
		*ptr = 1;
		if (anon_state_query(0, ptr, &state))
			state.vma[0] = '\0';
	}
	munmap(base, bytes(nr_pages + 2));
	return !strcmp(state.vma, "owned");
}

/*
 * The largest number of pages of a VMA that its first touch still marks, found
 * by bisection; 0 if even a single page is not marked, or if all sizes are.
 * Where the kernel does not tell, what it should be.
 */
unsigned long mark_bound(void)
{
	unsigned long good = 1;
	unsigned long bad = (4UL << 30) / psize();

	if (!anon_state_available())
		return MARK_BOUND / psize();
	if (!first_touch_marks(good) || first_touch_marks(bad))
		return 0;
	while (bad - good > 1) {
		unsigned long middle = good + (bad - good) / 2;

		if (first_touch_marks(middle))
			good = middle;
		else
			bad = middle;
	}
	return good;
}

unsigned long area_folio_pages(enum area_folios folios)
{
	switch (folios) {
	case AREA_MTHP:
		return 1UL << MTHP_ORDER;
	case AREA_PMD:
		return read_pmd_pagesize() / psize();
	default:
		return 1;
	}
}

/* Why an owner cannot have such folios on this kernel; NULL if it can. */
const char *no_folios_reason(enum area_folios folios)
{
	if (folios != AREA_SMALL && !thp_available())
		return "needs CONFIG_TRANSPARENT_HUGEPAGE";
	if (bytes(area_folio_pages(folios)) > MARK_BOUND)
		return "a VMA with such a folio is never marked";
	return NULL;
}

bool area_has_large_folios(const struct area *area)
{
	unsigned long pages = area_folio_pages(area->params->folios);

	return check_huge_anon(area->ptr, bytes(area->nr), area->nr / pages,
			       bytes(pages));
}

/* A file of three times the size of the area, which maps its second third. */
static int make_file(unsigned long nr_pages)
{
	size_t len = bytes(3 * nr_pages);
	char *ptr;
	int fd;

	fd = memfd_create("test_area", 0);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, len))
		goto fail;
	ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ptr == MAP_FAILED)
		goto fail;
	fill_pages(ptr, -nr_pages, 3 * nr_pages, SEED_FILE);
	munmap(ptr, len);
	return fd;
fail:
	close(fd);
	return -EIO;
}

/*
 * Map pages @first to @first + @nr - 1 like the area itself: a VMA with them
 * can merge with its neighbours. @first may be negative. Returns 0 or a
 * negative errno.
 */
int area_map_pages(struct area *area, long first, unsigned long nr, int prot)
{
	int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
	char *ptr = area_page(area, first);
	off_t offset = 0;

	if (area->params->file)
		offset = bytes(area->nr + first);
	else
		flags |= MAP_ANONYMOUS;
	if (mmap(ptr, bytes(nr), prot, flags, area->fd, offset) == MAP_FAILED)
		return -errno;
	if (area->params->folios != AREA_SMALL &&
	    madvise(ptr, bytes(nr), MADV_HUGEPAGE))
		return -errno;
	return 0;
}

/*
 * Map and fill an area as @params says. Returns 0 or a negative errno; for
 * AREA_CHILD it returns in a child of the caller, which waits for its end.
 */
int area_map(struct area *area, const struct area_params *params)
{
	unsigned long before, pmd_pages = area_folio_pages(AREA_PMD);
	int err;

	area->params = params;
	area->fd = -1;
	if (params->folios == AREA_SMALL) {
		area->nr = 16;
		before = area->nr;
	} else {
		area->nr = pmd_pages;
		if (params->folios == AREA_MTHP)
			area->nr = 4UL << MTHP_ORDER;
		before = pmd_pages;
	}

	area->reserved_len = bytes(before + 2 * area->nr + 1);
	area->reserved = reserve(area->reserved_len / psize());
	if (!area->reserved)
		return -ENOMEM;
	area->ptr = area->reserved + bytes(before);
	if (params->file) {
		area->fd = make_file(area->nr);
		if (area->fd < 0)
			return area->fd;
	}
	err = area_map_pages(area, 0, area->nr, PROT_READ | PROT_WRITE);
	if (err)
		return err;

	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	if (params->history == AREA_UPGRADED) {
		err = share_with_child();
		fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	} else if (params->history == AREA_CHILD) {
		err = become_child(area);
	}
	if (!err && params->folios != AREA_SMALL && !area_has_large_folios(area))
		err = -ENOMEM;
	return err;
}

int area_unmap(struct area *area)
{
	if (area->fd >= 0)
		close(area->fd);
	return munmap(area->reserved, area->reserved_len);
}

int area_free_room(struct area *area)
{
	return munmap(area_page(area, area->nr), bytes(area->nr));
}
