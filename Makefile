# Two commands do everything on a fresh machine: `make repro` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup repro test test-slow check
.DEFAULT_GOAL := repro

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[pipeline,dev]"
	touch $@

# activated, so that the stages' `python` is this environment's
repro: setup
	. $(BIN)/activate && dvc repro && ssul show

test: setup
	. $(BIN)/activate && python -m pytest

test-slow: setup
	. $(BIN)/activate && python -m pytest -m slow

check: setup
	. $(BIN)/activate && ruff format --check . && ruff check . && mypy && lint-imports
