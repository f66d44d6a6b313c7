# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A source of random bytes: virtio 1.2 "Entropy Device"."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar, Final

from vmmkit.devices.virtio.chain import Chain
from vmmkit.devices.virtio.pci_transport import VirtioPci
from vmmkit.devices.virtio.queue import VirtQueue
from vmmkit.devices.virtio.spec import FIRST_DEVICE_ID, DeviceType

__all__ = ["VirtioRng"]

_MOST: Final = 0x1_0000


class VirtioRng(VirtioPci):
    """An entropy device.

    Args:
        entropy: `entropy(size)` returns at most `size` random bytes; by default those of the
            operating system. A request gets at most 65536 bytes, whatever its buffers hold.
        options: as for `VirtioPci`.
    """

    device_id = FIRST_DEVICE_ID + DeviceType.RNG
    class_code = 0x00FF00
    queue_sizes: ClassVar[tuple[int, ...]] = (64,)

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom, **options: Any) -> None:
        """Take the source."""
        self.entropy = entropy
        super().__init__(**options)

    def serve(self, queue: VirtQueue) -> None:
        """Fill the buffers."""
        queue.process(self._fill)

    def _fill(self, chain: Chain) -> int:
        size = min(chain.writable.size, _MOST)
        return chain.writable.write(0, self.entropy(size)[:size]) if size else 0
