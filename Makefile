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

DEMO := _build/demo

.PHONY: help setup demo test lint book reproduce bench serve clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: $(STAMP)  ## Make the virtual environment .venv with the tested versions

$(STAMP): pyproject.toml constraints.txt scripts/mend_torchaudio.py
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,book,test,lint]'
	$(BIN)/python scripts/mend_torchaudio.py
	touch $@

demo: setup  ## Run the nine-task grid on synthetic corpora and print it
	$(BIN)/serab synthesise --data $(DEMO)/data
	$(BIN)/serab run --tasks all --models ready --protocol both --data $(DEMO)/data --out $(DEMO)/results
	$(BIN)/serab table --results $(DEMO)/results

test: setup  ## Run the tests; those on real data where SERAB_DATA and SERAB_WEIGHTS are set
	$(BIN)/python -m pytest

lint: setup  ## Check style and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell serab_lib tests benchmarks scripts *.md

bench: setup  ## Time the engine against the released procedure on the same RAVDESS files
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/run.py

reproduce: setup  ## Run the grid of all nine tasks: DATA= WEIGHTS= DEVICE=cuda JOBS=
	$(BIN)/serab run --tasks all --models ready --protocol both --device $(DEVICE) $(if $(JOBS),--jobs $(JOBS)) --out results

clean:  ## Remove what was built, but not .venv or results/
	rm -rf _build .cache .pytest_cache .ruff_cache
