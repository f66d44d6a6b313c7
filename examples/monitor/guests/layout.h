/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that C and assembly share. */
#pragma once

#define PROCESSORS 2

/* Segment selectors. */
#define CODE0 0x08
#define DATA0 0x10
#define SYSRET_BASE 0x18
#define DATA3 0x23
#define CODE3 0x2b
#define TASK0 0x30 /* of processor 0; the next one is 16 further */

/* Control registers and EFER. */
#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_ET 0x10
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_NXE 0x800

/* Entries of page tables. */
#define PAGE_PRESENT 0x1
#define PAGE_WRITABLE 0x2
#define PAGE_USER 0x4
#define PAGE_UNCACHED 0x18
#define PAGE_ACCESSED 0x20
#define PAGE_DIRTY 0x40
#define PAGE_SIZE_BIT 0x80

/* Gates: so many vectors have a stub. */
#define VECTORS 128
#define SPURIOUS_VECTOR 0x7f
