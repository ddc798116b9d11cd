## make demo    see it work: broker, worker, a synthetic market, bars (ONCE=1: ends by itself)
## make check   while you work, about a minute: style, types, unit tests with fewer examples and without the slow ones
## make test    all tests, before you propose a change (minutes; Apache Kafka: see CONTRIBUTING.md)
## make lint    style, types and the contracts on imports; make format: repair the style
## make bench   the throughput table; make docs: the pages of docs/ as a site; make lock: write the lock files anew
## make native  compile the native core again (`make demo` and `make test` do, where there is a C compiler)
## make fuzz    the native core under sanitizers, and fuzzed for a minute (ARGS=3600: for so many seconds)
## ARGS="..." adds arguments: make check ARGS="-k wheel", make test ARGS="tests/integration/test_restart.py -n0"
SHELL := /bin/sh
.NOTPARALLEL: # environments and the native core are built one after the other
.DEFAULT_GOAL := help
.PHONY: docs help demo check test lint format bench native fuzz lock clean

BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
NATIVE := .venv/.native
NATIVE_SOURCES := setup.py tables/_native.pyx $(wildcard tables/csrc/*)
SOURCES := app agents tables migrations tests benchmarks examples
ARGS ?=
export BARWHEEL_TEST_DATA ?= $(abspath ../shared)

help:
	@sed -n 's/^## //p' Makefile

# .venv/.dev includes the runtime, so a demo after the tests installs nothing.
$(RUNTIME): requirements.lock pyproject.toml tools/bootstrap.sh
	@test "$(DEV)" -nt requirements.lock -a "$(DEV)" -nt pyproject.toml || tools/bootstrap.sh requirements.lock
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh requirements-dev.lock
	@touch $@

# Optional: without a compiler one line says so, once. Not built by an editable installation, which would hide that line.
$(NATIVE): $(NATIVE_SOURCES) | $(RUNTIME)
	@tools/build_native.sh
	@touch $@

native: $(RUNTIME)
	@rm -f $(NATIVE)
	@$(MAKE) --no-print-directory $(NATIVE)

demo: $(RUNTIME) $(NATIVE)
	@$(BIN)/app demo $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

# Lint first, because it fails fastest.
check: lint $(NATIVE)
	@HYPOTHESIS_PROFILE=check $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal -m "not slow" tests/unit $(ARGS)

# Whole files run in parallel, because tests of a file share workers. tests/conftest.py puts the longest files first.
# Four at a time, also on two cores: integration tests mostly wait.
test: $(DEV) $(NATIVE)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(DEV)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || \
		{ echo "barwheel: not formatted: run 'make format'" >&2; exit 1; }
	@$(BIN)/mypy
	@report=$$($(BIN)/lint-imports --no-logo) || { printf '%s\n' "$$report"; exit 1; }

format: $(DEV)
	@$(BIN)/ruff format --quiet $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES)

bench: $(DEV) $(NATIVE)
	@$(BIN)/python -m benchmarks throughput $(ARGS)

# Needs gcc with libasan.
fuzz: $(DEV)
	@tools/sanitize.sh $(ARGS)

# Needs uv (`pip install uv`). The files name no index, so that any mirror can serve them.
UV_COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(ARGS)
PEERS := benchmarks/peers/requirements
lock:
	@command -v uv >/dev/null || { echo "barwheel: uv is missing: pip install uv" >&2; exit 1; }
	@$(UV_COMPILE) --extra build -o requirements.lock pyproject.toml >/dev/null
	@$(UV_COMPILE) --no-annotate -o $(PEERS).lock $(PEERS).in >/dev/null
	@$(UV_COMPILE) --extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml >/dev/null

docs: $(RUNTIME)
	@test -x $(BIN)/zensical || { echo "barwheel: zensical is missing: $(BIN)/pip install zensical" >&2; exit 1; }
	@$(BIN)/zensical build --strict $(ARGS)
	@echo "the site: site/index.html"

clean:
	@rm -rf .venv build dist *.egg-info tables/_native*.so tables/_native.c .pytest_cache .import_linter_cache .mypy_cache .ruff_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
