/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a guest begins: the PVH entry point in protected mode, and the way to 64-bit mode.

   The first 4 GiB are mapped as they are, by pages of 2 MiB, for the supervisor only. Processors
   that are started later come to `enter_long_mode` as well, with EDI, ESI and EBP as below. */
    .file "start.S"
#include "layout.h"

/* The note by which loaders know a kernel with a PVH entry: its address. */
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18      /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad pvh_entry

    .section .start, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    cld
    mov %ebx, start_information
    mov $page_directories, %edi
    mov $PAGE_SIZE_BIT | PAGE_WRITABLE | PAGE_PRESENT, %eax
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b
    mov $page_directories + 2 * 4096, %edi
    mov $1024, %ecx
2:  orb $PAGE_UNCACHED, (%edi)      /* from 2 GiB on there are devices */
    add $8, %edi
    dec %ecx
    jnz 2b
    mov $page_directories + PAGE_WRITABLE + PAGE_PRESENT, %eax
    mov $page_pointers, %edi
    mov $4, %ecx
3:  mov %eax, (%edi)
    add $8, %edi
    add $4096, %eax
    dec %ecx
    jnz 3b
    movl $page_pointers + PAGE_WRITABLE + PAGE_PRESENT, page_root
    mov $page_root, %edi
    mov $boot_stack_top, %esi
    mov $start, %ebp

/* EDI: CR3; ESI: RSP; EBP: the function to call. */
    .globl enter_long_mode
enter_long_mode:
    mov %edi, %cr3
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_SCE | EFER_LME | EFER_NXE, %eax
    wrmsr
    mov $CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $CODE0, $1f
    .code64
1:  mov $DATA0, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %rsi, %rsp
    mov %rbp, %rax
    xor %ebp, %ebp
    call *%rax
1:  cli
    hlt
    jmp 1b

    .data
    .balign 8
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* CODE0 */
    .quad 0x00cf93000000ffff    /* DATA0 */
    .quad 0x00cffb000000ffff    /* CODE3 of 32 bits, in SYSRET's order */
    .quad 0x00cff3000000ffff    /* DATA3 */
    .quad 0x00affb000000ffff    /* CODE3 */
    .fill 2 * PROCESSORS, 8, 0  /* the task state segments */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .quad gdt
    .globl start_information
    .balign 4
start_information:
    .long 0

    .bss
    .balign 4096
    .globl page_root, page_pointers, page_directories, boot_stack_top
page_root:          .skip 4096
page_pointers:      .skip 4096
page_directories:   .skip 4 * 4096
                    .skip 16384
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
