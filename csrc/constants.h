/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers of the architecture, for the engine and for the programs that test it. The enumerations
 * that Python and C share come before it: csrc/ffi_build.py makes them.
 */
#ifndef VMMKIT_CONSTANTS_H
#define VMMKIT_CONSTANTS_H

#define PAGE 4096u

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, RIP_BASE = VMMKIT_LIMIT_RIP_BASE };
enum { ES, CS, SS, DS, FS, GS, LDTR, TR };
enum { SELECTOR, BASE, LIMIT, ATTRIBUTES };

enum {
    CF = 0x001,
    PF = 0x004,
    AF = 0x010,
    ZF = 0x040,
    SF = 0x080,
    IF = 0x200,
    DF = 0x400,
    OF = 0x800,
    STATUS = CF | PF | AF | ZF | SF | OF,
    RFLAGS_VM = 1 << 17,
    RFLAGS_AC = 1 << 18,
    VIF = 1 << 19,
    VIP = 1 << 20
};

enum {
    DE = 0,
    DB = 1,
    NMI = 2,
    BP = 3,
    OVERFLOW = 4,
    BR = 5,
    UD = 6,
    NM = 7,
    DOUBLE_FAULT = 8,
    TS = 10,
    NP = 11,
    STACK_FAULT = 12,
    GP = 13,
    PAGE_FAULT = 14,
    MF = 16,
    ALIGNMENT = 17
};
enum { SHADOW_STI = 1, SHADOW_MOV_SS = 2 };
enum { READABLE = 1, WRITTEN = 2 };

#define CR0_PE 1u
#define CR0_MP 2u
#define CR0_EM 4u
#define CR0_TS 8u
#define CR0_NE 32u
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_PG (1u << 31)
#define DR7_GD (1u << 13)
#define CR4_VME 1u
#define CR4_PVI 2u
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)
#define CR4_UMIP (1u << 11)
#define CR4_LA57 (1u << 12)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define XCR0_AVX 0x06u
#define XCR0_AVX512 0xE6u
#define X87_ES (1u << 7)
#define X87_TOP (7u << 11)

enum {
    TYPE_ACCESSED = 1,
    TYPE_WRITABLE = 2,
    TYPE_EXPAND_DOWN = 4,
    TYPE_CODE = 8,
    ATTR_S = 1 << 4,
    ATTR_P = 1 << 7,
    ATTR_L = 1 << 13,
    ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
    ATTR_UNUSABLE = 1 << 16
};

#endif
