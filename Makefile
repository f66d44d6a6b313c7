# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
#
# Every target makes its own environment first, so each is the only command a fresh checkout
# needs. VMMKIT_NATIVE (unset: native if a C compiler works, 1: native or fail, 0: pure Python)
# reaches the build and the run alike: `make test VMMKIT_NATIVE=0`.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test slow oracle acpi-linux lint c-warnings docs bench wheel asan fuzz guests clean distclean

PYTHON ?= python3
# The pure engine gets an environment of its own, so that neither build disturbs the other.
VENV := $(if $(filter 0,$(VMMKIT_NATIVE)),.venv-pure,.venv)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
BUILT := $(VENV)/.built-$(or $(VMMKIT_NATIVE),auto)
# What the build reads; Python sources besides these are used where they lie.
BUILD_INPUTS := pyproject.toml setup.py src/vmmkit/__init__.py $(wildcard csrc/*) \
	$(wildcard src/vmmkit/insn/optable.py src/vmmkit/insn/_record.py src/vmmkit/insn/opcodes/*.py)
PYTEST := $(BIN)/python -m pytest
ENGINE = $(BIN)/python -c 'from vmmkit.insn import IMPLEMENTATION; print(IMPLEMENTATION)'

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

DEMO_GUEST ?= examples/monitor/guests/hello.elf

demo: $(BUILT) ## Run the reference monitor with a guest, on KVM where it can be used
	$(BIN)/python examples/monitor $(DEMO_ARGS) $(DEMO_GUEST) < /dev/null

# Slow tests (exhaustive sweeps, long guests) have a target of their own.
WORKERS ?= auto
PARALLEL := --numprocesses $(WORKERS) --dist worksteal

test: $(BUILT) $(VENV)/.group-test ## Run the test suite, a few minutes of it (narrow with TEST_ARGS)
	$(PYTEST) $(PARALLEL) -m 'not slow and not linux' $(TEST_ARGS)

slow: $(BUILT) $(VENV)/.group-test ## Run the tests that take longer: sweeps of every opcode, long guests
	$(PYTEST) $(PARALLEL) -m slow $(TEST_ARGS)

oracle: $(BUILT) $(VENV)/.group-test ## Run both engines against this processor, N cases per form and mode
	VMMKIT_ORACLE_CASES=$(or $(N),2000) $(PYTEST) $(PARALLEL) tests/oracle \
	    tests/insn/test_against_processor.py $(TEST_ARGS)

# Two packages are downloaded and unpacked, not installed. A guest takes seconds; the time limit is
# for several that hang, each of which is given up after a minute.
acpi-linux: $(BUILT) $(VENV)/.group-test ## Boot Debian's kernel, in QEMU on the tables of the presets and in the monitor
	$(BIN)/python tests/linux/kernel.py build/linux
	timeout 900 $(PYTEST) --quiet -m linux tests/linux tests/loader tests/monitor $(TEST_ARGS)

lint: $(BUILT) $(VENV)/.group-lint $(VENV)/.group-test c-warnings ## Check style, types, imports, licences
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/interrogate --quiet src
	$(BIN)/reuse lint --quiet || $(BIN)/reuse lint
	$(PYTEST) --quiet tests/test_shape.py

# cffi's half of the translation unit is not ours to silence: its parameters may go unused.
c-warnings: $(BUILT)
	@mkdir -p build/lint
	$(BIN)/python -c 'import runpy; \
	    build = runpy.run_path("csrc/ffi_build.py"); \
	    build["ffibuilder"].emit_c_code("build/lint/native.c"); \
	    open("build/lint/crossing_record.h", "w").write(build["crossing_header"]())'
	$(CC) -std=c11 -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only -Icsrc \
	    -Ibuild/lint -DPy_LIMITED_API=0x030B0000 \
	    -isystem $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	    build/lint/native.c csrc/crossing.c

docs: $(BUILT) $(VENV)/.group-docs ## Build the manual into build/docs
	$(BIN)/python -m sphinx -n -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"

BENCH_FLAGS := --benchmark-disable-gc --benchmark-columns=min,median,iqr,rounds

bench: $(BUILT) $(VENV)/.group-bench ## Measure, then write docs/benchmarks.md
	@mkdir -p benchmarks/results && rm -f benchmarks/results/*.json
	$(PYTEST) benchmarks -o python_files='bench_*.py' -q $(BENCH_FLAGS) \
	    --benchmark-json=benchmarks/results/$$($(ENGINE)).json $(BENCH_ARGS)
	test ! -e benchmarks/results/native.json || VMMKIT_NATIVE=0 \
	    $(PYTEST) benchmarks -o python_files='bench_*.py' -q $(BENCH_FLAGS) -m engine \
	    --benchmark-json=benchmarks/results/pure.json $(BENCH_ARGS) || test $$? = 5
	$(BIN)/python benchmarks/render.py benchmarks/results docs/benchmarks.md

wheel: $(BUILT) $(VENV)/.group-build ## Build the sdist, and the wheel from the sdist, into dist/
	@rm -rf dist && mkdir -p build
	$(BIN)/python -m build --outdir dist . > build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	@ls dist

# The wheel is built from an sdist in a folder of its own, so no object file of another build
# is taken over; it goes into its own environment, so the sanitized library stays there. The
# sanitizers write to the standard error that pytest would otherwise capture and lose.
ASAN_VENV := .venv-asan
ASAN_TESTS ?= $(wildcard tests/insn tests/fuzz tests/backends tests/test_insn*.py tests/test_soft*.py)
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

asan: ## Run the instruction engine's tests under ASan and UBSan
	@$(MAKE) --no-print-directory VENV=$(ASAN_VENV) $(ASAN_VENV)/.group-test $(ASAN_VENV)/.group-build
	rm -rf build/asan && mkdir -p build/asan
	VMMKIT_NATIVE=1 CFLAGS="$(SANITIZE)" \
	    $(ASAN_VENV)/bin/python -m build --outdir build/asan . > build/asan.log 2>&1 \
	    || { cat build/asan.log; exit 1; }
	$(ASAN_VENV)/bin/python -m pip install --quiet build/asan/*.whl
	$(ASAN_VENV)/bin/python -m pip install --quiet --no-deps --force-reinstall build/asan/*.whl
	VMMKIT_NATIVE=1 PYTHONMALLOC=malloc LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(ASAN_VENV)/bin/python -m pytest $(PARALLEL) -m 'not slow' -k 'not pure' \
	        --capture=sys $(ASAN_TESTS) $(TEST_ARGS)

# The engine is the extension's own translation unit, sanitized and traced; what drives it is not.
# Every input that reached something new then runs on both engines, which must agree, and through
# the engine once more without sanitizers, to tell what of each file they reach.
FUZZ := build/fuzz
FUZZ_PARTS := input machine mutate mutate_tables fuzz
T ?= 60
SEED ?= 1

fuzz: $(BUILT) $(VENV)/.group-test ## Fuzz the C engine T seconds from SEED, compare engines, tell coverage
	$(BIN)/python tests/fuzz/seeds.py $(FUZZ)
	$(CC) -std=c11 $(SANITIZE) -fsanitize-coverage=trace-pc -Icsrc \
	    -c $(FUZZ)/engine.c -o $(FUZZ)/engine.o
	for part in $(FUZZ_PARTS); do \
	    $(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -I$(FUZZ) -Icsrc \
	        -c tests/fuzz/$$part.c -o $(FUZZ)/$$part.o || exit; done
	$(CC) $(SANITIZE) -o $(FUZZ)/fuzz $(FUZZ_PARTS:%=$(FUZZ)/%.o) $(FUZZ)/engine.o
	$(FUZZ)/fuzz --seconds $(T) --seed $(SEED) --seeds $(FUZZ)/seeds.txt \
	    --kept $(FUZZ)/kept.txt --failure $(FUZZ)/failure.txt
	$(BIN)/python tests/fuzz/replay.py $(FUZZ)/kept.txt
	cd $(FUZZ) && rm -f *.gcda *.gcov.json.gz && $(CC) -std=c11 -O0 -g --coverage -I../../csrc \
	    -c engine.c -o covered.o && $(CC) --coverage -o covered $(FUZZ_PARTS:%=%.o) covered.o \
	    && ./covered --replay kept.txt
	$(BIN)/python tests/fuzz/coverage.py $(FUZZ)

guests: ## Rebuild the guests of the examples (shipped; needs gcc and binutils)
	$(MAKE) -C examples/guests all clean
	$(MAKE) -C examples/monitor/guests all

clean: ## Remove what was built
	rm -rf build dist out src/*.egg-info src/vmmkit/insn/*.so .venv*/.built-*

distclean: clean ## Remove the environments and caches too
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- environments -------------------------------------------------------------------------

# Debian ships ensurepip apart from Python (python3-venv); without it, a pip or virtualenv that
# is already there can do the same. pip 25.1 is the first that reads dependency groups.
$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "vmmkit needs Python 3.11 or later as '$(PYTHON)' (or make PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) > /dev/null 2>&1 \
	    || { $(PYTHON) -m venv --without-pip $(VENV) \
	        && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; } 2> /dev/null \
	    || $(PYTHON) -m virtualenv --quiet $(VENV) 2> /dev/null \
	    || { rm -rf $(VENV); \
	        echo "no virtual environment can be made; install one package: apt-get install python3-venv" >&2; \
	        exit 1; }
	$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.group-%: $(VENV)/.pip pyproject.toml
	$(PIP) install --group $*
	@touch $@

$(VENV)/.built-%: $(VENV)/.pip $(BUILD_INPUTS)
	$(PIP) install --editable .
	@engine=$$($(ENGINE)) && echo "vmmkit is installed with the $$engine instruction engine" \
	    && test "$$engine$(VMMKIT_NATIVE)" != pure \
	    || echo "(the native one needs a C compiler and Python.h: apt-get install gcc libc6-dev python3-dev)"
	@touch $@
