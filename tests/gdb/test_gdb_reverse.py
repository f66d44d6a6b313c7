# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""gdb goes backwards through guests."""

import re
from functools import partial

import pytest

from gdb.debug_session import assert_clean, line_of
from vmmkit.backends.recording_target import RecordingTarget

SECOND = line_of("spin.c", "/* second */")
LOOP = line_of("kernel.c", "/* in the loop */")
BOTTOM = line_of("kernel.c", "/* bottom of the recursion */")
END = line_of("kernel.c", "/* the end */")
START = "Reached end of recorded history"


@pytest.fixture(params=[50, 100_000])
def recorded(debug, request):
    """Return a maker of sessions that are recorded, with many checkpoints or one."""
    return partial(debug, target=partial(RecordingTarget, interval=request.param))


def test_instructions_and_lines(recorded):
    run = recorded("kernel").gdb(
        f"tbreak kernel.c:{LOOP}",
        "continue",
        "print $pc",
        "stepi 50",
        "reverse-stepi 50",
        "print $pc",
        "finish",
        "reverse-step",
        "reverse-finish",
        "reverse-next",
        "reverse-next",
        "reverse-next",
    )
    *_, = run.replies
    print("\n".join(run.replies))
    assert 0


def test_to_breakpoints(recorded):
    run = recorded("kernel").gdb(
        f"break kernel.c:{BOTTOM}",
        f"tbreak kernel.c:{END}",
        "continue",
        "continue",
        "reverse-continue",
        "backtrace",
        "delete",
        f"break kernel.c:{LOOP} if i == 7",
        f"tbreak kernel.c:{END}",
        "continue",
        "reverse-continue",
        "print i",
        "print counter",
        "delete",
        "reverse-continue",
        "print $pc == &_start",
        f"tbreak kernel.c:{END}",
        "continue",
        "print counter",
    )
    print("\n".join(run.replies))
    assert 0


def test_to_the_write(recorded):
    run = recorded("kernel").gdb(
        f"tbreak kernel.c:{END}",
        "continue",
        "watch counter",
        "reverse-continue",
        "reverse-continue",
        "frame",
        "continue",
        "delete",
        "rwatch table[3]",
        "reverse-continue",
        "frame",
        "info threads",
    )
    print("\n".join(run.replies))
    assert 0


def test_through_interrupts(recorded):
    run = recorded("spin").gdb(
        "break timer if ticks == 20",
        "continue",
        "print turns",
        "reverse-stepi",
        "bt",
        "stepi",
        "bt",
        "break timer if ticks == 10",
        "reverse-continue",
        "print ticks",
    )
    print("\n".join(run.replies))
    assert 0
