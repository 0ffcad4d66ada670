# Every target sets up what it needs first (tools/setup does nothing, quickly, when all is there).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PY := $(BIN)/python

.PHONY: help run test check soak bench compile lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Start the demo: three subscribers, a fake router, a payment; then keep serving
	@tools/setup run
	@mkdir -p var/demo
	@LEDGATE_STATE_DIR="$${LEDGATE_STATE_DIR:-var/demo}" exec $(BIN)/ledgate demo

test: ## Check the code, then run all tests (SQLite, a throw-away PostgreSQL 15, radclient)
	@tools/setup test
	@$(MAKE) check
	@$(PY) -m pytest -n 2 $(T)

check: ## ruff, mypy --strict, import contracts
	@tools/setup check
	@$(BIN)/ruff check --quiet . && echo "ruff: ok"
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

soak: ## Attack and disturb a running server, live a year (minutes; S=mutants|chaos|live|payments|routers|year for one part)
	@tools/setup test
	@$(PY) -m tests.load $(S)

bench: compile ## Measure against FreeRADIUS, compiled (minutes; B=login|accounting|latency|million|mass|burst for one part)
	@tools/setup bench
	@$(PY) -m benchmarks $(B)

compile: ## Compile the hot modules in place with mypyc (optional; `make clean` undoes it)
	@tools/setup compile
	@find aaa -name '*.so' -delete
	@LEDGATE_COMPILE=1 $(PY) setup.py --quiet build_ext --inplace
	@find aaa -name '*.so' -exec touch {} + -print  # a build keeps what it need not build again, old as it is

lock: ## Renew the lock files from pyproject.toml
	@tools/setup check
	@tools/lock

clean: ## Remove compiled modules, build products and caches (keeps .venv and var)
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@rm -f *.so
	@find aaa -name '*.so' -delete
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
