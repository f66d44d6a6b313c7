# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What vector instructions are computed from, and where to; `csrc/vector_sources.c` is the same."""

from __future__ import annotations

from collections.abc import Sequence

from vmmkit.insn._memory import Context
from vmmkit.insn._record import MASK_BITS
from vmmkit.insn._vector_operands import (
    MASKS,
    bits_of_bytes,
    enabled_lanes,
    load_operand,
    names_memory,
    operand_size,
    read_register_operand,
    spread,
    write_register_operand,
)
from vmmkit.insn.optable import KINDS, VectorOperation

__all__ = ["Sources"]

NONE, I = KINDS.index(" "), KINDS.index("I")  # noqa: E741


class Sources:
    """The operands of one instruction, and what they say about the result."""

    __slots__ = ("context", "enabled", "lane", "last", "operation", "width")

    def __init__(self, context: Context, operation: VectorOperation) -> None:
        """Find the last source and the width of the result."""
        self.context, self.operation, self.lane = context, operation, operation.lane
        kinds = context.row.kinds
        self.last = max(place for place in range(4) if kinds[place] not in (NONE, I))
        place = 1 if kinds[0] in MASKS else 0
        self.width = operand_size(context, place)
        self.enabled = enabled_lanes(context, max(1, self.width // self.lane))

    def load(self, size: int, enabled: int) -> int:
        """The last source, of which the bytes in `enabled` matter if it is in memory."""
        context = self.context
        if not names_memory(context, self.last):
            return read_register_operand(context, self.last, size)
        return load_operand(context, self.operation, enabled)

    def first(self) -> int:
        """The first of two sources: an operand of its own, or the destination."""
        place = 1 if self.last > 1 else 0
        return read_register_operand(self.context, place, self.width)

    def write(self, result: int) -> None:
        """Write lanes that the opmask lets through; the others are kept, or zero."""
        context, width = self.context, self.width
        if context.mask & 7:
            through = spread(self.enabled, self.lane)
            bits = spread(through, 8)
            old = 0
            if not context.mask & MASK_BITS["Z"]:
                old = read_register_operand(context, 0, width)
            result = result & bits | old & ~bits
        write_register_operand(context, 0, width, result)

    def write_mask(self, lanes: Sequence[int]) -> None:
        """Write one bit for each lane that is not 0 to an opmask register."""
        bits = sum(1 << place for place, lane in enumerate(lanes) if lane)
        write_register_operand(self.context, 0, 8, bits & self.enabled)

    def suppressed(self) -> int:
        """The bytes of a source whose lanes are those of the result."""
        return spread(self.enabled, self.lane)

    def touched(self) -> int:
        """The same for a source that may be in memory: some functions need all of it."""
        return self.suppressed() if self.operation.suppresses else bits_of_bytes(self.width)
