# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := hypothesis import-linter jsonschema mypy psutil pytest pytest-asyncio pytest-textual-snapshot pytest-timeout pytest-xdist ruff

.PHONY: demo test test-fast test-tensorflow check lint types walls bench gpu-check screenshots samples clean

demo: $(STAMP)  ## open the app on a sample model with real friction
	$(BIN)/friction-tui demo

test: $(STAMP)  ## every test
	$(BIN)/pytest -n 2

test-fast: $(STAMP)  ## without the slow ones
	$(BIN)/pytest -n 2 -m "not slow"

check: lint types walls test  ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

walls: $(STAMP)
	$(BIN)/lint-imports

bench: $(STAMP)  ## measure the budgets; prints medians and the machine
	$(BIN)/python -m benchmarks

gpu-check: $(STAMP)  ## everything that needs an NVIDIA GPU; exits 3 without one
	$(BIN)/python -m benchmarks.gpu_check

screenshots: $(STAMP)  ## made from the real app
	$(BIN)/python screenshots/make.py

samples: $(STAMP)  ## rebuild sample_models/*.onnx
	$(BIN)/python -m sample_models.make

test-tensorflow: .venv-tensorflow/.installed  ## the TensorFlow source, in an environment of its own
	.venv-tensorflow/bin/pytest tests/sources/test_tensorflow.py

$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,torch]' $(DEV)
	touch $@

.venv-tensorflow/.installed: pyproject.toml constraints.txt
	test -d .venv-tensorflow || $(PYTHON) -m venv .venv-tensorflow
	.venv-tensorflow/bin/pip install --quiet --constraint constraints.txt --editable '.[cpu,tensorflow]' pytest pytest-asyncio pytest-timeout hypothesis
	touch $@

clean:
	rm -rf $(VENV) .venv-tensorflow build dist *.egg-info
