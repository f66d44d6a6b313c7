# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""DMAR: remapping units and the devices behind them."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from acpi.table_cases import (
    body,
    check_damage,
    check_limits,
    check_reading,
    contents,
    hexed,
    table_bytes,
)
from vmmkit.acpi.tables.dmar import (
    Andd,
    Atsr,
    AtsrFlags,
    DeviceScope,
    DeviceScopeType,
    Dmar,
    DmarFlags,
    Drhd,
    DrhdFlags,
    Rhsa,
    Rmrr,
    Satc,
    SatcFlags,
    Sidp,
)
from vmmkit.acpi.tables.entry import RawEntry
from vmmkit.errors import TableParseError, TableValueError

IOAPIC = DeviceScope(DeviceScopeType.IOAPIC, [(31, 0)], enumeration_id=4, start_bus_number=0xF0)
BEHIND_BRIDGE = DeviceScope(DeviceScopeType.PCI_ENDPOINT_DEVICE, [(2, 0), (5, 7)])

ENTRIES = [
    (
        Drhd(
            0xFED9_0000,
            device_scopes=[IOAPIC, BEHIND_BRIDGE],
            flags=DrhdFlags.INCLUDE_PCI_ALL,
            size=1,
            segment_number=2,
        ),
        """0000 2200 01 01 0200 0000D9FE00000000
        03 08 00 00 04 F0 1F 00   01 0A 00 00 00 00 02 00 05 07""",
    ),
    (
        Rmrr(0x7000_0000, 0x7000_FFFF, device_scopes=[BEHIND_BRIDGE], segment_number=1),
        """0100 2200 0000 0100 0000007000000000 FFFF007000000000
        01 0A 00 00 00 00 02 00 05 07""",
    ),
    (Atsr(flags=AtsrFlags.ALL_PORTS), "0200 0800 01 00 0000"),
    (Rhsa(0xFED9_0000, 3), "0300 1400 00000000 0000D9FE00000000 03000000"),
    (Andd(5, r"\_SB.I2C0"), "0400 1200 000000 05 5C5F53422E49324330 00"),
    (
        Satc(device_scopes=[BEHIND_BRIDGE], flags=SatcFlags.ATC_REQUIRED),
        "0500 1200 01 00 0000 01 0A 00 00 00 00 02 00 05 07",
    ),
    (
        Sidp(device_scopes=[attrs.evolve(BEHIND_BRIDGE, flags=6)], segment_number=9),
        "0600 1200 0000 0900 01 0A 06 00 00 00 02 00 05 07",
    ),
]
SAMPLE = Dmar(
    [entry for entry, _text in ENTRIES], host_address_width=39, flags=DmarFlags.INTR_REMAP
)


@pytest.mark.parametrize(("entry", "text"), ENTRIES, ids=lambda case: type(case).__name__)
def test_bytes_are_those_of_the_specification(entry, text):
    assert entry.to_bytes() == hexed(text)
    assert body(Dmar([entry])) == b"\x2f" + bytes(11) + hexed(text)
    assert Dmar.from_bytes(Dmar([entry]).to_bytes()) == Dmar([entry])


def test_table_reads_back():
    assert body(SAMPLE)[:12] == hexed("26 01 00000000000000000000")
    assert Dmar.from_bytes(SAMPLE.to_bytes()) == SAMPLE


@pytest.mark.parametrize("bits", [1, 39, 256])
def test_host_address_width_is_in_bits(bits):
    table = Dmar(host_address_width=bits)
    assert body(table)[0] == bits - 1
    assert Dmar.from_bytes(table.to_bytes()).host_address_width == bits


@pytest.mark.parametrize("bits", [0, 257, None])
def test_host_address_width_has_limits(bits):
    with pytest.raises(TableValueError, match="host_address_width"):
        Dmar(host_address_width=bits)


@pytest.mark.parametrize("entry", [*(entry for entry, _text in ENTRIES), IOAPIC])
def test_limits_of_fields(entry):
    limit = "reserved_memory_region_limit_address"
    check_limits(entry, apart={"reserved_memory_region_base_address", limit})


def test_limits_of_reserved_memory():
    top = (1 << 64) - 1
    assert Rmrr(0, top).to_bytes()[-8:] == b"\xff" * 8
    with pytest.raises(TableValueError, match="limit_address at offset 16"):
        Rmrr(0, top + 1)
    with pytest.raises(TableValueError, match="base_address at offset 8"):
        Rmrr(-1, 0)
    with pytest.raises(TableValueError, match="limit_address 0xfff is before the base 0x1000"):
        Rmrr(0x1000, 0xFFF)


@pytest.mark.parametrize("path", [[(32, 0)], [(0, 8)], [(-1, 0)], [(0, 0), (0, -1)]])
def test_path_of_no_pci_device_is_refused(path):
    with pytest.raises(TableValueError, match="path"):
        DeviceScope(1, path)


def test_longest_path():
    scope = DeviceScope(1, [(1, 1)] * 124)
    assert scope.to_bytes()[1] == 254
    assert DeviceScope.parse(scope.to_bytes()) == scope
    with pytest.raises(TableValueError, match="length"):
        DeviceScope(1, [(1, 1)] * 125)


@pytest.mark.parametrize("name", ["\0", "a\0b", "ö"])
def test_object_name_must_be_ascii(name):
    with pytest.raises(TableValueError, match="acpi_object_name"):
        Andd(1, name)


@pytest.mark.parametrize(
    "scope",
    ["01 00 0000 00 00", "01 05 0000 00 00", "01 07 0000 00 00 00", "01 FF 0000 00 00 01 00"],
)
def test_bad_device_scope_leaves_the_entry_raw(scope):
    content = b"\x2f" + bytes(11) + hexed("0200")
    tail = bytes(4) + hexed(scope)
    content += (len(tail) + 4).to_bytes(2, "little") + tail
    table = Dmar.from_bytes(table_bytes("DMAR", content))
    assert table.entries == (RawEntry(Drhd.FAMILY, 2, tail),)


@pytest.mark.parametrize("data", [b"", b"\1\6\0\0\0", b"\1\7\0\0\0\0\0", b"\1\4\0\0\0\0"])
def test_scope_must_be_whole(data):
    with pytest.raises(TableParseError):
        DeviceScope.parse(data)


def test_bytes_too_few_for_a_scope_are_kept():
    content = b"\x2f" + bytes(11) + hexed("0200 0A00 00 00 0000 AABB")
    assert Dmar.from_bytes(table_bytes("DMAR", content)).entries[0].trailing == b"\xaa\xbb"


def test_iasl_reads_and_recompiles_it():
    # This version knows types 0 to 4, and no size of registers.
    first, *others = [entry for entry, _text in ENTRIES[:5]]
    entries = [attrs.evolve(first, size=0), *others]
    acpica.assert_roundtrip(Dmar(entries, host_address_width=48).to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Dmar, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Dmar, table_bytes("DMAR", content))


STEPS = st.lists(st.tuples(st.integers(0, 31), st.integers(0, 7)), max_size=4)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 255), STEPS), max_size=5))
def test_any_scopes_read_back(plan):
    scopes = [DeviceScope(kind, path) for kind, path in plan]
    table = Dmar([Drhd(0, device_scopes=scopes)])
    assert Dmar.from_bytes(table.to_bytes()) == table
