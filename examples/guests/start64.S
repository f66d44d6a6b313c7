/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the 64-bit guests in C: the stack is there already; clear .bss, run, halt, compute, halt. */
        .code64
        .section .start, "ax"
        .globl  _start
_start:
        cld
        leaq    __bss_start(%rip), %rdi
        leaq    _end(%rip), %rcx
        subq    %rdi, %rcx
        xorl    %eax, %eax
        rep stosb
        call    guest_main
        hlt
        call    guest_compute
        hlt
