# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The monitor: how it ends, what its options do, and what it says of mistakes."""

import json
import re
from pathlib import Path

import pytest

from examples.monitor_program import (
    BACKENDS,
    CRASH,
    ECHO,
    EXIT_7,
    HALT,
    MONITOR,
    QUICK,
    RESET,
    SOFT,
    SPIN,
    TURN_OFF,
    flat,
    monitor,
    monitors,
)

SOFTWARE = ("--backend", "soft")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("code", "mode", "status", "said"),
    [
        (EXIT_7, 16, 7, ""),
        (TURN_OFF, 16, 0, ""),
        (RESET, 16, 0, "reset"),
        (CRASH, 32, 3, "vCPU 0: TripleFault"),
    ],
    ids=["exit port", "S5", "reset", "crash"],
)
def test_how_a_guest_ends(tmp_path, backend, code, mode, status, said):
    done = monitor(*backend, *flat(tmp_path, code, mode))
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


@pytest.mark.parametrize("backend", SOFT)
def test_a_guest_that_waits_for_nothing(tmp_path, backend):
    done = monitor(*backend, *flat(tmp_path, HALT))
    assert done.returncode == 4
    assert "waits for nothing" in done.stderr


@pytest.mark.parametrize("backend", QUICK)
def test_time_is_limited(tmp_path, backend):
    done = monitor(*backend, "--seconds", "0.2", *flat(tmp_path, SPIN))
    assert done.returncode == 124
    assert "0.2 seconds are over" in done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_input_and_output(tmp_path, backend):
    text = "".join(chr(ord("a") + number % 16) for number in range(500)) + "q"
    done = monitor(*backend, *flat(tmp_path, ECHO), typed=text + "too late")
    assert (done.returncode, done.stdout) == (5, text)


@pytest.mark.parametrize("backend", QUICK)
def test_the_trace_loads(tmp_path, backend):
    path = tmp_path / "trace.json"
    monitor(*backend, "--trace", path, *flat(tmp_path, TURN_OFF))
    events = json.loads(path.read_text())["traceEvents"]
    written = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in written] == ["write ACPI power management"]
    assert written[0]["args"] == {"address": "0x604", "size": 2, "value": "0x2000"}
    assert [event["tid"] for event in events if event["ph"] == "M"] == [written[0]["tid"]]


@pytest.mark.parametrize("backend", QUICK)
def test_the_maps(backend):
    devices = ("--device", "edu", "--device", "virtio-rng", "--device", "pci-uart")
    shown = monitor(*backend, *devices, "--map", "--memory", "4G", "--vcpus", "2").stdout
    for line in (
        r"00\.0 .* PciHostBridge",
        r"01\.0  1234:11e8  Edu .*GSI 17",
        r"03\.0  1b36:0002  PciUart .*GSI 19",
        r"0_0000_c000_0000-0_0000_ffff_ffff +1 GiB .* PCI hole",
        r"0_0000_e000_0000-0_0000_efff_ffff +256 MiB  rwi  device +ECAM",
        r"0_0001_0000_0000-0_0001_3fff_ffff +1 GiB  rw-  ram +RAM",
        r"device +Edu regs",
        r"0cf8-0cff .* configuration ports",
        r"03f8-03ff .* COM1",
    ):
        assert re.search(line, shown), line


def test_the_map_is_drawn(tmp_path):
    path = tmp_path / "map.svg"
    assert monitor(*SOFTWARE, "--map-svg", path).returncode == 0
    assert path.read_text().startswith("<svg")
    assert "ECAM" in path.read_text()


def test_an_engine_is_asked_for_and_runs(tmp_path):
    done = monitor("--engine", "pure", *flat(tmp_path, EXIT_7))
    assert (done.returncode, "software vCPU, pure engine (--eng" in done.stderr) == (7, True)


@pytest.mark.parametrize("backend", SOFT[:1])
@pytest.mark.parametrize("seconds", ["0", "0.2"])
def test_time_goes_on_while_the_debugger_is_waited_for(tmp_path, backend, seconds):
    gdb = ("--gdb", f"unix:{tmp_path / 'gdb'}", "--wait")
    done = monitor(*backend, *gdb, "--seconds", seconds, *flat(tmp_path, EXIT_7))
    assert done.returncode == 124
    assert f"{seconds} seconds are over" in done.stderr


def test_more_seconds_than_a_clock_has(tmp_path):
    done = monitor(*SOFTWARE, "--seconds", "9" * 30, *flat(tmp_path, EXIT_7))
    assert (done.returncode, len(done.stderr.splitlines())) == (7, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_trace_that_cannot_be_written(tmp_path):
    done = monitor(*SOFTWARE, "--trace", "/dev/full", *flat(tmp_path, EXIT_7))
    assert (done.returncode, "Traceback" in done.stderr) == (7, False)
    assert "the trace is lost: [Errno 28]" in done.stderr


def test_auto_says_who_runs_the_guest_and_why(tmp_path):
    done = monitor(*flat(tmp_path, EXIT_7))
    assert done.returncode == 7
    assert re.match(
        r"monitor: (KVM, irqchip=kernel|software vCPU, \w+ engine) \(.+\)$", done.stderr
    )


# -- mistakes -----------------------------------------------------------------------------------


MISTAKES = [
    ((), "an image is wanted"),
    (("nowhere.elf",), "nowhere.elf"),
    (("--memory", "64Q", "x"), "'64Q' is no size"),
    (("--memory", "1M", "x"), "'1M' is no size"),
    (("--memory", "32G", "x"), "'32G' is no size"),  # the PCI window begins there
    (("--memory", "99999999999999G", "x"), "is no size"),
    (("--vcpus", "0", "x"), "'0' is no number from 1 to 255"),
    (("--vcpus", "two", "x"), "'two' is no number"),
    (("--seconds", "soon", "x"), "'soon' is no number of seconds"),
    (("--flat", "here", "x"), "'here' is no address"),
    (("--backend", "xen", "x"), "'xen'"),
    (("--engine", "steam", "x"), "'steam'"),
    (("--frobnicate", "x"), "--frobnicate"),
    (("--device", "floppy", "x"), "'floppy' is none of edu, "),
    (("--device", "edu,colour=red", "x"), "edu has no option colour"),
    (("--device", "virtio-blk", "x"), "virtio-blk wants file=..."),
    (("--device", "virtio-blk,file=nowhere.img", "x"), "nowhere.img"),
    (("--device", "virtio-blk,file", "x"), "'file' is not NAME=VALUE"),
    (("--device", "virtio-blk,file=a,file=b", "x"), "'file=b' is not NAME=VALUE, or is there"),
    (("--device", "virtio-blk,file={image},readonly=yes", "x"), "on or off, not 'yes'"),
    (("--device", "virtio-blk,file=/,readonly=on", "x"), "'/' is neither a file"),
    (("--device", "virtio-blk,file=/dev/null", "x"), "'/dev/null' is neither a file"),
    (("--device", "virtio-blk,file={image}", "x"), "has 2 bytes, less than a sector"),
    ((*("--device", "edu") * 32, "x"), "no free slot on <Bus 0x00>"),
    (("--engine", "pure", "--backend", "kvm", "x"), "--engine is of no use with KVM"),
    (("--wait", "x"), "--wait is of use with --gdb only"),
    (("--gdb", "nonsense", "--flat", "0x1000", "{image}"), "nonsense"),
    (("--trace", "/nowhere/trace.json", "--flat", "0x1000", "{image}"), "/nowhere/trace.json"),
    (("--initrd", "nowhere.img", "--flat", "0x1000", "{image}"), "nowhere.img"),
    (("--module", "nowhere.mod", "--flat", "0x1000", "{image}"), "nowhere.mod"),
    (("{image}",), "guest.bin"),  # no format, and --flat is missing
    (("--flat", "0xfff00000", "{image}"), "0xfff00000"),
    (("--flat", "0x1000", "/dev/null"), "/dev/null: there is nothing in it"),
    (("--append", "quiet", "--flat", "0x1000", "{image}"), "flat images take no cmdline"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make all mistakes, in one process; return status, output and errors of each."""
    *_, image = flat(tmp_path_factory.mktemp("mistakes"), SPIN)
    lines = [[text.format(image=image) for text in arguments] for arguments, _ in MISTAKES]
    lines = [
        [*(() if "--backend" in line else SOFTWARE), "--seconds", "5", *line] for line in lines
    ]
    return monitors(lines)


@pytest.mark.parametrize(
    "number", range(len(MISTAKES)), ids=[" ".join(given)[:60] for given, _ in MISTAKES]
)
def test_a_mistake_is_one_line_and_status_2(made, number):
    status, output, errors = made[number]
    lines = [line for line in errors.splitlines() if "software vCPU" not in line]
    assert (status, output, len(lines)) == (2, "", 1)
    assert lines[0].startswith("monitor: ")
    assert MISTAKES[number][1] in lines[0]


def test_a_mistake_ends_the_process_with_its_status():
    done = monitor("--frobnicate", "x")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_help():
    done = monitor("--help")
    assert done.returncode == 0
    assert "--device KIND[,NAME=VALUE]" in done.stdout


def test_the_files_stay_small():
    assert {path.name for path in MONITOR.glob("*.py")} > {"__main__.py", "board.py"}
    for path in MONITOR.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, path.name
