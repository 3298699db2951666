# relgate: `make demo` and `make test` are all a newcomer needs; both install what they need, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_DIR ?= relgate-demo
PYTEST_ARGS ?=

export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format train-demo-models benchmarks clean clean-demo

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

install: $(INSTALLED) ## make the environment in .venv (again only when the pins change)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "relgate is pinned for Python 3.11: set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(INSTALLED) ## release four models and a router, for real, on the CPU (about 10 minutes)
	$(BIN)/relgate demo --dir $(DEMO_DIR)

test: $(INSTALLED) ## run every test, real vLLM included
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(INSTALLED) ## ruff, mypy --strict and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train-demo-models: $(INSTALLED) ## train the demo's models again (an hour or two on two cores)
	$(BIN)/python -m examples.training

benchmarks: $(INSTALLED) ## measure throughput against a bare loop, coverage of the intervals, error rates of the gate
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/gate_scale.py
	$(BIN)/python benchmarks/error_rates.py

clean-demo: ## remove what the demo wrote
	rm -rf $(DEMO_DIR)

clean: clean-demo ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
