# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
TENSORFLOW_VENV ?= .venv-tensorflow
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := hypothesis import-linter jsonschema mkdocs-material mypy psutil pytest pytest-asyncio pytest-textual-snapshot pytest-timeout pytest-xdist ruff transformers

.PHONY: demo test test-fast test-tensorflow test-oldest check lint types contracts docs bench scorecard gpu-check gpu-wheels dist release-check man completions sbom screenshots tour samples clean

demo: $(STAMP)  ## open the app on a sample model with real friction
	$(BIN)/friction-tui demo

test: $(STAMP)  ## every test
	$(BIN)/pytest -n 2

test-fast: $(STAMP)  ## without the slow ones
	$(BIN)/pytest -n 2 -m "not slow"

check: lint types contracts docs test  ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)  ## which package may import which
	$(BIN)/lint-imports

docs: $(STAMP)  ## the documentation site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(STAMP)  ## measure the budgets; prints medians and the machine
	$(BIN)/python -m benchmarks

scorecard: $(STAMP)  ## docs/scorecard.md: this tool and its peers on models that anybody can get; about ten minutes
	$(BIN)/python -m benchmarks.scorecard --write

gpu-check: $(STAMP)  ## everything that needs an NVIDIA GPU; exits 3 without one
	$(BIN)/python -m benchmarks.gpu_check

gpu-wheels: $(STAMP)  ## what the GPU check needs on a machine without a network, in build/gpu-wheels
	$(BIN)/python -m benchmarks.gpu_check --download build/gpu-wheels

screenshots: $(STAMP)  ## made from the real app
	$(BIN)/python screenshots/make.py

tour: $(STAMP)  ## screenshots/tour.cast, recorded from the real app
	$(BIN)/python screenshots/tour.py

samples: $(STAMP)  ## rebuild sample_models/*.onnx
	$(BIN)/python -m sample_models.make

test-tensorflow: $(STAMP) $(TENSORFLOW_VENV)/.installed  ## the TensorFlow source, in an environment of its own
	$(TENSORFLOW_VENV)/bin/pytest tests/sources/tensorflow/test_tensorflow.py
	FRICTION_TENSORFLOW_PYTHON=$(abspath $(TENSORFLOW_VENV))/bin/python $(BIN)/pytest -m tensorflow tests/test_python_to_engine.py

test-oldest:  ## the oldest versions that the ranges in pyproject.toml allow, in an environment of their own
	test -d .venv-oldest || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --constraint constraints-oldest.txt --editable '.[cpu]' hypothesis jsonschema psutil pytest pytest-asyncio pytest-textual-snapshot pytest-timeout
	.venv-oldest/bin/pytest -m "not slow" tests/model tests/rules tests/rewrites tests/session tests/commands tests/report tests/recipe

# The release: what is built, installed as a user would, and asked. Each step has an environment of its own in build/.
RELEASE := build/release
TOOLS := build/release-tools

dist: $(TOOLS)/.installed  ## the sdist, and the wheel made from it, in dist/
	rm -rf dist && $(TOOLS)/bin/python -m build

release-check: dist  ## installs the wheel as users do, and asks it; then the SBOM, the man pages and the completions
	rm -rf $(RELEASE) && $(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/pip install --quiet "$$(echo dist/*.whl)[cpu]"
	cd $(RELEASE) && bin/friction-tui --version && bin/friction-tui demo --list && bin/friction-tui doctor
	cd $(RELEASE) && bin/friction-tui check share/friction-tui/sample_models/healthy_cnn.onnx
	cd $(RELEASE) && bin/friction-tui check share/friction-tui/sample_models/boolean_mask.onnx; test $$? = 1
	$(MAKE) sbom man completions

sbom:  ## build/friction-tui.cdx.json: every package that the released environment has (CycloneDX); after release-check
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --of JSON -o build/friction-tui.cdx.json $(RELEASE)/bin/python

man: $(TOOLS)/.installed  ## man pages of every command, in build/man
	$(TOOLS)/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(TOOLS)/bin/click-man --target build/man friction-tui

completions:  ## completion scripts for bash, zsh and fish, in build/completions
	mkdir -p build/completions
	for shell in bash zsh fish; do $(RELEASE)/bin/friction-tui completion $$shell > build/completions/friction-tui.$$shell; done

$(TOOLS)/.installed: Makefile
	test -d $(TOOLS) || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet build 'click-man>=0.6' 'cyclonedx-bom>=7,<8' msgspec platformdirs
	touch $@

$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,torch,netron,mcp]' $(DEV)
	touch $@

$(TENSORFLOW_VENV)/.installed: pyproject.toml constraints.txt
	test -d $(TENSORFLOW_VENV) || $(PYTHON) -m venv $(TENSORFLOW_VENV)
	$(TENSORFLOW_VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[cpu,tensorflow]' pytest pytest-asyncio pytest-timeout hypothesis
	touch $@

clean:
	rm -rf $(VENV) $(TENSORFLOW_VENV) build dist *.egg-info
