# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the user asks for, checked."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from devices import KINDS
from vmmkit.insn import available_engines

KIB = 1 << 10
UNITS = {"": 1, "K": KIB, "M": KIB**2, "G": KIB**3}
LEAST_MEMORY, MOST_MEMORY = 2 << 20, 31 << 30  # above it is the window of large BARs
MANY: dict[str, Any] = {"action": "append", "default": []}


class UsageError(Exception):
    """Something that the user has to say otherwise."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line says what is wrong; argparse would add the usage."""
        raise UsageError(message)


class Flat(NamedTuple):
    """Where bytes without a format go, and the mode that they begin in."""

    base: int
    mode: int


class DeviceOption(NamedTuple):
    """A device to be added, and what it is told."""

    kind: str
    options: dict[str, str]


def memory(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d*)([KMG]?)", text)
    size = int(match[1]) * UNITS[match[2]] if match else 0
    if not LEAST_MEMORY <= size <= MOST_MEMORY or size % 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 64M or 2G, of 2M to 31G")
    return size


def flat(text: str) -> Flat:
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)(?:,(16|32|64))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no address and mode such as 0x7c00,16")
    return Flat(int(match[1], 0), int(match[2] or 16))


def device(text: str) -> DeviceOption:
    kind, *settings = text.split(",")
    if kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(KINDS)}")
    options: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name in options:
            raise argparse.ArgumentTypeError(f"{setting!r} is not NAME=VALUE, or is there twice")
        options[name] = value
    if unknown := options.keys() - KINDS[kind].options:
        raise argparse.ArgumentTypeError(f"{kind} has no option {', '.join(sorted(unknown))}")
    if missing := KINDS[kind].required - options.keys():
        raise argparse.ArgumentTypeError(f"{kind} wants {', '.join(sorted(missing))}=...")
    return DeviceOption(kind, options)


def vcpus(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 255:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 255")
    return int(text)


def seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)


def option(name: str, text: str, **told: Any) -> tuple[str, dict[str, Any]]:
    """Return what argparse is told of an option."""
    return name, {"help": text, **told}


KINDS_TEXT = ", ".join(KINDS)
OPTIONS = (
    option("--backend", "who runs the guest", choices=("auto", "kvm", "soft"), default="auto"),
    option(
        "--irqchip",
        "with KVM: all interrupt controllers in the kernel, or the local APICs only",
        choices=("kernel", "split"),
        default="kernel",
    ),
    option("--engine", "of software vCPUs", choices=available_engines()),
    option("--memory", "RAM, 64M by default", type=memory, default="64M", metavar="SIZE"),
    option("--vcpus", "how many processors", type=vcpus, default=1, metavar="N"),
    option(
        "--flat",
        "the image has no format: it goes to BASE and begins there, in 16, 32 or 64-bit mode",
        type=flat,
        metavar="BASE[,MODE]",
    ),
    option("--append", "the guest's command line", default="", metavar="TEXT"),
    option("--initrd", "initial RAM disk", type=Path, metavar="FILE"),
    option("--module", "of a boot protocol that has them", type=Path, metavar="FILE", **MANY),
    option("--device", f"on PCI: {KINDS_TEXT}", type=device, metavar="KIND[,NAME=VALUE]", **MANY),
    option("--gdb", "serve a debugger: tcp:HOST:PORT or unix:PATH", metavar="ADDRESS"),
    option("--wait", "begin when the debugger says so", action="store_true"),
    option("--trace", "write device accesses as Chrome trace events", type=Path, metavar="FILE"),
    option("--map", "show the address maps and end", action="store_true"),
    option("--map-svg", "draw the memory map and end", type=Path, metavar="FILE"),
    option("--seconds", "end after this time, status 124", type=seconds, metavar="S"),
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the options say; what contradicts itself is a `UsageError`."""
    parser = Parser(prog="monitor", description="Run an x86 guest on a PC made of vmmkit's blocks.")
    parser.add_argument("image", nargs="?", type=Path, help="ELF, multiboot or Linux image")
    for name, told in OPTIONS:
        parser.add_argument(name, **told)
    options = parser.parse_args(arguments)
    if options.image is None and not (options.map or options.map_svg):
        raise UsageError("an image is wanted; --help says what else there is")
    if options.engine and options.backend == "kvm":
        raise UsageError("--engine is of no use with KVM")
    if options.wait and not options.gdb:
        raise UsageError("--wait is of use with --gdb only")
    return options
