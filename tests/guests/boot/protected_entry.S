/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the second stage, its traps, and the way to ring 3 and back. */
#include "layout.h"
#include "protected.h"

    .section .start, "ax"
    .globl _start
_start:
    mov $DATA0, %eax /* the first stage's FLAT has another number */
    lgdt flat_pointer
    ljmp $CODE0, $1f
1:  mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov $PROTECTED_STACK, %esp
    push $2
    popf
    call protected
    hlt

    .text
    .macro stub vector
    .balign 16
    .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
    .else
    push $0
    .endif
    push $\vector
    jmp common
    .endm

    .balign 16
    .globl stubs
stubs:
    .set number, 0
    .rept 256
    stub number
    .set number, number + 1
    .endr

common:
    push %ds
    push %es
    push %fs
    push %gs
    pusha
    mov $DATA0, %eax
    mov %eax, %ds
    mov %eax, %es
    cld
    testl $FLAG_VM, FRAME_FLAGS(%esp)
    jnz 1f
    testb $3, FRAME_CS(%esp)
    jnz 1f
    push %esp
    call trap
    pop %eax
    popa
    pop %gs
    pop %fs
    pop %es
    pop %ds
    add $8, %esp
    iret
1:  mov kernel_stack, %esp
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

/* A task's frame is the top of the stack that its traps find in the TSS. */
    .macro enter_frame
    push %ebp
    push %ebx
    push %esi
    push %edi
    mov %esp, kernel_stack
    mov 20(%esp), %esp
    lea FRAME_BYTES(%esp), %eax
    testl $FLAG_VM, FRAME_FLAGS(%esp)
    jz .Lno_segments\@
    add $16, %eax
.Lno_segments\@:
    mov %eax, task_state + 4
    popa
    pop %gs
    pop %fs
    pop %es
    pop %ds
    .endm

    .globl run_user
run_user:
    enter_frame
    add $8, %esp
    iret

    .globl run_user_sysexit
run_user_sysexit:
    enter_frame
    mov 8(%esp), %edx
    mov 20(%esp), %ecx
    sysexit

/* The task has left its EIP in EDX and its ESP in ECX. */
    .globl sysenter_entry
sysenter_entry:
    mov task_state + 4, %esp
    push $DATA3
    push %ecx
    pushf
    push $CODE3
    push %edx
    push $0
    push $SYSENTER_VECTOR
    jmp common

    .globl gate_entry
/* What the call gate leads to: adds its two arguments. */
gate_entry:
    mov 8(%esp), %eax
    add 12(%esp), %eax
    mov %cs, %edx
    mov %ss, %ecx
    lret $8

    .globl load_tables
load_tables:
    lgdt gdt_pointer
    lidt idt_pointer
    mov $TASK, %eax
    ltr %ax
    ret

    .globl to_long_mode
/* CR3 in the first argument, the bits to set in CR4 in the second. */
to_long_mode:
    mov 4(%esp), %ebx
    mov 8(%esp), %esi
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    mov %cr4, %eax
    or %esi, %eax
    mov %eax, %cr4
    mov %ebx, %cr3
    mov $EFER, %ecx
    rdmsr
    or $EFER_LME | EFER_NXE, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PG | CR0_WP, %eax
    mov %eax, %cr0
    ljmp $CODE64, $KERNEL_BASE

    .section .rodata
    .globl gdt_pointer
flat_pointer: .word 0x17; .long flat
flat:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer: .word 16 * 8 - 1; .long gdt
idt_pointer: .word 256 * 8 - 1; .long idt
    .bss
kernel_stack: .long 0
    .section .note.GNU-stack, "", @progbits
