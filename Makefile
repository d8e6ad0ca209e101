# Every target sets up what it needs first; a finished set-up costs a fraction of a second.
# `make` alone lists the targets. CI calls .ci/run, which calls `check`, `coverage` and `test`, and nothing else.

.DEFAULT_GOAL := help
.PHONY: help setup up down status check test test-fast test-pure test-long coverage bench bench-simulate bench-failover bench-router bench-http bench-manager fuzz soak format permissions docs-reference counts lock

BIN := .venv/bin
SETUP := sh infra/setup/run.sh
# More workers than two cores, for many tests wait: for schedules, faults, timeouts. Two of them deploy a fleet.
# The tests without a fleet use a fifth of the time that they take, so several run beside these.
# tests/conftest.py orders the groups, tests/grouping.py keeps each in one worker.
PYTEST := $(BIN)/python -m pytest -n 6 --dist loadgroup --no-loadscope-reorder
# Decisions need no order and no fleet.
PYTEST_PURE := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 -m pure
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Empty is off: compiling tests and the clouds' SDKs again takes longer than most tests.
export PYTHONDONTWRITEBYTECODE :=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## the virtual environment, as locks/project.txt says
	@$(SETUP) venv

up: setup ## set everything up, deploy to the emulated clouds, print the router URL
	@$(BIN)/skyfleet up

down: setup ## destroy the deployment, stop the emulated clouds, remove .skyfleet/
	@$(BIN)/skyfleet down

status: setup ## targets, their health, faults
	@$(BIN)/skyfleet status

check: setup ## format, lint, types and words: what CI checks before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/basedpyright
	$(BIN)/python -m tools.check_words

test: setup ## all tests: pure, in-process and the emulated clouds with the real Pulumi engine
	@$(SETUP) pulumi >/dev/null
	@$(SETUP) extras
	@$(BIN)/python -m tools.compile_tests
	$(PYTEST) $(PYTEST_ARGS)

test-fast: setup ## the tests without the emulated clouds
	$(PYTEST) -m "not emulator" $(PYTEST_ARGS)

test-pure: setup ## the decisions alone, in about 10 s
	@$(BIN)/python -m tools.pure_tests $(PYTEST_ARGS)

test-long: setup ## all tests with all examples: each fault in each cloud, long simulated worlds, 300 examples a property
	@$(SETUP) pulumi >/dev/null
	@$(SETUP) extras
	$(PYTEST) --long $(PYTEST_ARGS)

coverage: setup ## branch coverage of router/core by its tests, 20 s; fails below the limit in pyproject.toml
	$(PYTEST_PURE) tests/router --cov

bench: setup ## measure the main job on this machine and write docs/benchmarks/measurements.md
	$(BIN)/python -m bench.measure $(BENCH_ARGS)

bench-simulate: setup ## simulate the router's core against baselines, minutes; writes docs/benchmarks/simulation.md (QUICK=1: one to three)
	$(BIN)/python -m bench.simulate $(if $(QUICK),--quick)

bench-failover: setup ## this router and its peers under the same faults, in 40 minutes (SCENARIOS=kill,slow ROUTERS=skyfleet,nginx: some)
	$(BIN)/python -m bench.failover $(if $(SCENARIOS),--scenarios "$(SCENARIOS)") $(if $(ROUTERS),--routers "$(ROUTERS)") $(BENCH_ARGS)

counts: setup ## count files, hops and calls of one request, and words; writes docs/benchmarks/counts.md
	$(BIN)/python -m tools.counts

docs-reference: setup ## write docs/reference from the code (config keys, status, headers, errors, environment, CLI)
	$(BIN)/python -m tools.reference

permissions: setup ## write docs/permissions: what the deploying identity must be allowed
	$(BIN)/python -m infra.permissions

bench-manager: setup ## the manager: first paint, updates, memory, a new region; writes docs/benchmarks/manager.md (MINUTES=60)
	$(BIN)/python -m bench.manager $(if $(MINUTES),--minutes $(MINUTES)) $(BENCH_ARGS)

bench-router: setup ## the router's speed beside its peers', 10 minutes; writes docs/benchmarks/router.md (QUICK=1: two)
	$(BIN)/python -m bench.router $(if $(QUICK),--quick) $(BENCH_ARGS)

bench-http: setup ## HTTP/1.1 and hostile input beside nginx and HAProxy, minutes; writes docs/benchmarks/http.md
	$(BIN)/python -m bench.http $(BENCH_ARGS)

fuzz: setup ## random bytes against the HTTP parsers for a minute each, guided by coverage (BENCH_ARGS="--seconds 600 reply")
	$(BIN)/python -m bench.http.fuzz $(BENCH_ARGS)

soak: setup ## the router under half load with a fault each minute, 10 minutes (SECONDS=3600: an hour); writes docs/benchmarks/soak.md
	$(BIN)/python -m bench.soak $(if $(SECONDS),--seconds $(SECONDS)) $(BENCH_ARGS)

format: setup ## put the sources into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup ## write locks/*.txt from the requirements of each package (UPGRADE=1: with newer versions)
	@$(SETUP) lock $(if $(UPGRADE),--upgrade)
