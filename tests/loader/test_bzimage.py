# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux kernels by the 64-bit boot protocol: where all goes, and what the zero page says."""

import struct
import subprocess

import pytest

from loader.images import MIB, bzimage, run
from system_tools import require
from vmmkit import loader
from vmmkit.errors import ImagePlacementError

GIB = 1 << 30
MEMORY = [(0, 0x9FC00, 1), (0xF0000, 0x1_0000, 2), (MIB, 63 * MIB, 1)]
E820 = struct.Struct("<2QI")


def named(boot, name):
    return next(one for one in boot.layout if one.name == name)


def content(boot, name):
    return next(data for gpa, data in boot.pieces if gpa == named(boot, name).gpa)


def field(page, offset, form):
    return struct.unpack_from("<" + form, page, offset)[0]


def test_it_starts_at_its_64_bit_entry():
    boot = loader.read(bzimage()).boot(memory=MEMORY, cmdline="quiet")
    ram = [(0, bytearray(64 * MIB))]
    _, vcpu = run(boot, ram)
    assert vcpu.state.rip == 16 * MIB + 0x201
    assert vcpu.state.rsi == named(boot, "zero page").gpa
    assert (vcpu.state.cs.selector, vcpu.state.ds.selector) == (0x10, 0x18)
    assert (vcpu.state.mode, vcpu.state.rflags & 0x200) == (64, 0)


def test_zero_page():
    disk = b"a disk" * 1000
    image = loader.read(bzimage())
    boot = image.boot(memory=MEMORY, cmdline="quiet", initrd=disk, rsdp=0xF_0000)
    page, initrd = content(boot, "zero page"), named(boot, "initrd")
    assert page[0x1F1 : 0x1F1 + 0x1F] != bytes(0x1F)
    assert page[0x202:0x206] == b"HdrS"
    assert field(page, 0x070, "Q") == 0xF_0000
    assert field(page, 0x210, "B") == 0xFF
    assert (field(page, 0x218, "I"), field(page, 0x21C, "I")) == (initrd.gpa, len(disk))
    assert field(page, 0x228, "I") == named(boot, "command line").gpa
    assert content(boot, "command line") == b"quiet\0"
    assert content(boot, "initrd") == disk
    assert field(page, 0x1EF, "B") == 0  # sentinel: the rest of the page can be trusted
    table = [E820.unpack_from(page, 0x2D0 + 20 * i) for i in range(page[0x1E8])]
    assert table == MEMORY
    assert field(page, 0x250, "Q") == 0


KERNEL_S_VIEW = r"""
#include <stdio.h>
#include <asm/bootparam.h>
int main(void)
{
    struct boot_params page;
    if (sizeof page != 4096 || fread(&page, sizeof page, 1, stdin) != 1)
        return 1;
    printf("%llx %x %x %x %x %x %x %x %x %x\n", page.acpi_rsdp_addr, page.ext_ramdisk_image,
           page.hdr.ramdisk_image, page.hdr.ramdisk_size, page.hdr.cmd_line_ptr, page.sentinel,
           page.hdr.type_of_loader, page.hdr.vid_mode, page.hdr.header, page.hdr.init_size);
    for (int i = 0; i < page.e820_entries; i++)
        printf("%llx %llx %x\n", page.e820_table[i].addr, page.e820_table[i].size,
               page.e820_table[i].type);
}
"""


def test_zero_page_as_the_kernel_s_header_has_it(tmp_path):
    program = tmp_path / "view"
    command = [require("gcc"), "-x", "c", "-", "-o", program]
    built = subprocess.run(command, input=KERNEL_S_VIEW, text=True, check=False, timeout=60)
    if built.returncode:
        pytest.skip("the headers of the kernel are not installed")
    low = [(0, MIB, 1), (16 * MIB, 3 * MIB, 1), (4 * GIB, GIB, 1)]
    boot = loader.read(bzimage()).boot(low, "quiet", initrd=b"disk", rsdp=0xF_0000)
    page, initrd = content(boot, "zero page"), named(boot, "initrd").gpa
    shown = subprocess.run(program, input=page, capture_output=True, check=True, timeout=60)
    first, *ranges = [
        [int(word, 16) for word in line.split()] for line in shown.stdout.splitlines()
    ]
    assert first == [
        *(0xF_0000, initrd >> 32, initrd & 0xFFFF_FFFF, 4, named(boot, "command line").gpa),
        *(0, 0xFF, 0xFFFF, int.from_bytes(b"HdrS", "little"), 3 * MIB),
    ]
    assert ranges == [list(one) for one in low]


def test_root_pointer_from_protocol_2_14_on():
    boot = loader.read(bzimage(version=0x20D)).boot(memory=MEMORY, rsdp=0xF_0000)
    assert field(content(boot, "zero page"), 0x070, "Q") == 0


def test_more_than_128_ranges():
    many = [(GIB + 8192 * i, 4096, 1 + i % 2) for i in range(300)]
    boot = loader.read(bzimage()).boot(memory=[*MEMORY, *many])
    page = content(boot, "zero page")
    table = [E820.unpack_from(page, 0x2D0 + 20 * i) for i in range(page[0x1E8])]
    extra = content(boot, "memory map")
    assert field(page, 0x250, "Q") == named(boot, "memory map").gpa
    assert struct.unpack_from("<Q2I", extra) == (0, 1, len(extra) - 16)
    table += list(E820.iter_unpack(extra[16:]))
    assert (page[0x1E8], table) == (128, [*MEMORY, *many])


@pytest.mark.parametrize(
    ("fields", "memory", "at", "gpa"),
    [
        pytest.param({}, MEMORY, None, 16 * MIB, id="as it prefers"),
        pytest.param({}, [*MEMORY, (17 * MIB, MIB, 2)], None, 18 * MIB, id="above what is there"),
        pytest.param({}, [(0, MIB, 1), (4 * GIB, GIB, 1)], None, 4 * GIB, id="above 4 GiB"),
        pytest.param({}, MEMORY, 32 * MIB, 32 * MIB, id="as told"),
        pytest.param({"relocatable_kernel": 0}, MEMORY, None, 16 * MIB, id="fixed"),
        pytest.param({"relocatable_kernel": 0}, MEMORY, 16 * MIB, 16 * MIB, id="fixed, as told"),
    ],
)
def test_load_address(fields, memory, at, gpa):
    boot = loader.read(bzimage(**fields)).boot(memory=memory, at=at)
    assert named(boot, "kernel")[1:] == (gpa, 3 * MIB)
    assert boot.startup.entry == gpa + 0x200


HIGH = [(0, MIB, 1), (4 * GIB, GIB, 1)]


@pytest.mark.parametrize(
    ("fields", "memory", "given"),
    [
        pytest.param({}, MEMORY, {"at": 8 * MIB}, id="below what it prefers"),
        pytest.param({}, MEMORY, {"at": 17 * MIB}, id="not aligned"),
        pytest.param({"relocatable_kernel": 0}, MEMORY, {"at": 32 * MIB}, id="fixed"),
        pytest.param({"relocatable_kernel": 0}, [*MEMORY, (17 * MIB, 1, 2)], {}, id="fixed, taken"),
        pytest.param({"xloadflags": 1}, HIGH, {}, id="not above 4 GiB"),
        pytest.param({"xloadflags": 1}, HIGH, {"at": 4 * GIB}, id="told to be above 4 GiB"),
        pytest.param({"init_size": 1 << 31}, MEMORY, {}, id="more than there is"),
    ],
)
def test_no_place_for_the_kernel(fields, memory, given):
    with pytest.raises(ImagePlacementError, match="kernel") as raised:
        loader.read(bzimage(**fields)).boot(memory=memory, **given)
    assert raised.value.what == "kernel"


def test_initrd_below_the_limit_of_the_kernel():
    for limit, gpa in ((0x7FFF_FFFF, 64 * MIB - 8192), (32 * MIB - 1, 32 * MIB - 8192)):
        boot = loader.read(bzimage(initrd_addr_max=limit)).boot(memory=MEMORY, initrd=bytes(5000))
        assert named(boot, "initrd")[1:] == (gpa, 5000)


def test_initrd_above_4_gib_if_the_kernel_takes_it_there():
    low = [(0, MIB, 1), (16 * MIB, 3 * MIB, 1), (4 * GIB, GIB, 1)]
    boot = loader.read(bzimage()).boot(memory=low, initrd=b"disk")
    page = content(boot, "zero page")
    assert field(page, 0x0C0, "I") << 32 | field(page, 0x218, "I") == named(boot, "initrd").gpa
    assert named(boot, "initrd").gpa == 5 * GIB - 4096
    with pytest.raises(ImagePlacementError, match="initrd"):
        loader.read(bzimage(xloadflags=1)).boot(memory=low, initrd=b"disk")


def test_command_line_as_long_as_the_kernel_takes_it():
    image = loader.read(bzimage(cmdline_size=5))
    assert content(image.boot(memory=MEMORY, cmdline="quiet"), "command line") == b"quiet\0"
    with pytest.raises(ImagePlacementError, match="takes 5 bytes"):
        image.boot(memory=MEMORY, cmdline="quiets")
    with pytest.raises(ImagePlacementError, match="NUL"):
        image.boot(memory=MEMORY, cmdline="a\0b")


def test_modules_are_refused():
    with pytest.raises(ImagePlacementError, match="no modules"):
        loader.read(bzimage()).boot(memory=MEMORY, modules=[b"x"])


def test_root_pointer_that_is_none():
    with pytest.raises(ImagePlacementError, match="root pointer"):
        loader.read(bzimage()).boot(memory=MEMORY, rsdp=1 << 64)


def test_payload():
    assert loader.read_bzimage(bzimage()).payload == b"load"
