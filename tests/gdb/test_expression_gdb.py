# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Agent expressions as GDB compiles them, against what GDB itself says they are worth.

GDB lists the bytecode of C expressions in the scope of a program's `main`, and computes the same
expressions over the program's initial data; what it prints needs the program to run, too.
"""

import random
import re
import struct
import subprocess

import pytest

from system_tools import require
from vmmkit.errors import ExpressionError
from vmmkit.gdb.expression import Expression

COUNT = 250
# GDB manual, "Bytecode Descriptions"; that each operand is as long as GDB has it, the offsets of
# its listing tell.
CODES = {
    "add": 0x02,
    "sub": 0x03,
    "mul": 0x04,
    "div_signed": 0x05,
    "div_unsigned": 0x06,
    "rem_signed": 0x07,
    "rem_unsigned": 0x08,
    "lsh": 0x09,
    "rsh_signed": 0x0A,
    "rsh_unsigned": 0x0B,
    "log_not": 0x0E,
    "bit_and": 0x0F,
    "bit_or": 0x10,
    "bit_xor": 0x11,
    "bit_not": 0x12,
    "equal": 0x13,
    "less_signed": 0x14,
    "less_unsigned": 0x15,
    "ext": 0x16,
    "ref8": 0x17,
    "ref16": 0x18,
    "ref32": 0x19,
    "ref64": 0x1A,
    "if_goto": 0x20,
    "goto": 0x21,
    "const8": 0x22,
    "const16": 0x23,
    "const32": 0x24,
    "const64": 0x25,
    "reg": 0x26,
    "end": 0x27,
    "dup": 0x28,
    "pop": 0x29,
    "zero_ext": 0x2A,
    "swap": 0x2B,
    "pick": 0x32,
    "rot": 0x33,
    "printf": 0x34,
}
REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))]
NUMBERS = {name: n if n < 6 else n + 2 for n, name in enumerate(REGISTERS)}
TYPES = {
    "c": "signed char",
    "uc": "unsigned char",
    "s": "short",
    "us": "unsigned short",
    "i": "int",
    "u": "unsigned",
    "l": "long",
    "ul": "unsigned long",
}
BITS = {"c": 8, "uc": 8, "s": 16, "us": 16, "i": 32, "u": 32, "l": 64, "ul": 64}
BINARY = ["+", "-", "*", "&", "|", "^", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "/", "%"]
SOURCE = """
%s
int array[4] = {-3, 5, 70000, -80000};
struct inner { signed char first; unsigned short second; };
struct outer { long value; struct inner inner; struct inner *pointer; int *items; };
struct inner other = {-7, 65000};
struct outer outer = {-123456789012345, {12, 34567}, &other, array};
struct outer *there = &outer;
const char *text = "agent";
int main(void) { return 0; }
"""
ROW = re.compile(r"^ *(\d+)  (\w+)(?: (.*))?$", re.MULTILINE)
PRINTF = re.compile(r'"(.*)", (\d+) args')


def leaf(source):
    choices = [
        *(f"{name}{n}" for name in TYPES for n in (0, 1)),
        *("outer.value", "outer.inner.first", "there->inner.second", "there->pointer->first"),
        *("other.second", "*array", "outer.items[2]", "text[1]", "*there->items", "sizeof(outer)"),
        f"array[{source.choice('iul')}0 & 3]",
        f"${source.choice(REGISTERS)}",
        f"{source.randrange(-200, 200)}",
        f"{source.getrandbits(40)}",
    ]
    return source.choice(choices)


def expression(source, depth):
    if not depth or source.random() < 0.1:
        return leaf(source)
    inner = expression(source, depth - 1)
    kind = source.random()
    if kind < 0.15:
        return f"({source.choice('-~!')}({inner}))"
    if kind < 0.3:
        return f"(({source.choice(list(TYPES.values()))})({inner}))"
    if kind < 0.4:
        return f"(({inner}) {source.choice(['<<', '>>'])} {source.randrange(40)})"
    other = expression(source, depth - 1)
    if kind < 0.5:
        # Of one type: GDB's compiler and GDB's evaluator do not agree on the type of a mixture.
        return f"(({inner}) ? (long)({other}) : (long)({leaf(source)}))"
    return f"(({inner}) {source.choice(BINARY)} ({other}))"


@pytest.fixture(scope="module")
def source():
    return random.Random(0x6DB)


@pytest.fixture(scope="module")
def program(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agent")
    values = {f"{t}{n}": source.getrandbits(BITS[t] - n) for t in TYPES for n in (0, 1)}
    suffixes = {"l": "L", "ul": "UL", "u": "U"}
    variables = "\n".join(
        f"{TYPES[name[:-1]]} {name} = ({TYPES[name[:-1]]}){value}{suffixes.get(name[:-1], '')};"
        for name, value in values.items()
    )
    (folder / "agent.c").write_text(SOURCE % variables)
    words = [require("gcc"), "-g", "-no-pie", "-fno-pie", "-w", "agent.c", "-o", "agent"]
    subprocess.run(words, check=True, cwd=folder, timeout=60)
    return folder / "agent"


@pytest.fixture(scope="module")
def memory(program):
    """What the program's loaded segments hold, by address (ELF-64 program headers)."""
    data = program.read_bytes()
    offset, size, count = struct.unpack_from("<Q14xHH", data, 0x20)
    headers = [struct.unpack_from("<IIQQQQQ", data, offset + n * size) for n in range(count)]
    return {
        at: data[start : start + length]
        for kind, _, start, at, _, length, _ in headers
        if kind == 1
    }


@pytest.fixture(scope="module")
def registers(source):
    return {name: source.getrandbits(source.choice([8, 32, 64])) for name in REGISTERS}


def reader_of(memory):
    def read(address, size):
        for base, data in memory.items():
            if base <= address and address + size <= base + len(data):
                return int.from_bytes(data[address - base : address - base + size], "little")
        raise ExpressionError(f"no memory at {address:#x}")

    return read


def ask_gdb(program, commands):
    words = [word for command in ["set confirm off", *commands] for word in ("-ex", command)]
    run = subprocess.run(
        [require("gdb"), "-nx", "-batch", *words, str(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return run.stdout


def assembled(listing):
    """Turn GDB's listing back into what it sends."""
    rows = [(int(offset), name, operand) for offset, name, operand in ROW.findall(listing)]
    code = bytearray()
    for (offset, name, operand), following in zip(rows, [*rows[1:], None], strict=True):
        assert offset == len(code)
        code.append(CODES[name])
        if name == "printf":
            text, arguments = PRINTF.fullmatch(operand).groups()
            code += struct.pack(">BH", int(arguments), len(text) + 1) + text.encode() + b"\0"
        elif operand:
            size = following[0] - len(code)
            code += (int(operand) & (1 << 8 * size) - 1).to_bytes(size, "big")
    return Expression(bytes(code))


def test_random_expressions_are_worth_what_gdb_says(source, program, memory, registers):
    asked = list(dict.fromkeys(expression(source, source.randrange(1, 5)) for _ in range(COUNT)))
    commands = []
    for text in asked:
        numbers = re.sub(r"\$(\w+)", lambda found: f"((long){registers[found[1]]})", text)
        commands += ["echo @", f"maintenance agent-eval -at main, {text}"]
        commands += ["echo =", f'printf "%ld", (long)({numbers})']
    values = {NUMBERS[name]: value for name, value in registers.items()}
    seen = 0
    for text, shown in zip(asked, ask_gdb(program, commands).split("@")[1:], strict=True):
        listing, _, value = shown.rpartition("=")
        if "end" not in listing:
            continue  # GDB cannot compile it, or computes it while it does and divides by zero
        seen += 1
        compiled = assembled(listing)
        if not value:  # a division by zero
            with pytest.raises(ExpressionError, match="division by zero"):
                compiled.evaluate(values.__getitem__, reader_of(memory))
        else:
            got = compiled.evaluate(values.__getitem__, reader_of(memory))
            assert got == int(value) % 2**64, text
    assert seen > COUNT // 2


FORMATS = [
    (r"%d %u %x %o\n", "i0, u0, u1, i1"),
    (r"%ld|%lu|%lx|%lld\n", "l0, ul0, ul1, l1"),
    (r"\t%5d|%-5d|%05d\\\"%%", "c0, uc0, c1"),
    (r"%s-%.3s-%8s-%-8s|", "text, text, text, text"),
    (r"%c%c%5c", "text[0], 66, text[2]"),
    (r"%#x %X %i %+d % d", "u0, u0, i0, 5, 6"),
    (r"%p %p %20p", "&i0, 0, there"),
    (r"%08lx %.5d %10.4d", "ul0, 7, 8"),
    (r"nothing at all", ""),
]


def test_what_dprintf_sends_prints_what_gdb_prints(program, memory):
    commands = ["break main", "run"]
    for text, arguments in FORMATS:
        rest = f'"{text}"' + (f", {arguments}" if arguments else "")
        commands += ["echo @", f"maintenance agent-printf {rest}", "echo =", f"printf {rest}"]
    shown = ask_gdb(program, commands)
    if "Breakpoint 1, main" not in shown:
        pytest.skip("GDB may not run programs here")
    for (text, _), part in zip(FORMATS, shown.split("@")[1:], strict=True):
        listing, _, printed = part.partition("=")
        said = []
        assembled(listing).run(lambda _: 0, reader_of(memory), said.append)
        assert said == [printed], text
