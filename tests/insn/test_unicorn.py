# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Execution against Unicorn, an emulator made from QEMU: random instructions on registers and RAM.

What is compared are general registers, the six status flags, RIP and the data pages, in 64-bit and
32-bit mode. Left out is what Unicorn cannot say or does otherwise: ports, devices, segment loads,
faults, and the flags that the SDM leaves undefined.
"""

import random

import pytest
from hypothesis import settings

from insn.machine import CODE, DATA, GPR, STACK, STATUS, Machine
from oracle.compare import undefined_flags
from oracle.native import Case
from vmmkit.errors import DecodeError
from vmmkit.insn import Done, Prefixes, decode
from vmmkit.insn.opcodes import integer
from vmmkit.insn.optable import KINDS, ROWS, TABLES, UNKNOWN

unicorn = pytest.importorskip("unicorn", reason="Unicorn is in the bench group")
x86 = pytest.importorskip("unicorn.x86_const")

INTEGER = {" ".join(fields[:3]) for fields in integer.ROWS}  # the others have state of their own
LEFT_OUT = {
    *("IN", "OUT", "INS", "OUTS", "HLT", "CLI", "STI", "MOVTOSEG"),
    # Unicorn's flat 32-bit segments have selectors of its own.
    "MOVFROMSEG",
}
# Known to differ, each with the reason why Unicorn's answer is not taken.
UNICORN_DIFFERS = {
    "66 on a near branch": lambda found: found.mnemonic in BRANCHES and found.prefixes & 8,
    # AMD processors narrow it to 16 bits in 64-bit mode and QEMU follows them; we follow Intel,
    # where the prefix has no effect (SDM vol. 2D, "Opcode Map", superscript f64).
    "RET with a count from 8000": lambda found: found.mnemonic == "RET" and found.immediate < 0,
    # QEMU sign-extends the count; processors do not (SDM vol. 2B, RET).
    "ENTER and LEAVE in 32-bit mode": lambda found: (
        found.mnemonic in {"ENTER", "LEAVE"} and found.mode == 32
    ),
    # Unicorn's SS has no B bit there: only SP and BP change.
    "LAHF and SAHF with REX": lambda found: (
        found.mnemonic in {"LAHF", "SAHF"} and found.prefixes & Prefixes.REX
    ),
    # QEMU takes SPL for AH then.
    "BSF and BSR of 4 bytes in 64-bit mode": lambda found: (
        found.mnemonic in {"BSF", "BSR"} and found.mode == 64 and found.operand_size == 4
    ),
    # For a source of zero QEMU clears the upper half, as the SDM says of some older processors.
}
STRINGS = {"MOVS", "STOS", "LODS", "CMPS", "SCAS"}
BRANCHES = {"JCC", "JMP", "CALL", "RET", "LOOP", "LOOPE", "LOOPNE", "JCXZ"}
IN_CI = settings.get_current_profile_name() == "ci"
CASES = 4000 if IN_CI else 1000
REGISTERS = [getattr(x86, f"UC_X86_REG_{name.upper()}") for name in GPR]
LOW_REGISTERS = [getattr(x86, f"UC_X86_REG_E{name[1:].upper()}") for name in GPR[:8]]
KNOWN = [number for number in range(512) if TABLES.cells[number] != UNKNOWN]
VALUES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def is_comparable(found):
    """Whether an instruction is one of those that both can say."""
    row = ROWS[found.row]
    if not found.executable or found.mnemonic in LEFT_OUT or row.text not in INTEGER:
        return False
    if any(KINDS[kind] == "F" for kind in row.kinds):
        return False
    if any(differs(found) for differs in UNICORN_DIFFERS.values()):
        return False
    return found.segment not in {4, 5} and found.segment != 1


def encoding(rng, mode):
    """Bytes from the table whose memory operand, if any, is `[rbx + small]` and the like."""
    while True:
        prefix = bytes(rng.choice((0x66, 0xF3, 0x67)) for _ in range(rng.choice((0, 0, 0, 1))))
        if mode == 64 and rng.randrange(2):
            prefix += bytes([0x40 | rng.randrange(16)])
        root = rng.choice(KNOWN)
        opcode = bytes([root]) if root < 256 else bytes([0x0F, root & 0xFF])
        modrm = rng.choice((rng.randrange(0xC0, 0x100), rng.randrange(8) << 3 | 0x43))
        raw = prefix + opcode + bytes([modrm, rng.choice((0, 8, 0x70))])
        raw += bytes(rng.choice((0, 0x7F, 0xFF, rng.randrange(256))) for _ in range(8))
        try:
            found = decode(raw, mode, engine="pure")
        except DecodeError:
            continue
        if is_comparable(found):
            return raw[: found.length], found


class Peer:
    """One Unicorn, used for many cases."""

    def __init__(self, mode):
        self.wide = mode == 64
        self.uc = unicorn.Uc(
            unicorn.UC_ARCH_X86, unicorn.UC_MODE_64 if self.wide else unicorn.UC_MODE_32
        )
        self.uc.mem_map(0, 0x8000)
        self.registers = REGISTERS if self.wide else LOW_REGISTERS

    def run(self, code, values, flags, data, repeated):
        """Run one instruction; return registers, RIP, status flags and the data pages."""
        uc = self.uc
        uc.mem_write(0, bytes(0x8000))
        uc.mem_write(CODE, code)
        uc.mem_write(DATA, data)
        # Without this the translation of the last case's code would run.
        uc.ctl_flush_tb()
        for register, value in zip(self.registers, values, strict=False):
            uc.reg_write(register, value)
        uc.reg_write(x86.UC_X86_REG_EFLAGS, flags)
        # Of a repeated instruction, Unicorn counts each element.
        if repeated:
            uc.emu_start(CODE, CODE + len(code))
        else:
            uc.emu_start(CODE, 0xFFFF_FFFF, count=1)
        pointer = x86.UC_X86_REG_RIP if self.wide else x86.UC_X86_REG_EIP
        return (
            [uc.reg_read(register) for register in self.registers],
            uc.reg_read(pointer),
            uc.reg_read(x86.UC_X86_REG_EFLAGS) & (STATUS | 0x400),
            bytes(uc.mem_read(DATA, STACK + 0x100 - DATA)),
        )


def state(rng, found, mode):
    """Register values that keep every memory operand within the data pages."""
    bits = 64 if mode == 64 else 32
    values = [rng.choice((*VALUES, rng.getrandbits(bits))) for _ in range(16 if mode == 64 else 8)]
    values[4] = STACK - 0x100 + 8 * rng.randrange(16)
    values[3] = DATA + rng.randrange(0x800)
    if mode == 64:
        values[11] = values[3]  # the same operand under REX.B
    if found.mnemonic in STRINGS:
        values[1], values[6] = rng.randrange(4), DATA + 0x800 + rng.randrange(64)
        values[7] = DATA + 0x900 + rng.randrange(64)
    if found.mnemonic in {"JMP", "CALL"} and found.modrm >= 0xC0:
        values = [value if 0 < value < 0x7000 else DATA for value in values]
    return values


def without(result, undefined):
    """A result whose undefined flags are clear."""
    registers, pointer, flags, data = result
    return registers, pointer, flags & ~undefined, data


@pytest.mark.slow
@pytest.mark.parametrize("mode", [64, 32])
def test_like_unicorn(engine, mode):
    rng, peer, compared = random.Random(mode), Peer(mode), 0
    for _ in range(CASES):
        code, found = encoding(rng, mode)
        values = state(rng, found, mode)
        flags = 2 | rng.getrandbits(12) & (STATUS | 0x400)
        data = bytes(rng.getrandbits(8) for _ in range(16)) * 8
        machine = Machine(engine, "long" if mode == 64 else "pm32", code.hex())
        machine.low[:] = bytes(len(machine.low))
        machine.poke(CODE, code)
        machine.poke(DATA, data)
        for name, value in zip(GPR, values, strict=False):
            setattr(machine.state, name, value)
        machine.state.rflags = flags
        if not isinstance(machine.step(), Done):
            continue  # a fault, or an address outside of RAM: not comparable here
        if machine.low[CODE:DATA] != code.ljust(DATA - CODE, b"\0"):
            continue  # Unicorn starts an instruction again whose own page it has written to
        repeated = found.mnemonic in STRINGS
        try:
            theirs = peer.run(code, values, flags, data, repeated)
        except unicorn.UcError:
            continue
        ours = (
            [getattr(machine.state, name) for name in GPR[: len(values)]],
            machine.state.rip,
            machine.state.rflags & (STATUS | 0x400),
            bytes(machine.low[DATA : STACK + 0x100]),
        )
        case = Case(code, mode, (*values, *(0,) * (16 - len(values))))
        undefined = undefined_flags(case, found.mnemonic)
        ours, theirs = without(ours, undefined), without(theirs, undefined)
        assert ours == theirs, f"{mode}-bit {code.hex(' ')} {found.mnemonic} {values} {flags:#x}"
        compared += 1
    assert compared > CASES * 0.7
