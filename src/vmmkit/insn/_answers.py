# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How an instruction in flight goes on: what the caller answered; `csrc/answers.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import (
    BLOCK_ANSWER,
    BLOCK_KINDS,
    ENQUEUE,
    LOG_COUNT,
    LOG_PENDING,
    LOG_VALUE,
    PORT_IN,
    READ,
    VALUE_KINDS,
    WIDE_VALUE,
    WRITE,
    Context,
)
from vmmkit.insn._record import LOG_CAPACITY, WORD
from vmmkit.insn._segments import begin_mode

__all__ = ["begin_run"]

RIP: Final = WORD["rip"]
PAGE_COUNT: Final = WORD["page_count"]
CODE_RIP: Final = WORD["code_rip"]
CODE_MODE: Final = WORD["code_mode"]
CODE_LENGTH: Final = WORD["code_length"]
CODE_GIVEN: Final = WORD["code_given"]
REFUSED: Final = WORD["refused"]
EXIT_SIZE: Final = WORD["exit_size"]
EXIT_VALUE: Final = WORD["exit_value"]
WORD_BYTES: Final = 8
ALL_ONES: Final = (1 << 64) - 1


def begin_run(context: Context, answer: int) -> bool:
    """Take the answer for the instruction in flight, or forget what is left of an abandoned one.

    Returns whether RIP or mode have changed under the instruction: the caller's mistake.
    """
    words = context.words
    if not words[LOG_PENDING]:
        words[LOG_COUNT] = words[PAGE_COUNT] = words[BLOCK_ANSWER] = words[REFUSED] = 0
        if not words[CODE_GIVEN]:
            words[CODE_LENGTH] = 0
            return False
    begin_mode(context)
    moved = words[CODE_RIP] != words[RIP] or words[CODE_MODE] != context.mode
    if not words[LOG_PENDING]:
        if moved:
            words[CODE_LENGTH] = words[CODE_GIVEN] = 0
        return False
    if moved:
        return True
    _take_answer(words, answer)
    return False


def _take_answer(words: memoryview, answer: int) -> None:
    """Log the answer to the access that awaits one; writes are answered by nothing.

    The size is one of the engine's own unless somebody else wrote the record.
    """
    if words[LOG_PENDING] in BLOCK_KINDS:
        words[BLOCK_ANSWER] = min(answer, words[EXIT_VALUE]) + 1 & ALL_ONES
        words[LOG_PENDING] = 0
        return
    pending, size = words[LOG_PENDING], words[EXIT_SIZE]
    words[LOG_PENDING] = 0
    if size > WORD_BYTES and pending in {READ, WRITE, ENQUEUE}:
        _take_wide_answer(words, reads=pending == READ)
        return
    if pending in VALUE_KINDS:
        size = WORD_BYTES
    elif pending not in {READ, PORT_IN}:
        size = 0
    words[LOG_VALUE + words[LOG_COUNT] % LOG_CAPACITY] = answer & mask_of(min(size, WORD_BYTES))
    words[LOG_COUNT] = words[LOG_COUNT] + 1 & ALL_ONES


def _take_wide_answer(words: memoryview, *, reads: bool) -> None:
    """Log the answer in `wide_value`, a word for every 8 bytes."""
    for number in range(min(words[EXIT_SIZE], 64) // 8):
        slot = LOG_VALUE + words[LOG_COUNT] % LOG_CAPACITY
        words[slot] = words[WIDE_VALUE + number] if reads else 0
        words[LOG_COUNT] = words[LOG_COUNT] + 1 & ALL_ONES
