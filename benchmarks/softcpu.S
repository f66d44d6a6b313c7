/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs of bench_softcpu.py, 64-bit code at 1000h under 4-level paging. Each is entered in
 * ring 0 at its own symbol with a count of turns in R15, and ends at a HLT. Segments, interrupt
 * table, TSS and page tables are made by the benchmark; addresses are the same there.
 */

#define SOURCE 0x40000
#define TARGET 0x50000
#define SIZE 2048
#define FAR 0x800000
#define STEP (4096 + 64) /* the next page, and another line of a cache */
#define DEVICE 0xFEC00000
#define USER_STACK 0x1E000
#define CODE3 0x23
#define DATA3 0x1B

    .macro turns_end
    dec     %r15
    jnz     1b
    hlt
    .endm

    .macro enter_ring_3
    push    $DATA3
    push    $USER_STACK
    pushf
    push    $CODE3
    push    $1f
    iretq
    .endm

    .section .start, "ax"
    .globl  _start
_start:

alu:
1:  add     %rdx, %rax
    xor     %rax, %rbx
    shl     $3, %rdx
    sub     %ebx, %edx
    shr     $7, %rbx
    xor     %rsi, %rdx
    add     $0x1234, %esi
    dec     %r15
    jnz     1b
    hlt

copy:
1:  mov     $SOURCE, %esi
    mov     $TARGET, %edi
    mov     $(SIZE / 8), %edx
2:  mov     (%rsi), %rax
    mov     %rax, (%rdi)
    add     $8, %rsi
    add     $8, %rdi
    dec     %edx
    jnz     2b
    turns_end

rep_movsb:
1:  mov     $SOURCE, %esi
    mov     $TARGET, %edi
    mov     $SIZE, %ecx
    rep movsb
    turns_end

/* The numbers R15, R15 - 1, ... 1, each until it is 1; RBX counts the halvings. */
collatz:
1:  mov     %r15, %rax
2:  test    $1, %al
    jz      3f
    lea     1(%rax,%rax,2), %rax
    jmp     2b
3:  shr     %rax
    inc     %rbx
    cmp     $1, %rax
    ja      2b
    turns_end

/* Eight states, the next by a pseudo-random number (xorshift). */
states:
    mov     $7, %ebx
1:  mov     %ebx, %eax
    shl     $13, %eax
    xor     %eax, %ebx
    mov     %ebx, %eax
    shr     $17, %eax
    xor     %eax, %ebx
    mov     %ebx, %eax
    shl     $5, %eax
    xor     %eax, %ebx
    mov     %ebx, %eax
    and     $7, %eax
    jmp     *table(,%rax,8)
zero:
    inc     %rdx
    jmp     9f
one:
    add     %rbx, %rdx
    jmp     9f
two:
    test    $0x80, %bl
    jnz     9f
    dec     %rdx
    jmp     9f
three:
    rol     $5, %rdx
    jmp     9f
four:
    cmp     %rbx, %rdx
    cmovb   %rbx, %rdx
    jmp     9f
five:
    movzx   %bh, %esi
    add     %rsi, %rdx
    jmp     9f
six:
    test    $0x100, %ebx
    jz      9f
    xor     %rbx, %rdx
    jmp     9f
seven:
    not     %rdx
9:  turns_end

    .balign 8
table:
    .quad   zero, one, two, three, four, five, six, seven

fibonacci:
1:  mov     $10, %edi
    call    2f
    turns_end
2:  cmp     $2, %edi
    jae     3f
    mov     %rdi, %rax
    ret
3:  push    %rbx
    push    %rbp
    mov     %rdi, %rbx
    lea     -1(%rbx), %rdi
    call    2b
    mov     %rax, %rbp
    lea     -2(%rbx), %rdi
    call    2b
    add     %rbp, %rax
    pop     %rbp
    pop     %rbx
    ret

/* Loads from 32 pages over and over, or from 1920 of them. */
few_pages:
    mov     $(FAR + 32 * STEP), %edx
    jmp     1f
many_pages:
    mov     $(FAR + 1920 * STEP), %edx
1:  mov     $FAR, %esi
2:  add     (%rsi), %rax
    add     $STEP, %rsi
    cmp     %rdx, %rsi
    jb      2b
    turns_end

/* From ring 3 to ring 0 and back; LSTAR points at `return_fast`, vector 80h at `return`. */
syscall:
    enter_ring_3
1:  syscall
    dec     %r15
    jnz     1b
    int     $0x81
return_fast:
    sysretq

interrupt_ring_3:
    enter_ring_3
1:  int     $0x80
    dec     %r15
    jnz     1b
    int     $0x81

interrupt_ring_0:
1:  int     $0x80
    turns_end

/* Waits for interrupts for ever. */
idle:
    sti
1:  hlt
    jmp     1b

return:
    iretq
finish:
    hlt

load:
    mov     $DEVICE, %ebx
1:  mov     (%rbx), %eax
    turns_end

store:
    mov     $DEVICE, %ebx
1:  mov     %eax, (%rbx)
    turns_end

    .section .note.GNU-stack, "", @progbits
