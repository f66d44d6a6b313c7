# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How a debugger sees the registers in a mode: their order, their bytes, and the XML that says so.

`describe` chooses the registers of `vmmkit.gdb.registers` that a debugger is told of, numbers them
in that order, and lays them one behind the other: the `g` packet. The XML is for
`qXfer:features:read` (GDB manual, "Target Description Format"). A description does not change, and
the same arguments give the same object.
"""

from __future__ import annotations

import operator
from binascii import hexlify, unhexlify
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Final, NamedTuple

import attrs

from vmmkit.errors import RegisterLayoutError
from vmmkit.gdb.register_types import definitions
from vmmkit.gdb.registers import (
    AVX,
    AVX512,
    CORE,
    FEATURES,
    REGISTERS,
    SEGMENTS,
    SSE,
    SYSTEM,
    Register,
    code_base,
    linear_pc,
)

__all__ = ["Description", "DescribedRegister", "describe", "LAYOUTS", "MODES"]

MODES: Final = (16, 32, 64)
LAYOUTS: Final = ("gdb", "qemu")
ARCHITECTURES: Final = {16: "i8086", 32: "i386", 64: "i386:x86-64"}
REQUIRES: Final = {AVX: SSE, AVX512: AVX}  # GDB rejects a description with only the former
LAST_IP: Final = 0xFFFF

CORE_32: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "rip")
"""GDB's order of the general registers differs between its 32-bit and 64-bit descriptions."""
ONLY_64: Final = frozenset(
    [
        *(f"r{n}" for n in range(8, 16)),
        *(f"xmm{n}" for n in range(8, 32)),
        *(f"{form}{n}h" for form in ("ymm", "zmm") for n in range(8, 32)),
    ]
)
CORE_NAMES: Final = [register.name for register in REGISTERS if register.feature == CORE]
QEMU: Final = (
    *CORE_NAMES[:24],
    *("fs_base", "gs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8", "efer"),
    *CORE_NAMES[24:],
    *(register.name for register in REGISTERS if register.feature == SSE),
)
"""What QEMU's stub has, in its order."""
BY_NAME: Final = {register.name: register for register in REGISTERS}

Values = Mapping[str, int]
Packer = Callable[[tuple[str, ...], tuple[int, ...]], bytes]  # see `PackedRegisters`
_to_bytes: Final[Callable[..., bytes]] = int.to_bytes


class DescribedRegister(NamedTuple):
    """A register as a debugger is told of it."""

    name: str  #: the debugger's: "eip"
    source: str  #: the target's, a name of `vmmkit.gdb.registers`: "rip"
    bits: int
    offset: int  #: bytes from the start of the `g` packet's contents
    number: int
    xml_type: str
    group: str
    feature: str

    @property
    def size(self) -> int:
        """Return the width in bytes."""
        return self.bits // 8


@attrs.frozen(eq=False, repr=False)
class Description:
    """Registers of one mode and layout; made by `describe`.

    Methods take the target's registers by name (`Target.read_registers`) and give or take hex text
    as in packets: two digits a byte, lowest byte first, `xx` for every byte of a register that is
    not there. Values are cut to the width of the register.

    Attributes:
        mode: 16, 32 or 64.
        layout: "gdb" or "qemu".
        registers: by number.
        size: bytes of all of them; `g` has twice as many digits, always.
        xml: `target.xml`.
    """

    mode: int
    layout: str
    registers: tuple[DescribedRegister, ...]
    linear: bool = False
    """Whether `eip` is a linear address."""
    size: int = attrs.field(init=False)
    xml: bytes = attrs.field(init=False)
    _numbers: Mapping[str, int] = attrs.field(init=False)
    _computed: frozenset[int] = attrs.field(init=False)
    _sources: tuple[str, ...] = attrs.field(init=False)
    _masks: tuple[int, ...] = attrs.field(init=False)
    _sizes: tuple[int, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Derive from the registers what packing needs."""
        derived = {
            "size": sum(register.size for register in self.registers),
            "xml": _xml(self),
            "_numbers": {register.source: register.number for register in self.registers},
            "_computed": frozenset(r.number for r in self.registers if self._is_linear(r)),
            # What is computed is packed as RIP, which is always there, and then replaced.
            "_sources": tuple("rip" if self._is_linear(r) else r.source for r in self.registers),
            "_masks": tuple((1 << register.bits) - 1 for register in self.registers),
            "_sizes": tuple(register.size for register in self.registers),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _is_linear(self, register: DescribedRegister) -> bool:
        return register.source == "linear_pc" or (self.linear and register.source == "rip")

    def __repr__(self) -> str:
        """Show mode, layout and size."""
        count = len(self.registers)
        return f"<Description {self.mode}-bit, {self.layout}: {count} registers, {self.size} bytes>"

    def pack(self, values: Values) -> bytes:
        """Return the contents of the reply to `g`: `2 * size` digits."""
        try:
            found = self._packed(values)
            if self._computed:
                found = self._with_computed(found, values)
        except KeyError:
            return b"".join(self.value(number, values) for number in range(len(self.registers)))
        return hexlify(found)

    def _packed(self, values: Values) -> bytes:
        packed: Packer | None = getattr(values, "packed", None)
        if packed is not None:
            return packed(self._sources, self._sizes)
        cut = map(operator.and_, map(values.__getitem__, self._sources), self._masks)
        return b"".join(map(_to_bytes, cut, self._sizes, repeat("little")))

    def _with_computed(self, packed: bytes, values: Values) -> bytes:
        replaced, address = bytearray(packed), linear_pc(values)
        for number in self._computed:
            first, size = self.registers[number].offset, self._sizes[number]
            shown = address & self._masks[number]
            replaced[first : first + size] = shown.to_bytes(size, "little")
        return bytes(replaced)

    def integer(self, number: int, values: Values) -> int | None:
        """Return the value that the debugger sees in a register, `None` where it is not there.

        Raises:
            IndexError: no register has this number.
        """
        source = self.registers[number].source
        try:
            value = linear_pc(values) if number in self._computed else values[source]
        except KeyError:
            return None
        return value & self._masks[number]

    def value(self, number: int, values: Values) -> bytes:
        """Return the contents of the reply to `p`.

        Raises:
            IndexError: no register has this number.
        """
        value = self.integer(number, values)
        size = self._sizes[number]
        return b"xx" * size if value is None else hexlify(value.to_bytes(size, "little"))

    def number_of(self, name: str) -> int | None:
        """Return the number of a register by the target's name, `None` if it is not described."""
        return self._numbers.get(name)

    def parse_value(self, number: int, text: bytes, values: Values) -> tuple[str, int]:
        """Take the value of a `P` packet.

        Args:
            number: of a register of this description.
            text: its digits, exactly as many as it has.
            values: the target's registers before the write, where a linear `eip` needs `cs_base`.

        Returns:
            The target's name of the register, and what is to be written there.

        Raises:
            RegisterLayoutError: the text is of another length, has other characters than digits,
                or is an address that the code segment does not reach.
            IndexError: no register has this number.
        """
        register = self.registers[number]
        return register.source, self._target_value(number, _integer(text, register), values)

    def _target_value(self, number: int, value: int, values: Values) -> int:
        if not self.linear or self.registers[number].source != "rip":
            return value
        base = code_base(values)
        offset = value - base & self._masks[number]
        if base and offset > LAST_IP:
            raise RegisterLayoutError(f"{value:#x} is outside of the code segment at {base:#x}")
        return offset

    def _written(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Yield number and value of every register that a `G` packet has."""
        if len(text) != 2 * self.size:
            raise RegisterLayoutError(f"{len(text)} digits for {self.size} bytes of registers")
        for register in self.registers:
            digits = text[2 * register.offset : 2 * (register.offset + register.size)]
            if digits != b"xx" * register.size:
                yield register.number, _integer(digits, register)

    def unpack(self, text: bytes, values: Values) -> dict[str, int]:
        """Take a `G` packet: return what it has that differs from `values`, by the target's names.

        Debuggers write all registers back though they changed one. Those that did not change stay
        out, so that a register which cannot be written is no obstacle, and upper halves that a
        32-bit description does not show survive; and so do zeros for registers that are not there,
        which is what debuggers make of `xx`.

        Raises:
            RegisterLayoutError: as `parse_value`.
        """
        written = {}
        for number, value in self._written(text):
            if value != (self.integer(number, values) or 0):
                source = self.registers[number].source
                written[source] = self._target_value(number, value, values)
        return written


def _integer(digits: bytes, register: DescribedRegister) -> int:
    try:
        value = unhexlify(digits)
    except ValueError as error:
        raise RegisterLayoutError(f"no hexadecimal digits for {register.name}") from error
    if len(value) != register.size:
        raise RegisterLayoutError(f"{register.name} has {register.size} bytes, not {len(value)}")
    return int.from_bytes(value, "little")


def describe(
    mode: int, layout: str, available: Collection[str], *, linear_pc: bool = False
) -> Description:
    """Return the description of a mode.

    Args:
        mode: 16, 32 or 64: how code is decoded. 16 and 32 differ in the architecture that they
            name, and so in how the debugger disassembles.
        layout: "gdb" for the features that GDB knows and the system registers, or "qemu" for the
            66 registers of QEMU's stub in its order, 608 bytes, always 64-bit, which some
            debuggers take for granted.
        available: names of the registers that the target has. One of GDB's features is part of
            the description when all its registers are available, the core always; of the system
            registers those are that are available, `linear_pc` wherever `cs_base` is.
        linear_pc: in a 16-bit description, let `eip` be the linear address, for symbols of code
            that runs at a segment other than 0. Needs `cs_base`.

    Raises:
        RegisterLayoutError: no such mode or layout.
    """
    if mode not in MODES or layout not in LAYOUTS:
        raise RegisterLayoutError(f"no register layout {layout!r} of {mode} bits")
    if layout == "qemu":
        return _described(64, layout, frozenset(), False)
    linear = bool(linear_pc) and mode == 16 and "cs_base" in available
    return _described(mode, layout, frozenset(BY_NAME.keys() & available), linear)


@lru_cache(maxsize=64)
def _described(mode: int, layout: str, available: frozenset[str], linear: bool) -> Description:
    chosen = _qemu() if layout == "qemu" else _chosen(mode, available)
    registers: list[DescribedRegister] = []
    offset = 0
    for number, (source, row) in enumerate(chosen):
        name, bits, kind, group, feature = row
        registers.append(
            DescribedRegister(name, source, bits, offset, number, kind, group, feature)
        )
        offset += bits // 8
    return Description(mode, layout, tuple(registers), linear)


def _qemu() -> list[tuple[str, Register]]:
    """List QEMU's registers; all of them are in the core feature there."""
    return [(name, BY_NAME[name]._replace(feature=CORE)) for name in QEMU]


def _chosen(mode: int, available: frozenset[str]) -> list[tuple[str, Register]]:
    """List target's name and row of the registers of a mode."""
    rows = REGISTERS if mode == 64 else _narrow()
    features = _features(rows, available)
    shown = [row for row in rows if _is_shown(row, features, available)]
    return [(row.name, row if mode == 64 else _narrowed(row)) for row in shown]


def _narrow() -> tuple[Register, ...]:
    """Return the rows that 16 and 32-bit code has, in the order of the features.

    GDB (13.1) for the OS ABI GNU/Linux, which is its own default and that of many a file, ends in
    an internal error where a 32-bit description has the feature of the segment bases; they go into
    ours.
    """
    rows = [BY_NAME[name] for name in CORE_32]
    rows += [row for row in REGISTERS if row.name not in {*CORE_32, *ONLY_64}]
    moved = (r._replace(feature=SYSTEM) if r.feature == SEGMENTS else r for r in rows)
    return tuple(sorted(moved, key=lambda row: FEATURES.index(row.feature)))


def _features(rows: Iterable[Register], available: frozenset[str]) -> set[str]:
    """Return the features of GDB's that are complete."""
    missing = {row.feature for row in rows if row.name not in available} - {CORE}
    found: set[str] = set()
    for feature in FEATURES:
        if feature not in missing and REQUIRES.get(feature, CORE) in {CORE, *found}:
            found.add(feature)
    return found


def _is_shown(row: Register, features: Collection[str], available: frozenset[str]) -> bool:
    if row.feature != SYSTEM:
        return row.feature in features
    return ("cs_base" if row.name == "linear_pc" else row.name) in available


def _narrowed(row: Register) -> Register:
    """Return a row as 16 and 32-bit code has it: `eax` in place of `rax`."""
    if row.name not in CORE_32:
        return row
    kind = "int32" if row.xml_type == "int64" else row.xml_type
    return row._replace(name="e" + row.name[1:], bits=32, xml_type=kind)


def _xml(description: Description) -> bytes:
    """Return `target.xml`, which names no OS: a guest's kernel has none below it.

    Without that GDB takes its own host's. QEMU's stub says nothing either way.
    """
    registers = description.registers
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
        '<target version="1.0">',
        f"<architecture>{ARCHITECTURES[description.mode]}</architecture>",
        *(["<osabi>none</osabi>"] if description.layout == "gdb" else []),
        *(line for feature in FEATURES for line in _feature_xml(feature, registers)),
        "</target>",
        "",
    ]
    return "\n".join(lines).encode()


def _feature_xml(feature: str, registers: Iterable[DescribedRegister]) -> list[str]:
    """Return a feature's element, with the types of its registers; nothing if it has none."""
    members = [register for register in registers if register.feature == feature]
    if not members:
        return []
    types = dict.fromkeys(register.xml_type for register in members)
    return [
        f'<feature name="{feature}">',
        *(line for name in types for line in definitions(name)),
        *(_register_xml(register) for register in members),
        "</feature>",
    ]


def _register_xml(register: DescribedRegister) -> str:
    """Return a register's element.

    What `call` in GDB saves and restores leaves the system registers alone: writing them back has
    effects of its own.
    """
    kept = ' save-restore="no"' if register.group == "system" else ""
    return (
        f'<reg name="{register.name}" bitsize="{register.bits}" type="{register.xml_type}"'
        f' group="{register.group}"{kept}/>'
    )
