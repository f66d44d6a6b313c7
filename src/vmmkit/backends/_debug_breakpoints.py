# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A debugger's breakpoints in a guest: INT3 in RAM, and the slots of the vCPUs.

Theory of operation
-------------------
A software breakpoint is the byte CCH in RAM. It belongs to a byte of a buffer, found when it is
inserted: later the page tables or the address map may say something else, and the byte must be
restored all the same; and a guest may see one buffer at several addresses. Where no RAM is behind
the address (the page is not there yet, ROM, a device) an execution slot of the vCPUs stands for it,
by linear address, and where no slot is left it is pending. `rearm`, called whenever the vCPUs have
stopped, tries again, and puts back what a loader has overwritten.

The slots hold hardware breakpoints and watchpoints first, and what is left of them software
breakpoints without RAM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import attrs

from vmmkit.backends._debug_memory import INT3, DebugMemory
from vmmkit.backends._debug_registers import linear_pc
from vmmkit.errors import StateError, TargetError
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind
from vmmkit.insn import BreakKind, Breakpoint, DebugExit

__all__ = ["BreakpointSet"]

SLOTS: Final = 16
ALL_ONES: Final = (1 << 64) - 1
PAGE_OFFSET: Final = 0xFFF
SOFTWARE: Final = BreakpointKind.SOFTWARE
BREAK_KINDS: Final = {
    BreakpointKind.SOFTWARE: BreakKind.EXECUTE,
    BreakpointKind.HARDWARE: BreakKind.EXECUTE,
    BreakpointKind.WRITE: BreakKind.WRITE,
    BreakpointKind.READ: BreakKind.READ,
    BreakpointKind.ACCESS: BreakKind.READ | BreakKind.WRITE,
}
STOP_KINDS: Final = {
    BreakpointKind.SOFTWARE: StopKind.SOFTWARE,
    BreakpointKind.HARDWARE: StopKind.HARDWARE,
    BreakpointKind.WRITE: StopKind.WRITE,
    BreakpointKind.READ: StopKind.READ,
    BreakpointKind.ACCESS: StopKind.ACCESS,
}


INSTRUCTIONS: Final = frozenset({BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE})
MAX_LENGTH: Final = 15  # of an instruction
NOWHERE: Final = (-1, -1, -1)


def _is_inside(linear: int) -> bool:
    """Whether an instruction at an address cannot reach into the next page."""
    return linear & PAGE_OFFSET <= PAGE_OFFSET + 1 - MAX_LENGTH


@attrs.define(eq=False)
class Inserted:
    """A breakpoint as the debugger asked for it."""

    kind: BreakpointKind
    vcpu: int
    address: int
    size: int
    physical: bool = False
    """Whether `address` is a guest-physical one."""
    host: int | None = None
    """Of the byte that it has replaced; `None` for one in a slot, or pending."""

    @property
    def slot(self) -> Breakpoint:
        """What the vCPUs are given for it."""
        last = self.address
        if self.kind not in INSTRUCTIONS:
            last = min(self.address + max(self.size, 1) - 1, ALL_ONES)
        return Breakpoint(BREAK_KINDS[self.kind], self.address, last)

    def executes_at(self, linear: int) -> bool:
        """Whether it stops before the instruction at an address."""
        return self.kind in INSTRUCTIONS and self.address == linear


@attrs.define(eq=False)
class Patch:
    """A byte of RAM that is CCH now, wherever the address map has it by then."""

    view: memoryview
    offset: int
    in_page: int  #: offset in its page
    original: int = 0
    users: int = 1  #: none: it has been removed
    lifted: bool = False
    """Whether it is away so that a vCPU may execute what is beneath."""

    @property
    def is_overwritten(self) -> bool:
        """Whether the guest has put something else there."""
        return not self.lifted and self.view[self.offset] != INT3

    def arm(self) -> None:
        """Replace what is there."""
        self.original, self.view[self.offset] = self.view[self.offset], INT3

    def disarm(self) -> None:
        """Put the original byte back, unless the guest has written another one."""
        if self.view[self.offset] == INT3:
            self.view[self.offset] = self.original

    def lift(self) -> None:
        """Put the original byte back for a while."""
        self.lifted = True
        self.disarm()

    def lower(self) -> None:
        """Take its place again, unless it has been removed meanwhile."""
        if self.users:
            self.arm()
        self.lifted = False


class BreakpointSet:
    """All breakpoints of a debugger.

    Args:
        vcpus: those that run the guest; their `set_breakpoints` is called by `apply`.
        memory: where INT3 goes.

    Attributes:
        version: changes when `apply` has something to tell the vCPUs.
    """

    def __init__(self, vcpus: tuple[Any, ...], memory: DebugMemory) -> None:
        """Start without breakpoints."""
        self._vcpus, self._memory = vcpus, memory
        memory.patches = self
        self._inserted: dict[tuple[BreakpointKind, int, int], Inserted] = {}
        self._patches: dict[int, Patch] = {}
        self._lock = Lock()  # the debugger's thread, and that of a vCPU which steps over INT3
        self._offsets: frozenset[int] = frozenset()  # of patches in their pages
        self._slots: tuple[Inserted, ...] = ()
        self._int3 = False
        self.version = 0
        self._applied = [0] * len(vcpus)
        # Where an INT3 was hit last, so that going on from there needs no second walk.
        self._hits: dict[int, tuple[int, int, int]] = {}
        self._given: list[tuple[Inserted, ...]] = [()] * len(vcpus)
        self._room = min(getattr(vcpu, "breakpoint_slots", SLOTS) for vcpu in vcpus)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._inserted)

    # -- the bytes in RAM ------------------------------------------------------------------------

    def touch(self, host: int, size: int) -> bool:
        """Whether a byte in this range is replaced."""
        if not self._patches:
            return False
        if size < len(self._patches):
            return any(host + offset in self._patches for offset in range(size))
        return any(host <= place < host + size for place in self._patches)

    def _within(self, host: int, size: int) -> list[tuple[int, Patch]]:
        return [(at, patch) for at, patch in self._patches.items() if host <= at < host + size]

    def conceal(self, host: int, data: bytearray) -> None:
        """Show the original bytes; where the guest has overwritten an INT3, what it wrote."""
        for at, patch in self._within(host, len(data)):
            if data[at - host] == INT3:
                data[at - host] = patch.original

    def wrote(self, host: int, size: int) -> None:
        """Take what the debugger wrote as the new original bytes."""
        with self._lock:
            for _, patch in self._within(host, size):
                if not patch.lifted:
                    patch.arm()

    def _host_at(self, gpa: int) -> int | None:
        """Return where a byte is in this process that may be replaced."""
        piece = self._memory.piece_at(gpa)
        return piece.host + gpa - piece.first if piece is not None and piece.writable else None

    def _patch(self, gpa: int) -> int | None:
        """Replace a byte by INT3, or count another user of it; return where it is."""
        piece, host = self._memory.piece_at(gpa), self._host_at(gpa)
        if piece is None or host is None:
            return None
        if host in self._patches:
            self._patches[host].users += 1
            return host
        patch = Patch(piece.view, gpa - piece.first, gpa & PAGE_OFFSET)
        self._replace_patches({**self._patches, host: patch})
        patch.arm()
        return host

    def _replace_patches(self, patches: dict[int, Patch]) -> None:
        """Take another set at once: vCPU threads may be looking at the one before."""
        self._patches = patches
        self._offsets = frozenset(patch.in_page for patch in patches.values())

    def _restore(self, host: int) -> None:
        """Put the original byte back, unless the guest has overwritten the INT3."""
        patch = self._patches[host]
        with self._lock:
            patch.users -= 1
            if not patch.users and not patch.lifted:
                patch.disarm()
        if not patch.users:
            self._replace_patches({at: kept for at, kept in self._patches.items() if at != host})

    # -- inserting and removing ------------------------------------------------------------------

    def insert(self, kind: BreakpointKind, vcpu: int, address: int, size: int) -> None:
        """As `Breakpoints.insert_breakpoint`; the same one twice is one."""
        if (kind, address, size) in self._inserted:
            return
        physical = self._memory.physical
        item = Inserted(kind, vcpu, address, size, physical)
        if kind is not SOFTWARE and physical:
            raise TargetError("breakpoint slots are for virtual addresses: monitor physical off")
        if kind is not SOFTWARE and self._hardware() >= self._room:
            raise TargetError(f"all {self._room} breakpoint slots of the vCPUs are in use")
        self._inserted[kind, address, size] = item
        if kind is SOFTWARE:
            self._settle(item)
        self._choose_slots()

    def _hardware(self) -> int:
        return sum(item.kind is not SOFTWARE for item in self._inserted.values())

    def _settle(self, item: Inserted) -> None:
        """Put an INT3 to where a software breakpoint leads now."""
        gpa: int | None = item.address
        if not item.physical:
            gpa = self._memory.translate(item.vcpu, item.address)
        if gpa is not None:
            item.host = self._patch(gpa)

    def remove(self, kind: BreakpointKind, address: int, size: int) -> None:
        """As `Breakpoints.remove_breakpoint`."""
        item = self._inserted.pop((kind, address, size), None)
        if item is None:
            raise TargetError(f"there is no such breakpoint at {address:#x}")
        if item.host is not None:
            self._restore(item.host)
        self._choose_slots()

    def clear(self) -> None:
        """Remove all, from the guest's memory too."""
        for kind, address, size in tuple(self._inserted):
            self.remove(kind, address, size)

    def rearm(self) -> None:
        """Do again what did not succeed, or what the guest has undone.

        An INT3 that is overwritten comes back where its address still leads to it: where a loader
        has written code. Elsewhere the guest has made something else of the page.
        """
        overwritten = {at for at, patch in self._patches.items() if patch.is_overwritten}
        for item in self._inserted.values():
            if item.host in overwritten:
                self._restore(item.host)
                item.host = None
        homeless = [item for item in self._inserted.values() if self._is_homeless(item)]
        for item in homeless:
            self._settle(item)
        if homeless:
            self._choose_slots()

    def lift(self) -> None:
        """Put all original bytes back, until `reinstate`."""
        for patch in self._patches.values():
            patch.lift()

    def suspend(self) -> None:
        """Have no breakpoints in RAM and in the vCPUs, all of which stand, until `reinstate`."""
        self.lift()
        self._hits.clear()
        for number in range(len(self._vcpus)):
            self._vcpus[number].set_breakpoints()
            self._applied[number] = -1

    def reinstate(self) -> None:
        """Have all breakpoints in force again, whatever RAM is by now."""
        for patch in self._patches.values():
            patch.lower()
        self.rearm()
        for number in range(len(self._vcpus)):
            self.apply(number)

    def pass_over(self, vcpu: int) -> None:
        """Have a vCPU that stands at a breakpoint execute the instruction when it runs on."""
        self._vcpus[vcpu].skip_breakpoint()
        self._latch(vcpu, linear_pc(self._vcpus[vcpu].state))

    @staticmethod
    def _is_homeless(item: Inserted) -> bool:
        return item.kind is SOFTWARE and item.host is None

    def _choose_slots(self) -> None:
        """Fill the slots: software breakpoints without RAM come last."""
        items = self._inserted.values()
        wanted = [item for item in items if item.kind is not SOFTWARE]
        wanted += [item for item in items if self._is_homeless(item) and not item.physical]
        slots = tuple(wanted[: self._room])
        if slots != self._slots:
            self._slots = slots
            self.version += 1

    def listen(self, on: bool) -> None:
        """Have INT3 come out of the vCPUs, or no more.

        They must know before the first byte is replaced, since some may run at that time.
        """
        if on != self._int3:
            self._int3 = on
            self.version += 1

    # -- the vCPUs -------------------------------------------------------------------------------

    def apply(self, vcpu: int) -> None:
        """Tell a vCPU of what has changed; it stands, or is about to run on the caller's thread.

        Raises:
            TargetError: it does not take so many.
        """
        if self._applied[vcpu] != self.version:
            version = self.version
            self._give(vcpu, self._slots)
            self._applied[vcpu] = version

    def _give(self, vcpu: int, items: tuple[Inserted, ...]) -> None:
        self._given[vcpu] = items
        try:
            self._vcpus[vcpu].set_breakpoints([item.slot for item in items], int3=self._int3)
        except StateError as error:
            raise TargetError(f"the vCPU does not take these breakpoints: {error}") from error

    # -- hits ------------------------------------------------------------------------------------

    def stop_for(self, vcpu: int, found: DebugExit) -> Stop | None:
        """Return the stop that a hit is.

        `None` says that it is none: an INT3 of the guest's own, or a breakpoint that is gone.
        """
        if found.cause:
            item = self._given[vcpu][found.slot]
            there = self._inserted.get((item.kind, item.address, item.size)) is item
            return Stop(vcpu, STOP_KINDS[item.kind], found.address) if there else None
        state = self._vcpus[vcpu].state
        linear = linear_pc(state)
        gpa = self.patch_at(vcpu, linear)
        if gpa is None:
            return None
        self._hits[vcpu] = state.retired, linear, gpa
        return Stop(vcpu, StopKind.SOFTWARE, linear)

    def patch_at(self, vcpu: int, linear: int) -> int | None:
        """Return where an INT3 of ours is that a vCPU sees at a linear address."""
        if linear & PAGE_OFFSET not in self._offsets:
            return None
        gpa = self._memory.translate(vcpu, linear)
        return None if gpa is None or self._host_at(gpa) not in self._patches else gpa

    def covers(self, vcpu: int, linear: int) -> bool:
        """Whether a breakpoint stops a vCPU at this instruction."""
        return self.patch_at(vcpu, linear) is not None or any(
            item.executes_at(linear) for item in self._slots
        )

    def to_be_lifted(self, vcpu: int) -> list[Patch]:
        """Return what must be original bytes for a vCPU to execute its next instruction.

        Nothing for a vCPU that can be given the bytes of the instruction.
        """
        chosen = self._vcpus[vcpu]
        if not self._patches or hasattr(chosen, "latch"):
            return []
        linear = linear_pc(chosen.state)
        places = [self.patch_at(vcpu, linear + offset) for offset in range(MAX_LENGTH)]
        hosts = {self._host_at(gpa) for gpa in places if gpa is not None}
        return [self._patches[host] for host in hosts if host is not None]

    def forget_hits(self) -> None:
        """Hear that registers or page tables are not what they were at the last hit."""
        self._hits.clear()

    @contextmanager
    def stepping_over(self, vcpu: int, lifted: Sequence[Patch] = ()) -> Iterator[None]:
        """Have the instruction at the program counter executed whatever breakpoint is there.

        Watchpoints count meanwhile. The bytes of `lifted` are original ones meanwhile; no other
        vCPU executes anything then.
        """
        linear = linear_pc(self._vcpus[vcpu].state)
        others = tuple(item for item in self._slots if not item.executes_at(linear))
        if len(others) < len(self._slots):
            self._give(vcpu, others)
            self._applied[vcpu] = -1
        if lifted:  # it may have changed until no other vCPU executed anything
            lifted = self.to_be_lifted(vcpu)
        with self._lock:
            for patch in lifted:
                patch.lift()
        if not lifted:
            self._latch(vcpu, linear)
        try:
            yield
        finally:
            with self._lock:
                for patch in lifted:
                    patch.lower()
            self.apply(vcpu)

    def _latch(self, vcpu: int, linear: int) -> None:
        """Hand the original bytes of the instruction over, where an INT3 hides one of them."""
        chosen = self._vcpus[vcpu]
        retired, at, gpa = self._hits.pop(vcpu, NOWHERE)
        if (retired, at) == (chosen.state.retired, linear) and _is_inside(linear):
            code = self._memory.read_physical(vcpu, gpa, MAX_LENGTH)
        elif self._offsets.isdisjoint([linear + n & PAGE_OFFSET for n in range(MAX_LENGTH)]):
            return
        else:
            code = self._memory.code(vcpu, linear, MAX_LENGTH)
        if code and hasattr(chosen, "latch") and not getattr(chosen, "awaits_answer", False):
            chosen.latch(code)
