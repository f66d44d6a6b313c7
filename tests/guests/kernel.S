/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel of a few pages that lives on its own interrupt table, in 64-bit mode. Each thing that it
 * gets through writes a letter to port E9:
 *
 *   3  INT3                            G  #GP in ring 0, skipped
 *   P  #PF, whose page is then mapped  D  #DE, skipped
 *   F  #DF on an interrupt stack       T  a timer interrupt, five of them
 *   U  INT 80 from ring 3              H  #GP in ring 3 (HLT), skipped
 *   !  a value that is not as expected X  the end
 *
 * The host sets up segments, TSS and page tables, and points IDTR at IDT.
 */

#define IDT 0x10000
#define STACK 0xE000
#define USER_STACK 0xF000
#define PTE_OF_PAGE 0x24000 /* of linear address 200000 */
#define PAGE 0x200000
#define MAPPED 0x30067 /* what it is mapped to: present, writable, user, accessed, dirty */
#define CODE0 0x08
#define CODE3 0x1B
#define DATA3 0x23

.macro say letter
    push %rax
    mov $\letter, %al
    out %al, $0xE9
    pop %rax
.endm

.macro gate vector, handler, kind, ist
    lea \handler, %rax
    mov $\vector, %ecx
    mov $(\kind << 8 | \ist), %edx
    call set_gate
.endm

    .section .start, "ax"
    .globl _start
_start:
    mov $STACK, %esp
    gate 0, divide_error, 0x8E, 0
    gate 3, breakpoint, 0xEE, 0
    gate 8, double_fault, 0x8E, 1
    gate 13, general_protection, 0x8E, 0
    gate 14, page_fault, 0x8E, 0
    gate 0x20, timer, 0x8E, 0
    gate 0x80, system_call, 0xEE, 0

    int3

    mov $PAGE, %ebx
    movq $0x1234, 8(%rbx)
    cmpq $0x1234, 8(%rbx)
    jne wrong
    cmpq $0x1234, 0x30008
    jne wrong

    mov $0x1F8, %eax
    mov %eax, %ds

    xor %ecx, %ecx
    div %ecx

    mov $1, %r15d
    shl $47, %r15
    mov %r15, %rsp
    int3 /* no stack for it, and none for the #SS that comes of that */
after_double_fault:

    xor %r12d, %r12d
    sti
1:  cmp $5, %r12d
    jb 1b
    cli

    push $DATA3
    push $USER_STACK
    pushf
    push $CODE3
    push $user
    iretq

user:
    int $0x80
    hlt
    mov $1, %edi
    int $0x80
wrong:
    say '!'
    hlt

/* Handler in RAX, vector in ECX, kind and IST in EDX. */
set_gate:
    shl $4, %ecx
    add $IDT, %ecx
    mov %ax, (%rcx)
    movw $CODE0, 2(%rcx)
    mov %dx, 4(%rcx)
    shr $16, %rax
    mov %ax, 6(%rcx)
    shr $16, %rax
    mov %rax, 8(%rcx)
    ret

breakpoint:
    say '3'
    iretq

page_fault:
    cmpq $2, (%rsp) /* a write to a page that is not there */
    jne wrong
    say 'P'
    movq $MAPPED, PTE_OF_PAGE
    add $8, %rsp
    iretq

general_protection:
    add $8, %rsp
    testb $3, 8(%rsp)
    jnz 1f
    cmpq $0x1F8, -8(%rsp)
    jne wrong
    say 'G'
    addq $2, (%rsp)
    iretq
1:  say 'H'
    incq (%rsp)
    iretq

divide_error:
    say 'D'
    addq $2, (%rsp)
    iretq

double_fault:
    cmpq $0, (%rsp)
    jne wrong
    cmp %r15, 32(%rsp)
    jne wrong
    say 'F'
    add $8, %rsp
    movq $after_double_fault, (%rsp)
    movq $STACK, 24(%rsp)
    iretq

timer:
    say 'T'
    inc %r12d
    iretq

system_call:
    testb $3, 8(%rsp)
    jz wrong
    test %edi, %edi
    jnz 1f
    say 'U'
    iretq
1:  say 'X'
    hlt
