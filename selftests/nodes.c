// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

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
