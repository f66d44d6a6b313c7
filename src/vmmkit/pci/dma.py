# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function's reads and writes of memory, as far as the guest lets it.

Bus Master Enable and D0 open the way; while it is closed reads give ones and writes vanish. What
is reached is an address map: RAM directly, ROM and other functions' BARs through a port of the
map. Bytes that no region answers for read as ones and are recorded in the Status register as
Received Master Abort; those that a device refuses with `BusError`, as Received Target Abort.
Ranges behind the regions (fallbacks) are for processors, not for devices.

A guest may give a device the address of the very register that starts its transfers. So that this
comes to an end, what a handler does while a function's DMA is in it is limited: the same function
reaches RAM and no device in that thread, and so does every function when `MAX_NESTING` of them are
in each other's handlers. What is refused so is a Received Master Abort.

Nothing is atomic beyond a natural access of at most eight bytes, and nothing is locked: a transfer
and the guest see each other's bytes as processors and devices do.

Sources: PCI Local Bus Specification 3.0, "Device Control" (Bus Master) and "Device Status"; PCI
Bus Power Management Interface Specification 1.2, "Function Power Management States".
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from vmmkit.errors import (
    AccessError,
    AccessSizeError,
    BusError,
    DmaError,
    HandlerError,
)
from vmmkit.pci._mastering import may_master
from vmmkit.pci._ram_windows import RamWindow, RamWindows, ram_window, windows_of
from vmmkit.pci.config import ConfigSpace
from vmmkit.protocols import AccessPort, MemorySpace

__all__ = ["MAX_NESTING", "MAX_TRANSFER", "Dma"]

#: Bytes one transfer may have; a device bounds the lengths that a guest gives it.
MAX_TRANSFER: Final = 1 << 30

#: Functions whose DMA may be in handlers of devices at once in one thread, one due to the other.
MAX_NESTING: Final = 4

_STATUS_HIGH: Final = 0x07
_TARGET_ABORT: Final = 1 << 4  # Received Target Abort, bit 12 of Status
_MASTER_ABORT: Final = 1 << 5  # Received Master Abort, bit 13 of Status

Buffer = bytes | bytearray | memoryview


class _Nowhere:
    """The memory of a function that is plugged in nowhere."""

    def find(self, _address: int, /) -> None:
        return None

    def conflicts(self, _base: int, _size: int, /) -> Sequence[Any]:
        return ()

    def port(self, _vcpu: object, /) -> Any:
        return None


_NOWHERE: Final[Any] = _Nowhere()


class _Thread(threading.local):
    """What a thread is doing."""

    def __init__(self) -> None:
        self.in_devices: list[Dma] = []  # whose transfers led into the handlers that it runs


_thread: Final = _Thread()


class Dma:
    """Bus mastering of one function.

    Args:
        config: whose Command register and D-state open the way, and whose Status records aborts.
        memory: what is reached; `None` for nothing yet.
        requester: handed to device handlers in place of a vCPU.

    Attributes:
        refused: transfers refused because the way was closed.

    Addresses that a guest chose never raise, and neither do sizes up to `MAX_TRANSFER` bytes. The
    device bounds what exceeds that: a read makes an object of as many bytes. `DmaError` is for
    longer ones, and for what no guest can choose: negative numbers, data that is no buffer.
    """

    __slots__ = (
        "_config",
        "_limit",
        "_memory",
        "_port",
        "_ram",
        "_requester",
        "_upstream",
        "refused",
    )

    def __init__(
        self, config: ConfigSpace, memory: MemorySpace | None = None, requester: object = None
    ) -> None:
        """Make the way into `memory`."""
        self._config = config
        self.refused = 0
        self.connect(_NOWHERE if memory is None else memory, requester)

    def connect(
        self,
        memory: MemorySpace,
        requester: object = None,
        upstream: tuple[ConfigSpace, ...] = (),
    ) -> None:
        """Reach another memory from now on, through the bridges that have these config spaces."""
        self._memory, self._upstream = memory, upstream
        self._limit = 1 << getattr(memory, "address_bits", 64)
        # Made when it is needed: each port of a map makes its changes a little slower.
        self._port: AccessPort | None = None
        self._requester = requester
        self._ram: RamWindows = windows_of(memory)

    def disconnect(self) -> None:
        """Reach nothing from now on."""
        self.connect(_NOWHERE)

    @property
    def enabled(self) -> bool:
        """Whether the guest lets the function master the bus."""
        return may_master(self._config, self._upstream)

    # -- transfers -------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes at `address`; ones for those that cannot be had.

        Raises:
            DmaError: see the class.
        """
        if not may_master(self._config, self._upstream):
            self._refuse(address, size)
            return b"\xff" * size
        for base, last, buffer in self._ram.windows:
            if base <= address and size > 0 and address + size - 1 <= last:
                at = address - base
                return bytes(buffer[at : at + size])
        return self._read_pieces(address, size)

    def write(self, address: int, data: Buffer) -> bool:
        """Write bytes; return whether all arrived.

        Raises:
            DmaError: see the class.
        """
        source = _bytes_of(data)
        size = len(source)
        if not may_master(self._config, self._upstream):
            self._refuse(address, size)
            return False
        for base, last, buffer in self._ram.windows:
            if base <= address and address + size - 1 <= last:
                at = address - base
                buffer[at : at + size] = source
                return True
        return self._write_pieces(address, source)

    def view(self, address: int, size: int) -> memoryview | None:
        """Return a writable view of RAM, or `None` if the range is not all in one piece of RAM.

        It keeps showing that RAM when the map has changed. Ask again for each transfer, or at
        least whenever the guest may have turned bus mastering off.

        Raises:
            DmaError: see the class.
        """
        _check(address, size)
        if not self.enabled:
            self.refused += 1
            return None
        for window in self._ram.windows:
            memory = _within(window, address, size)
            if memory is not None:
                return memory
        return _within(self._ram.learn(address), address, size)

    def read_scatter(self, parts: Iterable[tuple[int, int]]) -> bytes:
        """Return the bytes of all parts `(address, size)`, one after the other.

        Raises:
            DmaError: see the class.
        """
        return b"".join([self.read(address, size) for address, size in parts])

    def write_scatter(self, parts: Iterable[tuple[int, int]], data: Buffer) -> bool:
        """Spread `data` over parts `(address, size)`, the last of which may stay unfilled.

        Returns:
            Whether all of it arrived; false also if the parts are too small for it.

        Raises:
            DmaError: see the class.
        """
        rest = _bytes_of(data)
        arrived = True
        for address, room in parts:
            # Room that is not filled makes the transfer no longer.
            size = min(room, len(rest)) if isinstance(room, int) else room
            _check(address, size)
            chunk, rest = rest[:size], rest[size:]
            if chunk:
                arrived &= self.write(address, chunk)
        return arrived and not rest

    def _refuse(self, address: int, size: int) -> None:
        _check(address, size)
        self.refused += 1

    # -- what is not in one piece of known RAM ---------------------------------------------------

    def _read_pieces(self, address: int, size: int) -> bytes:
        _check(address, size)
        memory = _within(self._ram.learn(address), address, size)
        if memory is not None:
            return bytes(memory)
        data = bytearray(b"\xff") * size
        missing = size
        for region, first, past in self._pieces(address, size):
            missing -= past - first
            self._read_region(region, first, memoryview(data)[first - address : past - address])
        if missing:
            self._record(_MASTER_ABORT)
        return bytes(data)

    def _write_pieces(self, address: int, source: memoryview) -> bool:
        size = len(source)
        _check(address, size)
        missing, arrived = size, True
        self._ram.learn(address)
        for region, first, past in self._pieces(address, size):
            missing -= past - first
            chunk = source[first - address : past - address]
            arrived &= self._write_region(region, first, chunk)
        if missing:
            self._record(_MASTER_ABORT)
        return arrived and not missing

    def _pieces(self, address: int, size: int) -> Iterator[tuple[Any, int, int]]:
        """Yield the regions in the way as `(region, first, past)`, in address order."""
        past = min(address + size, self._limit)
        if address >= past:
            return
        for region in self._memory.conflicts(address, past - address):
            base = region.base
            first, end = max(base, address), min(region.last + 1, past)
            if first < end:
                yield region, first, end

    def _read_region(self, region: Any, address: int, target: memoryview) -> None:
        size = len(target)
        memory = _within(ram_window(region), address, size)
        if memory is not None:
            target[:] = memory
            return
        if not self._enter_device():
            return  # the target is all ones
        try:
            for place, width in _natural(address, size):
                value = self._read_port(place, width)
                target[place - address : place - address + width] = value.to_bytes(width, "little")
        finally:
            _thread.in_devices.pop()

    def _write_region(self, region: Any, address: int, source: memoryview) -> bool:
        size = len(source)
        memory = _within(ram_window(region), address, size)
        if memory is not None:
            memory[:] = source
            return True
        if not self._enter_device():
            return False
        arrived = True
        try:
            for place, width in _natural(address, size):
                value = int.from_bytes(source[place - address : place - address + width], "little")
                arrived &= self._write_port(place, width, value)
        finally:
            _thread.in_devices.pop()
        return arrived

    def _enter_device(self) -> bool:
        """Note that this thread goes into a handler; refuse where there would be no end to it."""
        entered = _thread.in_devices
        if self in entered or len(entered) >= MAX_NESTING:
            self._record(_MASTER_ABORT)
            return False
        entered.append(self)
        return True

    def _access(self) -> AccessPort:
        port = self._port
        if port is None:
            port = self._port = self._memory.port(self._requester)
        return port

    def _read_port(self, address: int, width: int) -> int:
        try:
            return self._access().read(address, width) & (1 << 8 * width) - 1
        except AccessSizeError:  # nothing has happened yet, so it may be tried in halves
            if width > 1:
                half = width // 2
                low = self._read_port(address, half)
                return low | self._read_port(address + half, half) << 8 * half
            self._record(_MASTER_ABORT)
        except HandlerError:  # a mistake in the device's program, not an answer of the device
            raise
        except AccessError as refusal:
            self._record_refusal(refusal)
        return (1 << 8 * width) - 1

    def _write_port(self, address: int, width: int, value: int) -> bool:
        try:
            self._access().write(address, width, value)
        except AccessSizeError:
            if width > 1:
                half = width // 2
                low = self._write_port(address, half, value & (1 << 8 * half) - 1)
                return self._write_port(address + half, half, value >> 8 * half) and low
            self._record(_MASTER_ABORT)
            return False
        except HandlerError:
            raise
        except AccessError as refusal:
            self._record_refusal(refusal)
            return False
        return True

    def _record_refusal(self, refusal: AccessError) -> None:
        self._record(_TARGET_ABORT if isinstance(refusal, BusError) else _MASTER_ABORT)

    def _record(self, abort: int) -> None:
        self._config.amend(_STATUS_HIGH, 1, on=abort)

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        return f"<Dma {'enabled' if self.enabled else 'disabled'}, {self.refused} refused>"


def _within(window: RamWindow | None, address: int, size: int) -> memoryview | None:
    """Return the part of a window, if all of it is inside."""
    if window is None or address < window.base or address + size - 1 > window.last:
        return None
    at = address - window.base
    return window.buffer[at : at + size]


def _natural(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield naturally aligned accesses of at most eight bytes as `(address, width)`."""
    past = address + size
    while address < past:
        width = min(address & -address or 8, 8)
        while width > past - address:
            width >>= 1
        yield address, width
        address += width


def _bytes_of(data: Buffer) -> memoryview:
    """Return `data` as a flat view of bytes."""
    try:
        view = memoryview(data)
        return view if view.format == "B" and view.ndim == 1 else view.cast("B")
    except TypeError as error:
        raise DmaError(f"{type(data).__name__} is no contiguous buffer") from error


def _check(address: int, size: int) -> None:
    if not isinstance(address, int) or not isinstance(size, int) or address < 0:
        raise DmaError(f"no transfer of {size!r} bytes at {address!r}")
    if not 0 <= size <= MAX_TRANSFER:
        raise DmaError(f"a transfer has 0 to {MAX_TRANSFER:#x} bytes, not {size:#x}")
