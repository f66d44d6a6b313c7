# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What images are handed: buffers and texts; and the places that only a file's offset decides."""

import array

import pytest

from loader.images import MIB, elf, multiboot, multiboot2, pvh_note
from vmmkit import loader
from vmmkit.errors import ImagePlacementError

MEMORY = [(0, 16 * MIB, 1)]


def guest():
    return loader.read(elf(notes=pvh_note()))


def content(boot, name):
    gpa = next(one.gpa for one in boot.layout if one.name == name)
    return next(data for at, data in boot.pieces if at == gpa)


@pytest.mark.parametrize("buffer", [bytearray, memoryview, lambda data: array.array("H", data)])
def test_any_buffer_will_do(buffer):
    image = loader.read(buffer(elf(b"\xf4" * 6, notes=pvh_note())))
    boot = image.boot(MEMORY, initrd=buffer(b"disk"), modules=[buffer(b"file")])
    assert (content(boot, "module 0"), content(boot, "module 1")) == (b"disk", b"file")


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: loader.read(5),
        lambda: loader.flat(5, 0x1000),
        lambda: guest().boot(MEMORY, initrd=5),
        lambda: guest().boot(MEMORY, modules=b"one file, not a list of them"),
        lambda: guest().boot(MEMORY, modules=[loader.Module(5)]),
    ],
    ids=["image", "flat", "initrd", "modules", "module"],
)
def test_a_number_is_no_count_of_zeros(attempt):
    with pytest.raises(TypeError, match="bytes-like"):
        attempt()


def test_bytes_of_the_host_that_are_no_utf_8_stay_as_they_are():
    text = b"caf\xc3\xa9 \xff".decode(errors="surrogateescape")  # as in sys.argv
    assert content(guest().boot(MEMORY, cmdline=text), "command line") == b"caf\xc3\xa9 \xff\0"
    with pytest.raises(ImagePlacementError, match="UTF-8"):
        guest().boot(MEMORY, cmdline="\ud800")


def test_what_is_refused_is_named_with_its_size():
    with pytest.raises(ImagePlacementError, match="flat images take no cmdline") as raised:
        loader.flat(b"\xf4", 0x1000).boot(MEMORY, cmdline="quiet")
    assert (raised.value.what, raised.value.size) == ("cmdline", 5)


def test_multiboot2_load_address_of_all_ones_is_the_file_from_its_beginning():
    data = bytes(16) + multiboot2(load=0xFFFF_FFFF)
    (segment,) = loader.read(data).segments
    assert (segment.gpa, segment.data) == (MIB - 16, data)


def test_multiboot_loads_up_to_the_last_byte_below_4_gib():
    size = len(multiboot())
    at = (1 << 32) - size
    (segment,) = loader.read(multiboot(addresses=(at, at, 0, 0, at))).segments
    assert (segment.gpa, segment.size) == (at, size)
