# Everything here works on a fresh clone: each target sets up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all check format model bench bench-peers bench-slides-peers parity clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('glomseg needs Python 3.11 or later, this is ' + sys.version.split()[0] + '; name another with make PYTHON=python3.12' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,engines]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/demo.py demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

model: $(STAMP)
	@test -n "$(DATA)" || { echo "make model DATA=path/to/aidpath_pas: docs/model-in-the-box.md says which data"; exit 2; }
	$(BIN)/python benchmarks/box_model.py "$(DATA)"

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

bench-peers: $(STAMP)
	benchmarks/peers/run.sh

bench-slides-peers:
	PYTHON=$(PYTHON) benchmarks/peers/slides.sh

parity: $(STAMP)
	benchmarks/peers/install.sh
	$(BIN)/python tests/parity/compare.py --peer-python .venv-peers/bin/python

clean:
	rm -rf $(VENV) demo build dist
