# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guests of the reference monitor on software vCPUs: both machines, both engines."""

import pytest

from monitor.board import GUESTS, software_board
from vmmkit.backends import SoftMachine, ThreadedMachine
from vmmkit.devices.edu import Edu
from vmmkit.devices.virtio import BufferDisk, VirtioBlk
from vmmkit.insn import available_engines
from vmmkit.pci import RootPort

KINDS = (SoftMachine, ThreadedMachine)
PASSED, FAILED = 0, 1
INCREMENTS = {"native": 30_000, "pure": 200}
CASES = [
    ("hello", "a=1 b", PASSED, ["command line: 'a=1 b'", "ok memory"]),
    ("acpi_reader", "", PASSED, ["ok mcfg-ecam", "ok dsdt-s5"]),
    ("acpi_reader", "off", "off", ["ok acpi-mode", "off by 2000 to port 604"]),
    ("acpi_reader", "reset", "reset", ["reset by f to port cf9"]),
    ("pagefault", "", PASSED, ["ok demand 8 faults", "ok double-fault", "ok system-call"]),
    ("pci_lister", "", PASSED, ["ok edu-moved", "GSI 17", "strays 0", "ok virtio-unmasked"]),
]
#: The slow ones: what the monitor's own tests have in the usual run.
MACHINES = [
    pytest.param(kind, engine, marks=[pytest.mark.slow] * (engine == "pure"))
    for kind in KINDS
    for engine in available_engines()
]
MOST_INSTRUCTIONS = 3_000_000


@pytest.fixture(params=available_engines())
def engine(request):
    return request.param


def last_line(board):
    return board.console.decode().splitlines()[-1]


@pytest.mark.parametrize(("kind", "engine"), MACHINES)
@pytest.mark.parametrize(("guest", "command_line", "ended", "lines"), CASES)
def test_a_guest_passes(guest, command_line, ended, lines, kind, engine):
    board = software_board(guest, kind, engine, command_line=command_line)
    assert board.run() == ended, board.console.decode()
    assert last_line(board) == "PASS"
    assert "FAIL" not in board.console.decode()
    for line in lines:
        assert line in board.console.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_two_processors_count_together(kind, engine):
    count = INCREMENTS[engine]
    board = software_board("smp", kind, engine, command_line=f"increments={count}")
    assert board.run() == PASSED, board.console.decode()
    assert f"ok counter {2 * count} of {2 * count}" in board.console.decode()
    assert "ok wake" in board.console.decode()


def test_a_processor_that_is_missing_is_told(engine):
    board = software_board("smp", engine=engine, vcpus=1)
    assert board.run() == FAILED
    assert last_line(board) == "FAIL"


def test_a_device_behind_a_bridge_works(engine):
    port = RootPort(name="port")
    port.secondary.attach(Edu(), 0)
    board = software_board("pci_lister", engine=engine, devices=[port])
    assert board.run() == PASSED, board.console.decode()
    assert "function 01:00.0 1234:11e8" in board.console.decode()
    assert "ok edu-msi-dma" in board.console.decode()


def test_both_engines_run_a_guest_alike():
    boards = [software_board("pagefault", engine=engine) for engine in available_engines()]
    for board in boards:
        assert board.run() == PASSED
    assert len({bytes(board.console) for board in boards}) == 1
    assert len({board.retired for board in boards}) == 1


@pytest.mark.native
def test_an_interrupt_that_is_lost_ends_in_a_failure():
    board = software_board("pci_lister", engine="native")
    board.host.wiring.wires.set_gsi = lambda _gsi, _level: None
    assert board.run() == FAILED
    assert "FAIL edu-intx" in board.console.decode()
    assert last_line(board) == "FAIL"


@pytest.mark.native
@pytest.mark.parametrize("guest", sorted(path.stem for path in GUESTS.glob("*.elf")))
def test_no_guest_is_long(guest):
    devices = (VirtioBlk(BufferDisk(bytearray(2048))),) if guest == "disk" else None
    board = software_board(guest, engine="native", devices=devices)
    assert board.run() == PASSED, board.console.decode()
    assert board.retired < MOST_INSTRUCTIONS
