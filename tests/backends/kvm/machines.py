# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One small guest for machines of software vCPUs and of KVM's: what it is told, and what it sees.

The guest is that of `backends.smp`. Other processors begin with a start-up message for page 7,
switch to flat 32-bit mode there and go to their code.
"""

import mmap
from contextlib import contextmanager
from functools import cache

import pytest

from backends.smp import (
    APIC,
    CODE,
    ENABLE,
    GDT,
    HANDLERS,
    IDT,
    RAM_SIZE,
    STACKS,
    Small,
    apic,
    dword,
)
from vmmkit.backends import RunEnded, ThreadedMachine
from vmmkit.backends.kvm import KvmMachine

__all__ = [
    "BOTH_CHIPS",
    "EVERY",
    "LONG",
    "Guest",
    "ends_at_delivery",
    "guest_of",
    "machine_of",
    "start_others",
]

LONG = 8  # seconds: nothing here takes them
BOTH_CHIPS = [pytest.param(kind, marks=pytest.mark.kvm) for kind in ("kernel", "split")]
EVERY = ["threads", *BOTH_CHIPS]
TRAMPOLINE, FLAT, POINTERS = 0x7000, 0x7040, 0x7080
START_PAGE = TRAMPOLINE >> 12
DONE = 0xA8  # the port that ends a run


def machine_of(kind, ram, **options):
    """Make a machine; `kind` is an irqchip of KVM's, or "threads"."""
    if kind == "threads":
        return ThreadedMachine(ram, **options)
    return KvmMachine(ram, irqchip=kind, **options)


def start_others(*numbers):
    """INIT and start-up message for each number."""
    return "".join(
        apic(0x310, number << 24) + apic(0x300, 0x4500) + apic(0x300, 0x4600 | START_PAGE)
        for number in numbers
    )


class Guest(Small):
    """A machine with one of the codes for each vCPU; the first one runs, the others wait."""

    def __init__(self, kind, *codes, **options):
        super().__init__(
            codes[0],
            machine=lambda ram, **more: machine_of(kind, ram, **more),
            ram=mmap.mmap(-1, RAM_SIZE),
            vcpus=options.pop("vcpus", len(codes)),
            **options,
        )
        for number, code in enumerate(codes):
            self.poke(CODE + 0x1000 * number, bytes.fromhex(code))
        self._trampoline()
        self.stops = 0
        self.machine.pio.add(DONE, 4, write=self._stop, name="stop")

    def _stop(self, *_access):
        self.stops += 1
        self.machine.stop()

    def runs_to_its_end(self):
        """Run until the guest says that it is done."""
        before = self.stops
        outcome = self.machine.run(LONG, through_halt=True)
        assert isinstance(outcome, RunEnded), outcome
        assert self.stops > before, "it took too long"

    def _trampoline(self):
        pointers = [(POINTERS + at).to_bytes(2, "little").hex() for at in (0, 8)]
        real = (
            f"fa31c08ed8 660f0116{pointers[0]}"  # cli; xor ax, ax; mov ds, ax; lgdt
            f"660f011e{pointers[1]} 0f20c00c010f22c0"  # lidt; CR0.PE
            f"66ea{dword(FLAT)}0800"  # jmp 8:FLAT
        )
        flat = (
            "66b810008ed88ec08ed0"  # ds, es, ss
            f"a1{dword(APIC + 0x20)}c1e818"  # eax = APIC ID
            f"89c3c1e308bc{dword(STACKS)}29dc"  # esp = STACKS - 100h * ID
            f"c1e00c05{dword(CODE)}ffe0"  # jmp CODE + 1000h * ID
        )
        self.poke(TRAMPOLINE, bytes.fromhex(real))
        self.poke(FLAT, bytes.fromhex(flat))
        for place, (limit, base) in enumerate(((0x17, GDT), (0x7FF, IDT))):
            pointer = limit.to_bytes(2, "little") + base.to_bytes(4, "little")
            self.poke(POINTERS + 8 * place, pointer)

    def values(self, vcpu=None):
        """What was written to port 80h, by one vCPU or all."""
        return [value for index, value, _ in self.written if vcpu in (None, index)]

    def close(self):
        """Give KVM's things back."""
        if isinstance(self.machine, KvmMachine):
            self.machine.close()


@cache
def ends_at_delivery():
    """Whether interrupts of a local APIC in KVM are over as soon as they are delivered.

    With nested KVM of some hosts a handler finds nothing in service. What is level-triggered is
    then sent again before the handler has turned to the device.
    """
    with guest_of("kernel", ENABLE + apic(0x300, 0x4_4041) + "fb" + "ebfe") as guest:
        in_service = "a1" + dword(APIC + 0x120) + "e780 e7a8 f4"
        guest.poke(HANDLERS + 32 * 0x41, bytes.fromhex(in_service))
        guest.runs_to_its_end()
        return guest.values() == [0]


@contextmanager
def guest_of(kind, *codes, **options):
    """A guest for a while."""
    guest = Guest(kind, *codes, **options)
    try:
        yield guest
    finally:
        guest.close()
