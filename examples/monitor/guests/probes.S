/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
    .file "probes.S"
#include "layout.h"
#include "user.h"

    .text
    .macro probe name
    .globl \name
    .type \name, @function
\name:
    mov %rsp, probe_stack
    movq $probe_done, probe_resume
    .endm

probe probe_read
    movzbl (%rdi), %eax
    ret
probe probe_write
    movb $0x5a, (%rdi)
    ret
probe probe_execute
    call *%rdi
    ret
probe probe_selector
    mov %edi, %fs
    ret
probe probe_undefined
    ud2
    ret
probe probe_divide
    mov $1, %eax
    xor %edx, %edx
    div %edi
    ret
probe probe_breakpoint
    int3
    ret
probe probe_push
    mov %rdi, %rsp
    push %rax
    mov probe_stack, %rsp
    ret
probe probe_steps
    pushf
    orl $0x100, (%rsp)
    popf
    nop                 /* the first one that traps */
    nop
    nop
    pushf
    andl $~0x100, (%rsp)
    popf                /* the last one */
probe_done:
    ret

    .globl run_user
    .type run_user, @function
run_user:
    .irp register, rbx, rbp, r12, r13, r14, r15
    push %\register
    .endr
    mov %rsp, kernel_stack
    push $DATA3
    push %rsi
    push $2
    push $CODE3
    push %rdi
    mov %rdx, %rdi
    iretq
    .globl return_from_user
return_from_user:
    .irp register, r15, r14, r13, r12, rbp, rbx
    pop %\register
    .endr
    ret

/* SYSCALL brings no stack of its own. */
    .globl system_call_entry
system_call_entry:
    mov %rsp, user_stack
    mov kernel_stack, %rsp
    push %rcx
    push %r11
    call system_call
    pop %r11
    pop %rcx
    mov user_stack, %rsp
    sysretq

    .globl user_code, user_code_limit
    .macro user name
    .globl \name
\name:
    .endm
    .balign 16
user_code:
user user_value
    mov $USER_VALUE, %eax
    int $USER_VECTOR
user user_system_call
    syscall
    ud2                 /* the handler sees what RAX is */
user user_read
    mov (%rdi), %eax
    int $USER_VECTOR
user user_write
    movb $0x5a, (%rdi)
    int $USER_VECTOR
user user_jump
    jmp *%rdi
user user_cli
    cli
    int $USER_VECTOR
user user_out
    out %al, $0x80
    int $USER_VECTOR
user user_interrupt
    int $SPURIOUS_VECTOR
user user_breakpoint
    int3
user_code_limit:

    .bss
    .balign 8
    .globl probe_resume, probe_stack, kernel_stack
probe_resume: .skip 8
probe_stack:  .skip 8
kernel_stack: .skip 8
user_stack:   .skip 8
    .section .note.GNU-stack, "", @progbits
