# One environment in .venv, pinned by constraints.txt; only Python >= 3.11 is required.
PYTHON ?= python3
BIN := .venv/bin
RUN_DIR ?= runs/demo_boxes
# Two processes of one thread each. All tests of a file run in one process, so that it makes the
# fixtures of the file once, and the files that take longest come early.
JOBS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
PYTEST := -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=10
# The environment of test-minimum and test-no-extras: about 8 GB, removed after all tests passed.
OTHER := build/environment
# The tools of test-tools, about 2 GB; Label Studio and FiftyOne start a server.
TOOLS ?= labelme supervision datumaro label-studio fiftyone

.PHONY: settings help demo test test-dist test-wheel test-minimum test-no-extras test-tools dist install clean

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/.installed  ## install, and run the boxes pipeline on generated scenes
	$(BIN)/wsseg demo --out $(RUN_DIR)

test: .venv/.installed-dev test-dist  ## install, and run all checks: lint, types, archives, tests, doctests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/python $(PYTEST)

settings: .venv/.installed  ## write docs/settings.md from the parameter classes
	$(BIN)/python -c "from wsseg.runs.settings_text import settings_page; print(settings_page(), end='')" > docs/settings.md

dist: .venv/.installed-dev  ## build the source archive and from it the wheel, and check their content
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python .ci/check_archives.py

test-dist: dist  ## run the demo from the wheel with the packages of .venv
	$(ONE_THREAD) .ci/try_wheel beside $(BIN)

test-wheel: dist  ## run the demo from the wheel in a clean environment
	.ci/try_wheel clean $(BIN)

test-minimum:  ## run the tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet uv
	$(OTHER)/bin/uv pip install --python $(OTHER) --resolution lowest-direct -e '.[tensorboard,mlflow]'
	$(OTHER)/bin/uv pip install --python $(OTHER) pytest pytest-xdist hypothesis
	# Packages of different years warn about each other; these warnings are not tested.
	$(ONE_THREAD) $(OTHER)/bin/python $(PYTEST) -o filterwarnings=default -rs
	rm -rf $(OTHER)

test-no-extras:  ## run the tests without extras; tests that need one are skipped
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet -c constraints.txt -e . pytest pytest-xdist hypothesis
	$(ONE_THREAD) $(OTHER)/bin/python $(PYTEST) -rs
	rm -rf $(OTHER)

test-tools: .venv/.installed-dev  ## test against annotation tools, each in an environment of its own
	$(BIN)/python -m pip install --quiet uv
	for tool in $(TOOLS); do \
	  $(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python build/tools/$$tool && \
	  $(BIN)/uv pip install --quiet --python build/tools/$$tool $$tool opencv-python-headless || exit 1; \
	done
	$(ONE_THREAD) $(BIN)/python -m pytest -m slow -rs tests/tools

install: .venv/.installed-dev  ## install wsseg and its development tools in .venv

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

clean:  ## remove the environment, archives and caches, but not the runs
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
