// SPDX-License-Identifier: GPL-2.0
/*
 * mmtorture SECONDS [SEED [PROCESSES]]: random mm calls, every byte checked.
 *
 * Each process keeps a model of an arena: what is mapped there and what each
 * page holds. It maps, writes, splits, merges, moves, swaps, migrates and forks
 * at random, and compares. A thread of its own meanwhile reclaims, collapses and
 * migrates what it finds there, which changes no content. The same seed gives
 * the same calls of each process, though not the same interleaving.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

/* Slots of the arena may not touch, so that VMAs of a slot merge and others do not. */
#define ARENA		((char *)0x100000000000ul)
#define SLOT_BYTES	(4ul << 20)
#define SLOTS		24
#define FILE_PAGES	64
#define MAX_CHILDREN	4
#define MAX_DEPTH	3

struct page {
	uint64_t value;		/* what each word of the page holds */
	uint64_t base;		/* what it holds again when it is dropped */
	unsigned char prot;
	bool mapped, file, dontfork, wipeonfork;
};

static struct page *model;
static size_t page_size, slot_pages, pages;
static uint64_t rnd_state, seed;
static time_t deadline;
static unsigned long ops;
static int depth, children, fd;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "mmtorture: pid %d, seed %#lx, operation %lu: ", getpid(), seed, ops);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	fflush(NULL);
	_exit(1);
}

/* xorshift64* (Vigna 2016) */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static size_t rnd(size_t below)
{
	return (next_random(&rnd_state) >> 33) % below;
}

static char *addr_of(size_t n)
{
	return ARENA + n / slot_pages * 2 * SLOT_BYTES + n % slot_pages * page_size;
}

static void check_page(size_t n)
{
	uint64_t *word = (uint64_t *)addr_of(n);
	size_t i;

	for (i = 0; i < page_size / sizeof(*word); i++)
		if (word[i] != model[n].value)
			fail("%p, word %zu: %#lx, expected %#lx", word, i, word[i], model[n].value);
}

static void check_range(size_t n, size_t len)
{
	for (; len; n++, len--)
		if (model[n].mapped && model[n].prot & PROT_READ)
			check_page(n);
}

static void write_range(size_t n, size_t len)
{
	for (; len; n++, len--) {
		uint64_t *word = (uint64_t *)addr_of(n);
		size_t i;

		if (!model[n].mapped || !(model[n].prot & PROT_WRITE))
			continue;
		check_page(n);
		/* A few values many times, for KSM. */
		model[n].value = rnd(4) ? next_random(&rnd_state) : 1 + rnd(4);
		for (i = 0; i < page_size / sizeof(*word); i++)
			word[i] = model[n].value;
	}
}

/* A random range within a slot; now and then a whole slot or a huge page. */
static size_t pick(size_t *len)
{
	size_t start = rnd(SLOTS) * slot_pages, offset = 0;

	switch (rnd(8)) {
	case 0:
		*len = slot_pages;
		break;
	case 1:
		*len = slot_pages / 2;
		offset = rnd(2) * *len;
		break;
	default:
		*len = 1 + rnd(rnd(2) ? 8 : slot_pages / 2);
		offset = rnd(slot_pages - *len + 1);
	}
	return start + offset;
}

static bool all(size_t n, size_t len, bool mapped)
{
	for (; len; n++, len--)
		if (model[n].mapped != mapped)
			return false;
	return true;
}

/* One VMA, whatever the kernel merges: all alike, and a file's pages in a row. */
static bool uniform(size_t n, size_t len)
{
	size_t i;

	for (i = 1; i < len; i++) {
		struct page *a = &model[n], *b = &model[n + i];

		if (a->prot != b->prot || a->file != b->file || a->dontfork != b->dontfork ||
		    a->wipeonfork != b->wipeonfork)
			return false;
	}
	return true;
}

static void op_map(size_t n, size_t len)
{
	bool file = !rnd(4);
	size_t first = 0, i;
	char *p;

	if (!all(n, len, false))
		return;
	if (file) {
		if (len > FILE_PAGES)
			len = FILE_PAGES;
		first = rnd(FILE_PAGES - len + 1);
	}
	p = mmap(addr_of(n), len * page_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED_NOREPLACE | (file ? 0 : MAP_ANONYMOUS),
		 file ? fd : -1, first * page_size);
	if (p != addr_of(n))
		fail("mmap: %m");
	for (i = 0; i < len; i++)
		model[n + i] = (struct page){
			.value = file ? 1000 + first + i : 0,
			.base = file ? 1000 + first + i : 0,
			.prot = PROT_READ | PROT_WRITE, .mapped = true, .file = file,
		};
}

static void op_unmap(size_t n, size_t len)
{
	if (munmap(addr_of(n), len * page_size))
		fail("munmap: %m");
	memset(&model[n], 0, len * sizeof(*model));
}

static void op_protect(size_t n, size_t len)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
	int prot = prots[rnd(4)];

	if (!all(n, len, true))
		return;
	if (mprotect(addr_of(n), len * page_size, prot))
		fail("mprotect: %m");
	for (; len; n++, len--)
		model[n].prot = prot;
}

static void op_move(size_t n, size_t len)
{
	bool keep = !rnd(3);
	size_t to, to_len, i;

	to = pick(&to_len);
	if (to_len < len)
		len = to_len;
	if (to / slot_pages == n / slot_pages || !all(n, len, true) || !uniform(n, len))
		return;
	if (mremap(addr_of(n), len * page_size, len * page_size,
		   MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0),
		   addr_of(to)) != addr_of(to)) {
		/* The range is more than one VMA after all. */
		if (errno != EFAULT && !(errno == EINVAL && keep))
			fail("mremap: %m");
		/* What was there is gone, and VMAs before the first that fails have moved. */
		if (munmap(addr_of(n), len * page_size) || munmap(addr_of(to), len * page_size))
			fail("munmap: %m");
		memset(&model[n], 0, len * sizeof(*model));
		memset(&model[to], 0, len * sizeof(*model));
		return;
	}
	for (i = 0; i < len; i++) {
		model[to + i] = model[n + i];
		if (keep)
			model[n + i].value = model[n + i].base;
		else
			memset(&model[n + i], 0, sizeof(*model));
	}
}

static void op_resize(size_t n, size_t len)
{
	size_t room = slot_pages - n % slot_pages, new_len = 1 + rnd(room), i;

	if (!all(n, len, true) || !uniform(n, len) || model[n].file)
		return;
	if (new_len > len && !all(n + len, new_len - len, false))
		return;
	if (mremap(addr_of(n), len * page_size, new_len * page_size, 0) == MAP_FAILED) {
		if (errno != EFAULT)
			fail("mremap in place: %m");
		return;
	}
	for (i = len; i < new_len; i++) {
		model[n + i] = model[n + len - 1];
		model[n + i].value = model[n + i].base = 0;
	}
	if (new_len < len)
		memset(&model[n + new_len], 0, (len - new_len) * sizeof(*model));
}

static void op_advise(size_t n, size_t len)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_PAGEOUT, MADV_PAGEOUT, MADV_COLD, MADV_MERGEABLE, MADV_UNMERGEABLE,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
		MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_DONTFORK, MADV_DOFORK,
	};
	int advice = advices[rnd(sizeof(advices) / sizeof(*advices))];
	size_t i;

	if (!all(n, len, true))
		return;
	if (advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK)
		for (i = 0; i < len; i++)
			if (model[n + i].file)
				return;
	if (madvise(addr_of(n), len * page_size, advice)) {
		/* These do as much as they can. */
		if (advice == MADV_COLLAPSE || advice == MADV_POPULATE_READ ||
		    advice == MADV_POPULATE_WRITE || advice == MADV_PAGEOUT)
			return;
		fail("madvise %d: %m", advice);
	}
	for (i = 0; i < len; i++)
		switch (advice) {
		case MADV_DONTNEED:
			model[n + i].value = model[n + i].base;
			break;
		case MADV_WIPEONFORK:
		case MADV_KEEPONFORK:
			model[n + i].wipeonfork = advice == MADV_WIPEONFORK;
			break;
		case MADV_DONTFORK:
		case MADV_DOFORK:
			model[n + i].dontfork = advice == MADV_DONTFORK;
			break;
		}
}

static void migrate_some(uint64_t *state)
{
	void *addrs[16];
	int nodes[16], status[16], i, node = next_random(state) & 1;
	size_t n = next_random(state) % pages;

	for (i = 0; i < 16; i++) {
		addrs[i] = addr_of((n + i) % pages);
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, 16, addrs, nodes, status, MPOL_MF_MOVE);
}

static void *disturb(void *arg)
{
	uint64_t state = (uintptr_t)arg | 1;

	while (time(NULL) < deadline) {
		size_t n = (next_random(&state) >> 33) % pages;
		static const int advices[] = { MADV_PAGEOUT, MADV_COLD, MADV_COLLAPSE, MADV_WILLNEED };

		if (next_random(&state) & 1)
			migrate_some(&state);
		else
			madvise(addr_of(n), (1 + n % 64) * page_size,
				advices[(next_random(&state) >> 33) % 4]);
		usleep(1000);
	}
	return NULL;
}

static void reap(int options)
{
	int status;

	while (children && waitpid(-1, &status, options) > 0) {
		children--;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			fail("a child ended with status %#x", status);
	}
}

static void run(unsigned long max_ops);

static void op_fork(void)
{
	uint64_t child_seed = next_random(&rnd_state);
	size_t n;
	pid_t pid;

	reap(WNOHANG);
	if (depth >= MAX_DEPTH || children >= MAX_CHILDREN)
		return;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		fail("fork: %m");
	if (pid) {
		children++;
		return;
	}
	depth++;
	children = 0;
	rnd_state = seed = child_seed | 1;
	ops = 0;
	for (n = 0; n < pages; n++) {
		if (model[n].dontfork)
			memset(&model[n], 0, sizeof(*model));
		else if (model[n].wipeonfork)
			model[n].value = 0;
	}
	run(20 + rnd(200));
	_exit(0);
}

static void run(unsigned long max_ops)
{
	pthread_t thread;
	size_t n, len;

	if (pthread_create(&thread, NULL, disturb, (void *)(uintptr_t)next_random(&rnd_state)))
		fail("pthread_create");
	for (; ops < max_ops && time(NULL) < deadline; ops++) {
		n = pick(&len);
		switch (rnd(20)) {
		case 0: case 1: case 2:
			op_map(n, len);
			break;
		case 3: case 4: case 5: case 6:
			write_range(n, len);
			break;
		case 7: case 8: case 9:
			check_range(n, len);
			break;
		case 10:
			op_unmap(n, len);
			break;
		case 11: case 12:
			op_protect(n, len);
			break;
		case 13: case 14:
			op_move(n, len);
			break;
		case 15:
			op_resize(n, len);
			break;
		case 16: case 17: case 18:
			op_advise(n, len);
			break;
		case 19:
			op_fork();
			break;
		}
	}
	check_range(0, pages);
	reap(0);
	check_range(0, pages);
}

int main(int argc, char **argv)
{
	int processes = argc > 3 ? atoi(argv[3]) : 4, i, n;
	uint64_t first_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);

	if (argc < 2) {
		fprintf(stderr, "usage: mmtorture SECONDS [SEED [PROCESSES]]\n");
		return 2;
	}
	page_size = sysconf(_SC_PAGESIZE);
	slot_pages = SLOT_BYTES / page_size;
	pages = SLOTS * slot_pages;
	deadline = time(NULL) + atoi(argv[1]);
	model = calloc(pages, sizeof(*model));
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (!model || fd < 0)
		fail("no memory or no file: %m");
	for (i = 0; i < FILE_PAGES; i++) {
		uint64_t word = 1000 + i;

		for (n = 0; n < (int)(page_size / sizeof(word)); n++)
			if (pwrite(fd, &word, sizeof(word), i * page_size + n * sizeof(word)) != sizeof(word))
				fail("pwrite: %m");
	}
	printf("mmtorture: seed %#lx, %d processes\n", first_seed, processes);
	fflush(NULL);
	for (i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork: %m");
		if (!pid) {
			rnd_state = seed = (first_seed + i) * 0x9e3779b97f4a7c15 | 1;
			run(-1ul);
			printf("mmtorture: process %d: %lu operations\n", i, ops);
			fflush(NULL);
			_exit(0);
		}
		children++;
	}
	reap(0);
	printf("mmtorture: no byte lost\n");
	return 0;
}
