/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VMA under test: how it came to be, and what every byte of it must be.
 *
 * Include kselftest_harness.h first: the macros assert in a test.
 */
#ifndef __TEST_AREA_H__
#define __TEST_AREA_H__

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "mm/vm_util.h"
#include "anon_state.h"

/* What a page that no test has written to holds. */
#define SEED_ZERO	0U	/* anonymous memory: zeroes */
#define SEED_FILE	1U	/* the file that area_map() makes */
/* What area_map() writes, and two more for the tests. */
#define SEED_AREA	2U
#define SEED_A		3U
#define SEED_B		4U

enum area_history {
	AREA_MARKED,	/* touched once, never shared */
	AREA_UPGRADED,	/* was shared with a child that is gone */
	AREA_CHILD,	/* inherited from a parent that still maps it */
};

enum area_folios {
	AREA_SMALL,
	AREA_MTHP,
	AREA_PMD,
};

/* In bytes. Nothing larger is ever marked. */
#define MARK_BOUND	(16UL << 20)

struct area_params {
	bool file;	/* copies in a MAP_PRIVATE file mapping, else anonymous */
	enum area_history history;
	enum area_folios folios;
};

/*
 *  reserved
 *  |<------------------------------------------------------------------>|
 *  | at least nr PROT_NONE | nr pages of the area | nr + 1 pages of room |
 *                          ^ ptr
 *
 * The reservation keeps strangers and their VMAs away. The room is PROT_NONE
 * until area_free_room() unmaps all of it but the last page.
 */
struct area {
	const struct area_params *params;
	char *reserved;
	size_t reserved_len;
	char *ptr;
	unsigned long nr;
	int fd;
};

int area_map(struct area *area, const struct area_params *params);
int area_map_pages(struct area *area, long first, unsigned long nr, int prot);
int area_unmap(struct area *area);
int area_free_room(struct area *area);
bool area_has_large_folios(const struct area *area);
void set_mthp_orders(unsigned long orders);
void restore_mthp_orders(void);
unsigned long area_folio_pages(enum area_folios folios);
const char *no_folios_reason(enum area_folios folios);

/* The address of page @page of @area, which may be negative or beyond its end. */
static inline char *area_page(const struct area *area, long page)
{
	return area->ptr + page * psize();
}

static inline unsigned int area_untouched_seed(const struct area *area)
{
	return area->params->file ? SEED_FILE : SEED_ZERO;
}

static inline const char *area_vma_state(const struct area *area)
{
	return area->params->history == AREA_MARKED ? "owned" : "anon_vma";
}

static inline size_t bytes(unsigned long nr_pages)
{
	return nr_pages * psize();
}

char *reserve(unsigned long nr_pages);
char *map_anon(char *addr, unsigned long nr_pages, int prot);
unsigned long mark_bound(void);

void fill_pages(char *addr, unsigned long first, unsigned long nr,
		unsigned int seed);
long find_bad_page(const char *addr, unsigned long first, unsigned long nr,
		   unsigned int seed);
static inline long area_find_bad_page(const struct area *area)
{
	return find_bad_page(area->ptr, 0, area->nr, SEED_AREA);
}

int count_vmas(const char *start, unsigned long nr_pages);
unsigned long count_swapped(const char *start, unsigned long nr_pages);
int write_string(const char *path, const char *string);
void drain_lru_batches(void);
int pageout(char *addr, unsigned long nr_pages);

#define GUP_DEBUGFS	"/sys/kernel/debug/gup_test"
int pin_longterm(int gup, char *addr, unsigned long nr_pages, unsigned int flags);

int wait_child(pid_t pid);
pid_t fork_held(int *go);
int release_child(pid_t pid, int go);
int share_with_child(void);

/* SKIP() where no owner can have such folios. */
#define SKIP_WITHOUT_FOLIOS(statement, folios) do {			\
	const char *__reason = no_folios_reason(folios);		\
									\
	if (__reason)							\
		SKIP(statement, "%s", __reason);			\
} while (0)

/* The @nr pages at @addr hold what fill_pages() wrote, or are untouched. */
#define ASSERT_PAGES(addr, first, nr, seed) \
	ASSERT_EQ(-1, find_bad_page(addr, first, nr, seed))

/* The whole area still holds what area_map() wrote. */
#define ASSERT_AREA(area) \
	ASSERT_EQ(-1, area_find_bad_page(area))

#endif /* __TEST_AREA_H__ */
