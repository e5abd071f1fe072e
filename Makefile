# The commands of the project. Each of them sets up .venv first, if it is not there.
#
#   make demo    attack the shipped network on the shipped images, beside the paper's figures
#   make check   format, lint, types, fast tests: before each commit
#   make test    all checks and all tests: what CI runs
#   make bench   the cost of the attacks over bare gradient passes
#   make docs    the pages that are written from the code

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test bench docs static
.DEFAULT_GOAL := check

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	@touch $@

demo: .venv/.ready
	$(BIN)/minnorm demo

static: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: static
	$(BIN)/python -m pytest -m 'not slow'

test: static
	$(BIN)/python -m pytest

bench: .venv/.ready
	$(BIN)/python benchmarks/floor.py

docs: .venv/.ready
	$(BIN)/python docs/generate.py
