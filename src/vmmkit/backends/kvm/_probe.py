# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whether KVM can be used here, and if not, why."""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from vmmkit.backends.kvm.vm import KvmVm
from vmmkit.errors import KvmError

__all__ = ["unusable_reason"]

DEVICE: Final = "/dev/kvm"


@cache
def unusable_reason(path: str = DEVICE) -> str | None:
    """Tell why no virtual machine can be made here, or `None`: one with a vCPU was made.

    The answer is kept: it is the same for the life of the process.

    Args:
        path: the device.
    """
    try:
        with KvmVm(path=path) as vm:
            os.close(vm.create_vcpu_fd(0))
    except KvmError as error:
        return str(error)
    return None
