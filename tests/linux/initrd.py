# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An initial RAM disk made of busybox, a few modules and one script.

The archive is cpio in the "newc" format that the kernel unpacks (Linux, Documentation/driver-api/
early-userspace/buffer-format.rst). It is not compressed: unpacking it costs the emulated processor
more than reading it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from linux.kernel import Kernel

APPLETS = (
    *("cat", "dd", "dmesg", "echo", "grep", "insmod", "mount", "od", "poweroff", "readlink"),
    *("reboot", "seq", "sh", "sha1sum", "sleep", "timeout", "wc"),
)


class Entry(NamedTuple):
    """One name in the archive: a folder, a file or a symbolic link."""

    name: str
    mode: int
    data: bytes = b""


def newc(entries: Iterable[Entry]) -> bytes:
    """Return the archive of these entries, in this order."""
    parts = []
    for inode, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), start=1):
        name = entry.name.encode() + b"\0"
        # Inode, mode, uid, gid, links, mtime, size, the device twice as two, length, checksum.
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        parts += [head, bytes(-len(head) % 4), entry.data, bytes(-len(entry.data) % 4)]
    return b"".join(parts)


def folder(name: str) -> Entry:
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes) -> Entry:
    return Entry(name, stat.S_IFREG | 0o755, data)


def link(name: str, target: str) -> Entry:
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def initrd(kernel: Kernel, modules: Sequence[Path], script: bytes) -> bytes:
    """Return an archive whose first program is `script`; modules are named in order of loading."""
    return newc(
        [
            *map(folder, ("bin", "dev", "modules", "proc", "sys")),
            program("bin/busybox", kernel.busybox.read_bytes()),
            *(link(f"bin/{applet}", "busybox") for applet in APPLETS),
            *(
                program(f"modules/{place:02}-{path.name}", path.read_bytes())
                for place, path in enumerate(modules)
            ),
            program("init", script),
        ]
    )
