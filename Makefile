# `make demo` and `make test` install what is missing and need nothing else. `make help` lists the rest.

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench status down

PYTHON := .venv/bin/python
NIGHTBELL := .venv/bin/nightbell

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Install what is missing: Debian and Python packages, Asterisk, rtpengine
	@scripts/bootstrap

demo: ## Start everything on loopback and let a PBX call a sleeping phone
	@scripts/bootstrap demo
	@$(NIGHTBELL) demo

test: setup ## Run all tests
	@$(PYTHON) -m pytest --numprocesses 3 --dist loadfile

check: setup ## Types, style, and which package may import which
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

bench: setup ## Measure; writes build/bench.json
	@$(PYTHON) -m tests.bench

status: ## Say what of the demo runs
	@$(NIGHTBELL) demo --status

down: ## Stop what `make demo` left running
	@if [ -x $(NIGHTBELL) ]; then $(NIGHTBELL) demo --down; fi
