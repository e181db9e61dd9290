# One environment in .venv, pinned by constraints.txt; nothing but Python >= 3.11 is assumed.
PYTHON ?= python3
BIN := .venv/bin
RUN_DIR ?= runs/demo_boxes

.PHONY: help demo test install clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/.installed  ## set everything up and run the boxes pipeline on generated scenes
	$(BIN)/wsseg run configs/demo_boxes.yaml run_dir=$(RUN_DIR)

test: .venv/.installed-dev  ## set everything up and pass lint, types, tests and doctests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

install: .venv/.installed-dev  ## set everything up

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "PYTHON must be Python 3.11 or newer, got $$($(PYTHON) --version); call make PYTHON=python3.x"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:  ## remove the environment and caches; runs stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
