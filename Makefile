# The one entry to everything: `make help` lists it.
#
# What is there already is not made again: packages and htmx are looked at each time (milliseconds), the virtual
# environment and the Rust core are remembered by stamps in .venv.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
CARGO := PATH="$$PATH:$$HOME/.cargo/bin" cargo
CORE := snapcore-rs/Cargo.toml
# Tests wait for servers, disks and machines a third of their time: one process more than there are cores. Each has
# servers of its own, and what stays together keeps one of them busy to the end: more than four gain nothing.
PROCESSES := $(shell cores=$$(nproc); echo $$((cores < 3 ? cores + 1 : 4)))
CORE_SOURCES := $(shell find snapcore-rs \( -name target -o -name fuzz \) -prune -o -type f ! -name '*.so' ! -name '*.pyc' -print 2>/dev/null)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## install what is missing, build, and run Snapport until Ctrl-C
	@exec $(BIN)/python -m flask --app portal.app up

.PHONY: build
build: packages-run .venv/.stamp-run .venv/.stamp-core htmx ## install and build what `make run` needs

.PHONY: test
test: test-rust test-python ## run every test: Rust, Python, the real servers, the browser, a booting disk

.PHONY: test-rust
test-rust: packages-test ## run the Rust core's tests
	@echo "== Rust"
	@$(CARGO) test --manifest-path $(CORE) --workspace --quiet

.PHONY: test-python
test-python: packages-test .venv/.stamp-dev .venv/.stamp-core htmx ## run the Python tests in some processes; ARGS="tests/unit -x": these, in one
	@echo "== Python"
	@$(BIN)/python -m pytest -q $(or $(ARGS),-n $(PROCESSES))

.PHONY: lint
lint: packages-run .venv/.stamp-dev .venv/.stamp-core ## check format, style, types, imports and stubs; Rust and Python
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest snapcore
	$(CARGO) fmt --manifest-path $(CORE) --all --check
	$(CARGO) clippy --manifest-path $(CORE) --workspace --all-targets --quiet -- -D warnings

.PHONY: format
format: .venv/.stamp-dev ## put all source into its format
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .
	$(CARGO) fmt --manifest-path $(CORE) --all

.PHONY: bench
bench: packages-bench .venv/.stamp-dev .venv/.stamp-core htmx ## measure side by side with the tools people use; bench/results.json
	@$(BIN)/python -m bench $(ARGS)

.PHONY: clean
clean: ## remove what was built; the data folder stays
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache snapcore-rs/target
	rm -rf portal/static/vendor *.egg-info
	find portal worker bench tests setup snapcore-rs -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: packages-run packages-test packages-bench
packages-run:
	@setup/packages run
packages-test:
	@setup/packages run test
packages-bench:
	@setup/packages run test bench

.PHONY: htmx
htmx: .venv/.stamp-run
	@$(BIN)/python setup/htmx.py

# A stamp stands in .venv, so that a removed .venv takes its stamps along.
.venv/.stamp-run: pyproject.toml setup/venv | packages-run
	@setup/venv embedded,build
	@touch $@
.venv/.stamp-dev: pyproject.toml setup/venv | packages-run
	@setup/venv embedded,build,dev
	@touch .venv/.stamp-run $@
.venv/.stamp-core: setup/core $(CORE_SOURCES) | .venv/.stamp-run
	@setup/core
	@touch $@
