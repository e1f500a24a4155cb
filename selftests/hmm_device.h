/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HMM_DEVICE_H__
#define __HMM_DEVICE_H__

int count_in_device(int fd, char *addr, unsigned long nr);
int move_to_device(int fd, char *addr, unsigned long nr, unsigned int seed);

#endif /* __HMM_DEVICE_H__ */
