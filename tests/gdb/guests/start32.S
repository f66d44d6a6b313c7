/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the 32-bit stage; `go_on` leaves it for the 64-bit stage at 20000h, where there is one. */
        .code32
        .section .start, "ax"
        .globl  _start
_start:
        .cfi_startproc
        .cfi_undefined eip
        lgdt    %cs:gdt_pointer
        mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x7000, %esp
        xor     %ebp, %ebp
        call    protected_main
        .globl  go_on
go_on:
        cmpl    $0, 0x20000
        je      finished
        mov     $pml4, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $24, $0x20000
        .cfi_endproc
        .size   _start, . - _start

        .globl  finished
        .type   finished, @function
finished:
        .cfi_startproc
        .cfi_undefined eip
        cli
        hlt
        jmp     finished
        .cfi_endproc
        .size   finished, . - finished

        .data
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer:
        .word   31
        .long   gdt

        .section .tables, "aw"
        .balign 4096
pml4:   .long   pdpt + 3, 0
        .fill   511, 8, 0
pdpt:   .quad   0x83
        .fill   511, 8, 0
        .section .note.GNU-stack, "", @progbits
