# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The pure-Python engine: fetch, decode, execute, commit; `csrc/run.c` is the same.

It is the reference for the native engine: same record, same order of checks, same outcomes. The one
thing it has of its own is a cache from code bytes to decoded instruction, since decoding in Python
costs more than executing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from vmmkit.insn._answers import begin_run
from vmmkit.insn._arithmetic import ARITHMETIC
from vmmkit.insn._bit_instructions import BIT_INSTRUCTIONS
from vmmkit.insn._breakpoints import CONTROL as DEBUG_CONTROL
from vmmkit.insn._breakpoints import COUNT, DEBUG, SKIP, WATCH_GUEST, begin_watching, report_hit
from vmmkit.insn._control import CONTROL
from vmmkit.insn._control_registers import CONTROL_REGISTERS
from vmmkit.insn._decimal import DECIMAL
from vmmkit.insn._decode import SEGMENT_PREFIX, SIZE_AND_LOCK, decode_fields
from vmmkit.insn._decode_checks import FAIL_UNKNOWN, FLAG_LOCK, TOO_LONG, TRUNCATED
from vmmkit.insn._delivery import BS, INTERRUPTS
from vmmkit.insn._descriptors import DESCRIPTORS
from vmmkit.insn._direct_stores import DIRECT_STORES
from vmmkit.insn._events import (
    EVENT,
    after_instruction,
    before_instruction,
    begin_delivery,
    code_stop,
    continue_delivery,
    needs_attention,
    raise_fault,
    wakes,
    watches,
)
from vmmkit.insn._exchange import EXCHANGE
from vmmkit.insn._execute import MOVES, RFLAGS, RIP, Handler
from vmmkit.insn._far import FAR
from vmmkit.insn._flag_moves import FLAG_MOVES
from vmmkit.insn._hints import HINTS
from vmmkit.insn._iret import IRET
from vmmkit.insn._lock import exclusive
from vmmkit.insn._memory import (
    BUDGET,
    DONE,
    FAULT,
    HALT,
    LOG_COUNT,
    LOG_PENDING,
    PAGE,
    STOP_UNSUPPORTED,
    Context,
    RamPiece,
    Stop,
)
from vmmkit.insn._msr import MODEL_SPECIFIC
from vmmkit.insn._page_modes import INTENT_FETCH
from vmmkit.insn._paging import translate
from vmmkit.insn._privilege import FEATURE_BITS
from vmmkit.insn._record import (
    EXIT_KINDS,
    MAX_LENGTH,
    PREFIX_BITS,
    RUN_BATCH,
    STEP_BATCH,
    WORD,
)
from vmmkit.insn._segments import BASE, CS, GP, SEGMENT, UD, begin_mode, is_canonical, linear_rip
from vmmkit.insn._segments import LIMIT as SEGMENT_LIMIT
from vmmkit.insn._stack import RF, STACK, TF
from vmmkit.insn._string import STRING
from vmmkit.insn._syscalls import SYSCALLS
from vmmkit.insn._system import SYSTEM
from vmmkit.insn._transfer import TRANSFER
from vmmkit.insn._vector import VECTOR
from vmmkit.insn._vector_state import VECTOR_STATE
from vmmkit.insn._x87 import X87
from vmmkit.insn._xcr0 import XCR0_INSTRUCTIONS
from vmmkit.insn.optable import NO_FEATURE, OPS, ROW_WITHOUT, ROWS, Row

__all__ = ["EXECUTE", "NAME", "Core", "Decoder"]

Insn = TypeVar("Insn", bound=tuple[int, ...])
PublicDecode = TypeVar("PublicDecode", bound=Callable[..., object])

NAME: Final = "pure"
STALE: Final = EXIT_KINDS.index("STALE")
TRIPLE_FAULT: Final = EXIT_KINDS.index("TRIPLE_FAULT")

SHADOW: Final = WORD["interrupt_shadow"]
RETIRED: Final = WORD["retired"]
LIMIT: Final = WORD["limit"]
BATCH: Final = WORD["batch"]
KICK: Final = WORD["kick"]
PAGE_COUNT: Final = WORD["page_count"]
CODE_RIP: Final = WORD["code_rip"]
CODE_MODE: Final = WORD["code_mode"]
CODE_LENGTH: Final = WORD["code_length"]
CODE: Final = WORD["code"]
REFUSED: Final = WORD["refused"]
CODE_GIVEN: Final = WORD["code_given"]
FEATURES: Final = WORD["features"]
EXIT_SIZE: Final = WORD["exit_size"]
EXIT_VALUE: Final = WORD["exit_value"]

REX2: Final = PREFIX_BITS["REX2"]
OTHER_FEATURES: Final = FEATURE_BITS["OTHER"]
VECTOR_PREFIXES: Final = PREFIX_BITS["VEX"] | PREFIX_BITS["EVEX"]
VECTOR_BYTES: Final = (b"\x62", b"\xc4", b"\xc5")
LEGACY_PREFIXES: Final = bytes((*SIZE_AND_LOCK, *SEGMENT_PREFIX))
ALL_ONES: Final = (1 << 64) - 1
LARGEST_BUDGET: Final = (1 << 63) - 1
CACHE_CAPACITY: Final = 4096

_HANDLERS: Final[dict[str, Handler]] = {
    **MOVES,
    **STACK,
    **CONTROL,
    **STRING,
    **ARITHMETIC,
    **BIT_INSTRUCTIONS,
    **FLAG_MOVES,
    **DECIMAL,
    **EXCHANGE,
    **TRANSFER,
    **HINTS,
    **CONTROL_REGISTERS,
    **DESCRIPTORS,
    **SYSCALLS,
    **MODEL_SPECIFIC,
    **SYSTEM,
    **FAR,
    **IRET,
    **INTERRUPTS,
    **VECTOR,
    **VECTOR_STATE,
    **DIRECT_STORES,
    **X87,
    **XCR0_INSTRUCTIONS,
}


def _handler(row: Row) -> Handler | None:
    handler = _HANDLERS.get(OPS[row.op])
    return exclusive(handler) if handler is not None and row.flags & FLAG_LOCK else handler


EXECUTE: Final[tuple[Handler | None, ...]] = tuple(_handler(row) for row in ROWS)


class Decoder(Generic[Insn]):
    """The decoder, making named tuples of the caller's type."""

    def __init__(self, instruction: Callable[..., Insn]) -> None:
        """Bind the type, whose fields are `INSN_FIELDS`."""
        self._instruction = instruction

    def decode(self, code: object, mode: object) -> Insn | int | None:
        """Decode `bytes` in mode 16, 32 or 64, as `BoundDecoder` says."""
        if type(code) is not bytes or type(mode) is not int or mode not in {16, 32, 64}:
            return None
        fields = decode_fields(code, mode)
        return fields if isinstance(fields, int) else self._instruction(*fields)

    def shortcut(self, function: PublicDecode) -> PublicDecode:
        """Return the public `decode` as it is; only the native engine knows a shorter way."""
        return function


class Core:
    """One vCPU record and its RAM, bound to this engine."""

    def __init__(
        self,
        record: bytearray,
        ram: tuple[RamPiece, ...],
        blocks: bool,
        deliver: bool,
        wide: bool,
    ) -> None:
        """Bind `record` (`CPU_FIELDS`, 8 bytes a word) and the RAM pieces.

        `blocks`: whether repeated string instructions may stop for blocks. `deliver`: whether
        exceptions and interrupts go to the guest. `wide`: whether devices take vectors at once.
        """
        self._deliver = deliver
        self._context = Context(memoryview(record).cast("Q"), ram, blocks=blocks, wide=wide)
        self._cache: dict[tuple[int, bytes], tuple[int, ...] | int] = {}

    def step(self, answer: int) -> int:
        """Execute one instruction, or `STEP_BATCH` elements of a repeated one.

        `answer` goes to the access that awaits one. Returns a number of `EXIT_KINDS`.
        """
        words = self._context.words
        words[LIMIT], words[BATCH] = words[RETIRED] + 1 & ALL_ONES, STEP_BATCH
        return self.resume(answer)

    def advance(self, answer: object) -> None:
        """Do nothing: what this saves the native engine does not show here."""

    def proceed(self, budget: int, answer: object) -> None:
        """Do nothing, as `advance`."""

    def run(self, budget: int, answer: int) -> int:
        """Execute up to `budget` instructions; else as `step`."""
        words = self._context.words
        words[LIMIT], words[BATCH] = words[RETIRED] + budget & ALL_ONES, 0
        return self.resume(answer)

    def resume(self, answer: int) -> int:
        """Go on with the step or run that stopped for a device access."""
        context, words = self._context, self._context.words
        in_flight = words[LOG_PENDING] != 0  # goes on whatever the limit
        if begin_run(context, answer):
            return STALE
        while True:
            left = words[LIMIT] - words[RETIRED] & ALL_ONES  # both counters may wrap
            kicked = words[KICK] and not words[BATCH]  # a step is no run
            if not 0 < left <= LARGEST_BUDGET or kicked:
                if not in_flight:
                    if 0 < left <= LARGEST_BUDGET:  # else a slice of a longer run may end
                        words[KICK] = 0
                    return BUDGET
                left = 1
            kind = self._next(words[BATCH] or min(left, RUN_BATCH), resumes=in_flight)
            in_flight = False
            if kind != DONE:
                return kind

    def _next(self, batch: int, *, resumes: bool) -> int:
        """Deliver an event, or execute one instruction or one batch of a repeated one."""
        context = self._context
        words = context.words
        if words[EVENT]:
            return self._delivered(continue_delivery(context))
        if not resumes and (words[COUNT] or (self._deliver and needs_attention(context))):
            kind = before_instruction(context) if self._deliver else code_stop(context)
            if kind:
                return kind
            if words[EVENT]:
                return self._delivered(begin_delivery(context))
        return self._one(batch)

    def _delivered(self, kind: int) -> int:
        return kind if kind in {DONE, TRIPLE_FAULT} else _stopped(self._context, kind)

    def _one(self, batch: int) -> int:
        """Execute one instruction, or one batch of a repeated one."""
        context = self._context
        try:
            kind = self._execute(batch)
        except Stop as stop:
            if stop.kind != FAULT or not self._deliver:
                return _stopped(context, stop.kind)
            raise_fault(context)
            return self._delivered(begin_delivery(context))
        return self._completed(kind)

    def _execute(self, batch: int) -> int | None:
        context = self._context
        words = context.words
        context.ordinal = context.pages = 0
        context.pages_known = words[PAGE_COUNT]
        context.elements = 1
        context.batch = batch
        context.shadow = context.debug = 0
        context.keeps_rf = False
        context.watched = context.hit = 0
        begin_mode(context)
        if self._deliver:
            context.debug = BS if words[RFLAGS] & TF else 0
            context.watched = WATCH_GUEST if watches(context) else 0
            if context.debug or context.watched:
                context.batch = 1
        if words[COUNT]:
            begin_watching(context, linear_rip(context))
        self._fetch()
        row = self._load_fields()
        # SDM vol. 2A, "Exception Specifications of VEX-Encoded GPR Instructions"
        if context.real and context.prefixes & VECTOR_PREFIXES:
            raise context.fault(UD)
        handler = EXECUTE[_visible(context, row)]
        if context.prefixes & REX2:
            raise _unknown(context)
        if handler is None:
            raise context.unsupported("OPCODE", words[RIP])
        return handler(context)

    def _completed(self, kind: int | None) -> int:
        """Commit what every instruction commits at its end, or at the end of a batch."""
        context = self._context
        words = context.words
        words[LOG_COUNT] = words[PAGE_COUNT] = words[CODE_LENGTH] = words[CODE_GIVEN] = 0
        words[SHADOW] = context.shadow
        if words[DEBUG_CONTROL]:
            words[DEBUG_CONTROL] &= ~SKIP
        if self._deliver:
            after_instruction(context, complete=kind != BUDGET)
        elif kind != BUDGET and not context.keeps_rf:
            words[RFLAGS] &= ~RF
        if kind == BUDGET:  # the batch is used up, the instruction is not
            return report_hit(context) if context.hit else DONE
        words[RIP] = context.next_rip
        words[RETIRED] = words[RETIRED] + 1 & ALL_ONES
        if context.hit and kind is None:
            return report_hit(context)
        if kind == HALT and self._deliver and wakes(context):
            return DONE
        return DONE if kind is None else kind

    def _fetch(self) -> None:
        """Fill `context.code`: what was latched for the instruction, and the rest from memory."""
        context = self._context
        words = context.words
        length = words[CODE_LENGTH] & MAX_LENGTH
        if length:
            latched = words[CODE] | words[CODE + 1] << 64
            context.code = latched.to_bytes(16, "little")[:length]
            if self._fields() != TRUNCATED:
                return
        else:
            context.code = b""
            context.code = _fetch_page(context, words[RIP], MAX_LENGTH)
        wrap = (1 << 64 if context.mode == 64 else 1 << 32) - 1
        while len(context.code) < MAX_LENGTH and self._fields() == TRUNCATED:
            length = len(context.code)
            rip = words[RIP] + length & wrap
            context.code += _fetch_page(context, rip, MAX_LENGTH - length)
        # The answers so far were for the page tables on the way to the code.
        context.forget_accesses()
        words[CODE_LENGTH] = len(context.code)

    def _fields(self) -> tuple[int, ...] | int:
        context = self._context
        key = (context.mode, context.code)
        fields = self._cache.get(key)
        if fields is None:
            if len(self._cache) >= CACHE_CAPACITY:
                self._cache.clear()
            fields = self._cache[key] = decode_fields(context.code, context.mode)
        return fields

    def _load_fields(self) -> int:
        """Spread the decoded record over the context; return the row number."""
        context = self._context
        fields = self._fields()
        if isinstance(fields, int):
            raise _refusal(context, fields)
        (
            context.displacement,
            context.immediate,
            context.second_immediate,
            row,
            context.modrm,
            context.prefixes,
            context.rex,
            context.memory_size,
            length,
            _,
            context.opcode,
            context.operand_size,
            context.address_size,
            context.segment,
            context.reg_base,
            context.index,
            context.scale,
            _,
            context.vvvv,
            context.vector_length,
            context.mask,
        ) = fields
        context.row = ROWS[row]
        wrap = (1 << 64 if context.mode == 64 else 1 << 32) - 1
        context.next_rip = context.words[RIP] + length & wrap
        return row


def _fetch_page(context: Context, rip: int, wanted: int) -> bytes:
    """Fetch up to `wanted` bytes without leaving the page or the code segment."""
    if context.mode == 64:
        linear = rip
        if not is_canonical(context, linear):
            raise context.fault(GP)
    else:
        start = SEGMENT + 4 * CS
        limit = context.words[start + SEGMENT_LIMIT]
        if rip > limit:
            raise context.fault(GP)
        wanted = min(wanted, limit - rip + 1)
        linear = context.words[start + BASE] + rip & 0xFFFF_FFFF
    wanted = min(wanted, PAGE - (linear & PAGE - 1))
    gpa = translate(context, linear, INTENT_FETCH)
    piece = context.piece_at(gpa, wanted)
    if piece is None:
        raise context.unsupported("NO_CODE", gpa)
    return bytes(piece.view[gpa - piece.gpa : gpa - piece.gpa + wanted])


def _visible(context: Context, row: int) -> int:
    """The row itself, or what a processor without its feature makes of it."""
    feature = context.row.feature
    if feature == NO_FEATURE or context.words[FEATURES] >> feature & 1:
        return row
    row = ROW_WITHOUT[row]
    if not row:
        raise context.fault(UD)
    context.row = ROWS[row]
    return row


def _refusal(context: Context, failure: int) -> Stop:
    """What the processor does with bytes that are no instruction, or that we do not know.

    Without VEX and EVEX, as in real-address and virtual-8086 mode, LES, LDS and BOUND with a
    register are #UD, whatever follows.
    """
    vector = context.real and context.code.lstrip(LEGACY_PREFIXES)[:1] in VECTOR_BYTES
    if failure == FAIL_UNKNOWN and not vector:
        return _unknown(context)
    return context.fault(GP if failure == TOO_LONG else UD)


def _unknown(context: Context) -> Stop:
    """Stop at what belongs to a feature that has no bit; a guest that was shown none has #UD."""
    if context.words[FEATURES] & OTHER_FEATURES:
        return context.unsupported("OPCODE", context.words[RIP])
    return context.fault(UD)


def _stopped(context: Context, kind: int) -> int:
    """Keep the code of an instruction that waits for a device; forget any other."""
    words = context.words
    packed = int.from_bytes(context.code, "little")
    words[CODE] = packed & (1 << 64) - 1
    words[CODE + 1] = packed >> 64
    if kind == STOP_UNSUPPORTED:
        words[EXIT_SIZE] = len(context.code)
    if kind in {FAULT, STOP_UNSUPPORTED, DEBUG}:
        words[LOG_COUNT] = words[PAGE_COUNT] = words[CODE_LENGTH] = words[CODE_GIVEN] = 0
    else:
        words[PAGE_COUNT] = context.pages
    words[CODE_RIP], words[CODE_MODE] = words[RIP], context.mode
    return kind
