/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __ZRAM_SWAP_H__
#define __ZRAM_SWAP_H__

#include <stdbool.h>

bool zram_swap_on(void);
int cycle_swap(void);

#endif /* __ZRAM_SWAP_H__ */
