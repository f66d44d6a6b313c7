# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The data of block outcomes: between the RAM that a `Cpu` was handed and its caller.

An engine says where the RAM side of a block is and counts the elements done; it does not move the
bytes. That is done here, for both engines: the exit record names element size, count and
`block_ram`, and stays as it is until the block is answered.
"""

from __future__ import annotations

from typing import Final

from vmmkit.errors import StepError
from vmmkit.insn._memory import BLOCK_READ, BLOCK_WRITE, PAGE, PORT_BLOCK_IN, RamPiece
from vmmkit.insn._outcomes import BlockWrite, PortBlockOut
from vmmkit.insn._record import EXIT_KINDS, NO_RAM, WORD

__all__ = ["Ram", "block_data", "block_outcome", "take_block"]

Ram = tuple[RamPiece, ...]

RAX: Final = 0
ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]
COUNT: Final = WORD["exit_value"]
BLOCK_RAM: Final = WORD["block_ram"]
PENDING: Final = WORD["log_pending"]
INTO_RAM: Final = (BLOCK_READ, PORT_BLOCK_IN)
SIZES: Final = (1, 2, 4, 8)


def block_data(ram: Ram, words: memoryview) -> memoryview:
    """Bytes of the block in flight: the RAM to fill, or (read-only) what goes to the device.

    Raises:
        StepError: the RAM of the block is not in `ram`, or somebody else wrote the record and it
            describes no block that an engine offers.
    """
    gpa, size, count = words[BLOCK_RAM], words[SIZE], words[COUNT]
    length, fills = size * count, words[PENDING] in INTO_RAM
    if size in SIZES and 0 < length <= PAGE:
        if gpa == NO_RAM and not fills:
            return memoryview(words[RAX : RAX + 1].tobytes()[:size] * count)
        for piece in ram:
            if piece.gpa <= gpa and gpa + length - 1 <= piece.last and piece.writable >= fills:
                data = piece.view[gpa - piece.gpa : gpa - piece.gpa + length]
                return data if fills else data.toreadonly()
    message = f"the block in flight has {length:#x} bytes of RAM at {gpa:#x}; there is none here"
    raise StepError(message)


def block_outcome(ram: Ram, words: memoryview, kind: int) -> BlockWrite | PortBlockOut:
    """Build the outcome of a block that goes to a device, with a copy of its data."""
    outcome = BlockWrite if kind == BLOCK_WRITE else PortBlockOut
    return outcome(words[ADDRESS], words[SIZE], words[COUNT], bytes(block_data(ram, words)))


def take_block(ram: Ram, words: memoryview, answer: object) -> int:
    """Check the answer to the block in flight and put data that was read into RAM.

    Returns:
        The number of elements done.

    Raises:
        StepError: an answer that is no whole number of elements, or more than were offered.
    """
    kind, size, count = words[PENDING], words[SIZE], words[COUNT]
    if kind in INTO_RAM:
        return _take_bytes(block_data(ram, words), size, answer)
    if answer is None:
        return count
    if isinstance(answer, int) and 0 <= answer <= count:
        return answer
    message = f"a {EXIT_KINDS[kind]} of {count} elements has done all or some, not {answer!r:.60}"
    raise StepError(message)


def _take_bytes(data: memoryview, size: int, answer: object) -> int:
    try:
        read = memoryview(answer)  # type: ignore[arg-type]
        length = read.nbytes
        read = read.cast("B") if length else memoryview(b"")
    except (TypeError, ValueError) as error:
        message = f"a block is answered with the bytes read, not {answer!r:.60}"
        raise StepError(message) from error
    if length > data.nbytes or length % size:
        message = (
            f"a block of {data.nbytes} bytes is answered with at most so many, in elements of "
            f"{size}, not with {length}"
        )
        raise StepError(message)
    data[:length] = read
    return length // size
