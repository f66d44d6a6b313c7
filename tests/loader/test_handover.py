# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest that reports what it was handed: the same from QEMU's loader as from this one."""

import re
import subprocess

import pytest

from loader.images import MIB, compile_guest, run
from system_tools import require
from vmmkit import loader

DISK, OTHER = bytes(range(256)) * 33, b"another file"
MEMORY = re.compile(r"^memory ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16})$", re.MULTILINE)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return a function that compiles the guest for a protocol."""
    folder = tmp_path_factory.mktemp("guest")
    return lambda protocol, bits=32: compile_guest(require("gcc"), folder, protocol, bits)


def in_qemu(folder, image, *options):
    """Return what the guest prints in QEMU."""
    console = folder / "console"
    qemu = require("qemu-system-x86_64")
    command = [qemu, "-machine", "q35", "-m", "64M", "-display", "none", "-no-reboot"]
    command += ["-serial", f"file:{console}", "-monitor", "none", "-nodefaults"]
    command += ["-device", "isa-debug-exit,iobase=0xf4", "-kernel", image, *options]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True)
    assert done.returncode == 1, done.stderr  # twice what the guest wrote, and one
    return console.read_text()


def here(path, memory, **handed):
    """Return what the guest prints on a software vCPU in the same memory map."""
    image = loader.read(path.read_bytes())
    text, _ = run(image.boot(memory=memory, **handed), [(0, bytearray(64 * MIB))])
    return text


def memory_of(text):
    """Return the memory map that a guest printed."""
    return [tuple(int(word, 16) for word in found) for found in MEMORY.findall(text)]


@pytest.mark.qemu
def test_pvh_as_in_qemu(image, tmp_path):
    path, disk = image("PVH"), tmp_path / "disk"
    disk.write_bytes(DISK)
    theirs = in_qemu(tmp_path, path, "-append", "one two", "-initrd", disk)
    assert here(path, memory_of(theirs), cmdline="one two", initrd=DISK) == theirs


@pytest.mark.qemu
def test_multiboot_as_in_qemu(image, tmp_path):
    path, disk, other = image("MULTIBOOT"), tmp_path / "disk", tmp_path / "other"
    disk.write_bytes(DISK)
    other.write_bytes(OTHER)
    files = f"{disk} first,{other}"
    theirs = in_qemu(tmp_path, path, "-append", "one two", "-initrd", files)
    ours = here(
        path,
        memory_of(theirs),
        cmdline=f"{path} one two",  # QEMU puts names before the strings
        modules=[loader.Module(DISK, f"{disk} first"), loader.Module(OTHER, str(other))],
    )
    assert ours == theirs


PC = [(0, 0x9FC00, 1), (0xF0000, 0x10000, 2), (MIB, 63 * MIB, 1)]
PC_LINES = """\
memory 0000000000000000 000000000009fc00 0000000000000001
memory 00000000000f0000 0000000000010000 0000000000000002
memory 0000000000100000 0000000003f00000 0000000000000001
"""


def test_multiboot2_tags(image):
    modules = [loader.Module(b"abc", "a string")]
    text = here(image("MULTIBOOT2"), PC, cmdline="one two", modules=modules)
    expected = "magic 0000000036d76289\nin 8 bytes 0000000000000000\ncommand line 'one two'\n"
    expected += "module size 0000000000000003\nmodule sum 0000000000017862\n"
    expected += "module in page 0000000000000000\nstring 'a string'\n"
    expected += "lower 000000000000027f\nupper 000000000000fc00\n" + PC_LINES
    expected += "load base 0000000000100000\ntotal less last 0000000000000000\n"
    assert text.partition("magic")[1:] == ("magic", expected.removeprefix("magic"))


def test_no_command_line_and_no_modules(image):
    text = here(image("PVH"), PC)
    assert "command line ''\n" + PC_LINES in text


def test_state_of_the_processor(image):
    text = here(image("MULTIBOOT"), PC)
    zero = "0000000000000000"
    assert text.startswith(f"cr0 PE PG {zero[:-1]}1\ncr4 {zero}\neflags VM IF TF {zero}\n")
