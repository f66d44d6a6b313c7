/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 64-bit mode driver, loaded at 100000h, entered with a stack and with its devices mapped: a UART
 * whose registers are bytes from FEB00000h, and a buffer of one page at FEB01000h. It goes at them
 * with whatever instruction suits: loads, stores, read-modify-write, bit tests, exchanges, string
 * instructions, a push. It halts when it has printed what came of it.
 */
        .code64
        .globl  _start
_start:
        cld
        movl    $0xfeb00000, %ebx       /* the UART */
        movl    $0xfeb01000, %r12d      /* the buffer */
        movb    $3, 3(%rbx)             /* line control: eight data bits */
        orb     $2, 4(%rbx)             /* modem control: request to send */
        leaq    greeting(%rip), %rsi
        call    print

        movl    $100, %ecx              /* 1 + 2 + ... + 100 in the device's memory */
1:      addl    %ecx, (%r12)
        decl    %ecx
        jnz     1b
        movl    $7, %eax
        lock xaddl %eax, (%r12)         /* 5050, and 5057 stays behind */
        leaq    sum(%rip), %rsi
        call    show

        leaq    greeting(%rip), %rsi    /* copy to the device, and look for a letter there */
        leaq    64(%r12), %rdi
        movl    $14, %ecx
        rep movsb
        movb    $'f', %al
        leaq    64(%r12), %rdi
        movl    $14, %ecx
        repne scasb
        leaq    -65(%rdi), %rax
        subq    %r12, %rax
        leaq    letter(%rip), %rsi
        call    show

        btsl    $21, 16(%r12)           /* bits, a count, a swap of bytes */
        btrl    $1, (%r12)
        incw    18(%r12)
        negb    17(%r12)
        shlq    $3, 16(%r12)
        popcntl 16(%r12), %eax
        movbe   (%r12), %edx
        addl    %edx, %eax
        cmpl    %edx, 4(%r12)
        cmovbl  16(%r12), %edx
        imull   $3, (%r12), %ecx
        xorl    %ecx, %eax
        pushq   16(%r12)
        popq    24(%r12)
        xorl    24(%r12), %eax
        xchgl   %eax, 32(%r12)
        movl    32(%r12), %eax
        leaq    mixed(%rip), %rsi
        call    show
        hlt

/* Print the text at RSI, RAX in decimal, and a newline. */
show:
        pushq   %rax
        call    print
        popq    %rax
        leaq    digits_end(%rip), %rsi
        movl    $10, %ecx
1:      xorl    %edx, %edx
        divq    %rcx
        addb    $'0', %dl
        decq    %rsi
        movb    %dl, (%rsi)
        testq   %rax, %rax
        jnz     1b

/* Print the text at RSI, each byte once the transmitter is empty (LSR bit 5). */
print:
1:      lodsb
        testb   %al, %al
        jz      3f
2:      testb   $0x20, 5(%rbx)
        jz      2b
        movb    %al, (%rbx)
        jmp     1b
3:      ret

greeting: .asciz "hello from a driver\n"
sum:    .asciz  "1 + 2 + ... + 100 = "
letter: .asciz  "the letter f is at place "
mixed:  .asciz  "the rest comes to "
digits: .space  20
digits_end: .asciz "\n"
