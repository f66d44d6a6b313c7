/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs in ring 3 of the third stage. */
#include "kernel.h"

    .macro system_call number
    mov $\number, %eax
    int $SYSTEM_CALL
    .endm

    .section .user, "awx"
    .globl user_store, user_table, user_jump, user_gate, user_misaligned, user_counter, user_wide_counter
    .globl user_fork, user_syscall, user_sysenter, user_narrow, user_segments, user_stack

user_store: /* whatever the kernel puts here */
    .skip 32, 0x90
user_table:
    mov (%rbx), %rax
    mov %rax, (%rbx)
    int $SYSTEM_CALL
user_gate:
    lcall *(%rbx)
    int $SYSTEM_CALL
user_jump:
    jmp *%rbx
user_misaligned:
    mov 1(%rsp), %eax
    int $SYSTEM_CALL

/* Adds RSI to RCX and to vectors, 100 times, and writes y if they agree. */
user_counter:
    movq %rsi, %xmm1
    movq %xmm1, %xmm0
    pxor %xmm0, %xmm0
    pxor %xmm15, %xmm15
    xor %ecx, %ecx
    mov $100, %edx
1:  add %rsi, %rcx
    paddq %xmm1, %xmm0
    psubq %xmm1, %xmm15
    dec %edx
    jnz 1b
    movq %xmm0, %rax
    paddq %xmm0, %xmm15
    movq %xmm15, %rbx
told:
    mov $'n', %edi
    cmp %rax, %rcx
    jne 1f
    test %rbx, %rbx
    jnz 1f
    mov $'y', %edi
1:  system_call 1
    system_call 2

/* The same in the upper half of YMM registers. */
user_wide_counter:
    movq %rsi, %xmm1
    vpbroadcastq %xmm1, %ymm1
    vpxor %xmm0, %xmm0, %xmm0
    vpxor %xmm15, %xmm15, %xmm15
    xor %ecx, %ecx
    mov $100, %edx
1:  add %rsi, %rcx
    vpaddq %ymm1, %ymm0, %ymm0
    vpsubq %ymm1, %ymm15, %ymm15
    dec %edx
    jnz 1b
    vpaddq %ymm0, %ymm15, %ymm15
    vextracti128 $1, %ymm0, %xmm0
    vextracti128 $1, %ymm15, %xmm15
    vmovq %xmm0, %rax
    vmovq %xmm15, %rbx
    jmp told

user_fork:
    push $0x55
    system_call 3
    mov $'p', %edi
    mov $'c', %ecx
    test %eax, %eax
    cmovz %ecx, %edi
    pop %rbx
    system_call 1
    system_call 2

user_syscall:
    mov $7, %eax
    syscall
    add $2, %eax
    int $SYSTEM_CALL
user_sysenter:
    mov %rsp, %rcx
    lea 1f(%rip), %rdx
    sysenter
1:  add $5, %eax
    int $SYSTEM_CALL

user_segments:
    rdfsbase %rax
    movq $0x33, 8(%rbx)
    wrfsbase %rbx
    wrgsbase %rcx
    mov %gs:0, %rax
    rdfsbase %rdx
    int $SYSTEM_CALL

    .code32
user_narrow:
    inc %eax
    push %eax
    int $SYSTEM_CALL
    ljmp $CODE3, $1f
    .code64
1:  mov $0x123456789a, %rbx
    int $SYSTEM_CALL

    .balign 16
    .skip 1024
user_stack:
    .section .note.GNU-stack, "", @progbits
