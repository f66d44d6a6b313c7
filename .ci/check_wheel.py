# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Check that a wheel is what its tag says: `check_wheel.py native|pure WHEEL`.

Installers trust the tag alone. A platform tag without the library inside, or source files of
the build inside, would be found out by users only.
"""

import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

EXPECTED_TAG = {"native": "cp311-abi3", "pure": "py3-none-any"}
LIBRARIES = {f"vmmkit/insn/{name}.abi3.so" for name in ("_native", "_crossing")}


def read_headers(wheel: zipfile.ZipFile, name: str) -> Message:
    """Return a file of the wheel's .dist-info folder as headers."""
    (path,) = [entry for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}")]
    return Parser().parsestr(wheel.read(path).decode())


def problems(path: Path, kind: str) -> list[str]:
    """Return what is wrong with the wheel at `path`, as sentences."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        tags = read_headers(wheel, "WHEEL").get_all("Tag", [])
        licence = read_headers(wheel, "METADATA")["License-Expression"]
    inside = {name for name in names if name.endswith((".so", ".pyd"))}
    strangers = [n for n in names if not n.startswith(("vmmkit/", "vmmkit-")) or n.endswith(".c")]
    checks = {
        f"tags are {tags}": all(tag.startswith(EXPECTED_TAG[kind]) for tag in tags) and tags,
        f"file name lacks {EXPECTED_TAG[kind]}": EXPECTED_TAG[kind] in path.name,
        f"libraries inside: {inside}": inside == (LIBRARIES if kind == "native" else set()),
        "py.typed is missing": "vmmkit/py.typed" in names,
        "the licence text is missing": any(name.endswith("licenses/LICENSE") for name in names),
        f"licence is {licence}": licence == "BSD-2-Clause",
        f"files that do not belong: {strangers}": not strangers,
    }
    return [text for text, holds in checks.items() if not holds]


def main(kind: str, path: str) -> int:
    """Print what was found; return the exit status."""
    found = problems(Path(path), kind)
    print(f"{Path(path).name}: {'; '.join(found) or f'a correct {kind} wheel'}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
