/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lock protocol of an owned folio's walk, folio_owner_start_read() and
 * folio_owner_end_read() (mm/rmap.c), against mmap, fault, zap, upgrade, munmap
 * and exit, with reuse of the VMA's memory. 'make model' checks it with spin, as
 * it is and with parts of it broken: breaks() says how, by the name that 'make
 * mutate' has for the same in C, if any.
 *
 * The world: one piece of VMA memory that two mms use in turn, for VMAS VMAs in
 * all; FOLIOS folios, each with a walker that takes its lock, and with one PTE at
 * most. An mm is one process: the mmap_lock orders what it does.
 * Not here: memory order (a statement is one step, which all see at once), wrap
 * of vm_lock_seq, failed upgrades, split, merge, move. An mm_struct is not
 * reused: to touch a freed one is an error.
 */
#define FLAG	8	/* VM_REFCNT_EXCLUDE_READERS_FLAG */
#define NONE	0	/* vma->anon_vma, folio->mapping */
#define MARK	1
#define ANON	2	/* an anon_vma */
mtype = { FREE, USED, GRACE, GONE, UNMAPPED, MAPPED, MIGRATION, nothing, no_rcu, no_first_mapped,
	  no_second_mapped, no_mapping_recheck, no_lock_seq, mapping_before_seq, no_mmgrab, no_wakeup,
	  join_nobody, no_start_write, no_exit_write, no_reown, no_upgrade }
#define breaks(x)	(BREAK == x || AND == x)

mtype slab = FREE;		/* the memory: GONE is back in the page allocator */
byte vm_refcnt, vm_lock_seq, vm_mm, anon_vma;
bool page_tables;
byte vma;			/* which VMA it is, or was last: 1, 2, ... */
byte mm_count[2] = 1, mm_lock_seq[2];
bool asleep[2];			/* in vma_writer_wait */
mtype pte[2] = UNMAPPED;	/* of each folio; UNMAPPED may be in the swap cache */
byte mapping[2], mapper[2];	/* mapper: the VMA that has the PTE, or had it last */
bool locked[2], rcu[2];
#define folio_mapped(f)	(pte[f] == MAPPED)
#define I4(f)	(anon_vma == MARK || mapper[f] != vma || !folio_mapped(f) || mapping[f] != MARK)
#define touch_mm()	assert(mm_count[mm] > 0)

inline rmap_one() {		/* what a walk relies on: I1, I2 */
	d_step {
		assert(slab == USED && vm_refcnt % FLAG >= 2 && vm_mm == mm);
		assert(vma == mapper[f]);
		assert(anon_vma == MARK && mapping[f] == MARK);
		assert(vm_lock_seq != mm_lock_seq[mm]);
		assert(page_tables)
	}
}
inline check_lock_seq() {
	atomic { touch_mm(); if :: vm_lock_seq == mm_lock_seq[mm] -> goto end_read :: else fi }
}

proctype walker(byte f) {
	byte mm, count;
	do
	:: break
	:: atomic { !locked[f] -> locked[f] = true; rcu[f] = !breaks(no_rcu) };
	   /* folio_get_anon_vma() */
	   if :: mapping[f] != MARK -> goto unlock :: else fi;
	   if :: !folio_mapped(f) && !breaks(no_first_mapped) -> goto unlock :: else fi;
	   /* folio_owner_start_read() */
	   atomic {
		assert(slab != GONE);
		if :: vm_refcnt > 0 && vm_refcnt < FLAG -> vm_refcnt++
		   :: vm_refcnt > FLAG + 1 - breaks(join_nobody) -> vm_refcnt++	/* join */
		   :: vm_refcnt == 0 || vm_refcnt >= FLAG -> goto unlock
		fi
	   };
	   atomic { rcu[f] = false; mm = vm_mm };
	   if :: breaks(no_lock_seq) || breaks(mapping_before_seq) :: else -> check_lock_seq() fi;
	   if :: !folio_mapped(f) && !breaks(no_second_mapped) -> goto end_read :: else fi;
	   if :: mapping[f] != MARK && !breaks(no_mapping_recheck) -> goto end_read :: else fi;
	   if :: breaks(mapping_before_seq) -> check_lock_seq() :: else fi;
	   rmap_one();
	   if :: true						/* folio_referenced() */
	      :: atomic { folio_mapped(f) -> pte[f] = UNMAPPED }	/* try_to_unmap() */
	      :: atomic { folio_mapped(f) -> pte[f] = MIGRATION }	/* try_to_migrate() */
	   fi;
	   rmap_one();
	   if :: atomic { pte[f] == MIGRATION -> mapping[f] = anon_vma; pte[f] = MAPPED }
	      :: else						/* or it was zapped */
	   fi;
end_read:  /* folio_owner_end_read() */
	   if :: breaks(no_mmgrab) :: else -> d_step { touch_mm(); mm_count[mm]++ } fi;
	   atomic { assert(slab == USED); vm_refcnt--; count = vm_refcnt };
	   if :: (count == FLAG || count == FLAG + 1) && !breaks(no_wakeup) ->
		d_step { touch_mm(); asleep[mm] = false }
	      :: else
	   fi;
	   if :: breaks(no_mmgrab) :: else -> d_step { touch_mm(); mm_count[mm]-- } fi;
unlock:	   atomic { rcu[f] = false; locked[f] = false; mm = 0; count = 0 }
	od
}

inline exclude_readers(target) {	/* __vma_start_exclude_readers() */
	atomic { vm_refcnt > 0 -> vm_refcnt = vm_refcnt + FLAG };
	do :: asleep[mm] = true;
	      if :: vm_refcnt == FLAG + target -> break :: else -> !asleep[mm] fi
	od;
	asleep[mm] = false
}
inline vma_start_write() {
	exclude_readers(1);
	vm_lock_seq = mm_lock_seq[mm];
	vm_refcnt = vm_refcnt - FLAG
}
inline vma_mark_detached() {
	vm_refcnt--;
	if :: exclude_readers(0); vm_refcnt = vm_refcnt - FLAG :: else fi
}
inline zap(f) {				/* without the folio lock */
	d_step { if :: mapper[f] == vma -> pte[f] = UNMAPPED :: else fi }
}
inline upgrade(f) {			/* folio_upgrade_mapping() */
	d_step { if :: mapper[f] == vma && folio_mapped(f) -> mapping[f] = ANON :: else fi }
}
inline free_pgtables() {
	d_step { anon_vma = NONE; page_tables = false }
}
inline vm_area_free() {			/* nobody can see what is reset: fewer states */
	d_step { vm_lock_seq = 0; mm_lock_seq[mm] = 0; vm_mm = 0; mine = false; slab = FREE }
}

proctype mm_struct(byte mm) {
	byte f;
	bool mine;			/* this mm has the VMA */
	do
	:: atomic {			/* mmap: invisible until attached; by mm 0 first */
		slab == FREE && vma < VMAS && (mm == 0 || vma > 0) ->
		slab = USED; mine = true; vma++; vm_mm = mm; page_tables = true;
		mm_lock_seq[mm]++; vm_lock_seq = mm_lock_seq[mm]; vm_refcnt = 1
	   };
	   mm_lock_seq[mm]++
	:: mine ->			/* fault: a new folio, or do_swap_page() */
	   if :: f = 0 :: f = FOLIOS - 1 fi;
	   atomic {
		!locked[f] ->
		if :: pte[f] == UNMAPPED ->
			if :: anon_vma == NONE -> anon_vma = MARK :: else fi;
			if :: mapping[f] == MARK && breaks(no_reown) :: else -> mapping[f] = anon_vma fi;
			mapper[f] = vma; pte[f] = MAPPED; assert(I4(f))
		   :: else
		fi;
		f = 0
	   }
	:: mine -> zap(0); zap(1)	/* MADV_DONTNEED */
	:: mine && anon_vma == MARK && !breaks(no_upgrade) ->	/* anon_vma_upgrade() */
	   mm_lock_seq[mm]++;
	   if :: breaks(no_start_write) :: else -> vma_start_write() fi;
	   anon_vma = ANON;
	   upgrade(0); upgrade(1);
	   assert(I4(0) && I4(1));
	   mm_lock_seq[mm]++
	:: mine ->			/* munmap, with mmap_write_downgrade() */
	   mm_lock_seq[mm]++;
	   vma_start_write(); vma_mark_detached();
	   mm_lock_seq[mm]++;
	   zap(0); zap(1); free_pgtables(); vm_area_free()
	:: break
	od;
	if :: mine ->			/* exit_mmap() */
		zap(0); zap(1);
		mm_lock_seq[mm]++;
		if :: breaks(no_exit_write) :: else -> vma_start_write() fi;
		free_pgtables(); vma_mark_detached(); vm_area_free()
	   :: else
	fi;
	d_step { touch_mm(); mm_count[mm]-- }
}

active proctype slab_free() {		/* SLAB_TYPESAFE_BY_RCU: after a grace period */
end:	atomic { slab == FREE -> slab = GRACE };
	!rcu[0]; !rcu[1];
	slab = GONE
}

init {
	atomic {
		run mm_struct(0); run mm_struct(1);
		run walker(0); if :: FOLIOS > 1 -> run walker(1) :: else fi
	}
}
