# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What ACPI tables cost: from a machine's description to bytes at their addresses, and back.

Run with `pytest benchmarks/bench_acpi.py -o python_files='bench_*.py'`. Nothing is kept from one
set to the next: each is made of its arguments anew. `make bench` turns the garbage collector off;
one row has it on.

A monitor without an AML library writes ASL and has ACPICA's compiler make a file of it. The rows
of iasl do that with the text of the same DSDT. The text is at hand already, so what is measured is
the program and its files, and the result is checked against ours.
"""

import gc
import random
import shutil
import subprocess
from statistics import median
from time import perf_counter

import pytest

from vmmkit.acpi.aml.blocks import Else, If, While
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.named import Device, Method, Name, Scope
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.operators import Add, And, LEqual, Or, ShiftLeft, Store, Subtract
from vmmkit.acpi.aml.places import Local
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.platform.processors import Processors
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.tables.definition_block import Dsdt
from vmmkit.acpi.tables.madt import LocalApic, Madt
from vmmkit.acpi.tables.reading import from_bytes
from vmmkit.acpi.tables.table import HEADER_SIZE
from vmmkit.acpi.validate.validator import validate

ROUNDS = 60
SLOW_ROUNDS = 8
BASE = 0x7FF0_0000
MANY = 255
GROWTH = (1, 2, 4, 8, 16, 32, 64, 128, MANY, 512, 1024, 2048, 4096)
LISTED_GROWTH = (MANY, 1024, 4096)
# Bytes of the header that a compiler writes: checksum, its name and version.
COMPILER_BYTES = {9, *range(28, HEADER_SIZE)}

NEEDS_IASL = pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl is not installed")

WHOLE = "ACPI: all tables, from arguments to bytes at their addresses"
SPLIT = f"ACPI: parts of that, {MANY} CPUs"
GROWING = "ACPI: all tables, by the number of CPUs"
COMPILING = "ACPI: AML of a DSDT, by a preset (with all other tables) or by a compiler"
THROUGHPUT = "ACPI: AML bytes a second"
READING = f"ACPI: reading tables of {MANY} CPUs"


def measure(benchmark, run, label, group, *, operations=1, beside=None, rounds=ROUNDS, **notes):
    """Measure one row; with `beside`, `(another thing to do, its operations)`, as ratios to that.

    The other is timed before each round, so that both see the same machine.
    """
    floors = []

    def before_round():
        if beside is not None:
            gc.disable()  # as it is in a round
            start = perf_counter()
            beside[0]()
            floors.append((perf_counter() - start) / beside[1])
            gc.enable()

    run()
    benchmark.group = group
    benchmark.pedantic(run, setup=before_round, rounds=rounds, warmup_rounds=1)
    if beside is not None:
        times = [time / operations for time in benchmark.stats.stats.data]
        pairs = zip(times, floors[-len(times) :], strict=True)
        notes["ratio"] = median(one / other for one, other in pairs)
    benchmark.extra_info.update(label=label, operations=operations, **notes)


def placed(make, cpus):
    return make(cpus=cpus).table_set().place(BASE)


# -- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "cpus", "notes"),
    [(q35_like, 2, {}), (q35_like, MANY, {"hold_ns": 3e6}), (reduced, 2, {}), (reduced, MANY, {})],
)
def test_set(benchmark, make, cpus, notes):
    label = f"{make.__name__}, {cpus} CPUs"
    measure(benchmark, lambda: placed(make, cpus), label, WHOLE, **notes)


def test_set_collected(benchmark):
    """The same with the garbage collector, which looks at the nodes while they are made."""

    def run():
        gc.enable()
        try:
            placed(q35_like, MANY)
        finally:
            if was_off:
                gc.disable()

    was_off = not gc.isenabled()
    label = f"q35_like, {MANY} CPUs, garbage collector on"
    measure(benchmark, run, label, WHOLE, hold_ns=3e6)


# -- its parts ------------------------------------------------------------------------------------


def test_nodes(benchmark):
    cpus = Processors(MANY)
    measure(benchmark, lambda: list(cpus.acpi_nodes(None)), "devices of the CPUs, as AML", SPLIT)


def test_madt(benchmark):
    def run():
        return Madt([LocalApic(number, number) for number in range(MANY)])

    measure(benchmark, run, "MADT", SPLIT)


def test_platform(benchmark):
    measure(benchmark, lambda: q35_like(cpus=MANY), "q35_like: all tables", SPLIT)


def test_place(benchmark):
    tables = q35_like(cpus=MANY).table_set()
    measure(benchmark, lambda: tables.place(BASE), "TableSet.place", SPLIT)


def test_image(benchmark):
    placement = placed(q35_like, MANY)
    measure(benchmark, placement.image, "Placement.image", SPLIT)


def test_linker_script(benchmark):
    tables = q35_like(cpus=MANY).table_set()
    measure(benchmark, tables.linker_script, "TableSet.linker_script", SPLIT)


@pytest.mark.parametrize("cpus", [2, MANY])
def test_validate(benchmark, cpus):
    """Not a part of the whole: who wants it asks for it."""
    platform = q35_like(cpus=cpus)
    validate(platform)
    label = f"validate, {cpus} CPUs (not in the above)"
    measure(benchmark, lambda: validate(platform), label, SPLIT, rounds=SLOW_ROUNDS)


# -- growth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", GROWTH)
def test_growth(benchmark, cpus):
    notes = {
        "picture": "acpi-cpus",
        "axis": "CPUs",
        "at": cpus,
        "hidden": cpus not in LISTED_GROWTH,
    }
    if cpus == MANY:
        notes["floor"] = True
    elif cpus > MANY:
        notes |= {"hold": 1.25, "beside": (lambda: placed(q35_like, MANY), MANY)}
    measure(
        benchmark,
        lambda: placed(q35_like, cpus),
        f"time per CPU, {cpus} CPUs",
        GROWING,
        operations=cpus,
        rounds=ROUNDS if cpus <= MANY else SLOW_ROUNDS,
        **notes,
    )


# -- AML ------------------------------------------------------------------------------------------


def dsdt():
    return q35_like(cpus=MANY).dsdt


def test_aml_of_nodes(benchmark):
    measure(benchmark, dsdt, f"DSDT of {MANY} CPUs", COMPILING)


@NEEDS_IASL
def test_aml_of_iasl(benchmark, tmp_path):
    ours = dsdt()
    text = dump(ours)
    source, compiled = tmp_path / "dsdt.asl", tmp_path / "dsdt.aml"

    def run():
        source.write_text(text)
        command = ["iasl", "-oa", "-p", str(compiled), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        return compiled.read_bytes()

    pairs = zip(run(), ours.to_bytes(), strict=True)
    differ = {offset for offset, (one, other) in enumerate(pairs) if one != other}
    assert differ <= COMPILER_BYTES
    label = f"DSDT of {MANY} CPUs"
    measure(benchmark, run, label, COMPILING, rounds=SLOW_ROUNDS, engine="iasl", floor=True)


def draw_method(draw, number):
    """Draw the statements of a method as nested tuples: what a program would compute with."""
    body = [draw_statement(draw, 3) for _ in range(draw.randint(3, 12))]
    return f"M{number:03X}", body


def draw_statement(draw, depth):
    kind = draw.choice(("if", "while", "store", "store", "return") if depth else ("store",))
    if kind in {"if", "while"}:
        count = draw.randint(1, 4)
        inner = [draw_statement(draw, depth - 1) for _ in range(count)]
        return kind, draw_value(draw, 2), inner
    return kind, draw_value(draw, 4), draw.randrange(8)


def draw_value(draw, depth):
    if not depth or draw.random() < 0.2:
        return draw.choice(
            (draw.getrandbits(draw.choice((1, 8, 16, 32, 64))), ("local", 3), "OBJ0")
        )
    return draw.choice((Add, And, LEqual, Or, ShiftLeft, Subtract)), *[
        draw_value(draw, depth - 1) for _ in range(2)
    ]


def value(drawn):
    if isinstance(drawn, int):
        return drawn
    if isinstance(drawn, str):
        return Path(drawn)
    if drawn[0] == "local":
        return Local(drawn[1])
    operator, left, right = drawn
    return operator(value(left), value(right))


def statements(drawn):
    for kind, operand, rest in drawn:
        if kind == "store":
            yield Store(value(operand), Local(rest))
        elif kind == "return":
            yield Return(value(operand))
        elif kind == "while":
            yield While(value(operand), *statements(rest))
        else:
            yield If(value(operand), *statements(rest))
            yield Else(*statements(rest[:1]))


def tree(methods):
    """Make a DSDT with a device for each of the methods drawn."""
    devices = [
        Device(
            f"D{number:03X}",
            Name("_HID", "VMMK0001"),
            Name("_UID", number),
            Method(name, 2, *statements(body)),
        )
        for number, (name, body) in enumerate(methods)
    ]
    return Dsdt(Name("OBJ0", [1, 2, [3, "four"]]), Scope("\\_SB", *devices))


def random_methods():
    draw = random.Random(6)
    return [draw_method(draw, number) for number in range(400)]


def throughput(benchmark, run, size, label, rounds=ROUNDS):
    measure(benchmark, run, label, THROUGHPUT, operations=size, rounds=rounds, rate=True)


def test_encode_cpus(benchmark):
    cpus = Processors(MANY)

    def run():
        return Dsdt(Scope("\\_SB", *cpus.acpi_nodes(None)))

    throughput(benchmark, run, len(run().to_bytes()), "make nodes: a Device for each CPU")


def test_encode_tree(benchmark):
    methods = random_methods()
    size = len(tree(methods).to_bytes())
    label = f"make nodes: random methods, {size >> 10} KiB"
    throughput(benchmark, lambda: tree(methods), size, label, SLOW_ROUNDS)


BLOCKS = {
    f"DSDT of {MANY} CPUs": (dsdt, ROUNDS),
    "random methods": (lambda: tree(random_methods()), SLOW_ROUNDS),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_read_aml(benchmark, what):
    make, rounds = BLOCKS[what]
    content = make().to_bytes()[HEADER_SIZE:]
    throughput(benchmark, lambda: read(content), len(content), f"read: {what}", rounds)


@pytest.mark.parametrize("what", BLOCKS)
def test_dump_aml(benchmark, what):
    make, rounds = BLOCKS[what]
    table = make()
    size = len(table.to_bytes())
    throughput(benchmark, lambda: dump(table), size, f"dump as ASL: {what}", rounds)


@NEEDS_IASL
@pytest.mark.parametrize("what", BLOCKS)
def test_dump_by_iasl(benchmark, tmp_path, what):
    content = BLOCKS[what][0]().to_bytes()
    (tmp_path / "dsdt.aml").write_bytes(content)

    def run():
        command = ["iasl", "-p", "dsdt", "-d", "dsdt.aml"]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    notes = {"rate": True, "engine": "iasl", "floor": True, "operations": len(content)}
    measure(benchmark, run, f"dump as ASL: {what}", THROUGHPUT, rounds=SLOW_ROUNDS, **notes)
    assert (tmp_path / "dsdt.dsl").exists()


# -- reading tables -------------------------------------------------------------------------------


def test_from_bytes(benchmark):
    pieces = [piece.data for piece in placed(q35_like, MANY).pieces]
    label = "from_bytes of each, the AML as well"
    measure(benchmark, lambda: [from_bytes(data) for data in pieces], label, READING)


def test_from_bytes_madt(benchmark):
    data = placed(q35_like, MANY).piece("APIC").data
    measure(benchmark, lambda: from_bytes(data), "from_bytes of the MADT", READING)


def test_from_memory(benchmark):
    placement = placed(q35_like, MANY)

    def run():
        return TableSet.from_memory(placement.read, placement.rsdp)

    measure(benchmark, run, "TableSet.from_memory", READING)
