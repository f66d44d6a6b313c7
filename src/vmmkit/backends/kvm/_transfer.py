# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU's registers, fetched from the kernel when somebody looks and given back when changed.

Theory of operation
-------------------
The kernel has the registers; the record of a `CpuState` is a copy that is good from `pull` to the
next KVM_RUN. `pull` keeps a second copy, and `push` compares: only the groups of registers in which
a byte differs go back, and each that has gone is noted in the copy, so that what the kernel took
before it refused another group can be undone. General, segment and control registers and events
travel through the area of synchronized registers in struct kvm_run, by which KVM_RUN brings them
along where KVM_CAP_SYNC_REGS says so; where it has not, the same area is the buffer
of the ioctls.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from vmmkit.backends.kvm._events import pull_events, push_events, shadow_of
from vmmkit.backends.kvm._ioctl import Handle, kvm_error
from vmmkit.backends.kvm._msrs import MSR_TSC, MsrBlock, entries
from vmmkit.backends.kvm._registers import (
    pull_debug,
    pull_general,
    pull_system,
    push_debug,
    push_general,
    push_system,
)
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import (
    DEBUGREGS,
    KVM_GET_DEBUGREGS,
    KVM_GET_MP_STATE,
    KVM_GET_MSRS,
    KVM_GET_REGS,
    KVM_GET_SREGS,
    KVM_GET_VCPU_EVENTS,
    KVM_GET_XCRS,
    KVM_GET_XSAVE,
    KVM_GET_XSAVE2,
    KVM_SET_DEBUGREGS,
    KVM_SET_MP_STATE,
    KVM_SET_MSRS,
    KVM_SET_REGS,
    KVM_SET_SREGS,
    KVM_SET_VCPU_EVENTS,
    KVM_SET_XCRS,
    KVM_SET_XSAVE,
    MP_STATE,
    RUN_CR8,
    RUN_DIRTY_REGS,
    RUN_VALID_REGS,
    XCR,
    XCRS_HEAD,
    XCRS_SIZE,
    XSAVE_SIZE,
    MpState,
    SyncRegs,
)
from vmmkit.backends.kvm._vector_state import XsaveLayout
from vmmkit.insn import WORD, CpuState

__all__ = ["StateTransfer"]

ALL_SYNC: Final = int(SyncRegs.REGS | SyncRegs.SREGS | SyncRegs.EVENTS)
VALID: Final = RUN_VALID_REGS // 8
DIRTY: Final = RUN_DIRTY_REGS // 8
CR8: Final = RUN_CR8 // 8
STARTS: Final = sorted(WORD.values())
FEATURES: Final = WORD["features"]
WIDTH: Final = WORD["maxphyaddr"]
XCR0: Final = WORD["xcr0"]
HALTED: Final = WORD["halted"]
EVENT: Final = WORD["event"]
TPR: Final = WORD["tpr"]
RIP_REG: Final = 16  # of the words of struct kvm_regs


def _span(first: str, last: str) -> slice:
    """Bytes of the record from one field to another, both included."""
    following = next(start for start in STARTS if start > WORD[last])
    return slice(8 * WORD[first], 8 * following)


GENERAL: Final = _span("gpr", "rflags")
SYSTEM: Final = (_span("segment", "efer"), _span("tpr", "tpr"))
DEBUG: Final = (_span("dr", "dr"),)
EXTENDED: Final = (_span("xcr0", "xcr0"),)
VECTORS: Final = (_span("pkru", "pkru"), _span("vector", "x87_ds"))
MSRS: Final = (_span("star", "pat"), _span("xss", "xss"))
TIME: Final = (_span("tsc_offset", "tsc_offset"), _span("retired", "retired"))
EVENTS: Final = (
    *(_span(name, name) for name in ("interrupt_shadow", "nmi_blocked", "nmi_pending")),
    _span("debug_pending", "event_error"),
)
ACTIVITY: Final = (_span("halted", "halted"),)


class StateTransfer:
    """The way between one vCPU's record and the kernel.

    Args:
        handle: the vCPU's descriptor.
        page: its struct kvm_run.
        state: the record.
        layout: of the XSAVE area.
        xsave_size: bytes of it.
        processor: what the words `features` and `maxphyaddr` are on this vCPU.
        has_lapic: whether the local APIC is in the kernel.
        syncs: whether KVM_RUN brings registers along.

    Attributes:
        looked: whether the record is what the kernel has, or what it is to get.
        synced: whether the last KVM_RUN has brought the registers along.
    """

    __slots__ = ("_areas", "_clean", "_groups", "_handle", "_has_lapic", "_layout", "_msrs",
                 "_page", "_processor", "_state", "_syncs", "looked", "synced")  # fmt: skip

    def __init__(
        self,
        handle: Handle,
        page: RunPage,
        state: CpuState,
        *,
        layout: XsaveLayout,
        xsave_size: int,
        processor: tuple[int, int],
        has_lapic: bool,
        syncs: bool,
    ) -> None:
        """Make the buffers."""
        self._handle, self._page, self._state = handle, page, state
        self._msrs, self._layout = MsrBlock(), layout
        self._areas = bytearray(DEBUGREGS.size), bytearray(XCRS_SIZE), bytearray(xsave_size)
        self._processor, self._has_lapic, self._syncs = processor, has_lapic, syncs
        self._clean = bytearray(state.record)
        self.looked = self.synced = False
        self._groups: tuple[tuple[tuple[slice, ...], Callable[[], None]], ...] = (
            (EXTENDED, self._push_xcr0),
            (VECTORS, self._push_vectors),
            (SYSTEM, self._push_system),
            (MSRS, self._push_msrs),
            (TIME, self._push_time),
            (EVENTS, self._push_events),
            (DEBUG, self._push_debug),
            (ACTIVITY, self._push_activity),
        )

    # -- from the kernel -----------------------------------------------------------------------

    def pull(self) -> None:
        """Fill the record."""
        state, page = self._state, self._page
        record, words = state.record, state.words
        debug, xcrs, xsave = self._areas
        if not self.synced:
            self._handle.call(KVM_GET_REGS, page.regs_bytes)
            self._handle.call(KVM_GET_SREGS, page.sregs)
            self._handle.call(KVM_GET_VCPU_EVENTS, page.events)
            self.synced = True
        pull_general(record, words, page.regs)
        pull_system(record, words, page.sregs)
        pull_events(words, page.events)
        self._handle.call(KVM_GET_DEBUGREGS, debug)
        pull_debug(words, memoryview(debug).cast("Q"))
        self._handle.call(KVM_GET_XCRS, xcrs)
        words[XCR0] = XCR.unpack_from(xcrs, XCRS_HEAD.size)[1]
        self._handle.call(KVM_GET_XSAVE if len(xsave) == XSAVE_SIZE else KVM_GET_XSAVE2, xsave)
        self._layout.pull(words, memoryview(xsave).cast("Q"))
        self._pull_msrs()
        state.tsc = self._msrs.tsc
        if self._has_lapic:
            words[HALTED] = int(self.mp_state == MpState.HALTED)
        words[FEATURES], words[WIDTH] = self._processor
        self._clean[:] = record
        self.looked = True

    def forget(self) -> None:
        """Drop the record and what KVM_RUN has brought: the next look fetches everything anew."""
        self.looked = self.synced = False

    def _pull_msrs(self) -> None:
        """Fill the record's MSRs, from now on without those that the kernel has not here.

        KVM_GET_MSRS stops at the first of them, and tells how many came before it.
        """
        block = self._msrs
        while (count := self._handle.call(KVM_GET_MSRS, block.data)) < len(block.indices):
            index = block.indices[count]
            if index == MSR_TSC:
                raise kvm_error("KVM_GET_MSRS", errno.EINVAL, f"of {index:#x}")
            block = self._msrs = MsrBlock({*block.indices} - {index})
        block.pull(self._state.words)

    def rip(self) -> int:
        """Return RIP, without the rest of the state."""
        if self.looked:
            return self._state.rip
        if not self.synced:
            self._handle.call(KVM_GET_REGS, self._page.regs_bytes)
        return int(self._page.regs[RIP_REG])

    def code_base(self) -> int:
        """Return the base of CS."""
        if not self.synced:
            self._handle.call(KVM_GET_SREGS, self._page.sregs)
        return int.from_bytes(self._page.sregs[:8], "little")

    def shadow(self) -> int:
        """Return the interrupt shadow, as `CpuState.interrupt_shadow` has it."""
        if not self.synced:
            self._handle.call(KVM_GET_VCPU_EVENTS, self._page.events)
        return shadow_of(self._page.events)

    @property
    def mp_state(self) -> MpState:
        """What the vCPU does (KVM_GET_MP_STATE)."""
        raw = bytearray(MP_STATE.size)
        self._handle.call(KVM_GET_MP_STATE, raw)
        return MpState(MP_STATE.unpack(raw)[0])

    @mp_state.setter
    def mp_state(self, value: MpState) -> None:
        self._handle.call(KVM_SET_MP_STATE, MP_STATE.pack(value))

    def begin_run(self, sync: bool) -> None:
        """Say whether the next KVM_RUN is to bring the registers along."""
        self.synced = sync and self._syncs
        self._page.quads[VALID] = ALL_SYNC if self.synced else 0

    # -- to the kernel -------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether the owner has changed a register since `pull`."""
        record, clean = self._state.record, self._clean
        if not self.looked or record == clean:
            return False
        spans = [GENERAL, *(span for group, _ in self._groups for span in group)]
        return any(record[span] != clean[span] for span in spans)

    def push(self) -> None:
        """Give the kernel what the owner has changed; from here on the record may be stale."""
        record, clean = self._state.record, self._clean
        if record != clean:
            for spans, push in self._groups:
                if any(record[span] != clean[span] for span in spans):
                    push()
                    for span in spans:
                        clean[span] = record[span]
            if record[GENERAL] != clean[GENERAL]:
                if self._state.words[EVENT]:  # with new registers the kernel drops what waits
                    self._push_events()
                self._push_general()
        self.looked = False  # not where the kernel has refused something

    def _push_general(self) -> None:
        push_general(self._state.words, self._page.regs)
        if self._syncs and not self._has_lapic:  # one that waits for SIPI leaves it undone
            self._page.quads[DIRTY] = int(SyncRegs.REGS)
        else:
            self._handle.call(KVM_SET_REGS, self._page.regs_bytes)

    def _push_system(self) -> None:
        state, page = self._state, self._page
        push_system(state.record, state.words, page.sregs)
        self._handle.call(KVM_SET_SREGS, page.sregs)
        page.quads[CR8] = state.words[TPR] >> 4 & 15

    def _push_events(self) -> None:
        push_events(self._state.words, self._page.events)
        self._handle.call(KVM_SET_VCPU_EVENTS, self._page.events)

    def _push_debug(self) -> None:
        debug = self._areas[0]
        push_debug(self._state.words, memoryview(debug).cast("Q"))
        self._handle.call(KVM_SET_DEBUGREGS, debug)

    def _push_xcr0(self) -> None:
        xcrs = self._areas[1]
        XCR.pack_into(xcrs, XCRS_HEAD.size, 0, self._state.words[XCR0])
        self._handle.call(KVM_SET_XCRS, xcrs)

    def _push_vectors(self) -> None:
        xsave = self._areas[2]
        self._layout.push(self._state.words, memoryview(xsave).cast("Q"))
        self._handle.call(KVM_SET_XSAVE, xsave)

    def _push_msrs(self) -> None:
        for index, value in self._msrs.changed(self._state.words):
            if index not in self._msrs.indices or not self.write_msr(index, value):
                raise kvm_error("KVM_SET_MSRS", errno.EINVAL, f"of {index:#x} to {value:#x}")

    def _push_time(self) -> None:
        if self._state.tsc != self._msrs.tsc:
            self.write_msr(MSR_TSC, self._state.tsc)

    def write_msr(self, index: int, value: int) -> bool:
        """Write an MSR as the owner (KVM_SET_MSRS); whether the kernel took it."""
        detail = f"of {index:#x}"
        return bool(self._handle.call(KVM_SET_MSRS, bytes(entries([(index, value)])), detail))

    def _push_activity(self) -> None:
        if self._has_lapic:
            self.mp_state = MpState.HALTED if self._state.halted else MpState.RUNNABLE
