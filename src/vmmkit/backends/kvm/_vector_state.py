# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""x87, vector, mask and protection-key registers: a vCPU's record and its XSAVE area.

KVM_GET_XSAVE gives the area in the standard format (SDM vol. 1, "XSAVE Area"), with the components
where CPUID leaf 0DH of the host says. Its legacy region is that of FXSAVE64, which has 64-bit
pointers to the last x87 instruction and operand, and no selectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from vmmkit.insn import WORD

__all__ = ["XsaveLayout"]

# Of the legacy region: control, status, tags, opcode, instruction and operand pointer, MXCSR.
HEAD: Final = Struct("<HHBxHQQI")
ST_WORD: Final = 32 // 8
XMM_WORD: Final = 160 // 8
COMPONENTS_WORD: Final = 512 // 8  # XSTATE_BV, the first word of the XSAVE header
X87, SSE, AVX, OPMASK, ZMM_HIGH, ZMM_MORE, PKRU = 0, 1, 2, 5, 6, 7, 9
KEPT: Final = sum(1 << each for each in (X87, SSE, AVX, OPMASK, ZMM_HIGH, ZMM_MORE, PKRU))
"""What the record has; the rest of an area goes back as it came."""
LEGACY: Final = 1 << X87 | 1 << SSE
DEFAULT_PLACES: Final = {AVX: 576, OPMASK: 1088, ZMM_HIGH: 1152, ZMM_MORE: 1664, PKRU: 2688}
TOP_SHIFT: Final = 11
VECTOR: Final = WORD["vector"]
LANES: Final = 8  # words of a ZMM register
LOW_HALF: Final = 16  # of the vector registers: those that have components of their own
MASKS: Final = WORD["opmask"]
PKRU_WORD: Final = WORD["pkru"]
X87_WORD: Final = WORD["x87"]
CONTROL: Final = WORD["x87_control"]
STATUS: Final = WORD["x87_status"]
TAG: Final = WORD["x87_tag"]
OPCODE: Final = WORD["x87_opcode"]
IP: Final = WORD["x87_ip"]
DP: Final = WORD["x87_dp"]
MXCSR: Final = WORD["mxcsr"]
# Component: first lane of each register, lanes.
LANES_OF: Final = {SSE: (0, 2), AVX: (2, 2), ZMM_HIGH: (4, 4)}


class XsaveLayout:
    """Where the components stand.

    Args:
        places: `(component, offset)` pairs as CPUID leaf 0DH has them; what is missing is where
            Intel's processors have it.
        components: bits of the components that the guest can have.
    """

    __slots__ = ("_components", "_place")

    def __init__(self, places: Iterable[tuple[int, int]], components: int) -> None:
        """Keep the places of what there is."""
        self._components = components & KEPT
        known = {**DEFAULT_PLACES, **dict(places)}
        self._place = {number: known[number] // 8 for number in known if components >> number & 1}
        self._place[SSE] = XMM_WORD

    def pull(self, words: memoryview, area: memoryview) -> None:
        """Fill the record from an area, given as 64-bit words."""
        present = area[COMPONENTS_WORD]  # of others the area may have what was there before
        _pull_x87(words, area, bool(present >> X87 & 1))
        for component, (lane, lanes) in LANES_OF.items():
            place = self._place.get(component)
            for number in range(lanes):
                target = _lane(words, lane + number)
                if place is None or not present >> component & 1:
                    target[:] = NO_LANES
                else:
                    target[:] = area[place + number : place + lanes * LOW_HALF : lanes]
        more = words[VECTOR + LOW_HALF * LANES : VECTOR + 2 * LOW_HALF * LANES]
        self._pull_whole(more, area, ZMM_MORE, present)
        self._pull_whole(words[MASKS : MASKS + 8], area, OPMASK, present)
        self._pull_whole(words[PKRU_WORD : PKRU_WORD + 1], area, PKRU, present)

    def _pull_whole(
        self, target: memoryview, area: memoryview, component: int, present: int
    ) -> None:
        place = self._place.get(component)
        if place is None or not present >> component & 1:
            target[:] = memoryview(bytes(target.nbytes)).cast("Q")
        else:
            target[:] = area[place : place + len(target)]

    def push(self, words: memoryview, area: memoryview) -> None:
        """Fill an area, given as 64-bit words, from the record."""
        _push_x87(words, area)
        area[COMPONENTS_WORD] |= self._components | LEGACY
        for component, (lane, lanes) in LANES_OF.items():
            place = self._place.get(component)
            if place is not None:
                for number in range(lanes):
                    last = place + lanes * LOW_HALF
                    area[place + number : last : lanes] = _lane(words, lane + number)
        for component, start, count in WHOLE:
            place = self._place.get(component)
            if place is not None:
                area[place : place + count] = words[start : start + count]


WHOLE: Final = (
    (ZMM_MORE, VECTOR + LOW_HALF * LANES, LOW_HALF * LANES),
    (OPMASK, MASKS, 8),
    (PKRU, PKRU_WORD, 1),
)
INITIAL: Final = 0x37F, 0, 0, 0, 0, 0  # control, status, tags, opcode, pointers
NO_AREA: Final = memoryview(bytes(512)).cast("Q")
NO_LANES: Final = memoryview(bytes(8 * LOW_HALF)).cast("Q")


def _lane(words: memoryview, lane: int) -> memoryview:
    """One 64-bit lane of each of the first sixteen vector registers."""
    return words[VECTOR + lane : VECTOR + LANES * LOW_HALF : LANES]


def _pull_x87(words: memoryview, area: memoryview, present: bool) -> None:
    control, status, tag, opcode, ip, dp, mxcsr = HEAD.unpack_from(area)
    if not present:
        control, status, tag, opcode, ip, dp = INITIAL
        area = NO_AREA
    for word, value in ((CONTROL, control), (STATUS, status), (TAG, tag), (OPCODE, opcode)):
        words[word] = value
    words[IP], words[DP], words[MXCSR] = ip, dp, mxcsr
    # The area has the registers by their place in the stack, the record by number.
    first = 2 * (status >> TOP_SHIFT & 7)
    words[X87_WORD + first : X87_WORD + 16] = area[ST_WORD : ST_WORD + 16 - first]
    words[X87_WORD : X87_WORD + first] = area[ST_WORD + 16 - first : ST_WORD + 16]


def _push_x87(words: memoryview, area: memoryview) -> None:
    values = [words[word] for word in (CONTROL, STATUS, TAG, OPCODE, IP, DP, MXCSR)]
    HEAD.pack_into(area, 0, *values)
    first = 2 * (words[STATUS] >> TOP_SHIFT & 7)
    area[ST_WORD : ST_WORD + 16 - first] = words[X87_WORD + first : X87_WORD + 16]
    area[ST_WORD + 16 - first : ST_WORD + 16] = words[X87_WORD : X87_WORD + first]
