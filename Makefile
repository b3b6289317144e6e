# make demo   find a hidden campaign in live traffic, here and now
# make test   set up everything the tests need and run them
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test test-all lint docs lock clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.done  ## make .venv from the lock file

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "stream_guard needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## a live population with a hidden campaign, found and throttled (under three minutes)
	$(BIN)/stream-guard demo

test: setup  ## every test but the minutes-long ones
	$(BIN)/python -m pytest -m "not slow"

test-all: setup  ## every test
	$(BIN)/python -m pytest

lint: setup  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## write the documents that are made from the code
	$(BIN)/python -m stream_guard.cli.reference

lock:  ## resolve the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra test --extra dev \
		pyproject.toml requirements-build.in --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--constraint requirements.lock pyproject.toml requirements-build.in --output-file deploy/requirements.lock

clean:  ## remove what make made
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache
