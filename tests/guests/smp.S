/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel for several processors. All of them begin at 8000 in real-address mode, the bootstrap
 * processor because its owner put it there, the others by SIPI, and go through protected mode to
 * long mode. The bootstrap processor then tries everything that can interrupt, and writes a letter
 * to port E9 for each thing that went well:
 *
 *   C  counters: LOCK XADD, and a spinlock, on all processors at once
 *   I  a fixed IPI to each other one        B  to all others
 *   N  an NMI to all others                 S  to itself
 *   1  timer: one-shot                      P  periodic
 *   T  TSC deadline                         V  8254 through the 8259A and LINT0
 *   A  8254 through the I/O APIC            L  a level-triggered line, which stays up once
 *   R  CR8 holds an interrupt back, and lets it through at once
 *   X  the end                              !  something else than expected
 *
 * The owner writes the number of processors to 7000, to 7004 a 1 for x2APIC mode, to 7008 the
 * counts of the periodic timer, and to 700C the high byte of the 8254's. Port EA drives the line of
 * GSI 5.
 */

#define CPUS 0x7000
#define X2APIC 0x7004
#define PERIOD 0x7008
#define PIT_HIGH 0x700C
#define PML4 0x1000
#define PDPT 0x2000
#define IDT 0x3000
#define LOW 0x4000
#define HIGH 0x5000
#define STACKS 0x10000
#define CODE32 0x08
#define CODE64 0x10
#define DATA 0x18
#define ROUNDS 100

#define APIC 0xFEE00000
#define IOAPIC 0xFEC00000
#define EOI 0xB0
#define SVR 0xF0
#define ICR 0x300
#define ICR_HIGH 0x310
#define LVT_TIMER 0x320
#define LVT_LINT0 0x350
#define INITIAL 0x380
#define DIVIDE 0x3E0

#define TIMER 0x40
#define IPI 0x41
#define LEVEL 0x42
#define PIT 0x43
#define ISA 0x20

.macro say letter
    mov $\letter, %al
    out %al, $0xE9
.endm

.macro apic_write register, value
    mov $\register, %ecx
    mov \value, %eax
    call write_apic
.endm

.macro ioapic_write index, value
    movl $\index, (%r14)
    movl \value, 0x10(%r14)
.endm

.macro outb port, value
    mov $\value, %al
    out %al, $\port
.endm

/* Wait with HLT until a counter has a value. */
.macro await counter, value
1:  cli
    mov \value, %eax
    cmp %eax, \counter
    jae 2f
    sti
    hlt
    jmp 1b
2:
.endm

/* Wait without, for what other processors count. */
.macro spin_until counter, value
1:  pause
    mov \value, %eax
    cmp %eax, \counter
    jb 1b
    ja wrong
.endm

    .code16
    .section .start, "ax"
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl %cs:(gdt_pointer - _start)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $CODE32, $protected

    .code32
protected:
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    /* Every processor writes the same tables: 2 MiB each for RAM, I/O APIC and local APIC. */
    movl $PDPT + 3, PML4
    movl $LOW + 3, PDPT
    movl $HIGH + 3, PDPT + 24
    movl $0x00000083, LOW
    movl $IOAPIC + 0x83, HIGH + 8 * 0x1F6
    movl $APIC + 0x83, HIGH + 8 * 0x1F7
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $PML4, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    and $0x9FFFFFFF, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    ljmp $CODE64, $long_mode

    .code64
long_mode:
    mov $1, %r15d
    lock xadd %r15d, next_processor
    lea 1(%r15), %esp
    shl $12, %esp
    add $STACKS, %esp
    mov $APIC, %r13d
    mov $IOAPIC, %r14d
    test %r15d, %r15d
    jnz application_processor

    lea nmi(%rip), %rax
    mov $2, %ecx
    call set_gate
    lea timer(%rip), %rax
    mov $TIMER, %ecx
    call set_gate
    lea ipi(%rip), %rax
    mov $IPI, %ecx
    call set_gate
    lea level(%rip), %rax
    mov $LEVEL, %ecx
    call set_gate
    lea pit_by_apic(%rip), %rax
    mov $PIT, %ecx
    call set_gate
    lea pit_by_pic(%rip), %rax
    mov $ISA, %ecx
    call set_gate
    lidt idt_pointer
    call enable_apic

    mov $1, %ebx
start_next:
    cmp CPUS, %ebx
    jae started
    mov $0xC500, %eax /* INIT */
    call send
    mov $0x8500, %eax /* its de-assertion, which does nothing */
    call send
    mov $0x0608, %eax /* SIPI */
    call send
    mov $0x0608, %eax
    call send
    inc %ebx
    jmp start_next
started:
    call work
    mov CPUS, %edx
    spin_until done, %edx
    imul $ROUNDS, %edx
    cmp %edx, counter
    jne wrong
    cmp %edx, guarded
    jne wrong
    say 'C'

    mov $1, %ebx
1:  cmp CPUS, %ebx
    jae 2f
    mov $0x4000 + IPI, %eax
    call send
    inc %ebx
    jmp 1b
2:  mov CPUS, %ebp
    dec %ebp
    spin_until ipis, %ebp
    say 'I'

    mov $0xC4000 + IPI, %eax
    call send
    lea (%rbp, %rbp), %edx
    spin_until ipis, %edx
    say 'B'

    mov $0xC4400, %eax
    call send
    spin_until nmis, %ebp
    say 'N'

    mov $0x44000 + IPI, %eax
    call send
    lea 1(%rbp, %rbp), %edx
    await ipis, %edx
    say 'S'

    apic_write DIVIDE, $0x0B
    apic_write LVT_TIMER, $TIMER
    apic_write INITIAL, $20000
    await ticks, $1
    say '1'

    apic_write LVT_TIMER, $0x20000 + TIMER
    apic_write INITIAL, PERIOD
    await ticks, $4
    apic_write INITIAL, $0
    say 'P'

    apic_write LVT_TIMER, $0x40000 + TIMER
    movl $0, ticks
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    add $5000, %rax
    mov %rax, %r8
    mov %rax, %rdx
    shr $32, %rdx
    mov $0x6E0, %ecx
    wrmsr
    await ticks, $1
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    cmp %r8, %rax
    jb wrong
    say 'T'

    outb 0x20, 0x11
    outb 0x21, ISA
    outb 0x21, 0x04
    outb 0x21, 0x01
    outb 0x21, 0xFE
    outb 0xA0, 0x11
    outb 0xA1, ISA + 8
    outb 0xA1, 0x02
    outb 0xA1, 0x01
    outb 0xA1, 0xFF
    apic_write LVT_LINT0, $0x700
    outb 0x43, 0x34
    outb 0x40, 100
    mov PIT_HIGH, %al
    out %al, $0x40
    await pic_ticks, $3
    outb 0x21, 0xFF
    apic_write LVT_LINT0, $0x10000
    say 'V'

    ioapic_write 0x15, $0
    ioapic_write 0x14, $PIT
    await apic_ticks, $3
    ioapic_write 0x14, $0x10000
    outb 0x43, 0x30
    say 'A'

    ioapic_write 0x1B, $0
    ioapic_write 0x1A, $0x8000 + LEVEL
    outb 0xEA, 1
    await levels, $2
    ioapic_write 0x1A, $0x10000
    cmpl $2, levels
    jne wrong
    say 'L'

    mov $15, %eax
    mov %rax, %cr8
    mov ipis, %ebx
    mov $0x44000 + IPI, %eax
    push %rbx
    call send
    pop %rbx
    sti
    nop
    nop
    cmp ipis, %ebx
    jne wrong
    xor %eax, %eax
    mov %rax, %cr8
    sub ipis, %ebx
    cmp $-1, %ebx
    jne wrong
    cli
    say 'R'
    say 'X'
    hlt

wrong:
    say '!'
    cli
    hlt

application_processor:
    lidt idt_pointer
    call enable_apic
    call work
1:  sti
    hlt
    jmp 1b

/* Count, twice: each processor does ROUNDS. */
work:
    mov $ROUNDS, %ecx
1:  mov $1, %eax
    lock xadd %eax, counter
2:  mov $1, %eax
    xchg %eax, spinlock
    test %eax, %eax
    jz 3f
    pause
    jmp 2b
3:  mov guarded, %eax
    nop
    inc %eax
    mov %eax, guarded
    movl $0, spinlock
    loop 1b
    lock incl done
    ret

enable_apic:
    cmpl $0, X2APIC
    je 1f
    mov $0x1B, %ecx
    rdmsr
    or $0x400, %eax
    wrmsr
1:  apic_write SVR, $0x1FF
    ret

/* Write EAX to the register at ECX; EDX is lost. */
write_apic:
    cmpl $0, X2APIC
    jne 1f
    mov %eax, (%r13, %rcx)
    ret
1:  shr $4, %ecx
    add $0x800, %ecx
    xor %edx, %edx
    wrmsr
    ret

/* Send the command EAX to the processor with the ID EBX. */
send:
    cmpl $0, X2APIC
    jne 1f
    mov %ebx, %ecx
    shl $24, %ecx
    mov %ecx, ICR_HIGH(%r13)
    mov %eax, ICR(%r13)
    ret
1:  mov %ebx, %edx
    mov $0x830, %ecx
    wrmsr
    ret

/* Handler in RAX, vector in ECX. */
set_gate:
    shl $4, %ecx
    add $IDT, %ecx
    mov %ax, (%rcx)
    movw $CODE64, 2(%rcx)
    movw $0x8E00, 4(%rcx)
    shr $16, %rax
    mov %ax, 6(%rcx)
    movl $0, 8(%rcx)
    ret

nmi:
    lock incl nmis
    iretq

.macro handler name, counter
\name:
    push %rax
    push %rcx
    push %rdx
    lock incl \counter
    jmp end_of_interrupt
.endm
    handler ipi, ipis
    handler timer, ticks
    handler pit_by_apic, apic_ticks

level:
    push %rax
    push %rcx
    push %rdx
    incl levels
    cmpl $2, levels
    jb end_of_interrupt
    outb 0xEA, 0
end_of_interrupt:
    apic_write EOI, $0
    pop %rdx
    pop %rcx
    pop %rax
    iretq

pit_by_pic:
    push %rax
    incl pic_ticks
    outb 0x20, 0x20
    pop %rax
    iretq

    .balign 16
gdt:
    .quad 0, 0x00CF9B000000FFFF, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
gdt_pointer:
    .word 31
    .long gdt
idt_pointer:
    .word 0xFFF
    .quad IDT

    .balign 64
next_processor: .long 0
counter: .long 0
guarded: .long 0
spinlock: .long 0
done: .long 0
ipis: .long 0
nmis: .long 0
ticks: .long 0
pic_ticks: .long 0
apic_ticks: .long 0
levels: .long 0
