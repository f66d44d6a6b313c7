# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines on random gates, descriptors, task states and stacks: outcome, record and RAM."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.kernel import CODE, GDT, IDT, TSS, TSS16, TSS32, Kernel
from insn.machine import CODE16, CODE32, CODE64, DATA, MMIO, ROM, STACK
from vmmkit.insn import BudgetSpent, Done, Halt, InterruptWindow, PortIn, PortOut, Read, Write

KINDS = ("real", "pm16", "pm32", "pg32", "pae", "compat", "long")
FORMS = (
    "cd30", "cd80", "cc", "ce", "f1", "cf", "66cf", "48cf", "cb", "66cb", "48cb", "ca0400", "9a",
    "ea", "ff1b", "ff2b", "48ff1b", "48ff2b", "66ff1b", "66ff2b", "8ed0", "fb", "f4",
    "0f0b", "f7f1", "8b03", "a4", "f3a4", "f3aa", "9d", "90", "0f07", "e480", "17", "6a01",
    "62", "e680", "40",
)  # fmt: skip
SELECTORS = (0, 3, 8, 11, 16, 24, 27, 32, 35, 40, 43, 48, 56, 59, 64, 72, 80, 88, 0x7C, 0x200)
SYSTEM_KINDS = (0x8C, 0xEC, 0x84, 0xE4, 0x85, 0x89, 0x81, 0x8B, 0x0C, 0x92, 0x9A, 0x9E, 0xFA, 0xF2)
DEVICE = (MMIO, ROM, 0x51000)
FLAGS = (0x100, 0x200, 0x800, 0x3000, 0x4000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000)


def spoil(rng, machine):
    """Change one thing that delivery reads."""
    state = machine.state
    match rng.randrange(12):
        case 0:
            machine.poke(IDT + 8 * rng.randrange(0x200), rng.getrandbits(64), 8)
        case 1:
            machine.poke(GDT + 8 * rng.randrange(1, 12), rng.getrandbits(64), 8)
        case 2:
            machine.poke(TSS + rng.randrange(0x60), rng.choice((0, STACK, MMIO, 1 << 47)), 8)
        case 3:
            state.tr = (
                0x50,
                TSS,
                rng.choice((3, 7, 11, 0x67)),
                rng.choice((TSS16, TSS32, 1 << 16)),
            )
        case 4:
            state.rsp = rng.choice((0, 2, 7, MMIO, MMIO + 8, STACK + 1, 0x8004, 1 << 47, 1 << 31))
        case 5:
            state.idtr_base = rng.choice(DEVICE)
        case 6:
            state.gdtr_base = rng.choice(DEVICE)
        case 7:
            state.tr = (0x50, rng.choice(DEVICE), 0x67, TSS32)
        case 8:
            state.idtr_limit = rng.choice((0, 7, 0x1FF))
        case 9:
            kind = rng.choice((5, 6, 7, 14, 15, 12, rng.randrange(32)))
            vector = rng.choice((0x30, 0x80, 1, 3, 4, 6, 8, 10, 11, 12, 13, 14, 0))
            dpl, present = rng.randrange(4), rng.random() < 0.9
            if machine.mode != "real":
                selector, ist = rng.choice(SELECTORS), rng.choice((0, 0, 1, 2, 7))
                machine.gate(vector, kind, selector=selector, dpl=dpl, p=present, ist=ist)
        case 10:
            attributes = rng.choice((CODE16, CODE32, CODE64, *SYSTEM_KINDS)) ^ rng.choice((0, 0x60))
            machine.descriptor(rng.randrange(1, 12), rng.choice((0, 0x10)), 0xFFFFF, attributes)
        case _:
            linear = rng.choice((IDT, GDT, 0x6000, STACK - 8, 0x4000, DATA)) & ~0xFFF
            if machine.mode in {"pg32", "pae", "long", "compat"}:
                machine.pte(linear, linear | rng.choice((0, 1, 3, 5, 7)), rng.choice((0, 0x60)))


def far_frame(rng, machine):
    """Something to return to, and a far pointer."""
    size = rng.choice((2, 4, 8))
    top = machine.state.rsp
    if 0x1000 < top < 0x7F00:
        values = (
            CODE, rng.choice(SELECTORS), 2 | rng.getrandbits(20) & sum(FLAGS), STACK - 0x100,
            *(rng.choice(SELECTORS) for _ in range(5)),
        )  # fmt: skip
        for number, value in enumerate(values):
            machine.poke(top + size * number, value & (1 << 8 * size) - 1, size)
    machine.poke(DATA, CODE, size)
    machine.poke(DATA + size, rng.choice(SELECTORS), 2)


def kernel(rng):
    """A random machine; it makes sense but for one or two things."""
    machine = Kernel("pure", rng.choice(KINDS), "")
    state = machine.state
    code = bytes.fromhex(rng.choice(FORMS))
    pointer = CODE.to_bytes(rng.choice((2, 4)), "little")
    tail = pointer + rng.choice(SELECTORS).to_bytes(2, "little") if code in b"\x9a\xea" else b""
    machine.poke(CODE, code + tail + bytes.fromhex(rng.choice(FORMS)) * 6)
    state.rbx, state.rax = rng.choice((DATA, DATA, MMIO)), rng.choice(SELECTORS)
    state.rsi, state.rdi, state.rcx = DATA, DATA + 0x100, rng.randrange(4)
    state.rflags = 2 | sum(flag for flag in FLAGS if rng.random() < 0.15)
    if machine.mode != "real":
        state.rflags &= ~0x2_0000
        if machine.mode in {"pm16", "pm32"} and rng.random() < 0.15:
            machine.user()
            state.rflags |= 0x2_0000
            state.cr4 |= rng.getrandbits(1)
        elif rng.random() < 0.5:
            machine.user()
        if rng.random() < 0.2:
            state.cr0 |= 1 << 18
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        spoil(rng, machine)
    far_frame(rng, machine)
    if rng.random() < 0.3:
        state.dr7 = rng.getrandbits(8) | rng.getrandbits(16) << 16
        state.dr0, state.dr1, state.dr2 = CODE + rng.randrange(4), DATA, STACK - 8
        state.cr4 |= rng.getrandbits(1) << 3
    return machine


def twin(machine, engine, *, deliver):
    """The same guest on another engine."""
    other = Kernel.__new__(Kernel)
    other.engine, other.mode = engine, machine.mode
    other.low, other.high = bytearray(machine.low), bytearray(machine.high)
    other.state = type(machine.state)()
    other.state.record[:] = machine.state.record
    other.cpu = other.cpu_on(engine, deliver=deliver)
    return other


def owner_acts(rng, machines):
    """Let something happen to both, now and then."""
    choice, vector = rng.randrange(12), rng.randrange(40)
    for machine in machines:
        cpu = machine.cpu
        if choice == 0:
            cpu.request_interrupt(vector)
        elif choice == 1:
            cpu.nmi()
        elif choice == 2:
            cpu.request_interrupt_window()
        elif choice == 3 and not cpu.awaits_answer and not cpu.event_pending:
            cpu.inject(vector, 0x18 if vector & 1 else None)


def compare(rng, engines):
    start, deliver = kernel(rng), rng.random() < 0.8
    first, second = (twin(start, engine, deliver=deliver) for engine in engines)
    answer, budget = None, rng.choice((0, 0, 0, 3))
    seen = []
    for _ in range(14):
        calls = [
            machine.cpu.run(budget, answer) if budget else machine.cpu.step(answer)
            for machine in (first, second)
        ]
        assert calls[0] == calls[1]
        assert first.state.record == second.state.record
        seen.append(type(calls[0]).__name__)
        if not isinstance(
            calls[0], Done | Read | Write | PortIn | PortOut | Halt | InterruptWindow | BudgetSpent
        ):
            break
        answer = None
        if isinstance(calls[0], Read | PortIn):
            answer = rng.choice(
                (0, 1, 0x8E00_0008_4000, 0x00CF_9B00_0000_FFFF, rng.getrandbits(64))
            )
        elif deliver and not first.cpu.awaits_answer:
            owner_acts(rng, (first, second))
    assert first.low == second.low
    assert first.high == second.high
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_many_guests(two_engines, seed):
    for number in range(150):
        label = f"{seed}/{number}"
        try:
            compare(random.Random(label), two_engines)
        except Exception as error:
            raise AssertionError(f"guest {label}: {error}") from error


@given(rng=st.randoms(use_true_random=False))
def test_guests_that_shrink(two_engines, rng):
    compare(rng, two_engines)


def test_guests_get_somewhere(two_engines):
    """The generator is worth something only if every outcome comes up."""
    seen = set()
    for number in range(400):
        seen.update(compare(random.Random(number), two_engines))
    assert {"Done", "Fault", "Read", "Write", "TripleFault", "Unsupported", "Halt"} <= seen
