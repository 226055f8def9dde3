# Two commands matter: `make serve` and `make test`. Each installs what it needs into .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes: what they import is compiled once

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
BY_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: serve test test-slow test-clients test-container test-bare chaos lint audit train bench clean

serve: $(VENV)/.serve  ## serve the checkpoints on http://127.0.0.1:8000
	@$(BIN)/python -m service

test: $(VENV)/.test  ## run the tests of the service and of training, two at a time where they may
	$(PYTEST) $(BY_TWO) -m "not slow and not chaos and not alone"
	$(PYTEST) -m "alone and not slow and not chaos"

test-slow: $(VENV)/.test  ## run the slow tests (training, evaluation, export, installation)
	$(PYTEST) $(BY_TWO) -m "slow and not chaos"

test-clients: $(VENV)/.clients  ## drive the service with other people's clients, and import their models
	$(PYTEST) tests/clients

test-container: $(VENV)/.test  ## build the image and run it; needs podman with podman-compose, or Docker
	$(BIN)/python -m pytest tests/container

test-bare: $(VENV)/.test  ## run what needs data, a browser or an engine as on a machine that has none: all is skipped
	HIDE_FROM_TESTS=all $(PYTEST) -m "needs and not chaos" --ignore tests/clients tests

chaos: $(VENV)/.test  ## run the full forms of docs/robustness.md's tests, and print its table
	$(BIN)/python -m pytest -m chaos
	@$(BIN)/python tools/robustness_table.py

audit: $(VENV)/.test  ## look up known vulnerabilities of every pinned package; needs the internet
	@bash .ci/audit $(BIN)/pip-audit

lint: $(VENV)/.test  ## style, types, walls, declared packages, and the form of the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry service training
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --quiet --offline .github

train: $(VENV)/.train  ## install what `python -m training` needs

bench: $(VENV)/.bench  ## measure the service beside other servers; needs wrk and an idle machine
	$(BIN)/python -m benchmarks.serving

clean:  ## remove the environment
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train,test,tracing]'
	@touch $@

$(VENV)/.clients: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train,test,tracing,clients]'
	@touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[train,bench]'
	@touch $@
