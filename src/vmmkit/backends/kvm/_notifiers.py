# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts and doorbells as file descriptors, for event loops, threads and other processes.

An `IrqFd` is written to raise an interrupt; an `IoEventFd` becomes readable when the guest
writes to an address, without an exit. Both are eventfds, do not block, and are closed on exec.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from vmmkit.backends.kvm._closing import Closing
from vmmkit.backends.kvm._ioctl import Handle, kvm_error
from vmmkit.backends.kvm._spec import (
    IOEVENTFD,
    IOEVENTFD_DATAMATCH,
    IOEVENTFD_DEASSIGN,
    IOEVENTFD_PIO,
    IRQFD,
    IRQFD_DEASSIGN,
    IRQFD_RESAMPLE,
    KVM_IOEVENTFD,
    KVM_IRQFD,
    Request,
)
from vmmkit.errors import KvmError

__all__ = ["IoEventFd", "IrqFd", "Notifier"]


def _eventfd(what: str) -> int:
    """Make an eventfd.

    Raises:
        KvmError: too many files are open.
    """
    try:
        return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    except OSError as error:
        raise kvm_error("eventfd", error.errno or 0, f"for {what}") from None


def _take(fd: int) -> int:
    """Return an eventfd's count and set it to 0."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


class Notifier(Closing):
    """Base of both: an eventfd that KVM knows until it is closed.

    Args:
        vm: makes the calls.
        what: for errors.
        forget: called when it is closed.
    """

    def __init__(self, vm: Handle, what: str, forget: Callable[[Notifier], object]) -> None:
        """Make the eventfd."""
        self._vm, self._what, self._forget = vm, what, forget
        self._descriptors = [_eventfd(what)]

    def _add_descriptor(self) -> None:
        """Make another eventfd."""
        try:
            self._descriptors.append(_eventfd(self._what))
        except KvmError:
            self.abandon()
            raise

    def _register(self, request: Request, add: bytes, remove: bytes) -> None:
        """Let KVM know it, and remember how to take it back."""
        self._request, self._remove = request, remove
        try:
            self._vm.call(request, add, self._what)
        except KvmError:
            self.abandon()
            raise

    def fileno(self) -> int:
        """Return the descriptor.

        Raises:
            KvmError: it is closed.
        """
        return self._descriptor(0)

    def _descriptor(self, place: int) -> int:
        if not self._descriptors:
            raise kvm_error(self._request.name, errno.EBADF, self._what)
        return self._descriptors[place]

    def close(self) -> None:
        """Take it back from KVM and close it; again is nothing."""
        if self._descriptors:
            try:
                self._vm.call(self._request, self._remove, self._what)
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Close the descriptors without a word to KVM, which notices when all copies are closed."""
        self._forget(self)
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        state = f"fd={self._descriptors[0]}" if self._descriptors else "closed"
        return f"<{type(self).__name__} {self._what} {state}>"


class IrqFd(Notifier):
    """A descriptor that raises an interrupt. Made by `KvmVm.irqfd`.

    Without `resample` each write is an edge. With it a write raises the line, and it stays high
    until the guest has acknowledged the interrupt; then KVM lowers it and `resampled` becomes
    readable: whoever still wants the interrupt writes again.

    Args:
        vm: makes the calls.
        gsi: which interrupt.
        resample: whether it is a level that the guest's end of interrupt lowers.
        forget: called when it is closed.
    """

    def __init__(
        self, vm: Handle, gsi: int, resample: bool, forget: Callable[[Notifier], object]
    ) -> None:
        """Register it."""
        super().__init__(vm, f"GSI {gsi}", forget)
        if resample:
            self._add_descriptor()
        flags, last = IRQFD_RESAMPLE * resample, self._descriptors[-1] * resample
        fd = self._descriptors[0]
        removal = IRQFD.pack(fd, gsi, IRQFD_DEASSIGN, 0)
        self._register(KVM_IRQFD, IRQFD.pack(fd, gsi, flags, last), removal)
        self._resample = resample

    def pulse(self) -> None:
        """Raise the interrupt."""
        os.eventfd_write(self.fileno(), 1)

    @property
    def resampled(self) -> int | None:
        """The descriptor that tells of acknowledged interrupts; `None` without `resample`."""
        return self._descriptor(1) if self._resample else None

    def take_resampled(self) -> int:
        """Return how many interrupts were acknowledged since the last call; 0 for none."""
        return 0 if self.resampled is None else _take(self.resampled)


class IoEventFd(Notifier):
    """A descriptor that tells of the guest's writes to an address. Made by `KvmVm.ioeventfd`.

    Args:
        vm: makes the calls.
        address: guest-physical, or a port.
        size: bytes of the write: 1, 2, 4, 8, or 0 for any.
        value: the value that counts; `None` for any.
        pio: whether `address` is a port.
        forget: called when it is closed.
    """

    def __init__(
        self,
        vm: Handle,
        address: int,
        size: int,
        value: int | None,
        pio: bool,
        forget: Callable[[Notifier], object],
    ) -> None:
        """Register it."""
        super().__init__(vm, f"{size} bytes at {'port ' * pio}{address:#x}", forget)
        flags = IOEVENTFD_PIO * pio | IOEVENTFD_DATAMATCH * (value is not None)
        place = value or 0, address, size, self._descriptors[0]
        removal = IOEVENTFD.pack(*place, flags | IOEVENTFD_DEASSIGN)
        self._register(KVM_IOEVENTFD, IOEVENTFD.pack(*place, flags), removal)

    def take(self) -> int:
        """Return how many writes there were since the last call; 0 for none."""
        return _take(self.fileno())
