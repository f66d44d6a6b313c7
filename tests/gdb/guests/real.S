/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* First stage, in real-address mode as a boot sector is; goes on to the 32-bit stage at 10000h. */
        .code16
        .section .start, "ax"
        .globl  _start
_start:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7000, %sp
        mov     $'R', %al
        call    real_put
        .globl  real_switch
real_switch:
        lgdtl   gdt_pointer
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $8, $0x10000

        .globl  real_put
real_put:
        mov     $0x3f8, %dx
        outb    %al, %dx
        ret

        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer:
        .word   31
        .long   gdt
        .section .note.GNU-stack, "", @progbits
