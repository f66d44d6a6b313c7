# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Errors of KVM say which call failed, how, and what to do."""

import copy
import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from vmmkit.backends.kvm import KvmVm, unusable_reason
from vmmkit.backends.kvm._ioctl import call, kvm_error
from vmmkit.backends.kvm._spec import KVM_CREATE_VM, Request
from vmmkit.errors import KvmError, KvmUnavailableError, VmmkitError

#: call, error number, class, and what the message says beside the call.
ADVICE = [
    (
        "open",
        errno.ENOENT,
        KvmUnavailableError,
        "ENOENT, .* load the module kvm_intel",
    ),
    ("open", errno.EACCES, KvmUnavailableError, "EACCES, Permission denied; join the group"),
    ("open", errno.EPERM, KvmUnavailableError, "EPERM, .* a security policy"),
    ("open", errno.ENODEV, KvmUnavailableError, "the processor's part"),
    ("KVM_GET_API_VERSION", errno.ENOTTY, KvmUnavailableError, "this file is no KVM device"),
    ("KVM_CREATE_VM", errno.EBUSY, KvmError, "EBUSY, .* another hypervisor"),
    ("KVM_CREATE_VM", errno.ENOMEM, KvmError, "ENOMEM, .* ulimit -l"),
    ("KVM_CREATE_VCPU", errno.EEXIST, KvmError, "has a vCPU of this index"),
    ("KVM_CREATE_VCPU", errno.EMFILE, KvmError, "EMFILE, .* ulimit -n"),
    ("KVM_RUN", errno.EIO, KvmError, "not to its forks"),
    ("KVM_RUN", errno.EBADF, KvmError, "EBADF, .* closed already"),
    ("KVM_SET_USER_MEMORY_REGION", errno.EEXIST, KvmError, "another memory slot"),
    ("KVM_IOEVENTFD", errno.EEXIST, KvmError, "an ioeventfd answers this address"),
    ("KVM_RUN", errno.EFAULT, KvmError, "EFAULT, Bad address; .* has become shorter"),
    ("KVM_SET_MSRS", errno.EFAULT, KvmError, "EFAULT, Bad address$"),
    ("KVM_SET_SREGS", errno.EINVAL, KvmError, "CS contradict each other"),
    ("KVM_SET_CPUID2", errno.E2BIG, KvmError, "more rows than the kernel takes"),
    ("KVM_RUN", 9999, KvmError, "9999, Unknown error 9999$"),
]


@pytest.mark.parametrize(("name", "number", "kind", "says"), ADVICE)
def test_an_error_gives_advice(name, number, kind, says):
    error = kvm_error(name, number, "on this")
    assert type(error) is kind
    assert isinstance(error, OSError)
    assert isinstance(error, VmmkitError)
    assert (error.call, error.errno) == (name, number)
    with pytest.raises(kind, match=f"^{name} on this: .*{says}"):
        raise error


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied(again):
    error = kvm_error("open", errno.EACCES, "/dev/kvm")
    twin = again(error)
    assert type(twin) is type(error)
    assert (str(twin), twin.call, twin.errno) == (str(error), error.call, error.errno)


NO_DEVICES = {
    "missing": (lambda folder: folder / "kvm", "open .*/kvm: ENOENT, .* load the module"),
    "a file": (lambda folder: folder / "file", "KVM_GET_API_VERSION on .*/file: ENOTTY, .* no KVM"),
    "a folder": (lambda folder: folder, "open .*: EISDIR, Is a directory"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel says something else")
@pytest.mark.parametrize("name", NO_DEVICES)
def test_what_is_no_device(name, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path, says = NO_DEVICES[name]
    where = str(path(tmp_path))
    with pytest.raises(KvmUnavailableError, match=says) as caught:
        KvmVm(path=where)
    assert unusable_reason(where) == str(caught.value)


def test_a_call_on_no_descriptor():
    with pytest.raises(KvmError, match=r"^KVM_CREATE_VM: EBADF, .*; it is closed already$"):
        call(-1, KVM_CREATE_VM)


@pytest.mark.parametrize("argument", [0xFFFB_D000, 1 << 63, -1, 0])
def test_integers_of_all_widths_reach_the_kernel(argument):
    says = "^KVM_NOTHING of this: ENOTTY"
    with Path(os.devnull).open() as file, pytest.raises(KvmError, match=says):
        call(file.fileno(), Request("KVM_NOTHING", 0xAEFF), argument, "of this")


@pytest.mark.kvm
def test_a_usable_device_has_no_reason():
    assert unusable_reason() is None


IMPORT_ELSEWHERE = """
import sys
sys.platform = "win32"
sys.modules["fcntl"] = None
from vmmkit.backends.kvm import KvmVm, unusable_reason
from vmmkit.backends.kvm._ioctl import call, KVM_GET_API_VERSION
print(bool(unusable_reason()))
try:
    call(0, KVM_GET_API_VERSION)
except OSError as error:
    print(error)
"""


def test_the_package_can_be_imported_where_there_is_no_kvm():
    """The path of a system without fcntl, as far as Linux can play it."""
    command = [sys.executable, "-c", IMPORT_ELSEWHERE]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.splitlines()[0] == "True"
    assert "ENOSYS" in said
    assert "KVM is a part of Linux" in said
