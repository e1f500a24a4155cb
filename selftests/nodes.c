// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "nodes.h"
#include "test_area.h"

/* The first two nodes that have memory. Returns whether there are two. */
bool find_nodes(int nodes[2])
{
	char buf[256], *s = buf;
	int nr = 0;

	if (!read_file("/sys/devices/system/node/has_memory", buf, sizeof(buf)))
		return false;

	/* A list of ranges, such as "0-1,4". */
	while (nr < 2) {
		long node = strtol(s, &s, 10);
		long last = node;

		if (*s == '-')
			last = strtol(s + 1, &s, 10);
		while (nr < 2 && node <= last)
			nodes[nr++] = node++;
		if (*s != ',')
			break;
		s++;
	}
	return nr == 2 && !syscall(SYS_move_pages, 0, 0, NULL, NULL, NULL, 0);
}

/* move_pages(2) of @nr pages at @addr; where they are if @node is negative. */
long move_pages(char *addr, unsigned long nr, int node, int status[])
{
	void *pages[nr];
	int nodes[nr];

	for (unsigned long i = 0; i < nr; i++) {
		pages[i] = addr + bytes(i);
		nodes[i] = node;
	}
	return syscall(SYS_move_pages, 0, nr, pages, node < 0 ? NULL : nodes,
		       status, MPOL_MF_MOVE);
}

/* Returns how many of @nr pages at @addr are on @node. */
int count_on_node(char *addr, unsigned long nr, int node)
{
	int status[nr];
	int count = 0;

	if (move_pages(addr, nr, -1, status))
		return -errno;
	for (unsigned long i = 0; i < nr; i++)
		count += status[i] == node;
	return count;
}

/*
 * Move @nr pages at @addr to @node. A page that somebody else holds for a
 * moment stays behind, so ask more than once. Returns 0 or a negative errno.
 */
int move_to_node(char *addr, unsigned long nr, int node)
{
	int status[nr];

	for (int tries = 0; tries < 10; tries++) {
		if (move_pages(addr, nr, node, status) < 0)
			return -errno;
		if (count_on_node(addr, nr, node) == nr)
			return 0;
		usleep(1000);
	}
	return -EAGAIN;
}

#define MEMORY	"/sys/devices/system/memory/"

/* Returns 0 or a negative errno. */
int write_block(int block, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), MEMORY "memory%d/state", block);
	return write_string(path, state);
}

static int compare_blocks(const void *a, const void *b)
{
	return *(const int *)b - *(const int *)a;
}

static int movable_block;
static pid_t main_pid;

/* Its memory was of another zone. */
static void restore_block(void)
{
	if (getpid() != main_pid)
		return;
	write_block(movable_block, "offline");
	if (write_block(movable_block, "online_kernel") &&
	    write_block(movable_block, "online"))
		ksft_print_msg("memory%d stays offline\n", movable_block);
}

/*
 * Find a memory block of @node that can go offline, and make it movable until
 * this process exits. Returns its number, or -1 if there is none.
 */
int make_movable_block(int node, unsigned long *nr_pages)
{
	char path[64], buf[32];
	int blocks[1024], nr = 0;
	struct dirent *entry;
	DIR *dir;

	if (!read_file(MEMORY "block_size_bytes", buf, sizeof(buf)))
		return -1;
	*nr_pages = strtoul(buf, NULL, 16) / psize();
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (nr < ARRAY_SIZE(blocks) && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "memory%d", &blocks[nr]) == 1)
			nr++;
	closedir(dir);

	qsort(blocks, nr, sizeof(*blocks), compare_blocks);
	for (int i = 0; i < nr && i < 8; i++) {
		movable_block = blocks[i];
		if (write_block(movable_block, "offline"))
			continue;
		if (!write_block(movable_block, "online_movable")) {
			main_pid = getpid();
			atexit(restore_block);
			return movable_block;
		}
		write_block(movable_block, "online");
	}
	return -1;
}
