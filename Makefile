# make demo     train on the embedded corpus and print the F1 matrix (no data needed)
# make test     the whole test suite
# make lint     ruff and mypy
# make torture  kill, stop and damage runs and compare what becomes of them (a quarter of an hour)
# make clean    remove what these made

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint torture clean

demo: .venv/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" bash launch/demo.sh demo

test: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tested versions: constraints.txt narrows the ranges of pyproject.toml.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

torture: .venv/ready
	$(BIN)/python -m tests.gradients
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.torture

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache
