/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __NODES_H__
#define __NODES_H__

#include <stdbool.h>

bool find_nodes(int nodes[2]);
long move_pages(char *addr, unsigned long nr, int node, int status[]);
int count_on_node(char *addr, unsigned long nr, int node);
int move_to_node(char *addr, unsigned long nr, int node);

int write_block(int block, const char *state);
int make_movable_block(int node, unsigned long *nr_pages);

#endif /* __NODES_H__ */
