# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Saving and restoring of vector and x87 state; `csrc/vector_state.c` is the same.

SDM vol. 1, "Managing State Using the XSAVE Feature Set" and vol. 2A, FXSAVE. An area is written in
parts, each to be stored only where the instruction stores it; what the SDM reserves keeps its
contents. Components are where Intel's processors have them in the standard format; the owner's
CPUID leaf 0DH should say so. A component that holds its initial values counts as not in use.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler, effective_address
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import RAM_LOCK, Context, Fragment, Span, device_load, device_store
from vmmkit.insn._privilege import FEATURE_BITS
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import GP, UD, linear_address, locate, locate_data
from vmmkit.insn._vector_operands import (
    CR0,
    CR0_EM,
    CR0_TS,
    CR4,
    CR4_OSXSAVE,
    NM,
    OPMASK,
    VECTOR,
    X87,
    XCR0,
    check_aligned,
    check_state,
)

__all__ = ["MXCSR_RESET", "VECTOR_STATE", "X87_FIELDS", "in_use", "initialize_x87", "sub_span"]

MXCSR: Final = WORD["mxcsr"]
MXCSR_MASK: Final = 0xFFFF
MXCSR_RESET: Final = 0x1F80
X87_CONTROL_INIT: Final = 0x37F
X87_CONTROL_BITS: Final = 0x1F3F  # the others are reserved: 0, but for one
X87_CONTROL_ONE: Final = 0x40
X87_EXCEPTIONS, X87_SUMMARY = 0x3F, 0x8080
X87_FIELDS: Final = tuple(
    WORD[f"x87_{name}"] for name in ("control", "status", "tag", "opcode", "ip", "cs", "dp", "ds")
)
CONTROL, STATUS, TAG, OPCODE, IP, CS, DP, DS = X87_FIELDS
FEATURES: Final = WORD["features"]
PKRU, XSS = WORD["pkru"], WORD["xss"]
RAX, RDX = 0, 2
W: Final = 8  # of rex

LEGACY_SIZE, HEADER, AREA = 512, 512, 576
COMPACTED: Final = 1 << 63
COMPACTING: Final = FEATURE_BITS["XSAVEC"] | FEATURE_BITS["XSAVES"]
X87_BIT, SSE_BIT, AVX_BIT = 1, 2, 4
# Bit of XCR0, offset in the standard format, size; and which words of which registers it has.
COMPONENTS: Final = (
    (2, 576, 256),
    (5, 1088, 64),
    (6, 1152, 512),
    (7, 1664, 1024),
    (9, 2688, 8),
)

Part = tuple[int, bytes]


def sub_span(span: Span, offset: int, size: int) -> Span:
    """The fragments of `size` bytes from `offset` of a span on."""
    found, place = [], 0
    for gpa, length, piece in span:
        first, stop = max(offset, place), min(offset + size, place + length)
        if first < stop:
            found.append(Fragment(gpa + first - place, stop - first, piece))
        place += length
    return tuple(found)


def load_part(context: Context, span: Span, offset: int, size: int) -> bytes:
    """Load some bytes of a located area."""
    found = b""
    for gpa, length, _ in sub_span(span, offset, size):
        if context.piece_at(gpa, length):
            value = context.load_physical(gpa, length)
        else:
            value = device_load(context, gpa, length)
        found += value.to_bytes(length, "little")
    return found


def store_parts(context: Context, span: Span, parts: list[Part]) -> None:
    """Store parts of a located area, those at devices first."""
    in_ram = []
    for offset, raw in parts:
        place = 0
        for gpa, length, piece in sub_span(span, offset, len(raw)):
            cut = raw[place : place + length]
            place += length
            if piece is None:
                device_store(context, gpa, length, int.from_bytes(cut, "little"))
            else:
                in_ram.append((piece, gpa - piece.gpa, cut))
    with RAM_LOCK:
        for piece, at, cut in in_ram:
            piece.view[at : at + len(cut)] = cut


def _locate_area(context: Context, size: int, alignment: int, *, write: bool) -> Span:
    offset, segment = effective_address(context), context.segment
    linear = linear_address(context, segment, offset, size, write=write)
    check_aligned(context, segment, offset, alignment)
    return locate_data(context, linear, size, write=write)


def _registers(context: Context) -> int:
    """How many vector registers the mode has for the legacy part of an area."""
    return 16 if context.mode == 64 else 8


def initialize_x87(words: memoryview) -> None:
    """FNINIT."""
    for field in X87_FIELDS:
        words[field] = 0
    words[CONTROL] = X87_CONTROL_INIT


def summarized(status: int, control: int) -> int:
    """A status word with ES and B as its exceptions and the control word's masks have them."""
    pending = status & ~control & X87_EXCEPTIONS
    return status & ~X87_SUMMARY | (X87_SUMMARY if pending else 0)


def _x87_image(context: Context) -> bytes:
    """Bytes 0 to 23 of an area."""
    words = context.words
    head = b"".join(
        (
            (words[CONTROL] & 0xFFFF).to_bytes(2, "little"),
            (words[STATUS] & 0xFFFF).to_bytes(2, "little"),
            (words[TAG] & 0xFF).to_bytes(2, "little"),
            (words[OPCODE] & 0x7FF).to_bytes(2, "little"),
        )
    )
    for pointer, selector in ((IP, CS), (DP, DS)):
        value = words[pointer]
        if not context.rex & W:
            value = value & mask_of(4) | (words[selector] & 0xFFFF) << 32
        head += value.to_bytes(8, "little")
    return head


def _x87_parts(context: Context) -> list[Part]:
    words = context.words
    top = words[STATUS] >> 11 & 7
    parts = [(0, _x87_image(context))]
    for number in range(8):
        start = X87 + 2 * (top + number & 7)
        raw = words[start : start + 2].tobytes()[:10] + bytes(6)
        parts.append((32 + 16 * number, raw))
    return parts


def _load_x87(context: Context, raw: bytes) -> None:
    """From bytes 0 to 159 of an area."""
    words = context.words
    fields = [int.from_bytes(raw[at : at + 2], "little") for at in range(0, 8, 2)]
    words[CONTROL] = fields[0] & X87_CONTROL_BITS | X87_CONTROL_ONE
    words[STATUS] = summarized(fields[1], words[CONTROL])
    words[TAG] = fields[2] & 0xFF
    words[OPCODE] = fields[3] & 0x7FF
    for pointer, selector, at in ((IP, CS, 8), (DP, DS, 16)):
        value = int.from_bytes(raw[at : at + 8], "little")
        words[pointer] = value if context.rex & W else value & mask_of(4)
        words[selector] = 0 if context.rex & W else value >> 32 & 0xFFFF
    top = words[STATUS] >> 11 & 7
    for number in range(8):
        at, start = 32 + 16 * number, X87 + 2 * (top + number & 7)
        words[start] = int.from_bytes(raw[at : at + 8], "little")
        words[start + 1] = int.from_bytes(raw[at + 8 : at + 10], "little")


def _mxcsr_part(context: Context) -> Part:
    held = context.words[MXCSR] & mask_of(4)
    return 24, held.to_bytes(4, "little") + MXCSR_MASK.to_bytes(4, "little")


def _words(first: int, count: int, skip: int, step: int) -> list[tuple[int, int]]:
    """Word number and count of a part of each of `count` vector registers."""
    return [(VECTOR + 8 * number + skip, step) for number in range(first, first + count)]


def _component_words(context: Context, bit: int) -> list[tuple[int, int]]:
    """Where the words of an extended component, or of XMM (bit 1), are in the record."""
    low = _registers(context)
    if bit == 5:
        return [(OPMASK, 8)]
    if bit == 9:
        return [(PKRU, 1)]
    if bit == 7:
        return _words(16, 16, 0, 8) if context.mode == 64 else []
    return _words(0, low, *{1: (0, 2), 2: (2, 2), 6: (4, 4)}[bit])


def _component_image(context: Context, bit: int) -> bytes:
    words = context.words
    return b"".join(words[at : at + size].tobytes() for at, size in _component_words(context, bit))


def _load_component(context: Context, bit: int, raw: bytes) -> None:
    place = 0
    for at, size in _component_words(context, bit):
        for word in range(size):
            number = int.from_bytes(raw[place : place + 8], "little")
            context.words[at + word] = number & mask_of(4) if bit == 9 else number
            place += 8


def in_use(context: Context) -> int:
    """XINUSE: the components that do not have their initial values."""
    words = context.words
    initial = [X87_CONTROL_INIT, *[0] * (len(X87_FIELDS) - 1)]
    fields = [words[field] for field in X87_FIELDS]
    found = int(fields != initial or any(words[X87 : X87 + 16]))
    for bit in (1, *(bit for bit, _, _ in COMPONENTS)):
        found |= any(_component_image(context, bit)) << bit
    return found


def _ldmxcsr(context: Context) -> None:
    check_state(context)
    span = locate(context, context.segment, effective_address(context), 4, write=False)
    value = context.load(span)
    if value & ~MXCSR_MASK:
        raise context.fault(GP)
    context.words[MXCSR] = value


def _stmxcsr(context: Context) -> None:
    check_state(context)
    span = locate(context, context.segment, effective_address(context), 4, write=True)
    context.store(span, context.words[MXCSR] & mask_of(4))


def _check_fxsave(context: Context) -> None:
    if context.words[CR0] & (CR0_EM | CR0_TS):
        raise context.fault(NM)


def _fxsave(context: Context) -> None:
    _check_fxsave(context)
    span = _locate_area(context, LEGACY_SIZE, 16, write=True)
    parts = [*_x87_parts(context), _mxcsr_part(context), (160, _component_image(context, 1))]
    store_parts(context, span, parts)


def _checked_mxcsr(context: Context, raw: bytes) -> int:
    value = int.from_bytes(raw, "little")
    if value & ~MXCSR_MASK:
        raise context.fault(GP)
    return value


def _fxrstor(context: Context) -> None:
    _check_fxsave(context)
    span = _locate_area(context, LEGACY_SIZE, 16, write=False)
    raw = load_part(context, span, 0, 160 + 16 * _registers(context))
    context.words[MXCSR] = _checked_mxcsr(context, raw[24:28])
    _load_x87(context, raw)
    _load_component(context, 1, raw[160:])


def _check_xsave(context: Context, *, supervisor: bool) -> int:
    """Return the components asked for that there are."""
    words = context.words
    if not words[CR4] & CR4_OSXSAVE:
        raise context.fault(UD)
    if words[CR0] & CR0_TS:
        raise context.fault(NM)
    if supervisor and context.cpl:
        raise context.fault(GP)
    asked = words[RDX] << 32 | words[RAX] & mask_of(4)
    return asked & (words[XCR0] | (words[XSS] if supervisor else 0)) & mask_of(8)


def _places(components: int, *, compacted: bool) -> tuple[dict[int, tuple[int, int]], int]:
    """Offset and size of each extended component, and the size of the area."""
    places, end = {}, AREA
    for bit, offset, size in COMPONENTS:
        if components >> bit & 1:
            places[bit] = (end if compacted else offset), size
            end = places[bit][0] + size
    return places, end


def _xsave(*, optimized: bool, compacted: bool, supervisor: bool) -> Handler:
    def execute(context: Context) -> None:
        asked = _check_xsave(context, supervisor=supervisor)
        places, size = _places(asked, compacted=compacted)
        span = _locate_area(context, size, 64, write=True)
        used = in_use(context)
        if compacted and context.words[MXCSR] != MXCSR_RESET:
            used |= SSE_BIT
        header = asked & used
        if not compacted:
            header |= int.from_bytes(load_part(context, span, HEADER, 8), "little") & ~asked
        parts = [(HEADER, header.to_bytes(8, "little"))]
        if compacted:
            parts.append((HEADER + 8, (asked | COMPACTED).to_bytes(8, "little")))
        saved = asked & used if optimized or compacted else asked
        with_mxcsr = saved & SSE_BIT if compacted else asked & (SSE_BIT | AVX_BIT)
        parts += _x87_parts(context) if saved & X87_BIT else []
        parts += [_mxcsr_part(context)] if with_mxcsr else []
        parts += [(160, _component_image(context, 1))] if saved & SSE_BIT else []
        for bit, (offset, _) in places.items():
            if saved >> bit & 1:
                parts.append((offset, _component_image(context, bit)))
        store_parts(context, span, parts)

    return execute


def _checked_header(context: Context, raw: bytes, *, supervisor: bool) -> tuple[int, int]:
    """XSTATE_BV and XCOMP_BV; #GP for what is reserved.

    The standard format does not ask for zeros above byte 23.
    """
    words = context.words
    present, format_word = (int.from_bytes(raw[at : at + 8], "little") for at in (0, 8))
    allowed = words[XCR0] | (words[XSS] if supervisor else 0)
    compacted = format_word & COMPACTED and words[FEATURES] & COMPACTING
    if compacted:
        bad = format_word & ~COMPACTED & ~allowed or present & ~format_word
    else:
        bad = format_word or present & ~allowed or supervisor
    if bad or present & COMPACTED or any(raw[16 : 64 if compacted else 24]):
        raise context.fault(GP)
    return present, format_word


def _xrstor(*, supervisor: bool) -> Handler:
    def execute(context: Context) -> None:
        words, asked = context.words, _check_xsave(context, supervisor=supervisor)
        span = _locate_area(context, AREA, 64, write=False)
        raw = load_part(context, span, HEADER, 64)
        present, format_word = _checked_header(context, raw, supervisor=supervisor)
        compacted = bool(format_word & COMPACTED)
        places, _ = _places(format_word if compacted else asked, compacted=compacted)
        wanted = {bit: place for bit, place in places.items() if asked >> bit & 1}
        size = max((at + length for at, length in wanted.values()), default=AREA)
        span = _locate_area(context, size, 64, write=False)
        with_mxcsr = asked & present & SSE_BIT if compacted else asked & (SSE_BIT | AVX_BIT)
        mxcsr = MXCSR_RESET if asked & SSE_BIT else words[MXCSR]
        if with_mxcsr:
            mxcsr = _checked_mxcsr(context, load_part(context, span, 24, 4))
        loaded = {
            bit: load_part(context, span, *wanted[bit]) for bit in wanted if present >> bit & 1
        }
        legacy = load_part(context, span, 0, 416) if asked & present & 3 else b""
        _restore(context, asked, legacy if present & 1 else b"", loaded)
        if asked & SSE_BIT:
            _load_component(context, 1, legacy[160:] if present & SSE_BIT else bytes(256))
        words[MXCSR] = mxcsr

    return execute


def _restore(context: Context, asked: int, legacy: bytes, loaded: dict[int, bytes]) -> None:
    """Commit the x87 unit and the extended components; what is not there becomes initial."""
    if asked & X87_BIT and legacy:
        _load_x87(context, legacy)
    elif asked & X87_BIT:
        initialize_x87(context.words)
        for word in range(16):
            context.words[X87 + word] = 0
    for bit, _, size in COMPONENTS:
        if asked >> bit & 1:
            _load_component(context, bit, loaded.get(bit, bytes(size)))


VECTOR_STATE: Final[dict[str, Handler]] = {
    "LDMXCSR": _ldmxcsr,
    "VLDMXCSR": _ldmxcsr,
    "STMXCSR": _stmxcsr,
    "VSTMXCSR": _stmxcsr,
    "FXSAVE": _fxsave,
    "FXRSTOR": _fxrstor,
    "XSAVE": _xsave(optimized=False, compacted=False, supervisor=False),
    "XSAVEOPT": _xsave(optimized=True, compacted=False, supervisor=False),
    "XSAVEC": _xsave(optimized=True, compacted=True, supervisor=False),
    "XSAVES": _xsave(optimized=True, compacted=True, supervisor=True),
    "XRSTOR": _xrstor(supervisor=False),
    "XRSTORS": _xrstor(supervisor=True),
}
