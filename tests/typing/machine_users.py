# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Machines as their users type them; read by the type checker only."""

from vmmkit.backends import (
    MachineHalted,
    MachineSnapshot,
    RunEnded,
    SoftMachine,
    ThreadedMachine,
    VcpuExit,
)
from vmmkit.backends.kvm import KvmMachine
from vmmkit.backends.msrs import MsrFile
from vmmkit.insn import Outcome
from vmmkit.memregion import RegionMap
from vmmkit.protocols import InterruptLine, Machine


class Alarm:
    def write(self, vcpu: object, offset: int, size: int, value: int, /) -> None: ...
    def deadline(self) -> int | None: ...
    def advance(self) -> None: ...


machine = SoftMachine(
    [(0, bytearray(4096))], vcpus=[0, 4], msrs=[MsrFile(), MsrFile()], pio=RegionMap()
)
threads = ThreadedMachine(vcpus=2)
SoftMachine(unknown_msrs="ignore")  # type: ignore[arg-type]

outcome: RunEnded | MachineHalted | VcpuExit = machine.run(1000, until=10**9)
if isinstance(outcome, VcpuExit):
    inner: Outcome = outcome.outcome
    machine.vcpus[outcome.vcpu].complete(1)
else:
    when: int = outcome.time
saved: MachineSnapshot = machine.snapshot()
threads.restore(saved)
threads.run(seconds=0.5, through_halt=True)
line: InterruptLine = machine.line(5)
on_kvm = KvmMachine(irqchip="split", vcpus=[0, 1])
KvmMachine(irqchip="none")  # type: ignore[arg-type]
for any_machine in (machine, threads, on_kvm):
    pc: Machine = any_machine
    sent: bool = pc.msi(0xFEE0_0000, 0x41)
machine.pio.add(0x300, 4, machine.timed(Alarm()), name="alarm")
machine.on_turn = divmod
page: int | None = machine.vcpus[0].lapic.page
