# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= $(or $(shell command -v python3.11 || command -v python3),python3)
VENV := .venv
BIN := $(VENV)/bin
# bin first on the path: Snakemake starts the jobs' Python by name
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m workflow_scripts.launch
CORES ?= all
PROFILE := slurm
ARGS ?=
NAME ?=
export REASON ?=

.DEFAULT_GOAL := help
.PHONY: help env env-slurm env-dev demo run slurm why plan adopt accept test lint format docs bench lock clean targets named

help:  ## this list
	@echo "make <target>, for some with TARGET=<what to make>, ARGS='<options>' and CORES=<how many at a time; all>."
	@echo "What to make is a paper, a file or another target of Snakemake: \`make targets\` explains them."
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

# All of config.yaml may be days of work: nothing is started that was not named
named:
	@$(if $(strip $(TARGET)$(ARGS)),:,echo "Say what to make: make run TARGET=demo, or TARGET=all for the papers of\
		config.yaml. \`make targets\` explains every target." >&2; exit 2)

##@ To begin with

demo: env  ## run the embedded benchmark and print its tables (3 to 6 minutes on 2 cores)
	@$(RUN) demo --cores $(CORES) $(ARGS)
	@$(BIN)/python -m workflow_scripts.show demo

env: $(VENV)/.runtime  ## create the environment (.venv) from requirements.txt

env-slurm: $(VENV)/.slurm  ## the same with what submits to a Slurm cluster

env-dev: $(VENV)/.dev  ## the same with the tools for tests and lint

$(VENV)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and" \
		"\"$(PYTHON)\" is not: install it, or name one by make PYTHON=<path of python3.11>." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV): a minute or two, about 6 GB ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.slurm: $(VENV)/.runtime requirements-slurm.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-slurm.txt
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

##@ Run papers and look ahead

targets: env  ## what can be run, a line each; for every rule behind it: snakemake --list
	@$(BIN)/python -m snakemake --list-target-rules

run: named env  ## any Snakemake target, safely after a kill: make run TARGET=tables ARGS='--config seeds=[0]'
	@$(RUN) $(TARGET) --cores $(CORES) $(ARGS)

slurm: named env-slurm  ## the same on a Slurm cluster (docs/cluster.md): make slurm TARGET=tables PROFILE=slurm
	@$(RUN) $(TARGET) --workflow-profile $(PROFILE) $(ARGS)

plan: env  ## jobs, hours, downloads and disk before anything starts: make plan TARGET=adapt ARGS="--config papers='[adapt]'"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m workflow_scripts.plan $(TARGET) --cores $(CORES) $(ARGS)

why: env  ## a line for every job that would run, with the reason: make why TARGET=demo
	@$(RUN) $(TARGET) --dry-run --cores $(CORES) $(ARGS)

##@ Keep results

adopt: env  ## take over a copied results folder, naming what must run again: make adopt TARGET=demo
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m workflow_scripts.adopt $(TARGET) $(ARGS)

accept: env  ## record a refactor as equivalent, so that nothing runs again: make accept REASON='why'
	@$(BIN)/python -m workflow_scripts.accept "$$REASON" $(ARGS)

##@ Work on the project

test: env-dev  ## run the tests, a file a process
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: env-dev  ## ruff, mypy, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

format: env-dev  ## format Python and rules
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

docs: env-dev  ## write the generated pages and the picture of the rules anew, build the documentation into site/
	$(BIN)/python -m methods.reporting.reference_pages docs/reference
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/rule_graph.py docs/pictures/rules.svg
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The documentation is in site/index.html."

bench: env-dev  ## the quick benchmarks (2 minutes); NAME=list names all; one: make bench NAME=scores ARGS='--threads 2'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks $(NAME) $(ARGS)

lock: env-dev  ## turn requirements*.in into pinned requirements*.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements-slurm.in -o requirements-slurm.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate --no-header requirements-dev.in -o requirements-dev.txt

clean:  ## remove logs and caches; data, results and the environment stay
	rm -rf logs .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
