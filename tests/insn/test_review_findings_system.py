# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes in system instructions and event delivery that a review found.

Each is kept as the test that failed before.
"""

import pytest

from insn.kernel import CODE, CODE0, RF, STACK, TF, Kernel, handler
from insn.machine import DATA, Machine, check_case, check_fault
from insn.test_delivery import virtual_8086
from vmmkit.insn import Done, Fault

DB, NMI, NP, GP = 1, 2, 11, 13
DR6, BS = 0xFFFF_0FF0, 1 << 14
BEYOND = 0xF3  # a selector beyond the GDT, so that IRET cannot go there


@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_an_iret_that_faults_unblocks_nmis_too(engine, mode):
    """SDM vol. 3A, "Handling Multiple NMIs"."""
    guest = Kernel(engine, mode, "cf" if mode == "pm32" else "48cf", {"nmi_blocked": 1})
    guest.poke(STACK + (4 if mode == "pm32" else 8), BEYOND, 2)
    guest.cpu.nmi()
    assert guest.step() == Done(handler(GP), 0)
    assert guest.step() == Done(handler(NMI), 0)
    assert guest.frame(2) == [handler(GP), CODE0]


def test_an_iret_that_iopl_forbids_in_virtual_8086_mode_unblocks_nmis(engine):
    """The example of the SDM's."""
    guest = virtual_8086(engine, "cf", nmi_blocked=1)
    assert guest.step() == Done(handler(GP), 0)
    assert guest.state.nmi_blocked == 0


def test_an_iret_that_waits_for_a_device_does_not_unblock_nmis_yet(engine):
    guest = Kernel(engine, "pm32", "cf", {"nmi_blocked": 1, "rsp": 0x9000}, deliver=False)
    guest.step()
    assert guest.state.nmi_blocked == 1


def test_an_iret_that_faults_undelivered_unblocks_nmis(engine):
    guest = Kernel(engine, "pm32", "cf", {"nmi_blocked": 1}, deliver=False)
    assert guest.step() == Fault(GP, 0, 0)
    assert guest.state.nmi_blocked == 0


def test_an_nmi_whose_delivery_faults_blocks_the_next(engine):
    """The handler of the fault runs with NMIs blocked, until its own IRET."""
    guest = Kernel(engine, "pm32", "90")
    guest.gate(NMI, p=0)
    guest.poke(handler(NP), bytes.fromhex("83c404cf"))  # add esp, 4; iret
    guest.cpu.nmi()
    assert guest.step() == Done(handler(NP), 0)
    assert guest.state.nmi_blocked == 1
    guest.cpu.nmi()
    assert [guest.step().rip for _ in range(2)] == [handler(NP) + 3, CODE]
    assert guest.step() == Done(handler(NP), 0)


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
def test_a_trap_and_a_code_breakpoint_behind_it_are_one_exception(engine, mode):
    """DR6 has the bits of both, and RF as pushed is the handler's to set."""
    registers = {"rflags": 2 | TF, "dr2": CODE + 1, "dr7": 1 << 4}
    guest = Kernel(engine, mode, "9090", registers)
    guest.step()
    assert guest.step() == Done(handler(DB), 0)
    assert guest.state.dr6 == DR6 | BS | 4
    assert guest.frame(3)[0] == CODE + 1
    assert guest.frame(3)[2] == 2 | TF


def test_rf_keeps_the_code_breakpoint_out_of_it(engine):
    """POPFD clears RF at its end, IRET brings one that lasts."""
    registers = {"rflags": 2 | TF, "dr2": 0x2000, "dr7": 1 << 4}
    guest = Kernel(engine, "pm32", "cf", registers)
    for number, value in enumerate((0x2000, CODE0, 2 | RF)):
        guest.poke(STACK + 4 * number, value, 4)
    assert [guest.step().rip for _ in range(2)] == [0x2000, handler(DB)]
    assert guest.state.dr6 == DR6 | BS
    assert guest.frame(3)[2] == 2 | RF


@pytest.mark.parametrize("code", ["0f01c8", "0f01c9"])
def test_monitor_and_mwait_look_at_all_of_rcx_in_64_bit_mode(engine, code):
    """SDM vol. 2B, MONITOR and MWAIT, "64-Bit Mode Exceptions"."""
    check_fault(Machine(engine, "long", code, {"rcx": 1 << 32, "rax": DATA}), GP)
    check_case(engine, "compat", code, {"rcx": 1 << 32, "rax": DATA}, {})
