/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of the guests, at the start of the image: clear .bss, set up the UART, turn on the vector
 * registers that the program was compiled for (VECTORS), run, say so, halt. The processor is in its
 * mode already; the stack is ours to choose.
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
#ifdef VECTORS
        mov     %cr4, DESTINATION
        or      $0x600, %edi            /* OSFXSR, OSXMMEXCPT */
        mov     DESTINATION, %cr4
#if VECTORS > 1
        or      $0x40000, %edi          /* OSXSAVE */
        mov     DESTINATION, %cr4
#if VECTORS > 2
        mov     $0xe7, %eax
#else
        mov     $7, %eax
#endif
        xor     %edx, %edx
        xor     %ecx, %ecx
        xsetbv
#endif
#endif
        CALL    program
        movl    $1, 0xe004              /* struct result, finished */
        hlt
        .section .note.GNU-stack, "", @progbits
