# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOV in all its forms but segment registers, which have a file of their own."""

import pytest

from insn.machine import CODE, DATA, GP, MMIO, SS_FAULT, Machine, check_case, check_fault
from vmmkit.insn import Cpu, Done, Read, Segment, Write

ONES = (1 << 64) - 1
VALUE = 0x8877_6655_4433_2211

CASES = [
    # registers: what each width keeps of the destination (SDM vol. 1, 64-bit general registers)
    ("long", "88d8", {"rax": ONES, "rbx": VALUE}, {"rax": 0xFFFF_FFFF_FFFF_FF11}),
    ("long", "88e0", {"rax": 0x1234}, {"rax": 0x1212}),  # mov al, ah
    ("long", "88c4", {"rax": 0x1234}, {"rax": 0x3434}),  # mov ah, al
    ("long", "4088c4", {"rax": 0x12, "rsp": 0x7034}, {"rsp": 0x7012}),  # mov spl, al
    ("long", "88f7", {"rbx": 0, "rdx": 0x9900}, {"rbx": 0x9900}),  # mov bh, dh
    ("long", "4088f7", {"rdi": 0x1100, "rsi": 0x99}, {"rdi": 0x1199}),  # mov dil, sil
    ("long", "4488c0", {"r8": 0x77, "rax": 0}, {"rax": 0x77}),
    ("long", "6689d8", {"rax": ONES, "rbx": VALUE}, {"rax": 0xFFFF_FFFF_FFFF_2211}),
    ("long", "89d8", {"rax": ONES, "rbx": VALUE}, {"rax": 0x4433_2211}),
    ("long", "4889d8", {"rax": ONES, "rbx": VALUE}, {"rax": VALUE}),
    ("long", "664889d8", {"rax": ONES, "rbx": VALUE}, {"rax": VALUE}),  # REX.W outranks 66
    ("long", "4d89f7", {"r15": 0, "r14": VALUE}, {"r15": VALUE}),
    ("long", "8bd8", {"rax": VALUE}, {"rbx": 0x4433_2211}),
    ("pm32", "89d8", {"rax": 1, "rbx": 0x4433_2211}, {"rax": 0x4433_2211}),
    ("real", "89d8", {"rax": 0xFFFF_FFFF, "rbx": 0x2211}, {"rax": 0xFFFF_2211}),
    ("real", "6689d8", {"rax": 1, "rbx": 0x4433_2211}, {"rax": 0x4433_2211}),
    # memory
    ("long", "8803", {"rbx": DATA, "rax": 0x12}, {(DATA, 1): 0x12}),
    ("long", "668903", {"rbx": DATA, "rax": VALUE}, {(DATA, 2): 0x2211}),
    ("long", "8903", {"rbx": DATA, "rax": VALUE}, {(DATA, 4): 0x4433_2211}),
    ("long", "488903", {"rbx": DATA, "rax": VALUE}, {(DATA, 8): VALUE}),
    ("long", "8a03", {"rbx": DATA, (DATA, 8): VALUE, "rax": ONES}, {"rax": ONES & ~0xFF | 0x11}),
    ("long", "8b03", {"rbx": DATA, (DATA, 8): VALUE, "rax": ONES}, {"rax": 0x4433_2211}),
    ("long", "488b03", {"rbx": DATA, (DATA, 8): VALUE}, {"rax": VALUE}),
    # addressing: base + index * scale + displacement, cut to the address size
    ("long", "488b44cb10", {"rbx": DATA, "rcx": 2, (DATA + 0x20, 8): 7}, {"rax": 7}),
    ("long", "488b44cbf0", {"rbx": DATA, "rcx": 2, (DATA, 8): 7}, {"rax": 7}),
    ("long", "67488b03", {"rbx": DATA | 1 << 40, (DATA, 8): 7}, {"rax": 7}),
    ("long", "488b042500200000", {(DATA, 8): 7}, {"rax": 7}),  # [disp32], no base
    ("long", "488b05f90f0000", {(DATA, 8): 7}, {"rax": 7}),  # [rip + 0xff9] after 7 bytes
    ("long", "67488b05f80f0000", {(DATA, 8): 7}, {"rax": 7}),  # [eip + 0xff8] after 8
    ("long", "c705f60f000055aa0000", {}, {(DATA, 4): 0xAA55}),  # the immediate counts too
    ("pm32", "8b0500200000", {(DATA, 4): 7}, {"rax": 7}),  # the same ModRM is [disp32] there
    ("pm32", "678b00", {"rbx": DATA, "rsi": 4, (DATA + 4, 4): 7}, {"rax": 7}),  # [bx+si]
    ("real", "8b00", {"rbx": DATA, "rsi": 4, (DATA + 4, 2): 7}, {"rax": 7}),
    ("real", "8b01", {"rbx": DATA, "rdi": 4, (DATA + 4, 2): 7}, {"rax": 7}),
    ("real", "8b02", {"rbp": DATA, "rsi": 4, (DATA + 4, 2): 7}, {"rax": 7}),
    ("real", "8b03", {"rbp": DATA, "rdi": 4, (DATA + 4, 2): 7}, {"rax": 7}),
    ("real", "8b04", {"rsi": DATA, (DATA, 2): 7}, {"rax": 7}),
    ("real", "8b05", {"rdi": DATA, (DATA, 2): 7}, {"rax": 7}),
    ("real", "8b060020", {(DATA, 2): 7}, {"rax": 7}),
    ("real", "8b07", {"rbx": DATA, (DATA, 2): 7}, {"rax": 7}),
    ("real", "8b4610", {"rbp": DATA, (DATA + 16, 2): 7}, {"rax": 7}),
    ("real", "8b80f0ff", {"rbx": DATA, "rsi": 16, (DATA, 2): 7}, {"rax": 7}),
    ("real", "8b00", {"rbx": 0xFFFF, "rsi": DATA + 1, (DATA, 2): 7}, {"rax": 7}),  # wraps
    ("real", "678b03", {"rbx": DATA, (DATA, 2): 7}, {"rax": 7}),
    # immediates
    ("long", "b07f", {"rax": ONES}, {"rax": ONES & ~0xFF | 0x7F}),
    ("long", "b47f", {"rax": 0}, {"rax": 0x7F00}),
    ("long", "41b47f", {"r12": 0}, {"r12": 0x7F}),
    ("long", "66b83412", {"rax": ONES}, {"rax": ONES & ~0xFFFF | 0x1234}),
    ("long", "b8ffffffff", {"rax": 1 << 63}, {"rax": 0xFFFF_FFFF}),
    ("long", "48b81122334455667788", {}, {"rax": VALUE}),
    ("long", "49bf1122334455667788", {}, {"r15": VALUE}),
    ("long", "48c7c0ffffffff", {}, {"rax": ONES}),  # sign-extended
    ("long", "c7c0ffffffff", {"rax": 1 << 63}, {"rax": 0xFFFF_FFFF}),
    ("long", "48c70380000080", {"rbx": DATA}, {(DATA, 8): 0xFFFF_FFFF_8000_0080}),
    ("long", "c60342", {"rbx": DATA}, {(DATA, 1): 0x42}),
    ("real", "c7073412", {"rbx": DATA}, {(DATA, 2): 0x1234}),
    ("real", "66c70778563412", {"rbx": DATA}, {(DATA, 4): 0x1234_5678}),
    # absolute offsets
    ("long", "a00020000000000000", {(DATA, 1): 7}, {"rax": 7}),
    ("long", "48a10020000000000000", {(DATA, 8): VALUE}, {"rax": VALUE}),
    ("long", "48a30020000000000000", {"rax": VALUE}, {(DATA, 8): VALUE}),
    ("long", "67a300200000", {"rax": VALUE}, {(DATA, 4): 0x4433_2211}),
    ("long", "66a10020000000000000", {(DATA, 2): 0x1234}, {"rax": 0x1234}),
    ("pm32", "a200200000", {"rax": 0x12}, {(DATA, 1): 0x12}),
    ("pm32", "67a10020", {(DATA, 4): 7}, {"rax": 7}),
    ("real", "a30020", {"rax": 0x1234}, {(DATA, 2): 0x1234}),
    ("real", "a00020", {(DATA, 1): 7}, {"rax": 7}),
]


@pytest.mark.parametrize(("mode", "code", "before", "after"), CASES, ids=str)
def test_moves(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rflags": 0xAD7, **before}, after)


SEGMENTED = [
    ("pm32", "8b03", "ds", {"rbx": 0x10}),
    ("pm32", "8b4500", "ss", {"rbp": 0x10}),
    ("pm32", "8b0424", "ss", {"rsp": 0x10}),
    ("pm32", "8b442b00", "ds", {"rbx": 0x10, "rbp": 0}),  # rbp as index does not mean SS
    ("pm32", "3e8b4500", "ds", {"rbp": 0x10}),
    ("pm32", "368b03", "ss", {"rbx": 0x10}),
    ("pm32", "2e8b03", "cs", {"rbx": 0x10}),
    ("pm32", "268b03", "es", {"rbx": 0x10}),
    ("pm32", "648b03", "fs", {"rbx": 0x10}),
    ("pm32", "65a110000000", "gs", {}),
    ("real", "8b02", "ss", {"rbp": 0x8, "rsi": 0x8}),
    ("real", "8b4600", "ss", {"rbp": 0x10}),
    ("real", "8b061000", "ds", {}),
    ("real", "268b061000", "es", {}),
]


@pytest.mark.parametrize(("mode", "code", "segment", "registers"), SEGMENTED)
def test_which_segment(engine, mode, code, segment, registers):
    """Only the right segment has its base at the data; the others' limits are too small."""
    machine = Machine(engine, mode, code, {**registers, (DATA + 0x10, 2): 0x77})
    state = machine.state
    for name in ("es", "ss", "ds", "fs", "gs"):
        found = getattr(state, name)
        setattr(state, name, found._replace(limit=0) if name != segment else found)
    found = getattr(state, segment)
    if segment == "cs":
        machine.poke(0x3000, machine.code)
        state.cs = found._replace(base=DATA)
        state.rip = 0x1000
    else:
        setattr(state, segment, found._replace(base=DATA))
    machine.finish()
    assert state.rax == 0x77


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("658b03", 5),  # GS has a base in 64-bit mode
        ("648b03", 4),
        ("8b03", 0),  # DS has none, whatever its register says
        ("3e8b03", 0),
        ("268b03", 0),
        ("64268b03", 4),  # the null prefix after FS changes nothing
        ("26648b03", 4),
        ("64658b03", 5),  # of FS and GS the last counts
        ("65648b03", 4),
    ],
)
def test_segment_bases_in_64_bit_mode(engine, code, expected):
    machine = Machine(engine, "long", code, {"rbx": DATA})
    for number, name in ((3, "ds"), (0, "es"), (4, "fs"), (5, "gs")):
        setattr(machine.state, name, Segment(0, 0x100 * (number or 9), 0, 0xC093))
        machine.poke(DATA + 0x100 * number, number, 4)
    machine.finish()
    assert machine.state.rax == expected


HOLE = 0x0000_8000_0000_0000

NOT_CANONICAL = [
    ("488b03", {"rbx": HOLE}, GP),
    ("488b03", {"rbx": HOLE - 7}, GP),  # the last byte is in the hole
    ("488b03", {"rbx": ~HOLE & ONES | 0x8000_0000_0000}, 0),
    ("488b4500", {"rbp": HOLE}, SS_FAULT),
    ("488b0424", {"rsp": HOLE}, SS_FAULT),
    ("488b4c2400", {"rsp": HOLE}, SS_FAULT),
    ("498b0424", {"r12": HOLE}, GP),  # R12 is no stack register
    ("498b4500", {"r13": HOLE}, GP),
    ("488b0423", {"rbx": HOLE, "rsp": 0}, GP),
    ("64488b0424", {"rsp": HOLE}, GP),  # through FS
    ("3e488b0424", {"rsp": HOLE}, SS_FAULT),  # DS is a null prefix
    ("48a10000000000800000", {}, GP),
]


@pytest.mark.parametrize(("code", "registers", "vector"), NOT_CANONICAL)
def test_canonical_addresses(engine, code, registers, vector):
    machine = Machine(engine, "long", code, registers)
    check_fault(machine, *((vector, 0) if vector else (14, 0, registers["rbx"])))


LIMITS = [
    # attributes, limit, offset, size, write, vector (0: fine)
    (0xC093, 0x2FFF, 0x2FFC, 4, False, 0),
    (0xC093, 0x2FFF, 0x2FFD, 4, False, GP),
    (0xC093, 0x2FFF, 0x3000, 1, True, GP),
    (0xC093, 0xFFFF_FFFF, 0xFFFF_FFFE, 4, False, GP),  # would wrap
    (0xC091, 0xFFFF, 0x2000, 4, False, 0),
    (0xC091, 0xFFFF, 0x2000, 4, True, GP),  # read-only
    (0xC099, 0xFFFF, 0x2000, 4, False, GP),  # execute-only
    (0xC09B, 0xFFFF, 0x2000, 4, False, 0),
    (0xC09B, 0xFFFF, 0x2000, 4, True, GP),  # code is never writable
    (0xC097, 0x1FFF, 0x2000, 4, True, 0),  # expand-down: above the limit
    (0xC097, 0x1FFF, 0x1FFF, 4, True, GP),
    (0xC097, 0x1FFF, 0x1000, 4, True, GP),
    (0x8097, 0x1FFF, 0xFFFC, 4, False, 0),  # ... and B gives the upper bound
    (0x8097, 0x1FFF, 0xFFFD, 4, False, GP),
    (0x8097, 0x1FFF, 0x1_0000, 4, False, GP),
    (0xC097, 0x1FFF, 0x1_0000, 4, False, 0),
    (0x1_0000, 0xFFFF, 0x2000, 4, False, GP),  # unusable: a null selector was loaded
]


@pytest.mark.parametrize(("attributes", "limit", "offset", "size", "write", "vector"), LIMITS)
@pytest.mark.parametrize("segment", ["ds", "ss"])
def test_segment_checks(engine, segment, attributes, limit, offset, size, write, vector):
    """SDM vol. 3A, "Limit Checking" and "Type Checking"."""
    opcode = (0x88 if write else 0x8A) + (size > 1)
    prefix = "36" if segment == "ss" else ""
    machine = Machine(engine, "pm32", f"{prefix}{opcode:02x}03", {"rbx": offset})
    setattr(machine.state, segment, Segment(16, 0, limit, attributes))
    by_type = vector and attributes != 0x1_0000 and _is_type_violation(attributes, write)
    if not vector:
        machine.finish([0] if not write and 0x8000 <= offset < 0x10000 else [])
        assert machine.state.rip == CODE + len(machine.code)
    else:
        check_fault(machine, GP if segment == "ds" or by_type else SS_FAULT)


def _is_type_violation(attributes, write):
    code, access = attributes & 8, attributes & 2
    return (code or not access) if write else (code and not access)


def test_device_accesses(engine):
    check_case(
        engine, "long", "488b03", {"rbx": MMIO}, {"rax": VALUE}, None, [VALUE], [Read(MMIO, 8)]
    )
    check_case(
        engine,
        "long",
        "8903",
        {"rbx": MMIO, "rax": VALUE},
        {},
        None,
        [],
        [Write(MMIO, 4, 0x4433_2211)],
    )
    check_case(engine, "real", "a20090", {"rax": 0x1234}, {}, None, [], [Write(MMIO, 1, 0x34)])


def test_rom_is_read_and_its_writes_come_out(engine):
    """Also a read-modify-write: it reads the ROM itself, and only its write comes out."""
    rom = bytes.fromhex("89038b0b0103") + bytes(4090)
    cpu = Cpu([(0, rom)], engine=engine)
    cpu.state.enter_protected_mode(0)
    cpu.state.rax, cpu.state.rbx = 5, 0x800
    assert cpu.step() == Write(0x800, 4, 5)
    assert cpu.step() == Done(2, 0)
    assert cpu.step() == Done(4, 0)
    assert cpu.step() == Write(0x800, 4, 5)
    assert cpu.step() == Done(6, 0)
