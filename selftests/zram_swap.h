/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __ZRAM_SWAP_H__
#define __ZRAM_SWAP_H__

#include <stdbool.h>

bool zram_swap_on(void);
int cycle_swap(void);

bool loop_swap_make(void);
int loop_swap_on(bool stable_writes);
int loop_swap_off(void);
int loop_swap_hold(void);
void loop_swap_release(void);

#endif /* __ZRAM_SWAP_H__ */
