# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The vector files: how a line is written, read and replayed.

A line is plain text, so that any other implementation can be held against it.

`decode.txt`: `mode bytes : MNEMONIC field=value ...`, or `mode bytes : REASON`. Numbers are decimal
and signed; a field left out has its default (see `DEFAULTS`).

`execute.txt`: `setting name : register=value ...` names a state; `machine bytes setting | events |
changes` is a vector. The machine is described in `machine.py` (memory map and modes); numbers are
hexadecimal. Registers that the setting does not name are 0, but rSP, which is 7000, and RFLAGS,
which is 2. RAM holds the bytes of `pattern()` at 2000. Events are what the instruction asks for, in
order (`R`ead, `W`rite, port `I`n and `O`ut, each `address/size=value`), and how it ends; what is
asked of the owner (`asks,Cpuid,0,2`) is not answered. Changes
are registers, and RAM as `@address=bytes`, each run of bytes that differ; RIP is always among them,
unless the instruction faulted.
"""

from pathlib import Path

from insn.machine import DATA, HIGH_BASE, Machine
from vmmkit.errors import DecodeError
from vmmkit.insn import (
    Cpuid,
    Done,
    Fault,
    Halt,
    Hypercall,
    PortIn,
    PortOut,
    Random,
    Read,
    ReadMsr,
    ReadPmc,
    Unsupported,
    Write,
    WriteMsr,
    decode,
)

FOLDER = Path(__file__).parents[1] / "vectors" / "insn"
DECODE, EXECUTE = FOLDER / "decode.txt", FOLDER / "execute.txt"

DEFAULTS = {
    "displacement": 0, "immediate": 0, "modrm": -1, "prefixes": 0, "rex": 0, "segment": -1,
    "base": -1, "index": -1, "scale": 0, "memory_access": 0, "memory_size": 0,
    "second_immediate": 0, "vvvv": 0, "vector_length": 0, "mask": 0,
}  # fmt: skip
IMPLIED = {"row", "mode"}  # a number of this implementation's table, and the line's first word

LETTERS = {Read: "R", Write: "W", PortIn: "I", PortOut: "O"}
SEGMENT_NAMES = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"}


def lines(path):
    """Lines of a vector file that are no comments."""
    text = path.read_text().splitlines()
    return [line for line in text if line and not line.startswith("#")]


def decode_line(mode, code, engine):
    """The line that decoding gives."""
    try:
        found = decode(bytes.fromhex(code), mode, engine=engine)
    except DecodeError as error:
        return f"{mode} {code} : {error.reason.name}"
    shown = [
        f"{name}={value}"
        for name, value in found._asdict().items()
        if name not in IMPLIED and DEFAULTS.get(name) != value
    ]
    return f"{mode} {code} : {found.mnemonic} {' '.join(shown)}"


def pattern():
    """What RAM holds at 2000 before an execution vector: 256 bytes, each 31 more than the last."""
    return bytes((7 + 31 * place) & 0xFF for place in range(256))


def _register(name, value):
    if name in SEGMENT_NAMES:
        return f"{name}=" + ",".join(f"{part:x}" for part in value)
    return f"{name}={value:x}"


def _ram(machine):
    return ((0, bytes(machine.low)), (HIGH_BASE, bytes(machine.high)))


def _changed_bytes(base, old, new):
    """`@address=bytes` of every run of bytes that differ."""
    if old == new:
        return
    place = 0
    while place < len(old):
        start = place
        while place < len(old) and old[place] != new[place]:
            place += 1
        if place > start:
            yield f"@{base + start:x}={new[start:place].hex()}"
        place += 1


def _changes(before, after, ram_before, ram_after):
    changed = [_register(name, after[name]) for name in after if after[name] != before[name]]
    for (base, old), (_, new) in zip(ram_before, ram_after, strict=True):
        changed += _changed_bytes(base, old, new)
    return " ".join(changed)


def _event(outcome, answer):
    if isinstance(outcome, Read | PortIn):
        return f"{LETTERS[type(outcome)]}{outcome[0]:x}/{outcome.size}={answer:x}"
    return f"{LETTERS[type(outcome)]}{outcome[0]:x}/{outcome.size}={outcome.value:x}"


def _ending(outcome):
    match outcome:
        case Done():
            return f"done,shadow={outcome.interrupt_shadow}"
        case Fault():
            return f"fault,{outcome.vector:x},{outcome.error:x},{outcome.address:x}"
        case Halt():
            return "halt"
        case Unsupported():
            return f"unsupported,{outcome.reason.name}"
        case Hypercall():
            return "hypercall"
        case ReadMsr() | WriteMsr() | ReadPmc() | Cpuid() | Random():
            return ",".join(("asks", type(outcome).__name__, *(f"{word:x}" for word in outcome)))
    raise AssertionError(outcome)


def answer_to(ordinal, size):
    """What the devices of execution vectors answer: every byte 81, 82, ..."""
    return int.from_bytes(bytes([0x81 + ordinal] * size), "little")


def settings(path):
    """The named states of a vector file."""
    named = [line.split(maxsplit=3) for line in lines(path) if line.startswith("setting ")]
    return {name: text for _, name, _, text in named}


def execute_line(mode, code, setting, named, engine):
    """The line that executing gives; `named` maps names of settings to their text."""
    machine = Machine(engine, mode, code)
    machine.poke(DATA, pattern())
    for word in named[setting].split():
        name, value = word.split("=")
        machine.set(name, int(value, 16))
    before, ram = machine.registers(), _ram(machine)
    events, ordinal = [], 0
    outcome = machine.step()
    while isinstance(outcome, Read | Write | PortIn | PortOut):
        reads = isinstance(outcome, Read | PortIn)
        answer = answer_to(ordinal, outcome.size) if reads else None
        events.append(_event(outcome, answer))
        ordinal += reads
        outcome = machine.step(answer)
    events.append(_ending(outcome))
    changes = _changes(before, machine.registers(), ram, _ram(machine))
    return f"{mode} {code} {setting} | {' '.join(events)} | {changes}".rstrip()
