# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's cloud kernel, a static busybox and OVMF, fetched but not installed.

`fetch(folder)` downloads the packages with apt-get, of the release that this system runs, and
unpacks them into the folder; what lies there already is used again. Run as a program, it does the
same and prints the paths:

    python tests/linux/kernel.py build/linux

Needed: apt-get, dpkg-deb and the package lists (`apt-get update`); no right to install.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

# The first names the kernel of the day by what it depends on.
KERNEL_META = "linux-image-cloud-amd64"
BUSYBOX = "busybox-static"
OVMF = "ovmf"
NEEDED = ("apt-cache", "apt-get", "dpkg-deb")
PATIENCE = 300  # seconds for a download

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")  # in the .modinfo section of a module


class FetchError(Exception):
    """The kernel could not be had; the message says what was missing."""


class Kernel(NamedTuple):
    """What was unpacked."""

    image: Path
    busybox: Path
    modules: Path  # the folder of one release below lib/modules
    ovmf: Path  # the code of UEFI firmware
    ovmf_variables: Path  # an image of what it stores, to be copied

    @classmethod
    def unpacked(cls, root: Path) -> Kernel:
        """Return the paths of what the packages hold, or raise `FetchError`."""

        def only(pattern: str) -> Path:
            found = sorted(root.glob(pattern))
            if len(found) != 1:
                raise FetchError(f"{pattern} matches {len(found)} files of {root}")
            return found[0]

        return cls(
            only("boot/vmlinuz-*"),
            only("bin/busybox"),
            only("lib/modules/*"),
            only("usr/share/OVMF/OVMF_CODE_4M.fd"),
            only("usr/share/OVMF/OVMF_VARS_4M.fd"),
        )

    def module_files(self, *names: str) -> list[Path]:
        """Return the files of modules and of all they depend on, in the order of loading.

        Packages carry no modules.dep (it is made where they are installed), so that this reads
        what depmod would: the `depends` field that each module states of itself.
        """
        files = {path.stem.replace("-", "_"): path for path in self.modules.rglob("*.ko")}
        ordered: dict[str, Path] = {}

        def visit(name: str) -> None:
            name = name.replace("-", "_")
            if name in ordered:
                return
            if name not in files:
                raise FetchError(f"this kernel has no module {name}")
            depends = _DEPENDS.search(files[name].read_bytes())
            for needed in depends[1].decode().split(",") if depends else ():
                if needed:
                    visit(needed)
            ordered[name] = files[name]

        for name in names:
            visit(name)
        return list(ordered.values())


def run(*command: str, folder: Path | None = None) -> str:
    """Return the standard output of a program that ended well, or raise `FetchError`."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"{' '.join(command)} did not end in {PATIENCE} s") from None
    if done.returncode:
        raise FetchError(f"{' '.join(command)}: {done.stderr.strip()}; try `apt-get update` first")
    return done.stdout


def kernel_package() -> str:
    """Return the name of the package with the image that the meta package wants."""
    for line in run("apt-cache", "depends", KERNEL_META).splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and name.startswith("linux-image-"):
            return name
    raise FetchError(f"{KERNEL_META} depends on no kernel image; try `apt-get update` first")


def fetch(folder: Path) -> Kernel:
    """Return the kernel unpacked in `folder`/debian; download it if it is not there."""
    root = folder / "debian"
    if root.exists():
        return Kernel.unpacked(root)
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise FetchError(f"{', '.join(missing)} not found: the kernel comes from Debian packages")
    folder.mkdir(parents=True, exist_ok=True)
    # Of two runs at once, one renames its folder first and both use that one.
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        run("apt-get", "download", kernel_package(), BUSYBOX, OVMF, folder=scratch)
        for package in scratch.glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(scratch / "root"))
        Kernel.unpacked(scratch / "root")
        if not root.exists():
            (scratch / "root").rename(root)
    return Kernel.unpacked(root)


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(map(str, fetch(Path(sys.argv[1])))) + "\n")
    except FetchError as error:
        sys.exit(str(error))
