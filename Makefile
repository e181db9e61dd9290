# One environment in .venv, pinned by constraints.txt; nothing but Python >= 3.11 is assumed.
PYTHON ?= python3
BIN := .venv/bin
RUN_DIR ?= runs/demo_boxes
# Two processes of one thread each; pytest's session fixtures are made once in each.
JOBS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
PYTEST := -m pytest -n $(JOBS) --dist loadfile
# Another environment, for test-minimum and test-no-extras: about 8 GB, removed when all has passed.
OTHER := build/environment

.PHONY: settings help demo test test-dist test-wheel test-minimum test-no-extras dist install clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/.installed  ## set everything up and run the boxes pipeline on generated scenes
	$(BIN)/wsseg demo --out $(RUN_DIR)

test: .venv/.installed-dev test-dist  ## set everything up and pass lint, types, archives, tests, doctests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/python $(PYTEST)

settings: .venv/.installed  ## write docs/settings.md from the parameter classes
	$(BIN)/python -c "from wsseg.runs.settings_text import settings_page; print(settings_page(), end='')" > docs/settings.md

dist: .venv/.installed-dev  ## build the source archive and from it the wheel, and check what is in them
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python .ci/check_archives.py

test-dist: dist  ## run the demo from the wheel, with the other packages of .venv
	$(ONE_THREAD) .ci/try_wheel beside $(BIN)

test-wheel: dist  ## run the demo from the wheel in a clean environment
	.ci/try_wheel clean $(BIN)

test-minimum:  ## pass the tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet uv
	$(OTHER)/bin/uv pip install --python $(OTHER) --resolution lowest-direct -e '.[tensorboard,mlflow]'
	$(OTHER)/bin/uv pip install --python $(OTHER) pytest pytest-xdist hypothesis
	# packages of different years warn of each other, which is not what is tested here
	$(ONE_THREAD) $(OTHER)/bin/python $(PYTEST) -o filterwarnings=default -rs
	rm -rf $(OTHER)

test-no-extras:  ## pass the tests without any extra; those that need one are skipped, and say so
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet -c constraints.txt -e . pytest pytest-xdist hypothesis
	$(ONE_THREAD) $(OTHER)/bin/python $(PYTEST) -rs
	rm -rf $(OTHER)

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

clean:  ## remove the environment, archives and caches; runs stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
