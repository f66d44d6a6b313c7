/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things are while the machine boots, and the ports of its board (../board.py). Everything
 * is below 1 MiB but for BEYOND, the page that 16-bit segments do not reach, and the device.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#define CHECKS 0x600   /* how many checks were made */
#define FAILURES 0x604 /* and how many of them failed */
#define REAL_BASE 0x7c00
#define PROTECTED_BASE 0x10000
#define KERNEL_BASE 0x20000
#define TABLES 0x80000 /* page tables of the stage that runs; they end before SPARE */
#define SPARE 0xa0000  /* pages for checks to map */
#define PROTECTED_STACK 0x1f000
#define KERNEL_STACK 0x7f000
#define BEYOND 0x100000
#define DEVICE 0xfec00000 /* a page that keeps what is written to it */

#define CONSOLE_PORT 0xe9
#define TIMER_PORT 0x40 /* instructions from one timer interrupt to the next; 0 stops them */
#define NMI_PORT 0x42   /* raises an NMI */
#define LATCH_PORT 0x60 /* keeps what is written to it */

#define TIMER_VECTOR 0x20

#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_TS 0x8
#define CR0_WP 0x10000
#define CR0_AM 0x40000
#define CR0_PG 0x80000000
#define CR4_DE 0x8
#define CR4_PSE 0x10
#define CR4_PAE 0x20
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_UMIP 0x800
#define CR4_LA57 0x1000
#define CR4_FSGSBASE 0x10000
#define CR4_OSXSAVE 0x40000
#define CR4_SMEP 0x100000
#define CR4_SMAP 0x200000
#define CR4_PKE 0x400000
#define EFER 0xc0000080
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define FLAG_CF 0x1
#define FLAG_TF 0x100
#define FLAG_IF 0x200
#define FLAG_VM 0x20000
#define FLAG_AC 0x40000

#endif
