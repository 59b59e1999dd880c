# Two commands do everything: `make demo` and `make test`. Both make the virtual environment first.
#
#   PYTHON       the interpreter to start from
#   VENV         where the virtual environment goes
#   TORCH        what the tests install as PyTorch, which training needs; the CPU build is enough for everything here
#   PIP_OPTIONS  passed to every `pip install`, for example another index for a CUDA build of torch
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PIP_OPTIONS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_OPTIONS)
PYTEST_OPTIONS ?=

# Chromium for the tests that look at pages (marked browser), which are skipped without it; Debian and its kin, as root.
BROWSER_INSTALL ?= apt-get install -y --no-install-recommends chromium chromium-driver

.PHONY: demo test browser test-other-dask lint benchmark clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps hold what was installed; they are older than the files that say what to install when it must be done again.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing deepict_dask into $(VENV) (a few minutes the first time)"
	$(PIP) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	$(PIP) "$(TORCH)"
	$(PIP) --constraint constraints.txt --editable ".[test]"
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/deepict-dask demo --output demo_output --overwrite

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

browser:
	command -v chromium || $(BROWSER_INSTALL)

# The graphs once more with another Dask: the one that dask-cuda asks for.
OTHER_DASK ?= 2026.7.1
test-other-dask: $(VENV)/.installed-test
	$(PIP) --no-deps --upgrade --target $(VENV)/dask-$(OTHER_DASK) dask==$(OTHER_DASK) distributed==$(OTHER_DASK)
	PYTHONPATH=$(VENV)/dask-$(OTHER_DASK) $(BIN)/python -m pytest $(PYTEST_OPTIONS) tests/engine tests/test_api.py tests/stages/test_run.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check deepict_dask tests examples
	$(BIN)/ruff format --check deepict_dask tests examples
	$(BIN)/mypy deepict_dask
	$(BIN)/lint-imports

benchmark: $(VENV)/.installed-test
	$(BIN)/python -m tests.benchmarks.whole_run

clean:
	rm -rf build dist demo_output *.egg-info
