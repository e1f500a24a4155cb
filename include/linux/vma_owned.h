/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMA-owned anonymous folios: a VMA that never shared one is its own anon_vma.
 * vma->anon_vma then holds the mark: the VMA's address with
 * FOLIO_MAPPING_OWNED set. folio->mapping of its anonymous folios, which it
 * owns, is the mark with FOLIO_MAPPING_ANON set.
 *
 *  I1 An owned folio is mapped by its owner only, within the owner's range.
 *  I2 A read-locked owner stays attached and marked, its range is fixed and no
 *     page table that maps anything is freed.
 *  I3 A populated VMA loses its mark in anon_vma_upgrade() alone: write-locked,
 *     and before what would break I1 (split, merge, mremap, fork) or I6
 *     (growth), or needs an anon_vma (VM_MERGEABLE).
 *  I4 No folio that an upgraded VMA maps is owned.
 *  I5 Rmap walks, reclaim, migration and folio splits never upgrade.
 *  I6 VMA_OWNED_MAX_PAGES bounds the upgrade's page table walk.
 *  I7 A VMA is marked where it would be given an anon_vma: mmap_lock held.
 *  I8 A marked VMA owns all anonymous folios it maps, and is in no rmap tree.
 */
#ifndef _LINUX_VMA_OWNED_H
#define _LINUX_VMA_OWNED_H

struct anon_vma;
struct vm_area_struct;

/* clang warns where vma->anon_vma is used as a pointer; it may be a mark. */
#if __has_attribute(__noderef__) && !defined(__CHECKER__)
#define __noderef	__attribute__((__noderef__))
#else
#define __noderef
#endif

/* VMAs are cache line aligned, struct anon_vma is aligned for this bit. */
#define FOLIO_MAPPING_OWNED	0x4
#define VMA_OWNED_MAX_PAGES	(SZ_16M >> PAGE_SHIFT)

static inline struct anon_vma __noderef *anon_vma_mark(struct vm_area_struct *vma)
{
	return (void __force *)((unsigned long)vma | FOLIO_MAPPING_OWNED);
}

/* The VMA that a mark stands for, NULL for an anon_vma or NULL. */
static inline struct vm_area_struct *
anon_vma_owner(const struct anon_vma __noderef *mark)
{
	if (!IS_ENABLED(CONFIG_PER_VMA_LOCK) ||
	    !((__force unsigned long)mark & FOLIO_MAPPING_OWNED))
		return NULL;
	return (void __force *)mark - FOLIO_MAPPING_OWNED;
}

/* What may be dereferenced: the anon_vma, NULL for a mark or NULL. */
static inline struct anon_vma *anon_vma_deref(struct anon_vma __noderef *ref)
{
	return anon_vma_owner(ref) ? NULL : (struct anon_vma __force *)ref;
}

#endif /* _LINUX_VMA_OWNED_H */
