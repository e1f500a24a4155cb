// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/self/maps is what it is on the base, where
 *
 *	ANON_OWNER_RECORD=1 ./maps | sed -n 's/^# record \?//p'
 *
 * wrote all but the first line of maps_expected.h. Everything is in pages and
 * relative to a reserved range, so that it depends neither on the size of a
 * page nor on where the range is.
 */
#include "kselftest_harness.h"
#include <ctype.h>

#include "test_area.h"
#include "maps_expected.h"

#define RW		(PROT_READ | PROT_WRITE)
#define RANGE		64UL
#define NR_RANDOM	1000

enum op {
	MAP,		/* anonymous and private */
	MAP_COPY,	/* a file's pages, private: what a loader does */
	UNMAP,
	PROTECT,
	TOUCH,		/* stores to one page after the other */
	POPULATE,	/* the same where it may */
	MOVE,		/* mremap() to page @arg */
	RESIZE,		/* mremap() in place to @arg pages */
	ADVISE,
	FORK,		/* a child that ends at once */
};

struct step {
	const char *what;
	enum op op;
	unsigned long first, nr;
	unsigned long arg;
};

/* What programs, their loader, their allocator and their threads do. */
static const struct step program[] = {
	{ "a library is mapped",	MAP_COPY, 1, 8, PROT_READ },
	{ "its text",			PROTECT, 2, 2, PROT_READ | PROT_EXEC },
	{ "its data",			PROTECT, 5, 4, RW },
	{ "and its bss",		MAP, 8, 2, RW },
	{ "are relocated",		TOUCH, 5, 5 },
	{ "RELRO",			PROTECT, 5, 1, PROT_READ },
	{ "an arena is reserved",	MAP, 12, 8, PROT_NONE },
	{ "and grows",			PROTECT, 12, 2, RW },
	{ "by use",			TOUCH, 12, 2 },
	{ "again",			PROTECT, 14, 2, RW },
	{ "by use",			TOUCH, 14, 2 },
	{ "and shrinks",		PROTECT, 15, 1, PROT_NONE },
	{ "and grows back",		PROTECT, 15, 1, RW },
	{ "a thread's stack",		MAP, 24, 5, PROT_NONE },
	{ "behind a guard page",	PROTECT, 25, 4, RW },
	{ "is used from its end",	TOUCH, 28, 1 },
	{ "the next stack below",	MAP, 20, 4, RW },
	{ "behind a guard page",	PROTECT, 20, 1, PROT_NONE },
	{ "is used as well",		TOUCH, 23, 1 },
	{ "a large allocation",		MAP, 32, 4, RW },
	{ "is used",			TOUCH, 32, 4 },
	{ "and grows in place",		RESIZE, 32, 4, 6 },
	{ "by use",			TOUCH, 36, 2 },
	{ "a neighbour",		MAP, 38, 2, RW },
	{ "is used",			TOUCH, 38, 2 },
	{ "which moves away",		MOVE, 38, 2, 44 },
	{ "and back",			MOVE, 44, 2, 38 },
	{ "the allocation shrinks",	RESIZE, 32, 8, 5 },
	{ "code is generated",		MAP, 48, 4, RW },
	{ "",				TOUCH, 48, 4 },
	{ "and made executable",	PROTECT, 48, 4, PROT_READ | PROT_EXEC },
	{ "patched",			PROTECT, 49, 1, RW },
	{ "",				TOUCH, 49, 1 },
	{ "and executable again",	PROTECT, 49, 1, PROT_READ | PROT_EXEC },
	{ "a heap of two halves",	MAP, 54, 2, RW },
	{ "with a hole",		MAP, 58, 2, RW },
	{ "",				TOUCH, 54, 2 },
	{ "",				TOUCH, 58, 2 },
	{ "that is filled",		MAP, 56, 2, RW },
	{ "and used",			TOUCH, 56, 2 },
	{ "a part is not to be dumped",	ADVISE, 55, 2, MADV_DONTDUMP },
	{ "but after all",		ADVISE, 55, 2, MADV_DODUMP },
	{ "the program forks",		FORK },
	{ "and goes on",		TOUCH, 54, 6 },
	{ "an arena grows after it",	PROTECT, 16, 2, RW },
	{ "by use",			TOUCH, 16, 2 },
	{ "a stack is unmapped",	UNMAP, 20, 4 },
	{ "a hole in the heap",		UNMAP, 56, 1 },
	{ "is filled",			MAP, 56, 1, RW },
	{ "and used",			TOUCH, 56, 1 },
	{ "the library is unmapped",	UNMAP, 1, 9 },
};

/* What is mapped there gives way to the reservation. */
static int clear(char *addr, unsigned long nr)
{
	return map_anon(addr, nr, PROT_NONE) ? 0 : -errno;
}

static int resize(char *addr, unsigned long nr, unsigned long new_nr)
{
	if (new_nr > nr && munmap(addr + bytes(nr), bytes(new_nr - nr)))
		return -errno;
	if (mremap(addr, bytes(nr), bytes(new_nr), 0) == MAP_FAILED)
		return -errno;
	return new_nr < nr ? clear(addr + bytes(new_nr), nr - new_nr) : 0;
}

/* Returns 0 or a negative errno. */
static int run_step(const struct step *step, char *base, int fd)
{
	char *addr = base + bytes(step->first);
	size_t len = bytes(step->nr);

	switch (step->op) {
	case MAP:
		return map_anon(addr, step->nr, step->arg) ? 0 : -errno;
	case MAP_COPY:
		return mmap(addr, len, step->arg, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
			addr ? 0 : -errno;
	case UNMAP:
		return clear(addr, step->nr);
	case PROTECT:
		return mprotect(addr, len, step->arg) ? -errno : 0;
	case TOUCH:
		for (unsigned long i = 0; i < step->nr; i++)
			*(volatile char *)(addr + bytes(i)) = i;
		return 0;
	case POPULATE:
		return madvise(addr, len, MADV_POPULATE_WRITE) ? -errno : 0;
	case MOVE:
		if (mremap(addr, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			   base + bytes(step->arg)) == MAP_FAILED)
			return -errno;
		return clear(addr, step->nr);
	case RESIZE:
		return resize(addr, step->nr, step->arg);
	case ADVISE:
		return madvise(addr, len, step->arg) ? -errno : 0;
	case FORK:
		return share_with_child();
	}
	return -EINVAL;
}

/*
 * A letter for each page of the range at @base: none, read, write, execute; a
 * capital where a VMA begins. Returns the number of VMAs or a negative errno.
 */
static int read_maps(const char *base, char text[RANGE + 1])
{
	uintptr_t from = (uintptr_t)base, to = from + bytes(RANGE);
	uintptr_t start, end;
	char line[512], perms[8];
	int nr = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	if (!f)
		return -errno;
	memset(text, '?', RANGE);
	text[RANGE] = '\0';
	while (fgets(line, sizeof(line), f)) {
		char letter = 'n';

		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 ||
		    end <= from || start >= to)
			continue;
		for (int i = 0; i < 3; i++)
			if (perms[i] != '-')
				letter = perms[i];
		/* Strangers may have joined the reservation at either end. */
		start = start < from ? from : start;
		end = end > to ? to : end;
		memset(text + (start - from) / psize(), letter, (end - start) / psize());
		text[(start - from) / psize()] = toupper(letter);
		nr++;
	}
	fclose(f);
	return nr;
}

FIXTURE(maps)
{
	char *base;
	int fd;
	bool record;
};

FIXTURE_SETUP(maps)
{
	self->record = getenv("ANON_OWNER_RECORD");
	self->fd = memfd_create("maps", 0);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, ftruncate(self->fd, bytes(RANGE)));
	self->base = reserve(RANGE);
	ASSERT_NE(NULL, self->base);
}

FIXTURE_TEARDOWN(maps)
{
	ASSERT_INVARIANTS();
	ASSERT_EQ(0, munmap(self->base, bytes(RANGE)));
	close(self->fd);
}

/*
 *	 page 1        5    9          12     16
 *	|------+---+-----+-----|      |-------+- - -|
 *	| text |   | data, bss |      | arena | grow|  and so on: program[]
 *	|------+---+-----+-----|      |-------+- - -|
 */
TEST_F(maps, program)
{
	char text[RANGE + 1];

	if (self->record)
		printf("# record static const char * const program_maps[] = {\n");
	for (int i = 0; i < ARRAY_SIZE(program); i++) {
		ASSERT_EQ(0, run_step(&program[i], self->base, self->fd)) {
			TH_LOG("step %d: %s", i, program[i].what);
		}
		ASSERT_GT(read_maps(self->base, text), 0);
		if (self->record) {
			printf("# record \t\"%s\",\n", text);
			continue;
		}
		ASSERT_STREQ(program_maps[i], text) {
			TH_LOG("step %d: %s", i, program[i].what);
		}
	}
	if (self->record)
		printf("# record };\n");
}

/* The same sequence everywhere: a linear congruential generator (C99 7.20.2.2). */
static unsigned long any(unsigned int *state, unsigned long below)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 16) % below;
}

static struct step any_step(unsigned int *state)
{
	static const enum op ops[] = {
		MAP, MAP, UNMAP, PROTECT, PROTECT, POPULATE, POPULATE, POPULATE, MOVE,
	};
	struct step step = { .op = ops[any(state, ARRAY_SIZE(ops))] };

	/* In fours, so that a step often has whole VMAs. */
	step.nr = 4 + 4 * any(state, 3);
	step.first = 4 * any(state, (RANGE - step.nr) / 4 + 1);
	if (step.op == MOVE)
		step.arg = 4 * any(state, (RANGE - step.nr) / 4 + 1);
	else
		step.arg = any(state, 4) ? RW : PROT_READ;
	if (!any(state, 256))
		step.op = FORK;
	return step;
}

/*
 *	page 0     4     8     12          60
 *	|-----+-----+-----+-----+- ... -+-----|
 *	|  ?  |  ?  |  ?  |  ?  |       |  ?  |  any of ops[] to any 4, 8 or 12 pages
 *	|-----+-----+-----+-----+- ... -+-----|
 *
 * Merges may find more to join than on the base, never less.
 */
TEST_F(maps, no_more_vmas)
{
	unsigned long more = 0, less = 0;
	unsigned int state = 1;
	char text[RANGE + 1];

	if (self->record)
		printf("# record\n# record static const unsigned char random_counts[] = {");
	for (int i = 0; i < NR_RANDOM; i++) {
		struct step step = any_step(&state);
		int nr;

		/* Some may not: what is there is not writable, ranges overlap. */
		run_step(&step, self->base, self->fd);
		nr = read_maps(self->base, text);
		ASSERT_GT(nr, 0);
		if (self->record) {
			printf("%s%d,", i % 16 ? " " : "\n# record \t", nr);
			continue;
		}
		if (nr > random_counts[i]) {
			TH_LOG("step %d, op %d: %d VMAs, not %d: %s", i, step.op,
			       nr, random_counts[i], text);
			more++;
		}
		less += nr < random_counts[i];
	}
	if (self->record)
		printf("\n# record };\n");
	TH_LOG("%lu times fewer VMAs than on the base, of %d", less, NR_RANDOM);
	ASSERT_EQ(0, more);
}

TEST_HARNESS_MAIN
