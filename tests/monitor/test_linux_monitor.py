# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel on the reference monitor and its software vCPUs.

Two guests: one with two processors and interrupts by messages, which turns itself off, and one with
a single processor and interrupts by pins, which resets the machine. Each is told nothing but where
the tables are, and reports what it made of them (tests/linux/init.sh).
"""

import hashlib
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from linux.initrd import initrd
from linux.judgement import COMPLAINTS, ENDINGS, SUBJECTS
from linux.kernel import FetchError, fetch
from linux.report import Report

pytestmark = [pytest.mark.linux, pytest.mark.native]

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "linux"
MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "button")
PARAMETERS = (
    # The tests of cryptography take as long as all the rest.
    "console=ttyS0 nokaslr panic=-1 reboot=acpi cryptomgr.notests "
    'dyndbg="file drivers/acpi/reboot.c +p"'  # says when the kernel writes the reset register
)
PATIENCE = 240  # seconds; each takes 15 to 20 on a host with nothing else to do
DISK = b"".join(number.to_bytes(4, "little") for number in range(1 << 16))
ID = r"\[(\w{4}:\w{4})\]"
FUNCTIONS = {
    "0000:00:00.0": "1b36:0008",
    "0000:00:01.0": "1af4:1042",
    "0000:00:02.0": "1af4:1044",
    "0000:00:03.0": "1234:11e8",
}
WINDOWS = {(0xC000_0000, 0xDFFF_FFFF), (0xF000_0000, 0xFEBF_FFFF), (32 << 30, (64 << 30) - 1)}
# Interrupts by message are named after the queue, those by pin after the device.
BY_MESSAGE = {"virtio0-req.0": ("PCI-MSI", None), "virtio1-input": ("PCI-MSI", None)}
BY_PIN = {"virtio0": ("IO-APIC", "17-fasteoi"), "virtio1": ("IO-APIC", "18-fasteoi")}
# What no device and no table is to blame for; besides SUBJECTS, all that interrupts suffer from.
TIMING = r"hrtimer: interrupt took"
TROUBLE = rf"{SUBJECTS}|\birq\b|interrupt|nobody cared|lost|spurious|timer|virtio|\bvd|ttyS|rtc"


class Guest(NamedTuple):
    """A guest to start: how many processors, how it ends, and how its devices interrupt."""

    cpus: int
    ending: str
    parameters: str
    interrupts: dict[str, tuple[str, str | None]]
    said: str  # by the monitor


class Ended(NamedTuple):
    """A guest that ran to its end."""

    guest: Guest
    status: int
    errors: str
    console: str
    report: Report


GUESTS = {
    "poweroff": Guest(2, "poweroff", "", BY_MESSAGE, ""),
    "reboot": Guest(1, "reboot", "pci=nomsi", BY_PIN, "the guest asked for a reset (power cycle)"),
}


@pytest.fixture(scope="module")
def kernel():
    try:
        return fetch(BUILD)
    except FetchError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}; CI must not skip what needs it")
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=GUESTS)
def ended(request, kernel, tmp_path_factory):
    """Run a guest to its end."""
    guest, folder = GUESTS[request.param], tmp_path_factory.mktemp(request.param)
    script = (ROOT / "tests" / "linux" / "init.sh").read_bytes()
    (folder / "initrd").write_bytes(initrd(kernel, kernel.module_files(*MODULES), script))
    (folder / "disk").write_bytes(DISK)
    options = (
        *("--backend", "soft", "--vcpus", str(guest.cpus), "--memory", "256M"),
        *("--device", f"virtio-blk,file={folder / 'disk'}", "--device", "virtio-rng"),
        *("--device", "edu", "--seconds", str(PATIENCE), "--initrd", folder / "initrd"),
        *("--append", f"{PARAMETERS} ending={guest.ending} button=no {guest.parameters}"),
    )
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "monitor", *options, kernel.image],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE + 30,
    )
    console = done.stdout.decode("ascii", "replace")
    (BUILD / f"monitor-{request.param}.log").write_text(console)
    report = Report(console)
    assert report.complete, (done.stderr.decode(), console[-2000:])
    return Ended(guest, done.returncode, done.stderr.decode(), console, report)


def test_ending(ended):
    """The guest ended as it wanted, at the first attempt, and so did the monitor."""
    assert ended.status == 0
    assert ended.guest.said in ended.errors
    _, last = ENDINGS[ended.guest.ending]
    assert ended.console.partition("@report complete")[2].count(last) == 1
    assert ended.report.lines(r"ACPI: PM: \(supports S0 S5\)")


def test_processors(ended):
    assert ended.report.apic_ids == list(range(ended.guest.cpus))


def test_tables(ended):
    assert ended.report.tables.keys() == {"APIC", "DSDT", "FACP", "FACS", "MCFG", "WAET"}
    assert ended.report.lines("1 ACPI AML tables successfully acquired and loaded")


def test_configuration_space(ended):
    report, span = ended.report, r"\[mem 0xe0000000-0xefffffff\]"
    assert report.lines(rf"MMCONFIG for domain 0000 \[bus 00-ff\] at {span}")
    assert report.lines(rf"MMCONFIG at {span} reserved in E820")


def test_functions(ended):
    found = [re.search(rf"pci (\S+): {ID}", line) for line in ended.report.lines(ID)]
    assert {one[1]: one[2] for one in found if one} == FUNCTIONS
    for function in ended.report.functions.values():
        for one in function.resources:
            assert any(low <= one.first <= one.last <= high for low, high in WINDOWS), function


def test_interrupts(ended):
    """Each source interrupts the way it should, and none is lost or spurious."""
    before = ended.report.interrupts("interrupts_before")
    after = ended.report.interrupts()
    by_name = {one.actions: one for one in after.values()}
    for name, (chip, source) in ended.guest.interrupts.items():
        irq = by_name[name]
        assert (irq.chip, irq.count > before[irq.irq].count) == (chip, True)
        assert source in (None, irq.source)
    assert (by_name["ttyS0"].source, by_name["acpi"].source) == ("4-edge", "9-fasteoi")
    assert by_name["ttyS0"].count
    text = ended.report["interrupts"]
    for name in ("SPU", "ERR", "MIS"):
        (counts,) = re.findall(rf"^ *{name}:((?: +\d+)+)", text, re.MULTILINE)
        assert not any(map(int, counts.split())), name


def test_disk(ended):
    assert ended.report["blocks"] == f"vda {hashlib.sha1(DISK).hexdigest()}  -"


def test_random_numbers(ended):
    assert ended.report["random"] == "virtio_rng.0"


def test_clocks(ended):
    """The PM timer is there, and the real-time clock shows the host's time."""
    assert "acpi_pm" in ended.report["clocks"].split()
    (line,) = ended.report.lines("setting system clock to")
    shown = datetime.fromisoformat(re.search(r"to (\S+) UTC", line)[1]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - shown) < timedelta(hours=1)


def test_log(ended):
    serious = [
        str(line)
        for line in ended.report.log
        if line.level <= 4 and re.search(TROUBLE, line.text) and not re.search(TIMING, line.text)
    ]
    serious += ended.report.lines("|".join(COMPLAINTS))
    serious += ended.report.lines("calibration failed")
    assert "\n".join(serious) == ""
