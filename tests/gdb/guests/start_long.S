/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the last stage, in 64-bit mode; it ends in compatibility mode. */
        .code64
        .section .start, "ax"
        .globl  _start
_start:
        .cfi_startproc
        .cfi_undefined rip
        mov     $0x7000, %esp
        xor     %ebp, %ebp
        call    long_main
        push    $8
        push    $compatible
        lretq
        .cfi_endproc

        .code32
        .globl  compatible
compatible:
        mov     $'C', %al
        mov     $0x3f8, %dx
        outb    %al, %dx
        inc     %eax
        .globl  finished
finished:
        hlt
        jmp     finished
        .section .note.GNU-stack, "", @progbits
