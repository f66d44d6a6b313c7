# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What decoding and executing cost, beside iced-x86, capstone and Unicorn in the same run."""

from collections.abc import Callable
from typing import Any

import pytest

from vmmkit.backends import SoftVcpu
from vmmkit.insn import IMPLEMENTATION, WORD, Cpu, CpuState, DecodeCache, ExitKind, Read, decode

# Sixteen forms that drivers use on device registers, 64-bit code.
FORMS = [
    *map(bytes.fromhex, ("8b4310", "895310", "488b4b08", "48895308", "0fb60f", "880f")),
    *map(bytes.fromhex, ("668b5702", "66895702", "c7450001000000", "8b04b5000000fe")),
    *map(bytes.fromhex, ("418b5c2410", "4489bb00010000", "830f01", "8167040000ff00")),
    *map(bytes.fromhex, ("4c8b05d2040000", "85470c")),
]
ROUNDS = 2000
MMIO = 0xFEC0_0000
CODE = 0x1000


def _record(benchmark: Any, group: str, label: str, operations: int, **notes: object) -> None:
    benchmark.group = group
    benchmark.extra_info.update(label=label, operations=operations, **notes)


def _over_forms(function: Callable[[bytes], object]) -> Callable[[], None]:
    codes = FORMS * (ROUNDS // len(FORMS))

    def loop() -> None:
        for code in codes:
            function(code)

    return loop


def _eight_fields_of_ours(code: bytes) -> None:
    insn = decode(code, 64)
    _ = insn.row, insn.length, insn.base, insn.index
    _ = insn.displacement, insn.memory_size, insn.operand_size, insn.prefixes


DECODE = "Decode from Python: 16 driver forms"
DECODE_FIELDS = "Decode and read eight fields"


@pytest.mark.engine
@pytest.mark.benchmark(min_rounds=20)
def test_decode(benchmark):
    _record(benchmark, DECODE, "vmmkit decode", ROUNDS, hold=1.0)
    benchmark(_over_forms(lambda code: decode(code, 64)))


@pytest.mark.engine
@pytest.mark.benchmark(min_rounds=20)
def test_decode_buffer(benchmark):
    """What a monitor hands in that slices guest RAM."""
    windows = {code: bytearray(code) for code in FORMS}
    _record(benchmark, DECODE, "vmmkit decode, from a bytearray", ROUNDS)
    benchmark(_over_forms(lambda code: decode(windows[code], 64)))


@pytest.mark.benchmark(min_rounds=20)
def test_decode_iced(benchmark):
    iced = pytest.importorskip("iced_x86")
    kept, decoder = iced.Instruction(), iced.Decoder
    _record(benchmark, DECODE, "iced-x86, kept Instruction", ROUNDS, floor=True)
    benchmark(_over_forms(lambda code: decoder(64, code).decode_out(kept)))


def test_decode_capstone(benchmark):
    capstone = pytest.importorskip("capstone")
    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    _record(benchmark, DECODE, "capstone disasm_lite", ROUNDS)
    benchmark(_over_forms(lambda code: next(machine.disasm_lite(code, 0))))


@pytest.mark.engine
@pytest.mark.benchmark(min_rounds=20)
def test_decode_fields(benchmark):
    _record(benchmark, DECODE_FIELDS, "vmmkit", ROUNDS, hold=0.6)
    benchmark(_over_forms(_eight_fields_of_ours))


@pytest.mark.benchmark(min_rounds=20)
def test_decode_fields_iced(benchmark):
    iced = pytest.importorskip("iced_x86")

    def fields(code: bytes) -> None:
        insn = iced.Decoder(64, code).decode()
        _ = insn.code, insn.len, insn.memory_base, insn.memory_index
        _ = insn.memory_displacement, insn.memory_size, insn.op_count, insn.has_lock_prefix

    _record(benchmark, DECODE_FIELDS, "iced-x86", ROUNDS, floor=True)
    benchmark(_over_forms(fields))


@pytest.mark.engine
@pytest.mark.benchmark(min_rounds=20)
def test_decode_cache_hit(benchmark):
    cached, codes = DecodeCache().decode, FORMS * (ROUNDS // len(FORMS))

    def loop() -> None:
        for code in codes:
            cached(code, 64)

    _record(benchmark, "Decode the same bytes again", "vmmkit DecodeCache", ROUNDS, hold_ns=70)
    benchmark(loop)


def _protected_vcpu(code: str) -> SoftVcpu:
    ram = bytearray(0x10000)
    machine_code = bytes.fromhex(code)
    ram[CODE : CODE + len(machine_code)] = machine_code
    vcpu = SoftVcpu([(0, ram)])
    vcpu.state.enter_protected_mode(CODE)
    vcpu.state.rbx = MMIO
    return vcpu


class _Register:
    """The smallest device: one value behind both kinds of port."""

    def read(self, _address: int, _size: int) -> int:
        return 0x1234_5678

    def write(self, _address: int, _size: int, value: int) -> None:
        pass


LOAD = "One MMIO load with a Python handler"
LOADS = 2000


@pytest.mark.engine
def test_mmio_load_step(benchmark):
    """Decode and emulate `mov eax, [ebx]`: a step that asks, the handler, a step that ends."""
    ram = bytearray(0x1000)
    ram[:2] = bytes.fromhex("8b03")
    cpu = Cpu([(0, ram)])
    cpu.state.enter_protected_mode(0)
    cpu.state.rbx = MMIO
    handler, words, step, rip = _Register().read, cpu.state.words, cpu.step, WORD["rip"]

    def loop() -> None:
        for _ in range(LOADS):
            words[rip] = 0
            outcome = step()
            assert type(outcome) is Read
            step(handler(outcome.gpa, outcome.size))

    _record(benchmark, LOAD, "vmmkit Cpu.step, outcomes as tuples", LOADS)
    benchmark(loop)


@pytest.mark.engine
def test_mmio_load_enter(benchmark):
    """The same through `Cpu.enter`, which builds no tuples."""
    ram = bytearray(0x1000)
    ram[:2] = bytes.fromhex("8b03")
    cpu = Cpu([(0, ram)])
    cpu.state.enter_protected_mode(0)
    cpu.state.rbx = MMIO
    handler, words, enter, resume = _Register().read, cpu.state.words, cpu.enter, cpu.resume
    rip, address, size = WORD["rip"], WORD["exit_address"], WORD["exit_size"]

    def loop() -> None:
        for _ in range(LOADS):
            words[rip] = 0
            enter(1, 0)
            resume(handler(words[address], words[size]))

    _record(benchmark, LOAD, "vmmkit Cpu.enter", LOADS, hold=0.1)
    benchmark(loop)


STORE = "One MMIO read-modify-write with a Python handler"
RMW = "800b80"  # or byte [ebx], 0x80


@pytest.mark.engine
def test_mmio_rmw_enter(benchmark):
    """Decode and emulate `or byte [ebx], 0x80`: a read and a write at the device."""
    ram = bytearray(0x1000)
    ram[:3] = bytes.fromhex(RMW)
    cpu, device = Cpu([(0, ram)]), _Register()
    cpu.state.enter_protected_mode(0)
    cpu.state.rbx = MMIO
    read, write, words = device.read, device.write, cpu.state.words
    enter, resume, rip = cpu.enter, cpu.resume, WORD["rip"]
    address, size, value = WORD["exit_address"], WORD["exit_size"], WORD["exit_value"]

    def loop() -> None:
        for _ in range(LOADS):
            words[rip] = 0
            enter(1, 0)
            resume(read(words[address], words[size]))
            write(words[address], words[size], words[value])
            resume(0)

    _record(benchmark, STORE, "vmmkit Cpu.enter", LOADS, hold=0.1)
    benchmark(loop)


def test_mmio_rmw_unicorn_one(benchmark):
    """The same in Unicorn, one instruction at a time."""
    unicorn = pytest.importorskip("unicorn")
    x86 = pytest.importorskip("unicorn.x86_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    machine.mem_map(0, 0x10000)
    machine.mem_write(CODE, bytes.fromhex(RMW))
    machine.mmio_map(
        *(MMIO, 0x1000),
        *(lambda _uc, _offset, _size, _data: 0x78, None),
        *(lambda _uc, _offset, _size, _value, _data: None, None),
    )
    machine.reg_write(x86.UC_X86_REG_EBX, MMIO)

    def loop() -> None:
        for _ in range(LOADS):
            machine.emu_start(CODE, CODE + 3)

    _record(benchmark, STORE, "Unicorn, one instruction with callbacks", LOADS, floor=True)
    benchmark(loop)


@pytest.mark.engine
def test_mmio_load_loop(benchmark):
    """Guest loop `mov eax, [ebx]; dec ecx; jnz`: one exit per turn through `run_through`."""
    vcpu, port = _protected_vcpu("8b03 49 75fb f4"), _Register()

    def loop() -> None:
        vcpu.state.rip, vcpu.state.rcx = CODE, LOADS
        vcpu.run_through(port, port)

    _record(benchmark, LOAD, "vmmkit SoftVcpu loop, three instructions a turn", LOADS)
    benchmark(loop)


def test_mmio_load_unicorn(benchmark):
    """The same guest loop in Unicorn with a Python MMIO callback."""
    unicorn = pytest.importorskip("unicorn")
    x86 = pytest.importorskip("unicorn.x86_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    machine.mem_map(0, 0x10000)
    machine.mem_write(CODE, bytes.fromhex("8b03 49 75fb f4"))
    machine.mmio_map(MMIO, 0x1000, lambda _uc, _offset, _size, _data: 0x1234_5678, None, None, None)

    def loop() -> None:
        machine.reg_write(x86.UC_X86_REG_EBX, MMIO)
        machine.reg_write(x86.UC_X86_REG_ECX, LOADS)
        machine.emu_start(CODE, CODE + 5)

    _record(benchmark, LOAD, "Unicorn, guest loop with Python callback", LOADS)
    benchmark(loop)


def test_mmio_load_unicorn_one(benchmark):
    """One instruction at a time, as an exit handler would use it."""
    unicorn = pytest.importorskip("unicorn")
    x86 = pytest.importorskip("unicorn.x86_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    machine.mem_map(0, 0x10000)
    machine.mem_write(CODE, bytes.fromhex("8b03"))
    machine.mmio_map(MMIO, 0x1000, lambda _uc, _offset, _size, _data: 0x1234_5678, None, None, None)
    machine.reg_write(x86.UC_X86_REG_EBX, MMIO)

    def loop() -> None:
        for _ in range(LOADS):
            machine.emu_start(CODE, CODE + 2)

    _record(benchmark, LOAD, "Unicorn, one instruction with Python callback", LOADS, floor=True)
    benchmark(loop)


GUEST = "Guest instructions, decode and execute, no exit"
# (label, code, instructions a turn); ECX counts the turns.
LOOPS = (
    ("add, sub, jnz", "01c8 83e901 75f9 f4", 3),
    ("load, add, store, dec, jnz", "8b0500200000 01c8 890504200000 49 75f0 f4", 5),
    ("call, ret, dec, jnz", "e804000000 49 75f8 f4 c3", 4),
    ("push, pop, xchg, test, dec, jnz", "50 5a 92 85c0 49 75f8 f4", 6),
)


@pytest.mark.engine
@pytest.mark.parametrize(("label", "code", "turn"), LOOPS, ids=[row[0] for row in LOOPS])
def test_guest_loop(benchmark, label, code, turn):
    vcpu = _protected_vcpu(code)
    turns = 20_000 if IMPLEMENTATION == "native" else 200
    vcpu.state.rsp = 0x8000

    def loop() -> None:
        vcpu.state.rip, vcpu.state.rcx = CODE, turns
        vcpu.run()

    _record(benchmark, GUEST, label, turns * turn)
    benchmark(loop)


@pytest.mark.engine
def test_guest_rep_movs(benchmark):
    vcpu = _protected_vcpu("f3a4 f4")
    count = 0x4000 if IMPLEMENTATION == "native" else 0x100

    def loop() -> None:
        state = vcpu.state
        state.rip, state.rcx, state.rsi, state.rdi = CODE, count, 0x2000, 0x8000
        vcpu.run()

    _record(benchmark, GUEST, "rep movsb, per byte", count)
    benchmark(loop)


STRINGS = "REP MOVSB to a device with a Python handler, per byte"
ELEMENTS = 2048


def _string_cpu(*, blocks: bool) -> Cpu:
    ram = bytearray(0x4000)
    ram[CODE : CODE + 2] = bytes.fromhex("f3a4")
    cpu = Cpu([(0, ram)], blocks=blocks)
    cpu.state.enter_protected_mode(CODE)
    return cpu


@pytest.mark.engine
def test_rep_movs_to_device(benchmark):
    """One exit an element, through `Cpu.enter`."""
    cpu = _string_cpu(blocks=False)
    handler, state, words, resume = _Register().write, cpu.state, cpu.state.words, cpu.resume
    address, size, value = WORD["exit_address"], WORD["exit_size"], WORD["exit_value"]

    def loop() -> None:
        state.rip, state.rsi, state.rdi, state.rcx = CODE, 0x2000, MMIO, ELEMENTS
        kind = cpu.enter(ELEMENTS, 0)
        while kind == ExitKind.WRITE:
            handler(words[address], words[size], words[value])
            kind = resume(0)

    _record(benchmark, STRINGS, "one by one", ELEMENTS, floor=True)
    benchmark(loop)


@pytest.mark.engine
@pytest.mark.parametrize("block", [64, ELEMENTS])
def test_rep_movs_to_device_blocks(benchmark, block):
    """The device takes up to `block` bytes at a time."""
    cpu = _string_cpu(blocks=True)
    state, words, resume, count = cpu.state, cpu.state.words, cpu.resume, WORD["exit_value"]
    memory = bytearray(ELEMENTS)

    def loop() -> None:
        state.rip, state.rsi, state.rdi, state.rcx = CODE, 0x2000, MMIO, ELEMENTS
        kind = cpu.enter(ELEMENTS, 0)
        while kind == ExitKind.BLOCK_WRITE:
            done = min(words[count], block)
            memory[:done] = cpu.block()[:done]
            kind = resume(done)

    _record(benchmark, STRINGS, f"blocks of {block}", ELEMENTS)
    benchmark(loop)


@pytest.mark.engine
@pytest.mark.parametrize(("label", "code"), [("rep stosb", "f3aaf4"), ("rep stosd", "f3abf4")])
def test_guest_rep_stos(benchmark, label, code):
    vcpu = _protected_vcpu(code)
    count = 0x2000 if IMPLEMENTATION == "native" else 0x100

    def loop() -> None:
        state = vcpu.state
        state.rip, state.rcx, state.rdi = CODE, count, 0x2000
        vcpu.run()

    _record(benchmark, GUEST, f"{label}, per element", count)
    benchmark(loop)


# Not MOVS, whose elements in one page are translated together; the bytes compared are all 0.
WALK = "Page walk: REPE CMPSB with two translations a byte, per translation"
P_RW_US_A_D = 0x67
CR0_PG, CR4_PAE, CR4_LA57 = 1 << 31, 1 << 5, 1 << 12
PD32, PAE, PML5, PML4, PDPT, PD, PT, PT32 = (0xF000 + 0x1000 * number for number in range(1, 9))


def _page_tables() -> bytearray:
    """RAM of 128 KiB, mapped to itself in every paging mode by pages of 4 KiB."""
    ram = bytearray(0x20000)

    def entry(place: int, value: int, size: int) -> None:
        ram[place : place + size] = value.to_bytes(size, "little")

    for table, inner in ((PML5, PML4), (PML4, PDPT), (PDPT, PD), (PD, PT)):
        entry(table, inner | P_RW_US_A_D, 8)
    entry(PAE, PD | 1, 8)
    entry(PD32, PT32 | P_RW_US_A_D, 4)
    for page in range(32):
        entry(PT + 8 * page, page << 12 | P_RW_US_A_D, 8)
        entry(PT32 + 4 * page, page << 12 | P_RW_US_A_D, 4)
    return ram


def _enter(state: CpuState, mode: str) -> None:
    if mode.endswith("level"):
        state.enter_long_mode(CODE, PML4)
        if mode == "5-level":
            state.cr3, state.cr4 = PML5, state.cr4 | CR4_LA57
        return
    state.enter_protected_mode(CODE)
    if mode != "none":
        state.cr0 |= CR0_PG
        state.cr3, state.cr4 = (PAE, CR4_PAE) if mode == "PAE" else (PD32, 0)


@pytest.mark.engine
@pytest.mark.parametrize("mode", ["none", "32-bit", "PAE", "4-level", "5-level"])
def test_page_walk(benchmark, mode):
    ram = _page_tables()
    ram[CODE : CODE + 3] = bytes.fromhex("f3a6f4")
    vcpu = SoftVcpu([(0, ram)])
    _enter(vcpu.state, mode)
    count = 0x4000 if IMPLEMENTATION == "native" else 0x100

    def loop() -> None:
        state = vcpu.state
        state.rip, state.rcx, state.rsi, state.rdi = CODE, count, 0x2000, 0x8000
        vcpu.run()

    _record(benchmark, WALK, mode, 2 * count, floor=mode == "none")
    benchmark(loop)
