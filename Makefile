# Everything a developer runs. Each target does all the set-up that it needs, on a machine that has
# Python 3.11+ with venv, make and git.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DISTRIBUTIONS := libs/events libs/runtime libs/routing libs/prediction_cache libs/stack \
	services/registry services/router services/shadow_worker services/cache_invalidator examples
SOURCES := libs services examples tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check mutants bench format lock clean clean-data distributions

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment .venv with everything locked in requirements.lock

$(READY): requirements.lock $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)) deploy/development/setup.sh
	@PYTHON="$(PYTHON)" sh deploy/development/setup.sh $(DISTRIBUTIONS)

demo: $(READY) ## Train, publish, promote, route, shadow and purge on real data, and prove each step (a minute)
	@$(BIN)/python -m modelyard_examples.demo

up: $(READY) ## Start the whole system, print its addresses and commands to paste; Ctrl-C stops it
	@$(BIN)/python -m modelyard_examples.up

test: $(READY) ## Run all tests on real servers: unit, contract, integration, e2e, faults
	@$(BIN)/python -m modelyard_stack fetch
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(READY) ## Run ruff, mypy strict and import-linter
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

mutants: $(READY) ## Change the rules one place at a time and list the changes that no unit test notices
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

bench: $(READY) ## Measure each speed claim beside its reference and print the ratios
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

lock: ## Resolve requirements.lock anew (needs uv)
	@uv pip compile --universal --generate-hashes --python-version 3.11 --group dev --group bench --no-header \
		$(foreach name,events runtime routing prediction-cache stack registry router shadow-worker \
		cache-invalidator examples,--no-emit-package modelyard-$(name)) pyproject.toml -o requirements.lock --quiet

clean: ## Remove the virtual environment and what tools left behind; the data of `make up` stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@[ ! -e .modelyard ] || echo "The data of make up are still in .modelyard; make clean-data removes them."

clean-data: ## Remove the data of `make up`: databases, topics, artifacts, tokens and logs in .modelyard
	@for lock in .modelyard/stack/lock .modelyard/system/system.lock; do \
		if [ -e $$lock ] && command -v flock >/dev/null && ! flock --nonblock $$lock true; then \
			echo "make up is running: stop it first (Ctrl-C in its terminal)." >&2; exit 1; \
		fi; \
	done
	@[ -e .modelyard ] && rm -rf .modelyard && echo "Removed .modelyard." || echo "There is no .modelyard here."

distributions:
	@echo $(DISTRIBUTIONS)
