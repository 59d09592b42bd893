# Each target makes what it needs, .venv included, and is quick when there is nothing to do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint format clean

demo: $(INSTALLED)  ## one tenant end to end, against a sandbox on this machine
	$(BIN)/crmsync demo

test: lint  ## every check: format, lint, types, import rules, tests
	@# Tests of flows and commands share one Prefect server, one after the other: they mostly wait, so the rest runs beside.
	@$(BIN)/python -m pytest --quiet tests/flows tests/cli > $(VENV)/flows.log 2>&1 & flows=$$!; \
	trap 'kill $$flows' INT TERM; \
	$(BIN)/python -m pytest --quiet --numprocesses auto --ignore tests/flows --ignore tests/cli; others=$$?; \
	wait $$flows; flows=$$?; \
	echo "tests/flows tests/cli"; cat $(VENV)/flows.log; \
	test $$others = 0 && test $$flows = 0

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .crmsync build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crmsync needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
