// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc tells about owned folios is what it tells about any others: a
 * marked and an upgraded VMA with the same content are compared field by field.
 */
#include "kselftest_harness.h"
#include <fcntl.h>
#include <sys/ioctl.h>

#include "test_area.h"
#include "zram_swap.h"

#define RW		(PROT_READ | PROT_WRITE)
#define MAX_FIELDS	48

#ifndef MADV_FREE
#define MADV_FREE	8
#endif

/* As masks, like the few that vm_util.h has. */
#define KPF_LOCKED	BIT_ULL(0)
#define KPF_REFERENCED	BIT_ULL(2)
#define KPF_LRU		BIT_ULL(5)
#define KPF_ACTIVE	BIT_ULL(6)
#define KPF_WRITEBACK	BIT_ULL(8)
#define KPF_RECLAIM	BIT_ULL(9)
#define KPF_MMAP	BIT_ULL(11)
#define KPF_ANON	BIT_ULL(12)
#define KPF_SWAPBACKED	BIT_ULL(14)
#define KPF_UNEVICTABLE	BIT_ULL(18)
#define KPF_KSM		BIT_ULL(21)
#define KPF_IDLE	BIT_ULL(25)

static bool have_swap;

/* Before the first test is forked, so that it lasts until the last one. */
static void __attribute__((constructor)) setup_swap(void)
{
	have_swap = zram_swap_on();
}

/* A line of smaps or a word of numa_maps. */
struct field {
	char name[24];
	char value[160];
};

/* All that is compared, about @nr pages. */
struct report {
	int nr_smaps, nr_numa, nr_regions;
	struct field smaps[MAX_FIELDS];
	struct field numa[MAX_FIELDS];
	struct page_region *regions;	/* of PAGEMAP_SCAN, from the first page */
	uint64_t *pagemap, *flags, *count, *cgroup;
	unsigned char *mincore;
};

static void free_report(struct report *report)
{
	free(report->regions);
	free(report->pagemap);
	free(report->flags);
	free(report->count);
	free(report->cgroup);
	free(report->mincore);
}

static void add_field(struct field *fields, int *nr, const char *name,
		      const char *value)
{
	if (*nr == MAX_FIELDS)
		ksft_exit_fail_msg("more than %d fields\n", MAX_FIELDS);
	snprintf(fields[*nr].name, sizeof(fields->name), "%s", name);
	snprintf(fields[*nr].value, sizeof(fields->value), "%s", value);
	++*nr;
}

/* The lines after that with the addresses of the VMA that starts at @addr. */
static int read_smaps(struct report *report, const char *addr)
{
	bool inside = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');
		unsigned long start, end;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = start == (unsigned long)addr;
		} else if (inside && value) {
			*value++ = '\0';
			add_field(report->smaps, &report->nr_smaps, line,
				  value + strspn(value, " "));
		}
	}
	fclose(f);
	return report->nr_smaps ? 0 : -ENOENT;
}

/* The words after the address, but not which nodes the pages came from. */
static int read_numa_maps(struct report *report, const char *addr)
{
	char line[512];
	FILE *f = fopen("/proc/self/numa_maps", "r");

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), f)) {
		char *word, *rest = NULL;
		unsigned long start;

		if (sscanf(line, "%lx ", &start) != 1 ||
		    start != (unsigned long)addr)
			continue;
		line[strcspn(line, "\n")] = '\0';
		strtok_r(line, " ", &rest);
		while ((word = strtok_r(NULL, " ", &rest))) {
			size_t len = strcspn(word, "=");
			bool node = word[0] == 'N' && len < strlen(word);

			/* How active the pages are is reclaim's business. */
			if (node || !strncmp(word, "active=", 7))
				continue;
			add_field(report->numa, &report->nr_numa, word,
				  word[len] ? word + len + 1 : "");
			report->numa[report->nr_numa - 1].name[len] = '\0';
		}
	}
	fclose(f);
	return report->nr_numa ? 0 : -ENOENT;
}

static int scan_pagemap(struct report *report, char *addr, unsigned long nr,
			int fd)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (unsigned long)addr,
		.end = (unsigned long)addr + bytes(nr),
		.vec = (unsigned long)report->regions,
		.vec_len = nr,
		.return_mask = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN |
			       PAGE_IS_FILE | PAGE_IS_PRESENT |
			       PAGE_IS_SWAPPED | PAGE_IS_PFNZERO |
			       PAGE_IS_HUGE | PAGE_IS_SOFT_DIRTY,
	};

	report->nr_regions = ioctl(fd, PAGEMAP_SCAN, &arg);
	if (report->nr_regions < 0)
		return -errno;
	for (int i = 0; i < report->nr_regions; i++) {
		report->regions[i].start -= (unsigned long)addr;
		report->regions[i].end -= (unsigned long)addr;
	}
	return 0;
}

#define PM_FRAME	((1ULL << 55) - 1)

/* What @path has of each frame that an entry of @pagemap names. */
static int read_kpages(const char *path, const uint64_t *pagemap,
		       unsigned long nr, uint64_t *values)
{
	int fd = open(path, O_RDONLY);
	int err = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (unsigned long i = 0; i < nr && !err; i++)
		if (pagemap[i] & PM_PRESENT &&
		    pread(fd, &values[i], sizeof(values[i]),
			  (pagemap[i] & PM_FRAME) * sizeof(values[i])) !=
		    sizeof(values[i]))
			err = -EIO;
	close(fd);
	return err;
}

/* What reclaim, writeback and other CPUs' batches change on their own. */
#define VOLATILE_FLAGS	(KPF_LOCKED | KPF_REFERENCED | KPF_ACTIVE |	\
			 KPF_WRITEBACK | KPF_RECLAIM | KPF_IDLE)

static int get_report(struct report *report, char *addr, unsigned long nr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	int err;

	memset(report, 0, sizeof(*report));
	report->regions = calloc(nr, sizeof(*report->regions));
	report->pagemap = calloc(nr, sizeof(uint64_t));
	report->flags = calloc(nr, sizeof(uint64_t));
	report->count = calloc(nr, sizeof(uint64_t));
	report->cgroup = calloc(nr, sizeof(uint64_t));
	report->mincore = calloc(nr, 1);
	if (fd < 0 || !report->regions || !report->pagemap || !report->flags ||
	    !report->count || !report->cgroup || !report->mincore)
		return -ENOMEM;

	drain_lru_batches();
	err = read_smaps(report, addr);
	if (!err)
		err = read_numa_maps(report, addr);
	if (!err)
		err = scan_pagemap(report, addr, nr, fd);
	if (!err && mincore(addr, bytes(nr), report->mincore))
		err = -errno;

	for (unsigned long i = 0; i < nr; i++)
		report->pagemap[i] = pagemap_get_entry(fd, addr + bytes(i));
	if (!err)
		err = read_kpages("/proc/kpageflags", report->pagemap, nr,
				  report->flags);
	if (!err)
		err = read_kpages("/proc/kpagecount", report->pagemap, nr,
				  report->count);
	if (!err)
		err = read_kpages("/proc/kpagecgroup", report->pagemap, nr,
				  report->cgroup);
	for (unsigned long i = 0; i < nr; i++) {
		report->pagemap[i] &= ~PM_FRAME;
		report->flags[i] &= ~VOLATILE_FLAGS;
	}
	close(fd);
	return err;
}

static bool same_fields(const char *what, const struct field *a, int nr_a,
			const struct field *b, int nr_b)
{
	bool same = nr_a == nr_b;

	for (int i = 0; i < nr_a && i < nr_b; i++) {
		if (!strcmp(a[i].name, b[i].name) &&
		    !strcmp(a[i].value, b[i].value))
			continue;
		ksft_print_msg("%s: marked %s %s, upgraded %s %s\n", what,
			       a[i].name, a[i].value, b[i].name, b[i].value);
		same = false;
	}
	if (nr_a != nr_b)
		ksft_print_msg("%s: %d and %d fields\n", what, nr_a, nr_b);
	return same;
}

static bool same_pages(const char *what, const uint64_t *a, const uint64_t *b,
		       unsigned long nr)
{
	for (unsigned long i = 0; i < nr; i++) {
		if (a[i] == b[i])
			continue;
		ksft_print_msg("%s of page %lu: marked %#llx, upgraded %#llx\n",
			       what, i, (unsigned long long)a[i],
			       (unsigned long long)b[i]);
		return false;
	}
	return true;
}

static bool same_regions(const struct report *a, const struct report *b)
{
	bool same = a->nr_regions == b->nr_regions;

	for (int i = 0; same && i < a->nr_regions; i++) {
		same = a->regions[i].start == b->regions[i].start &&
		       a->regions[i].end == b->regions[i].end &&
		       a->regions[i].categories == b->regions[i].categories;
		if (!same)
			ksft_print_msg("region %d to %#llx is %#llx, to %#llx %#llx\n",
				       i, a->regions[i].end,
				       a->regions[i].categories,
				       b->regions[i].end,
				       b->regions[i].categories);
	}
	if (a->nr_regions != b->nr_regions)
		ksft_print_msg("PAGEMAP_SCAN: %d and %d regions\n",
			       a->nr_regions, b->nr_regions);
	return same;
}

static bool same_reports(const struct report *a, const struct report *b,
			 unsigned long nr)
{
	bool same = true;

	same &= same_fields("smaps", a->smaps, a->nr_smaps, b->smaps,
			    b->nr_smaps);
	same &= same_fields("numa_maps", a->numa, a->nr_numa, b->numa,
			    b->nr_numa);
	same &= same_regions(a, b);
	same &= same_pages("pagemap", a->pagemap, b->pagemap, nr);
	same &= same_pages("kpageflags", a->flags, b->flags, nr);
	same &= same_pages("kpagecount", a->count, b->count, nr);
	same &= same_pages("kpagecgroup", a->cgroup, b->cgroup, nr);
	same &= !memcmp(a->mincore, b->mincore, nr);
	return same;
}

/* A number of kB, -1 if there is no such line. */
static long smaps_kb(const struct report *report, const char *name)
{
	for (int i = 0; i < report->nr_smaps; i++)
		if (!strcmp(report->smaps[i].name, name))
			return strtol(report->smaps[i].value, NULL, 10);
	return -1;
}

static unsigned long count_bits(const uint64_t *values, unsigned long nr,
				uint64_t bits)
{
	unsigned long count = 0;

	for (unsigned long i = 0; i < nr; i++)
		if ((values[i] & bits) == bits)
			count++;
	return count;
}

/*
 *	|-----------|        |-----------|
 *	|  marked   |        | upgraded  |  by a fork before the other was there, or
 *	|-----------|        |-----------|  inherited
 */
FIXTURE(report)
{
	struct area marked, upgraded;
	struct report a, b;
	unsigned long nr;
	long kb;
};

FIXTURE_VARIANT(report)
{
	struct area_params marked, upgraded;
};

FIXTURE_VARIANT_ADD(report, anon)
{
	.marked = { .history = AREA_MARKED },
	.upgraded = { .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(report, anon_child)
{
	.marked = { .history = AREA_MARKED },
	.upgraded = { .history = AREA_CHILD },
};

FIXTURE_VARIANT_ADD(report, file)
{
	.marked = { .file = true },
	.upgraded = { .file = true, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(report, mthp)
{
	.marked = { .folios = AREA_MTHP },
	.upgraded = { .folios = AREA_MTHP, .history = AREA_UPGRADED },
};

FIXTURE_VARIANT_ADD(report, pmd)
{
	.marked = { .folios = AREA_PMD },
	.upgraded = { .folios = AREA_PMD, .history = AREA_UPGRADED },
};

FIXTURE_SETUP(report)
{
	SKIP_WITHOUT_FOLIOS(return, variant->marked.folios);
	if (access("/proc/kpageflags", R_OK))
		SKIP(return, "needs CONFIG_PROC_PAGE_MONITOR and root");
	ASSERT_EQ(0, area_map(&self->upgraded, &variant->upgraded));
	/* Nothing is shared with a parent any more. */
	fill_pages(self->upgraded.ptr, 0, self->upgraded.nr, SEED_AREA);
	ASSERT_EQ(0, area_map(&self->marked, &variant->marked));
	self->nr = self->marked.nr;
	self->kb = bytes(self->nr) >> 10;
	ASSERT_EQ(self->nr, self->upgraded.nr);
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_STATE(self->upgraded.ptr, "anon_vma");
}

FIXTURE_TEARDOWN(report)
{
	ASSERT_INVARIANTS();
	free_report(&self->a);
	free_report(&self->b);
	ASSERT_EQ(0, area_unmap(&self->marked));
	ASSERT_EQ(0, area_unmap(&self->upgraded));
}

/* Get both reports into self->a and self->b: they are the same. */
#define ASSERT_SAME_REPORTS() do {					\
	free_report(&self->a);						\
	free_report(&self->b);						\
	ASSERT_EQ(0, get_report(&self->a, self->marked.ptr, self->nr));	\
	ASSERT_EQ(0, get_report(&self->b, self->upgraded.ptr, self->nr)); \
	ASSERT_TRUE(same_reports(&self->a, &self->b, self->nr));	\
} while (0)

#define ASSERT_SMAPS(expected, name) \
	ASSERT_EQ(expected, smaps_kb(&self->a, name))

#define ASSERT_PAGEMAP(expected, bits) \
	ASSERT_EQ(expected, count_bits(self->a.pagemap, self->nr, bits))

#define ASSERT_KPF(expected, bits) \
	ASSERT_EQ(expected, count_bits(self->a.flags, self->nr, bits))

#define ASSERT_AREAS() do {						\
	ASSERT_AREA(&self->marked);					\
	ASSERT_AREA(&self->upgraded);					\
} while (0)

/* Both areas: a call of madvise() and the like. */
#define ASSERT_BOTH(call, ...) do {					\
	struct area *__areas[] = { &self->marked, &self->upgraded };	\
									\
	for (int __i = 0; __i < 2; __i++)				\
		ASSERT_EQ(0, call(__areas[__i]->ptr, bytes(self->nr),	\
				  ##__VA_ARGS__));			\
} while (0)

/*
 *	|-----------|
 *	|  written  |  anonymous, exclusive, mapped once, dirty
 *	|-----------|
 */
TEST_F(report, written)
{
	bool pmd = variant->marked.folios == AREA_PMD;
	bool large = variant->marked.folios != AREA_SMALL;

	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_SMAPS(self->kb, "Size");
	ASSERT_SMAPS(self->kb, "Rss");
	ASSERT_SMAPS(self->kb, "Pss");
	ASSERT_SMAPS(self->kb, "Private_Dirty");
	ASSERT_SMAPS(0, "Shared_Dirty");
	ASSERT_SMAPS(0, "Shared_Clean");
	ASSERT_SMAPS(self->kb, "Anonymous");
	ASSERT_SMAPS(0, "KSM");
	ASSERT_SMAPS(0, "Swap");
	ASSERT_SMAPS(pmd ? self->kb : 0, "AnonHugePages");
	ASSERT_PAGEMAP(self->nr, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	ASSERT_PAGEMAP(0, PM_FILE);
	ASSERT_KPF(self->nr, KPF_ANON);
	ASSERT_KPF(self->nr, KPF_SWAPBACKED);
	ASSERT_KPF(self->nr, KPF_MMAP);
	ASSERT_KPF(self->nr, KPF_LRU);
	ASSERT_KPF(0, KPF_KSM);
	ASSERT_KPF(large ? self->nr : 0, KPF_THP);
	for (unsigned long i = 0; i < self->nr; i++)
		ASSERT_EQ(1, self->a.count[i]);
	ASSERT_AREAS();
}

/*
 *	|-----+-----+-----+-----|
 *	|  x  |     |  x  |  r  |  written, not there, written, read
 *	|-----+-----+-----+-----|
 */
TEST_F(report, sparse)
{
	unsigned long quarter = self->nr / 4;
	struct area *areas[] = { &self->marked, &self->upgraded };

	for (int i = 0; i < 2; i++) {
		struct area *area = areas[i];

		ASSERT_EQ(0, madvise(area_page(area, quarter), bytes(quarter),
				     MADV_DONTNEED));
		ASSERT_EQ(0, madvise(area_page(area, 3 * quarter),
				     bytes(quarter), MADV_DONTNEED));
	}
	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_SMAPS(self->kb / 2, "Rss");
	ASSERT_SMAPS(self->kb / 2, "Anonymous");
	ASSERT_PAGEMAP(2 * quarter, PM_PRESENT);

	for (int i = 0; i < 2; i++) {
		struct area *area = areas[i];
		unsigned int seed = area_untouched_seed(area);

		ASSERT_PAGES(area_page(area, 3 * quarter), 3 * quarter, quarter,
			     seed);
		/* Fault-around has mapped the file's pages beside those. */
		ASSERT_EQ(0, madvise(area_page(area, quarter), bytes(quarter),
				     MADV_DONTNEED));
	}
	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_PAGEMAP(3 * quarter, PM_PRESENT);
	ASSERT_PAGEMAP(variant->marked.file ? quarter : 0, PM_FILE);
	for (int i = 0; i < 2; i++) {
		struct area *area = areas[i];

		ASSERT_PAGES(area->ptr, 0, quarter, SEED_AREA);
		ASSERT_PAGES(area_page(area, 2 * quarter), 2 * quarter, quarter,
			     SEED_AREA);
	}
}

/*
 *	|-----------|          |-----------|          |-----------|
 *	|  swapped  |  =read>  |   clean   |  =write> |  written  |
 *	|-----------|          |-----------|          |-----------|
 */
TEST_F(report, swapped)
{
	if (!have_swap)
		SKIP(return, "no swap and no zram device to be set up");
	ASSERT_EQ(0, pageout(self->marked.ptr, self->nr));
	ASSERT_EQ(0, pageout(self->upgraded.ptr, self->nr));
	ASSERT_SAME_REPORTS();
	ASSERT_VMA(self->marked.ptr, "owned");
	ASSERT_SMAPS(0, "Rss");
	ASSERT_SMAPS(self->kb, "Swap");
	ASSERT_SMAPS(self->kb, "SwapPss");
	ASSERT_PAGEMAP(self->nr, PM_SWAP);
	ASSERT_PAGEMAP(0, PM_PRESENT);

	ASSERT_AREAS();
	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_SMAPS(self->kb, "Anonymous");
	ASSERT_SMAPS(0, "Swap");
	ASSERT_PAGEMAP(self->nr, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	ASSERT_KPF(self->nr, KPF_ANON);

	fill_pages(self->marked.ptr, 0, self->nr, SEED_A);
	fill_pages(self->upgraded.ptr, 0, self->nr, SEED_A);
	ASSERT_SAME_REPORTS();
	ASSERT_SMAPS(self->kb, "Private_Dirty");
	ASSERT_PAGES(self->marked.ptr, 0, self->nr, SEED_A);
	ASSERT_PAGES(self->upgraded.ptr, 0, self->nr, SEED_A);
}

/*
 *	|-----------|
 *	|  locked   |  and read-only
 *	|-----------|
 */
TEST_F(report, locked)
{
	ASSERT_BOTH(mprotect, PROT_READ);
	ASSERT_SAME_REPORTS();
	ASSERT_BOTH(mlock);
	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_SMAPS(self->kb, "Locked");
	ASSERT_SMAPS(self->kb, "Anonymous");
	ASSERT_KPF(self->nr, KPF_UNEVICTABLE);
	ASSERT_AREAS();

	ASSERT_BOTH(munlock);
	ASSERT_BOTH(mprotect, RW);
	ASSERT_SAME_REPORTS();
	ASSERT_SMAPS(0, "Locked");
	ASSERT_KPF(0, KPF_UNEVICTABLE);
	ASSERT_AREAS();
}

/*
 *	|-----------|            |-----------|
 *	|   free    |  =write>   |  written  |  not swap-backed in between
 *	|-----------|            |-----------|
 */
TEST_F(report, lazyfree)
{
	if (variant->marked.file)
		SKIP(return, "MADV_FREE is for anonymous mappings");
	/* It leaves what another CPU still has in a batch. */
	drain_lru_batches();
	ASSERT_BOTH(madvise, MADV_FREE);
	ASSERT_SAME_REPORTS();
	ASSERT_STATE(self->marked.ptr, "owned");
	ASSERT_SMAPS(self->kb, "LazyFree");
	ASSERT_SMAPS(self->kb, "Anonymous");
	ASSERT_KPF(self->nr, KPF_ANON);
	ASSERT_KPF(0, KPF_SWAPBACKED);

	fill_pages(self->marked.ptr, 0, self->nr, SEED_AREA);
	fill_pages(self->upgraded.ptr, 0, self->nr, SEED_AREA);
	ASSERT_SAME_REPORTS();
	ASSERT_SMAPS(self->kb, "Private_Dirty");
	ASSERT_AREAS();
}

/*
 *	parent            child
 *	|-----------|     |-----------|
 *	|  shared   |  => |  shared   |  mapped twice, and exclusive again
 *	|-----------|     |-----------|
 */
TEST_F(report, forked)
{
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(go[1]);
		ASSERT_SAME_REPORTS();
		ASSERT_PAGEMAP(0, PM_MMAP_EXCLUSIVE);
		ASSERT_SMAPS(self->kb, "Anonymous");
		ASSERT_AREAS();
		ASSERT_EQ(0, read(go[0], &c, 1));
		fill_pages(self->marked.ptr, 0, self->nr, SEED_A);
		fill_pages(self->upgraded.ptr, 0, self->nr, SEED_A);
		ASSERT_SAME_REPORTS();
		ASSERT_SMAPS(self->kb, "Private_Dirty");
		ASSERT_PAGEMAP(self->nr, PM_PRESENT | PM_MMAP_EXCLUSIVE);
		_exit(0);
	}
	ASSERT_STATE(self->marked.ptr, "anon_vma");
	ASSERT_SAME_REPORTS();
	ASSERT_SMAPS(self->kb, "Anonymous");
	ASSERT_PAGEMAP(0, PM_MMAP_EXCLUSIVE);
	ASSERT_KPF(self->nr, KPF_ANON);
	for (unsigned long i = 0; i < self->nr; i++)
		ASSERT_EQ(2, self->a.count[i]);
	close(go[1]);
	ASSERT_EQ(0, wait_child(pid));
	close(go[0]);
	ASSERT_SAME_REPORTS();
	ASSERT_PAGEMAP(self->nr, PM_PRESENT | PM_MMAP_EXCLUSIVE);
	ASSERT_AREAS();
}

TEST_HARNESS_MAIN
