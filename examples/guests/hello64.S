/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 64-bit mode guest, loaded at 100000h, entered with identity paging and a stack. It prints
 * through the UART at port 3F8h, sums 1 to 1000 in the adder at physical D0000h and reads the PCI
 * hole, where no device answers. It halts, and when run again computes for a while and halts
 * once more. Integer instructions of the first slice only.
 */
        .code64
        .globl  _start
_start:
        cld
        movw    $0x3fb, %dx             /* line control: eight data bits */
        movb    $3, %al
        outb    %al, %dx
        leaq    greeting(%rip), %rsi
        call    print

        movl    $0xd0000, %r8d          /* the adder does the sum */
        movl    $1000, %ecx
1:      movl    %ecx, (%r8)
        decl    %ecx
        jnz     1b
        movl    (%r8), %eax
        leaq    adder(%rip), %rsi
        call    print
        call    print_decimal

        movl    $0xc0001000, %ebx
        movl    (%rbx), %eax
        leaq    hole(%rip), %rsi
        call    print
        call    print_decimal
        hlt

        movl    $20000, %ecx            /* the second part: nothing but instructions */
2:      addq    %rcx, %rdx
        xorq    %rdx, %rax
        subl    $1, %ecx
        jnz     2b
        hlt

/* Print the text at RSI; keeps RAX. */
print:
        pushq   %rax
1:      movzbl  (%rsi), %eax
        incq    %rsi
        testb   %al, %al
        jz      2f
        call    putc
        jmp     1b
2:      popq    %rax
        ret

/* Print EAX in decimal and a newline, by subtracting powers of ten. */
print_decimal:
        leaq    powers(%rip), %rdi
        xorl    %r10d, %r10d            /* set once a digit was printed */
1:      movl    (%rdi), %edx
        testl   %edx, %edx
        jz      4f
        movl    $'0', %r9d
2:      cmpl    %edx, %eax
        jb      3f
        subl    %edx, %eax
        incl    %r9d
        movb    $1, %r10b
        jmp     2b
3:      addq    $4, %rdi
        testb   %r10b, %r10b
        jz      1b
        pushq   %rax
        movl    %r9d, %eax
        call    putc
        popq    %rax
        jmp     1b
4:      movb    $'\n', %al

/* Send AL once the transmitter is empty (LSR bit 5). */
putc:
        pushq   %rdx
        pushq   %rax
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popq    %rax
        movw    $0x3f8, %dx
        outb    %al, %dx
        popq    %rdx
        ret

        .balign 4
powers: .long   1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1, 0
greeting: .asciz "hello from 64-bit mode\n"
adder:  .asciz  "1 + 2 + ... + 1000 = "
hole:   .asciz  "the PCI hole reads "
