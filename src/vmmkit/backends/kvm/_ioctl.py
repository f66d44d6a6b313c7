# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The calls into the kernel, and errors that say which call failed, how, and what to do.

Every descriptor is closed on exec: `os.open` and the kernel's KVM calls make them so.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import _cffi_backend

from vmmkit.backends.kvm._spec import API_VERSION, KVM_GET_API_VERSION, Request
from vmmkit.errors import KvmError, KvmUnavailableError

if TYPE_CHECKING:
    from typing_extensions import Buffer

if sys.platform == "linux":
    from fcntl import ioctl as kernel_ioctl
else:

    def kernel_ioctl(*_arguments: Any) -> int:
        """Refuse as a kernel without KVM does."""
        raise OSError(errno.ENOSYS, f"no KVM on {sys.platform}")


__all__ = ["Handle", "HostBuffer", "call", "kernel_ioctl", "kvm_error", "open_device"]

#: cffi's runtime half: unlike ctypes it tells the address of a read-only buffer, too.
FFI: Final = _cffi_backend.FFI()

OPEN: Final = "open"
_INT_MIN, _INT_MAX = -(1 << 31), (1 << 31) - 1

#: What to do, by error number, where the number alone says it.
_ADVICE: Final = {
    errno.EACCES: "join the group that owns the device, usually kvm: usermod -aG kvm USER",
    errno.EPERM: "a security policy or the container's device list forbids it",
    errno.EBADF: "it is closed already",
    errno.EBUSY: "another hypervisor holds the processor's virtualisation, or it is in use",
    errno.EIO: "a virtual machine belongs to the process that made it, not to its forks",
    errno.EMFILE: "too many files are open: raise the limit, ulimit -n",
    errno.ENOMEM: "out of memory, or of the memory this user may lock: see ulimit -l",
    errno.ENOSYS: "KVM is a part of Linux: use the software vCPU here",
}

#: What to do, by call and error number.
_CALL_ADVICE: Final = {
    (OPEN, errno.ENOENT): "load the module kvm_intel or kvm_amd, and allow virtualisation in the"
    " firmware, or nested virtualisation in the outer hypervisor",
    (OPEN, errno.ENODEV): "the module kvm is loaded, but not the processor's part of it",
    (OPEN, errno.ENXIO): "the module kvm is loaded, but not the processor's part of it",
    ("KVM_GET_API_VERSION", errno.ENOTTY): "this file is no KVM device",
    ("KVM_CREATE_VCPU", errno.EEXIST): "the virtual machine has a vCPU of this index",
    ("KVM_CREATE_VCPU", errno.EINVAL): "the index is beyond the capability MAX_VCPU_ID",
    ("KVM_SET_USER_MEMORY_REGION", errno.EEXIST): "another memory slot, or the four pages that"
    " KVM keeps for itself, is there",
    ("KVM_IOEVENTFD", errno.EEXIST): "an ioeventfd answers this address, size and value already",
    ("KVM_IRQFD", errno.EBUSY): "the eventfd raises an interrupt already",
    ("KVM_SET_SREGS", errno.EINVAL): "CR0, CR4, EFER and CS contradict each other, or CPUID does"
    " not have what they switch on",
    ("KVM_SET_XCRS", errno.EINVAL): "CPUID does not have these components, or they need others",
    ("KVM_SET_XSAVE", errno.EINVAL): "reserved bits of MXCSR are set",
    ("KVM_SET_DEBUGREGS", errno.EINVAL): "the upper halves of DR6 and DR7 are 0",
    ("KVM_SET_CPUID2", errno.E2BIG): "the table has more rows than the kernel takes",
    ("KVM_RUN", errno.EFAULT): "memory of the guest's is not there: a file that is mapped as RAM"
    " has become shorter, or a page cannot be read or had",
    ("KVM_CREATE_IRQCHIP", errno.EEXIST): "there are interrupt controllers or vCPUs already",
}  # fmt: skip


def kvm_error(call: str, number: int, detail: str = "") -> KvmError:
    """Build the error for a call that failed with an error number.

    Args:
        call: name of the ioctl, or `"open"`.
        number: the error number.
        detail: what the call was about: a path, a slot, a range.

    Returns:
        A `KvmUnavailableError` where the device itself was refused, else a `KvmError`.
    """
    name = errno.errorcode.get(number, str(number))
    text = f"{call}{' ' * bool(detail)}{detail}: {name}, {os.strerror(number)}"
    advice = _CALL_ADVICE.get((call, number)) or _ADVICE.get(number)
    unavailable = call in (OPEN, KVM_GET_API_VERSION.name)
    kind = KvmUnavailableError if unavailable else KvmError
    return kind(f"{text}; {advice}" if advice else text, call, number)


def call(fd: int, request: Request, argument: Any = 0, detail: str = "") -> int:
    """Make one ioctl, again where a signal interrupts it. The GIL is released meanwhile.

    Not for KVM_RUN, which a signal is to end.

    Args:
        fd: an open descriptor.
        request: which.
        argument: an integer, of any size up to 64 bits, or a buffer: a `bytearray` (or ctypes
            object) is read and written, `bytes` are read.
        detail: what the call is about, for errors.

    Returns:
        The call's result, never negative.

    Raises:
        KvmError: the kernel refused.
    """
    if fd < 0:
        raise kvm_error(request.name, errno.EBADF, detail)
    if isinstance(argument, bytes):
        argument = bytearray(argument)
    while True:
        try:
            if isinstance(argument, int) and not _INT_MIN <= argument <= _INT_MAX:
                return _call_wide(fd, request.number, argument)
            result: int = kernel_ioctl(fd, request.number, argument)
        except InterruptedError:
            continue
        except OSError as error:
            raise kvm_error(request.name, error.errno or 0, detail) from None
        else:
            return result


def _call_wide(fd: int, number: int, argument: int) -> int:
    """Make an ioctl whose integer argument does not fit the C int that `fcntl` passes."""
    import ctypes  # noqa: PLC0415 - for this rare case only

    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_ulong(argument))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Handle:
    """An open descriptor of KVM's, and its calls by name.

    Args:
        fd: the descriptor; the handle closes it.
        what: for errors: `"the virtual machine"`.
    """

    __slots__ = ("_fd", "what")

    def __init__(self, fd: int, what: str) -> None:
        """Own `fd`."""
        self._fd = fd
        self.what = what

    @property
    def fd(self) -> int:
        """The descriptor; -1 once closed."""
        return self._fd

    def call(self, request: Request, argument: Any = 0, detail: str = "") -> int:
        """Make one ioctl on it; see `call`.

        Raises:
            KvmError: the kernel refused, or the handle is closed.
        """
        self.check_open(request.name)
        return call(self._fd, request, argument, detail)

    def check_open(self, what: str) -> None:
        """Refuse what is done to a closed object.

        Raises:
            KvmError: it is closed; the error's `call` is `what`.
        """
        if self._fd < 0:
            raise kvm_error(what, errno.EBADF, f"on {self.what}")

    def close(self) -> None:
        """Close the descriptor; again is nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def open_device(path: str) -> Handle:
    """Open the KVM device and check that it speaks the one stable interface there is.

    Raises:
        KvmUnavailableError: it is missing, forbidden, no KVM, or of another version.
    """
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise kvm_error(OPEN, error.errno or 0, path) from None
    handle = Handle(fd, path)
    try:
        version = call(fd, KVM_GET_API_VERSION, 0, f"on {path}")
        if version != API_VERSION:
            message = f"KVM_GET_API_VERSION on {path}: version {version}, not {API_VERSION}"
            raise KvmUnavailableError(
                f"{message}; the kernel is too old", KVM_GET_API_VERSION.name, errno.ENOTSUP
            )
    except KvmError:
        handle.close()
        raise
    return handle


class HostBuffer:
    """A buffer that is kept where it lies in this process's memory.

    Until `release` the buffer stays exported: an `mmap` cannot be closed, a `bytearray` not
    resized.

    Args:
        buffer: a contiguous buffer, writable or not.

    Attributes:
        address: of its first byte in this process.
    """

    __slots__ = ("_held", "address")

    def __init__(self, buffer: Buffer) -> None:
        """Export `buffer`."""
        self._held = FFI.from_buffer(buffer)
        self.address = int(FFI.cast("uintptr_t", self._held))

    def release(self) -> None:
        """Let go of the buffer; the address means nothing any more."""
        FFI.release(self._held)
