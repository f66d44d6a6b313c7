/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of registers by the width of the guest. */
#if BITS == 64
#define CODE .code64
#define STACK_POINTER %rsp
#define DESTINATION %rdi
#define COUNT %rcx
#define CALL call
#else
#define STACK_POINTER %esp
#define DESTINATION %edi
#define COUNT %ecx
#define CALL calll /* gcc returns with a 32-bit pop, in 16-bit code too */
#if BITS == 32
#define CODE .code32
#else
#define CODE .code16
#endif
#endif
