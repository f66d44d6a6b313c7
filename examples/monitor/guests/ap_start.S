/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a start-up message sends a processor: copied to a page below 1 MiB, in real mode. */
    .file "ap_start.S"
#include "layout.h"

#define PLACE(symbol) (symbol - ap_start)

    .section .rodata
    .balign 8
    .globl ap_start, ap_start_size, ap_start_values
    .code16
ap_start:
    cli
    mov %cs, %ax
    mov %ax, %ds
    mov PLACE(ap_start_values), %edi
    mov PLACE(ap_start_values) + 4, %esi
    mov PLACE(ap_start_values) + 8, %ebp
    lgdtl PLACE(1f)
    mov $CR0_PE | CR0_ET, %eax
    mov %eax, %cr0
    ljmpl *PLACE(2f)
    .balign 8
1:  .word 3 * 8 - 1
    .long ap_start_gdt
2:  .long ap_start_protected
    .word 0x08
    .balign 4
ap_start_values:
    .long 0, 0, 0       /* CR3, RSP, function: as enter_long_mode wants them */
ap_start_size:
    .long . - ap_start

    .balign 8
ap_start_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff

    .text
    .code32
ap_start_protected:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    jmp enter_long_mode
    .section .note.GNU-stack, "", @progbits
