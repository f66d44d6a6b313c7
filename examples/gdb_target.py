# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A processor of one's own, made debuggable: the five methods of a target, and two options.

The processor is a toy: every byte is an instruction that adds itself to RAX. Connect to it:

    $ python examples/gdb_target.py tcp:127.0.0.1:1234
    $ gdb -ex 'target remote 127.0.0.1:1234' -ex 'stepi' -ex 'print $rax'
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping

from vmmkit import gdb


class ToyTarget:
    can_step = True  # optional, and so is write_memory

    def __init__(self, ram: bytearray) -> None:
        self.ram, self.pc, self.rax = ram, 0, 0
        self.running, self.asked = threading.Event(), threading.Event()
        self.report: gdb.Report | None = None
        self.steps = False

    def vcpus(self) -> list[int]:
        return [0]

    def read_registers(self, vcpu: int) -> dict[str, int]:
        return {"rip": self.pc, "rax": self.rax, "rsp": 0, "rbp": 0}

    def read_memory(self, vcpu: int, address: int, size: int) -> bytes:
        return bytes(self.ram[address : address + size])

    def write_memory(self, vcpu: int, address: int, data: bytes) -> None:  # optional
        if address + len(data) > len(self.ram):
            raise gdb.TargetError(f"no RAM at {address:#x}")
        self.ram[address : address + len(data)] = data

    def stop(self, report: gdb.Report) -> None:
        self.report = report
        self.asked.set()
        if not self.running.is_set():
            report()

    def resume(self, actions: Mapping[int, gdb.Action], report: gdb.Report | None) -> None:
        self.report, self.steps = report, actions[0].kind is gdb.ActionKind.STEP
        self.asked.clear()
        self.running.set()

    def loop(self, instructions: int) -> None:
        """Execute on the caller's thread, whenever the debugger lets it."""
        for _ in range(instructions):
            self.running.wait()
            self.rax += self.ram[self.pc]
            self.pc = (self.pc + 1) % len(self.ram)
            if self.steps or self.asked.is_set():
                self.running.clear()
                kind = gdb.StopKind.STEP if self.steps else gdb.StopKind.ASKED
                if self.report is not None:
                    self.report([gdb.Stop(0, kind)])


if __name__ == "__main__":
    target = ToyTarget(bytearray(range(256)))
    if sys.argv[1:]:
        with gdb.serve(target, sys.argv[1], wait=True) as server:
            print(f"gdb -ex 'target remote {server.address.removeprefix('tcp:')}'", flush=True)
            target.loop(10**9)
    else:
        target.running.set()
        target.loop(256)
        print(f"rax = {target.rax:#x}")
