# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How fast the software vCPU runs 64-bit guests, beside Unicorn in the same run.

Every guest has 4-level paging on, with pages of 4 KiB, and tables for segments and interrupts;
exceptions are delivered. The programs are in `softcpu.S`; the compiled ones are those of
`tests/guests`. Both engines are measured in one run, and numbers of instructions are the
differences of `state.retired`.

Unicorn walks the same page tables. It does nothing for SYSCALL and for interrupts but call a hook,
so these round trips are without it.
"""

import platform
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from guests.build import Builder, Variant, run
from vmmkit.backends import SoftVcpu
from vmmkit.insn import IMPLEMENTATION, Feature, Halt, Read, Segment, Write, available_engines
from vmmkit.memregion import RegionMap

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux",
    reason="gcc makes ELF programs for x86 on Linux on x86 only",
)

RAM, LARGE_PAGE = 16 << 20, 2 << 20
IMAGE, STACK = 0x1000, 0x1_F000
RESULT, RESULT_SIZE = 0xE000, 1024  # of the compiled programs
HALT_AT, HLT = 0x600, 0xF4  # what they return to
TRANSMITTER_EMPTY = 0x20
IDT, GDT, TSS, PML4, PDPT, PD, PD_DEVICE, PT = (0x2_0000 + 0x1000 * page for page in range(8))
DEVICE, DEVICE_SIZE = 0xFEC0_0000, 0x1000
# Null, ring 0 code and data, ring 3 data and code, in the order that SYSCALL and SYSRET want.
DESCRIPTORS = (0, 0xAF9B << 40, 0xCF93 << 40, 0xCFF3 << 40, 0xAFFB << 40)
STAR = 0x13 << 48 | 0x08 << 32
EFER_SCE = 1
P_RW_US_A_D, LARGE = 0x67, 0x80
CR0_PG_PE, CR4_PAE = 0x8000_0011, 0x20
BUDGET = 1 << 40
ROUNDS, PURE_ROUNDS = 8, 4
PURE_SHARE = 200  # the pure engine goes round this much less often


class Program(NamedTuple):
    """Guest code, and how often it goes round."""

    label: str
    symbol: str
    turns: int
    hold: float | None = None  # million instructions a second
    least: int = 1


PROGRAMS = (
    Program("ALU loop", "alu", 100_000, 25),
    Program("copy by MOV", "copy", 600),
    Program("copy by REP MOVSB, bytes", "rep_movsb", 500),
    Program("branches: Collatz", "collatz", 2_000, least=20),
    Program("branches: states by indirect jumps", "states", 50_000),
    Program("calls: recursive Fibonacci", "fibonacci", 400),
    Program("loads over 32 pages", "few_pages", 7_000, least=20),
    Program("loads over 1920 pages", "many_pages", 120),
)
# The scale of the pure engine is the least one.
COMPILED = (
    Program("mixed: CRC-32", "crc32", 40, 15),
    Program("mixed: SHA-256", "sha256", 40, 15),
    Program("mixed: heap sort", "heapsort", 1000, 15, least=24),
    Program("mixed: compression", "compress", 96, 15),
)


class Guest:
    """RAM with an image, page tables and the tables of the processor."""

    def __init__(self, image: bytes, symbols: dict[str, int]) -> None:
        self.ram, self.symbols = bytearray(RAM), symbols
        self.write(IMAGE, image)
        self._map_pages()
        self._fill_tables()

    def poke(self, gpa: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}Q", self.ram, gpa, *values)

    def write(self, gpa: int, data: bytes) -> None:
        self.ram[gpa : gpa + len(data)] = data

    def _map_pages(self) -> None:
        """All RAM to itself, and the device by a large page."""
        chain = ((PML4, PDPT), (PDPT, PD), (PDPT + 8 * (DEVICE >> 30), PD_DEVICE))
        for entry, table in chain:
            self.poke(entry, table | P_RW_US_A_D)
        self.poke(PD_DEVICE + 8 * (DEVICE // LARGE_PAGE % 512), DEVICE | P_RW_US_A_D | LARGE)
        for number in range(RAM // LARGE_PAGE):
            self.poke(PD + 8 * number, PT + 0x1000 * number | P_RW_US_A_D)
        self.poke(PT, *(page | P_RW_US_A_D for page in range(0, RAM, 0x1000)))

    def _fill_tables(self) -> None:
        self.poke(GDT, *DESCRIPTORS)
        struct.pack_into("<Q", self.ram, TSS + 4, STACK)
        for vector, handler in ((0x20, "return"), (0x80, "return"), (0x81, "finish")):
            gate = self.symbols.get(handler, 0) | 0x08 << 16 | 0xEE00 << 32
            self.poke(IDT + 16 * vector, gate, 0)

    def vcpu(self, engine: str | None) -> SoftVcpu:
        """A vCPU in ring 0."""
        vcpu = SoftVcpu([(0, self.ram)], engine=engine, deliver=True)
        state = vcpu.state
        state.features |= Feature.SSE42
        state.enter_long_mode(IMAGE, PML4)
        state.efer |= EFER_SCE
        state.star, state.lstar = STAR, self.symbols.get("return_fast", 0)
        state.idtr_base, state.idtr_limit = IDT, 0xFFF
        state.gdtr_base, state.gdtr_limit = GDT, 8 * len(DESCRIPTORS) - 1
        state.tr = Segment(0x50, TSS, 0x67, 0x8B)
        state.rsp = STACK
        return vcpu

    def start(self, vcpu: SoftVcpu, symbol: str, turns: int) -> None:
        """Point a vCPU at a program."""
        state = vcpu.state
        state.rip, state.r15, state.rsp = self.symbols[symbol], turns, STACK
        for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi"):
            setattr(state, name, 1)


class Unicorn:
    """The same guest in Unicorn."""

    def __init__(self, guest: Guest) -> None:
        unicorn = pytest.importorskip("unicorn")
        self.names = pytest.importorskip("unicorn.x86_const")
        self.guest = guest
        self.machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.machine.mem_map(0, RAM)
        self.machine.mem_write(0, bytes(guest.ram))
        self.machine.mmio_map(DEVICE, DEVICE_SIZE, self._load, None, self._store, None)
        read, write = lambda *_access: TRANSMITTER_EMPTY, lambda *_access: None
        for hook, name in ((read, "IN"), (write, "OUT")):
            instruction = getattr(self.names, f"UC_X86_INS_{name}")
            self.machine.hook_add(unicorn.UC_HOOK_INSN, hook, None, 1, 0, instruction)
        self.set(cr3=PML4)
        self.set(cr4=CR4_PAE)
        self.set(cr0=CR0_PG_PE)

    @staticmethod
    def _load(_machine: Any, _offset: int, _size: int, _data: Any) -> int:
        return 0x1234_5678

    @staticmethod
    def _store(_machine: Any, _offset: int, _size: int, _value: int, _data: Any) -> None:
        pass

    def set(self, **registers: int) -> None:
        for name, value in registers.items():
            self.machine.reg_write(getattr(self.names, f"UC_X86_REG_{name.upper()}"), value)

    def get(self, name: str) -> int:
        return self.machine.reg_read(getattr(self.names, f"UC_X86_REG_{name.upper()}"))

    def run(self, symbol: str, turns: int) -> None:
        """Run a program to its HLT."""
        names = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi")
        self.set(r15=turns, rsp=STACK, **dict.fromkeys(names, 1))
        self.machine.emu_start(self.guest.symbols[symbol], 0)


def symbols_of(elf: Path) -> dict[str, int]:
    lines = map(str.split, run("nm", elf).splitlines())
    return {name: int(address, 16) for address, _kind, name in lines}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    for tool in ("gcc", "ld", "objcopy", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return tmp_path_factory.mktemp("softcpu")


@pytest.fixture(scope="module")
def assembled(folder, request):
    """The image of `softcpu.S`, and its symbols."""
    source = request.path.with_name("softcpu.S")
    obj, elf, flat = (folder / f"softcpu.{suffix}" for suffix in ("o", "elf", "bin"))
    run("gcc", "-m64", "-c", "-o", obj, source)
    run("ld", "-m", "elf_x86_64", "-e", "_start", "-T", "guest.ld", "-o", elf, obj)
    run("objcopy", "-O", "binary", elf, flat)
    return flat.read_bytes(), symbols_of(elf)


@pytest.fixture
def guest(assembled):
    return Guest(*assembled)


@pytest.fixture(scope="module")
def builder(folder):
    return Builder(folder)


UNICORN = "Unicorn"
own_engines = pytest.mark.parametrize("engine", available_engines())
engines = pytest.mark.parametrize("engine", [*available_engines(), UNICORN])


def turns_of(program: Program, engine: str) -> int:
    """How often a program goes round."""
    # What runs in Unicorn is counted on the preferred engine.
    slow = "pure" in {engine, IMPLEMENTATION}
    return max(program.turns // PURE_SHARE, program.least) if slow else program.turns


def measure(benchmark: Any, group: str, label: str, engine: str, loop: Any, **notes: Any) -> None:
    """Measure a loop, whose operations are in the notes."""
    benchmark.group = group
    benchmark.extra_info.update(label=label, engine=engine, **notes)
    rounds = PURE_ROUNDS if engine == "pure" else ROUNDS
    benchmark.pedantic(loop, rounds=rounds, warmup_rounds=1)


SPEED = "64-bit guests on 4-level paging, million instructions a second"


def rate(program: Program, engine: str, operations: int) -> dict[str, Any]:
    """Notes for a row of speeds."""
    hold = {"hold_rate": program.hold} if program.hold else {}
    return {"rate": True, "floor": engine == UNICORN, "operations": operations, **hold}


def run_once(vcpu: SoftVcpu, guest: Guest, symbol: str, turns: int) -> int:
    """Run a program to its end; how many instructions it took."""
    before = vcpu.state.retired
    guest.start(vcpu, symbol, turns)
    outcome = vcpu.run(BUDGET)
    assert isinstance(outcome, Halt), f"{outcome} at {vcpu.state.rip:#x}"
    return vcpu.state.retired - before


@engines
@pytest.mark.parametrize("program", PROGRAMS, ids=[row.symbol for row in PROGRAMS])
def test_program(benchmark, guest, program, engine):
    turns = turns_of(program, engine)
    vcpu = guest.vcpu(None if engine == UNICORN else engine)
    count = run_once(vcpu, guest, program.symbol, turns)

    def loop() -> None:
        run_once(vcpu, guest, program.symbol, turns)

    if engine == UNICORN:
        machine = Unicorn(guest)
        machine.run(program.symbol, turns)
        for name in ("rax", "rbx", "rdx"):
            assert machine.get(name) == getattr(vcpu.state, name)

        def loop() -> None:
            machine.run(program.symbol, turns)

    notes = rate(program, engine, count)
    measure(benchmark, SPEED, program.label, engine, loop, **notes)


class _Console:
    """A serial port that is always ready, and keeps nothing."""

    def read(self, _address: int, _size: int) -> int:
        return TRANSMITTER_EMPTY

    def write(self, _address: int, _size: int, value: int) -> None:
        pass


def compiled(builder: Builder, name: str) -> Guest:
    """A guest whose `program` returns to a HLT."""
    variant = Variant(64)
    image = builder.image(name, variant)
    guest = Guest(image, symbols_of(builder.folder / f"{name}-{variant}.elf"))
    guest.poke(HALT_AT, HLT)
    guest.poke(STACK, HALT_AT)
    return guest


def prepare(write: Callable[[int, bytes], object], symbols: dict[str, int], scale: int) -> None:
    """Clear what a compiled program expects to be 0, and tell it how much to do."""
    start = symbols["__bss_start"]
    write(start, bytes(symbols["_end"] - start))
    write(RESULT, struct.pack("<QQ", scale, 0))


def run_compiled(vcpu: SoftVcpu, guest: Guest, scale: int) -> int:
    """Run a compiled program to its end; how many instructions it took."""
    before, console = vcpu.state.retired, _Console()
    prepare(guest.write, guest.symbols, scale)
    guest.start(vcpu, "program", 0)
    outcome = vcpu.run_through(console, console, BUDGET)
    assert isinstance(outcome, Halt), f"{outcome} at {vcpu.state.rip:#x}"
    return vcpu.state.retired - before


@engines
@pytest.mark.parametrize("program", COMPILED, ids=[row.symbol for row in COMPILED])
def test_compiled(benchmark, builder, program, engine):
    """What gcc -O2 makes of C, with a line of output at the end."""
    guest = compiled(builder, program.symbol)
    vcpu = guest.vcpu(None if engine == UNICORN else engine)
    scale = turns_of(program, engine)
    count = run_compiled(vcpu, guest, scale)

    def loop() -> None:
        run_compiled(vcpu, guest, scale)

    if engine == UNICORN:
        result, machine = bytes(guest.ram[RESULT : RESULT + RESULT_SIZE]), Unicorn(guest)

        def loop() -> None:
            prepare(machine.machine.mem_write, guest.symbols, scale)
            machine.run("program", 0)

        loop()
        assert machine.machine.mem_read(RESULT, RESULT_SIZE) == result

    notes = rate(program, engine, count)
    measure(benchmark, SPEED, program.label, engine, loop, **notes)


TRIPS = "Round trips of a 64-bit guest"
TURNS = {"pure": 100}  # other engines: 10 000
# What a turn consists of beside the two instructions are DEC and JNZ.
RINGS = (
    ("SYSCALL from ring 3, SYSRET", "syscall"),
    ("INT n from ring 3, IRETQ", "interrupt_ring_3"),
    ("INT n in ring 0, IRETQ", "interrupt_ring_0"),
)


@own_engines
@pytest.mark.parametrize(("label", "symbol"), RINGS, ids=[symbol for _, symbol in RINGS])
def test_rings(benchmark, guest, label, symbol, engine):
    vcpu, turns = guest.vcpu(engine), TURNS.get(engine, 10_000)

    def loop() -> None:
        guest.start(vcpu, symbol, turns)
        vcpu.state.cs = Segment(0x08, 0, 0xFFFF_FFFF, 0xAF9B)
        assert isinstance(vcpu.run(BUDGET), Halt)

    measure(benchmark, TRIPS, label, engine, loop, operations=turns)


@own_engines
def test_interrupt_from_outside(benchmark, guest, engine):
    """The guest waits at a HLT, is interrupted, returns, and waits again: one `run` each."""
    vcpu, turns = guest.vcpu(engine), TURNS.get(engine, 10_000)
    guest.start(vcpu, "idle", 0)
    assert isinstance(vcpu.run(), Halt)
    before = vcpu.state.retired
    request, run_on = vcpu.request_interrupt, vcpu.run

    def loop() -> None:
        for _ in range(turns):
            request(0x20)
            run_on()

    loop()
    assert vcpu.state.retired - before == 4 * turns  # delivery, IRETQ, JMP, HLT
    label = "`request_interrupt`, `run` to the next HLT"
    measure(benchmark, TRIPS, label, engine, loop, operations=turns)


class _Register:
    """The smallest device."""

    def read(self, _address: int, _size: int) -> int:
        return 0x1234_5678

    def write(self, _address: int, _size: int, value: int) -> None:
        pass

    def load(self, _vcpu: object, _offset: int, _size: int) -> int:
        return 0x1234_5678

    def store(self, _vcpu: object, _offset: int, _size: int, value: int) -> None:
        pass


def by_exits(vcpu: SoftVcpu) -> Any:
    """A runner that handles the exits of `run` itself."""
    device, run_on, complete = _Register(), vcpu.run, vcpu.complete

    def runner() -> Any:
        while True:
            outcome = run_on()
            if type(outcome) is Read:
                complete(device.read(outcome.gpa, outcome.size))
            elif type(outcome) is Write:
                device.write(outcome.gpa, outcome.size, outcome.value)
            else:
                return outcome

    return runner


def by_map(vcpu: SoftVcpu) -> Any:
    """A runner that leaves the device to a region map."""
    device, mmio, pio = _Register(), RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
    mmio.add(DEVICE, DEVICE_SIZE, read=device.load, write=device.store, name="device")
    ports = mmio.port(vcpu), pio.port(vcpu)
    return lambda: vcpu.run_through(*ports)


EXIT_HOLD_NS = 700
WAYS = {"`run`, handler": by_exits, "`run_through`, region map": by_map}


@engines
@pytest.mark.parametrize("symbol", ["load", "store"])
@pytest.mark.parametrize("way", WAYS)
def test_mmio(benchmark, guest, symbol, way, engine):
    """One exit a turn of three instructions; in Unicorn a hook on the device's memory."""
    turns = TURNS.get(engine, 10_000)
    if engine == UNICORN:
        machine = Unicorn(guest)

        def loop() -> None:
            machine.run(symbol, turns)
    else:
        vcpu = guest.vcpu(engine)
        runner = WAYS[way](vcpu)

        def loop() -> None:
            guest.start(vcpu, symbol, turns)
            assert isinstance(runner(), Halt)

    notes = {"floor": engine == UNICORN, "hold_ns": EXIT_HOLD_NS, "operations": turns}
    measure(benchmark, TRIPS, f"MMIO {symbol}: {way}", engine, loop, **notes)
