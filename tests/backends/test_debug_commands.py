# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What targets add to `monitor`."""

import pytest

from backends.debugging import ROOT, Guest, until
from vmmkit.backends import SoftVcpu
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import TargetError
from vmmkit.gdb.target import StopKind
from vmmkit.memregion import RegionMap

KINDS = ("vcpus", "soft", "threads")


class Latch:
    def __init__(self):
        self.written = []

    def read(self, vcpu, offset, size):
        return 0x5A

    def write(self, vcpu, offset, size, value):
        self.written.append(value)


def guest_of(kind):
    pio = RegionMap(address_bits=16, name="pio")
    pio.add(0x98, 2, Latch(), name="latch")
    mmio = RegionMap(address_bits=52, name="mmio")
    mmio.add(0x40_0000, 0x1000, Latch(), name="window")
    code = bytes.fromhex("b041 e699 e498 a20000400000000000 ebef")
    guest = Guest(kind, None, {0x1000: code}, pio=pio, mmio=mmio)
    guest.ram[ROOT + 0x2010 : ROOT + 0x2018] = (0x40_0083).to_bytes(8, "little")
    return guest


def run(target, words, vcpu=0):
    name, *rest = words.split()
    return target.monitor_commands()[name](vcpu, *rest)


@pytest.fixture(params=KINDS)
def guest(request):
    return guest_of(request.param)


def test_accesses_to_ports_stop_the_vcpu(guest):
    with guest.debugged():
        assert run(guest.target, "break-on-io 0x98-0x99") == "0x98-0x99"
        for rip, words in ((0x1004, "port 0x99, 1 bytes: write 0x41"), (0x1006, "read 0x5a")):
            (stop,) = guest.go()
            assert (stop.kind, stop.signal) == (StopKind.SIGNAL, 5)
            assert words in stop.message
            assert guest.vcpus[0].state.rip == rip
        assert run(guest.target, "break-on-io list") == "0x98-0x99"
        assert "no accesses" in run(guest.target, "break-on-io 0x98-0x99 off")
        guest.start()
        before = guest.vcpus[0].state.retired
        until(lambda: guest.vcpus[0].state.retired >= before + 100)
        assert guest.stop() == []


def test_accesses_to_memory_stop_the_vcpu(guest):
    with guest.debugged():
        run(guest.target, "break-on-io mmio 0x400000-0x400fff")
        (stop,) = guest.go()
        assert "0x400000, 1 bytes: write 0x5a" in stop.message
        assert guest.vcpus[0].state.rip == 0x100F
        run(guest.target, "break-on-io 0x99")
        (stop,) = guest.step()
        assert stop.kind is StopKind.STEP
        guest.step()
        (stop,) = guest.step()
        assert "port 0x99" in stop.message
        assert run(guest.target, "break-on-io off") == "no accesses are watched"


def test_nothing_is_watched_without_a_debugger(guest):
    with guest.debugged():
        run(guest.target, "break-on-io 0x99")
        guest.target.debugger_detached()
        assert run(guest.target, "break-on-io list") == "no accesses are watched"


@pytest.mark.parametrize(
    "words",
    [
        "break-on-io x",
        "break-on-io 5-4",
        "break-on-io 0x10000",
        "break-on-io mmio",
        "break-on-io 5 6",
        "break-on-io 5 off",
        "translate",
        "translate -1",
        "map 5",
        "physical maybe",
        "mmio on off",
        "hold yes",
    ],
)
def test_words_that_make_no_sense(words):
    with pytest.raises(TargetError):
        run(VcpuTarget([SoftVcpu()]), words)


def test_switches():
    target = VcpuTarget([SoftVcpu()])
    assert run(target, "physical") == "addresses are virtual"
    assert run(target, "physical on") == "addresses are guest-physical"
    assert target.physical
    assert run(target, "hold") == "interrupts wait while stepping"
    assert run(target, "hold off") == "interrupts are taken while stepping"
    assert not target.hold_interrupts_while_stepping
    assert run(target, "mmio") == "devices are accessed"


def test_every_command_has_its_help():
    assert all(command.__doc__ for command in VcpuTarget([SoftVcpu()]).monitor_commands().values())


def test_maps_are_shown(guest):
    shown = run(guest.target, "map")
    assert "window" in shown
    assert "latch" in shown
    ram = bytearray(4096)
    assert "0x0-0xfff ram" in run(VcpuTarget([SoftVcpu([(0, ram)])], ram=[(0, ram)]), "map")


def test_walks_are_shown():
    guest = Guest("vcpus", "pure", {0x1000: b"\x90"})
    shown = run(guest.target, "translate 0x1234").splitlines()
    assert shown == [
        "PML4E at 0x80000: 0x0000000000081003 P W",
        "PDPTE at 0x81000: 0x0000000000082003 P W",
        "PDE   at 0x82000: 0x0000000000000083 P W PS",
        "0x1234 -> 0x1234 (2 MiB: writable, executable)",
    ]
    assert "no page" in run(guest.target, "translate 0x40000000")
    assert "not canonical" in run(guest.target, "translate 0x8000000000000000")
    guest.ram[ROOT : ROOT + 8] = (0x5000_0003).to_bytes(8, "little")
    assert "0x50000000 is not in RAM" in run(guest.target, "translate 0")
    guest.vcpus[0].state.enter_protected_mode(0x1000)
    assert run(guest.target, "translate 0x55") == "0x55 -> 0x55 (no paging)"
