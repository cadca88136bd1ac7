# Every target sets up what it needs in .venv and can be run again at once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-all check format bench help clean

run: $(READY) ## run the repository's own project: seeds, models, segments, audience files
	$(BIN)/segflow run

test: $(READY) ## the test suite
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(READY) ## the test suite with what takes longer than a minute
	$(BIN)/python -m pytest -n 2

check: $(READY) ## format, lint, types, import contract, SQL lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar macros models tests/data examples/*/models

format: $(READY) ## rewrite Python and SQL in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --processes 2 macros models tests/data examples/*/models

bench: $(READY) ## measure against plain duckdb and dbt; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

clean: ## remove what was built, the environment included
	rm -rf .venv target warehouse exports

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
