# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A block device: virtio 1.2 "Block Device"."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, ClassVar, Final

from vmmkit.devices.virtio.chain import Buffers, Chain, MalformedRingError
from vmmkit.devices.virtio.disk import Disk
from vmmkit.devices.virtio.pci_transport import DEVICE_CONFIG, VirtioPci
from vmmkit.devices.virtio.queue import VirtQueue
from vmmkit.devices.virtio.spec import (
    FIRST_DEVICE_ID,
    BlkFeature,
    BlkRequest,
    BlkStatus,
    DeviceType,
)
from vmmkit.errors import DeviceError
from vmmkit.pci.registers import Reg

__all__ = ["VirtioBlk"]

_SECTOR: Final = 512
_HEADER: Final = Struct("<IIQ")
_SEGMENT: Final = Struct("<QII")
_UNMAP: Final = 1
_ID_SIZE: Final = 20
_QUEUE_SIZE: Final = 256
_OK, _IOERR, _UNSUPP = int(BlkStatus.OK), int(BlkStatus.IOERR), int(BlkStatus.UNSUPP)
_STATUS: Final = (bytes((_OK,)), bytes((_IOERR,)), bytes((_UNSUPP,)))
_IN: Final = int(BlkRequest.IN)
_FLUSH: Final = int(BlkFeature.FLUSH)

_ALWAYS: Final = BlkFeature.SEG_MAX | BlkFeature.BLK_SIZE | BlkFeature.TOPOLOGY | BlkFeature.FLUSH
_WRITABLE: Final = BlkFeature.DISCARD | BlkFeature.WRITE_ZEROES

MAX_SEGMENTS: Final = 4  #: ranges of one discard or write-zeroes request
MAX_RANGE: Final = 0x2000  #: sectors of one range: 4 MiB


class VirtioBlk(VirtioPci):
    """A block device.

    Args:
        disk: the storage; its capacity is in whole sectors of 512 bytes, a tail is not used.
        read_only: whether writes are refused.
        serial: what GET_ID answers, ASCII, at most 20 bytes.
        block_size: of the storage, in bytes: a power of two from 512 on. A hint to the driver.
        physical_block_exp: logarithm of blocks per physical block.
        optimal_blocks: best size of I/O, in blocks.
        max_segments: most buffers of data in a request.
        options: as for `VirtioPci`.

    Raises:
        DeviceError: an argument out of range.

    A request that fails is answered with IOERR, one of an unknown kind with UNSUPP; an `OSError`
    of the disk is an IOERR. A driver that did not accept VIRTIO_BLK_F_FLUSH gets a
    disk that flushes each write.
    """

    device_id = FIRST_DEVICE_ID + DeviceType.BLK
    class_code = 0x010000
    queue_sizes: ClassVar[tuple[int, ...]] = (_QUEUE_SIZE,)

    # Virtio 1.2 "Block Device", "Device configuration layout".
    capacity = Reg(DEVICE_CONFIG + 0, "ro", size=8)
    size_max = Reg(DEVICE_CONFIG + 8, "ro")
    seg_max = Reg(DEVICE_CONFIG + 12, "ro")
    geometry = Reg(DEVICE_CONFIG + 16, "ro")
    blk_size = Reg(DEVICE_CONFIG + 20, "ro")
    physical_block_exp = Reg(DEVICE_CONFIG + 24, "ro", size=1)
    alignment_offset = Reg(DEVICE_CONFIG + 25, "ro", size=1)
    min_io_size = Reg(DEVICE_CONFIG + 26, "ro", size=2)
    opt_io_size = Reg(DEVICE_CONFIG + 28, "ro")
    writeback = Reg(DEVICE_CONFIG + 32, "ro", size=1)
    num_request_queues = Reg(DEVICE_CONFIG + 34, "ro", size=2)
    max_discard_sectors = Reg(DEVICE_CONFIG + 36, "ro")
    max_discard_seg = Reg(DEVICE_CONFIG + 40, "ro")
    discard_sector_alignment = Reg(DEVICE_CONFIG + 44, "ro")
    max_write_zeroes_sectors = Reg(DEVICE_CONFIG + 48, "ro")
    max_write_zeroes_seg = Reg(DEVICE_CONFIG + 52, "ro")
    write_zeroes_may_unmap = Reg(DEVICE_CONFIG + 56, "ro", size=1)

    def __init__(
        self,
        disk: Disk,
        *,
        read_only: bool = False,
        serial: str = "",
        block_size: int = _SECTOR,
        physical_block_exp: int = 0,
        optimal_blocks: int = 0,
        max_segments: int = _QUEUE_SIZE - 2,
        **options: Any,
    ) -> None:
        """Check the description of the disk."""
        if block_size < _SECTOR or block_size & block_size - 1 or block_size >> 32:
            raise DeviceError(f"VirtioBlk: no block size: {block_size!r}")
        if not serial.isascii() or len(serial) > _ID_SIZE:
            raise DeviceError(f"VirtioBlk: serial is up to {_ID_SIZE} ASCII letters: {serial!r}")
        if not 1 <= max_segments <= _QUEUE_SIZE - 2:
            raise DeviceError(f"VirtioBlk: max_segments is 1 to {_QUEUE_SIZE - 2}")
        if not 0 <= physical_block_exp < 32 or block_size << physical_block_exp >> 32:
            raise DeviceError(f"VirtioBlk: no exponent of blocks: {physical_block_exp!r}")
        if not 0 <= optimal_blocks < 1 << 32:
            raise DeviceError(f"VirtioBlk: optimal_blocks is a number of 32 bits: {optimal_blocks}")
        self.disk = disk
        self.read_only = read_only
        self._serial = serial.encode().ljust(_ID_SIZE, b"\0")
        self._topology = block_size, physical_block_exp, optimal_blocks, max_segments
        self._requests: dict[int, Callable[[Chain, int], int]] = {
            BlkRequest.IN: self._read,
            BlkRequest.OUT: self._write,
            BlkRequest.FLUSH: self._flush,
            BlkRequest.GET_ID: self._get_id,
            BlkRequest.DISCARD: self._discard,
            BlkRequest.WRITE_ZEROES: self._write_zeroes,
        }
        super().__init__(**options)

    def device_features(self) -> int:
        """Return what is offered."""
        return int(_ALWAYS | (BlkFeature.RO if self.read_only else _WRITABLE))

    def configure(self) -> None:
        """Describe the disk."""
        self.capacity = self.disk.size // _SECTOR
        self.blk_size, self.physical_block_exp, self.opt_io_size, self.seg_max = self._topology
        self.min_io_size = self.num_request_queues = 1
        self.writeback = 1
        ranges = 0 if self.read_only else 1
        self.max_discard_sectors = self.max_write_zeroes_sectors = MAX_RANGE * ranges
        self.max_discard_seg = self.max_write_zeroes_seg = MAX_SEGMENTS * ranges
        self.discard_sector_alignment = self.blk_size // _SECTOR
        self.write_zeroes_may_unmap = ranges

    def resized(self) -> None:
        """Tell the guest that `disk.size` has changed."""
        self.reconfigure()

    # -- requests --------------------------------------------------------------------------------

    def serve(self, queue: VirtQueue) -> None:
        """Do what the driver asks for."""
        queue.process(self._request)

    def _request(self, chain: Chain) -> int:
        """Do one request; virtio 1.2 "Block Device", "Device Operation"."""
        size = chain.writable.size
        if not size:
            raise MalformedRingError("a block request with no room for its status")
        header = chain.readable.read(0, _HEADER.size)
        if len(header) < _HEADER.size or self._too_many_pieces(chain):
            status = _IOERR
        else:
            kind, _, sector = _HEADER.unpack(header)
            request = self._requests.get(kind)
            status = _UNSUPP if request is None else self._attempt(request, chain, sector)
        chain.writable.write(size - 1, _STATUS[status])
        return size

    def _attempt(self, request: Callable[[Chain, int], int], chain: Chain, sector: int) -> int:
        try:
            return request(chain, sector)
        except OSError:
            return _IOERR

    def _too_many_pieces(self, chain: Chain) -> bool:
        """Header and status may have a buffer of their own."""
        most = self.seg_max + 1
        return len(chain.readable.pieces) > most or len(chain.writable.pieces) > most

    def _inside(self, sector: int, size: int) -> bool:
        return not size % _SECTOR and sector * _SECTOR + size <= self.capacity * _SECTOR

    def _read(self, chain: Chain, sector: int) -> int:
        size = chain.writable.size - 1
        if not self._inside(sector, size):
            return _IOERR
        self.disk.readinto(sector * _SECTOR, chain.writable.views(0, size))
        return _OK

    def _write(self, chain: Chain, sector: int) -> int:
        size = chain.readable.size - _HEADER.size
        if self.read_only or not self._inside(sector, size):
            return _IOERR
        self.disk.write(sector * _SECTOR, chain.readable.views(_HEADER.size))
        if not self.negotiated & _FLUSH:
            self.disk.flush()
        return _OK

    def _flush(self, _chain: Chain, _sector: int) -> int:
        self.disk.flush()
        return _OK

    def _get_id(self, chain: Chain, _sector: int) -> int:
        room = chain.writable.size - 1
        chain.writable.write(0, self._serial[:room])
        return _OK

    def _discard(self, chain: Chain, _sector: int) -> int:
        status, ranges = self._ranges(chain.readable, BlkFeature.DISCARD, known=0)
        for offset, size, _ in ranges:
            self.disk.discard(offset, size)
        return status

    def _write_zeroes(self, chain: Chain, _sector: int) -> int:
        status, ranges = self._ranges(chain.readable, BlkFeature.WRITE_ZEROES, known=_UNMAP)
        for offset, size, flags in ranges:
            self.disk.zero(offset, size, unmap=bool(flags & _UNMAP))
        if ranges and not self.negotiated & _FLUSH:
            self.disk.flush()
        return status

    def _ranges(
        self, readable: Buffers, feature: int, *, known: int
    ) -> tuple[int, list[tuple[int, int, int]]]:
        """Return a status, and (offset, size, flags) of each range if that is OK."""
        if not self.negotiated & feature:
            return _UNSUPP, []
        size = readable.size - _HEADER.size
        if not 0 < size <= MAX_SEGMENTS * _SEGMENT.size or size % _SEGMENT.size:
            return _IOERR, []
        ranges = []
        for sector, sectors, flags in _SEGMENT.iter_unpack(readable.read(_HEADER.size)):
            if flags & ~known:
                return _UNSUPP, []
            if sectors > MAX_RANGE or not self._inside(sector, sectors * _SECTOR):
                return _IOERR, []
            ranges.append((sector * _SECTOR, sectors * _SECTOR, flags))
        return _OK, ranges
