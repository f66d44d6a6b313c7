# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The registers of a vCPU under the names that a debugger has for them.

The names are those of `vmmkit.gdb.registers`. What a name means is one row of a table: how to read
it from a `CpuState` and how to write it. x87 registers are relative to the top of the stack
(`st0`), the tag word has two bits for each physical register as the processor's own has, and
`fioff` and `fooff` are the low halves of their addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache, partial
from operator import itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple

from vmmkit.backends._debug_register_places import (
    LEGACY_VECTORS,
    LOW_16,
    LOW_32,
    NARROW,
    PLAIN,
    SELECTORS,
    VECTORS,
    WORD_OF,
    X87,
    Place,
    place_of,
)
from vmmkit.errors import StateError, TargetError
from vmmkit.insn import WORD, CpuState, Feature, Segment

__all__ = ["ReadMemory", "RegisterView", "linear_pc", "privilege", "write_registers"]

Reader = Callable[[CpuState], int]
Writer = Callable[[CpuState, int], object]
ReadMemory = Callable[[int, int], bytes]
"""Reads linear memory: address and size."""

CR0_PE: Final = 1
EFER_LMA: Final = 1 << 10
FEATURES: Final = WORD["features"]
AVX, AVX512 = int(Feature.AVX), int(Feature.AVX512F)
RFLAGS_ONE: Final = 0x2
RFLAGS_VM: Final = 1 << 17
ACCESSED: Final = 1  # in the type of a code or data segment, once it is loaded
BUSY: Final = 2  # in that of a task
ATTR_S: Final = 1 << 4
ATTR_L: Final = 1 << 13
ATTR_UNUSABLE: Final = 1 << 16
TABLE_BIT: Final = 4  # of a selector: the local descriptor table
TOP_SHIFT: Final = 11
GRANULARITY: Final = 1 << 23
DESCRIPTOR: Final = 8  # bytes
EMPTY: Final = 3  # in the tag word
ALL_EMPTY: Final = 0xFFFF
REGISTERS_X87: Final = Struct("<" + "QH6x" * 8)  # significand, sign and exponent
APIC_BASE: Final = 0x1B

READ_ONLY: Final = frozenset({"cpl"})
# Bits that some instruction can set, where others are reserved (SDM vol. 1, "EFLAGS Register",
# "x87 FPU Opcode Format", "MXCSR Control and Status Register").
FLAGS: Final = 0x3F_7FD5
SETTABLE: Final = {"fop": 0x7FF, "mxcsr": 0xFFFF}
# What the meaning of other registers in the same write depends on: the stack's top says which
# register ST(0) is. Selectors come before what is hidden behind them.
FIRST: Final = ("cr0", "efer", "eflags", "fstat", *SELECTORS)


def privilege(state: CpuState) -> int:
    """Return the current privilege level, 0 to 3 (SDM vol. 3A, "Privilege Levels")."""
    if state.rflags & RFLAGS_VM:
        return 3
    return state.ss.attributes >> 5 & 3 if state.cr0 & CR0_PE else 0


def linear_pc(state: CpuState) -> int:
    """Return the linear address of the next instruction."""
    cs = state.cs
    if state.efer & EFER_LMA and cs.attributes & ATTR_L:
        return state.rip
    return cs.base + state.rip & LOW_32


# -- reading ---------------------------------------------------------------------------------------


def _top(state: CpuState) -> int:
    return state.x87_status >> TOP_SHIFT & 7


def _read_plain(name: str, mask: int, state: CpuState) -> int:
    value: int = getattr(state, name)
    return value & mask


def _read_segment(name: str, field: int, state: CpuState) -> int:
    segment: Segment = getattr(state, name)
    return segment[field]


def _read_st(number: int, state: CpuState) -> int:
    return state.x87[_top(state) + number & 7]


def _tag_of(significand: int, exponent: int) -> int:
    """Classify what a register holds (SDM vol. 1, "x87 FPU Tag Word"): valid, zero, special."""
    exponent &= 0x7FFF
    if not exponent and not significand:
        return 1
    return 0 if 0 < exponent < 0x7FFF and significand >> 63 else 2


def _read_tags(state: CpuState) -> int:
    present = state.x87_tag
    if not present:
        return ALL_EMPTY
    parts, tags = REGISTERS_X87.unpack_from(state.record, X87), 0
    for number in range(8):
        tag = _tag_of(*parts[2 * number : 2 * number + 2]) if present >> number & 1 else EMPTY
        tags |= tag << 2 * number
    return tags


def _read_xmm(number: int, state: CpuState) -> int:
    return state.xmm[number]


def _read_ymm_high(number: int, state: CpuState) -> int:
    return state.ymm[number] >> 128


def _read_zmm_high(number: int, state: CpuState) -> int:
    return state.zmm[number] >> 256


def _read_opmask(number: int, state: CpuState) -> int:
    return state.opmask[number]


# -- writing ---------------------------------------------------------------------------------------


def _write_plain(name: str, mask: int, state: CpuState, value: int) -> None:
    if value & ~mask:
        raise StateError(f"{name} takes at most {mask:#x}, not {value:#x}")
    setattr(state, name, value)


def _write_flags(state: CpuState, value: int) -> None:
    """Leave reserved bits as they are fixed, as POPF does."""
    state.rflags = value & FLAGS | RFLAGS_ONE


def _write_segment(name: str, field: str, state: CpuState, value: int) -> None:
    setattr(state, name, getattr(state, name)._replace(**{field: value}))


def _write_st(number: int, state: CpuState, value: int) -> None:
    state.x87[_top(state) + number & 7] = value


def _write_tags(state: CpuState, value: int) -> None:
    state.x87_tag = sum((value >> 2 * n & 3 != EMPTY) << n for n in range(8))


def _write_low_half(name: str, state: CpuState, value: int) -> None:
    """Leave the upper half, which a debugger does not see."""
    setattr(state, name, getattr(state, name) & ~LOW_32 | value & LOW_32)


def _write_xmm(number: int, state: CpuState, value: int) -> None:
    state.xmm[number] = value


def _write_ymm_high(number: int, state: CpuState, value: int) -> None:
    state.ymm[number] = state.xmm[number] | value << 128


def _write_zmm_high(number: int, state: CpuState, value: int) -> None:
    state.zmm[number] = state.ymm[number] | value << 256


def _write_opmask(number: int, state: CpuState, value: int) -> None:
    state.opmask[number] = value


def _read_flags(state: CpuState) -> int:
    return state.rflags & LOW_32


Row = tuple[Reader, Writer]


def _plain_rows() -> Iterator[tuple[str, Row]]:
    for name, attribute in PLAIN.items():
        mask = NARROW.get(name, (1 << 64) - 1)
        write = partial(_write_plain, attribute, SETTABLE.get(name, mask))
        yield name, (partial(_read_plain, attribute, mask), write)
    yield "eflags", (_read_flags, _write_flags)
    for name, attribute in (("fioff", "x87_ip"), ("fooff", "x87_dp")):
        yield (
            name,
            (partial(_read_plain, attribute, LOW_32), partial(_write_low_half, attribute)),
        )


def _segment_rows() -> Iterator[tuple[str, Row]]:
    fields = (("_base", "base"), ("_limit", "limit"), ("_attr", "attributes"))
    for name in SELECTORS:
        yield name, (partial(_read_segment, name, 0), partial(_write_segment, name, "selector"))
        for number, (suffix, field) in enumerate(fields, 1):
            read = partial(_read_segment, name, number)
            yield name + suffix, (read, partial(_write_segment, name, field))


def _float_rows() -> Iterator[tuple[str, Row]]:
    for n in range(8):
        yield f"st{n}", (partial(_read_st, n), partial(_write_st, n))
    yield "ftag", (_read_tags, _write_tags)


def _vector_rows(vectors: range) -> Iterator[tuple[str, Row]]:
    for n in vectors:
        yield f"xmm{n}", (partial(_read_xmm, n), partial(_write_xmm, n))


def _high_rows(vectors: range) -> Iterator[tuple[str, Row]]:
    for n in vectors:
        yield f"ymm{n}h", (partial(_read_ymm_high, n), partial(_write_ymm_high, n))


def _avx512_rows() -> Iterator[tuple[str, Row]]:
    upper = range(LEGACY_VECTORS, VECTORS)
    yield from _vector_rows(upper)
    yield from _high_rows(upper)
    for n in range(VECTORS):
        yield f"zmm{n}h", (partial(_read_zmm_high, n), partial(_write_zmm_high, n))
    for n in range(8):
        yield f"k{n}", (partial(_read_opmask, n), partial(_write_opmask, n))


BASE_ROWS: Final[Mapping[str, Row]] = {
    **dict(_plain_rows()),
    **dict(_segment_rows()),
    **dict(_float_rows()),
    **dict(_vector_rows(range(LEGACY_VECTORS))),
}
AVX_ROWS: Final = dict(_high_rows(range(LEGACY_VECTORS)))
AVX512_ROWS: Final = dict(_avx512_rows())


@cache
def _rows(avx: bool, avx512: bool) -> Mapping[str, Row]:
    """Return the registers of a processor with these features."""
    return {**BASE_ROWS, **(AVX_ROWS if avx else {}), **(AVX512_ROWS if avx and avx512 else {})}


def _vectors_of(state: CpuState) -> tuple[bool, bool]:
    features = state.words[FEATURES]  # integers: operators of enumerations are slow
    return bool(features & AVX), bool(features & AVX512)


def _rows_of(state: CpuState) -> Mapping[str, Row]:
    return _rows(*_vectors_of(state))


MARGIN: Final = bytes(32)  # behind the record: what is above a register in a wider field


class Plan(NamedTuple):
    """How to put registers one behind the other."""

    fetch: Callable[[bytes], tuple[bytes, ...]]
    computed: tuple[tuple[int, str, int], ...]
    """Index in what `fetch` gives, name and size of those that are not in the record as such."""


@lru_cache(maxsize=64)
def _plan(
    names: tuple[str, ...],
    sizes: tuple[int, ...],
    top: int,
    vectors: tuple[bool, bool],
    beyond: int,
) -> Plan:
    """Plan for a processor's registers, of which there may be fewer; `beyond` the record is 0."""
    there, slices, computed = _rows(*vectors), list[slice](), list[tuple[int, str, int]]()
    for name, size in zip(names, sizes, strict=True):
        place = place_of(name, top) if name in there else None
        if place is None:
            computed.append((len(slices), name, size))
            place = Place(beyond, size)
        taken = min(size, place.size)
        slices.append(slice(place.first, place.first + taken))
        if taken < size:
            slices.append(slice(beyond, beyond + size - taken))
    return Plan(itemgetter(*slices), tuple(computed))


class RegisterView(Mapping[str, int]):
    """The registers of a vCPU, read when they are asked for.

    Args:
        vcpu: the vCPU; where it has a local APIC, as `lapic`, there is `apic_base` too.
    """

    __slots__ = ("_lapic", "_record", "_rows", "_state", "_vectors", "_words")

    def __init__(self, vcpu: Any) -> None:
        """Look at which registers there are."""
        self._state: CpuState = vcpu.state
        self._words, self._record = self._state.words, self._state.record
        self._vectors = _vectors_of(self._state)
        self._rows = _rows(*self._vectors)
        self._lapic = getattr(vcpu, "lapic", None)

    def __getitem__(self, name: str) -> int:
        """Read a register."""
        number = WORD_OF.get(name)
        if number is not None:
            held: int = self._words[number]
            return held
        row = self._rows.get(name)
        if row is not None:
            return row[0](self._state)
        if name == "cpl":
            return privilege(self._state)
        if name == "apic_base" and self._lapic is not None:
            value: int = self._lapic.read_msr(APIC_BASE)
            return value
        raise KeyError(name)

    def packed(self, names: tuple[str, ...], sizes: tuple[int, ...]) -> bytes:
        """As `vmmkit.gdb.target.PackedRegisters.packed`."""
        state, record = self._state, self._record
        plan = _plan(names, sizes, _top(state), self._vectors, len(record))
        parts = list(plan.fetch(bytes(record) + MARGIN))
        for index, name, size in plan.computed:
            cut = self[name] & (1 << 8 * size) - 1
            parts[index] = cut.to_bytes(size, "little")
        return b"".join(parts)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        yield from self._rows
        yield "cpl"
        if self._lapic is not None:
            yield "apic_base"

    def __len__(self) -> int:
        """Count the registers."""
        return len(self._rows) + 1 + (self._lapic is not None)


# -- segment registers -----------------------------------------------------------------------------


def _descriptor(state: CpuState, selector: int, read: ReadMemory, size: int) -> int:
    """Fetch a descriptor from the table that the selector names."""
    if selector & TABLE_BIT:
        base, limit = state.ldtr.base, state.ldtr.limit
    else:
        base, limit = state.gdtr_base, state.gdtr_limit
    offset = selector & ~7
    found = read(base + offset, size) if offset + size - 1 <= limit else b""
    if len(found) < size:
        raise TargetError(f"there is no descriptor for selector {selector:#06x}")
    return int.from_bytes(found, "little")


def _segment_of(selector: int, raw: int) -> Segment:
    """Take a descriptor apart (SDM vol. 3A, "Segment Descriptors")."""
    high = raw >> 32
    base = raw >> 16 & 0xFF_FFFF | (high >> 24 & 0xFF) << 24
    limit = raw & LOW_16 | high & 0xF_0000
    if high & GRANULARITY:
        limit = limit << 12 | 0xFFF
    attributes = high >> 8 & 0xF0FF
    return Segment(selector, base, limit, attributes | (ACCESSED if attributes & ATTR_S else 0))


def _load_segment(state: CpuState, name: str, selector: int, read: ReadMemory) -> Segment:
    """Return what a segment register holds after a debugger has written its selector.

    As the processor would load it, but for the checks: in real-address and virtual-8086 mode the
    base follows, and otherwise the descriptor is fetched.
    """
    old: Segment = getattr(state, name)
    if selector == old.selector or not 0 <= selector <= LOW_16:
        return old._replace(selector=selector)
    system = name in {"ldtr", "tr"}
    if not system and (not state.cr0 & CR0_PE or state.rflags & RFLAGS_VM):
        return old._replace(selector=selector, base=selector << 4)
    if not selector & ~3:
        return Segment(selector, 0, 0, ATTR_UNUSABLE)
    wide = system and bool(state.efer & EFER_LMA)
    raw = _descriptor(state, selector, read, 2 * DESCRIPTOR if wide else DESCRIPTOR)
    segment = _segment_of(selector, raw & (1 << 64) - 1)
    if name == "tr":
        segment = segment._replace(attributes=segment.attributes | BUSY)
    return segment._replace(base=segment.base | (raw >> 64 & LOW_32) << 32) if wide else segment


def _apply(state: CpuState, values: Mapping[str, int], read: ReadMemory) -> None:
    """Write registers into a state; selectors first, so that a base given beside one stays."""
    rows, rip = _rows_of(state), state.rip
    first = [name for name in FIRST if name in values]
    for name in [*first, *(name for name in values if name not in first)]:
        row = rows.get(name)
        if row is None:
            raise TargetError(f"{name} cannot be written")
        if name in SELECTORS:
            setattr(state, name, _load_segment(state, name, values[name], read))
        else:
            row[1](state, values[name])
    if state.rip != rip:
        state.halted = False  # whoever sends it somewhere wants it to go there


def write_registers(vcpu: Any, values: Mapping[str, int], read: ReadMemory) -> None:
    """Write registers; a debugger may write those that cannot change with what they are.

    A selector brings its descriptor along, unless it is what the register holds already. Control
    registers and MSRs are taken as they are given, without a processor's checks. Another RIP ends a
    halt, so that a function can be called in a guest that waits for interrupts.

    Args:
        vcpu: whose.
        values: by name.
        read: reads linear memory, for descriptors.

    Raises:
        TargetError: a register that is not there, or a value that it cannot hold; nothing is
            written then.
    """
    state: CpuState = vcpu.state
    view = RegisterView(vcpu)
    fixed = READ_ONLY | {"apic_base"}
    for name in fixed & values.keys():
        if view.get(name) != values[name]:
            raise TargetError(f"{name} cannot be written")
    wanted = {name: value for name, value in values.items() if name not in fixed}
    try:
        _apply(state.copy(), wanted, read)
    except (StateError, OverflowError) as error:
        raise TargetError(str(error)) from error
    _apply(state, wanted, read)
