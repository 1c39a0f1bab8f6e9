# make demo     train on the embedded corpus and print the F1 matrix (no data needed)
# make test     the whole test suite (TEST="...": more flags for pytest; WORKERS=2: in two processes)
# make lint     ruff and mypy
# make docs     build the manual, strictly, into build/site
# make bench    time training, encoding and evaluation (half an hour); MATERIAL=FOLDER: on real data, against the Trainer;
#               BENCH="--parts quality": more flags, here time to quality, which takes hours and goes on where it ended
# make torture  kill, stop and damage runs and compare what becomes of them (about an hour)
# make clean    remove what these made

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint docs bench torture clean

demo: .venv/demo
	PATH="$(CURDIR)/$(BIN):$$PATH" bash launch/demo.sh demo

# The tests of a file stay together: they share models. Each test uses one core; more than 4 processes only load torch.
WORKERS ?= 0

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile $(TEST)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/docs
	$(BIN)/mkdocs build --quiet --strict --site-dir build/site

# The tested versions: constraints.txt narrows the ranges of pyproject.toml. The demo needs no extras; the tests do.
# Modules are compiled when they are first imported: most of torch's never are, and it took a third of the time.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) .
	touch $@

.venv/ready: .venv/demo
	$(PIP) ".[dev]"
	touch $@

.venv/docs: .venv/demo
	$(PIP) ".[docs]"
	touch $@

# A folder with models/me5-small, data/panx and bench/trainer_recipe.py, if it is there.
MATERIAL ?= $(wildcard ../shared)

bench: .venv/ready
	$(BIN)/python -m tests.bench $(if $(MATERIAL),--material $(MATERIAL)) $(BENCH)

torture: .venv/ready
	$(BIN)/python -m tests.stress.gradients
	$(BIN)/python -m tests.stress.torture

clean:
	rm -rf .venv demo build bench.json bench-gpu.json *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage*
