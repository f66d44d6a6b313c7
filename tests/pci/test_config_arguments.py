# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of the wrong kind are refused where they are given, by an error of the library."""

from collections.abc import Callable

import attrs
import pytest

from vmmkit.errors import ConfigSpaceError, PciSnapshotError
from vmmkit.pci.capabilities import (
    Acs,
    Aer,
    Ari,
    Capability,
    Dsn,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    RawCapability,
    RawExtended,
    Slot,
    SrIov,
    SubsystemId,
    VendorSpecific,
    VfBar,
)
from vmmkit.pci.config import ConfigSnapshot, ConfigSpace, ConfigWrite
from vmmkit.pci.dump import dump, format_bdf
from vmmkit.pci.spec import BarKind

NO_INTEGERS = ("1", 1.5, 4096.0, [], b"a", -1, 1 << 70, object())
NO_FLAGS = (None, "no", 1.0, 2, [], object())
NO_BYTES = (None, 5, -1, 1 << 70, 1.5, "text", ["a"], [300])
NO_HOOKS = (None, "hook", 1)

NEEDED: dict[type, dict[str, object]] = {
    Msix: {"table_bar": 0},
    Dsn: {"serial": 1},
    SrIov: {"total_vfs": 4, "device_id": 1},
    VfBar: {"index": 0, "size": 0x1000},
    VendorSpecific: {"data": b"abc"},
    SubsystemId: {"vendor_id": 1, "subsystem_id": 2},
    RawCapability: {"capability_id": 3, "data": b"abc"},
    RawExtended: {"capability_id": 3, "data": b"abc"},
}
CAPABILITIES: tuple[type, ...] = (
    *(Acs, Aer, Ari, Dsn, Msi, Msix, PciExpress, PowerManagement, RawCapability, RawExtended),
    *(Slot, SrIov, SubsystemId, VendorSpecific, VfBar),
)
WRONG_BY_TYPE = {
    "int": (*NO_INTEGERS, None, True),
    "int | None": (*NO_INTEGERS, True),
    "bool": NO_FLAGS,
    "bytes": NO_BYTES,
    "tuple[str, ...]": (None, 5, ["D7"], [[]], b"a"),
    "tuple[VfBar, ...]": (None, 5, ["bar"], [VfBar], VfBar(0, 0x1000)),
    "BarKind": (None, "mem32", 0, []),
    "PortType": (None, "root", 99, [], 1.5),
    "Slot | None": (1, "slot", Slot),
}


def space() -> ConfigSpace:
    return ConfigSpace.type0(vendor_id=1, device_id=2, class_code=0)


def fields() -> list[object]:
    return [
        pytest.param(kind, field.name, wrong, id=f"{kind.__name__}.{field.name}-{number}")
        for kind in CAPABILITIES
        for field in attrs.fields(kind)
        for number, wrong in enumerate(WRONG_BY_TYPE[field.type])
    ]


@pytest.mark.parametrize(("kind", "name", "wrong"), fields())
def test_a_capability_takes_values_of_the_right_kind(kind, name, wrong):
    with pytest.raises(ConfigSpaceError):
        kind(**{**NEEDED.get(kind, {}), name: wrong})


@pytest.mark.parametrize("kind", [one for one in CAPABILITIES if issubclass(one, Capability)])
def test_what_those_cases_start_from_is_a_capability(kind):
    space().add(kind(**NEEDED.get(kind, {})))


def ignore(_config: ConfigSpace, _write: ConfigWrite) -> int:
    return 0


LAYOUT: dict[str, tuple[Callable[[object], object], tuple[object, ...]]] = {
    "size": (ConfigSpace, NO_INTEGERS),
    "vendor_id": (
        lambda wrong: ConfigSpace.type0(vendor_id=wrong, device_id=0, class_code=0),
        (*NO_INTEGERS, True),
    ),
    "io_bits": (
        lambda wrong: ConfigSpace.type1(vendor_id=1, device_id=2, io_bits=wrong),
        (*NO_INTEGERS, 16.0, False),
    ),
    "prefetchable_bits": (
        lambda wrong: ConfigSpace.type1(vendor_id=1, device_id=2, prefetchable_bits=wrong),
        (*NO_INTEGERS, 64.0, False),
    ),
    "BAR index": (
        lambda wrong: space().define_bar(wrong, BarKind.MEM32, 0x1000),
        (*NO_INTEGERS, True),
    ),
    "BAR kind": (lambda wrong: space().define_bar(0, wrong, 0x1000), (None, "mem32", 0, [])),
    "BAR size": (lambda wrong: space().define_bar(0, BarKind.MEM32, wrong), NO_INTEGERS),
    "capability": (lambda wrong: space().add(wrong), (None, "msi", Msi)),
    "at": (lambda wrong: space().add(Msi(), at=wrong), (*NO_INTEGERS, True)),
    "offset": (lambda wrong: space().define(wrong, 1), (*NO_INTEGERS, True)),
    "register size": (lambda wrong: space().define(0x40, wrong), (*NO_INTEGERS, True)),
    "value": (lambda wrong: space().define(0x40, 4, value=wrong), NO_INTEGERS),
    "rw": (lambda wrong: space().define(0x40, 4, rw=wrong), NO_INTEGERS),
    "w1c": (lambda wrong: space().define(0x40, 4, w1c=wrong), NO_INTEGERS),
    "sticky": (lambda wrong: space().define(0x40, 4, sticky=wrong), NO_INTEGERS),
    "held": (lambda wrong: space().define(0x40, 4, held=wrong), NO_INTEGERS),
    "watched offset": (lambda wrong: space().on_write(wrong, 1, ignore), NO_INTEGERS),
    "watched size": (
        lambda wrong: space().on_write(0x40, wrong, ignore),
        tuple(one for one in NO_INTEGERS if one != 4096.0),
    ),
    "write hook": (lambda wrong: space().on_write(0x40, 1, wrong), NO_HOOKS),
    "read offset": (lambda wrong: space().on_read(wrong, ignore), NO_INTEGERS),
    "read hook": (lambda wrong: space().on_read(0x40, wrong), NO_HOOKS),
    "reset": (lambda wrong: space().reset(wrong), (None, "power", 1)),
    "bdf": (format_bdf, NO_INTEGERS),
    "segment": (lambda wrong: format_bdf(0, wrong), NO_INTEGERS),
    "title": (lambda wrong: dump({0: space()}, title=wrong), (None, 1, "two\nlines")),
}


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        pytest.param(call, one, id=f"{name}-{number}")
        for name, (call, wrong) in LAYOUT.items()
        for number, one in enumerate(wrong)
    ],
)
def test_a_space_takes_values_of_the_right_kind(call, wrong):
    with pytest.raises(ConfigSpaceError):
        call(wrong)


@pytest.mark.parametrize("values", [None, 1.5, 7, object(), "x", {}])
def test_a_snapshot_holds_a_sequence_of_dwords(values):
    config = space()
    snapshot = config.snapshot()
    with pytest.raises(PciSnapshotError):
        config.restore(ConfigSnapshot(snapshot.version, snapshot.layout, values))


def test_an_effect_belongs_to_bits_of_its_register():
    with pytest.raises(ConfigSpaceError, match="masks overlap or exceed 2 bytes"):
        space().define(0x40, 2, rw=0xFFFF, effects=((0x1_0000, 1),))


@pytest.mark.parametrize("wrong", [None, 5, ["x"], [(1, "decode")], [("x", 1)], [(-1, 1)], [(1,)]])
def test_effects_are_pairs(wrong):
    with pytest.raises(ConfigSpaceError):
        space().define(0x40, 4, effects=wrong)
