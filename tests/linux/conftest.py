# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux guests for the tests of this folder, and a table of what was judged.

`make acpi-linux` runs them; `make test` and `make slow` do not. Needed: QEMU, and a Debian whose
apt-get can download the cloud kernel and busybox (see `kernel.py`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from linux.boards import RAM, Board
from linux.boots import Boot, Booted
from linux.guest import Guest, GuestError
from linux.handover import Handover, InMemory, Scripted, ScriptedUefi
from linux.initrd import initrd
from linux.kernel import FetchError, Kernel, fetch
from vmmkit.acpi.platform.assembly import Platform

pytest.register_assert_rewrite("linux.judgement")

BUILD = Path(__file__).parents[2] / "build" / "linux"
MODULES = ("virtio_pci", "virtio_mmio", "virtio_rng", "button", "qemu_fw_cfg")
COMMAND_LINE = (
    "console=ttyS0 nokaslr panic=-1 reboot=acpi patience=5 "
    'dyndbg="file drivers/acpi/reboot.c +p"'  # says when the kernel writes the reset register
)

OUTCOMES: dict[str, Booted] = {}  # by the id of the fixture's parameter
BROKEN: dict[str, str] = {}  # guests that did not end as they should, and their last words
VERDICTS: dict[str, dict[str, str]] = defaultdict(dict)  # check, then guest


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    try:
        return fetch(BUILD)
    except FetchError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; CI must not skip what needs it")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def disk(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the initial RAM disk; it is the same for all guests."""
    path = tmp_path_factory.mktemp("linux") / "initrd"
    script = Path(__file__).with_name("init.sh").read_bytes()
    path.write_bytes(initrd(kernel, kernel.module_files(*MODULES), script))
    return path


def handover_of(boot: Boot, platform: Platform, kernel: Kernel) -> Handover:
    """Return the way that a guest gets its tables."""
    if boot.uefi:
        return ScriptedUefi(platform, kernel.ovmf, kernel.ovmf_variables)
    return Scripted(platform) if boot.scripted else InMemory(platform, hide_e820=boot.hide_e820)


@pytest.fixture(scope="session")
def boot_linux(
    kernel: Kernel,
    disk: Path,
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Boot, Board, Platform], Booted]:
    """Return a function that runs one guest on the tables of a platform to its end."""
    program = require_tool("qemu-system-x86_64")

    def run(boot: Boot, board: Board, platform: Platform) -> Booted:
        handover = handover_of(boot, platform, kernel)
        parameters = (COMMAND_LINE, *board.parameters, *boot.parameters(), *handover.parameters())
        options = (
            *board.options,
            *("-m", f"{RAM}M", "-smp", f"{boot.cpus},sockets={boot.nodes}"),
            *handover.options(tmp_path_factory.mktemp(board.name)),
            *("-kernel", str(kernel.image), "-initrd", str(disk)),
            *("-append", " ".join(parameters)),
        )
        name = f"{board.name} {boot.name}"
        log = BUILD / f"{name.replace(',', '').replace(' ', '-')}.log"
        try:
            outcome = Guest(program, options).run()
            log.write_text(outcome.console)
            OUTCOMES[name] = Booted(boot, board, handover, outcome, outcome.report)
        except GuestError as error:
            log.write_text(error.console)
            # Once at the end, not once for each check that wanted this guest.
            BROKEN[name] = f"{error}\nThe whole console is in {log}."
            pytest.fail(f"{name} did not come to its end: see the end of this run", pytrace=False)
        return OUTCOMES[name]

    return run


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name, bracket, guest = report.nodeid.rpartition("::")[2].partition("[")
    if "linux/test_linux" in report.nodeid and bracket and (report.when == "call" or report.failed):
        VERDICTS[name.removeprefix("test_")][guest.rstrip("]")] = report.outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not OUTCOMES and not BROKEN:
        return
    terminalreporter.section("Linux guests")
    for name, booted in OUTCOMES.items():
        outcome = booted.outcome
        terminalreporter.line(
            f"{name:28} {booted.boot.cpus:3} processors, tables {booted.handover.name}, "
            f"{outcome.reason} after {outcome.seconds:.1f} s"
        )
    for name, last_words in BROKEN.items():
        terminalreporter.line(f"{name}: {last_words}")
    guests = [*OUTCOMES, *BROKEN]
    for check, verdicts in VERDICTS.items():
        marks = "  ".join(f"{verdicts.get(guest, '-'):6}" for guest in guests)
        terminalreporter.line(f"{check:28} {marks}")
