// SPDX-License-Identifier: GPL-2.0
/*
 * Who holds or changes owned folios from outside: long-term pins, uprobes,
 * another process' madvise(), and the killers.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <pthread.h>
#include <linux/perf_event.h>
#include <mm/gup_test.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "nodes.h"
#include "test_area.h"
#include "zram_swap.h"

#define RW		(PROT_READ | PROT_WRITE)

#ifndef MADV_COLD
#define MADV_COLD	20
#define MADV_PAGEOUT	21
#endif

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

/* Long-term pins of all pages of an area. */
FIXTURE(pin)
{
	struct area area;
	int gup;
	int pagemap;
	char *buf;
};

FIXTURE_VARIANT(pin)
{
	struct area_params params;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(pin, anon)
{
	.params = { .history = AREA_MARKED },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
};

FIXTURE_VARIANT_ADD(pin, anon_fast)
{
	.params = { .history = AREA_MARKED },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE |
		 PIN_LONGTERM_TEST_FLAG_USE_FAST,
};

FIXTURE_VARIANT_ADD(pin, anon_readonly)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(pin, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
};

FIXTURE_VARIANT_ADD(pin, anon_child)
{
	.params = { .history = AREA_CHILD },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
};

FIXTURE_VARIANT_ADD(pin, file)
{
	.params = { .file = true },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_FAST,
};

FIXTURE_VARIANT_ADD(pin, mthp)
{
	.params = { .folios = AREA_MTHP },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE |
		 PIN_LONGTERM_TEST_FLAG_USE_FAST,
};

FIXTURE_VARIANT_ADD(pin, pmd)
{
	.params = { .folios = AREA_PMD },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
};

FIXTURE_VARIANT_ADD(pin, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
	.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
};

FIXTURE_SETUP(pin)
{
	struct area *area = &self->area;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (access(GUP_DEBUGFS, R_OK | W_OK))
		SKIP(return, "needs CONFIG_GUP_TEST, debugfs and root");
	ASSERT_EQ(0, area_map(area, &variant->params));
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(self->pagemap, 0);
	self->buf = aligned_alloc(psize(), bytes(area->nr));
	ASSERT_NE(NULL, self->buf);

	self->gup = open(GUP_DEBUGFS, O_RDWR);
	ASSERT_GE(self->gup, 0);
	ASSERT_EQ(0, pin_longterm(self->gup, area->ptr, area->nr, variant->flags));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
}

FIXTURE_TEARDOWN(pin)
{
	ASSERT_INVARIANTS();
	close(self->gup);
	close(self->pagemap);
	free(self->buf);
	ASSERT_EQ(0, area_unmap(&self->area));
}

/* Whoever has the pins reads what was written with @seed. */
#define ASSERT_PINS(seed) do {						\
	__u64 __buf = (unsigned long)self->buf;				\
									\
	ASSERT_EQ(0, ioctl(self->gup, PIN_LONGTERM_TEST_READ, &__buf));	\
	ASSERT_PAGES(self->buf, 0, self->area.nr, seed);		\
} while (0)

/* The pinned pages are still the process' own: it writes, and the pins see. */
#define ASSERT_PINS_FOLLOW(addr) do {					\
	char *__addr = (addr);						\
									\
	fill_pages(__addr, 0, self->area.nr, SEED_A);			\
	ASSERT_PINS(SEED_A);						\
	fill_pages(__addr, 0, self->area.nr, SEED_AREA);		\
	ASSERT_PINS(SEED_AREA);						\
	ASSERT_PAGES(__addr, 0, self->area.nr, SEED_AREA);		\
} while (0)

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  pinned   |  => |   copies  |  of pinned pages are made at once
 *	|-----------|     |-----------|
 *	  ^ written         ^ and read, then written
 */
TEST_F(pin, fork)
{
	struct area *area = &self->area;
	int go;
	pid_t pid = fork_held(&go);

	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_AREA(area);
		ASSERT_STATE(area->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		fill_pages(area->ptr, 0, area->nr, SEED_B);
		ASSERT_PAGES(area->ptr, 0, area->nr, SEED_B);
		_exit(0);
	}
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(area_page(area, area->nr - 1), "anon_vma");
	ASSERT_PINS(SEED_AREA);
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PINS(SEED_A);
	ASSERT_EQ(0, release_child(pid, go));
	ASSERT_PINS(SEED_A);
	ASSERT_PINS_FOLLOW(area->ptr);
}

/*
 *	|-----------|              |----+-----+----|
 *	|  pinned   |  =mprotect>  | rw |  r  | rw |  and one VMA again
 *	|-----------|              |----+-----+----|
 */
TEST_F(pin, split)
{
	struct area *area = &self->area;
	unsigned long first = area->nr / 4 + 1, nr = area->nr / 2 - 2;
	char *middle = area_page(area, first);

	ASSERT_EQ(0, mprotect(middle, bytes(nr), PROT_READ));
	ASSERT_EQ(3, count_vmas(area->ptr, area->nr));
	ASSERT_STATE(area->ptr, "anon_vma");
	ASSERT_STATE(middle, "anon_vma");
	ASSERT_STATE(area_page(area, area->nr - 1), "anon_vma");
	ASSERT_AREA(area);
	ASSERT_PINS(SEED_AREA);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, mprotect(middle, bytes(nr), RW));
	ASSERT_EQ(1, count_vmas(area->ptr, area->nr));
	ASSERT_PINS_FOLLOW(area->ptr);
}

/*
 *	|-----------|               |-----------|
 *	|  pinned   |  =mremap>     |   dest    |
 *	|-----------|               |-----------|
 */
TEST_F(pin, mremap)
{
	struct area *area = &self->area;
	char *dest = area_page(area, area->nr);

	ASSERT_EQ(dest, mremap(area->ptr, bytes(area->nr), bytes(area->nr),
			       MREMAP_MAYMOVE | MREMAP_FIXED, dest));
	ASSERT_PAGES(dest, 0, area->nr, SEED_AREA);
	ASSERT_PINS(SEED_AREA);
	ASSERT_INVARIANTS();
	ASSERT_PINS_FOLLOW(dest);
}

/* Returns how many of @nr pages at @addr have another frame than in @pfns. */
static int count_moved(int pagemap, char *addr, unsigned long nr,
		       const unsigned long *pfns)
{
	int count = 0;

	for (unsigned long i = 0; i < nr; i++)
		if (pagemap_get_pfn(pagemap, addr + bytes(i)) != pfns[i])
			count++;
	return count;
}

/*
 *	node 0           node 1
 *	|-----------|    |-----------|
 *	|  pinned   | => |           |  not as long as it is pinned
 *	|-----------|    |-----------|
 */
TEST_F(pin, migrate)
{
	struct area *area = &self->area;
	unsigned long nr = area->nr;
	unsigned long pfns[nr];
	int status[nr], nodes[2];
	int node;

	if (!find_nodes(nodes))
		SKIP(return, "needs CONFIG_NUMA_MIGRATION and two NUMA nodes");
	for (unsigned long i = 0; i < nr; i++)
		pfns[i] = pagemap_get_pfn(self->pagemap, area_page(area, i));
	ASSERT_EQ(0, move_pages(area->ptr, nr, -1, status));
	node = nodes[status[0] == nodes[0]];
	for (int i = 0; i < 3; i++) {
		ASSERT_LE(0, move_pages(area->ptr, nr, node, status));
		ASSERT_EQ(0, count_moved(self->pagemap, area->ptr, nr, pfns));
		ASSERT_STATE(area->ptr, area_vma_state(area));
		ASSERT_STATE(area_page(area, nr - 1), area_vma_state(area));
		ASSERT_PINS_FOLLOW(area->ptr);
	}
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, ioctl(self->gup, PIN_LONGTERM_TEST_STOP));
	for (int i = 0; i < 100; i++) {
		move_pages(area->ptr, nr, node, status);
		if (count_moved(self->pagemap, area->ptr, nr, pfns) == nr)
			break;
		usleep(1000);
	}
	ASSERT_EQ(nr, count_moved(self->pagemap, area->ptr, nr, pfns));
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_AREA(area);
}

/*
 *	|-----------|
 *	|  pinned   |  not swapped out as long as it is
 *	|-----------|
 */
TEST_F(pin, pageout)
{
	struct area *area = &self->area;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_PAGEOUT));
		ASSERT_EQ(0, count_swapped(area->ptr, area->nr));
		ASSERT_STATE(area->ptr, area_vma_state(area));
		ASSERT_PINS_FOLLOW(area->ptr);
	}
	ASSERT_INVARIANTS();

	ASSERT_EQ(0, ioctl(self->gup, PIN_LONGTERM_TEST_STOP));
	ASSERT_EQ(0, pageout(area->ptr, area->nr));
	ASSERT_AREA(area);
	ASSERT_STATE(area->ptr, area_vma_state(area));
}

/*
 *	|-----------|               |-----------|
 *	|  pinned   |  =DONTNEED>   | untouched |  the pins keep what they have
 *	|-----------|               |-----------|
 */
TEST_F(pin, dontneed)
{
	struct area *area = &self->area;

	ASSERT_EQ(0, madvise(area->ptr, bytes(area->nr), MADV_DONTNEED));
	ASSERT_PAGES(area->ptr, 0, area->nr, area_untouched_seed(area));
	fill_pages(area->ptr, 0, area->nr, SEED_A);
	ASSERT_STATE(area->ptr, area_vma_state(area));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	ASSERT_PINS(SEED_AREA);
}

/*
 *	|-----------|            |-----------|
 *	|  pinned   |  =munmap>  |    new    |  where the owner was, and its
 *	|-----------|            |-----------|  memory is used for other VMAs
 */
TEST_F(pin, owner_freed)
{
	struct area *area = &self->area;
	char *others[64];

	ASSERT_EQ(0, munmap(area->ptr, bytes(area->nr)));
	ASSERT_PINS(SEED_AREA);
	ASSERT_EQ(0, area_map_pages(area, 0, area->nr, RW));
	fill_pages(area->ptr, 0, area->nr, SEED_A);

	/* Separated by their protection, each is a VMA of its own. */
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = mmap(NULL, psize(), i & 1 ? RW : RW | PROT_EXEC,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, others[i]);
		fill_pages(others[i], i, 1, SEED_B);
	}
	/* Compaction looks at every page, the pinned ones among them. */
	if (!access("/proc/sys/vm/compact_memory", W_OK))
		write_num("/proc/sys/vm/compact_memory", 1);
	ASSERT_PINS(SEED_AREA);
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, ioctl(self->gup, PIN_LONGTERM_TEST_STOP));
	ASSERT_PAGES(area->ptr, 0, area->nr, SEED_A);
	for (int i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_PAGES(others[i], i, 1, SEED_B);
		munmap(others[i], psize());
	}
}

/*
 * A breakpoint in a page of a private file mapping, executable and read-only:
 *
 *	page 0                 1 ... NR_CODE_PAGES - 1
 *	|------+---------------|---------------|
 *	| code |  data         | data          |  SEED_FILE, SEED_AREA if written
 *	|------+---------------|---------------|
 *	  ^ breakpoint
 */
#if defined(__x86_64__)
/* nop; mov $42, %eax; ret */
static const unsigned char code[] = {
	0x90, 0xb8, 42, 0, 0, 0, 0xc3,
};
#elif defined(__aarch64__)
/* nop; mov w0, #42; ret */
static const unsigned int code[] = {
	0xd503201f, 0x52800000 | 42 << 5, 0xd65f03c0,
};
#else
static const unsigned char code[] = {};
#endif

#define NR_CODE_PAGES	4UL

FIXTURE(uprobe)
{
	char *reserved, *ptr;
	char *expected;
	int file, event;
};

FIXTURE_VARIANT(uprobe)
{
	bool written;	/* before the breakpoint, so that it meets a copy */
	bool upgraded;
};

FIXTURE_VARIANT_ADD(uprobe, file_page)
{
};

FIXTURE_VARIANT_ADD(uprobe, marked)
{
	.written = true,
};

FIXTURE_VARIANT_ADD(uprobe, upgraded)
{
	.written = true, .upgraded = true,
};

static int uprobe_pmu_type(void)
{
	unsigned long type;

	if (access("/sys/bus/event_source/devices/uprobe/type", R_OK) ||
	    read_sysfs("/sys/bus/event_source/devices/uprobe/type", &type))
		return -1;
	return type;
}

/* A counting breakpoint at offset 0 of @file, for this process. */
static int open_uprobe(int file)
{
	char path[32];
	struct perf_event_attr attr = {
		.type = uprobe_pmu_type(),
		.size = sizeof(attr),
		.config1 = (unsigned long)path,
	};
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
		     PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

FIXTURE_SETUP(uprobe)
{
	size_t len = bytes(NR_CODE_PAGES);

	if (uprobe_pmu_type() < 0 || !sizeof(code))
		SKIP(return, "needs CONFIG_UPROBE_EVENTS and x86_64 or arm64");
	self->expected = malloc(len);
	ASSERT_NE(NULL, self->expected);
	self->file = memfd_create("uprobe", 0);
	ASSERT_GE(self->file, 0);
	fill_pages(self->expected, 0, NR_CODE_PAGES, SEED_FILE);
	memcpy(self->expected, code, sizeof(code));
	ASSERT_EQ(len, write(self->file, self->expected, len));

	self->reserved = reserve(NR_CODE_PAGES + 2);
	ASSERT_NE(NULL, self->reserved);
	self->ptr = mmap(self->reserved + psize(), len, RW,
			 MAP_PRIVATE | MAP_FIXED, self->file, 0);
	ASSERT_NE(MAP_FAILED, self->ptr);
	if (variant->written) {
		fill_pages(self->expected, 0, NR_CODE_PAGES, SEED_AREA);
		memcpy(self->expected, code, sizeof(code));
		memcpy(self->ptr, self->expected, len);
	}
	if (variant->upgraded) {
		ASSERT_EQ(0, share_with_child());
		memcpy(self->ptr, self->expected, len);
	}
	ASSERT_EQ(0, mprotect(self->ptr, len, PROT_READ | PROT_EXEC));
	__builtin___clear_cache(self->ptr, self->ptr + len);
	ASSERT_EQ(1, count_vmas(self->ptr, NR_CODE_PAGES));
	self->event = -1;
}

FIXTURE_TEARDOWN(uprobe)
{
	ASSERT_INVARIANTS();
	close(self->event);
	close(self->file);
	free(self->expected);
	ASSERT_EQ(0, munmap(self->reserved, bytes(NR_CODE_PAGES + 2)));
}

#define ASSERT_CALL() \
	ASSERT_EQ(42, ((int (*)(void))self->ptr)())

#define ASSERT_HITS(expected) do {					\
	__u64 __hits;							\
									\
	ASSERT_EQ(sizeof(__hits),					\
		  read(self->event, &__hits, sizeof(__hits)));		\
	ASSERT_EQ(expected, __hits);					\
} while (0)

/* All bytes but those of the code, whose first one may be a breakpoint. */
#define ASSERT_DATA() \
	ASSERT_EQ(0, memcmp(self->ptr + sizeof(code),			\
			    self->expected + sizeof(code),		\
			    bytes(NR_CODE_PAGES) - sizeof(code)))

#define ASSERT_CODE() \
	ASSERT_EQ(0, memcmp(self->ptr, self->expected, sizeof(code)))

/* What the VMA is after an anonymous fault. */
#define UPROBE_STATE (variant->upgraded ? "anon_vma" : "owned")

/*
 *	|------|          |------|          |------|
 *	| nop  |   =on>   | trap |   =off>  | nop  |  an unwritten page may be the
 *	|------|          |------|          |------|  file's again
 */
TEST_F(uprobe, on_and_off)
{
	for (int i = 0; i < 3; i++) {
		self->event = open_uprobe(self->file);
		ASSERT_GE(self->event, 0);
		ASSERT_STATE(self->ptr, UPROBE_STATE);
		ASSERT_EQ(1, count_vmas(self->ptr, NR_CODE_PAGES));
		ASSERT_NE(0, memcmp(self->ptr, self->expected, sizeof(code)));
		ASSERT_CALL();
		ASSERT_CALL();
		ASSERT_HITS(2);
		ASSERT_DATA();
		ASSERT_INVARIANTS();

		ASSERT_EQ(0, close(self->event));
		self->event = -1;
		ASSERT_CODE();
		ASSERT_CALL();
		ASSERT_DATA();
		ASSERT_VMA(self->ptr, UPROBE_STATE);
		if (variant->written)
			ASSERT_FOLIO(self->ptr, UPROBE_STATE);
	}
}

/*
 *	parent            child
 *	|------|          |------|
 *	| trap |    =>    | trap |  hits in the child do not count
 *	|------|          |------|
 */
TEST_F(uprobe, fork)
{
	pid_t pid;

	self->event = open_uprobe(self->file);
	ASSERT_GE(self->event, 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ASSERT_CALL();
		ASSERT_DATA();
		ASSERT_CALL();
		ASSERT_VMA(self->ptr, "anon_vma");
		ASSERT_INVARIANTS();
		_exit(0);
	}
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_CALL();
	ASSERT_HITS(1);
	ASSERT_DATA();
	ASSERT_STATE(self->ptr, "anon_vma");

	ASSERT_EQ(0, close(self->event));
	self->event = -1;
	ASSERT_CODE();
	ASSERT_CALL();
	ASSERT_DATA();
}

/*
 *	|------|          |-----------|          |-----------|
 *	| trap |  =out>   |  swapped  |  =call>  |   trap    |
 *	|------|          |-----------|          |-----------|
 */
TEST_F(uprobe, swap)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	self->event = open_uprobe(self->file);
	ASSERT_GE(self->event, 0);
	ASSERT_EQ(0, pageout(self->ptr, 1));
	ASSERT_CALL();
	ASSERT_HITS(1);
	ASSERT_STATE(self->ptr, UPROBE_STATE);
	ASSERT_DATA();

	/* And taken off while it is not there. */
	ASSERT_EQ(0, pageout(self->ptr, 1));
	ASSERT_EQ(0, close(self->event));
	self->event = -1;
	ASSERT_CODE();
	ASSERT_CALL();
	ASSERT_DATA();
}

/*
 * A process with an area of its own. It looks at every byte and answers when
 * it is asked to, until nobody can ask any more.
 */
struct other {
	pid_t pid;
	pid_t child;	/* the same, or the one that it inherited from */
	int pidfd;
	int ask, answer;
	struct area area;
};

#define VERIFY		'v'	/* the area is what area_map() wrote */
#define REWRITE		'w'	/* and write it again */
#define PIN_AND_UNMAP	'p'	/* pin the area and unmap it */
#define VERIFY_PINS	'P'	/* the pins read what area_map() wrote */
#define GOOD		'+'
#define BAD		'-'

static bool pin_and_unmap(const struct area *area, int gup)
{
	return !pin_longterm(gup, area->ptr, area->nr, PIN_LONGTERM_TEST_FLAG_USE_WRITE) &&
	       !munmap(area->ptr, bytes(area->nr));
}

static bool verify_pins(const struct area *area, int gup)
{
	char *buf = aligned_alloc(psize(), bytes(area->nr));
	__u64 arg = (unsigned long)buf;
	bool good;

	good = buf && !ioctl(gup, PIN_LONGTERM_TEST_READ, &arg) &&
	       find_bad_page(buf, 0, area->nr, SEED_AREA) < 0;
	free(buf);
	return good;
}

static void run_other(struct other *other, const struct area_params *params,
		      int ask, int answer)
{
	struct area *area = &other->area;
	int gup = open(GUP_DEBUGFS, O_RDWR);
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (area_map(area, params))
		_exit(1);
	/* Nothing is shared with a parent any more. */
	fill_pages(area->ptr, 0, area->nr, SEED_AREA);
	other->pid = getpid();
	if (write(answer, other, sizeof(*other)) != sizeof(*other))
		_exit(1);
	while (read(ask, &c, 1) == 1) {
		bool good = true;

		switch (c) {
		case VERIFY:
			good = area_find_bad_page(area) < 0;
			break;
		case REWRITE:
			fill_pages(area->ptr, 0, area->nr, SEED_AREA);
			break;
		case PIN_AND_UNMAP:
			good = pin_and_unmap(area, gup);
			break;
		case VERIFY_PINS:
			good = verify_pins(area, gup);
			break;
		}
		c = good ? GOOD : BAD;
		if (write(answer, &c, 1) != 1)
			break;
	}
	_exit(0);
}

/* Let @cgroup_procs be a file to write "0" to, or NULL. */
static int start_other(struct other *other, const struct area_params *params,
		       const char *cgroup_procs)
{
	int ask[2], answer[2];
	pid_t child;

	if (pipe(ask) || pipe(answer))
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (!child) {
		close(ask[1]);
		close(answer[0]);
		if (cgroup_procs)
			write_num(cgroup_procs, 0);
		run_other(other, params, ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	if (read(answer[0], other, sizeof(*other)) != sizeof(*other))
		return -EIO;
	other->child = child;
	other->ask = ask[1];
	other->answer = answer[0];
	other->pidfd = syscall(SYS_pidfd_open, other->pid, 0);
	return other->pidfd < 0 ? -errno : 0;
}

static char ask_other(const struct other *other, char what)
{
	struct pollfd fd = { .fd = other->answer, .events = POLLIN };
	char c;

	if (write(other->ask, &what, 1) != 1 || poll(&fd, 1, 20000) != 1 ||
	    read(other->answer, &c, 1) != 1)
		return BAD;
	return c;
}

/* Returns what wait_child() does. */
static int end_other(const struct other *other)
{
	close(other->ask);
	close(other->answer);
	close(other->pidfd);
	return wait_child(other->child);
}

#define ASSERT_OTHER(other, what) ASSERT_EQ(GOOD, ask_other(other, what))

#define __ASSERT_OTHER(who, field, expected) do {			\
	const struct other *__other = (who);				\
									\
	__ASSERT_STATE(__other->pid, __other->area.ptr, field, expected); \
} while (0)

#define ASSERT_OTHER_VMA(who, expected)	__ASSERT_OTHER(who, vma, expected)
#define ASSERT_OTHER_FOLIO(who, expected) __ASSERT_OTHER(who, folio, expected)

/* How many pages of the area of @other are in swap. */
static unsigned long count_other_swapped(const struct other *other)
{
	unsigned long count = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", other->pid);
	fd = open(path, O_RDONLY);
	for (unsigned long i = 0; i < other->area.nr; i++)
		if (pagemap_get_entry(fd, area_page(&other->area, i)) & PM_SWAP)
			count++;
	close(fd);
	return count;
}

static int madvise_other(const struct other *other, int advice)
{
	struct iovec iov = {
		.iov_base = other->area.ptr,
		.iov_len = bytes(other->area.nr),
	};
	ssize_t ret;

	ret = syscall(SYS_process_madvise, other->pidfd, &iov, 1, advice, 0);
	if (ret < 0)
		return -errno;
	return ret == iov.iov_len ? 0 : -EIO;
}

/* Like pageout(). */
static int pageout_other(const struct other *other)
{
	for (int i = 0; i < 100; i++) {
		int err = madvise_other(other, MADV_PAGEOUT);

		if (err)
			return err;
		if (count_other_swapped(other) == other->area.nr)
			return 0;
		usleep(1000);
		drain_lru_batches();
	}
	return -EAGAIN;
}

FIXTURE(other)
{
	struct other other;
};

FIXTURE_VARIANT(other)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(other, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(other, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(other, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(other, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(other, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(other, pmd)
{
	.params = { .folios = AREA_PMD },
};

FIXTURE_VARIANT_ADD(other, pmd_upgraded)
{
	.params = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_SETUP(other)
{
	struct other *other = &self->other;

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	ASSERT_EQ(0, start_other(other, &variant->params, NULL));
	ASSERT_OTHER_VMA(other, area_vma_state(&other->area));
	ASSERT_OTHER_FOLIO(other, area_vma_state(&other->area));
}

FIXTURE_TEARDOWN(other)
{
	ASSERT_INVARIANTS();
}

/*
 *	this process           another one
 *	                       |-----------|
 *	process_madvise()  =>  |  swapped  |  and reads, and writes
 *	                       |-----------|
 */
TEST_F(other, pageout)
{
	struct other *other = &self->other;

	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pageout_other(other));
		ASSERT_OTHER_VMA(other, area_vma_state(&other->area));
		ASSERT_OTHER_FOLIO(other, "none");
		ASSERT_OTHER(other, i == 1 ? REWRITE : VERIFY);
		ASSERT_OTHER_FOLIO(other, area_vma_state(&other->area));
		ASSERT_OTHER(other, VERIFY);
		ASSERT_INVARIANTS();
	}
	ASSERT_EQ(0, end_other(other));
}

/*
 *	this process           another one
 *	                       |-----------|
 *	process_madvise()  =>  |   cold    |  stays where it is
 *	                       |-----------|
 */
TEST_F(other, cold)
{
	struct other *other = &self->other;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, madvise_other(other, MADV_COLD));
		ASSERT_EQ(0, count_other_swapped(other));
		ASSERT_OTHER_VMA(other, area_vma_state(&other->area));
		ASSERT_OTHER_FOLIO(other, area_vma_state(&other->area));
		ASSERT_OTHER(other, VERIFY);
	}
	ASSERT_EQ(0, end_other(other));
}

/*
 *	this process           another one
 *	                       |-----------|
 *	process_mrelease() =>  |  killed   |  before it has left its mm
 *	                       |-----------|
 */
TEST_F(other, mrelease)
{
	struct sched_param param = { .sched_priority = 1 };
	struct other *other = &self->other;
	cpu_set_t cpus;
	int status, ret;

	/* On our CPU, it cannot run before we let it. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpus), &cpus));
	ASSERT_EQ(0, sched_setaffinity(other->pid, sizeof(cpus), &cpus));
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		SKIP(return, "needs SCHED_FIFO");
	ASSERT_EQ(0, syscall(SYS_pidfd_send_signal, other->pidfd, SIGKILL,
			     NULL, 0));
	ret = syscall(SYS_process_mrelease, other->pidfd, 0) ? errno : 0;
	param.sched_priority = 0;
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_OTHER, &param));
	ASSERT_EQ(0, ret);
	ASSERT_INVARIANTS();
	ASSERT_EQ(other->child, waitpid(other->child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	/* Whom it inherited from aborts when it does not end by itself. */
	ASSERT_EQ(other->child == other->pid ? SIGKILL : SIGABRT, WTERMSIG(status));
}

/*
 * A memory cgroup with swap:
 *
 *	hog           grows in VMAs of 1 MiB until the OOM killer comes
 *	bystander     must not be killed, nor lose a byte
 *	reclaimer     from outside, asks for reclaim all the time
 */
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define SUBTREE_CONTROL	CGROUP_ROOT "/cgroup.subtree_control"
#define CGROUP		CGROUP_ROOT "/anon_owner-pin"
#define CGROUP_MAX	"16777216"
#define CGROUP_SWAP_MAX	"8388608"
/* Within the bound of marked VMAs. */
#define WRITERS_BYTES	(12UL << 20)

static unsigned long oom_kills(void)
{
	char buf[512], *s;

	if (!read_file(CGROUP "/memory.events", buf, sizeof(buf)))
		return 0;
	s = strstr(buf, "oom_kill ");
	return s ? strtoul(s + strlen("oom_kill "), NULL, 10) : 0;
}

FIXTURE(memcg)
{
	struct other bystander;
	pid_t reclaimer;
	bool enabled;
};

FIXTURE_VARIANT(memcg)
{
	struct area_params params;
};

FIXTURE_VARIANT_ADD(memcg, anon)
{
	.params = { .history = AREA_MARKED },
};

FIXTURE_VARIANT_ADD(memcg, anon_upgraded)
{
	.params = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(memcg, anon_child)
{
	.params = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(memcg, file)
{
	.params = { .file = true },
};

FIXTURE_VARIANT_ADD(memcg, mthp)
{
	.params = { .folios = AREA_MTHP },
};

FIXTURE_VARIANT_ADD(memcg, pmd)
{
	.params = { .folios = AREA_PMD },
};

static void reclaim_forever(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		write_string(CGROUP "/memory.reclaim", "4M swappiness=max");
}

FIXTURE_SETUP(memcg)
{
	struct other *bystander = &self->bystander;
	char path[64], controllers[256];

	SKIP_WITHOUT_FOLIOS(return, variant->params.folios);
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	if (read_file(SUBTREE_CONTROL, controllers, sizeof(controllers)))
		self->enabled = strstr(controllers, "memory");
	if (write_string(SUBTREE_CONTROL, "+memory"))
		SKIP(return, "needs a memory cgroup at " CGROUP_ROOT);
	rmdir(CGROUP);
	ASSERT_EQ(0, mkdir(CGROUP, 0755));
	ASSERT_EQ(0, write_string(CGROUP "/memory.max", CGROUP_MAX));
	ASSERT_EQ(0, write_string(CGROUP "/memory.swap.max", CGROUP_SWAP_MAX));

	ASSERT_EQ(0, start_other(bystander, &variant->params,
				 CGROUP "/cgroup.procs"));
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", bystander->pid);
	ASSERT_EQ(0, write_string(path, "-1000"));
	self->reclaimer = fork();
	ASSERT_GE(self->reclaimer, 0);
	if (!self->reclaimer)
		reclaim_forever();
}

FIXTURE_TEARDOWN(memcg)
{
	ASSERT_INVARIANTS();
	kill(self->reclaimer, SIGKILL);
	wait_child(self->reclaimer);
	ASSERT_EQ(0, end_other(&self->bystander));
	/* A task is in its cgroup for a little longer than waitpid() says. */
	for (int i = 0; i < 100 && rmdir(CGROUP); i++)
		usleep(10000);
	if (!self->enabled)
		write_string(SUBTREE_CONTROL, "-memory");
}

/* Returns if no memory is to be had in any other way. */
static int grow_until_killed(void)
{
	unsigned long nr = (1UL << 20) / psize();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write_string(CGROUP "/cgroup.procs", "0") ||
	    write_string("/proc/self/oom_score_adj", "1000"))
		return 1;
	for (unsigned long i = 0; i < 1024; i++) {
		char *reserved = reserve(nr + 2);
		char *ptr = reserved ?
			    map_anon(reserved + psize(), nr, RW) : NULL;

		if (!ptr)
			return 2;
		if (i & 1)
			madvise(ptr, bytes(nr), MADV_HUGEPAGE);
		fill_pages(ptr, 0, nr, SEED_B);
		if (find_bad_page(ptr, 0, nr, SEED_B) >= 0)
			return 3;
	}
	return 4;
}

/*
 *	hog                  bystander
 *	|----|  |----|  ..   |-----------|
 *	|    |  |    |       |   area    |  in and out of swap; twice
 *	|----|  |----|  OOM  |-----------|
 */
TEST_F_TIMEOUT(memcg, oom, 120)
{
	struct other *bystander = &self->bystander;

	for (int i = 0; i < 2; i++) {
		pid_t hog = fork();
		int status;

		ASSERT_GE(hog, 0);
		if (!hog)
			_exit(grow_until_killed());
		while (!waitpid(hog, &status, WNOHANG)) {
			ASSERT_OTHER(bystander, VERIFY);
			usleep(10000);
		}
		ASSERT_TRUE(WIFSIGNALED(status))
			TH_LOG("the hog ended with %d", WEXITSTATUS(status));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		ASSERT_LE(i + 1, oom_kills());
		ASSERT_OTHER(bystander, i ? VERIFY : REWRITE);
		ASSERT_OTHER(bystander, VERIFY);
		ASSERT_OTHER_VMA(bystander, area_vma_state(&bystander->area));
		ASSERT_INVARIANTS();
	}
}

static void *write_lock_forever(void *ptr)
{
	for (;;) {
		madvise(ptr, WRITERS_BYTES, MADV_DONTFORK);
		madvise(ptr, WRITERS_BYTES, MADV_DOFORK);
	}
	return NULL;
}

/* One VMA, larger than the cgroup, whose faults have to swap its pages out. */
static int fault_beside_writer(void)
{
	unsigned long nr = WRITERS_BYTES / psize();
	pthread_t writer;
	char *ptr;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write_string(CGROUP "/cgroup.procs", "0"))
		return 1;
	ptr = reserve(nr + 2);
	ptr = ptr ? map_anon(ptr + psize(), nr, RW) : NULL;
	if (!ptr || pthread_create(&writer, NULL, write_lock_forever, ptr))
		return 2;
	fill_pages(ptr, 0, nr, SEED_A);
	return find_bad_page(ptr, 0, nr, SEED_A) >= 0 ? 3 : 0;
}

/*
 *	thread 1		thread 2
 *	|-----------|		|-----------|
 *	|  faults,  |		|  madvise  |  one VMA: the writer waits for the
 *	|  reclaims |		|  all of it|  fault, which must not wait for it
 *	|-----------|		|-----------|
 */
TEST_F_TIMEOUT(memcg, fault_beside_writer, 120)
{
	unsigned long before = oom_kills();
	pid_t pid;

	kill(self->reclaimer, SIGSTOP);
	ASSERT_EQ(0, write_string(CGROUP "/memory.max", "8388608"));
	ASSERT_EQ(0, write_string(CGROUP "/memory.swap.max", "max"));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(fault_beside_writer());
	ASSERT_EQ(0, wait_child(pid));
	ASSERT_EQ(before, oom_kills());
	ASSERT_OTHER(&self->bystander, VERIFY);
	kill(self->reclaimer, SIGCONT);
}

/*
 *	another process
 *	|-----------|            |           |
 *	|  pinned   |  =munmap>  |           |  while reclaim goes on
 *	|-----------|            |           |
 */
TEST_F_TIMEOUT(memcg, reclaim_pinned, 120)
{
	struct other *bystander = &self->bystander;

	if (access(GUP_DEBUGFS, R_OK | W_OK))
		SKIP(return, "needs CONFIG_GUP_TEST, debugfs and root");
	ASSERT_OTHER(bystander, PIN_AND_UNMAP);
	for (int i = 0; i < 10; i++) {
		ASSERT_OTHER(bystander, VERIFY_PINS);
		usleep(50000);
	}
}

TEST_HARNESS_MAIN
