# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whatever a guest does to the devices of a machine, nothing is raised and both engines agree."""

import random

import pytest

from backends.smp import ENABLE, HANDLERS, Small, dword
from vmmkit.backends import MachineHalted, RunEnded, VcpuExit
from vmmkit.insn import available_engines

PORTS = (
    0x20,
    0x21,
    0x3F,
    0x40,
    0x41,
    0x42,
    0x43,
    0x61,
    0x70,
    0x71,
    0xA0,
    0xA1,
    0x4D0,
    0x4D1,
    0xCF8,
)
PAGES = (0xFEE0_0000, 0xFEE0_0000, 0xFEC0_0000, 0xD000_0000, 0xFEE0_1000)
REGISTERS = (*range(0, 0x400, 0x10), 1, 0x3F, 0xFC, 0xFFC, 0xFFE)
MSRS = (0x1B, 0x6E0, 0x10, 0x3A, 0x8B, 0x179, 0x1234, *range(0x800, 0x840))
VALUES = (
    0,
    1,
    0xFF,
    0x31,
    0x40,
    0x41,
    0x1FF,
    0x700,
    0x2_0040,
    0x4_0041,
    0xC500,
    0x608,
    0xFEE0_0D00,
)
ACCESSES = {
    "store": ("a3", "66a3", "a2"),
    "load": ("a1", "66a1", "a0"),
    "out": ("ef", "66ef", "ee"),
    "in": ("ed", "66ed", "ec"),
    "plain": ("fb", "fa", "90", "fbf4", "0f31", "0f01c1"),
}
SLOT = 32
# To the next slot: add esp, 4; and dword [esp], -32; add dword [esp], 32; iret
SKIP = "83c404" + "812424e0ffffff" + "83042420" + "cf"


def value(rng):
    return rng.choice(VALUES) if rng.randrange(3) else rng.getrandbits(32)


def instruction(rng):
    kind = rng.choice((*ACCESSES, "store", "wrmsr", "rdmsr"))
    load = "b8" + dword(value(rng))
    if kind in {"store", "load"}:
        place = rng.choice(PAGES) + rng.choice(REGISTERS)
        return load + rng.choice(ACCESSES[kind]) + dword(place)
    if kind in {"in", "out"}:
        return load + "ba" + dword(rng.choice(PORTS)) + rng.choice(ACCESSES[kind])
    if kind in {"wrmsr", "rdmsr"}:
        index = "b9" + dword(rng.choice(MSRS)) + "ba" + dword(value(rng) if rng.randrange(2) else 0)
        return load + index + ("0f30" if kind == "wrmsr" else "0f32")
    return rng.choice(ACCESSES[kind])


def padded(code):
    """A slot that the handler of #GP can skip."""
    return code + "90" * (SLOT - len(code) // 2)


def driver(rng):
    """Eighty slots, over and over."""
    slots = "".join(padded(instruction(rng)) for _ in range(80))
    return slots + "e9" + dword(-len(slots) // 2 - 5)


def run(seed, engine):
    """Run three vCPUs of random drivers; return everything that is left."""
    rng = random.Random(seed)
    codes = [padded(ENABLE) + driver(rng) for _ in range(3)]
    small = Small(*codes, engine=engine, quantum=rng.choice((7, 50)))
    small.poke(HANDLERS + 32 * 13, bytes.fromhex(SKIP))
    small.machine.virtual_wire()
    small.machine.lapics[0].write(None, 0x300, 4, 0xC_0610)
    for vcpu, code in zip(small.machine.vcpus[1:], codes[1:], strict=True):
        vcpu.settle()
        small.start(vcpu.index, code)
    outcomes = []
    for _ in range(12):
        outcomes.append(small.machine.run(rng.choice((50, 300))))
        assert isinstance(outcomes[-1], RunEnded | MachineHalted | VcpuExit)
    return outcomes, small.machine.snapshot(), bytes(small.ram)


@pytest.mark.parametrize("seed", range(40))
def test_random_drivers(seed):
    found = [run(seed, engine) for engine in available_engines()]
    assert all(one == found[0] for one in found)
