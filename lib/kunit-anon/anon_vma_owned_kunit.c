// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for VMA-owned anonymous folios, see include/linux/vma_owned.h.
 *
 * Every test has an mm of its own, to which page faults, mmap() and the like
 * do what they do to a process. expect_invariants() is to follow each of them.
 *
 * Without CONFIG_PER_VMA_LOCK no VMA is ever marked, and the same tests check
 * that each behaves as it does after an upgrade.
 */
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/error-injection.h>
#include <linux/kprobes.h>
#include <linux/ksm.h>
#include <linux/kthread.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

#include <asm/tlb.h>

#include "../../mm/internal.h"

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

#define MAPPING_BITS	(FOLIO_MAPPING_FLAGS | FOLIO_MAPPING_OWNED)
#define AT(page)	((unsigned long)SZ_1G + (page) * PAGE_SIZE)

/* Stays where it is: nobody else changes the mm of a test. */
static struct vm_area_struct *vma_of(struct kunit *test, struct mm_struct *mm,
				     unsigned long addr)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	mmap_read_unlock(mm);
	KUNIT_ASSERT_NOT_NULL(test, vma);
	return vma;
}

static struct vm_area_struct *vma_at(struct kunit *test, unsigned long addr)
{
	return vma_of(test, current->mm, addr);
}

static struct vm_area_struct *map_file(struct kunit *test, struct file *file,
				       unsigned long addr, unsigned long nr)
{
	const unsigned long flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE |
				    (file ? 0 : MAP_ANONYMOUS);

	KUNIT_ASSERT_EQ(test, addr,
			kunit_vm_mmap(test, file, addr, nr * PAGE_SIZE,
				      PROT_READ | PROT_WRITE, flags, 0));
	return vma_at(test, addr);
}

static struct vm_area_struct *map(struct kunit *test, unsigned long addr,
				  unsigned long nr)
{
	return map_file(test, NULL, addr, nr);
}

/* Writes its own address to each page. */
static void touch(struct kunit *test, unsigned long addr, unsigned long nr)
{
	for (; nr--; addr += PAGE_SIZE)
		KUNIT_ASSERT_EQ(test, 0,
				put_user(addr, (unsigned long __user *)addr));
}

/* What touch() wrote at @from is now at @addr. */
static void expect_data_from(struct kunit *test, unsigned long addr,
			     unsigned long from, unsigned long nr)
{
	unsigned long val;

	for (; nr--; addr += PAGE_SIZE, from += PAGE_SIZE) {
		KUNIT_ASSERT_EQ(test, 0,
				get_user(val, (unsigned long __user *)addr));
		KUNIT_EXPECT_EQ(test, val, from);
	}
}

static void expect_data(struct kunit *test, unsigned long addr,
			unsigned long nr)
{
	expect_data_from(test, addr, addr, nr);
}

static void expect_upgraded(struct kunit *test, struct vm_area_struct *vma)
{
	KUNIT_EXPECT_NULL(test, anon_vma_owner(vma->anon_vma));
	KUNIT_EXPECT_NOT_NULL(test, anon_vma_deref(vma->anon_vma));
}

static void expect_marked(struct kunit *test, struct vm_area_struct *vma)
{
	if (IS_ENABLED(CONFIG_PER_VMA_LOCK))
		KUNIT_EXPECT_PTR_EQ(test, anon_vma_owner(vma->anon_vma), vma);
	else
		expect_upgraded(test, vma);
}

static bool folio_fits(struct folio *folio, struct page *page,
		       struct vm_area_struct *vma, unsigned long addr)
{
	struct anon_vma *anon_vma = anon_vma_deref(vma->anon_vma);

	if (folio_mapping(folio) || page_address_in_vma(folio, page, vma) != addr)
		return false;
	if (anon_vma)
		return !folio_test_owned(folio) &&
		       folio_anon_vma(folio)->root == anon_vma->root;
	return folio_test_owned(folio) && !folio_anon_vma(folio) &&
	       anon_vma_owner(folio_raw_mapping(folio)) == vma;
}

/* I1, I4 and I8 for all @nr_anon pages of anonymous folios that @mm maps. */
static void __expect_invariants(struct kunit *test, struct mm_struct *mm,
				unsigned long nr_anon)
{
	VMA_ITERATOR(vmi, mm, 0);
	unsigned long addr, nr = 0, nr_bad = 0;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	for_each_vma(vmi, vma) {
		struct anon_vma *anon_vma = anon_vma_deref(vma->anon_vma);

		KUNIT_EXPECT_EQ(test, !anon_vma,
				list_empty(&vma->anon_vma_chain));
		KUNIT_EXPECT_EQ(test, 0, (unsigned long)anon_vma & MAPPING_BITS);
		KUNIT_EXPECT_EQ(test, 0, (unsigned long)vma & MAPPING_BITS);

		for (addr = vma->vm_start; addr < vma->vm_end; addr += PAGE_SIZE) {
			struct folio_walk fw;
			struct folio *folio = folio_walk_start(&fw, vma, addr, 0);

			if (!folio)
				continue;
			if (folio_test_anon(folio) && !folio_test_ksm(folio)) {
				nr++;
				nr_bad += !folio_fits(folio, fw.page, vma, addr);
			}
			folio_walk_end(&fw, vma);
		}
	}
	validate_mm(mm);
	mmap_read_unlock(mm);

	KUNIT_EXPECT_EQ(test, nr, nr_anon);
	KUNIT_EXPECT_EQ(test, nr_bad, 0);
}

static void expect_invariants(struct kunit *test, unsigned long nr_anon)
{
	__expect_invariants(test, current->mm, nr_anon);
}

static void expect_nr_vmas(struct kunit *test, int nr)
{
	KUNIT_EXPECT_EQ(test, current->mm->map_count, nr);
}

/* The folio at @addr, with a reference that the caller puts. */
static struct folio *get_folio(struct kunit *test, unsigned long addr)
{
	struct vm_area_struct *vma = vma_at(test, addr);
	struct folio_walk fw;
	struct folio *folio;

	mmap_read_lock(current->mm);
	folio = folio_walk_start(&fw, vma, addr, 0);
	if (folio) {
		folio_get(folio);
		folio_walk_end(&fw, vma);
	}
	mmap_read_unlock(current->mm);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	return folio;
}

/* A folio of that order is at @addr, PMD-mapped if it is as large as that. */
static void expect_order(struct kunit *test, unsigned long addr,
			 unsigned int order)
{
	struct folio *folio = get_folio(test, addr);

	KUNIT_EXPECT_EQ(test, folio_order(folio), order);
	if (folio_test_large(folio))
		KUNIT_EXPECT_EQ(test, folio_entire_mapcount(folio),
				order == ilog2(PMD_SIZE / PAGE_SIZE));
	folio_put(folio);
}

static int upgrade(struct vm_area_struct *vma)
{
	int err;

	mmap_write_lock(vma->vm_mm);
	err = anon_vma_upgrade(vma, NULL);
	mmap_write_unlock(vma->vm_mm);
	return err;
}

static int protect(unsigned long addr, unsigned long nr, vm_flags_t access)
{
	VMA_ITERATOR(vmi, current->mm, addr);
	const unsigned long end = addr + nr * PAGE_SIZE;
	struct vm_area_struct *vma, *prev;
	struct mm_struct *mm = current->mm;
	struct mmu_gather tlb;
	int err = -ENOMEM;

	mmap_write_lock(mm);
	vma = vma_find(&vmi, end);
	prev = vma_prev(&vmi);
	if (vma && addr > vma->vm_start)
		prev = vma;
	tlb_gather_mmu(&tlb, mm);
	for_each_vma_range(vmi, vma, end) {
		err = mprotect_fixup(&vmi, &tlb, vma, &prev,
				     max(addr, vma->vm_start),
				     min(end, vma->vm_end),
				     (vma->vm_flags & ~VM_ACCESS_FLAGS) | access);
		if (err)
			break;
	}
	tlb_finish_mmu(&tlb);
	mmap_write_unlock(mm);
	return err;
}

/* The encoding */

static void encoding_round_trip(struct kunit *test)
{
	int bit;

	for (bit = ilog2(MAPPING_BITS + 1); bit < BITS_PER_LONG; bit++) {
		const unsigned long ptr = BIT(bit);
		struct anon_vma __noderef *ref = anon_vma_mark((void *)ptr);

		if (IS_ENABLED(CONFIG_PER_VMA_LOCK)) {
			KUNIT_EXPECT_EQ(test, ptr,
					(unsigned long)anon_vma_owner(ref));
			KUNIT_EXPECT_NULL(test, anon_vma_deref(ref));
		}

		ref = (struct anon_vma __noderef __force *)ptr;
		KUNIT_EXPECT_NULL(test, anon_vma_owner(ref));
		KUNIT_EXPECT_EQ(test, ptr, (unsigned long)anon_vma_deref(ref));
	}

	KUNIT_EXPECT_NULL(test, anon_vma_owner(NULL));
	KUNIT_EXPECT_NULL(test, anon_vma_deref(NULL));
}

static void encoding_folio_mapping(struct kunit *test)
{
	struct folio *folio = folio_alloc(GFP_KERNEL, 0);
	void *ptr = PTR_ALIGN((void *)test, MAPPING_BITS + 1);
	unsigned long bits;

	KUNIT_ASSERT_NOT_NULL(test, folio);

	for (bits = 0; bits <= MAPPING_BITS; bits++) {
		const bool owned = IS_ENABLED(CONFIG_PER_VMA_LOCK) &&
			bits == (FOLIO_MAPPING_ANON | FOLIO_MAPPING_OWNED);

		/* Without an owner this bit belongs to the pointer. */
		void *pointer = ptr + (bits & FOLIO_MAPPING_OWNED);

		folio->mapping = ptr + bits;
		KUNIT_EXPECT_EQ(test, folio_test_owned(folio), owned);
		KUNIT_EXPECT_EQ(test, folio_test_anon(folio),
				!!(bits & FOLIO_MAPPING_ANON));
		KUNIT_EXPECT_EQ(test, folio_test_ksm(folio),
				IS_ENABLED(CONFIG_KSM) &&
				(bits & FOLIO_MAPPING_KSM) == FOLIO_MAPPING_KSM);
		KUNIT_EXPECT_PTR_EQ(test, (void *)folio_anon_vma(folio),
				    !owned && (bits & FOLIO_MAPPING_FLAGS) == FOLIO_MAPPING_ANON ?
				    pointer : NULL);
		KUNIT_EXPECT_PTR_EQ(test, (void *)folio_mapping(folio),
				    bits & FOLIO_MAPPING_FLAGS ? NULL : pointer);
		if (owned)
			KUNIT_EXPECT_PTR_EQ(test, ptr, (void *)
				anon_vma_owner(folio_raw_mapping(folio)));
	}

	folio->mapping = NULL;
	folio_put(folio);
}

/* The first fault */

static void first_touch(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	unsigned long val;

	/* This maps the zero page. */
	KUNIT_EXPECT_EQ(test, 0, get_user(val, (unsigned long __user *)AT(0)));
	KUNIT_EXPECT_NULL(test, anon_vma_owner(vma->anon_vma));
	KUNIT_EXPECT_NULL(test, anon_vma_deref(vma->anon_vma));

	touch(test, AT(0), 2);
	expect_marked(test, vma);
	expect_invariants(test, 2);

	touch(test, AT(2), 2);
	expect_marked(test, vma);
	expect_invariants(test, 4);
	expect_data(test, AT(0), 4);
}

/* The upgrade */

struct folio_kind {
	const char *name;
	unsigned int order;
	bool file;
	bool prot_none;
};

static const struct folio_kind folio_kinds[] = {
	{ .name = "small" },
	{ .name = "large", .order = 2 },
	{ .name = "PMD-mapped", .order = ilog2(PMD_SIZE / PAGE_SIZE) },
	{ .name = "private file", .file = true },
	{ .name = "PROT_NONE", .prot_none = true },
};

KUNIT_ARRAY_PARAM_DESC(folio_kind, folio_kinds, name);

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static void restore_orders(void *orders)
{
	WRITE_ONCE(huge_anon_orders_madvise, (unsigned long)orders);
}

/* Faults in the marked VMA at @addr are to allocate folios of this order. */
static void advise_order(struct kunit *test, unsigned long addr,
			 unsigned int order)
{
	void *orders = (void *)READ_ONCE(huge_anon_orders_madvise);

	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, restore_orders, orders));
	WRITE_ONCE(huge_anon_orders_madvise, BIT(order));
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, addr,
					    PAGE_SIZE << order, MADV_HUGEPAGE));
}
#else
static void advise_order(struct kunit *test, unsigned long addr,
			 unsigned int order)
{
	kunit_skip(test, "needs CONFIG_TRANSPARENT_HUGEPAGE");
}
#endif

static void close_file(void *file)
{
	fput(file);
}

/* Map and touch pages of that kind at AT(0), and return how many. */
static unsigned long populate(struct kunit *test, const struct folio_kind *kind)
{
	const unsigned long nr = kind->order ? 1UL << kind->order : 4;

	if (kind->file) {
		struct file *file = shmem_kernel_file_setup("anon_vma_owned",
						nr * PAGE_SIZE, EMPTY_VMA_FLAGS);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, close_file, file));
		/* One page more, which stays the file's. */
		map_file(test, file, AT(0), nr + 1);
	} else {
		map(test, AT(0), nr);
	}

	if (kind->order)
		advise_order(test, AT(0), kind->order);
	touch(test, AT(0), nr);
	expect_data(test, AT(0), nr);

	expect_order(test, AT(0), kind->order);
	if (kind->prot_none)
		KUNIT_ASSERT_EQ(test, 0, protect(AT(0), nr, 0));
	return nr;
}

static void upgrade_converts_all(struct kunit *test)
{
	const struct folio_kind *kind = test->param_value;
	const unsigned long nr = populate(test, kind);
	struct vm_area_struct *vma = vma_at(test, AT(0));
	struct anon_vma *anon_vma;

	expect_marked(test, vma);
	expect_invariants(test, nr);

	KUNIT_EXPECT_EQ(test, 0, upgrade(vma));
	expect_upgraded(test, vma);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&vma->anon_vma_chain));
	expect_order(test, AT(0), kind->order);
	expect_invariants(test, nr);

	/* A second one changes nothing. */
	anon_vma = anon_vma_deref(vma->anon_vma);
	KUNIT_EXPECT_EQ(test, 0, upgrade(vma));
	KUNIT_EXPECT_PTR_EQ(test, anon_vma, anon_vma_deref(vma->anon_vma));
	KUNIT_EXPECT_EQ(test, anon_vma->num_active_vmas, 1);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&vma->anon_vma_chain));
	expect_invariants(test, nr);

	if (kind->prot_none)
		KUNIT_ASSERT_EQ(test, 0, protect(AT(0), nr, VM_READ | VM_WRITE));
	expect_data(test, AT(0), nr);
}

/* An entry that a device has made of the PTE keeps the folio mapped. */
static void upgrade_converts_device_exclusive(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct folio *folio = NULL;
	struct page *page;

	if (!IS_ENABLED(CONFIG_DEVICE_PRIVATE))
		kunit_skip(test, "needs CONFIG_DEVICE_PRIVATE");

	touch(test, AT(0), 4);
	mmap_read_lock(current->mm);
	page = make_device_exclusive(current->mm, AT(1), NULL, &folio);
	mmap_read_unlock(current->mm);
	KUNIT_ASSERT_FALSE(test, IS_ERR(page));
	folio_unlock(folio);
	expect_marked(test, vma);
	expect_invariants(test, 3);

	KUNIT_EXPECT_EQ(test, 0, upgrade(vma));
	KUNIT_EXPECT_FALSE(test, folio_test_owned(folio));
	folio_put(folio);

	expect_data(test, AT(0), 4);
	expect_invariants(test, 4);
}

/* As a first fault does, so that the neighbours can merge later. */
static void upgrade_shares_with_neighbour(struct kunit *test)
{
	struct vm_area_struct *vma, *next;

	map(test, AT(0), 8);
	KUNIT_ASSERT_EQ(test, 0, protect(AT(4), 4, VM_ACCESS_FLAGS));
	touch(test, AT(0), 8);
	vma = vma_at(test, AT(0));
	next = vma_at(test, AT(4));

	KUNIT_EXPECT_EQ(test, 0, upgrade(vma));
	expect_marked(test, next);
	KUNIT_EXPECT_EQ(test, 0, upgrade(next));
	KUNIT_EXPECT_PTR_EQ(test, anon_vma_deref(vma->anon_vma),
			    anon_vma_deref(next->anon_vma));
	expect_invariants(test, 8);
}

/* What upgrades: split, merge, mremap, fork, VM_MERGEABLE and growth */

static int split_by_munmap(unsigned long addr, unsigned long nr)
{
	return vm_munmap(addr, nr * PAGE_SIZE);
}

static int split_by_madvise(unsigned long addr, unsigned long nr)
{
	return do_madvise(current->mm, addr, nr * PAGE_SIZE, MADV_DONTFORK);
}

static int split_by_mprotect(unsigned long addr, unsigned long nr)
{
	return protect(addr, nr, VM_READ);
}

static const struct split {
	const char *name;
	int (*split)(unsigned long addr, unsigned long nr);
	int nr_vmas;
	unsigned long nr_pages;
} splits[] = {
	{ "munmap", split_by_munmap, 2, 4 },
	{ "madvise", split_by_madvise, 3, 6 },
	{ "mprotect", split_by_mprotect, 3, 6 },
};

KUNIT_ARRAY_PARAM_DESC(split, splits, name);

static void split_upgrades(struct kunit *test)
{
	const struct split *param = test->param_value;
	struct vm_area_struct *vma = map(test, AT(0), 6);

	touch(test, AT(0), 6);
	expect_marked(test, vma);

	KUNIT_EXPECT_EQ(test, 0, param->split(AT(2), 2));
	expect_nr_vmas(test, param->nr_vmas);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_upgraded(test, vma_at(test, AT(4)));
	KUNIT_EXPECT_PTR_EQ(test,
			    anon_vma_deref(vma_at(test, AT(0))->anon_vma),
			    anon_vma_deref(vma_at(test, AT(4))->anon_vma));
	expect_invariants(test, param->nr_pages);
	expect_data(test, AT(0), 2);
	expect_data(test, AT(4), 2);
}

static void put_mm(void *mm)
{
	mmput(mm);
}

static struct mm_struct *fork_mm(struct kunit *test)
{
	struct mm_struct *mm = mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_mm, mm));
	mm->task_size = current->mm->task_size;
	KUNIT_ASSERT_EQ(test, 0, dup_mmap(mm, current->mm));
	return mm;
}

/* Go on as the child of a fork. */
static void become_child(struct kunit *test)
{
	struct mm_struct *child = fork_mm(test), *parent = current->mm;

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_mm, parent));
	kthread_unuse_mm(parent);
	mmget(child);
	kthread_use_mm(child);
}

enum vma_state { UNFAULTED, MARKED, UPGRADED, FORKED, NR_VMA_STATES };

static const char * const vma_state_names[] = {
	"unfaulted", "marked", "upgraded", "forked"
};

struct merge {
	enum vma_state prev, middle, next;
};

static const void *merge_gen_params(struct kunit *test, const void *last,
				    char *desc)
{
	static struct merge merge;

	if (!last) {
		merge = (struct merge) {};
	} else if (++merge.next == NR_VMA_STATES) {
		merge.next = UNFAULTED;
		if (++merge.middle == NR_VMA_STATES) {
			merge.middle = UNFAULTED;
			if (++merge.prev == NR_VMA_STATES)
				return NULL;
		}
	}
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, %s, %s",
		 vma_state_names[merge.prev], vma_state_names[merge.middle],
		 vma_state_names[merge.next]);
	return &merge;
}

static void bring_to(struct kunit *test, unsigned long addr, unsigned long nr,
		     enum vma_state state)
{
	if (state == MARKED || state == UPGRADED)
		touch(test, addr, nr);
	if (state == UPGRADED)
		KUNIT_ASSERT_EQ(test, 0, upgrade(vma_at(test, addr)));
}

/* How many of the three, four pages each, that are @vma now had been faulted. */
static int nr_of(const enum vma_state *states, struct vm_area_struct *vma)
{
	int i, nr = 0;

	for (i = 0; i < 3; i++)
		nr += states[i] != UNFAULTED && AT(4 * i) >= vma->vm_start &&
		      AT(4 * i) < vma->vm_end;
	return nr;
}

/*
 *  |  prev  | middle |  next  |      |           prev           |
 *  |   RW   |  RWX   |   RW   |  =>  |            RW            |
 *
 * unless what a fork child has inherited keeps them apart.
 */
static void merge_upgrades_all(struct kunit *test)
{
	const struct merge *param = test->param_value;
	const enum vma_state states[] = { param->prev, param->middle, param->next };
	bool left = param->prev != FORKED && param->middle != FORKED;
	bool right = param->next != FORKED && param->middle != FORKED;
	struct anon_vma *prev, *next;
	unsigned long nr = 0;
	int i;

	map(test, AT(0), 12);
	KUNIT_ASSERT_EQ(test, 0, protect(AT(4), 4, VM_ACCESS_FLAGS));
	expect_nr_vmas(test, 3);
	for (i = 0; i < 3; i++) {
		if (states[i] == FORKED)
			touch(test, AT(4 * i), 4);
		if (states[i] != UNFAULTED)
			nr += 4;
	}
	become_child(test);
	for (i = 0; i < 3; i++)
		bring_to(test, AT(4 * i), 4, states[i]);
	expect_invariants(test, nr);

	/* Two anon_vmas cannot become one. */
	prev = anon_vma_deref(vma_at(test, AT(0))->anon_vma);
	next = anon_vma_deref(vma_at(test, AT(8))->anon_vma);
	if (left && prev && next && prev != next)
		right = false;
	KUNIT_EXPECT_EQ(test, 0, protect(AT(4), 4, VM_READ | VM_WRITE));
	expect_nr_vmas(test, 3 - left - right);

	expect_invariants(test, nr);
	for (i = 0; i < 3; i++) {
		struct vm_area_struct *vma = vma_at(test, AT(4 * i));
		const bool merged = vma_pages(vma) > 4;

		if (states[i] == UNFAULTED)
			continue;
		/* The one that is extended stays marked if it just grows. */
		if (states[i] == MARKED &&
		    (!merged || (i == (left ? 0 : 2) && nr_of(states, vma) == 1)))
			expect_marked(test, vma);
		else
			expect_upgraded(test, vma);
		expect_data(test, AT(4 * i), 4);
	}

	touch(test, AT(0), 12);
	expect_invariants(test, 12);
}

/*
 *  |  prev  | middle |      |    prev    | mi |
 *  |   RW   |  RWX   |  =>  |     RW     |RWX |
 */
static void merge_upgrades_shifted_boundary(struct kunit *test)
{
	map(test, AT(0), 8);
	KUNIT_ASSERT_EQ(test, 0, protect(AT(4), 4, VM_ACCESS_FLAGS));
	touch(test, AT(0), 8);
	expect_marked(test, vma_at(test, AT(0)));
	expect_marked(test, vma_at(test, AT(4)));

	KUNIT_EXPECT_EQ(test, 0, protect(AT(4), 2, VM_READ | VM_WRITE));
	expect_nr_vmas(test, 2);
	KUNIT_EXPECT_EQ(test, AT(6), vma_at(test, AT(0))->vm_end);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_upgraded(test, vma_at(test, AT(6)));
	expect_invariants(test, 8);

	KUNIT_EXPECT_EQ(test, 0, protect(AT(4), 2, VM_ACCESS_FLAGS));
	expect_nr_vmas(test, 2);
	KUNIT_EXPECT_EQ(test, AT(4), vma_at(test, AT(0))->vm_end);
	expect_invariants(test, 8);
	expect_data(test, AT(0), 8);
}

/* Two VMAs that have an anon_vma each, as all have without marks, stay two. */
#define MERGED_IF_MARKED	(IS_ENABLED(CONFIG_PER_VMA_LOCK) ? 1 : 2)

static void merge_by_mmap_upgrades(struct kunit *test)
{
	map(test, AT(0), 4);
	map(test, AT(8), 4);
	touch(test, AT(0), 4);
	touch(test, AT(8), 4);
	expect_nr_vmas(test, 2);

	map(test, AT(4), 4);
	expect_nr_vmas(test, MERGED_IF_MARKED);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_invariants(test, 8);
	expect_data(test, AT(0), 4);
	expect_data(test, AT(8), 4);
}

/* As mremap() does. */
static int move(struct kunit *test, unsigned long from, unsigned long to)
{
	struct vm_area_struct *vma = vma_at(test, from);
	const unsigned long len = vma->vm_end - vma->vm_start;
	struct pagetable_move_control pmc = {
		.old_addr = from,
		.old_end = from + len,
		.new_addr = to,
		.len_in = len,
	};
	struct mm_struct *mm = current->mm;
	int err = -ENOMEM;

	mmap_write_lock(mm);
	pmc.new = copy_vma(&vma, to, len, linear_page_index(vma, from),
			   __linear_anon_page_index(vma, from),
			   &pmc.need_rmap_locks, false);
	pmc.old = vma;
	if (pmc.new && move_page_tables(&pmc) == len)
		err = do_munmap(mm, from, len, NULL);
	mmap_write_unlock(mm);
	return err;
}

static void mremap_upgrades(struct kunit *test)
{
	const struct folio_kind *kind = test->param_value;
	const unsigned long to = AT(0) + 4 * PMD_SIZE;
	const unsigned long nr = populate(test, kind);

	expect_marked(test, vma_at(test, AT(0)));
	KUNIT_EXPECT_EQ(test, 0, move(test, AT(0), to));
	expect_nr_vmas(test, 1);
	expect_upgraded(test, vma_at(test, to));
	expect_invariants(test, nr);

	if (kind->prot_none)
		KUNIT_ASSERT_EQ(test, 0, protect(to, nr, VM_READ | VM_WRITE));
	expect_data_from(test, to, AT(0), nr);
}

/* The VMA comes back to where its folios are indexed, next to a mark. */
static void mremap_upgrades_neighbour(struct kunit *test)
{
	map(test, AT(4), 4);
	touch(test, AT(4), 4);
	KUNIT_ASSERT_EQ(test, 0, move(test, AT(4), AT(16)));
	map(test, AT(0), 4);
	touch(test, AT(0), 4);
	expect_marked(test, vma_at(test, AT(0)));

	KUNIT_EXPECT_EQ(test, 0, move(test, AT(16), AT(4)));
	expect_nr_vmas(test, MERGED_IF_MARKED);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_invariants(test, 8);
	expect_data(test, AT(0), 8);
}

static void touch_of(struct kunit *test, struct mm_struct *mm,
		     unsigned long addr)
{
	unsigned long val = ~addr;

	KUNIT_ASSERT_EQ(test, sizeof(val),
			access_remote_vm(mm, addr, &val, sizeof(val),
					 FOLL_WRITE | FOLL_FORCE));
}

static void fork_upgrades(struct kunit *test)
{
	const struct folio_kind *kind = test->param_value;
	const unsigned long nr = populate(test, kind);
	struct vm_area_struct *vma = vma_at(test, AT(0));
	struct mm_struct *child;

	expect_marked(test, vma);
	child = fork_mm(test);
	expect_upgraded(test, vma);
	expect_upgraded(test, vma_of(test, child, AT(0)));
	expect_invariants(test, nr);
	__expect_invariants(test, child, nr);

	/* A write in the child is a folio of its own. */
	touch_of(test, child, AT(0));
	expect_invariants(test, nr);
	__expect_invariants(test, child, nr);

	if (kind->prot_none)
		KUNIT_ASSERT_EQ(test, 0, protect(AT(0), nr, VM_READ | VM_WRITE));
	expect_data(test, AT(0), nr);
}

/* Nothing is shared yet, so that parent and child each own what they touch. */
static void fork_of_unfaulted_does_not_upgrade(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct mm_struct *child = fork_mm(test);

	touch_of(test, child, AT(0));
	touch(test, AT(0), 4);
	expect_marked(test, vma);
	expect_marked(test, vma_of(test, child, AT(0)));
	expect_invariants(test, 4);
	__expect_invariants(test, child, 1);
	expect_data(test, AT(0), 4);
}

static void wipe_on_fork_does_not_upgrade(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct mm_struct *child;

	touch(test, AT(0), 4);
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, AT(0), 4 * PAGE_SIZE,
					    MADV_WIPEONFORK));
	child = fork_mm(test);
	expect_marked(test, vma);
	KUNIT_EXPECT_TRUE(test, !vma_of(test, child, AT(0))->anon_vma);
	expect_invariants(test, 4);
	__expect_invariants(test, child, 0);

	touch_of(test, child, AT(0));
	expect_marked(test, vma_of(test, child, AT(0)));
	__expect_invariants(test, child, 1);
	expect_data(test, AT(0), 4);
}

static int merge_by_madvise(void)
{
	return do_madvise(current->mm, AT(0), 4 * PAGE_SIZE, MADV_MERGEABLE);
}

static int merge_by_prctl(void)
{
	int err = -EINVAL;

#ifdef CONFIG_KSM
	mmap_write_lock(current->mm);
	err = ksm_enable_merge_any(current->mm);
	mmap_write_unlock(current->mm);
#endif
	return err;
}

static const struct mergeable {
	const char *name;
	int (*set)(void);
} mergeables[] = {
	{ "madvise", merge_by_madvise },
	{ "prctl", merge_by_prctl },
};

KUNIT_ARRAY_PARAM_DESC(mergeable, mergeables, name);

static void mergeable_upgrades(struct kunit *test)
{
	const struct mergeable *param = test->param_value;
	struct vm_area_struct *vma = map(test, AT(0), 4);

	if (!IS_ENABLED(CONFIG_KSM))
		kunit_skip(test, "needs CONFIG_KSM");

	touch(test, AT(0), 4);
	expect_marked(test, vma);
	KUNIT_EXPECT_EQ(test, 0, param->set());
	KUNIT_EXPECT_TRUE(test, vma->vm_flags & VM_MERGEABLE);
	expect_upgraded(test, vma);
	expect_invariants(test, 4);
	expect_data(test, AT(0), 4);
}

static void growth_within_bound_stays_marked(struct kunit *test)
{
	map(test, AT(4), 4);
	touch(test, AT(4), 4);

	map(test, AT(0), 4);
	map(test, AT(8), 4);
	expect_nr_vmas(test, 1);
	expect_marked(test, vma_at(test, AT(0)));

	touch(test, AT(0), 12);
	expect_marked(test, vma_at(test, AT(0)));
	expect_invariants(test, 12);
	expect_data(test, AT(0), 12);
}

/* As mremap() does. */
static struct vm_area_struct *extend(struct kunit *test, unsigned long addr,
				     unsigned long nr)
{
	VMA_ITERATOR(vmi, current->mm, addr);
	struct vm_area_struct *vma = vma_at(test, addr);

	mmap_write_lock(current->mm);
	vma_iter_set(&vmi, vma->vm_end);
	vma = vma_merge_extend(&vmi, vma, nr * PAGE_SIZE);
	mmap_write_unlock(current->mm);
	return vma;
}

/* The parent's anon_vmas stay out of what was never shared. */
static void growth_of_fork_child_does_not_merge(struct kunit *test)
{
	map(test, AT(0), 4);
	touch(test, AT(0), 4);
	become_child(test);
	map(test, AT(8), 4);
	touch(test, AT(8), 4);

	KUNIT_EXPECT_NOT_NULL(test, extend(test, AT(0), 4));
	expect_nr_vmas(test, 2);
	expect_upgraded(test, vma_at(test, AT(4)));
	expect_marked(test, vma_at(test, AT(8)));
	expect_invariants(test, 8);
	expect_data(test, AT(0), 4);
	expect_data(test, AT(8), 4);
}

static int grow_up(struct kunit *test)
{
	map(test, AT(4), VMA_OWNED_MAX_PAGES);
	return 0;
}

static int grow_down(struct kunit *test)
{
	map(test, AT(-VMA_OWNED_MAX_PAGES), VMA_OWNED_MAX_PAGES);
	return 0;
}

/* The heap may be executable, depending on the architecture. */
static int grow_brk(struct kunit *test)
{
	const vm_flags_t data = vma_flags_to_legacy(VMA_DATA_DEFAULT_FLAGS);

	KUNIT_ASSERT_EQ(test, 0, protect(AT(0), 4, data & VM_ACCESS_FLAGS));
	return vm_brk_flags(AT(4), VMA_OWNED_MAX_PAGES << PAGE_SHIFT, false);
}

static int grow_in_place(struct kunit *test)
{
	return extend(test, AT(0), VMA_OWNED_MAX_PAGES) ? 0 : -ENOMEM;
}

static const struct growth {
	const char *name;
	int (*grow)(struct kunit *test);
} growths[] = {
	{ "mmap above", grow_up },
	{ "mmap below", grow_down },
	{ "brk", grow_brk },
	{ "mremap in place", grow_in_place },
};

KUNIT_ARRAY_PARAM_DESC(growth, growths, name);

static void growth_past_bound_upgrades(struct kunit *test)
{
	const struct growth *param = test->param_value;
	struct vm_area_struct *vma = map(test, AT(0), 4);

	touch(test, AT(0), 4);
	expect_marked(test, vma);
	KUNIT_EXPECT_EQ(test, 0, param->grow(test));
	expect_nr_vmas(test, 1);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_invariants(test, 4);
	expect_data(test, AT(0), 4);
}

/* What is never marked */

static void bound_is_the_largest_marked(struct kunit *test)
{
	const unsigned long above = AT(2 * VMA_OWNED_MAX_PAGES);

	map(test, AT(0), VMA_OWNED_MAX_PAGES);
	touch(test, AT(0), 1);
	expect_marked(test, vma_at(test, AT(0)));

	map(test, above, VMA_OWNED_MAX_PAGES + 1);
	touch(test, above, 1);
	expect_upgraded(test, vma_at(test, above));
	expect_invariants(test, 2);
}

static void mergeable_is_not_marked(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);

	if (!IS_ENABLED(CONFIG_KSM))
		kunit_skip(test, "needs CONFIG_KSM");

	KUNIT_ASSERT_EQ(test, 0, merge_by_madvise());
	touch(test, AT(0), 4);
	expect_upgraded(test, vma);
	expect_invariants(test, 4);
}

static void stack_is_not_marked(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, AT(0),
			kunit_vm_mmap(test, NULL, AT(0), 4 * PAGE_SIZE,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS |
				      MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, 0));
	touch(test, AT(0), 4);
	expect_upgraded(test, vma_at(test, AT(0)));
	expect_invariants(test, 4);
}

/* There need not be any huge page: this is what the fault does first. */
static void hugetlb_is_not_marked(struct kunit *test)
{
#ifdef CONFIG_HUGETLB_PAGE
	struct vm_area_struct *vma;
	int err;

	KUNIT_ASSERT_EQ(test, 0, kunit_attach_mm());
	KUNIT_ASSERT_EQ(test, AT(0),
			ksys_mmap_pgoff(AT(0), HPAGE_SIZE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS |
					MAP_HUGETLB | MAP_NORESERVE |
					MAP_FIXED_NOREPLACE, -1, 0));
	vma = vma_at(test, AT(0));
	mmap_read_lock(current->mm);
	err = __anon_vma_prepare(vma);
	mmap_read_unlock(current->mm);
	KUNIT_EXPECT_EQ(test, err, 0);
	expect_upgraded(test, vma);
#else
	kunit_skip(test, "needs CONFIG_HUGETLB_PAGE");
#endif
}

/* What does not upgrade: rmap walks, migration, split and collapse of folios */

/* References that an owner has, beyond one for being attached. */
static int nr_owner_refs(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	return refcount_read(&vma->vm_refcnt) - 1;
#else
	return 0;
#endif
}

static void expect_refs(struct kunit *test, struct vm_area_struct *vma,
			int mm_count, int nr)
{
	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK))
		nr = 0;
	KUNIT_EXPECT_EQ(test, nr_owner_refs(vma), nr);
	/* The VMA keeps the mm. Each CPU may have a lazy reference that comes and goes. */
	nr = atomic_read(&vma->vm_mm->mm_count) - mm_count;
	KUNIT_EXPECT_LE(test, abs(nr), num_possible_cpus());
}

/* Returns the number of folios that were not migrated, or an error. */
static int migrate_and_put(struct folio *folio, enum migrate_mode mode)
{
	struct migration_target_control mtc = {
		.nid = NUMA_NO_NODE,
		.gfp_mask = GFP_HIGHUSER_MOVABLE,
		.reason = MR_SYSCALL,
	};
	LIST_HEAD(folios);
	bool isolated;
	int err;

	isolated = isolate_folio_to_list(folio, &folios);
	folio_put(folio);
	if (!isolated)
		return -EBUSY;
	err = migrate_pages(&folios, alloc_migration_target, NULL,
			    (unsigned long)&mtc, mode, MR_SYSCALL, NULL);
	if (err)
		putback_movable_pages(&folios);
	return err;
}

static int split_and_put(struct folio *folio)
{
	int err;

	folio_lock(folio);
	err = split_folio(folio);
	folio_unlock(folio);
	folio_put(folio);
	return err;
}

static void migration_keeps_owner(struct kunit *test)
{
	const struct folio_kind *kind = test->param_value;
	const unsigned long nr = populate(test, kind);
	struct vm_area_struct *vma = vma_at(test, AT(0));
	const int mm_count = atomic_read(&current->mm->mm_count);
	struct folio *src, *dst;

	if (!IS_ENABLED(CONFIG_MIGRATION))
		kunit_skip(test, "needs CONFIG_MIGRATION");

	src = get_folio(test, AT(0));
	lru_add_drain_all();
	KUNIT_EXPECT_EQ(test, 0, migrate_and_put(src, MIGRATE_SYNC));
	dst = get_folio(test, AT(0));
	KUNIT_EXPECT_PTR_NE(test, src, dst);
	folio_put(dst);
	/* Or it is split to be migrated. */
	if (kind->order != ilog2(PMD_SIZE / PAGE_SIZE) || thp_migration_supported())
		expect_order(test, AT(0), kind->order);
	expect_marked(test, vma);
	expect_refs(test, vma, mm_count, 0);
	expect_invariants(test, nr);

	if (kind->prot_none)
		KUNIT_ASSERT_EQ(test, 0, protect(AT(0), nr, VM_READ | VM_WRITE));
	expect_data(test, AT(0), nr);
}

static const struct folio_kind large_kinds[] = {
	{ .name = "large", .order = 2 },
	{ .name = "PMD-mapped", .order = ilog2(PMD_SIZE / PAGE_SIZE) },
};

KUNIT_ARRAY_PARAM_DESC(large_kind, large_kinds, name);

static void folio_split_keeps_owner(struct kunit *test)
{
	const unsigned long nr = populate(test, test->param_value);
	struct vm_area_struct *vma = vma_at(test, AT(0));
	const int mm_count = atomic_read(&current->mm->mm_count);

	lru_add_drain_all();
	KUNIT_EXPECT_EQ(test, 0, split_and_put(get_folio(test, AT(0))));
	expect_order(test, AT(0), 0);
	expect_marked(test, vma);
	expect_refs(test, vma, mm_count, 0);
	expect_invariants(test, nr);
	expect_data(test, AT(0), nr);
}

static void collapse_keeps_owner(struct kunit *test)
{
	const unsigned long nr = PMD_SIZE / PAGE_SIZE;
	struct vm_area_struct *vma = map(test, AT(0), nr);

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "needs CONFIG_TRANSPARENT_HUGEPAGE");

	touch(test, AT(0), nr);
	KUNIT_EXPECT_EQ(test, 0, do_madvise(current->mm, AT(0), PMD_SIZE,
					    MADV_COLLAPSE));
	expect_order(test, AT(0), ilog2(nr));
	expect_marked(test, vma);
	expect_invariants(test, nr);
	expect_data(test, AT(0), nr);
}

struct visits {
	struct vm_area_struct *vma;
	unsigned long addr;
	int nr;
};

static bool visit(struct folio *folio, struct vm_area_struct *vma,
		  unsigned long addr, void *arg)
{
	struct visits *visits = arg;

	visits->vma = vma;
	visits->addr = addr;
	visits->nr++;
	return true;
}

/* With a lock of its own, and with the reference that its caller holds. */
static void rmap_walk_visits_owner_once(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	const int mm_count = atomic_read(&current->mm->mm_count);
	struct rmap_walk_control rwc = { .rmap_one = visit };
	struct anon_vma *ref;
	struct folio *folio;
	int i;

	touch(test, AT(0), 4);
	folio = get_folio(test, AT(2));
	folio_lock(folio);
	ref = folio_get_anon_vma(folio, false);
	KUNIT_EXPECT_TRUE(test, !!ref);

	for (i = 0; i < 2; i++) {
		struct visits visits = {};

		rwc.arg = &visits;
		rwc.anon_lock = i ? NULL : folio_lock_anon_vma_read;
		/* As remove_migration_ptes() does. */
		if (i && folio_test_owned(folio))
			rmap_walk_locked(folio, &rwc);
		else
			rmap_walk(folio, &rwc);
		KUNIT_EXPECT_EQ(test, visits.nr, 1);
		KUNIT_EXPECT_PTR_EQ(test, visits.vma, vma);
		KUNIT_EXPECT_EQ(test, visits.addr, AT(2));
	}

	if (ref)
		put_anon_vma(ref);
	folio_unlock(folio);
	folio_put(folio);
	expect_marked(test, vma);
	expect_refs(test, vma, mm_count, 0);
}

/* The reference to an owner */

static void expect_ref(struct kunit *test, struct anon_vma *ref,
		       struct vm_area_struct *vma)
{
	KUNIT_EXPECT_TRUE(test, !!ref);
	KUNIT_EXPECT_PTR_EQ(test, anon_vma_owner(ref),
			    anon_vma_owner(vma->anon_vma));
	KUNIT_EXPECT_PTR_EQ(test, anon_vma_deref(ref),
			    anon_vma_deref(vma->anon_vma));
}

static void owner_is_locked_and_referenced(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	const int mm_count = atomic_read(&vma->vm_mm->mm_count);
	struct anon_vma *lock, *ref;
	const int nr = 4 * num_possible_cpus();
	struct folio *folio;
	int i;

	touch(test, AT(0), 4);
	folio = get_folio(test, AT(0));
	folio_lock(folio);

	ref = folio_get_anon_vma(folio, false);
	expect_ref(test, ref, vma);
	expect_refs(test, vma, mm_count, 1);

	lock = folio_lock_anon_vma_read(folio, NULL);
	expect_ref(test, lock, vma);
	expect_refs(test, vma, mm_count, 2);
	if (lock)
		anon_vma_unlock_read(lock);
	expect_refs(test, vma, mm_count, 1);

	if (ref)
		put_anon_vma(ref);
	expect_refs(test, vma, mm_count, 0);

	/* More of them than lazy references can hide. */
	for (i = 0; ref && i < nr; i++)
		KUNIT_EXPECT_TRUE(test, !!folio_get_anon_vma(folio, false));
	expect_refs(test, vma, mm_count, nr);
	for (i = 0; ref && i < nr; i++)
		put_anon_vma(ref);
	expect_refs(test, vma, mm_count, 0);

	folio_unlock(folio);
	folio_put(folio);
	expect_marked(test, vma);
	expect_invariants(test, 4);
}

static void expect_turned_away(struct kunit *test, struct folio *folio,
			       bool try_lock, bool turned_away)
{
	struct rmap_walk_control rwc = { .try_lock = try_lock };
	struct anon_vma *ref;

	folio_lock(folio);
	ref = folio_lock_anon_vma_read(folio, &rwc);
	KUNIT_EXPECT_EQ(test, !ref, turned_away);
	KUNIT_EXPECT_TRUE(test, turned_away || !rwc.contended);
	if (folio_mapped(folio))
		KUNIT_EXPECT_EQ(test, rwc.contended, turned_away && try_lock);
	if (ref)
		anon_vma_unlock_read(ref);

	ref = folio_get_anon_vma(folio, false);
	KUNIT_EXPECT_EQ(test, !ref, turned_away);
	if (ref)
		put_anon_vma(ref);
	folio_unlock(folio);
}

static void writer_of_owner_turns_away(struct kunit *test)
{
	const bool plv = IS_ENABLED(CONFIG_PER_VMA_LOCK);
	struct vm_area_struct *vma = map(test, AT(0), 4);
	const int mm_count = atomic_read(&vma->vm_mm->mm_count);
	unsigned int noreclaim;
	struct folio *folio;

	touch(test, AT(0), 4);
	folio = get_folio(test, AT(0));

	mmap_write_lock(current->mm);
	expect_turned_away(test, folio, true, false);
	vma_start_write(vma);
	expect_turned_away(test, folio, true, plv);
	expect_turned_away(test, folio, false, plv);
	noreclaim = memalloc_noreclaim_save();
	expect_turned_away(test, folio, true, plv);
	memalloc_noreclaim_restore(noreclaim);
	expect_refs(test, vma, mm_count, 0);
	mmap_write_unlock(current->mm);

	expect_turned_away(test, folio, true, false);
	expect_refs(test, vma, mm_count, 0);
	folio_put(folio);
}

struct writer {
	struct vm_area_struct *vma;
	struct completion done;
};

static int write_lock_vma(void *data)
{
	struct writer *writer = data;
	struct mm_struct *mm = writer->vma->vm_mm;

	mmap_write_lock(mm);
	vma_start_write(writer->vma);
	mmap_write_unlock(mm);
	complete(&writer->done);
	return 0;
}

static bool writer_waits(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	return refcount_read(&vma->vm_refcnt) > VM_REFCNT_LIMIT;
#else
	return false;
#endif
}

/* Returns when the writer waits for readers, or had not to. */
static void start_writer(struct kunit *test, struct writer *writer)
{
	struct task_struct *task;
	int i;

	init_completion(&writer->done);
	task = kthread_run(write_lock_vma, writer, "anon_vma_writer");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (i = 0; i < 1000; i++) {
		if (writer_waits(writer->vma) || completion_done(&writer->done))
			break;
		msleep(20);
	}
	KUNIT_EXPECT_TRUE(test, writer_waits(writer->vma));
}

static void expect_ref_of(struct kunit *test, struct folio *folio, bool join, bool locked)
{
	struct anon_vma *ref = folio_get_anon_vma(folio, join);

	KUNIT_EXPECT_EQ(test, !!ref, locked);
	if (ref)
		put_anon_vma(ref);
}

static void expect_walk_of(struct kunit *test, struct folio *folio, bool locked)
{
	struct anon_vma *ref = folio_lock_anon_vma_read(folio, NULL);

	KUNIT_EXPECT_EQ(test, !!ref, locked);
	if (ref)
		anon_vma_unlock_read(ref);
}

/*
 * The writer waits for the reader that we are, so nobody whom that reader waits
 * for may wait for the writer: not reclaim, a folio split or a memory failure. A
 * batch of migration, though, would make the writer wait for the next batch.
 */
static void waiting_writer_is_passed(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct writer writer = { .vma = vma };
	struct anon_vma *ref;
	struct folio *folio, *other;
	int nr_left;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK) || !IS_ENABLED(CONFIG_MIGRATION))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK and CONFIG_MIGRATION");

	touch(test, AT(0), 4);
	lru_add_drain_all();
	other = get_folio(test, AT(1));
	folio = get_folio(test, AT(0));
	folio_lock(folio);
	ref = folio_get_anon_vma(folio, false);
	KUNIT_ASSERT_NOT_NULL(test, ref);

	start_writer(test, &writer);
	expect_ref_of(test, folio, false, false);
	expect_ref_of(test, folio, true, true);
	expect_walk_of(test, folio, true);
	nr_left = migrate_and_put(other, MIGRATE_ASYNC);
	KUNIT_EXPECT_EQ(test, nr_left, 1);
	if (nr_left) {
		/* It is still mapped, and may be in a batch on its way to the LRU. */
		lru_add_drain_all();
		folio_get(other);
		KUNIT_EXPECT_EQ(test, migrate_and_put(other, MIGRATE_SYNC), 0);
	}
	KUNIT_EXPECT_FALSE(test, try_wait_for_completion(&writer.done));

	put_anon_vma(ref);
	wait_for_completion(&writer.done);
	expect_ref_of(test, folio, false, true);
	folio_unlock(folio);
	folio_put(folio);
	expect_marked(test, vma);
}

/*
 * mm_lock_seq has come around: the next writer finds its sequence in a VMA that
 * it has not locked, and that has a reader.
 */
static void writer_waits_although_sequence_wrapped(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct writer writer = { .vma = vma };
	struct anon_vma *ref;
	struct folio *folio;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK");

	touch(test, AT(0), 4);
	folio = get_folio(test, AT(0));
	folio_lock(folio);
#ifdef CONFIG_PER_VMA_LOCK
	vma->vm_mm->mm_lock_seq.sequence = vma->vm_lock_seq - 1;
#endif
	ref = folio_get_anon_vma(folio, false);
	KUNIT_ASSERT_NOT_NULL(test, ref);

	start_writer(test, &writer);
	put_anon_vma(ref);
	wait_for_completion(&writer.done);
	folio_unlock(folio);
	folio_put(folio);
	expect_marked(test, vma);
}

static void writer_of_owner_stops_migration_and_split(struct kunit *test)
{
	const struct folio_kind *kind = test->param_value;
	const unsigned long nr = populate(test, kind);
	struct vm_area_struct *vma = vma_at(test, AT(0));
	const int mm_count = atomic_read(&current->mm->mm_count);
	struct folio *folio;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK");

	folio = get_folio(test, AT(0));
	lru_add_drain_all();
	mmap_write_lock(current->mm);
	vma_start_write(vma);
	folio_get(folio);
	KUNIT_EXPECT_EQ(test, split_and_put(folio), -EBUSY);
	KUNIT_EXPECT_EQ(test, migrate_and_put(folio, MIGRATE_SYNC), 1);
	mmap_write_unlock(current->mm);

	KUNIT_EXPECT_TRUE(test, folio_mapped(folio));
	expect_order(test, AT(0), kind->order);
	expect_marked(test, vma);
	expect_refs(test, vma, mm_count, 0);
	expect_invariants(test, nr);
	expect_data(test, AT(0), nr);
}

static void reclaim_isolated(struct folio *folio)
{
	LIST_HEAD(folios);

	if (folio_isolate_lru(folio)) {
		list_add(&folio->lru, &folios);
		reclaim_pages(&folios);
	}
	lru_add_drain_all();
}

static void reclaim_keeps_poisoned_folio_of_busy_owner(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	struct folio *folio;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK) || !IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK and CONFIG_MEMORY_FAILURE");

	touch(test, AT(0), 4);
	folio = get_folio(test, AT(0));
	lru_add_drain_all();
	SetPageHWPoison(&folio->page);
	mmap_write_lock(current->mm);
	vma_start_write(vma);
	reclaim_isolated(folio);
	mmap_write_unlock(current->mm);
	KUNIT_EXPECT_TRUE(test, folio_mapped(folio));
	KUNIT_EXPECT_TRUE(test, folio_test_lru(folio));

	reclaim_isolated(folio);
	KUNIT_EXPECT_FALSE(test, folio_mapped(folio));
	ClearPageHWPoison(&folio->page);
	folio_put(folio);
	expect_marked(test, vma);
	expect_invariants(test, 3);
	expect_data(test, AT(1), 3);
}

static void set_owner(struct folio *folio, struct vm_area_struct *vma)
{
	if (IS_ENABLED(CONFIG_PER_VMA_LOCK))
		folio->mapping = (void __force *)anon_vma_mark(vma) +
				 FOLIO_MAPPING_ANON;
}

/* The owner of an unmapped folio may be gone, and its memory anything. */
static void unmapped_folio_turns_away(struct kunit *test)
{
	struct vm_area_struct *vma = map(test, AT(0), 4);
	const int mm_count = atomic_read(&vma->vm_mm->mm_count);
	struct page *page = alloc_page(GFP_KERNEL);
	struct folio *folio;

	KUNIT_ASSERT_NOT_NULL(test, page);
	touch(test, AT(0), 4);
	folio = get_folio(test, AT(0));
	KUNIT_ASSERT_EQ(test, 0, do_madvise(current->mm, AT(0), PAGE_SIZE,
					    MADV_DONTNEED));
	KUNIT_ASSERT_FALSE(test, folio_mapped(folio));
	expect_turned_away(test, folio, true, true);
	expect_turned_away(test, folio, false, true);
	expect_refs(test, vma, mm_count, 0);

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(AT(0), 4 * PAGE_SIZE));
	expect_turned_away(test, folio, true, true);

	set_owner(folio, memset(page_address(page), 1, PAGE_SIZE));
	expect_turned_away(test, folio, true, true);
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(page), 1, PAGE_SIZE));
	__free_page(page);
	folio_put(folio);
}

/*
 * Reclaim leaves an unmapped folio in the swap cache with an owner that may be
 * gone. Map its last page as a swap-in to @addr of @vma does.
 */
static void expect_swap_in(struct kunit *test, struct folio *folio,
			   struct vm_area_struct *vma, unsigned long addr,
			   struct anon_vma __noderef *expected)
{
	struct page *page = folio_page(folio, folio_nr_pages(folio) - 1);

	folio_lock(folio);
	ClearPageAnonExclusive(page);
	folio_add_anon_rmap_ptes(folio, page, 1, vma, addr, RMAP_EXCLUSIVE);
	KUNIT_EXPECT_PTR_EQ(test, folio_raw_mapping(folio),
			    (void __force *)expected);
	KUNIT_EXPECT_EQ(test, page_address_in_vma(folio, page, vma), addr);
	folio_remove_rmap_ptes(folio, page, 1, vma);
	folio_unlock(folio);
	KUNIT_EXPECT_FALSE(test, folio_mapped(folio));
}

static void swap_in_replaces_owner(struct kunit *test)
{
	const unsigned long nr = populate(test, test->param_value);
	const unsigned long addr = AT(0) + 2 * PMD_SIZE;
	struct folio *folio = get_folio(test, AT(0));
	struct vm_area_struct *vma;
	struct mm_struct *child;

	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK");

	lru_add_drain_all();
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(AT(0), (nr + 1) * PAGE_SIZE));
	KUNIT_ASSERT_FALSE(test, folio_mapped(folio));
	KUNIT_ASSERT_TRUE(test, folio_test_owned(folio));

	/* Into a VMA that is marked, has been upgraded, is a fork child. */
	vma = map(test, addr, 4);
	touch(test, addr, 1);
	expect_marked(test, vma);
	expect_swap_in(test, folio, vma, addr + PAGE_SIZE, vma->anon_vma);

	KUNIT_EXPECT_EQ(test, 0, upgrade(vma));
	expect_swap_in(test, folio, vma, addr + PAGE_SIZE, vma->anon_vma);

	child = fork_mm(test);
	set_owner(folio, vma);
	vma = vma_of(test, child, addr);
	expect_swap_in(test, folio, vma, addr + PAGE_SIZE,
		       anon_vma_deref(vma->anon_vma)->root);
	folio_put(folio);
}

/* Allocation failures */

#if defined(CONFIG_FAILSLAB) && defined(CONFIG_FUNCTION_ERROR_INJECTION)
static struct task_struct *failing_task;
static int failing_nth;

static int fail_alloc(struct kprobe *kp, struct pt_regs *regs)
{
	const gfp_t gfp = (__force gfp_t)regs_get_kernel_argument(regs, 1);

	if (current != failing_task || !(gfp & __GFP_DIRECT_RECLAIM) ||
	    (gfp & __GFP_NOFAIL) || --failing_nth > 0)
		return 0;
	regs_set_return_value(regs, -ENOMEM);
	override_function_with_return(regs);
	return 1;
}
NOKPROBE_SYMBOL(fail_alloc);

/* A jump, which is what a kprobe without this becomes, cannot override. */
static void fail_alloc_post(struct kprobe *kp, struct pt_regs *regs,
			    unsigned long flags)
{
}

static struct kprobe fail_alloc_kp = {
	.symbol_name = "should_failslab",
	.pre_handler = fail_alloc,
	.post_handler = fail_alloc_post,
};

static void stop_failing(void *unused)
{
	unregister_kprobe(&fail_alloc_kp);
}

static void start_failing(struct kunit *test)
{
	/* What was set by an earlier registration has to be as above. */
	fail_alloc_kp.addr = NULL;
	fail_alloc_kp.flags = 0;
	KUNIT_ASSERT_EQ(test, 0, register_kprobe(&fail_alloc_kp));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, stop_failing, NULL));
}

/*
 * The @nth allocation of this task from now on fails, none if that is 0. So do
 * those that follow: the slab allocator itself can do without some of its own.
 */
static void fail_nth_alloc(int nth)
{
	WRITE_ONCE(failing_task, NULL);
	WRITE_ONCE(failing_nth, nth);
	WRITE_ONCE(failing_task, nth ? current : NULL);
}
#else
static void start_failing(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_FAILSLAB and CONFIG_FUNCTION_ERROR_INJECTION");
}

static void fail_nth_alloc(int nth)
{
}
#endif

static int fail_upgrade(struct kunit *test, int nth)
{
	struct vm_area_struct *vma = vma_at(test, AT(0));
	int err;

	fail_nth_alloc(nth);
	err = upgrade(vma);
	fail_nth_alloc(0);
	if (err)
		expect_marked(test, vma);
	return err;
}

static int fail_split(struct kunit *test, int nth)
{
	int err;

	fail_nth_alloc(nth);
	err = split_by_madvise(AT(1), 1);
	fail_nth_alloc(0);
	return err;
}

static int fail_merge(struct kunit *test, int nth)
{
	int err;

	fail_nth_alloc(nth);
	err = protect(AT(4), 4, VM_READ | VM_WRITE);
	fail_nth_alloc(0);
	return err;
}

static int fail_mremap(struct kunit *test, int nth)
{
	struct vm_area_struct *vma = vma_at(test, AT(0));
	struct mm_struct *mm = current->mm;
	bool need_rmap_locks;
	int err;

	/* Nothing was moved yet when this fails. */
	mmap_write_lock(mm);
	fail_nth_alloc(nth);
	vma = copy_vma(&vma, AT(64), 4 * PAGE_SIZE,
		       linear_page_index(vma, AT(0)),
		       __linear_anon_page_index(vma, AT(0)), &need_rmap_locks,
		       false);
	fail_nth_alloc(0);
	err = vma ? do_munmap(mm, AT(64), 4 * PAGE_SIZE, NULL) : -ENOMEM;
	mmap_write_unlock(mm);
	return err;
}

static int fail_fork(struct kunit *test, int nth)
{
	struct mm_struct *mm = mm_alloc();
	int err;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	mm->task_size = current->mm->task_size;
	fail_nth_alloc(nth);
	err = dup_mmap(mm, current->mm);
	fail_nth_alloc(0);
	mmput(mm);
	return err;
}

static int fail_mergeable(struct kunit *test, int nth)
{
	int err;

	fail_nth_alloc(nth);
	err = merge_by_madvise();
	fail_nth_alloc(0);
	return err;
}

static const struct failure {
	const char *name;
	int (*op)(struct kunit *test, int nth);
} failures[] = {
	{ "upgrade", fail_upgrade },
	{ "split", fail_split },
	{ "merge", fail_merge },
	{ "mremap", fail_mremap },
	{ "fork", fail_fork },
	{ "mergeable", fail_mergeable },
};

KUNIT_ARRAY_PARAM_DESC(failure, failures, name);

/* Let each allocation fail in turn, until one attempt has no more of them. */
static void failure_keeps_all_usable(struct kunit *test)
{
	const struct failure *param = test->param_value;
	int err, nth = 0;

	if (param->op == fail_mergeable && !IS_ENABLED(CONFIG_KSM))
		kunit_skip(test, "needs CONFIG_KSM");
	start_failing(test);
	map(test, AT(0), 12);
	KUNIT_ASSERT_EQ(test, 0, protect(AT(4), 4, VM_ACCESS_FLAGS));
	touch(test, AT(0), 12);
	expect_marked(test, vma_at(test, AT(0)));

	do {
		err = param->op(test, ++nth);
		/* This is what madvise() makes of -ENOMEM. */
		KUNIT_ASSERT_TRUE(test, !err || err == -ENOMEM || err == -EAGAIN);
		expect_invariants(test, 12);
		expect_data(test, AT(0), 12);
		touch(test, AT(0), 12);
	} while (err);

	/* The anon_vma and the anon_vma_chain at least. */
	KUNIT_EXPECT_GT(test, nth, 2);
	expect_upgraded(test, vma_at(test, AT(0)));
}

static struct kunit_case anon_vma_owned_test_cases[] = {
	KUNIT_CASE(encoding_round_trip),
	KUNIT_CASE(encoding_folio_mapping),
	KUNIT_CASE(first_touch),
	KUNIT_CASE_PARAM(upgrade_converts_all, folio_kind_gen_params),
	KUNIT_CASE(upgrade_converts_device_exclusive),
	KUNIT_CASE(upgrade_shares_with_neighbour),
	KUNIT_CASE_PARAM(split_upgrades, split_gen_params),
	KUNIT_CASE_PARAM(merge_upgrades_all, merge_gen_params),
	KUNIT_CASE(merge_upgrades_shifted_boundary),
	KUNIT_CASE(merge_by_mmap_upgrades),
	KUNIT_CASE_PARAM(mremap_upgrades, folio_kind_gen_params),
	KUNIT_CASE(mremap_upgrades_neighbour),
	KUNIT_CASE_PARAM(fork_upgrades, folio_kind_gen_params),
	KUNIT_CASE(fork_of_unfaulted_does_not_upgrade),
	KUNIT_CASE(wipe_on_fork_does_not_upgrade),
	KUNIT_CASE_PARAM(mergeable_upgrades, mergeable_gen_params),
	KUNIT_CASE(growth_within_bound_stays_marked),
	KUNIT_CASE_PARAM(growth_past_bound_upgrades, growth_gen_params),
	KUNIT_CASE(growth_of_fork_child_does_not_merge),
	KUNIT_CASE(bound_is_the_largest_marked),
	KUNIT_CASE(mergeable_is_not_marked),
	KUNIT_CASE(stack_is_not_marked),
	KUNIT_CASE(hugetlb_is_not_marked),
	KUNIT_CASE_PARAM(migration_keeps_owner, folio_kind_gen_params),
	KUNIT_CASE_PARAM(folio_split_keeps_owner, large_kind_gen_params),
	KUNIT_CASE(collapse_keeps_owner),
	KUNIT_CASE(rmap_walk_visits_owner_once),
	KUNIT_CASE(owner_is_locked_and_referenced),
	KUNIT_CASE(writer_of_owner_turns_away),
	KUNIT_CASE(waiting_writer_is_passed),
	KUNIT_CASE(writer_waits_although_sequence_wrapped),
	KUNIT_CASE_PARAM(writer_of_owner_stops_migration_and_split,
			 large_kind_gen_params),
	KUNIT_CASE(reclaim_keeps_poisoned_folio_of_busy_owner),
	KUNIT_CASE(unmapped_folio_turns_away),
	KUNIT_CASE_PARAM(swap_in_replaces_owner, folio_kind_gen_params),
	KUNIT_CASE_PARAM(failure_keeps_all_usable, failure_gen_params),
	{}
};

static struct kunit_suite anon_vma_owned_test_suite = {
	.name = "anon_vma_owned",
	.test_cases = anon_vma_owned_test_cases,
};

kunit_test_suite(anon_vma_owned_test_suite);

MODULE_DESCRIPTION("Tests for VMA-owned anonymous folios");
MODULE_LICENSE("GPL");
