# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The interrupt half of a `KvmVm`: lines, messages, routing, descriptors, controllers' state."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Final, Literal

from vmmkit.backends.kvm._calls import VmCalls
from vmmkit.backends.kvm._ioctl import Handle
from vmmkit.backends.kvm._notifiers import IoEventFd, IrqFd, Notifier
from vmmkit.backends.kvm._routing import (
    PC_ROUTES,
    Route,
    checked,
    checked_chip,
    pack_routes,
    split_address,
)
from vmmkit.backends.kvm._spec import (
    IRQ_LEVEL,
    IRQCHIP_HEAD,
    IRQCHIP_SIZE,
    KVM_CREATE_IRQCHIP,
    KVM_CREATE_PIT2,
    KVM_GET_IRQCHIP,
    KVM_GET_PIT2,
    KVM_IRQ_LINE,
    KVM_SET_GSI_ROUTING,
    KVM_SET_IRQCHIP,
    KVM_SET_PIT2,
    KVM_SIGNAL_MSI,
    MSI,
    PIT_CONFIG,
    PIT_SPEAKER_DUMMY,
    PIT_STATE_SIZE,
    Cap,
    Chip,
)
from vmmkit.errors import KvmError, MachineError

__all__ = ["GsiLine", "InterruptHalf"]

#: SDM vol. 3A, "Message Address Register Format": where writes are interrupts.
MSI_WINDOW: Final = 0xFEE
MSI_SHIFT: Final = 20
DOORBELL_SIZES: Final = (0, 1, 2, 4, 8)


class GsiLine:
    """The wire of one GSI; call it with its level. Made by `KvmVm.line`.

    Args:
        vm: makes the calls.
        gsi: which wire.
    """

    __slots__ = ("_levels", "_vm", "gsi")

    def __init__(self, vm: Handle, gsi: int) -> None:
        """Start low."""
        self._vm, self.gsi = vm, gsi
        self._levels = bytearray(IRQ_LEVEL.pack(gsi, 0)), bytearray(IRQ_LEVEL.pack(gsi, 1))

    def __call__(self, level: bool) -> None:
        """Drive the wire.

        Raises:
            KvmError: the virtual machine is closed.
        """
        self._vm.call(KVM_IRQ_LINE, self._levels[bool(level)], f"GSI {self.gsi}")

    def __repr__(self) -> str:
        """Show which wire it is."""
        return f"<GsiLine {self.gsi}>"


class InterruptHalf(VmCalls):
    """Base of `KvmVm`."""

    irqchip: Literal["none", "split", "kernel"]

    def _create_irqchip(self, pit: bool, ioapic_pins: int) -> None:
        """Make what the arguments of `KvmVm` ask for, before the first vCPU."""
        self._notifiers: set[Notifier] = set()
        self._routes: tuple[Route, ...] = ()
        self._has_pit = self.irqchip == "kernel" and pit
        if self.irqchip == "split":
            self.enable(Cap.SPLIT_IRQCHIP, ioapic_pins)
        elif self.irqchip == "kernel":
            self.call(KVM_CREATE_IRQCHIP)
            self.set_routing(PC_ROUTES)
        if self._has_pit:
            self.call(KVM_CREATE_PIT2, PIT_CONFIG.pack(PIT_SPEAKER_DUMMY))

    def _needs(self, what: str, *kinds: str) -> None:
        """Refuse what only some kinds of `irqchip` can do.

        Raises:
            MachineError: this machine's is another.
            KvmError: it is closed.
        """
        self._check_open(what)
        if self.irqchip not in kinds:
            wanted = " or ".join(repr(kind) for kind in kinds)
            raise MachineError(f"{what} needs irqchip={wanted}, this is {self.irqchip!r}")

    # -- raising ------------------------------------------------------------------------------

    def line(self, gsi: int) -> GsiLine:
        """Return the wire of a GSI into KVM's interrupt controllers (KVM_IRQ_LINE).

        With `irqchip="kernel"` GSI 0 is the timer and 0 to 15 are the ISA interrupts. A GSI
        routed to a message sends it when it is raised.

        Args:
            gsi: the number; where nothing is routed, nothing happens.

        Raises:
            MachineError: KVM has no interrupt controllers here, or no such number.
        """
        self._needs("line", "kernel", "split")
        return GsiLine(self._vm, checked("gsi", gsi, 32))

    def msi(self, address: int, data: int) -> bool:
        """Send a message-signalled interrupt (KVM_SIGNAL_MSI).

        Args:
            address: of 64 bits, as a guest may have programmed it.
            data: of 32 bits.

        Returns:
            Whether a local APIC took it. Not where none is addressed, or none is enabled, nor
            where the address is not one of interrupts: that is a write to memory, the caller's.

        Raises:
            MachineError: KVM has no local APICs here, or the numbers are too wide.
        """
        self._needs("msi", "kernel", "split")
        low, high = split_address(address)
        message = MSI.pack(low, high, checked("data", data, 32), 0, 0)
        if address >> MSI_SHIFT != MSI_WINDOW:
            return False
        try:
            return self.call(KVM_SIGNAL_MSI, message, f"to {address:#x}") > 0
        except KvmError as error:
            if error.errno == errno.EPERM:  # "-1 on error": no APIC has this destination
                return False
            raise

    # -- routing ------------------------------------------------------------------------------

    @property
    def routes(self) -> tuple[Route, ...]:
        """The table as `set_routing` left it; at first a PC's with `"kernel"`, else empty."""
        return self._routes

    def set_routing(self, routes: Iterable[Route]) -> None:
        """Replace the whole table of what GSIs do (KVM_SET_GSI_ROUTING).

        With `"split"`, rows of the first `ioapic_pins` GSIs are those of the caller's I/O APIC:
        KVM reports the end of an interrupt whose row is a level-triggered message.

        Args:
            routes: `ChipRoute`, with `"kernel"` alone, and `MsiRoute`; a GSI may have one of the
                second kind, or one of the first for each controller.

        Raises:
            MachineError: KVM has no interrupt controllers here, or a number does not fit.
            KvmError: the kernel refuses the table: nothing has changed.
        """
        self._needs("set_routing", "kernel", "split")
        table = tuple(routes)
        self.call(KVM_SET_GSI_ROUTING, pack_routes(table), f"{len(table)} routes")
        self._routes = table

    # -- descriptors --------------------------------------------------------------------------

    def irqfd(self, gsi: int, resample: bool = False) -> IrqFd:
        """Make a descriptor that raises a GSI when it is written (KVM_IRQFD).

        Args:
            gsi: the number.
            resample: for level-triggered interrupts; with `"kernel"` alone.

        Raises:
            MachineError: KVM has no interrupt controllers here, or none that can resample.
            KvmError: the kernel refuses.
        """
        self._needs("irqfd", *(("kernel",) if resample else ("kernel", "split")))
        made = IrqFd(self._vm, checked("gsi", gsi, 32), resample, self._notifiers.discard)
        self._notifiers.add(made)
        return made

    def ioeventfd(
        self, address: int, size: int, value: int | None = None, *, pio: bool = False
    ) -> IoEventFd:
        """Make a descriptor that becomes readable when the guest writes (KVM_IOEVENTFD).

        The write does not leave the guest any more. Reads do, as do writes of other sizes and
        values. The doorbell stays at its address when regions move.

        Args:
            address: guest-physical, or a port number with `pio`.
            size: bytes of the write: 1, 2, 4 or 8; 0 for any size, without a value.
            value: only writes of this value; `None`: of any.
            pio: whether `address` is a port.

        Raises:
            MachineError: no such size, or a value or address that does not fit.
            KvmError: the kernel refuses, for instance since this doorbell exists.
        """
        self._check_open("ioeventfd")
        if size not in DOORBELL_SIZES or (size == 0 and value is not None):
            raise MachineError(f"no doorbell of {size!r} bytes and value {value!r}")
        if value is not None:
            checked("value", value, 8 * size)
        checked("address", address, 16 if pio else 64)
        made = IoEventFd(self._vm, address, size, value, pio, self._notifiers.discard)
        self._notifiers.add(made)
        return made

    def _close_notifiers(self, *, forget: bool) -> None:
        for notifier in [*self._notifiers]:
            if forget:
                notifier.abandon()
            else:
                notifier.close()

    # -- state of the controllers ---------------------------------------------------------------

    def get_irqchip(self, chip: Chip) -> bytes:
        """Return the state of an interrupt controller inside KVM, 512 bytes (KVM_GET_IRQCHIP)."""
        self._needs("get_irqchip", "kernel")
        raw = bytearray(IRQCHIP_HEAD.pack(checked_chip(chip)) + bytes(IRQCHIP_SIZE))
        self.call(KVM_GET_IRQCHIP, raw)
        return bytes(raw[IRQCHIP_HEAD.size :])

    def set_irqchip(self, chip: Chip, state: bytes) -> None:
        """Restore what `get_irqchip` returned (KVM_SET_IRQCHIP)."""
        self._needs("set_irqchip", "kernel")
        _check_length("state of an interrupt controller", state, IRQCHIP_SIZE)
        self.call(KVM_SET_IRQCHIP, IRQCHIP_HEAD.pack(checked_chip(chip)) + state)

    def get_pit(self) -> bytes:
        """Return the state of the interval timer inside KVM, 112 bytes (KVM_GET_PIT2)."""
        self._needs_pit("get_pit")
        raw = bytearray(PIT_STATE_SIZE)
        self.call(KVM_GET_PIT2, raw)
        return bytes(raw)

    def set_pit(self, state: bytes) -> None:
        """Restore what `get_pit` returned (KVM_SET_PIT2)."""
        self._needs_pit("set_pit")
        _check_length("state of the interval timer", state, PIT_STATE_SIZE)
        self.call(KVM_SET_PIT2, state)

    def _needs_pit(self, what: str) -> None:
        self._check_open(what)
        if not self._has_pit:
            raise MachineError(f"{what} needs irqchip='kernel' with pit=True")


def _check_length(what: str, state: bytes, size: int) -> None:
    if len(state) != size:
        raise MachineError(f"{what} has {size} bytes, not {len(state)}")
