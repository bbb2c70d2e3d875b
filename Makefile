# Everything a newcomer needs: `make demo`, `make test`. Both make their own .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
TESTS ?= tests

.PHONY: demo test soak lint lock clean

demo: $(VENV)/.demo models
	$(BIN)/facegate demo $(ARGS)

test: $(VENV)/.dev models lint
	$(BIN)/python -m pytest -n 5 --dist worksteal $(TESTS)

# Ten thousand grants under random faults, the gateway killed again and again. SOAK_GRANTS, SOAK_SEED.
soak: $(VENV)/.dev
	$(BIN)/python -m pytest -s -m soak tests/soak tests/integration/test_portals_stateful.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

.PHONY: models
models:
	$(BIN)/facegate models pull

# The interpreter named by PYTHON, or the python3 there is; it must be 3.11 or newer.
$(BIN)/python:
	@py=$$(command -v $(PYTHON) || command -v python3) || { echo "Python 3.11 or newer is needed"; exit 1; }; \
	$$py -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$py is older than Python 3.11; set PYTHON=..."; exit 1; }; \
	echo "Making $(VENV) with $$py"; $$py -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python requirements/demo.txt requirements/bench.txt pyproject.toml
	@echo "Installing Facegate and what its demo needs"
	$(PIP) --require-hashes -r requirements/demo.txt
	$(PIP) --require-hashes --no-deps -r requirements/bench.txt
	$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.demo requirements/dev.txt
	@echo "Installing the tools"
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock: $(VENV)/.dev
	$(PIP) pip-tools
	$(COMPILE) -o requirements/run.txt pyproject.toml
	$(COMPILE) --extra demo -c requirements/run.txt -o requirements/demo.txt pyproject.toml
	$(COMPILE) -o requirements/dev.txt requirements/dev.in

clean:
	rm -rf $(VENV) demo-state
