# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The test machine with what delivery needs: an interrupt table, a GDT with both rings, a TSS.

The layout adds to that of `insn.machine`::

    03000-03FFF  IDT, or the IVT of real-address mode
    04000-04FFF  handlers: that of vector n begins at 4000 + 10 n (NOPs)
    05000        GDT (see the selectors below)
    05800        TSS
    06000        stacks: IST 1 down from 6200, ring 0 down from 6800

Gates are interrupt gates of DPL 0 unless a test replaces them.
"""

from insn.machine import CODE, CODE16, CODE32, CODE64, GDT, STACK, TSS, Machine
from vmmkit.insn import Segment

IDT, HANDLERS, IST_STACK, RING0_STACK = 0x3000, 0x4000, 0x6200, 0x6800
CODE0, DATA0, CODE3, DATA3, CONFORMING, LOWER, SPARE = (8 * number for number in range(1, 8))
CODE16_0, NARROW_STACK = 0x40, 0x48
INTERRUPT, TRAP, TASK = 0xE, 0xF, 0x5
TF, IF, IOPL, NT, RF, VM, AC = 1 << 8, 1 << 9, 3 << 12, 1 << 14, 1 << 16, 1 << 17, 1 << 18
WIDTH = {"real": 2, "pm16": 2, "pm32": 4, "pg32": 4, "pae": 4, "compat": 8, "long": 8}
CODE_OF = {"pm16": CODE16, "pm32": CODE32, "pg32": CODE32, "pae": CODE32}
TSS32, TSS16 = 0x8B, 0x83
CR2_MODES = ("pg32", "pae", "long")


def handler(vector):
    """Offset of a vector's handler."""
    return HANDLERS + 16 * vector


class Kernel(Machine):
    """A machine that delivers events."""

    def __init__(self, engine, mode, code="", registers=None, *, deliver=True):
        super().__init__(engine, mode, code)
        self.cpu = self.cpu_on(engine, deliver=deliver)
        self.poke(HANDLERS, b"\x90" * 0x1000)
        if mode == "real":
            self._real_table()
        else:
            self._protected_tables()
        for name, value in (registers or {}).items():
            self.set(name, value)

    @property
    def long_mode(self):
        return self.mode in {"compat", "long"}

    def _real_table(self):
        for vector in range(256):
            self.poke(IDT + 4 * vector, handler(vector), 4)
        self.state.idtr_base, self.state.idtr_limit = IDT, 0x3FF

    def _protected_tables(self):
        state = self.state
        code = CODE_OF.get(self.mode, CODE64)
        flat = 0xFFFFF if code != CODE16 else 0xFFFF
        data = 0xC093 if code != CODE16 else 0x8093
        for selector, attributes in (
            (CODE0, code), (DATA0, data), (CODE3, code | 0x60), (DATA3, data | 0x60),
            (CONFORMING, code | 4), (LOWER, code | 0x20), (CODE16_0, CODE16),
            (NARROW_STACK, 0x8093),
        ):  # fmt: skip
            self.descriptor(selector // 8, 0, flat, attributes)
        for vector in range(256):
            self.gate(vector)
        state.idtr_base, state.idtr_limit = IDT, 0xFFF if self.long_mode else 0x7FF
        state.tr = Segment(0x50, TSS, 0x67, TSS32)
        if self.long_mode:
            self.poke(TSS + 4, RING0_STACK, 8)
            self.poke(TSS + 36, IST_STACK, 8)
        else:
            self.poke(TSS + 4, RING0_STACK, 4)
            self.poke(TSS + 8, DATA0, 2)
        if self.mode == "compat":
            self.descriptor(SPARE // 8, 0, 0xFFFFF, CODE32)
            state.cs = Segment(SPARE, 0, 0xFFFF_FFFF, CODE32)

    def gate(self, vector, kind=INTERRUPT, *, selector=CODE0, offset=None, dpl=0, p=1, ist=0):
        """Write a gate of the IDT."""
        offset = handler(vector) if offset is None else offset
        raw = offset & 0xFFFF | selector << 16 | ist << 32 | kind << 40 | dpl << 45 | p << 47
        raw |= (offset >> 16 & 0xFFFF) << 48
        if self.long_mode:
            self.poke(IDT + 16 * vector, raw | (offset >> 32) << 64, 16)
        else:
            self.poke(IDT + 8 * vector, raw, 8)

    def user(self):
        """Go to ring 3, with this machine's own segments of it."""
        state = self.state
        code, data = state.cs.attributes | 0x60, state.ss.attributes | 0x60
        selector = CODE3 if self.mode != "compat" else SPARE
        state.cs = Segment(selector | 3, 0, state.cs.limit, code)
        for name in ("es", "ss", "ds", "fs", "gs"):
            setattr(state, name, Segment(DATA3 | 3, 0, state.ss.limit, data))
        return self

    def frame(self, count, size=None):
        """The top `count` values on the stack, the last pushed first."""
        size = size or WIDTH[self.mode]
        return [self.peek(self.state.rsp + size * number, size) for number in range(count)]


__all__ = ["CODE", "GDT", "STACK", "TSS", "Kernel"]
