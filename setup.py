# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The native half of the build; everything else is in pyproject.toml.

`VMMKIT_NATIVE` decides: `1` builds the native engine or fails, `0` leaves it out, and unset
builds it where a C compiler works. Whether one works is found out beforehand, by compiling and
linking a small extension module: an extension that setuptools may drop half way (`optional`)
leaves a wheel with a platform tag and no library inside, which no installer can tell from a
good one. So a failed probe gives a pure wheel with a pure tag, and once the probe has passed, a
C error is an error.
"""

import os
import runpy
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# setuptools brings its own distutils and installs it under this name when it is imported.
from distutils.ccompiler import new_compiler  # isort: skip
from distutils.errors import CCompilerError, DistutilsError  # isort: skip
from distutils.sysconfig import customize_compiler  # isort: skip

PROBE = "#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n"

# One binary for every later Python. The free-threaded builds have no such ABI.
ONE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")

CROSSING = Extension(
    "vmmkit.insn._crossing",
    ["csrc/crossing.c"],
    depends=[
        "csrc/crossing_decode.c",
        "csrc/crossing_core.c",
        "csrc/ffi_build.py",
        "src/vmmkit/insn/optable.py",
        "src/vmmkit/insn/_record.py",
        "src/vmmkit/insn/_sources.py",
        *map(str, Path("src/vmmkit/insn/opcodes").glob("*.py")),
    ],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if ONE_ABI else [],
    extra_compile_args=["-std=c11", "-O2"],
    py_limited_api=ONE_ABI,
)


class BuildExtensions(build_ext):
    """Writes the header that `crossing.c` includes before anything is compiled."""

    def run(self) -> None:
        """Generate, then build."""
        header = runpy.run_path("csrc/ffi_build.py")["crossing_header"]()
        folder = Path(self.build_temp)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "crossing_record.h").write_text(header)
        CROSSING.include_dirs.append(str(folder))
        super().run()


NATIVE = {
    "cffi_modules": ["csrc/ffi_build.py:ffibuilder"],
    "ext_modules": [CROSSING],
    "cmdclass": {"build_ext": BuildExtensions},
    "options": {"bdist_wheel": {"py_limited_api": "cp311"}} if ONE_ABI else {},
}


def compiler_works() -> bool:
    """Tell whether the configured C compiler can make an extension module here."""
    compiler = new_compiler()
    customize_compiler(compiler)
    headers = sorted({sysconfig.get_path("include"), sysconfig.get_path("platinclude")})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "probe.c").write_text(PROBE)
        try:
            objects = compiler.compile(
                [f"{folder}/probe.c"], output_dir=folder, include_dirs=headers
            )
            compiler.link_shared_object(objects, f"{folder}/probe.so", build_temp=folder)
        except (CCompilerError, DistutilsError, OSError) as error:
            print(f"vmmkit: the C compiler or Python.h does not work: {error}", file=sys.stderr)
            return False
    return True


def native_arguments() -> dict[str, Any]:
    """Return what `setup` needs to build the native engine: nothing for a pure build."""
    wanted = os.environ.get("VMMKIT_NATIVE", "")
    if wanted not in {"", "0", "1"}:
        sys.exit(f"vmmkit: VMMKIT_NATIVE must be unset, 0 or 1, not {wanted!r}")
    native = wanted == "1" or (not wanted and compiler_works())
    print(f"vmmkit: building {'with the native engine' if native else 'PURE PYTHON, no C code'}")
    return NATIVE if native else {}


setup(**native_arguments())
