/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of the third stage, its traps, and the ways to ring 3 and back. */
#include "kernel.h"

    .section .start, "ax"
    .globl _start
_start:
    mov $KERNEL_STACK, %esp
    xor %ebp, %ebp
    push $2
    popf
    call kernel
    hlt

    .text
    .balign 16
    .globl stubs
stubs:
    .set number, 0
    .rept 256
    .balign 16
    .if (number == 8) || (number >= 10 && number <= 14) || (number == 17)
    .else
    push $0
    .endif
    push $number
    jmp common
    .set number, number + 1
    .endr

    .macro push_registers
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

    .macro pop_registers
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    .endm

common:
    push_registers
    cld
    testb $3, FRAME_CS(%rsp)
    jnz 1f
    mov %rsp, %rdi
    call trap
    pop_registers
    add $16, %rsp
    iretq
1:  mov kernel_stack, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

/* A task's frame is the top of the stack that its traps find in the TSS. */
    .macro enter_frame
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, kernel_stack
    mov %rdi, %rsp
    add $FRAME_BYTES, %rdi
    mov %rdi, task_state + 4
    pop_registers
    .endm

    .globl run_user
run_user:
    enter_frame
    add $16, %rsp
    iretq

    .globl run_user_sysret
run_user_sysret:
    enter_frame
    mov 16(%rsp), %rcx
    mov 32(%rsp), %r11
    mov 40(%rsp), %rsp
    sysretq

    .globl run_user_sysret_narrow
run_user_sysret_narrow:
    enter_frame
    mov 16(%rsp), %rcx
    mov 32(%rsp), %r11
    mov 40(%rsp), %rsp
    sysretl

    .globl run_user_sysexit_narrow
run_user_sysexit_narrow:
    enter_frame
    mov 16(%rsp), %rdx
    mov 40(%rsp), %rcx
    sysexit

    .globl run_user_sysexit
run_user_sysexit:
    enter_frame
    mov 16(%rsp), %rdx
    mov 40(%rsp), %rcx
    rex.W sysexit

/* SYSCALL brings no stack: GS leads to the place of the task's, and to one for its RSP. */
    .globl syscall_entry
syscall_entry:
    swapgs
    mov %rsp, %gs:8
    mov %gs:0, %rsp
    push $DATA3
    push %gs:8
    swapgs
    push %r11
    push $CODE3
    push %rcx
    push $0
    push $SYSCALL_VECTOR
    jmp common

/* The task has left its RIP in RDX and its RSP in RCX. */
    .globl sysenter_entry
sysenter_entry:
    mov task_state + 4, %rsp
    push $DATA3
    push %rcx
    pushf
    push $CODE3
    push %rdx
    push $0
    push $SYSENTER_VECTOR
    jmp common

/* What the call gate leads to: tells where it is. */
    .globl gate_entry
gate_entry:
    mov %cs, %eax
    mov %ss, %ecx
    lretq

    .globl breakpoint_on_stack
breakpoint_on_stack:
    movq $1f, resume_at
    mov %rsp, %rax
    mov %rdi, %rsp
    int3
1:  mov %rax, %rsp
    movq $0, resume_at
    ret

    .globl load_tables
load_tables:
    lgdt gdt_pointer
    lidt idt_pointer
    mov $DATA0, %eax
    mov %eax, %ss
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    pop %rax
    push $CODE0
    push %rax
    mov $TASK, %eax
    ltr %ax
    lretq

    .section .rodata
gdt_pointer: .word 16 * 8 - 1; .quad gdt
idt_pointer: .word 256 * 16 - 1; .quad idt
    .bss
    .balign 8
kernel_stack: .quad 0
    .section .note.GNU-stack, "", @progbits
