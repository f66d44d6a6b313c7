# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a driver's author has to know of a device class: a reference page and a C header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Final

from vmmkit.pci._layout import Register, declared, refuse
from vmmkit.pci.bars import Declaration, MemBar, Rom
from vmmkit.pci.capabilities.base import Capability
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Field, FieldArray, Reg, RegArray
from vmmkit.pci.spec import BarKind

__all__ = ["c_header", "reference"]

AnyReg = Reg | RegArray
AnyField = Field | FieldArray

_SPACES: Final = {
    BarKind.IO: "I/O",
    BarKind.MEM32: "32-bit memory",
    BarKind.MEM32_PREFETCHABLE: "32-bit memory, prefetchable",
    BarKind.MEM64: "64-bit memory",
    BarKind.MEM64_PREFETCHABLE: "64-bit memory, prefetchable",
    BarKind.ROM: "expansion ROM",
}
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))
_IDS: Final = (
    ("vendor ID", "vendor_id", 4),
    ("device ID", "device_id", 4),
    ("revision", "revision", 2),
    ("class code", "class_code", 6),
    ("subsystem vendor ID", "subsystem_vendor_id", 4),
    ("subsystem ID", "subsystem_id", 4),
)
_ACCESSES: Final = {
    "rw": "read and write",
    "ro": "read only",
    "wo": "write only, reads as zero",
    "w1c": "write ones to clear",
    "w1s": "write ones to set",
    "rc": "cleared by reads",
    "reserved": "reserved",
}


class _Described:
    """The declarations of a class, in the order in which they are told."""

    def __init__(self, cls: type[PciDevice]) -> None:
        self.cls = cls
        self.bars = sorted(cls.declared_bars.items(), key=lambda named: named[1].index)
        registers: dict[str, AnyReg] = declared(cls, Reg, RegArray)
        self.registers = sorted(registers.items(), key=lambda named: named[1].offset)
        fields: dict[str, AnyField] = declared(cls, Field, FieldArray)
        self._fields = sorted(fields.items(), key=lambda named: named[1].first)

    def of_bar(self, index: int) -> list[tuple[str, AnyReg]]:
        """Return the registers of one BAR, by offset."""
        return [(name, register) for name, register in self.registers if self.bar_of(name) == index]

    def bar_of(self, name: str) -> int:
        """Return the index of the BAR that a register lies in."""
        return self.compiled(name).bar

    def compiled(self, name: str) -> Register:
        """Return a register, or the first of an array, as it was compiled."""
        registers = self.cls.compiled_registers
        return registers[name] if name in registers else registers[f"{name}[0]"]

    def fields(self, register: str) -> list[tuple[str, AnyField]]:
        """Return the fields of a register, by their bits."""
        return [named for named in self._fields if named[1].register.name == register]


def _hex(value: int, digits: int = 1) -> str:
    """Write a number as data sheets do."""
    return f"{value:0{digits}X}h"


def _amount(size: int) -> str:
    for unit, name in _UNITS:
        if size % unit == 0:
            return f"{size // unit} {name}"
    raise AssertionError(size)


# -- Markdown -------------------------------------------------------------------------------------


def reference(cls: type[PciDevice]) -> str:
    """Write a reference of a device, as Markdown, from its declarations and its docstring.

    Args:
        cls: the device class.

    Returns:
        IDs, BARs, capabilities and registers with their fields, and what `doc=` says of each.
    """
    described = _Described(cls)
    return "\n".join(
        (*_head(cls), *_bar_table(described), *_capability_table(cls), *_maps(described))
    )


def _head(cls: type[PciDevice]) -> Iterator[str]:
    yield f"# {cls.__name__}"
    yield ""
    if cls.__doc__:
        yield cleandoc(cls.__doc__)
        yield ""
    yield from ("| | |", "|---|---|")
    for title, name, digits in _IDS:
        value = getattr(cls, name)
        if value is not None and (value or not name.startswith("subsystem")):
            yield f"| {title} | {_hex(value, digits)} |"
    if cls.intx is not None:
        yield f"| interrupt pin | INT{cls.intx} |"
    yield ""


def _bar_table(described: _Described) -> Iterator[str]:
    if not described.bars:
        return
    yield from ("## BARs", "", "| index | name | space | size |", "|---|---|---|---|")
    for name, bar in described.bars:
        index = "ROM" if isinstance(bar, Rom) else str(bar.index)
        yield f"| {index} | `{name}` | {_space(bar)} | {_amount(bar.size)} |"
    yield ""


def _space(bar: Declaration) -> str:
    ram = isinstance(bar, MemBar) and bar.ram is not False
    return f"{_SPACES[bar.kind]}, RAM" if ram else _SPACES[bar.kind]


def _capability_table(cls: type[PciDevice]) -> Iterator[str]:
    capabilities = cls.declared_capabilities
    if not capabilities:
        return
    yield from ("## Capabilities", "", "| name | capability |", "|---|---|")
    for name, capability in capabilities.items():
        yield f"| `{name}` | {_capability(capability)} |"
    yield ""


def _capability(capability: Capability) -> str:
    kind = type(capability).__name__
    if isinstance(capability, Msix):
        bar, offset, _ = capability.table_place
        return f"{kind}, {capability.vectors} vectors, table at {_hex(offset)} of BAR {bar}"
    return f"{kind}, {capability.vectors} vectors" if isinstance(capability, Msi) else kind


def _maps(described: _Described) -> Iterator[str]:
    for name, bar in described.bars:
        registers = described.of_bar(bar.index)
        if not registers:
            continue
        yield from (f"## Registers of `{name}`", "")
        yield from ("| offset | bytes | name | access | reset | |", "|---|---|---|---|---|---|")
        for register_name, register in registers:
            yield _register_row(described, register_name, register)
        yield ""
        for register_name, _ in registers:
            yield from _field_table(described, register_name)


def _register_row(described: _Described, name: str, register: AnyReg) -> str:
    offset, shown = _hex(register.offset, 2), f"`{name}`"
    if isinstance(register, RegArray):
        offset += f" + n * {_hex(register.stride)}"
        shown = f"`{name}[0]` to `{name}[{register.count - 1}]`"
    words = {field.access or register.access for _, field in described.fields(name)}
    access = register.access if words <= {register.access} else "by field"
    widths = described.compiled(name).widths
    narrow = "" if widths is None else f"Accesses of {_list(widths)} bytes. "
    reset = _hex(described.compiled(name).reset)
    doc = narrow + register.doc
    return _row(offset, register.size, shown, access, reset, doc)


def _row(*cells: object) -> str:
    """Write a row of a table; an empty last cell is one space."""
    texts = (" ".join(str(cell).replace("|", r"\|").split()) for cell in cells)
    return "".join(f"| {text} " if text else "| " for text in texts) + "|"


def _list(widths: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(widths)))


def _field_table(described: _Described, name: str) -> Iterator[str]:
    fields = described.fields(name)
    if not fields:
        return
    yield from (f"### `{name}`", "", "| bits | name | access | reset | |", "|---|---|---|---|---|")
    reset = described.compiled(name).reset
    for field_name, field in fields:
        bits = str(field.last) if field.last == field.first else f"{field.last}:{field.first}"
        access = _ACCESSES[field.access or field.register.access]
        value = _hex(reset >> field.first & field.mask)
        yield _row(bits, f"`{field_name}`", access, value, field.doc)
    yield ""


# -- C --------------------------------------------------------------------------------------------


def c_header(cls: type[PciDevice], *, prefix: str = "") -> str:
    """Write a C header of a device: offsets, and masks and shifts of fields, as macros.

    Args:
        cls: the device class.
        prefix: of all macros, upper case; by default the class's name.

    Returns:
        The header, for C99 or later, and where nothing has 64 bits for any C. Arrays are macros
        with an index, `X_COUNT` is their length. `X_MASK` of a field is in place; the value is
        `(register & X_MASK) >> X_SHIFT`.

    Raises:
        DeclarationError: two names of the class make the same macro, such as a register
            `ring_count` beside an array `ring`.
    """
    prefix = prefix or _upper(cls.__name__)
    described = _Described(cls)
    lines = [f"/* {cls.__name__}: generated from the declaration of the device. */"]
    lines += [f"#ifndef {prefix}_REGISTERS_H", f"#define {prefix}_REGISTERS_H", ""]
    lines += _c_ids(cls, prefix)
    for name, bar in described.bars:
        lines += _c_bar(described, prefix, name, bar)
    _check_macros(cls, lines)
    lines += [f"#endif /* {prefix}_REGISTERS_H */", ""]
    return "\n".join(lines)


def _check_macros(cls: type[PciDevice], lines: Iterable[str]) -> None:
    known: dict[str, str] = {}
    for line in lines:
        if line.startswith("#define "):
            other = known.setdefault(re.split(r"[ (]", line)[1], line)
            if other is not line:
                refuse(cls, f"two macros have one name in its C header: {other!r} and {line!r}")


def _upper(name: str) -> str:
    """Turn `PciUart` into `PCI_UART`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _c_ids(cls: type[PciDevice], prefix: str) -> Iterator[str]:
    for _, name, digits in _IDS:
        value = getattr(cls, name)
        if value is not None:
            yield f"#define {prefix}_{name.upper()} 0x{value:0{digits}x}"
    yield ""


def _c_bar(described: _Described, prefix: str, name: str, bar: Declaration) -> Iterator[str]:
    own = f"{prefix}_{_upper(name)}"
    yield f"#define {own}_BAR {bar.index}"
    yield f"#define {own}_SIZE 0x{bar.size:x}{_suffix(bar.size)}"
    for register_name, register in described.of_bar(bar.index):
        yield from _c_register(
            described, f"{prefix}_{_upper(register_name)}", register_name, register
        )
    yield ""


def _c_register(described: _Described, macro: str, name: str, register: AnyReg) -> Iterator[str]:
    if register.doc:
        yield f"/* {' '.join(register.doc.split()).replace('*/', '* /')} */"
    offset = f"0x{register.offset:x}{_suffix(register.offset)}"
    if isinstance(register, RegArray):
        yield f"#define {macro}(n) ({offset} + (n) * 0x{register.stride:x})"
        yield f"#define {macro}_COUNT {register.count}"
    else:
        yield f"#define {macro} {offset}"
    for field_name, field in described.fields(name):
        own = f"{macro}_{_upper(field_name)}"
        mask = field.mask << field.first
        yield f"#define {own}_SHIFT {field.first}"
        yield f"#define {own}_MASK 0x{mask:x}{_suffix(mask)}"


def _suffix(value: int) -> str:
    """Say that a constant has 64 bits."""
    return "ull" if value >> 32 else ""
