# `make` alone lists what there is. Everything that is installed stays in .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# A further package index to take torch from: PyTorch's install page names one for CPU builds
TORCH_INDEX ?=
# Words for `make train`, e.g. make train TRAIN="env=Acrobot-v1 seed=3"
TRAIN ?= env=CartPole-v1 group_size=8
# Words for pytest: make test PYTEST="-n 0 -k sinks"
PYTEST ?= -n auto

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all test-text test-browser docs torture check fmt clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install the package with its tools

train: $(STAMP)  ## train on CartPole (other words: make train TRAIN="env=Acrobot-v1")
	@$(BIN)/grpo train $(TRAIN)

test: $(STAMP)  ## run the default tests (about three minutes at most)
	@$(BIN)/python -m pytest $(PYTEST)

test-all: $(STAMP)  ## run every test, the slow ones and those of language models too
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[test-text]'
	@$(BIN)/python -m pytest $(PYTEST) -m ""

test-text: $(STAMP)  ## language models: install transformers, PEFT, datasets and TRL, and run their tests
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[test-text]'
	@$(BIN)/python -m pytest -n 0 -m "text and not slow"

test-browser: $(STAMP)  ## look at pages in headless Chromium, which is installed with apt where it is missing
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get install -y -q --no-install-recommends chromium; \
		else sudo apt-get install -y -q --no-install-recommends chromium; fi; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[browser]'
	@BROWSER=1 $(BIN)/python -m pytest -n 0 -m browser

docs: $(STAMP)  ## build the documentation into site/, where a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "built: site/; to read it: $(PYTHON) -m http.server -d site"

torture: $(STAMP)  ## kill, flip, cut and fill up; figures into docs/reliability.md (half an hour)
	@$(BIN)/python benchmarks/torture.py

check: $(STAMP)  ## formatting, lint and types; changes nothing
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/pyright --pythonpath $(BIN)/python

fmt: $(STAMP)  ## format, and mend what lint can mend by itself
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

clean:  ## remove .venv, caches and builds (never runs/)
	rm -rf $(VENV) build dist site .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: grpo needs Python 3.11 or later; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
		echo "  fix: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[fast,video]' || echo "going on without EnvPool or video, which this computer cannot have"
	@touch $@
