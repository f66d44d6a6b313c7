/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first stage, as a boot sector finds the machine: real-address mode with a vector table of
 * its own, 16-bit protected mode with 16-bit gates and back, and on to 32-bit code.
 */
#include "layout.h"

#define CODE16 0x08
#define DATA16 0x10
#define SMALL 0x18       /* 16 bytes at SPARE */
#define EXPAND_DOWN 0x20 /* above offset 0FFF */
#define ABSENT 0x28
#define READ_ONLY 0x30
#define FLAT 0x38
#define CODE32 0x40
#define GATE 0x48
#define PAST 0x1f8

/* The condition `cc` holds. */
.macro check cc, name
    j\cc .Lpassed\@
    mov $.Lname\@, %si
    call failed
.Lpassed\@:
    incw CHECKS
    .pushsection .rodata
.Lname\@:
    .asciz "FAILED \name\n"
    .popsection
.endm

/* The instruction faults with `vector`, at itself. */
.macro faults vector, name, instruction:vararg
    movw $.Lafter\@, resume
    movw $-1, seen
.Lat\@:
    \instruction
.Lafter\@:
    cmpw $\vector, %cs:seen
    check e, "\name"
    cmpw $.Lat\@, %cs:seen_ip
    check e, "\name: where"
.endm

/* In protected mode, with an error code. */
.macro refuses vector, error, name, instruction:vararg
    movw $0x5aa5, seen_error
    faults \vector, "\name", \instruction
    cmpw $\error, seen_error
    check e, "\name: error code"
.endm

/* The instruction traps with `vector`, behind itself. */
.macro traps vector, name, instruction:vararg
    movw $.Lafter\@, resume
    movw $-1, seen
    \instruction
.Lafter\@:
    cmpw $\vector, seen
    check e, "\name"
    cmpw $.Lafter\@, seen_ip
    check e, "\name: where"
.endm

.macro say text
    mov $.Ltext\@, %si
    call print
    .pushsection .rodata
.Ltext\@:
    .asciz "\text\n"
    .popsection
.endm

    .code16
    .section .start, "ax"
    .globl _start
_start:
    cli
    cld
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $REAL_BASE, %sp
    mov %eax, CHECKS
    mov %eax, FAILURES
    call fill_table
    call software_interrupts
    call exceptions
    call far_transfers
    call timer_interrupts
    say "real-address mode"
    call protected16
    say "16-bit protected mode"

    lgdtl gdt_pointer
    mov %cr0, %eax
    or $CR0_PE, %al
    mov %eax, %cr0
    mov $FLAT, %dx
    mov %dx, %ds
    ljmpl $CODE32, $PROTECTED_BASE

/* A stub for each vector, and the table that leads to them. */
fill_table:
    xor %di, %di
    mov $stubs, %ax
    mov $256, %cx
1:  stosw
    movw $0, (%di)
    scasw
    add $8, %ax
    loop 1b
    ret

    .balign 8
stubs:
    .set number, 0
    .rept 256
    .balign 8
    pushw $number
    jmp trap
    .set number, number + 1
    .endr

/* Notes what has happened and goes on at `resume`. */
trap:
    push %bp
    mov %sp, %bp
    push %ax
    mov 2(%bp), %ax
    mov %ax, %cs:seen
    mov 4(%bp), %ax
    mov %ax, %cs:seen_ip
    mov 8(%bp), %ax
    mov %ax, %cs:seen_flags
    xor %ax, %ax
    xchg %ax, %cs:resume
    test %ax, %ax
    jz unexpected
    mov %ax, 4(%bp)
    pop %ax
    pop %bp
    add $2, %sp
    iret

unexpected:
    say "FAILED by an unexpected trap"
    hlt

software_interrupts:
    stc
    sti
    pushf
    pop %bx
    traps 0x60, "INT n", int $0x60
    pushf
    pop %dx
    test $2, %dh
    check nz, "IRET brings IF back"
    cmp %bx, seen_flags
    check e, "INT n pushes the flags"
    cli
    traps 3, "INT3", int3
    mov $0x7f, %al
    inc %al
    traps 4, "INTO", into
    xor %al, %al
    into /* an unexpected trap, were it one */
    ret

exceptions:
    faults 6, "#UD", ud2
    xor %cx, %cx
    faults 0, "#DE", div %cx
    mov $6, %ax
    faults 5, "#BR", bound %ax, bounds
    faults 13, "a word at the end of the segment", movw 0xffff, %ax
    mov $0xffff, %bp
    faults 12, "a word at the end of the stack", movw 0(%bp), %ax
    faults 13, "a jump out of the segment", jmpl *far_away
    movw $single_step, 4 * 1
    mov $5, %cx
    xor %dx, %dx
    pushf
    pop %ax
    or $1, %ah
    push %ax
    popf
1:  loop 1b
    and $0xfe, %ah
    push %ax
    popf
    cmp $8, %dx
    check e, "single step"
    lidt empty_table
    sidt stored
    lidt whole_table
    cmpw $3, stored
    check e, "SIDT"
    ret

single_step:
    inc %dx
    iret

far_transfers:
    mov %sp, %bx
    push $1
    push $2
    lcall $REAL_BASE >> 4, $far_routine - REAL_BASE
    check e, "far CALL comes to its segment"
    cmp %bx, %sp
    check e, "far RET drops its arguments"
    push $3
    push $4
    lcall *far_pointer
    cmp %bx, %sp
    check e, "far CALL through memory"
    ljmp $(REAL_BASE >> 4) - 0x10, $1f - REAL_BASE + 0x100
1:  mov %cs, %ax
    cmp $(REAL_BASE >> 4) - 0x10, %ax
    check e, "far JMP"
    ljmp $0, $1f
1:  ret

far_routine:
    mov %cs, %ax
    cmp $REAL_BASE >> 4, %ax
    lret $4

timer_interrupts:
    movw $tick, 4 * TIMER_VECTOR
    xor %dx, %dx
    mov $20, %eax
    out %eax, $TIMER_PORT
    mov $40, %cx
1:  loop 1b
    test %dx, %dx
    check z, "CLI holds an interrupt back"
    sti
    cli
    test %dx, %dx
    check z, "nothing comes between STI and CLI"
    sti
    nop
    check nz, "an interrupt that has waited"
    mov %dx, %bx
    hlt
    cmp %bx, %dx
    check ne, "HLT wakes up"
    mov $3, %cx
1:  hlt
    loop 1b
    xor %eax, %eax
    out %eax, $TIMER_PORT
    cli
    ret

tick:
    inc %dx
    push %bp
    mov %sp, %bp
    andw $~0x40, 6(%bp) /* ZF of what was interrupted */
    pop %bp
    iret

/* There and back; what is left in FS afterwards reaches 4 GiB. */
protected16:
    lgdtl gdt_pointer
    lidtl idt16_pointer
    mov %cr0, %eax
    or $CR0_PE, %al
    mov %eax, %cr0
    ljmp $CODE16, $1f
1:  mov $DATA16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $idt16, %di
    mov $stubs16, %ax
    mov $32, %cx
1:  stosw
    movw $CODE16, (%di)
    movw $0x8600, 2(%di)
    movw $0, 4(%di)
    add $6, %di
    add $8, %ax
    loop 1b
    call segments16
    mov $FLAT, %ax
    mov %ax, %fs
    mov $DATA16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %cr0, %eax
    and $~CR0_PE, %al
    mov %eax, %cr0
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    lidt whole_table
    mov $BEYOND, %ebx
    movl $0x13579bdf, %fs:(%ebx)
    cmpl $0x13579bdf, %fs:(%ebx)
    check e, "a limit outlives protected mode"
    faults 13, "DS keeps its limit", movl (%ebx), %eax
    traps 0x61, "INT n after protected mode", int $0x61
    ret

segments16:
    mov $SMALL, %ax
    mov %ax, %es
    movw $0x1234, %es:14
    cmpw $0x1234, %es:14
    check e, "a small segment"
    refuses 13, 0, "past a small segment", movw %es:15, %ax
    mov $EXPAND_DOWN, %ax
    mov %ax, %es
    movw %es:0x1000, %ax
    refuses 13, 0, "below an expand-down segment", movw %es:0xfff, %ax
    mov $READ_ONLY, %ax
    mov %ax, %es
    movw %es:0, %ax
    refuses 13, 0, "a write to a read-only segment", movw %ax, %es:0
    mov $ABSENT, %ax
    refuses 11, ABSENT, "a segment that is not present", mov %ax, %es
    refuses 12, ABSENT, "a stack that is not present", mov %ax, %ss
    mov $READ_ONLY, %ax
    refuses 13, READ_ONLY, "a stack that cannot be written", mov %ax, %ss
    mov $PAST, %ax
    refuses 13, PAST, "a selector past the table", mov %ax, %es
    xor %ax, %ax
    mov %ax, %es
    refuses 13, 0, "a null selector is not used", movb %es:0, %al
    refuses 13, 0, "a null stack", mov %ax, %ss
    refuses 13, 0x202, "a vector past the table", int $0x40
    lcall $GATE, $0
    check c, "a 16-bit call gate"
    traps 3, "INT3 through a 16-bit gate", int3
    xor %cx, %cx
    faults 0, "#DE through a 16-bit gate", div %cx
    verr %cx
    check nz, "VERR of the null selector"
    mov $SMALL, %cx
    verw %cx
    check z, "VERW"
    lsl %cx, %ax
    check z, "LSL"
    cmp $15, %ax
    check e, "LSL brings the limit"
    ret

gate_target:
    stc
    lret

    .balign 8
stubs16:
    .set number, 0
    .rept 32
    .balign 8
    pushw $number
    jmp trap16
    .set number, number + 1
    .endr

/* As `trap`, and drops the error code of the vectors that have one. */
trap16:
    push %bp
    mov %sp, %bp
    pusha
    mov 2(%bp), %ax
    mov %ax, seen
    mov $0x27d00, %ecx
    bt %eax, %ecx
    jnc 1f
    mov 4(%bp), %ax
    mov %ax, seen_error
    mov (%bp), %ax /* one slot less: BP takes that of the vector */
    mov %ax, 2(%bp)
    popa
    lea 2(%bp), %sp
    pop %bp
    push %bp
    mov %sp, %bp
    pusha
1:  mov 4(%bp), %ax
    mov %ax, seen_ip
    xor %ax, %ax
    xchg %ax, resume
    mov %ax, 4(%bp)
    popa
    pop %bp
    add $2, %sp
    iret

failed:
    incw FAILURES
print:
    push %ax
    push %dx
    mov $CONSOLE_PORT, %dx
1:  lodsb
    test %al, %al
    jz 2f
    out %al, %dx
    jmp 1b
2:  pop %dx
    pop %ax
    ret

    .section .rodata
bounds: .word 1, 5
far_pointer: .word far_routine - REAL_BASE, REAL_BASE >> 4
far_away: .long 0x10000
whole_table: .word 0x3ff; .long 0
empty_table: .word 3; .long 0
gdt_pointer: .word gdt_end - gdt - 1; .long gdt
idt16_pointer: .word 8 * 32 - 1; .long idt16

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00009a000000ffff /* CODE16 */
    .quad 0x000092000000ffff /* DATA16 */
    .quad 0x0000920a0000000f /* SMALL */
    .quad 0x0000960000000fff /* EXPAND_DOWN */
    .quad 0x000012000000ffff /* ABSENT */
    .quad 0x000090000000ffff /* READ_ONLY */
    .quad 0x00cf92000000ffff /* FLAT */
    .quad 0x00cf9a000000ffff /* CODE32 */
    .word gate_target, CODE16, 0x8400, 0 /* GATE */
gdt_end:
seen: .word 0
seen_ip: .word 0
seen_flags: .word 0
seen_error: .word 0
resume: .word 0
stored: .word 0, 0, 0
    .bss
    .balign 8
idt16: .skip 8 * 32
    .section .note.GNU-stack, "", @progbits
