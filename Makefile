.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Where the corpora and checkpoints are; the same as the variables SERAB_DATA and SERAB_WEIGHTS.
DATA ?= $(SERAB_DATA)
WEIGHTS ?= $(SERAB_WEIGHTS)
DEVICE ?= cpu
JOBS ?=
export SERAB_DATA := $(DATA)
export SERAB_WEIGHTS := $(WEIGHTS)
export SERAB_CACHE ?= $(CURDIR)/.cache
export JUPYTER_PLATFORM_DIRS := 1
# Dozens of processes import the same files: what the first compiles is kept for the others.
unexport PYTHONDONTWRITEBYTECODE

# The demo's corpora and results, where the notebooks look for them, too.
DEMO := $(SERAB_CACHE)/demo
PORT ?= 8000
PROFILE ?= published

.PHONY: help setup demo test test-nightly test-tensorflow test-faults lint book notebooks reproduce bench gpu-check serve clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(STAMP)  ## Make the virtual environment .venv with the tested versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 14); sys.exit(0 if ok else "Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,book,stats,pretrain,dask,test,lint]'
	$(BIN)/python -m compileall -q -j 0 -x '/tests?/|/testing/' $(VENV)/lib  # on all cores, which pip does on one
	touch $@

demo: setup  ## Run the nine-task grid on synthetic corpora, print it, and build the book of it
	$(BIN)/serab synthesise --data "$(DEMO)/data"
	$(BIN)/serab run --tasks all --models ready --protocol both --data "$(DEMO)/data" --out "$(DEMO)/results"
	$(BIN)/serab table --results "$(DEMO)/results"
	$(BIN)/serab book --profile demo

book: setup  ## Build the published book: the paper's tables beside the measurements in results/
	$(BIN)/serab book --profile published

serve: setup  ## Show a built book on this machine: PROFILE=demo PORT=8000
	@echo "http://localhost:$(PORT)/ (Ctrl-C ends it)"
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory "_build/$(PROFILE)/html"

notebooks: setup  ## Derive each notebook's .ipynb from its .py, with the numbers of the last published book
	$(BIN)/python book/_ext/plain_notebooks.py

test: setup  ## Run the tests; those on real data where SERAB_DATA and SERAB_WEIGHTS are set
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

test-nightly: setup  ## Run what is worth running, but not at each push
	$(BIN)/python -m pytest -m nightly

test-tensorflow: setup  ## Install TensorFlow and run the tests that are skipped without it
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tensorflow]'
	$(BIN)/python -c 'import tensorflow'
	$(BIN)/python -m pytest tests/extractors/test_trill.py tests/extractors/test_hear.py

test-faults: setup  ## Kill runs, fill disks, damage files; print how many faults were survived
	$(BIN)/python -m pytest tests/faults tests/cli/test_run.py::test_control_c_keeps_what_is_finished

lint: setup  ## Check style and spelling; audit the pinned packages where the network allows it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/count_house.py
	$(BIN)/codespell serab_lib tests benchmarks scripts notebooks/*.py book/*.md *.md
	$(BIN)/python scripts/audit_dependencies.py

bench: setup  ## Time the engine against the released procedure on the same RAVDESS files
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/run.py

gpu-check: setup  ## Hold a GPU against the CPU: vectors, speed, pre-training; a table in results/gpu/
	$(BIN)/python benchmarks/gpu_check.py

reproduce: setup  ## Fetch, run the whole grid, rewrite results/, build the book: DATA= WEIGHTS= DEVICE=cuda JOBS= PLAN=1
	$(BIN)/serab reproduce --device $(DEVICE) $(if $(JOBS),--jobs $(JOBS)) $(if $(PLAN),--plan)

clean:  ## Remove what was built, but not .venv or results/
	rm -rf _build .cache .pytest_cache .ruff_cache
