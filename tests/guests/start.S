/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of the guests, at the start of the image: clear .bss, set up the UART, run, say so, halt. The processor is
 * in its mode already; the stack is ours to choose.
 */
#include "guest_bits.h"
        CODE
        .section .start, "ax"
        .globl  _start
_start:
        cld
        mov     $0xdff0, STACK_POINTER
        mov     $__bss_start, DESTINATION
        mov     $_end, COUNT
        sub     DESTINATION, COUNT
        xor     %eax, %eax
        rep stosb
        mov     $0x3fb, %edx            /* line control: eight data bits */
        mov     $3, %al
        outb    %al, %dx
        CALL    program
        movl    $1, 0xe004              /* struct result, finished */
        hlt
        .section .note.GNU-stack, "", @progbits
