# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A network interface: virtio 1.2 "Network Device"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, ClassVar, Final

from vmmkit.devices.virtio.chain import Chain
from vmmkit.devices.virtio.pci_transport import DEVICE_CONFIG, VirtioPci
from vmmkit.devices.virtio.queue import Take, VirtQueue
from vmmkit.devices.virtio.spec import FIRST_DEVICE_ID, DeviceType, NetFeature, NetStatus
from vmmkit.errors import DeviceError
from vmmkit.pci.registers import Reg, RegArray

__all__ = ["VirtioNet"]

_RECEIVE, _TRANSMIT = 0, 1
_MRG_RXBUF: Final = int(NetFeature.MRG_RXBUF)
_MOST: Final = 0x1_0000
_LINK_HEADER: Final = 18  # two addresses, a VLAN tag, a type

# Virtio 1.2 "Network Device", "Device Operation": struct virtio_net_hdr. With no offload
# negotiated all is zero but the number of buffers.
_HEADER: Final = Struct("<BBHHHHH")


class VirtioNet(VirtioPci):
    """A network device with one pair of queues; no offloads, no control queue.

    Args:
        transmit: takes each Ethernet frame that the guest sends, as bytes without checksum.
        mac: 6 bytes, an address of one station.
        mtu: largest payload to advise the guest of, 68-65535; by default none.
        link_up: whether the cable is in; see `set_link`.
        ready: where given, called when the driver has made room for frames.
        options: as for `VirtioPci`.

    Raises:
        DeviceError: an address of another length or of a group, or an MTU out of range.
    """

    device_id = FIRST_DEVICE_ID + DeviceType.NET
    class_code = 0x020000
    queue_sizes: ClassVar[tuple[int, ...]] = (256, 256)

    # Virtio 1.2 "Network Device", "Device configuration layout".
    mac = RegArray(DEVICE_CONFIG + 0, 6, "ro", size=1)
    status = Reg(DEVICE_CONFIG + 6, "ro", size=2)
    max_virtqueue_pairs = Reg(DEVICE_CONFIG + 8, "ro", size=2)
    mtu = Reg(DEVICE_CONFIG + 10, "ro", size=2)

    def __init__(
        self,
        transmit: Callable[[bytes], object],
        mac: bytes,
        *,
        mtu: int | None = None,
        link_up: bool = True,
        ready: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        """Take the owner's callables."""
        if len(mac) != 6 or mac[0] & 1:
            raise DeviceError(f"VirtioNet: {mac!r} is no station's address of 6 bytes")
        if mtu is not None and not 68 <= mtu <= 0xFFFF:
            raise DeviceError(f"VirtioNet: an MTU is 68 to 65535, not {mtu!r}")
        self.transmit = transmit
        self.ready = ready
        self._mac, self._mtu, self._link_up = bytes(mac), mtu, link_up
        super().__init__(**options)

    def device_features(self) -> int:
        """Return what is offered."""
        mtu = 0 if self._mtu is None else NetFeature.MTU
        return int(NetFeature.MAC | NetFeature.STATUS | NetFeature.MRG_RXBUF | mtu)

    def configure(self) -> None:
        """Show address, link and MTU."""
        self.mac = self._mac
        self.status = NetStatus.LINK_UP if self._link_up else 0
        self.mtu = self._mtu or 0

    @property
    def link_up(self) -> bool:
        """Whether the cable is in."""
        return self._link_up

    def set_link(self, up: bool) -> None:
        """Plug the cable in or out. While it is out, frames of both directions are dropped."""
        if up != self._link_up:
            self._link_up = up
            self.reconfigure(tell=bool(self.negotiated & NetFeature.STATUS))

    # -- queues ----------------------------------------------------------------------------------

    def serve(self, queue: VirtQueue) -> None:
        """Send frames, or hear that there is room for some."""
        if queue.index == _TRANSMIT:
            queue.process(self._send)
        elif self.ready is not None:
            self.ready()

    def _send(self, chain: Chain) -> int:
        size = chain.readable.size - _HEADER.size
        if self._link_up and 0 < size <= _MOST:
            self.transmit(chain.readable.read(_HEADER.size))
        return 0

    def receive(self, frame: bytes) -> bool:
        """Give the guest a frame.

        Returns:
            Whether it found room. If not, it is for the owner to drop it, or to offer it again
            when `ready` is called. A frame longer than 64 KiB, or than the MTU where the driver
            accepted that, never finds room.
        """
        if not self._link_up or not 0 < len(frame) <= self._longest():
            return False
        merge = bool(self.negotiated & _MRG_RXBUF)
        return self.queues[_RECEIVE].deliver(lambda take: _place(frame, take, merge=merge))

    def _longest(self) -> int:
        """Return the bytes of the longest frame to receive.

        Virtio 1.2 "Network Device", "Device configuration layout": the MTU is one of payloads.
        """
        mtu = self._mtu if self.negotiated & NetFeature.MTU else None
        return _MOST if mtu is None else min(mtu + _LINK_HEADER, _MOST)


def _place(frame: bytes, take: Take, *, merge: bool) -> Sequence[tuple[Chain, int]]:
    """Put header and frame into as many buffers as they need, of which one has to do if not merge.

    Virtio 1.2 "Processing of Incoming Packets".
    """
    need = _HEADER.size + len(frame)
    chains: list[Chain] = []
    room = 0
    while room < need:
        chain = take() if merge or not chains else None
        if chain is None:
            return ()
        chains.append(chain)
        room += chain.writable.size
    return _fill(_HEADER.pack(0, 0, 0, 0, 0, 0, len(chains)) + frame, chains)


def _fill(data: bytes, chains: list[Chain]) -> list[tuple[Chain, int]]:
    done = []
    at = 0
    for chain in chains:
        count = chain.writable.write(0, data[at : at + chain.writable.size])
        done.append((chain, count))
        at += count
    return done
