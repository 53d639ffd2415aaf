# Each target does its whole set-up in .venv by itself, and is quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# llama.cpp is compiled on all cores, without its multimodal part, which augtui does not use.
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test check lint types imports format clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.core ## Refine the example prompts with the default model
	@$(BIN)/augtui refine --file examples/prompts.txt

test: $(VENV)/.test ## Run all tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types imports ## Run the linter, the type checker and the import contract

lint: $(VENV)/.test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.test
	@$(BIN)/mypy

imports: $(VENV)/.test
	@$(BIN)/lint-imports

format: $(VENV)/.test ## Put the code in order
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "augtui needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# $(call install,what to say,what to install): says every quarter of a minute that it is still at work.
define install
	@echo "$(1)"
	@( while sleep 15 >/dev/null 2>&1; do s=$$((s + 15)); echo "  still at it: $$s s"; done ) & beat=$$!; \
	trap 'kill $$beat 2>/dev/null' EXIT; \
	$(BIN)/python -m pip install --quiet --prefer-binary --constraint constraints.txt $(2) || \
	  { echo "The installation failed. A C++ compiler is needed (Debian: apt install g++; macOS: xcode-select --install)."; exit 1; }
endef

$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(call install,Installing augtui; llama.cpp is compiled on $(JOBS) cores - 2 to 4 minutes the first time,--editable .)
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(call install,Installing what the tests need (PyTorch among it),--editable '.[parquet$(comma)train$(comma)test$(comma)dev]')
	@touch $@

comma := ,
