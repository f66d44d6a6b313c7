# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The fixed registers and what else the FADT says."""

import struct

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation, with_length
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.fadt import (
    FADT_LENGTHS,
    Fadt,
    FadtFlags,
    PreferredPmProfile,
    RegisterBlock,
    RegisterBlocks,
)
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import TableParseError, TableValueError

DSDT = Raw("DSDT")
FACS = Facs()
BLOCKS = RegisterBlocks(
    RegisterBlock.io(0x600, 4),
    RegisterBlock.io(0x604, 2),
    pm_tmr=RegisterBlock.io(0x608, 4),
    gpe0=RegisterBlock.io(0xAFE0, 16),
)
RESET = {"reset_reg": Gas.io(0xCF9), "reset_value": 0x0F}
FULL = Fadt.full_hardware(DSDT, FACS, BLOCKS, **RESET)
REDUCED = Fadt.hardware_reduced(
    DSDT,
    sleep_control_reg=Gas.mem(0xFEA0_0200, 8),
    sleep_status_reg=Gas.mem(0xFEA0_0201, 8),
    **RESET,
)

# Offset, size and value of fields of FULL, by the table of the specification.
FULL_FIELDS = {
    36: (4, 0),
    40: (4, 0),
    46: (2, 9),
    56: (4, 0x600),
    60: (4, 0),
    64: (4, 0x604),
    76: (4, 0x608),
    80: (4, 0xAFE0),
    88: (1, 4),
    89: (1, 2),
    90: (1, 0),
    91: (1, 4),
    92: (1, 16),
    96: (2, 101),
    98: (2, 1001),
    112: (4, 0x425),
    128: (1, 0x0F),
    131: (1, 5),
    132: (8, 0),
    140: (8, 0),
    148: (12, 0x600 << 32 | 2 << 24 | 32 << 8 | 1),
    160: (12, 0),
    172: (12, 0x604 << 32 | 2 << 24 | 16 << 8 | 1),
    208: (12, 0x608 << 32 | 3 << 24 | 32 << 8 | 1),
    220: (12, 0xAFE0 << 32 | 1 << 24 | 128 << 8 | 1),
    244: (12, 0),
    268: (8, 0),
}


@pytest.mark.parametrize("offset", FULL_FIELDS)
def test_fields_are_where_the_specification_says(offset):
    size, value = FULL_FIELDS[offset]
    assert int.from_bytes(FULL.to_bytes()[offset : offset + size], "little") == value


def full(revision, **fields):
    reset = RESET if revision > 1 else {}
    return Fadt.full_hardware(DSDT, FACS, BLOCKS, revision=revision, **reset, **fields)


@pytest.mark.parametrize(("revision", "length"), FADT_LENGTHS.items())
def test_length_follows_revision(revision, length):
    fadt = full(revision)
    assert len(fadt.to_bytes()) == length == fadt.checksums()[0].length
    assert Fadt.from_bytes(fadt.to_bytes()).to_bytes() == fadt.to_bytes()
    check_truncation(fadt)


# Not revision 5: iasl misses the field that revision 6 added.
@pytest.mark.parametrize("fadt", [*[full(revision) for revision in (1, 3, 4, 6)], REDUCED])
def test_iasl_makes_the_same(fadt):
    assert_roundtrip(fadt.to_bytes())


@pytest.mark.parametrize("revision", FADT_LENGTHS)
def test_dsdt_has_one_object_for_both_fields(revision):
    places = [place[:4] for place in full(revision).relocations()]
    extended = revision >= 3
    assert places == [
        (36, 4, FACS, False),
        (40, 4, DSDT, extended),
        *([(140, 8, DSDT, False)] if extended else []),
    ]


def test_twins_that_differ_are_both_needed():
    other = Raw("DSDT", b"\0")
    places = Fadt(dsdt=DSDT, x_dsdt=other, firmware_ctrl=FACS, x_firmware_ctrl=FACS).relocations()
    assert [(place.offset, place.optional) for place in places] == [
        (36, True),
        (40, False),
        (132, False),
        (140, False),
    ]


def test_minor_version_belongs_to_major_version():
    assert [full(revision).minor_version for revision in FADT_LENGTHS] == [0, 0, 0, 0, 0, 5]
    assert full(5, minor_version=1).to_bytes()[131] == 1


def test_reduced_hardware():
    flags = FadtFlags.HW_REDUCED_ACPI | FadtFlags.PWR_BUTTON | FadtFlags.SLP_BUTTON
    assert REDUCED.flags == flags | 0x405
    assert REDUCED.pm1_evt_len == REDUCED.firmware_ctrl == 0
    assert REDUCED.to_bytes()[244:256] == bytes.fromhex("00080001 0002a0fe00000000")
    quiet = Fadt.hardware_reduced(DSDT)
    assert not quiet.flags & FadtFlags.RESET_REG_SUP
    assert Fadt.hardware_reduced(DSDT, blocks=BLOCKS).x_pm1a_evt_blk == BLOCKS.pm1a_evt.gas(2)


def test_blocks_in_memory_have_no_port():
    blocks = RegisterBlocks(
        RegisterBlock.mem(0xFEA0_0000, 4),
        RegisterBlock.mem(0xFEA0_0004, 2),
        pm1b_evt=RegisterBlock.mem(0xFEA0_0010, 4),
        pm1b_cnt=RegisterBlock.mem(0xFEA0_0014, 2),
        pm2_cnt=RegisterBlock.io(0x50, 1),
        gpe1=RegisterBlock.io(0x4000, 64),
        gpe1_base=32,
    )
    fadt = Fadt.full_hardware(DSDT, FACS, blocks, preferred_pm_profile=PreferredPmProfile.DESKTOP)
    assert (fadt.pm1a_evt_blk, fadt.pm1_evt_len, fadt.gpe1_base) == (0, 4, 32)
    assert fadt.x_pm1b_cnt_blk.to_bytes() == bytes.fromhex("00100002 1400a0fe00000000")
    assert (fadt.pm2_cnt_blk, fadt.x_pm2_cnt_blk) == (0x50, Gas.io(0x50))
    assert (fadt.gpe1_blk_len, fadt.x_gpe1_blk.register_bit_width) == (64, 255)
    again = Fadt.from_bytes(fadt.to_bytes())
    assert again.preferred_pm_profile is PreferredPmProfile.DESKTOP
    assert again.x_gpe1_blk == fadt.x_gpe1_blk


EVT, CNT = RegisterBlock.io(0x600, 4), RegisterBlock.io(0x604, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RegisterBlock.io(0, 4), "RegisterBlock"),
        (lambda: RegisterBlock.io(0xFFFE, 4), "RegisterBlock"),
        (lambda: RegisterBlock.io(0x600, 0), "RegisterBlock"),
        (lambda: RegisterBlock.io(0x600, 256), "RegisterBlock"),
        (lambda: RegisterBlock.mem(1 << 64, 4), "RegisterBlock"),
        (lambda: RegisterBlocks(RegisterBlock.io(0x600, 2), CNT), "pm1a_evt has 2 bytes"),
        (lambda: RegisterBlocks(RegisterBlock.io(0x600, 5), CNT), "pm1a_evt has 5 bytes"),
        (lambda: RegisterBlocks(EVT, RegisterBlock.io(0x604, 1)), "pm1a_cnt has 1 bytes"),
        (lambda: RegisterBlocks(pm_tmr=CNT), "pm_tmr has 2 bytes"),
        (lambda: RegisterBlocks(gpe0=RegisterBlock.io(0x620, 3)), "gpe0 has 3 bytes"),
        (
            lambda: RegisterBlocks(EVT, CNT, pm1b_evt=RegisterBlock.io(0x700, 6)),
            "pm1b_evt has 6 bytes, its twin 4",
        ),
        (lambda: Fadt.full_hardware(DSDT, FACS, RegisterBlocks(EVT)), "pm1a_cnt"),
        (
            lambda: Fadt.full_hardware(DSDT, FACS, BLOCKS, flags=FadtFlags.HW_REDUCED_ACPI),
            "HW_REDUCED_ACPI",
        ),
        (lambda: Fadt.full_hardware(DSDT, FACS, BLOCKS, reset_reg=Gas.io(0xCF9, 16)), "reset_reg"),
        (lambda: Fadt.hardware_reduced(DSDT, reset_reg=Gas(1, 8, 1, 1, 0xCF9)), "reset_reg"),
        (lambda: Fadt.hardware_reduced(DSDT, sleep_control_reg=Gas.mem(1, 8)), "sleep register"),
        (
            lambda: Fadt.hardware_reduced(
                DSDT, sleep_control_reg=Gas.mem(1, 8), sleep_status_reg=Gas.mem(2, 16)
            ),
            "sleep_status_reg",
        ),
        (lambda: Fadt.hardware_reduced(DSDT, revision=4), "HW_REDUCED_ACPI needs"),
        (lambda: Fadt(revision=0), "revision"),
        (lambda: Fadt(revision=7), "revision"),
        (lambda: Fadt(trailing=b"\0"), "trailing"),
        (lambda: Fadt(revision=1, reset_value=1), "reset_value at offset 128"),
        (lambda: Fadt(revision=1, minor_version=1), "minor_version at offset 131"),
        (lambda: Fadt(revision=2, x_dsdt=DSDT), "x_dsdt at offset 140"),
        (lambda: Fadt(revision=4, sleep_control_reg=Gas.io(1)), "sleep_control_reg at offset 244"),
        (lambda: Fadt(revision=5, hypervisor_vendor_identity=1), "hypervisor_vendor_identity"),
        (lambda: Fadt(reset_reg=0xCF9), "Fadt.reset_reg"),
        (lambda: Fadt(dsdt="DSDT"), "Fadt.dsdt"),
    ],
)
def test_contradictions_are_refused(make, words):
    with pytest.raises(TableValueError, match=words):
        make()


def test_limits():
    check_limits(Fadt)


@pytest.mark.parametrize("revision", [0, 1, 2, 3, 4, 5, 7, 255])
def test_length_of_another_revision_is_refused(revision):
    data = bytearray(FULL.to_bytes())
    data[8] = revision
    with pytest.raises(TableParseError, match="revision") as caught:
        Fadt.from_bytes(with_length(data, len(data)))
    assert caught.value.offset == 4


def test_shorter_than_its_revision_is_refused():
    # A table of revision 6 with the length of revision 3 is known from the wild.
    with pytest.raises(TableParseError, match="has 276 bytes, not 244"):
        Fadt.from_bytes(with_length(FULL.to_bytes(), 244))


def test_pointers_may_be_plain_addresses():
    fadt = Fadt(dsdt=0x7FF0_0000, x_dsdt=0x7FF0_0000, firmware_ctrl=0x7FEF_FFC0)
    assert fadt.relocations() == ()
    assert struct.unpack_from("<II", fadt.to_bytes(), 36) == (0x7FEF_FFC0, 0x7FF0_0000)


def test_flags_of_persistent_caches_are_a_number_of_two_bits():
    both = FadtFlags.CPU_CACHES_NOT_PERSISTENT | FadtFlags.CPU_CACHES_PERSISTENT
    assert (FadtFlags.CPU_CACHES_NOT_PERSISTENT, both) == (1 << 22, 3 << 22)


@pytest.mark.parametrize("register", [Gas(4, 8, 0, 1, 0x10), Gas(0x7F, 8), 0xCF9, "port"], ids=repr)
def test_registers_are_in_memory_ports_or_configuration_space(register):
    with pytest.raises(TableValueError, match="reset_reg is no GAS"):
        Fadt.hardware_reduced(0x1000, reset_reg=register)
    with pytest.raises(TableValueError, match="sleep_control_reg is no GAS"):
        Fadt.hardware_reduced(0x1000, sleep_control_reg=register, sleep_status_reg=Gas.io(1))
    assert Fadt.hardware_reduced(0x1000, reset_reg=Gas.pci(0, 0, 0x40, 8)).reset_reg.present


@pytest.mark.parametrize("revision", ["6", None, [6]])
def test_revision_is_a_number(revision):
    with pytest.raises(TableValueError, match="revision"):
        Fadt.hardware_reduced(0x1000, revision=revision)
