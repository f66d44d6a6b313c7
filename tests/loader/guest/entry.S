/* SPDX-FileCopyrightText: 2026 vmmkit contributors
   SPDX-License-Identifier: BSD-2-Clause

   Entry of a guest that reports what it was handed: PVH, Multiboot or Multiboot2 as compiled. */

        .section .head, "a"
#ifdef PVH
        .section .note.Xen, "a", @note
        .align 4
        .long 4, 4, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long _start
#endif
#ifdef MULTIBOOT
        .align 4
        .long 0x1badb002, 3, -(0x1badb002 + 3)
#endif
#ifdef MULTIBOOT2
        .align 8
header: .long 0xe85250d6, 0, header_beyond - header
        .long -(0xe85250d6 + (header_beyond - header))
        .short 1, 0                     /* information request */
        .long 20, 1, 4, 6               /* command line, memory sizes, memory map */
        .align 8
        .short 0, 0                     /* the last tag */
        .long 8
header_beyond:
#endif

        .text
        .globl _start
_start: movl    $stack_top, %esp        /* SS must be usable from the first instruction on */
        pushf
        pushl   %ebx
        pushl   %eax
        movl    %cr4, %eax
        pushl   %eax
        movl    %cr0, %eax
        pushl   %eax
        call    report
        movb    $0, %al
        outb    %al, $0xf4
1:      hlt
        jmp     1b

        .bss
        .align 16
        .space 4096
stack_top:
