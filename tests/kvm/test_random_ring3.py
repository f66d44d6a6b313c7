# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random code in ring 3 until it raises something, on a virtual machine and on the engines."""

import random

import pytest

from insn.machine import DATA, ROM, STACK
from kvm.peer import Peer, ours, ring3
from kvm.seen import differing
from oracle.forms import FORMS, opcode_and_tail
from vmmkit.errors import DecodeError
from vmmkit.insn import decode
from vmmkit.insn.optable import OPS, ROWS

pytestmark = pytest.mark.kvm

# Whose result is defined, the same on every processor, and does not need ring 0 or a segment.
MNEMONICS = frozenset(
    {
        "ADD", "SUB", "ADC", "SBB", "CMP", "INC", "DEC", "NEG", "NOT", "MOV", "MOVZX", "MOVSX",
        "MOVSXD", "LEA", "XCHG", "NOP", "PUSH", "POP", "JCC", "JMP", "CALL", "RET", "LOOP",
        "LOOPE", "LOOPNE", "JCXZ", "MOVS", "STOS", "LODS", "SCAS", "SETCC", "CMOVCC", "LAHF",
        "SAHF", "CBW", "CWD", "CLC", "STC", "CMC", "CLD", "STD", "XADD", "CMPXCHG", "CMPXCHG8B",
        "XLAT", "LEAVE", "BSWAP", "HLT", "CLI", "STI", "UD2", "CLTS", "LGDT", "INVLPG", "WBINVD",
        "RDMSR", "WRMSR",
    }
)  # fmt: skip
FORMS_IN_USE = [form for form in FORMS if form.mnemonic in MNEMONICS]
PREFIXES = (0x67, 0x2E, 0x64)
STRINGS = frozenset({"MOVS", "STOS", "LODS", "SCAS"})
PAGE = DATA + 0x1000
PLACES = (
    *(DATA, DATA + 0xFFD, PAGE, PAGE + 0x7F8, STACK, 8, 0x7FFA, ROM, 0x1_0000, 0x3FFF_FFFF),
    *((1 << 64) - 4, (1 << 64) - 1, 1, 0, 1 << 63, (1 << 47) + 0x1000),
)
RIGHTS = (0, 1, 3, 5, 7, 7, 7)
TF = 0x100
FLAGS = (TF, 0x400, 0x800, 0xD4)
BYTES = b"\x00\x90\xf4\xff"  # they are run, too, and load no segment
SELECTORS = frozenset({"ds", "es", "fs", "gs"})  # the difference "segment-load"
IN_RAM = "hlt", "shutdown"


def instruction(rng):
    """One of 64-bit mode, no longer than it is."""
    form = rng.choice(FORMS_IN_USE)
    prefixes = bytes(rng.choice(PREFIXES) for _ in range(rng.choice((0, 0, 0, 0, 1, 2))))
    if form.mnemonic in STRINGS:
        prefixes += rng.choice((b"", b"\xf3"))
    rex = bytes([rng.randrange(0x40, 0x50)]) if rng.randrange(2) else b""
    code = prefixes + form.prefix + rex + opcode_and_tail(rng, form, 64)
    try:
        insn = decode(code, 64)
    except DecodeError:
        return b""
    row = ROWS[insn.row]
    fits = OPS[row.op] in MNEMONICS and "Fw" not in row.operands.split()  # PUSH and POP of FS
    return code[: insn.length] if fits else b""


def guest(engine, seed):
    """A few instructions, with operands where something may happen."""
    rng = random.Random(seed)
    code = b"".join(instruction(rng) for _ in range(rng.choice((1, 1, 2, 4))))
    machine = ring3(engine, "long", code.hex())
    state = machine.state
    for name in ("rax", "rbx", "rdx", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))):
        setattr(state, name, rng.choice((*PLACES, PAGE + rng.randrange(-8, 8), DATA + 0x100)))
    state.rcx, state.rsp = rng.choice((0, 1, 3, 0x20)), rng.choice((STACK, STACK, STACK - 3, PAGE))
    state.rflags = 2 | sum(flag for flag in FLAGS if rng.randrange(4) == 0)
    if b"\xf3" in code:
        state.rflags &= ~TF  # the difference "repeat-rf"
    machine.poke(DATA, bytes(rng.choice(BYTES) for _ in range(0x200)))
    for linear in (DATA, PAGE):
        machine.pte(linear, linear | rng.choice(RIGHTS))
    return machine


def disagreement(engine, seed):
    """What differs for one guest; `None` for one that leaves RAM, and cannot be compared."""
    machine = guest(engine, seed)
    peer, own = Peer(machine).run(), ours(machine)
    if peer[0] not in IN_RAM or own[0] not in IN_RAM:
        return None
    return differing(peer, own, SELECTORS)


@pytest.mark.parametrize("part", range(4))
def test_random_code(engine, part):
    seeds = [f"ring3/{part}/{number}" for number in range(100)]
    found = {seed: disagreement(engine, seed) for seed in seeds}
    assert {seed: what for seed, what in found.items() if what} == {}
    assert sum(what is not None for what in found.values()) > len(seeds) // 2
