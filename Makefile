# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench bench-gpu setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[report,tensorboard,export,slurm,joblib,weights,video,dev]"
	@touch $@

demo: setup
	$(BIN)/msnas demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Two processes of one thread: the tests' tensors are tiny, and two threads of them wait for each other.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Two works a row, in turn, as a table; and the list of one GPU, which needs one.
bench: setup
	OMP_NUM_THREADS=1 $(BIN)/python experiments/bench/bench.py

bench-gpu: setup
	OMP_NUM_THREADS=1 $(BIN)/python experiments/bench/gpu_list.py

clean:
	rm -rf $(VENV) build dist *.egg-info
