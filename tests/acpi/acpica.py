# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ACPICA's tools as judges of tables and AML: iasl takes them apart, acpiexec runs them.

Written for version 20200925 of the tools. Their exit codes say little: iasl returns 0 for a bad
checksum or a subtable of length zero, acpiexec returns 0 whatever happens. So everything they
print, and the disassembly itself, is searched for complaints, and bytes are compared.
"""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs

from system_tools import require

# A hang is a failure, not something to wait for.
PATIENCE_S = 60
LOOP_LIMIT_S = 5

# Where a table and its recompilation may differ: the checksum, and who compiled it when with
# which version. (ACPI Specification 6.5, "System Description Table Header".)
COMPILER_BYTES = frozenset({9, *range(28, 36)})
NO_HEADER = frozenset({b"FACS", b"RSD "})
AML_SIGNATURES = frozenset({b"DSDT", b"SSDT", b"OSDT", b"PSDT"})

COMPLAINT = re.compile(
    r"""
    \*\*\*\*                            # every remark of the disassembler on unknown content
    | Incorrect\ (Extended\ )?[Cc]hecksum
    | terminates\ (early|in\ the\ middle)
    | [Ii]nvalid\ (zero|trailing|character|FADT|HMAT|initiator|target|Revision)
    | Unknown\ [\w ]*([Tt]ype|[Tt]able|[Ss]tructure|[Ss]ignature|method)
    | too\ long\ for\ file
    | not\ contain\ a\ valid
    | Could\ not\ (parse|resolve|open|get)
    | ACPI\ (BIOS\ |Firmware\ )?(Error|Warning|Exception)
    | Firmware\ (Error|Warning|Bug)
    | Parsing\ error | Parse\ error
    | Segmentation\ Fault | Aborting | aborted
    | \bAE_(?!OK)
    """,
    re.VERBOSE,
)

FIELD = re.compile(r"\[([0-9A-F]+)h\s+\d+\s+(\d+)\s*\]\s*(.*?) : ?(.*)$")
BITS = re.compile(r"\s{4,}(\S.*?) : (.*)$")


class AcpicaError(AssertionError):
    """A tool complained. The message holds the complaints, then all that the tool printed."""

    def __init__(self, subject: str, complaints: Iterable[str], output: str) -> None:
        self.complaints = list(complaints)
        self.output = output
        super().__init__("\n".join([subject, *self.complaints, "--- output:", output]))


@attrs.frozen
class Field:
    """A line of a data table's disassembly.

    Attributes:
        offset: bytes from the table's start; bit fields have that of the field they belong to.
        size: in bytes; None for bit fields.
        name: as iasl writes it.
        text: the value as iasl writes it, mostly hexadecimal.
    """

    offset: int
    size: int | None
    name: str
    text: str

    @property
    def value(self) -> int | str:
        """The number, or what stands between the quotation marks."""
        if self.text.startswith('"'):
            return self.text[1 : self.text.rindex('"')]
        return int(self.text.split()[0], 16)


@attrs.frozen
class Disassembly:
    """What `iasl -d` made of a table: the source text and what it printed on the way."""

    text: str
    messages: str

    def complaints(self, tolerate: Sequence[str] = ()) -> list[str]:
        """Return the lines in which iasl says that something is wrong with the table."""
        return complaints_in(self.messages, tolerate) + complaints_in(self.text, tolerate)

    @property
    def fields(self) -> list[Field]:
        """The fields of a data table, in the order of the table."""
        return list(_fields(self.text))

    def values(self, name: str) -> list[int | str]:
        """Return the values of all fields with that name."""
        return [field.value for field in self.fields if field.name == name]

    @property
    def resource_templates(self) -> int:
        """How many buffers iasl recognised as lists of resource descriptors."""
        return len(re.findall(r"\bResourceTemplate \(", self.text))


def _fields(text: str) -> Iterator[Field]:
    offset = 0
    for line in text.partition("Raw Table Data")[0].splitlines():
        if found := FIELD.match(line):
            offset = int(found[1], 16)
            yield Field(offset, int(found[2]), found[3], found[4].strip())
        elif found := BITS.match(line):
            yield Field(offset, None, found[1], found[2].strip())


def complaints_in(output: str, tolerate: Sequence[str] = ()) -> list[str]:
    """Return the lines that complain and match none of the patterns in `tolerate`."""
    return [
        line.strip()
        for line in output.splitlines()
        if COMPLAINT.search(line) and not any(re.search(known, line) for known in tolerate)
    ]


def call(folder: str, tool: str, *arguments: str, commands: str = "") -> str:
    """Run a tool in a folder, feed it commands, and return all that it prints."""
    done = subprocess.run(
        [require(tool), *arguments],
        cwd=folder,
        input=commands.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.stdout.decode("latin-1")


def _read(path: Path, subject: str, output: str) -> bytes:
    if not path.exists():
        lines = [line for line in output.splitlines() if re.search(r"Error|rror\(s\)", line)]
        raise AcpicaError(subject, complaints_in(output) or lines, output)
    return path.read_bytes()


def disassemble(table: bytes, *others: bytes) -> Disassembly:
    """Take a table apart with `iasl -d`.

    Args:
        table: any ACPI table but the RSDP, which iasl only compiles.
        others: tables with AML that define names this one uses.

    Raises:
        AcpicaError: iasl wrote no source at all. Other complaints are left to the caller.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "t.dat").write_bytes(table)
        names = [f"other{number}.dat" for number in range(len(others))]
        for name, other in zip(names, others, strict=True):
            Path(folder, name).write_bytes(other)
        externals = [argument for name in names for argument in ("-e", name)]
        output = call(folder, "iasl", *externals, "-d", "t.dat")
        text = _read(Path(folder, "t.dsl"), f"iasl -d wrote nothing for {table[:4]!r}", output)
    return Disassembly(text.decode("latin-1"), output)


def compile_asl(text: str, *options: str) -> bytes:
    """Compile ASL, or a data table's source, without optimisation (`iasl -oa`).

    Raises:
        AcpicaError: iasl wrote no table.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "t.dsl").write_text(text, encoding="latin-1")
        output = call(folder, "iasl", "-oa", *options, "-p", "t", "t.dsl")
        return _read(Path(folder, "t.aml"), "iasl compiled nothing", output)


def definition_block(body: str, *, signature: str = "DSDT", revision: int = 2) -> bytes:
    """Compile the terms of an ASL definition block."""
    head = f'DefinitionBlock ("", "{signature}", {revision}, "VMMKIT", "VMMKIT  ", 1)'
    return compile_asl(f"{head}\n{{\n{body}\n}}\n")


def compile_table(text: str) -> bytes:
    """Compile the source of a data table, such as a template of `iasl -T`, or an RSDP."""
    return compile_asl(text)


def _compile_rsdp(table: bytes) -> bytes:
    """Compile an RSDP with the same values; iasl computes length and both checksums."""
    oem_id = table[9:15].decode("latin-1")
    lines = [
        '[0008] Signature : "RSD PTR "',
        "[0001] Checksum : 00",
        f'[0006] Oem ID : "{oem_id}"',
        f"[0001] Revision : {table[15]:02X}",
        f"[0004] RSDT Address : {int.from_bytes(table[16:20], 'little'):08X}",
    ]
    if table[15] >= 2:
        lines += [
            f"[0004] Length : {int.from_bytes(table[20:24], 'little'):08X}",
            f"[0008] XSDT Address : {int.from_bytes(table[24:32], 'little'):016X}",
            "[0001] Extended Checksum : 00",
            "[0003] Reserved : 000000",
        ]
    return compile_table("\n".join(lines) + "\n")


def roundtrip(table: bytes, *others: bytes) -> bytes:
    """Return the table that iasl compiles from its own disassembly of this one.

    The RSDP, which iasl cannot disassemble, is compiled from its values.

    Raises:
        AcpicaError: iasl complained on the way.
    """
    if table[:8] == b"RSD PTR ":
        return _compile_rsdp(table)
    return compile_asl(_faultless(table, *others).text)


def _faultless(table: bytes, *others: bytes, tolerate: Sequence[str] = ()) -> Disassembly:
    taken_apart = disassemble(table, *others)
    found = taken_apart.complaints(tolerate)
    if found:
        raise AcpicaError(f"iasl -d of {table[:4]!r}", found, taken_apart.text)
    return taken_apart


def differences(table: bytes, again: bytes) -> list[str]:
    """Return where two tables differ, but for the bytes that name the compiler."""
    ignored = frozenset() if table[:4] in NO_HEADER else COMPILER_BYTES
    found = [
        f"0x{offset:x}: 0x{ours:02x} became 0x{theirs:02x}"
        for offset, (ours, theirs) in enumerate(zip(table, again, strict=False))
        if ours != theirs and offset not in ignored
    ]
    if len(table) != len(again):
        found.append(f"{len(table)} bytes became {len(again)}")
    return found


def assert_same(table: bytes, again: bytes) -> None:
    """Fail where a recompiled table differs from the one it was made of."""
    found = differences(table, again)
    if found:
        shown = disassemble(table).text if table[:4] != b"RSD " else table.hex(" ")
        raise AcpicaError(f"{table[:4]!r} is not what iasl makes of it", found[:20], shown)


def assert_roundtrip(
    table: bytes, *others: bytes, templates: int = 0, tolerate: Sequence[str] = ()
) -> Disassembly | None:
    """Check that iasl reads a table without complaint and compiles the same bytes again.

    Args:
        table: one ACPI table.
        others: tables with AML that define names this one uses.
        templates: how many resource templates iasl must recognise in AML. iasl takes a damaged
            one for a plain buffer, whose round trip proves nothing.
        tolerate: patterns of complaints that are no fault.

    Returns:
        The disassembly; None for the RSDP.
    """
    if table[:8] == b"RSD PTR ":
        assert_same(table, _compile_rsdp(table))
        return None
    taken_apart = _faultless(table, *others, tolerate=tolerate)
    assert_same(table, compile_asl(taken_apart.text))
    if table[:4] in AML_SIGNATURES:
        assert taken_apart.resource_templates == templates
    return taken_apart


def roundtrip_all(tables: Sequence[bytes]) -> None:
    """Check the round trip of many data tables with one run of each tool.

    Tables with AML and RSDPs belong into `assert_roundtrip`.

    Raises:
        AcpicaError: of the first table that fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = [f"t{number}" for number in range(len(tables))]
        for name, table in zip(names, tables, strict=True):
            assert table[:4] not in AML_SIGNATURES | {b"RSD "}
            Path(folder, f"{name}.dat").write_bytes(table)
        call(folder, "iasl", "-d", *(f"{name}.dat" for name in names))
        sources = [Path(folder, f"{name}.dsl") for name in names]
        call(folder, "iasl", "-oa", *(source.name for source in sources if source.exists()))
        for table, source in zip(tables, sources, strict=True):
            _check_one(table, source)


def _check_one(table: bytes, source: Path) -> None:
    compiled = source.with_suffix(".aml")
    if (
        not compiled.exists()
        or complaints_in(source.read_text(encoding="latin-1"))
        or differences(table, compiled.read_bytes())
    ):
        # Alone, it fails with all that is known about it.
        assert_roundtrip(table)
        raise AcpicaError("a table fails only in company", [table.hex(" ")], "")


@functools.cache
def templates() -> dict[str, bytes]:
    """Return iasl's example of every table it knows, compiled, by iasl's name for it."""
    with tempfile.TemporaryDirectory() as folder:
        call(folder, "iasl", "-T", "ALL")
        sources = sorted(path.name for path in Path(folder).glob("*.asl"))
        call(folder, "iasl", "-oa", *sources)
        return {path.stem: path.read_bytes() for path in sorted(Path(folder).glob("*.aml"))}


def acpixtract(dump: str) -> dict[str, bytes]:
    """Split a text in the format of acpidump, and return the tables by acpixtract's file names."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "acpidump.txt").write_text(dump, encoding="ascii")
        output = call(folder, "acpixtract", "-a", "acpidump.txt")
        found = {path.stem: path.read_bytes() for path in sorted(Path(folder).glob("*.dat"))}
    if not found:
        raise AcpicaError("acpixtract found no table", [], output)
    return found


# --- acpiexec -------------------------------------------------------------------------------

# The line buffer of acpiexec's debugger; it cuts longer ones without a word.
LINE_LIMIT = 511
# acpiexec prints no more of a string than this.
STRING_LIMIT = 255
# `resources` tries to set what it read back, which needs a _SRS that motherboard devices lack.
NO_SRS = r"AcpiSetCurrentResources failed: AE_NOT_FOUND"
# Integers take 24 bytes of the 16 KiB that acpiexec has for a result.
RESULTS_PER_RUN = 500


@attrs.frozen
class Reference:
    """A result that names an object instead of holding data."""

    text: str


Value: TypeAlias = int | str | bytes | list["Value"] | Reference | None


def acpiexec(
    commands: Sequence[str],
    *tables: bytes,
    options: Sequence[str] = (),
    tolerate: Sequence[str] = (),
) -> str:
    """Load tables with AML, run commands of acpiexec's debugger, and return what it prints.

    Args:
        commands: such as `execute \\\\MAIN`, `resources`, `test predefined`, `integrity`.
        tables: the DSDT first.
        options: acpiexec's options.
        tolerate: patterns of complaints that are no fault.

    Raises:
        AcpicaError: something was complained about, while loading or by a command.
    """
    assert max(map(len, commands), default=0) <= LINE_LIMIT
    with tempfile.TemporaryDirectory() as folder:
        names = [f"t{number}.aml" for number in range(len(tables))]
        for name, table in zip(names, tables, strict=True):
            Path(folder, name).write_bytes(table)
        script = "\n".join([*commands, "quit", ""])
        limit = ("-to", str(LOOP_LIMIT_S))
        output = call(folder, "acpiexec", *limit, *options, *names, commands=script)
    found = complaints_in(output, tolerate)
    if found:
        raise AcpicaError(f"acpiexec {'; '.join(commands)}", found, output)
    return output


def evaluate(tables: bytes | Sequence[bytes], path: str, *arguments: int | str | bytes) -> Value:
    """Evaluate an object, or call a method, and return its value.

    acpiexec's repair of the values of predefined names is off: what the AML returns is returned.

    Returns:
        Integers as int, strings as str, buffers as bytes, packages as list, elements without a
        value as None, references as `Reference`. None too when a method returned nothing.

    Raises:
        AcpicaError: acpiexec complained; its text has the AE_ code.
    """
    words = ["execute", path, *map(_argument, arguments)]
    loaded = [tables] if isinstance(tables, bytes) else tables
    output = acpiexec([" ".join(words)], *loaded, options=["-dr"])
    return _result(output, path)


def notifications(
    tables: bytes | Sequence[bytes], path: str, *arguments: int | str | bytes, fill: int = 0
) -> list[tuple[str, int]]:
    """Call a method, and return which devices it notifies of what: last segment and value, sorted.

    acpiexec delivers notifications by threads of their own, in any order.

    Args:
        tables: the DSDT first.
        path: of the method.
        arguments: of the call.
        fill: the byte that operation regions are full of.

    Raises:
        AcpicaError: acpiexec complained.
    """
    words = ["execute", path, *map(_argument, arguments)]
    loaded = [tables] if isinstance(tables, bytes) else tables
    # The second command gives the threads time: acpiexec waits for it.
    commands = [" ".join(words), r"execute \_OS"]
    output = acpiexec(commands, *loaded, options=["-fv", f"{fill:#x}"])
    found = re.findall(r"Notify on \[(\w{4})\] \S+ Value 0x([0-9A-F]+)", output)
    return sorted((name, int(value, 16)) for name, value in found)


def _argument(value: int | str | bytes) -> str:
    if isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, bytes):
        return f"({value.hex(' ')})"
    assert '"' not in value
    return f'"{value}"'


def _result(output: str, path: str) -> Value:
    lines = iter(output.splitlines())
    for line in lines:
        if line.startswith("No object was returned"):
            return None
        if re.match(r"Evaluation of \S+ returned object", line):
            return _value(next(lines), lines)
    raise AcpicaError(f"acpiexec printed no result of {path}", [], output)


def _groups(pattern: str, line: str) -> tuple[str, ...]:
    found = re.match(pattern, line)
    if found is None:
        raise AcpicaError("acpiexec printed a result of another form", [line], "")
    return found.groups()


def _value(line: str, lines: Iterator[str]) -> Value:
    kind, rest = _groups(r"\s*\[([\w ]+)\]\s*(.*)$", line)
    if kind == "Integer":
        return int(rest.removeprefix("= "), 16)
    if kind == "String":
        return _string(rest)
    if kind == "Buffer":
        return _buffer(rest, lines)
    if kind == "Package":
        (count,) = _groups(r"Contains (\d+) Elements", rest)
        return [_value(next(lines), lines) for _ in range(int(count))]
    return None if kind == "Null Object" else Reference(" ".join(rest.split()))


ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


def _string(rest: str) -> str:
    length, text = _groups(r"Length ([0-9A-F]+) = \"(.*)\"(?:\.\.\.)?$", rest)
    assert int(length, 16) <= STRING_LIMIT, "acpiexec does not print so long a string in full"
    return re.sub(
        r"\\(?:x([0-9A-F]{2})|(.))",
        lambda found: chr(int(found[1], 16) if found[1] else ESCAPES.get(found[2], ord(found[2]))),
        text,
    )


def _buffer(rest: str, lines: Iterator[str]) -> bytes:
    length, row = _groups(r"Length ([0-9A-F]+) =(.*)$", rest)
    found = b""
    while len(found) < int(length, 16):
        if not row.strip():
            row = next(lines)
        found += bytes.fromhex(row.partition("//")[0].partition(":")[2])
        row = ""
    return found


def evaluate_all(tables: bytes | Sequence[bytes], paths: Sequence[str]) -> list[Value]:
    """Call many methods without arguments in one run, and return their results.

    acpiexec takes 10 ms for each `execute`, however short, so one method that calls all others
    is loaded beside them. Results should be short: together at most some 16 KiB.

    Raises:
        AcpicaError: of the first method that fails.
    """
    loaded = [tables] if isinstance(tables, bytes) else list(tables)
    results: list[Value] = []
    for start in range(0, len(paths), RESULTS_PER_RUN):
        chunk = paths[start : start + RESULTS_PER_RUN]
        try:
            found = evaluate([*loaded, _caller(chunk)], r"\VMMK")
        except AcpicaError:
            # Alone, the one at fault says so.
            found = [evaluate(loaded, path) for path in chunk]
        assert isinstance(found, list)
        results += found
    return results


def _caller(paths: Sequence[str]) -> bytes:
    externals = "\n".join(f"External ({path}, MethodObj)" for path in sorted(set(paths)))
    calls = "\n".join(f"Local0[{number}] = {path} ()" for number, path in enumerate(paths))
    return definition_block(
        f"{externals}\nMethod (VMMK, 0, Serialized)\n{{\n"
        f"Local0 = Package ({len(paths)}) {{}}\n{calls}\nReturn (Local0)\n}}",
        signature="SSDT",
    )
