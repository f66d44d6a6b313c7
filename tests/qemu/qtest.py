# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""QEMU as a judge: its devices, driven from here by its qtest protocol, with no guest.

`-accel qtest` is not in every distribution's build, so QEMU runs with TCG and a firmware of one
halted loop: the machine counts as running, which some devices ask for, and nothing in it moves but
what is asked for over QEMU's standard input and output.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_FIRMWARE_SIZE = 0x1_0000
_RESET_VECTOR = 0xFFF0
_HALT = bytes.fromhex("fa f4 eb fd")  # cli; hlt; jmp to the hlt
_SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}


def write_firmware(folder: Path) -> Path:
    """Write an image whose reset vector stops the processor for good."""
    image = bytearray(b"\xf4" * _FIRMWARE_SIZE)
    image[_RESET_VECTOR : _RESET_VECTOR + len(_HALT)] = _HALT
    path = folder / "halt.bin"
    path.write_bytes(image)
    return path


class Qtest:
    """A running QEMU.

    Attributes:
        irqs: levels of the inputs of the chip given to `intercept`, by number.
        changes: the changes of these inputs, in order: number and level.
    """

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        command = [
            *(program, "-accel", "tcg", "-bios", str(write_firmware(folder))),
            *("-qtest", "stdio", "-qtest-log", "/dev/null"),
            *("-display", "none", "-nodefaults", "-no-user-config"),
            *options,
        ]
        self._errors = (folder / "qemu.log").open("w+")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
        )
        self.irqs: dict[int, bool] = {}
        self.changes: list[tuple[int, bool]] = []

    def ask(self, *words: object) -> list[str]:
        """Send a command; return the words of the answer behind its OK."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(map(str, words)) + "\n")
        process.stdin.flush()
        while True:
            answer = process.stdout.readline().split()
            if not answer:
                complaint = self._complaint()
                self.stop()
                raise RuntimeError(f"QEMU ended: {complaint}")
            if answer[0] != "IRQ":
                break
            self._irq(answer[1] == "raise", int(answer[2]))
        if answer[0] != "OK":
            raise RuntimeError(f"{words} -> {answer}")
        return answer[1:]

    def _irq(self, level: bool, number: int) -> None:
        if self.irqs.get(number, False) != level:
            self.changes.append((number, level))
        self.irqs[number] = level

    def _complaint(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return f"{self._process.returncode} {self._errors.read()}"

    def intercept(self, chip: str) -> None:
        """Hear of the inputs of an interrupt controller from now on."""
        self.ask("irq_intercept_in", chip)

    def stop(self) -> None:
        """End QEMU and wait for it; again does nothing."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()


class MemoryPort:
    """Physical memory of a `Qtest`, as an `AccessPort`."""

    def __init__(self, qtest: Qtest) -> None:
        self._ask = qtest.ask

    def read(self, address: int, size: int, /) -> int:
        return int(self._ask("read" + _SUFFIX[size], hex(address))[0], 16)

    def write(self, address: int, size: int, value: int, /) -> None:
        value &= (1 << 8 * size) - 1
        self._ask("write" + _SUFFIX[size], hex(address), hex(value))

    def read_bytes(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self._ask("read", hex(address), size)[0][2:]) if size else b""

    def write_bytes(self, address: int, data: bytes) -> None:
        if data:
            self._ask("write", hex(address), len(data), "0x" + data.hex())


class IoPort:
    """I/O ports of a `Qtest`, as an `AccessPort`."""

    def __init__(self, qtest: Qtest) -> None:
        self._ask = qtest.ask

    def read(self, address: int, size: int, /) -> int:
        return int(self._ask("in" + _SUFFIX[size], hex(address))[0], 16)

    def write(self, address: int, size: int, value: int, /) -> None:
        value &= (1 << 8 * size) - 1
        self._ask("out" + _SUFFIX[size], hex(address), hex(value))
