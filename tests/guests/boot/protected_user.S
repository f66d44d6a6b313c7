/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs in ring 3 of the second stage. */
#include "layout.h"
#include "protected.h"

    .section .user, "awx"
    .globl user_call, user_halt, user_ports, user_gate, user_loop, user_sysenter, user_interrupt
    .globl user_read, user_jump, user_inner_gate, v86_code, v86_interrupts, user_stack
user_call: /* system calls until somebody is satisfied */
    mov $1, %eax
1:  push %ds
    int $SYSTEM_CALL
    pop %ds
    inc %eax
    jmp 1b
user_halt:
    cli
    hlt
user_ports:
    mov $0x5a, %al
    outb %al, $LATCH_PORT
    inb $LATCH_PORT, %al
    inb $LATCH_PORT + 1, %al
user_gate:
    push $30
    push $12
    lcall $GATE, $0
    int $SYSTEM_CALL
user_inner_gate:
    lcall $GATE1, $0
user_loop:
    inc %ecx
    jmp user_loop
user_sysenter:
    mov %esp, %ecx
    mov $1f, %edx
    sysenter
1:  add $5, %eax
    int $SYSTEM_CALL
user_interrupt:
    int $TIMER_VECTOR
user_read:
    mov (%ebx), %eax
    mov %eax, (%ecx)
    int $SYSTEM_CALL
user_jump:
    jmp *%ebx

/* Interrupts that the monitor reflects, a port, segments, and the end. */
    .balign 16
    .code16
v86_code:
    mov $0x1234, %ax
    int $0x21
    cmp $0x1235, %ax
    jne 1f
    pushf
    pop %bx
    push %cs
    pop %ds
    mov $SPARE >> 4, %dx
    mov %dx, %es
    movw $0xbeef, %es:0x10
    mov $3, %cx
    mov $0x20, %di
    rep stosw
1:  hlt

    .balign 16
v86_interrupts:
    int $SYSTEM_CALL
    int3
    hlt

    .balign 16
v86_handler:
    inc %ax
    iret

    .globl v86_table
    .balign 16
v86_table: .word v86_handler - v86_code
    .balign 16
    .skip 512
user_stack:
    .section .note.GNU-stack, "", @progbits
