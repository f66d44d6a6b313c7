# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The oracle itself: what is known of processors comes out, and what must not run does not."""

import os
import signal

import pytest

from oracle.native import (
    CODE,
    DATA,
    INT3,
    MEMORY_SIZE,
    PAGE,
    READ_ONLY,
    SELECTORS32,
    SELECTORS64,
    TOP,
    USER_DATA,
    Case,
    Descriptor,
    Oracle,
    OracleError,
    available,
)

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

HOLE = DATA + 2 * PAGE
NOWHERE = HOLE + 0x800  # a second address in the hole
DE, UD, NP, SS_FAULT, GP, PF, ALIGNMENT = 0, 6, 11, 12, 13, 14, 17
CF, PFLAG, AF, ZF, SF, DF, OF, AC = 1, 4, 0x10, 0x40, 0x80, 0x400, 0x800, 1 << 18
STATUS = CF | PFLAG | AF | ZF | SF | OF
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
NOT_CANONICAL = 0x8000_0000_0000

CODE16, STACK16, LIMITED, EXPAND_DOWN, READ_ONLY_DATA, ABSENT = (8 * n | 7 for n in range(6))
DESCRIPTORS = (
    Descriptor(CODE, 0xFFF, "code", wide=False),
    Descriptor(DATA, 0xFFFF, wide=False),
    Descriptor(DATA, 0x7FF),
    Descriptor(DATA, 0x7FF, "expand-down"),
    Descriptor(DATA, 0xFFFF, access=False),
    Descriptor(DATA, 0xFFFF, present=False),
)


@pytest.fixture(scope="module")
def oracle():
    return Oracle(DESCRIPTORS)


def case(code, mode=64, *, memory=None, segments=None, rflags=0, step=False, **registers):
    """A case by register names; memory is `{address: bytes}`, segments `{name: selector}`."""
    gpr = [registers.pop(name, 0) for name in REGISTERS] + [0] * 8
    assert not registers
    image = bytearray(MEMORY_SIZE)
    for address, data in (memory or {}).items():
        image[place(address) : place(address) + len(data)] = data
    default = {64: SELECTORS64, 32: SELECTORS32, 16: (STACK16, CODE16, STACK16, STACK16, 0, 0)}[
        mode
    ]
    names = ("es", "cs", "ss", "ds", "fs", "gs")
    chosen = segments or {}
    selectors = tuple(chosen.get(name, usual) for name, usual in zip(names, default, strict=True))
    return Case(
        bytes.fromhex(code), mode, tuple(gpr), rflags, selectors, (0, 0), bytes(image),
        CODE if mode != 16 else 0, CODE, step,
    )  # fmt: skip


def place(address):
    """Offset in the memory image of an address in a window."""
    if address >= TOP:
        return address - TOP + 3 * PAGE
    return address - READ_ONLY + 2 * PAGE if address >= READ_ONLY else address - DATA


def fault(result):
    return result.vector, result.error, result.cr2


STACK = DATA + 0x800

# Read-modify-write instructions say that they write on their very first access, even those that in
# the end write nothing; plain reads say that they read.
ACCESS_KIND = {
    "add [rbx], eax": ("0103", 6),
    "xadd [rbx], eax": ("0fc103", 6),
    "xchg [rbx], eax": ("8703", 6),
    "bts [rbx], eax": ("0fab03", 6),
    "cmpxchg [rbx], ecx": ("0fb10b", 6),
    "cmpxchg8b [rbx]": ("0fc70b", 6),
    "shl [rbx], cl with cl=0": ("d323", 6),
    "setc [rbx], CF=0": ("0f9203", 6),
    "cmp [rbx], eax": ("3903", 4),
    "cmovc eax, [rbx], CF=0": ("0f4203", 4),
    "div dword [rbx]": ("f733", 4),
    "test [rbx], eax": ("8503", 4),
}


@pytest.mark.parametrize(("code", "error"), ACCESS_KIND.values(), ids=ACCESS_KIND)
def test_first_access_says_what_it_is(oracle, code, error):
    assert fault(oracle.run(case(code, rbx=HOLE))) == (PF, error, HOLE)


def test_failed_cmpxchg_needs_write_permission(oracle):
    missed = case("0fb10b", rax=1, rbx=READ_ONLY, memory={READ_ONLY: b"\x02"})
    assert fault(oracle.run(missed)) == (PF, 7, READ_ONLY)


# Which of two bad operands is reported.
ORDER = {
    "movsb: source": ("a4", {"rsi": HOLE, "rdi": NOWHERE}, (PF, 4, HOLE)),
    "cmpsb: either one": ("a6", {"rsi": HOLE, "rdi": NOWHERE}, None),
    "push [rbx]: source": ("ff33", {"rbx": HOLE, "rsp": NOWHERE}, (PF, 4, HOLE)),
    "pop [rbx]: stack": ("8f03", {"rbx": HOLE, "rsp": NOWHERE}, (PF, 4, NOWHERE)),
    "div [rbx] of nothing: page": ("f733", {"rbx": HOLE}, (PF, 4, HOLE)),
}


@pytest.mark.parametrize(("code", "registers", "expected"), ORDER.values(), ids=ORDER)
def test_order_of_operands(oracle, code, registers, expected):
    got = fault(oracle.run(case(code, **registers)))
    assert got == expected if expected else got in {(PF, 4, HOLE), (PF, 4, NOWHERE)}


def test_division_by_zero(oracle):
    assert fault(oracle.run(case("f733", rbx=DATA, rax=1))) == (DE, 0, 0)


def test_page_crossing_store_writes_nothing_before_it_faults(oracle):
    before = {HOLE - 4: b"abcd"}
    crossing = case("488903", rax=(1 << 64) - 1, rbx=HOLE - 4, memory=before)
    result = oracle.run(crossing)
    assert fault(result) == (PF, 6, HOLE)
    assert result.memory == crossing.memory


def test_rep_with_count_zero_touches_nothing(oracle):
    result = oracle.run(case("f3a4", rsi=HOLE, rdi=HOLE))
    assert (result.vector, result.rip) == (None, CODE + 2)


def test_rep_commits_the_elements_before_the_fault(oracle):
    result = oracle.run(case("f3aa", rax=0x55, rcx=8, rdi=HOLE - 3))
    assert fault(result) == (PF, 6, HOLE)
    assert (result.gpr[1], result.gpr[7]) == (5, HOLE)
    assert result.memory[place(HOLE - 4) : 2 * PAGE] == b"\0UUU"


# (code, registers, rest of the case, expected fault)
FAULTS = {
    "lock mov": ("f08903", 64, {"rbx": DATA}, {}, (UD, 0, 0)),
    "ud2": ("0f0b", 64, {}, {}, (UD, 0, 0)),
    "hlt": ("f4", 64, {}, {}, (GP, 0, 0)),
    "in al, dx": ("ec", 64, {"rdx": 0x80}, {}, (GP, 0, 0)),
    "cli": ("fa", 64, {}, {}, (GP, 0, 0)),
    "mov ds, ax of a kernel selector": ("8ed8", 64, {"rax": 0x10}, {}, (GP, 0x10, 0)),
    "mov ds, ax of a segment not present": ("8ed8", 64, {"rax": ABSENT}, {}, (NP, ABSENT & ~3, 0)),
    "rsp not canonical": ("8b0424", 64, {"rsp": NOT_CANONICAL}, {}, (SS_FAULT, 0, 0)),
    "push, rsp not canonical": ("50", 64, {"rsp": NOT_CANONICAL + 8}, {}, (SS_FAULT, 0, 0)),
    "rbx not canonical": ("8b03", 64, {"rbx": NOT_CANONICAL}, {}, (GP, 0, 0)),
    "write to a read-only page": ("8903", 64, {"rbx": READ_ONLY}, {}, (PF, 7, READ_ONLY)),
    "beyond the limit": ("8b03", 32, {"rbx": 0x7FD}, {"ds": LIMITED}, (GP, 0, 0)),
    "stack beyond the limit": ("50", 32, {"rsp": 0x900}, {"ss": LIMITED}, (SS_FAULT, 0, 0)),
    "within expand-down": ("8b03", 32, {"rbx": 0x7FF}, {"ds": EXPAND_DOWN}, (GP, 0, 0)),
    "read-only segment": ("8903", 32, {"rbx": 0}, {"ds": READ_ONLY_DATA}, (GP, 0, 0)),
    "null segment": ("8b03", 32, {"rbx": DATA}, {"ds": 0}, (GP, 0, 0)),
    "word at FFFF of a 16-bit segment": ("8b07", 16, {"rbx": 0xFFFF}, {}, (GP, 0, 0)),
}


@pytest.mark.parametrize(
    ("code", "mode", "registers", "segments", "expected"), FAULTS.values(), ids=FAULTS
)
def test_faults(oracle, code, mode, registers, segments, expected):
    made = case(code, mode, segments=segments, **registers)
    result = oracle.run(made)
    assert fault(result) == expected
    assert result.memory == made.memory


@pytest.mark.parametrize(
    ("code", "registers", "expected"),
    [
        ("8b03", {"rbx": DATA + 2}, (ALIGNMENT, 0, 0)),
        ("8b03", {"rbx": DATA + 4}, (None, 0, 0)),
        ("50", {"rsp": DATA + 0x104}, (ALIGNMENT, 0, 0)),
        ("8b03", {"rbx": NOT_CANONICAL + 2}, (GP, 0, 0)),
        ("8b0424", {"rsp": NOT_CANONICAL + 2}, (SS_FAULT, 0, 0)),
    ],
)
def test_alignment_is_checked_under_ac(oracle, code, registers, expected):
    """The handler must not be stopped by the flag itself, and the next case has it clear."""
    results = oracle.run_many([case(code, rflags=AC, **registers), case("8b03", rbx=DATA + 2)])
    assert [fault(result) for result in results] == [expected, (None, 0, 0)]


@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize("mode", [16, 32, 64])
def test_arithmetic_in_every_mode(oracle, mode, step):
    result = oracle.run(case("01d8", mode, rax=0xFFFF, rbx=1, step=step))
    assert result.vector is None
    assert result.rip == (2 if mode == 16 else CODE + 2)
    assert result.gpr[0] == (0 if mode == 16 else 0x10000)
    zero = ZF | CF if mode == 16 else 0
    assert result.rflags & STATUS == AF | PFLAG | zero


@pytest.mark.parametrize(("mode", "size"), [(16, 2), (32, 4), (64, 8)])
def test_stack_instructions(oracle, mode, size):
    pointer = 0x800 if mode == 16 else STACK
    result = oracle.run(case("50", mode, rax=0x1234, rsp=pointer))
    assert result.gpr[4] & 0xFFFF == (pointer - size) & 0xFFFF
    assert result.memory[0x800 - size : 0x800] == (0x1234).to_bytes(size, "little")


# Branches end where they go, wherever that is.
BRANCHES = {
    "jmp": ("e900100000", {}, CODE + 0x1005),
    "jmp to itself": ("ebfe", {}, CODE),
    "jz not taken": ("7410", {}, CODE + 2),
    "loop": ("e210", {"rcx": 2}, CODE + 0x12),
    "call [rbx]": ("ff13", {"rbx": DATA, "rsp": STACK}, HOLE),
    "ret": ("c3", {"rsp": DATA}, HOLE),
}


@pytest.mark.parametrize(("code", "registers", "target"), BRANCHES.values(), ids=BRANCHES)
def test_branches(oracle, code, registers, target):
    memory = {DATA: HOLE.to_bytes(8, "little")}
    result = oracle.run(case(code, memory=memory, step=True, **registers))
    assert (result.vector, result.rip) == (None, target)


def test_branch_without_single_step_is_found_by_the_int3_it_lands_on(oracle):
    assert oracle.run(case("eb40")).rip == CODE + 0x42


def test_int3_itself_is_told_from_the_end_of_a_case(oracle):
    assert (oracle.run(case("cc")).vector, oracle.run(case("90")).vector) == (3, None)


def test_code_page_holds_int3_around_the_code(oracle):
    result = oracle.run(case("8b05fcffffff"))  # mov eax, [rip - 4]: its own bytes
    assert result.gpr[0] == 0xFFFFFFFC
    result = oracle.run(case("8b0500000000"))  # mov eax, [rip]
    assert result.gpr[0].to_bytes(4, "little") == 4 * INT3


def test_fetch_beyond_the_code_page(oracle):
    cut = case("0503000000", step=True)._replace(rip=CODE + PAGE - 2, linear=CODE + PAGE - 2)
    assert fault(oracle.run(cut)) == (PF, 0x14, CODE + PAGE)


def test_segment_registers_come_back(oracle):
    result = oracle.run(case("8ed8", 32, rax=LIMITED))
    assert (result.selectors[3], result.selectors[0]) == (LIMITED, USER_DATA)
    result = oracle.run(case("8ed0", 16, rax=LIMITED))
    assert (result.vector, result.selectors[2]) == (None, LIMITED)


@pytest.mark.parametrize("base", [DATA, 0xFFFF_FFFF_F000_0000])
def test_fs_base(oracle, base):
    with_base = case("64488b03", rbx=(DATA - base) % (1 << 64), memory={DATA: b"12345678"})
    result = oracle.run(with_base._replace(bases=(base, 0)))
    assert result.gpr[3] + base & (1 << 64) - 1 == DATA
    assert result.gpr[0] == int.from_bytes(b"12345678", "little")


def test_direction_flag_and_memory_of_one_case_do_not_reach_the_next(oracle):
    first = case("8803", rax=0x55, rbx=DATA, rflags=DF | CF)
    dirty, clean = oracle.run_many([first, case("90")])
    assert (dirty.memory[0], dirty.rflags & (DF | CF)) == (0x55, DF | CF)
    assert (clean.memory, clean.rflags & (DF | CF)) == (bytes(MEMORY_SIZE), 0)


def test_more_cases_than_a_batch_keep_their_order(oracle):
    results = oracle.run_many(case("ffc0", rax=number) for number in range(2500))
    assert [result.gpr[0] for result in results] == list(range(1, 2501))


@pytest.mark.parametrize(
    "code", ["cd80", "0f05", "0f34", "f30f05", "66cd80", "480f05", "2e400f05"], ids=str
)
def test_kernel_entries_are_refused(oracle, code):
    with pytest.raises(ValueError, match="enters the kernel"):
        oracle.run(case(code))


def test_a_case_that_cannot_be_entered_is_an_error(oracle):
    with pytest.raises(OracleError, match="before the instruction"):
        oracle.run(case("90", 32, segments={"ds": 0x10}))


def test_a_child_that_dies_is_named_and_replaced():
    oracle = Oracle()
    assert oracle.run(case("90")).vector is None
    os.kill(oracle.child, signal.SIGKILL)
    with pytest.raises(OracleError, match="case 0 ended the child with -9"):
        oracle.run(case("90"))
    assert oracle.run(case("90")).vector is None


def test_no_child_outlives_its_oracle():
    oracle = Oracle()
    oracle.run(case("90"))
    child = oracle.child
    oracle.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
