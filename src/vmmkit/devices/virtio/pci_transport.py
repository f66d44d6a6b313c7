# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Virtio over PCI, the modern way: what all virtio devices have in common.

Theory of operation: pci transport
----------------------------------
A virtio device is a `PciDevice` whose registers are the common configuration structure, the ISR
status, the notification addresses and the device's own configuration, each in a page of one
64-bit BAR, found by vendor capabilities. A subclass declares its type, its queues, its features,
the registers of its configuration from `DEVICE_CONFIG` on, and `serve(queue)`.

The registers behind `queue_select` are those of the queue selected: selecting loads them, writing
stores them, so reading is reading.

A driver that breaks the rules of its rings meets DEVICE_NEEDS_RESET: the device stops, says so in
its status and by a configuration change interrupt, and works again after the driver's reset.
Nothing a driver does raises.

Threads: a notification serves its queue in the thread of the vCPU that wrote it. With `deferred`
set it only notes the queue and calls `deferred()`; whoever that wakes calls `service()`, from one
thread or several. A reset by the driver, or of the function, waits for what is being served.
Config space is read under no lock; queues have locks of their own (see `VirtQueue`).

Source: "Virtual I/O Device (VIRTIO) Version 1.2", cited as "virtio 1.2" with section titles.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import ClassVar, Final, Literal

from vmmkit.devices.virtio._config_window import BAR, ConfigWindow
from vmmkit.devices.virtio.capability import VirtioCapability, VirtioNotify
from vmmkit.devices.virtio.chain import GuestMemory
from vmmkit.devices.virtio.queue import QueueOwner, QueueSnapshot, VirtQueue, make_queues
from vmmkit.devices.virtio.spec import (
    NO_VECTOR,
    VENDOR_ID,
    CapabilityType,
    Feature,
    Isr,
    Status,
)
from vmmkit.errors import PciSnapshotError
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ResetKind
from vmmkit.pci.function import FunctionSnapshot
from vmmkit.pci.registers import Reg, RegArray
from vmmkit.pci.state import DeviceSnapshot, State

__all__ = ["DEVICE_CONFIG", "VirtioPci"]

COMMON: Final = 0x0000
ISR: Final = 0x1000
DEVICE_CONFIG: Final = 0x2000
"""Where the registers of a device's own configuration begin."""
NOTIFY: Final = 0x3000
_MOST_QUEUES: Final = 4

_DRIVER_OK: Final = int(Status.DRIVER_OK)
_FEATURES_OK: Final = int(Status.FEATURES_OK)
_NEEDS_RESET: Final = int(Status.DEVICE_NEEDS_RESET)
_BY_DRIVER: Final = int(
    Status.ACKNOWLEDGE | Status.DRIVER | Status.DRIVER_OK | Status.FEATURES_OK | Status.FAILED
)
_OFFERED: Final = int(
    Feature.INDIRECT_DESC
    | Feature.EVENT_IDX
    | Feature.VERSION_1
    | Feature.RING_PACKED
    | Feature.RING_RESET
)
_DWORD: Final = 0xFFFF_FFFF


class VirtioPci(ConfigWindow, QueueOwner):
    """A virtio device on PCI; subclasses say which one.

    Args:
        name: for maps, errors and pictures.
        without: transport features not to offer, `Feature` bits other than VERSION_1.
        access_platform: whether VIRTIO_F_ACCESS_PLATFORM is not offered, offered, or demanded.

    Raises:
        DeviceError: more than four queues in `queue_sizes`, or a size that no queue has.

    Attributes:
        queue_sizes: largest size of each queue, powers of two.
        queues: the virtqueues.
        deferred: where set, called when a queue was notified, instead of serving it.
        fault: why the device needs a reset, or `None`.
    """

    vendor_id = subsystem_vendor_id = VENDOR_ID
    subsystem_id = 0x1100  # any from 40h on; drivers for older Windows match this one
    revision = 1
    intx = "A"
    queue_sizes: ClassVar[tuple[int, ...]] = ()

    power = PowerManagement()
    msix = Msix(vectors=3)
    common_capability = VirtioCapability(CapabilityType.COMMON, BAR, COMMON, 0x3C)
    isr_capability = VirtioCapability(CapabilityType.ISR, BAR, ISR, 1)
    device_capability = VirtioCapability(CapabilityType.DEVICE, BAR, DEVICE_CONFIG, 0x100)
    notify_capability = VirtioNotify(CapabilityType.NOTIFY, BAR, NOTIFY, 4 * _MOST_QUEUES)

    # Virtio 1.2 "Common configuration structure layout".
    device_feature_select = Reg(COMMON + 0x00)
    device_feature = Reg(COMMON + 0x04, "ro")
    driver_feature_select = Reg(COMMON + 0x08)
    driver_feature = Reg(COMMON + 0x0C)
    config_msix_vector = Reg(COMMON + 0x10, size=2, reset=NO_VECTOR)
    num_queues = Reg(COMMON + 0x12, "ro", size=2)
    device_status = Reg(COMMON + 0x14, size=1)
    config_generation = Reg(COMMON + 0x15, "ro", size=1)
    queue_select = Reg(COMMON + 0x16, size=2)
    queue_size = Reg(COMMON + 0x18, size=2)
    queue_msix_vector = Reg(COMMON + 0x1A, size=2, reset=NO_VECTOR)
    queue_enable = Reg(COMMON + 0x1C, size=2)
    queue_notify_off = Reg(COMMON + 0x1E, "ro", size=2)
    queue_desc = Reg(COMMON + 0x20, size=8)
    queue_driver = Reg(COMMON + 0x28, size=8)
    queue_device = Reg(COMMON + 0x30, size=8)
    queue_notify_data = Reg(COMMON + 0x38, "ro", size=2)
    queue_reset = Reg(COMMON + 0x3A, size=2)
    isr = Reg(ISR, "ro", size=1, doc="Read and cleared; virtio 1.2 'ISR status capability'.")
    notify = RegArray(NOTIFY, _MOST_QUEUES, "wo", size=2, stride=4)

    driver_features = State(0, doc="What the driver wrote: 64 bits.")
    queue_states = State[tuple[QueueSnapshot, ...]]((), doc="The queues, in snapshots only.")
    notified = State[tuple[int, ...]]((), doc="Queues that wait for `service`, in snapshots only.")

    def __init__(
        self,
        *,
        name: str = "",
        without: int = 0,
        access_platform: Literal["none", "offered", "demanded"] = "none",
    ) -> None:
        """Build the queues; the subclass has set what `configure` and `device_features` need."""
        offered = _OFFERED & ~(without & ~int(Feature.VERSION_1))
        platform = int(Feature.ACCESS_PLATFORM)
        self._transport_features = offered | (platform if access_platform != "none" else 0)
        self._demanded = Feature.VERSION_1 | (platform if access_platform == "demanded" else 0)
        self.queues = make_queues(self, self.queue_sizes, most=_MOST_QUEUES)
        self.deferred: Callable[[], object] | None = None
        self.fault: str | None = None
        self._waiting: set[int] = set()
        self._isr_lock, self._generation_lock = Lock(), Lock()
        super().__init__(name=name)
        self._load()

    # -- what a subclass says --------------------------------------------------------------------

    def device_features(self) -> int:
        """Return the features of this kind of device that are offered."""
        return 0

    def configure(self) -> None:
        """Set the registers of the device's own configuration; after each reset of the function."""

    def serve(self, queue: VirtQueue) -> None:
        """Work on a queue that the driver notified."""
        raise NotImplementedError

    def accepts(self, features: int) -> bool:
        """Whether the device can work with these features; virtio 1.2 "Feature Bits"."""
        demanded = self._demanded
        return not features & ~self.offered_features and features & demanded == demanded

    def on_driver_reset(self) -> None:
        """Hear that the driver, or a reset of the function, has reset the device."""

    # -- features and status ---------------------------------------------------------------------

    @property
    def offered_features(self) -> int:
        """All features offered."""
        return self._transport_features | self.device_features()

    @property
    def negotiated(self) -> int:
        """The features in force; 0 before the driver and the device have agreed."""
        return self.driver_features if self.device_status & _FEATURES_OK else 0

    @property
    def running(self) -> bool:
        """Whether the driver is ready and the rings are sound."""
        return self.device_status & (_DRIVER_OK | _NEEDS_RESET) == _DRIVER_OK

    @device_feature_select.on_write
    def _device_feature_selected(self, _old: int, new: int) -> None:
        self.device_feature = self.offered_features >> 32 * new if new < 2 else 0

    @driver_feature_select.on_write
    def _driver_feature_selected(self, _old: int, new: int) -> None:
        self.driver_feature = self.driver_features >> 32 * new if new < 2 else 0

    @driver_feature.on_write
    def _driver_feature_written(self, old: int, new: int) -> None:
        select = self.driver_feature_select
        if select > 1 or self.device_status & _FEATURES_OK:
            self.driver_feature = old
        else:
            kept = self.driver_features & ~(_DWORD << 32 * select)
            self.driver_features = kept | new << 32 * select

    @device_status.on_write
    def _status_written(self, old: int, new: int) -> None:
        """Virtio 1.2 "Device Status Field": 0 resets, other bits are only ever added."""
        if not new:
            self._driver_reset()
            return
        added = new & _BY_DRIVER & ~old
        if added & _FEATURES_OK and not self.accepts(self.driver_features):
            added &= ~_FEATURES_OK
        if not (old | added) & _FEATURES_OK:
            added &= ~_DRIVER_OK
        self.device_status = old | added
        if added & _DRIVER_OK:
            # Some drivers fill their rings first; what they notified then was not served.
            for queue in self.queues:
                self.notify_queue(queue.index)

    def needs_reset(self, reason: str) -> None:
        """Stop, and tell the driver that only a reset helps."""
        self._stop(reason)
        self._tell(self.config_msix_vector, Isr.CONFIGURATION)

    def _stop(self, reason: str) -> None:
        if not self.device_status & _NEEDS_RESET:
            self.fault = reason
            self.device_status |= _NEEDS_RESET

    def _driver_reset(self) -> None:
        """Forget everything that a driver did; virtio 1.2 "Device Reset"."""
        self.device_status = 0
        for queue in self.queues:
            queue.reset()
        self._waiting.clear()
        self.driver_features = 0
        self.device_feature_select = self.driver_feature_select = self.driver_feature = 0
        self.config_msix_vector = NO_VECTOR
        self.queue_select = self.config_generation = self.isr = 0
        self.fault = None
        self.interrupts.withdraw()
        self._load()
        self.device_status = 0
        self.on_driver_reset()

    def _load(self) -> None:
        """Set the registers that say what there is."""
        self.num_queues = len(self.queues)
        self._device_feature_selected(0, self.device_feature_select)
        self._load_queue()
        self.configure()

    # -- queues ----------------------------------------------------------------------------------

    def _selected(self) -> VirtQueue | None:
        select = self.queue_select
        return self.queues[select] if select < len(self.queues) else None

    @queue_select.on_write
    def _queue_selected(self, _old: int, _new: int) -> None:
        self._load_queue()

    def _load_queue(self) -> None:
        """Show the queue selected; one that does not exist has size 0."""
        queue = self._selected()
        size, vector, areas, enabled = 0, NO_VECTOR, [0, 0, 0], False
        if queue is not None:
            size, vector, areas, enabled = queue.size, queue.vector, queue.areas, queue.enabled
        self.queue_size, self.queue_msix_vector, self.queue_enable = size, vector, int(enabled)
        self.queue_desc, self.queue_driver, self.queue_device = areas
        self.queue_notify_off = 0 if queue is None else queue.index
        self.queue_reset = 0

    @queue_size.on_write
    @queue_desc.on_write
    @queue_driver.on_write
    @queue_device.on_write
    def _queue_described(self, _old: int, _new: int) -> None:
        queue = self._selected()
        if queue is not None and not queue.enabled:
            queue.size = self.queue_size
            queue.areas = [self.queue_desc, self.queue_driver, self.queue_device]
        else:
            self._load_queue()

    @queue_enable.on_write
    def _queue_enabled(self, _old: int, new: int) -> None:
        """Only ones do something; virtio 1.2 "Common configuration structure layout"."""
        queue = self._selected()
        if queue is not None and new == 1 and self.negotiated:
            queue.enable(self.negotiated)
        self._load_queue()

    @queue_reset.on_write
    def _queue_reset_written(self, _old: int, new: int) -> None:
        """Virtio 1.2 "Virtqueue Reset": done before the write ends, so it reads 0 again."""
        queue = self._selected()
        if queue is not None and new == 1 and self.negotiated & Feature.RING_RESET:
            queue.reset()
        self._load_queue()

    @notify.on_write
    def _notified(self, index: int, _old: int, _new: int) -> None:
        self.notify_queue(index)

    def notify_queue(self, index: int) -> None:
        """Do what a notification does: serve the queue, or note it for `service`."""
        if index < len(self.queues) and self.running:
            if self.deferred is None:
                self.serve(self.queues[index])
            else:
                self._waiting.add(index)
                self.deferred()

    def service(self) -> bool:
        """Serve the queues that were notified while `deferred` was set.

        Returns:
            Whether there was anything to do.
        """
        indexes = sorted(self._waiting)
        for index in indexes:
            self._waiting.discard(index)
            self.serve(self.queues[index])
        return bool(indexes)

    # -- what queues ask -------------------------------------------------------------------------

    def queue_memory(self) -> GuestMemory | None:
        """Return what DMA reaches while the device may use its queues, else `None`."""
        return self.dma if self.running and self.dma.enabled else None

    def queue_used(self, queue: VirtQueue) -> None:
        """Interrupt, since chains were given back."""
        self._tell(queue.vector, Isr.QUEUE)

    def queue_broken(self, queue: VirtQueue, reason: str) -> None:
        """Stop the device."""
        self._stop(f"queue {queue.index}: {reason}")

    def queue_failed(self, _queue: VirtQueue) -> None:
        """Interrupt, unless the driver has reset the device since."""
        if self.device_status & _NEEDS_RESET:
            self._tell(self.config_msix_vector, Isr.CONFIGURATION)

    # -- interrupts ------------------------------------------------------------------------------

    def config_changed(self) -> None:
        """Tell the driver that the device's configuration has changed."""
        self.config_generation += 1
        self._tell(self.config_msix_vector, Isr.CONFIGURATION)

    def reconfigure(self, *, tell: bool = True) -> None:
        """Have `configure` set the registers anew; `tell` the driver, or leave it to find out.

        Reads of the generation wait meanwhile: no driver takes halves of two values for one.
        """
        with self._generation_lock:
            self.configure()
            self.config_generation += 1
        if tell:
            self._tell(self.config_msix_vector, Isr.CONFIGURATION)

    @config_generation.on_read
    def _read_generation(self) -> int:
        with self._generation_lock:
            return self.config_generation

    def _tell(self, vector: int, cause: Isr) -> None:
        """Send an interrupt, unless the driver is not ready for one.

        Virtio 1.2 "PCI-specific Initialization And Device Operation": the ISR status tells causes
        apart on a pin; with MSI-X the vector does.
        """
        if not self.device_status & _DRIVER_OK:
            return
        by_vector = self.interrupts.mode == "msix"
        if cause is Isr.CONFIGURATION or not by_vector:
            with self._isr_lock:
                self.isr |= int(cause)
        if not by_vector:
            self.irq().set_level(True)
        elif vector < self.interrupts.vectors:
            self.irq(vector).pulse()

    @isr.on_read
    def _read_isr(self) -> int:
        """Read and clear; the pin goes low first, so that no cause is lost to another thread."""
        self.irq().set_level(False)
        with self._isr_lock:
            value, self.isr = self.isr, 0
        return value

    @config_msix_vector.on_write
    def _config_vector_written(self, _old: int, new: int) -> None:
        self.config_msix_vector = self._known_vector(new)

    @queue_msix_vector.on_write
    def _queue_vector_written(self, _old: int, new: int) -> None:
        queue = self._selected()
        if queue is not None:
            queue.vector = self._known_vector(new)
        self._load_queue()

    def _known_vector(self, vector: int) -> int:
        """Virtio 1.2 "MSI-X Vector Configuration": what cannot be mapped reads back as none."""
        return vector if vector < self.interrupts.vectors else NO_VECTOR

    # -- reset and snapshots -----------------------------------------------------------------------

    def on_reset(self, kind: ResetKind) -> None:
        """Reset the device as its driver would, once config space is reset."""
        del kind
        self._driver_reset()

    def snapshot(self) -> DeviceSnapshot:
        """Return all state, that of the queues included."""
        self.queue_states = tuple(queue.snapshot() for queue in self.queues)
        self.notified = tuple(sorted(self._waiting))
        return super().snapshot()

    def check_snapshot(self, snapshot: FunctionSnapshot) -> None:
        """Refuse what is no snapshot of such a device.

        Raises:
            PciSnapshotError: it is not.
        """
        super().check_snapshot(snapshot)
        assert isinstance(snapshot, DeviceSnapshot)
        values = snapshot.values
        states = values["queue_states"]
        if len(states) != len(self.queues):
            raise PciSnapshotError(f"{self.name}: {len(states)} queues, not {len(self.queues)}")
        agreed = values["device_status"] & _FEATURES_OK
        for queue, state in zip(self.queues, states, strict=True):
            queue.check(state, values["driver_features"] if agreed else 0)

    def on_restore(self) -> None:
        """Build the queues that the snapshot tells of."""
        for queue, state in zip(self.queues, self.queue_states, strict=True):
            queue.restore(state, self.negotiated)
        self._waiting = set(self.notified)
        self.fault = "broken before it was saved" if self.device_status & _NEEDS_RESET else None
