# Kith: the set-up and every check. Needs make and Python 3.11 or newer, nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint types tests format lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
UV_VERSION := 0.13.9

# A python counts when it really runs (version managers leave dead shims), is new enough and can make an environment.
USABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python python3.13 python3.12 python3.11 python3.14; do \
	if $$python -c '$(USABLE)' >/dev/null 2>&1; then echo $$python; break; fi; done)

help: ## list what make can do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r what why; do \
		printf '%-12s %s\n' "$$what" "$$why"; done

setup: $(STAMP) ## make .venv and install Kith with the pinned dependencies

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'make: no Python 3.11 or newer with venv and ensurepip was found;' \
		'install one (Debian: apt-get install python3 python3-venv) or say make PYTHON=/path/to/python' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing the dependencies of requirements.lock into $(VENV) ...'
	@$(PIP) install --quiet --no-compile --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## make up a year of a shop and run the main job on it; options with ARGS="--customers 500"
	@$(BIN)/kith demo $(ARGS)

test: lint types tests ## every check: lint, types, tests

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/python -m mypy

# The live pipeline waits more than it works, so two of its tests run at a time, each on a Kafka of its own; those that
# measure times run one after the other. The others use all cores.
tests: $(STAMP) ## pytest; options with ARGS="-k name"
ifeq ($(ARGS),)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --ignore tests/live --ignore tests/deploy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m 'not alone' tests/live tests/deploy
	$(BIN)/python -m pytest -m alone tests/live
else
	$(BIN)/python -m pytest $(ARGS)
endif

format: $(STAMP) ## put the code into the house format
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# The pins that are there are kept where they still fit; `make lock ARGS=--upgrade` takes the newest. One lock serves
# every system and Python from 3.11 on; the build backend stands in it too, so that nothing is installed unpinned.
lock: $(STAMP) ## make requirements.lock anew from pyproject.toml
	@test -x build/lock/bin/uv || { $(PYTHON) -m venv build/lock && \
		build/lock/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION); }
	@$(BIN)/python -c 'import tomllib; build = tomllib.load(open("pyproject.toml", "rb"))["build-system"]; \
		print(*build["requires"], "editables>=0.5,<1", sep="\n")' > build/lock/build.in
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
		--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		--output-file requirements.lock $(ARGS) pyproject.toml build/lock/build.in
	@echo 'requirements.lock is made; make setup installs it'

clean: ## remove what the set-up, the checks and the demo made
	rm -rf $(VENV) build dist kith-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
