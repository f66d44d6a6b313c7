/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of the 64-bit guests, in long mode on the tables below, with the processor's number in RDI.
 *
 * ffffffff80000000 and on is RAM from 200000h on, so that no virtual address is the physical one.
 * ffffffffa0000000 is a page that each processor has for itself.
 * ffffffffc0000000 and on is the gigabyte below 4 GiB, with the devices.
 * Everything else is a hole.
 */
        .code64
        .section .start, "ax"
        .globl  _start
        .type   _start, @function
_start:
        .cfi_startproc
        .cfi_undefined rip
        cld
        lea     1(%rdi), %rsp
        shl     $12, %rsp
        add     $stacks, %rsp
        xor     %ebp, %ebp
        lgdt    gdt_pointer
        push    %rdi
        push    %rdi
        call    guest_main
        nop                     /* where it returns to is still this function */
        .cfi_endproc
        .size   _start, . - _start

        .globl  finished
        .type   finished, @function
finished:
        .cfi_startproc
        .cfi_undefined rip
        cli
        hlt
        jmp     finished
        .cfi_endproc
        .size   finished, . - finished

        .data
        .balign 16
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word   23
        .quad   gdt

#define OFFSET 0xffffffff7fe00000       /* virtual - physical */

        .section .tables, "aw"
        .balign 4096
        .irp    number, 0, 1, 2
        .globl  pml4_\number, private_\number
pml4_\number:
        .fill   511, 8, 0
        .quad   pdpt_\number - OFFSET + 3
pdpt_\number:
        .fill   510, 8, 0
        .quad   pd_\number - OFFSET + 3
        .quad   0xc0000083
pd_\number:
        .set    page, 0x200083
        .rept   16
        .quad   page
        .set    page, page + 0x200000
        .endr
        .fill   240, 8, 0
        .quad   pt_\number - OFFSET + 3
        .fill   255, 8, 0
pt_\number:
        .quad   private_\number - OFFSET + 3
        .fill   511, 8, 0
private_\number:
        .fill   512, 8, 0
        .endr

        .section .bss
        .balign 16
stacks: .fill   3 * 4096
        .section .note.GNU-stack, "", @progbits
