# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The reference and the C header say what the device does; a compiler and a program judge."""

import re
import subprocess

import pytest

from pci.devices import make_class
from vmmkit.devices.edu import Edu
from vmmkit.errors import DeclarationError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.describe import c_header, reference
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg, RegArray


class FrameGrabber(PciDevice):
    """Grabs frames.

    With | pipes and `code` in its text.
    """

    vendor_id, device_id, revision, class_code = 0x1234, 0xBEEF, 0x01, 0x040000
    subsystem_id = 0x0042
    intx = "B"
    msi = Msi(vectors=4)
    msix = Msix(vectors=8)
    express = PciExpress()
    regs = MemBar(0, 4096, width=64)
    frame = MemBar(2, 1 << 24, width=64, prefetchable=True, ram=True)
    legacy = IoBar(5, 16)
    rom = Rom(b"")
    control = Reg(0x00, "ro", reset=0x30, doc="Starts it. */ and never stops it.")
    go = control.field(0, "w1s", doc="Start.")
    rate = control.field((7, 4), "rw")
    address = Reg(0x08, size=8, widths={4, 8})
    high_half = address.field((63, 32))
    ring = RegArray(0x100, 16, "w1c", stride=0x20, size=2)
    overrun = ring.field(15)
    port = Reg(0x04, "wo", bar=legacy, size=1, doc="Old | ways.")


PAGE = """\
# FrameGrabber

Grabs frames.

With | pipes and `code` in its text.

| | |
|---|---|
| vendor ID | 1234h |
| device ID | BEEFh |
| revision | 01h |
| class code | 040000h |
| subsystem ID | 0042h |
| interrupt pin | INTB |

## BARs

| index | name | space | size |
|---|---|---|---|
| 0 | `regs` | 64-bit memory | 4 KiB |
| 2 | `frame` | 64-bit memory, prefetchable, RAM | 16 MiB |
| 4 | `msix` | 32-bit memory | 8 KiB |
| 5 | `legacy` | I/O | 16 bytes |
| ROM | `rom` | expansion ROM | 2 KiB |

## Capabilities

| name | capability |
|---|---|
| `msi` | Msi, 4 vectors |
| `msix` | Msix, 8 vectors, table at 0h of BAR 4 |
| `express` | PciExpress |

## Registers of `regs`

| offset | bytes | name | access | reset | |
|---|---|---|---|---|---|
| 00h | 4 | `control` | by field | 30h | Starts it. */ and never stops it. |
| 08h | 8 | `address` | rw | 0h | Accesses of 4 or 8 bytes. |
| 100h + n * 20h | 2 | `ring[0]` to `ring[15]` | w1c | 0h | |

### `control`

| bits | name | access | reset | |
|---|---|---|---|---|
| 0 | `go` | write ones to set | 0h | Start. |
| 7:4 | `rate` | read and write | 3h | |

### `address`

| bits | name | access | reset | |
|---|---|---|---|---|
| 63:32 | `high_half` | read and write | 0h | |

### `ring`

| bits | name | access | reset | |
|---|---|---|---|---|
| 15 | `overrun` | write ones to clear | 0h | |

## Registers of `legacy`

| offset | bytes | name | access | reset | |
|---|---|---|---|---|---|
| 04h | 1 | `port` | wo | 0h | Old \\| ways. |
"""


def test_reference():
    assert reference(FrameGrabber) == PAGE


def test_reference_of_almost_nothing():
    page = reference(make_class("Bare", regs=None))
    assert page == (
        "# Bare\n\n| | |\n|---|---|\n| vendor ID | 1234h |\n| device ID | 0001h |\n"
        "| revision | 00h |\n| class code | FF0000h |\n"
    )


@pytest.mark.parametrize("made", [FrameGrabber, Edu])
def test_every_table_row_has_the_columns_of_its_head(made):
    columns = None
    for line in reference(made).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert columns in (None, cells) or cells is None
        columns = cells


# expression of the header, and its value
VALUES = {
    "FRAME_GRABBER_VENDOR_ID": 0x1234,
    "FRAME_GRABBER_DEVICE_ID": 0xBEEF,
    "FRAME_GRABBER_CLASS_CODE": 0x040000,
    "FRAME_GRABBER_REGS_BAR": 0,
    "FRAME_GRABBER_REGS_SIZE": 4096,
    "FRAME_GRABBER_FRAME_SIZE": 1 << 24,
    "FRAME_GRABBER_MSIX_BAR": 4,
    "FRAME_GRABBER_LEGACY_BAR": 5,
    "FRAME_GRABBER_CONTROL": 0,
    "FRAME_GRABBER_CONTROL_GO_MASK": 1,
    "FRAME_GRABBER_CONTROL_RATE_SHIFT": 4,
    "FRAME_GRABBER_CONTROL_RATE_MASK": 0xF0,
    "FRAME_GRABBER_ADDRESS": 8,
    "FRAME_GRABBER_ADDRESS_HIGH_HALF_MASK": 0xFFFF_FFFF_0000_0000,
    "FRAME_GRABBER_ADDRESS_HIGH_HALF_SHIFT": 32,
    "FRAME_GRABBER_RING(0)": 0x100,
    "FRAME_GRABBER_RING(2 + 1)": 0x160,
    "FRAME_GRABBER_RING_COUNT": 16,
    "FRAME_GRABBER_RING_OVERRUN_MASK": 0x8000,
    "FRAME_GRABBER_PORT": 4,
}

PROGRAM = """\
#include <stdio.h>
#include "device.h"
#include "device.h"
int main(void)
{
%s
    return 0;
}
"""


def evaluate(gcc, folder, header, expressions):
    """Compile a program that prints expressions of a header, and return what it prints."""
    prints = [f'    printf("%llx\\n", (unsigned long long)({one}));' for one in expressions]
    (folder / "device.h").write_text(header)
    (folder / "program.c").write_text(PROGRAM % "\n".join(prints))
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    program = folder / "program"
    subprocess.run([gcc, *strict, "-o", program, folder / "program.c"], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [int(line, 16) for line in printed.split()]


def test_header_has_the_values(require_tool, tmp_path):
    printed = evaluate(require_tool("gcc"), tmp_path, c_header(FrameGrabber), VALUES)
    assert dict(zip(VALUES, printed, strict=True)) == VALUES


def test_header_agrees_with_the_device(require_tool, tmp_path):
    """Every register and field of the teaching device is where the header says."""
    header = c_header(Edu, prefix="QEMU_EDU")
    names = re.findall(r"#define QEMU_EDU_(\w+) 0x", header)
    registers = [name for name in names if name.lower() in Edu.compiled_registers]
    printed = evaluate(
        require_tool("gcc"), tmp_path, header, [f"QEMU_EDU_{name}" for name in registers]
    )
    offsets = [Edu.compiled_registers[name.lower()].offset for name in registers]
    assert printed == offsets
    assert len(registers) == len(Edu.compiled_registers)


FAR = make_class(
    regs=MemBar(0, 1 << 34, width=64),
    far=Reg(0x1_0000_0000, doc="Far\naway. */"),
    farther=RegArray(0x2_0000_0000, 4),
)


def test_header_of_far_registers(require_tool, tmp_path):
    names = ["MADE_FAR", "MADE_FARTHER(3)", "MADE_REGS_SIZE"]
    printed = evaluate(require_tool("gcc"), tmp_path, c_header(FAR), names)
    assert printed == [0x1_0000_0000, 0x2_0000_000C, 1 << 34]


def test_texts_of_several_lines_stay_in_their_row():
    assert "| 100000000h | 4 | `far` | rw | 0h | Far away. */ |" in reference(FAR).splitlines()


CLASHES = [
    ({"ring": RegArray(0, 4), "ring_count": Reg(0x40)}, "MADE_RING_COUNT"),
    ({"regs_size": Reg(0)}, "MADE_REGS_SIZE"),
    ({"status": Reg(0), "STATUS": Reg(4)}, "MADE_STATUS"),
    ({"go": (_go := Reg(0)), "on": _go.field(0), "go_on_mask": Reg(4)}, "MADE_GO_ON_MASK"),
]


@pytest.mark.parametrize(("body", "macro"), CLASHES)
def test_two_macros_of_one_name(body, macro):
    with pytest.raises(DeclarationError, match=rf"Made: .*{macro}.*{macro}"):
        c_header(make_class(**body))


def test_names_become_upper_case():
    header = c_header(make_class("PciUart16"))
    assert "#define PCI_UART16_REGS_BAR 0\n" in header


def test_header_of_a_subclass_has_what_it_inherits():
    more = make_class("More", (FrameGrabber,), extra=Reg(0x40))
    header = c_header(more)
    assert "#define MORE_EXTRA 0x40\n" in header
    assert "#define MORE_CONTROL_GO_MASK 0x1\n" in header
