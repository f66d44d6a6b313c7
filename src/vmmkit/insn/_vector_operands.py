# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operands of vector instructions: registers, wide memory, masks; `csrc/vector_operands.c` too.

A vector is an integer here, its lowest byte the one at the lowest address. `enabled` has a bit for
every byte of a memory operand that the instruction touches: an opmask, or a mask in a vector, turns
bytes off, and what is turned off neither faults nor reaches a device (SDM vol. 2A, "Exception
Classifications of EVEX-Encoded Instructions"). There
#AC goes by the size of an element, as observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmmkit.insn._breakpoints import WATCHES_DATA, watch
from vmmkit.insn._execute import effective_address, write_register
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import PAGE, RAM_LOCK, Context, Span, device_load, device_store
from vmmkit.insn._page_modes import INTENT_WRITE
from vmmkit.insn._paging import locate_linear
from vmmkit.insn._record import MASK_BITS, PREFIX_BITS, REX_BITS, WORD
from vmmkit.insn._segments import ALIGNMENT, BASE, FS, GP, GS, SEGMENT, UD, linear_address
from vmmkit.insn.optable import (
    FEATURES,
    KINDS,
    TYPE_NAMES,
    TYPE_SIZES,
    VECTOR_FAMILIES,
    VECTOR_FUNCTIONS,
    VECTOR_SIZES,
    VectorOperation,
)

__all__ = [
    "bits_of",
    "check_state",
    "check_vector",
    "enabled_lanes",
    "names_memory",
    "load_operand",
    "locate_operand",
    "operand_size",
    "read_register_operand",
    "spread",
    "store_operand",
    "store_part",
    "write_register_operand",
]

NM: Final = 7
MF: Final = 16

CR0_MP, CR0_EM, CR0_TS, CR0_NE = 2, 4, 8, 32
CR4_OSFXSR, CR4_OSXSAVE = 1 << 9, 1 << 18
STATUS_ES: Final = 1 << 7
SSE_AVX: Final = 6  # bits of XCR0
AVX512: Final = 0xE6

VECTOR: Final = WORD["vector"]
OPMASK: Final = WORD["opmask"]
X87: Final = WORD["x87"]
STATUS_WORD: Final = WORD["x87_status"]
TAG: Final = WORD["x87_tag"]
CR0, CR4, XCR0 = WORD["cr0"], WORD["cr4"], WORD["xcr0"]

VEX, EVEX = PREFIX_BITS["VEX"], PREFIX_BITS["EVEX"]
Z, B = MASK_BITS["Z"], MASK_BITS["B"]
_FEATURE: Final = {name: 1 << number for number, name in enumerate(FEATURES)}


def _kinds(letters: str) -> frozenset[int]:
    return frozenset(map(KINDS.index, letters))


VECTORS: Final = _kinds("VWUHL")
MMX: Final = _kinds("PQN")
MASKS: Final = _kinds("Kkh")
GENERAL: Final = _kinds("EGR")
IN_REG: Final = _kinds("VPKG")
IN_VVVV: Final = _kinds("Hh")
MEMORY: Final = _kinds("EMWQk")
L: Final = KINDS.index("L")
WHOLE: Final = frozenset(map(TYPE_NAMES.index, "xh"))  # as wide as the vector length has it
COUNTS: Final = VECTOR_FAMILIES.index("COUNTS")
BROADCAST: Final = VECTOR_FUNCTIONS.index("BROADCAST")


def bits_of(size: int) -> int:
    """All bits of `size` bytes."""
    return (1 << 8 * size) - 1


def check_state(
    context: Context, *, opmask: bool = False, mmx: bool = False, sse: bool = True
) -> None:
    """#UD, #NM and #MF of a vector instruction (SDM vol. 2A, "Exception Type" 1 to 6, E and K).

    MOVQ2DQ and MOVDQ2Q have both an MMX and an XMM register, and both of their conditions.
    """
    words = context.words
    cr0, cr4 = words[CR0], words[CR4]
    if context.prefixes & (VEX | EVEX):
        needed = AVX512 if opmask or context.prefixes & EVEX else SSE_AVX
        if not cr4 & CR4_OSXSAVE or words[XCR0] & needed != needed:
            raise context.fault(UD)
    elif cr0 & CR0_EM or (sse and not cr4 & CR4_OSFXSR):
        raise context.fault(UD)
    if cr0 & CR0_TS:
        raise context.fault(NM)
    if mmx and words[STATUS_WORD] & STATUS_ES and cr0 & CR0_NE:
        raise context.fault(MF)


def _check_features(context: Context, operation: VectorOperation) -> None:
    """What depends on length and lanes; the rest is the row's feature."""
    needed = 0
    if context.prefixes & EVEX:
        if operation.lane < 4:
            needed |= _FEATURE["AVX512BW"]
        if context.vector_length < 64 and not WHOLE.isdisjoint(context.row.types):
            needed |= _FEATURE["AVX512VL"]
    elif context.vector_length == 32 and operation.avx2:
        needed = _FEATURE["AVX2"]
    elif operation.function == BROADCAST and context.modrm >= 0xC0:
        needed = _FEATURE["AVX2"]  # VBROADCASTSS and SD have come from memory since AVX
    if context.words[WORD["features"]] & needed != needed:
        raise context.fault(UD)


def check_vector(context: Context, operation: VectorOperation) -> None:
    """Whether the instruction is there, and its registers may be used."""
    _check_features(context, operation)
    kinds = context.row.kinds
    mmx = not MMX.isdisjoint(kinds)
    sse = not mmx or not VECTORS.isdisjoint(kinds)
    check_state(context, opmask=not MASKS.isdisjoint(kinds), mmx=mmx, sse=sse)


def operand_size(context: Context, place: int) -> int:
    """Bytes of operand `place`."""
    number = context.row.types[place]
    return (
        TYPE_SIZES[context.operand_size][number] or VECTOR_SIZES[context.vector_length >> 5][number]
    )


def names_memory(context: Context, place: int) -> bool:
    """Whether operand `place` is the one in memory."""
    return 0 <= context.modrm < 0xC0 and context.row.kinds[place] in MEMORY


def _register_number(context: Context, kind: int) -> int:
    rex, modrm = context.rex, context.modrm
    if kind in IN_VVVV:
        return context.vvvv
    if kind == L:
        return context.immediate >> 4 & (15 if context.mode == 64 else 7)
    if kind in IN_REG:
        number = modrm >> 3 & 7 | (rex & 4) << 1 | (16 if rex & REX_BITS["R4"] else 0)
    else:
        number = modrm & 7 | (rex & 1) << 3
        if context.prefixes & EVEX and kind in VECTORS:
            number |= (rex & 2) << 3
    return number & 7 if kind in MMX or kind in MASKS else number


def read_register_operand(context: Context, place: int, size: int) -> int:
    """The low `size` bytes of a register of any file."""
    kind, words = context.row.kinds[place], context.words
    number = _register_number(context, kind)
    if kind in VECTORS:
        start = VECTOR + 8 * number
        return int.from_bytes(words[start : start + (size + 7) // 8].tobytes(), "little") & bits_of(
            size
        )
    if kind in MMX:
        return words[X87 + 2 * number] & bits_of(size)
    if kind in MASKS:
        return words[OPMASK + number] & bits_of(size)
    return words[number] & bits_of(size)


def write_register_operand(context: Context, place: int, size: int, value: int) -> None:
    """Write a register of any file; without VEX and EVEX a vector keeps what lies above `size`."""
    kind, words = context.row.kinds[place], context.words
    number = _register_number(context, kind)
    if kind in VECTORS:
        start = VECTOR + 8 * number
        last = size // 8 if not context.prefixes & (VEX | EVEX) else 8
        for place_of_word in range(last):
            words[start + place_of_word] = value >> 64 * place_of_word & mask_of(8)
    elif kind in MMX:
        words[X87 + 2 * number] = value
        words[X87 + 2 * number + 1] = 0xFFFF
    elif kind in MASKS:
        words[OPMASK + number] = value
    else:
        write_register(context, number, max(4, size), value)


def enter_mmx(context: Context) -> None:
    """What every MMX instruction but EMMS does to the x87 unit: top of stack 0, no register empty.

    SDM vol. 1, "Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word".
    """
    context.words[TAG] = 0xFF
    context.words[STATUS_WORD] &= ~0x3800


def spread(lanes: int, lane: int) -> int:
    """Repeat every bit of `lanes` as often as a lane has bytes."""
    if lane == 1:
        return lanes
    found = place = 0
    while lanes >> place:
        if lanes >> place & 1:
            found |= (1 << lane) - 1 << place * lane
        place += 1
    return found


def enabled_lanes(context: Context, count: int) -> int:
    """A bit for each of `count` lanes that the opmask lets through."""
    opmask = context.mask & 7
    whole = (1 << count) - 1
    return context.words[OPMASK + opmask] & whole if opmask else whole


def _runs(enabled: int, first: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and length of each run of enabled bytes from `first` on."""
    place, stop = first, first + size
    while place < stop:
        start = place
        while place < stop and enabled >> place & 1:
            place += 1
        if place > start:
            yield start, place - start
        else:
            place += 1


def _alignment(context: Context, operation: VectorOperation, size: int) -> int:
    if operation.alignment == 1:
        return size
    legacy = not context.prefixes & (VEX | EVEX)
    return 16 if legacy and size == 16 and operation.alignment == 0 else 1


def check_aligned(context: Context, segment: int, offset: int, alignment: int) -> None:
    """#GP(0) for an operand that must be aligned and is not, before anything else is looked at."""
    based = context.mode != 64 or segment in {FS, GS}
    base = context.words[SEGMENT + 4 * segment + BASE] if based else 0
    if base + offset & alignment - 1:
        raise context.fault(GP)


def locate_bytes(
    context: Context,
    place: tuple[int, int],
    enabled: int,
    alignment: int,
    elements: int = 1,
    *,
    write: bool,
) -> tuple[Span, int]:
    """Locate what is enabled of a memory operand at segment and offset.

    `alignment` is what #GP asks of the whole, `elements` what #AC asks of a part.

    Returns the span of the bytes from the first enabled one to the last, and the first one's place.
    """
    segment, offset = place
    if not enabled:
        return (), 0
    check_aligned(context, segment, offset, alignment)
    first = (enabled & -enabled).bit_length() - 1
    size = enabled.bit_length() - first
    offset += first
    if context.mode == 64:
        offset &= mask_of(8)
    linear = linear_address(context, segment, offset, size, write=write)
    if linear - first & elements - 1:
        raise context.fault(ALIGNMENT)
    if context.watched & WATCHES_DATA:
        for start, length in _runs(enabled >> first, 0, size):
            watch(context, linear + start, length, write=write)
    if linear & PAGE - 1 <= PAGE - size:
        return locate_linear(context, linear, size, INTENT_WRITE if write else 0), first
    return _locate_two_pages(context, linear, size, enabled >> first, write=write), first


def _locate_two_pages(
    context: Context, linear: int, size: int, enabled: int, *, write: bool
) -> Span:
    """A fault on the second page is at its first enabled byte."""
    intent = INTENT_WRITE if write else 0
    room = PAGE - (linear & PAGE - 1)
    rest = enabled >> room
    skipped = (rest & -rest).bit_length() - 1
    first = locate_linear(context, linear, room, intent)
    ((gpa, _, _),) = locate_linear(context, linear + room + skipped, 1, intent)
    return *first, context.fragment(gpa - skipped, size - room, write=write)


def _element(context: Context, operation: VectorOperation) -> int:
    """Bytes of what is accessed one by one under an opmask, 0 for an operand that is one access."""
    by_register = operation.family == COUNTS and not context.row.immediates[0]
    if not context.mask & 7 or not operation.suppresses or by_register:
        return 0
    if context.mask & B:
        return context.memory_size
    if VECTOR_FUNCTIONS[operation.function].startswith(("EXTEND", "NARROW")):
        return context.memory_size * operation.lane // context.vector_length
    return operation.lane


def locate_operand(
    context: Context, operation: VectorOperation, enabled: int, *, write: bool
) -> tuple[Span, int]:
    """Locate the explicit memory operand, as far as it is enabled."""
    alignment = _alignment(context, operation, context.memory_size)
    place = context.segment, effective_address(context)
    element = _element(context, operation)
    if not element:
        return locate_bytes(context, place, enabled, alignment, write=write)
    elements = element if context.checks_alignment else 1
    context.checks_alignment = False
    return locate_bytes(context, place, enabled, alignment, elements, write=write)


def load_span(context: Context, span: Span, enabled: int, first: int) -> int:
    """Load the enabled bytes of a span whose first byte has the place `first`."""
    value, place = 0, first
    for fragment in span:
        if fragment.piece is not None or context.piece_at(fragment.gpa, fragment.size):
            value |= context.load_physical(fragment.gpa, fragment.size) << 8 * place
        else:
            for start, size in _runs(enabled, place, fragment.size):
                found = device_load(context, fragment.gpa + start - place, size)
                value |= found << 8 * start
        place += fragment.size
    return value


def store_span(context: Context, span: Span, enabled: int, first: int, value: int) -> None:
    """Store the enabled bytes of a located span, device fragments first."""
    in_ram, place = [], first
    for fragment in span:
        for start, size in _runs(enabled, place, fragment.size):
            part, gpa = value >> 8 * start & bits_of(size), fragment.gpa + start - place
            if fragment.piece is None:
                device_store(context, gpa, size, part)
            else:
                in_ram.append((fragment.piece, gpa, part.to_bytes(size, "little")))
        place += fragment.size
    with RAM_LOCK:
        for piece, gpa, raw in in_ram:
            piece.view[gpa - piece.gpa : gpa - piece.gpa + len(raw)] = raw


def load_operand(context: Context, operation: VectorOperation, enabled: int) -> int:
    """Load the enabled bytes of the explicit memory operand; one that is broadcast is repeated."""
    size = context.memory_size
    if context.mask & B:
        enabled = bits_of_bytes(size) if enabled else 0
    span, first = locate_operand(context, operation, enabled, write=False)
    value = load_span(context, span, enabled, first)
    if context.mask & B:
        copies = context.vector_length // size
        value *= sum(1 << 8 * size * number for number in range(copies))
    return value


def bits_of_bytes(size: int) -> int:
    """One bit for each of `size` bytes."""
    return (1 << size) - 1


def store_operand(
    context: Context, operation: VectorOperation, size: int, enabled: int, value: int
) -> None:
    """Store the enabled bytes of `value` to the explicit memory operand."""
    enabled &= bits_of_bytes(size)
    span, first = locate_operand(context, operation, enabled, write=True)
    store_span(context, span, enabled, first, value)


def store_part(
    context: Context, operation: VectorOperation, size: int, enabled: int, value: int
) -> None:
    """As `store_operand`, with all `size` bytes checked, and #AC as ever."""
    place = context.segment, effective_address(context)
    alignment = _alignment(context, operation, size)
    span, first = locate_bytes(context, place, bits_of_bytes(size), alignment, write=True)
    store_span(context, span, enabled, first, value)
