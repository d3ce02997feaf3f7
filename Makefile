# make setup   the project's own .venv, with every extra at the versions of constraints.txt
# make run     the forecast of the reference plan (installs first where needed)
# make test    everything that has to hold before a change goes in
# make charts  the pictures of the documentation
# make bench   how fast it is, as ratios
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := sensitivity,batch,report,notebooks,dev
# the first interpreter that is new enough
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
ARGS ?=
PICTURES := fan scurve allocation waterfall fund tornado box stress

.PHONY: setup run test charts bench lint format clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 1; }
	@echo "Installing into $(VENV): once, two minutes or so." >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

run: setup
	@$(BIN)/attain run $(ARGS)

test: setup run lint
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -q --nbmake notebooks

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the pictures of the documentation, from the reference plan
charts: setup
	@set -e; out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; mkdir -p docs/images; \
	for command in run optimise contingency sensitivity "discover --miss 0.1" stress; do \
		$(BIN)/attain $$command --charts "$$out" >/dev/null; done; \
	for name in $(PICTURES); do cp "$$out/$$name.png" docs/images/; done

bench: setup
	$(BIN)/python -m benchmarks.run $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find engine tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
