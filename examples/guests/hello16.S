/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16-bit real-address mode guest, loaded at 0000:7C00. It prints through the UART at port 3F8h,
 * sums 1 to 1000 in the adder at physical D0000h (offset 0: add on write, sum on read) and reads a
 * port that nobody answers. It halts, and when run again computes for a while and halts
 * once more. Integer instructions of the first slice only: no shifts, no division.
 */
        .code16
        .globl  _start
_start:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movw    $0xd000, %ax
        movw    %ax, %fs
        cld
        movw    $0x3fb, %dx             /* line control: eight data bits */
        movb    $3, %al
        outb    %al, %dx
        movw    $greeting, %si
        call    print

        movl    $1000, %ecx             /* the adder does the sum */
1:      movl    %ecx, %fs:(0)
        decw    %cx
        jnz     1b
        movl    %fs:(0), %eax
        movw    $adder, %si
        call    print
        call    print_decimal

        movw    $0x1234, %dx
        xorl    %eax, %eax
        inb     %dx, %al
        movw    $port, %si
        call    print
        call    print_decimal
        hlt

        movl    $20000, %ecx            /* the second part: nothing but instructions */
2:      addl    %ecx, %edx
        xorl    %edx, %eax
        decl    %ecx
        jnz     2b
        hlt

/* Print the text at DS:SI; keeps EAX. */
print:
        pushl   %eax
1:      movb    (%si), %al
        incw    %si
        testb   %al, %al
        jz      2f
        call    putc
        jmp     1b
2:      popl    %eax
        ret

/* Print EAX in decimal and a newline, by subtracting powers of ten. */
print_decimal:
        movw    $powers, %di
        xorb    %bh, %bh                /* set once a digit was printed */
1:      movl    (%di), %edx
        testl   %edx, %edx
        jz      4f
        movb    $'0', %bl
2:      cmpl    %edx, %eax
        jb      3f
        subl    %edx, %eax
        incb    %bl
        movb    $1, %bh
        jmp     2b
3:      addw    $4, %di
        testb   %bh, %bh
        jz      1b
        pushl   %eax
        movb    %bl, %al
        call    putc
        popl    %eax
        jmp     1b
4:      movb    $'\n', %al

/* Send AL once the transmitter is empty (LSR bit 5). */
putc:
        pushw   %dx
        pushw   %ax
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popw    %ax
        movw    $0x3f8, %dx
        outb    %al, %dx
        popw    %dx
        ret

powers: .long   1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1, 0
greeting: .asciz "hello from 16-bit real mode\n"
adder:  .asciz  "1 + 2 + ... + 1000 = "
port:   .asciz  "a port without a device reads "
