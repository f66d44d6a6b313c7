# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The records both engines share, each written down once.

From the lists below come the C structures (`csrc/ffi_build.py`), the `struct` format that
unpacks a decoded instruction, and the word numbers the Python engine indexes with. Only the
standard library is imported: the build runs this file alone.

`CPU_FIELDS` is the state of one vCPU, in 64-bit words: registers, the exit record that tells
why an engine returned, and the replay log. The log is what makes `step` re-entrant: device
reads of the instruction in flight are kept by ordinal, so that running it again from its start
gives the same values without touching a device twice. The page log does the same for translations:
an access that was made once is not made again because a page table changed meanwhile. Everything
in flight is in the record; an engine keeps nothing between calls that shows, and the other engine
could go on from here.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BREAK_BITS",
    "CPU_FIELDS",
    "CPU_WORDS",
    "DEBUG_BITS",
    "DEBUG_FIELDS",
    "DEBUG_SLOTS",
    "EVENT_BITS",
    "EVENT_TYPES",
    "EXIT_KINDS",
    "INSN_FIELDS",
    "INSN_FORMAT",
    "LOG_CAPACITY",
    "NO_RAM",
    "PAGE_CAPACITY",
    "MAX_LENGTH",
    "SEGMENT_FIELDS",
    "SEGMENT_NAMES",
    "RUN_BATCH",
    "RUN_SLICE",
    "STEP_BATCH",
    "VECTOR_BYTES",
    "VECTOR_COUNT",
    "WORD",
    "layout",
    "reasons",
]

MAX_LENGTH: Final = 15  # SDM vol. 2A, "Instruction Format": longer instructions are refused
LOG_CAPACITY: Final = 64
PAGE_CAPACITY: Final = 68  # ENTER with 31 levels makes up to 66 translations

DEBUG_SLOTS: Final = 16

VECTOR_COUNT: Final = 32
VECTOR_BYTES: Final = 64

SEGMENT_NAMES: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
SEGMENT_FIELDS: Final = ("selector", "base", "limit", "attributes")

# (name, number of 64-bit words)
CPU_FIELDS: Final = (
    ("gpr", 16),
    ("rip", 1),
    ("rflags", 1),
    ("segment", len(SEGMENT_NAMES) * len(SEGMENT_FIELDS)),
    ("gdtr_base", 1),
    ("gdtr_limit", 1),
    ("idtr_base", 1),
    ("idtr_limit", 1),
    ("cr0", 1),
    ("cr2", 1),
    ("cr3", 1),
    ("cr4", 1),
    ("efer", 1),
    ("dr", 8),  # DR4 and DR5 are names of DR6 and DR7, their words unused
    ("xcr0", 1),
    ("tpr", 1),  # task priority, 0 to 255; CR8 is its class, bits 7:4
    ("star", 1),
    ("lstar", 1),
    ("cstar", 1),
    ("sfmask", 1),
    ("kernel_gs_base", 1),
    ("sysenter_cs", 1),
    ("sysenter_esp", 1),
    ("sysenter_eip", 1),
    ("tsc_aux", 1),
    ("pat", 1),
    ("tsc_offset", 1),  # the time-stamp counter is this and `retired`
    ("pkru", 1),
    ("pasid", 1),  # IA32_PASID: what ENQCMD puts into a command
    ("maxphyaddr", 1),  # width of physical addresses in bits: the processor's, no register
    ("features", 1),  # bits in the order of `optable.FEATURES`: what the guest's CPUID shows
    ("interrupt_shadow", 1),  # 1 while the next instruction runs after STI, 2 after MOV/POP SS
    ("nmi_blocked", 1),  # 1 from the delivery of an NMI to the next IRET
    ("nmi_pending", 1),
    ("interrupt_request", 1),  # 1 more than the vector of an external interrupt, else 0
    ("window_request", 1),  # 1: the run ends when an interrupt could be delivered
    ("tpr_threshold", 1),  # the run ends after MOV to CR8 of less than this
    ("tsc_write_exits", 1),  # 1: WRMSR to the time-stamp counter is the owner's
    ("debug_pending", 1),  # bits of DR6 of the debug trap due before the next instruction
    ("event", 1),  # what is being delivered, by `EVENT_BITS`, else 0
    ("event_error", 1),  # its error code
    ("halted", 1),  # the owner's: 1 from HLT to what wakes the processor; no engine looks at it
    ("retired", 1),  # instructions completed and events delivered; elements count each
    ("limit", 1),  # run ends when `retired` gets here
    ("kick", 1),  # set by another thread: end the run at the next instruction boundary
    ("batch", 1),  # elements of one repeated instruction in one go; 0 is RUN_BATCH or the limit
    ("exit_address", 1),  # gpa, port, or fault vector
    ("exit_size", 1),  # bytes, or fault error code
    ("exit_value", 1),  # value written, fault address (CR2), or elements of a block
    ("block_ram", 1),  # gpa of the RAM side of a block; NO_RAM when rAX is what it holds
    ("block_answer", 1),  # 1 more than the elements done of the block in flight, else 0
    ("log_pending", 1),  # the exit kind that awaits its answer, else 0
    ("answer_high", 1),  # ECX and EDX of the answer to CPUID; EAX and EBX are the answer
    ("refused", 1),  # 1 when the owner refuses what the instruction in flight asks for
    ("log_count", 1),
    ("log_value", LOG_CAPACITY),
    ("page_count", 1),  # translations the instruction in flight has made
    ("page_gpa", PAGE_CAPACITY),
    ("page_ordinal", PAGE_CAPACITY),  # device accesses made until then, page-table reads included
    ("code_rip", 1),  # where and in which mode the instruction in flight was fetched
    ("code_mode", 1),
    ("code_length", 1),  # bytes latched for the instruction in flight
    ("code_given", 1),  # 1 while they come from the owner, for an instruction not begun yet
    ("code", 2),
    ("vector", 8 * VECTOR_COUNT),  # ZMM0 to ZMM31, 8 words each, lowest first
    ("opmask", 8),
    ("mxcsr", 1),
    ("x87", 16),  # the physical registers R0 to R7: significand, then sign and exponent
    ("x87_control", 1),
    ("x87_status", 1),
    ("x87_tag", 1),  # one bit for each physical register that is not empty
    ("x87_opcode", 1),
    ("x87_ip", 1),
    ("x87_cs", 1),
    ("x87_dp", 1),
    ("x87_ds", 1),
    ("xss", 1),
    ("wide_value", 8),  # of a device access of 16, 32 or 64 bytes
    ("debug_control", 1),  # from here on the owner's as a debugger: bits of `DEBUG_BITS`
    ("debug_count", 1),  # slots in use, of DEBUG_SLOTS
    ("debug_kind", DEBUG_SLOTS),  # bits of `BREAK_BITS`
    ("debug_first", DEBUG_SLOTS),  # linear addresses, or ports, that a slot covers
    ("debug_last", DEBUG_SLOTS),
)


def _word_numbers() -> tuple[dict[str, int], int]:
    numbers, position = {}, 0
    for name, count in CPU_FIELDS:
        numbers[name] = position
        position += count
    return numbers, position


WORD, CPU_WORDS = _word_numbers()

# (name, C type, struct code); widest first, so that no compiler inserts padding between.
INSN_FIELDS: Final = (
    ("displacement", "int64_t", "q"),
    ("immediate", "int64_t", "q"),
    ("second_immediate", "uint16_t", "H"),  # nesting level of ENTER, selector of a far pointer
    ("row", "uint16_t", "H"),
    ("modrm", "int16_t", "h"),  # -1 when there is none
    ("prefixes", "uint16_t", "H"),
    ("rex", "uint16_t", "H"),  # 0100WRXB, and bit 4 of each register number above
    ("memory_size", "uint16_t", "H"),
    ("length", "uint8_t", "B"),
    ("mode", "uint8_t", "B"),
    ("opcode", "uint8_t", "B"),
    ("operand_size", "uint8_t", "B"),
    ("address_size", "uint8_t", "B"),
    ("segment", "int8_t", "b"),  # of the memory operand, -1 when there is none
    ("base", "int8_t", "b"),  # register number, RIP_BASE, -1 none
    ("index", "int8_t", "b"),  # register number, -1 none
    ("scale", "uint8_t", "B"),
    ("memory_access", "uint8_t", "B"),  # 0 none, 1 read, 2 written, 3 both
    ("vvvv", "uint8_t", "B"),  # register number that VEX or EVEX adds
    ("vector_length", "uint8_t", "B"),  # bytes; 0 without VEX or EVEX
    ("mask", "uint8_t", "B"),  # of EVEX: opmask 2:0, z 3, b 4, rounding mode 6:5
)
INSN_FORMAT: Final = "=" + "".join(code for _, _, code in INSN_FIELDS)

# Bits of the `prefixes` field: what stands before the opcode. Of F2 and F3 only the last, and no
# segment prefix that 64-bit mode ignores.
PREFIX_BITS: Final = {
    "LOCK": 0x01,
    "REPNE": 0x02,
    "REP": 0x04,
    "OPERAND_SIZE": 0x08,
    "ADDRESS_SIZE": 0x10,
    "SEGMENT": 0x20,
    "REX": 0x40,
    "REX2": 0x80,
    "VEX": 0x100,
    "EVEX": 0x200,
}

# Values of the `base` field that are no register, and the bits of `rex` above a REX byte's.
RIP_BASE: Final = 32
REX_BITS: Final = {"B": 1, "X": 2, "R": 4, "W": 8, "B4": 0x100, "X4": 0x200, "R4": 0x400}
MASK_BITS: Final = {"Z": 0x08, "B": 0x10}

# What an engine returns from `step` and `run`; 0 and 1 are never seen by callers of `step`.
EXIT_KINDS: Final = (
    "BUDGET",
    "DONE",
    "READ",
    "WRITE",
    "PORT_IN",
    "PORT_OUT",
    "FAULT",
    "HALT",
    "UNSUPPORTED",
    "BLOCK_READ",
    "BLOCK_WRITE",
    "PORT_BLOCK_IN",
    "PORT_BLOCK_OUT",
    "READ_MSR",  # from here to RANDOM: answered by a value
    "READ_PMC",
    "CPUID",
    "RANDOM",
    "WRITE_MSR",
    "HYPERCALL",
    "TRIPLE_FAULT",
    "INTERRUPT_WINDOW",
    "TPR_BELOW_THRESHOLD",
    "ENQUEUE",  # only what `log_pending` says of the write of an ENQCMD, which can be refused
    "STALE",  # RIP or mode changed under an instruction in flight: the caller's mistake
    "DEBUG",  # a breakpoint of the owner
)

# The `event` word, above the vector in bits 7:0. The types are those of VMX (SDM vol. 3C,
# "VM-Entry Interruption-Information Field").
EVENT_BITS: Final = {"TYPE": 0x700, "ERROR": 0x800, "RESUME": 0x1000, "VALID": 1 << 31}
EVENT_TYPES: Final = {
    "INTERRUPT": 0x000,
    "NMI": 0x200,
    "EXCEPTION": 0x300,
    "SOFTWARE_INTERRUPT": 0x400,
    "ICEBP": 0x500,
    "SOFTWARE_EXCEPTION": 0x600,
}

# The words that belong to the owner as a debugger, and to no guest: they outlive its RESET.
DEBUG_FIELDS: Final = ("debug_control", "debug_count", "debug_kind", "debug_first", "debug_last")
# The `debug_control` word: INT3 comes out; external interrupts, NMIs and windows are held; neither
# INT3 nor a slot counts at the next instruction.
DEBUG_BITS: Final = {"INT3": 1, "HOLD": 2, "SKIP": 4}
BREAK_BITS: Final = {"EXECUTE": 1, "WRITE": 2, "READ": 4, "PORT": 8}

NO_RAM: Final = (1 << 64) - 1

STEP_BATCH: Final = 1024  # elements of a repeated instruction that one step does at most
RUN_BATCH: Final = 1 << 16  # and a run, between two looks at whether it was kicked
RUN_SLICE: Final = 1 << 22  # instructions between two looks at Python's signals

# Why an instruction is Unsupported: the number an engine reports in `exit_value`.
UNSUPPORTED: Final = ("OPCODE", "NO_CODE", "TOO_MANY_ACCESSES", "TASK_SWITCH")

# What `decode` returns instead of a length.
DECODE_FAILURES: Final = ("OK", "TRUNCATED", "INVALID", "TOO_LONG", "UNKNOWN")


def layout() -> tuple[object, ...]:
    """Return all that an engine compiles in from this file, for the digest."""
    batches = STEP_BATCH, RUN_BATCH, RUN_SLICE
    limits = (MAX_LENGTH, LOG_CAPACITY, PAGE_CAPACITY, DEBUG_SLOTS, *batches)
    bits = PREFIX_BITS, REX_BITS, MASK_BITS, EVENT_BITS, EVENT_TYPES, DEBUG_BITS, BREAK_BITS
    return CPU_FIELDS, INSN_FIELDS, bits, RIP_BASE, limits, reasons()


def reasons() -> dict[str, tuple[str, ...]]:
    """Return every enumeration the C sources get as `VMMKIT_<PREFIX>_<NAME>`."""
    return {"EXIT": EXIT_KINDS, "UNSUPPORTED": UNSUPPORTED, "DECODE": DECODE_FAILURES}
