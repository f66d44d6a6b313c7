# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A console with one port: virtio 1.2 "Console Device"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from vmmkit.devices.virtio.chain import Chain
from vmmkit.devices.virtio.pci_transport import DEVICE_CONFIG, VirtioPci
from vmmkit.devices.virtio.queue import Take, VirtQueue
from vmmkit.devices.virtio.spec import FIRST_DEVICE_ID, ConsoleFeature, DeviceType
from vmmkit.errors import DeviceError
from vmmkit.pci.registers import Reg

__all__ = ["VirtioConsole"]

_RECEIVE, _TRANSMIT = 0, 1
_CHUNK: Final = 0x1_0000
_MOST: Final = 1 << 20


class VirtioConsole(VirtioPci):
    """A console device. Several ports are not offered.

    Args:
        transmit: takes bytes that the guest prints, 1 to 65536 at a time. Of one chain of buffers
            the first MiB is taken.
        size: (columns, rows), or `None` for a console without a size.
        ready: where given, called when the driver has made room for input.
        options: as for `VirtioPci`.

    Raises:
        DeviceError: a size that 16 bits do not hold.
    """

    device_id = FIRST_DEVICE_ID + DeviceType.CONSOLE
    class_code = 0x078000
    queue_sizes: ClassVar[tuple[int, ...]] = (256, 256)

    # Virtio 1.2 "Console Device", "Device configuration layout".
    cols = Reg(DEVICE_CONFIG + 0, "ro", size=2)
    rows = Reg(DEVICE_CONFIG + 2, "ro", size=2)
    max_nr_ports = Reg(DEVICE_CONFIG + 4, "ro", reset=1)
    emerg_wr = Reg(DEVICE_CONFIG + 8, "wo")

    def __init__(
        self,
        transmit: Callable[[bytes], object],
        *,
        size: tuple[int, int] | None = None,
        ready: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        """Take the owner's callables."""
        self.transmit = transmit
        self.ready = ready
        self._size = None if size is None else _checked(size)
        super().__init__(**options)

    def device_features(self) -> int:
        """Return what is offered: emergency writes, and the size if there is one."""
        sized = 0 if self._size is None else int(ConsoleFeature.SIZE)
        return int(ConsoleFeature.EMERG_WRITE) | sized

    def configure(self) -> None:
        """Show the size."""
        self.cols, self.rows = self._size or (0, 0)
        self.max_nr_ports = 1

    def resize(self, columns: int, rows: int) -> None:
        """Tell the guest of another size.

        Raises:
            DeviceError: the console was made without a size, or 16 bits do not hold it.
        """
        if self._size is None:
            raise DeviceError("VirtioConsole: it was made without a size")
        self._size = _checked((columns, rows))
        self.reconfigure(tell=bool(self.negotiated & ConsoleFeature.SIZE))

    @emerg_wr.on_write
    def _emergency(self, _old: int, new: int) -> None:
        """Print one character with no queue at all; virtio 1.2 "Emergency Write"."""
        self.transmit(bytes((new & 0xFF,)))

    # -- queues ----------------------------------------------------------------------------------

    def serve(self, queue: VirtQueue) -> None:
        """Print, or hear that there is room for input."""
        if queue.index == _TRANSMIT:
            queue.process(self._print)
        elif self.ready is not None:
            self.ready()

    def _print(self, chain: Chain) -> int:
        for view in chain.readable.views(0, _MOST):
            for at in range(0, len(view), _CHUNK):
                self.transmit(bytes(view[at : at + _CHUNK]))
        return 0

    def receive(self, data: bytes) -> int:
        """Give the guest input.

        Returns:
            How many bytes found room; offer the rest again when `ready` is called.
        """
        rest = data

        def fill(take: Take) -> Sequence[tuple[Chain, int]]:
            nonlocal rest
            done: list[tuple[Chain, int]] = []
            while rest and (chain := take()) is not None:
                count = chain.writable.write(0, rest)
                done.append((chain, count))
                rest = rest[count:]
            return done

        return len(data) - len(rest) if self.queues[_RECEIVE].deliver(fill) else 0


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    for count in size:
        if not isinstance(count, int) or not 0 <= count <= 0xFFFF:
            raise DeviceError(f"VirtioConsole: size is two numbers up to 65535, not {size!r}")
    return size
