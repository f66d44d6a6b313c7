# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A real gdb with the other backends: a thread for each vCPU, and vCPUs without a machine."""

import re
from contextlib import ExitStack
from threading import Thread

from gdb.debug_session import assert_clean, line_of
from gdb.gdb_driver import Gdb, gdb_path
from gdb.guest_machine import CONSOLE, DEVICE, PAGE, RAM, Registers
from gdb.guests.build import HIGHER_HALF, LOWEST_RAM
from vmmkit.backends import SoftVcpu
from vmmkit.backends.msrs import MsrFile
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.gdb.serve import serve
from vmmkit.insn import Halt
from vmmkit.memregion import RegionMap


def test_a_thread_for_each_vcpu(debug):
    threads = debug("address_spaces", vcpus=3, threaded=True)
    gdb = threads.start(
        "thread apply all -s -q print/x $cr3",
        "continue",
        "info threads",
        "thread apply all -s -q x/gx 0xffffffffa0000000",
        "break wait_two",
        "break turn thread 2",
        "set scheduler-locking on",
        "thread 2",
        "continue",
        "stepi 20",
        "set scheduler-locking off",
        "delete",
        "detach",
    )
    gdb.await_packet("vCont;c")
    gdb.await_(lambda: min(threads.guest.word("rounds", 24).to_bytes(24, "little")[::8]) > 0)
    gdb.interrupt()
    run = gdb.result()
    tables, stop, info, private, *_ = run.replies[2:]
    assert len(set(re.findall(r"= (0x\w+)", tables))) == 3
    assert "SIGINT" in stop
    assert len(re.findall(r"^[* ] \d ", info, re.MULTILINE)) == 3
    assert sorted(re.findall(r"0x000000000000(1\d{3})", private)) == ["1000", "1001", "1002"]
    assert "Thread 2" in run.replies[10]
    assert_clean(run.log)
    threads.await_progress("rounds")


class Bare:
    """One vCPU, its maps and a thread that runs it."""

    def __init__(self, program):
        self.ram = bytearray(RAM)
        self.ram[program.gpa : program.gpa + len(program.image)] = program.image
        self.vcpu = SoftVcpu([(0, self.ram)], msrs=MsrFile(), deliver=True)
        tables = program.symbols["pml4_0"] - HIGHER_HALF + LOWEST_RAM
        self.vcpu.state.enter_long_mode(program.symbols["_start"], tables)
        self.console, self.registers = "", Registers()
        mmio, pio = RegionMap(), RegionMap()
        mmio.add_ram(0, self.ram, name="ram")
        mmio.add(DEVICE, PAGE, self.registers, name="device")
        pio.add(CONSOLE, 1, write=self._say, name="console")
        self.target = VcpuTarget([self.vcpu], ram=[(0, self.ram)], mmio=mmio, pio=pio)

    def _say(self, _vcpu, _offset, _size, value):
        self.console += chr(value)

    def run(self):
        while not isinstance(self.target.run(0, 10_000), Halt):
            pass


def test_a_vcpu_without_a_machine(program, tmp_path):
    gdb_path()
    kernel = program("kernel")
    bare = Bare(kernel)
    socket = tmp_path / "socket"
    with ExitStack() as stack:
        stack.enter_context(serve(bare.target, f"unix:{socket}", wait=True))
        thread = Thread(target=bare.run, name="guest")
        thread.start()
        stack.callback(thread.join, 20)
        commands = (
            f"file {kernel.elf}",
            f"target remote {socket}",
            f"break kernel.c:{line_of('kernel.c', 'in the loop')} if i == 30",
            "continue",
            "print counter",
            "watch version",
            "continue",
            "x/wx 0xfffffffffeb00000",
            "next",
            "backtrace",
            "detach",
        )
        run = Gdb(tmp_path, commands).result()
    assert run.replies[4] == f"$1 = {sum(range(30))}\n"
    assert "New value = 1447383635" in run.replies[6]
    assert "0x56455253" in run.replies[7]
    assert "use_device ()" in run.replies[9]
    assert_clean(run.log)
    assert bare.console == "begin\nend\n"
    assert bare.registers.accesses == [("read", 0, 4)] * 2 + [("write", 4, 4, 7)]
