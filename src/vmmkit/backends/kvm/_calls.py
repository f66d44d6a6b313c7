# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The innermost part of a `KvmVm`: calls on its descriptor, and capabilities."""

from __future__ import annotations

from typing import Any

from vmmkit.backends.kvm._ioctl import Handle
from vmmkit.backends.kvm._spec import (
    ENABLE_CAP,
    KVM_CHECK_EXTENSION,
    KVM_ENABLE_CAP,
    Cap,
    Request,
)

__all__ = ["VmCalls"]


class VmCalls:
    """Base of `KvmVm`: calls by name."""

    _vm: Handle

    @property
    def fd(self) -> int:
        """The descriptor of the virtual machine; -1 once closed."""
        return self._vm.fd

    def call(self, request: Request, argument: Any = 0, detail: str = "") -> int:
        """Make one ioctl on the virtual machine.

        Args:
            request: which, of `_spec`.
            argument: an integer, `bytes`, or a `bytearray` that is read and written.
            detail: what it is about, for errors.

        Returns:
            The number that the kernel returns, never negative.

        Raises:
            KvmError: the kernel refused, or it is closed.
        """
        return self._vm.call(request, argument, detail)

    def enable(self, cap: int, *arguments: int) -> None:
        """Enable a capability of the virtual machine.

        Args:
            cap: a number KVM_CAP_*.
            arguments: up to four.

        Raises:
            KvmError: the kernel does not have it, or not for these arguments or at this time.
        """
        words = (*arguments, 0, 0, 0, 0)[:4]
        self.call(KVM_ENABLE_CAP, ENABLE_CAP.pack(cap, 0, *words), f"capability {_name(cap)}")

    def capability(self, cap: int) -> int:
        """Ask for a capability: 0 for "no", else 1 or a number whose meaning it defines.

        Args:
            cap: a number KVM_CAP_*.
        """
        return self.call(KVM_CHECK_EXTENSION, int(cap))

    def enable_if_there(self, cap: Cap, argument: int) -> bool:
        """Enable a capability where the kernel has it; tell whether it does."""
        if not self.capability(cap):
            return False
        self.enable(cap, argument)
        return True

    def _check_open(self, what: str) -> None:
        self._vm.check_open(what)


def _name(cap: int) -> str:
    """Return what errors call a capability."""
    try:
        return Cap(cap).name
    except ValueError:
        return str(int(cap))
