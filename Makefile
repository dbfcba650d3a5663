# make setup | demo | test | lint | bench          (Python 3.11 or newer)
PYTHON ?= python3
BIN := .venv/bin
# Folder with pretrained backbones for LPIPS and DISTS. [default: the torch cache, else downloaded]
WEIGHTS ?=

.PHONY: setup demo test lint format bench

setup: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	touch $@

demo: setup
	$(BIN)/python scripts/demo.py demo $(if $(WEIGHTS),--weights-dir '$(WEIGHTS)')

# Two test processes with one thread each, so that they do not compete for cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup
	$(BIN)/python benchmarks/bench_build.py
	$(BIN)/python benchmarks/bench_open.py
	$(BIN)/python benchmarks/bench_eval.py
	$(BIN)/python benchmarks/bench_inference.py
	$(BIN)/python benchmarks/bench_loader.py
	$(BIN)/python benchmarks/bench_train.py
	$(BIN)/python benchmarks/bench_annotate.py
	$(BIN)/python benchmarks/bench_intervals.py
