# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Accesses of a guest that an address map does not take as they are: ENQCMD, and the last ports."""

import pytest

from vmmkit.backends import MachineHalted, SoftMachine, SoftVcpu
from vmmkit.errors import AccessAddressError, HandlerError
from vmmkit.insn import CpuState, Halt, available_engines
from vmmkit.memregion import AccessPolicy, RegionMap, all_ones

ENQCMDS_HLT = "f30f38f803 f4"  # enqcmds eax, [ebx]; hlt
COMMAND = bytes(4) + bytes(range(5, 65))
DEVICE, ZF = 0xE000_0000, 0x40
NARROW = AccessPolicy()
ENGINES = pytest.mark.parametrize("engine", available_engines())
WIDE = pytest.mark.parametrize(
    ("policy", "refused"), [(AccessPolicy(max_size=64), False), (NARROW, True)]
)


class Guest:
    """A machine or a vCPU with maps, in protected mode at `code`, and what a device was written."""

    def __init__(self, kind, code, *, engine=None, policy=NARROW, fails=0):
        self.ram, self.written, self.fails = bytearray(0x2000), [], fails
        raw = bytes.fromhex(code)
        self.ram[: len(raw)], self.ram[0x1000:0x1040] = raw, COMMAND
        self.maps = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.maps[0].add(DEVICE, 0x1000, write=self._write, policy=policy, name="device")
        self.maps[1].add_fallback(0, 1 << 16, all_ones, name="empty ports")
        if kind == "machine":
            mmio, pio = self.maps
            self.machine = SoftMachine([(0, self.ram)], engine=engine, mmio=mmio, pio=pio)
            self.state = self.machine.vcpus[0].state
        else:
            self.machine, self.vcpu = None, SoftVcpu([(0, self.ram)], engine=engine)
            self.state = self.vcpu.state
        self.state.features = CpuState().features
        self.state.enter_protected_mode(eip=0)
        self.state.rax, self.state.rbx = DEVICE, 0x1000

    def _write(self, _vcpu, _offset, size, value):
        if self.fails:
            self.fails -= 1
            raise RuntimeError
        self.written.append(value.to_bytes(size, "little"))

    def halts(self):
        """Run to the end; return whether that was HLT."""
        if self.machine is not None:
            return isinstance(self.machine.run(), MachineHalted)
        mmio, pio = (one.port(self.vcpu) for one in self.maps)
        return isinstance(self.vcpu.run_through(mmio, pio), Halt)


@ENGINES
@pytest.mark.parametrize("kind", ["machine", "vcpu"])
@WIDE
def test_a_command_is_for_regions_of_64_bytes(kind, engine, policy, refused):
    guest = Guest(kind, ENQCMDS_HLT, engine=engine, policy=policy)
    assert guest.halts()
    assert bool(guest.state.rflags & ZF) == refused
    assert guest.written == ([] if refused else [COMMAND])


@pytest.mark.parametrize("kind", ["machine", "vcpu"])
def test_a_device_that_raises_gets_the_command_again(kind):
    guest = Guest(kind, ENQCMDS_HLT, policy=AccessPolicy(max_size=64), fails=1)
    with pytest.raises(HandlerError):
        guest.halts()
    assert guest.halts()
    assert guest.written == [COMMAND]


@ENGINES
@pytest.mark.parametrize("kind", ["machine", "vcpu"])
def test_nobody_is_behind_the_last_port(kind, engine):
    guest = Guest(kind, "66bafeff ed 89c1 ef f4", engine=engine)  # in and out eax, FFFEh
    assert guest.halts()
    assert guest.state.rax == guest.state.rcx == 0xFFFF_FFFF


@pytest.mark.parametrize("code", ["66ba0010 ec f4", "66ba0010 ee f4"])  # port 1000h
def test_a_map_that_ends_before_is_its_owners(code):
    guest = Guest("vcpu", code)
    small = RegionMap(address_bits=8)
    with pytest.raises(AccessAddressError):
        guest.vcpu.run_through(guest.maps[0].port(0), small.port(0))
