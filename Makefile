# Two commands do everything on a fresh machine: `make repro` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# how many experiments `make evidence` runs at a time, each on one thread
JOBS ?= 1

.PHONY: setup repro test test-slow check docs ui share experiments evidence
.DEFAULT_GOAL := repro

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[pipeline,dev]"
	$(BIN)/ssul offline-plots
	touch $@

# activated, so that the stages' `python` is this environment's
repro: setup
	. $(BIN)/activate && dvc repro && ssul show

test: setup
	. $(BIN)/activate && python -m pytest -n auto --maxprocesses 4

# The tests of a file run in order: only whole files run side by side. They keep their order, because the files with the
# fewest tests take longest and would come last. More processes than two cores, because much of it waits for dvc.
test-slow: setup
	. $(BIN)/activate && python -m pytest -m slow -n 3 --dist loadfile --no-loadscope-reorder

ui: setup
	. $(BIN)/activate && ssul ui

# all experiments with their data and runs, see docs/sharing.md
share: setup
	. $(BIN)/activate && ssul share

# the columns that tell, within 160 characters: scores, and parameters that differ, of a method's own settings one
experiments: setup
	. $(BIN)/activate && dvc exp show --only-changed --sort-by final.all --sort-order desc --drop \
	    'Created|Executor|data.rehearsal|scenario.(steps|last)|per_class_iou|final.(?!old$$|new$$|all$$|holdout)|method.(?!name|fusion|ssul.pseudo)|evaluation.examples|(ssul|stages)($$|/)|(data|reports)/'

# the experiments of docs/evidence.yaml that MLflow lacks, then the tables of docs/evidence.md; many hours
evidence: setup
	. $(BIN)/activate && ssul evidence queue && OMP_NUM_THREADS=1 dvc exp run --run-all --jobs $(JOBS) && ssul evidence tables

# the site, in data/site; a dead link or a page outside its list ends it
docs: setup
	. $(BIN)/activate && NO_MKDOCS_2_WARNING=1 mkdocs build --strict

check: setup
	. $(BIN)/activate && ruff format --check . && ruff check . && mypy && lint-imports
