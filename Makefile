# Two commands on a bare machine with Python >= 3.11 and python3-venv: `make demo` and `make test`.
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup demo data-demo test exact faults check bench clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (PyTorch is the large part; some minutes the first time)"
	$(PY) -m venv $(VENV)
	$(PIP) -e '.[train,hub,serve,collect,dev]'
	@touch $@

setup: $(VENV)/.ready ## make the virtual environment with everything that demo and test need

demo: $(VENV)/.ready ## collect and clean a small site, train a small SO8T Phi-3 on the CPU: curves, PoC report, signed pack
	@$(BIN)/python examples/data_demo.py
	@$(BIN)/python examples/demo.py

data-demo: $(VENV)/.ready ## crawl a small local site by rule, clean it, validate, show the counts for the report
	@$(BIN)/python examples/data_demo.py

test: $(VENV)/.ready ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile

exact: $(VENV)/.ready ## kill a 200-step training 20 times and compare every bit with an uninterrupted one
	KISEKI_EXACT=full $(BIN)/python -m pytest tests/e2e/test_restart_exact.py -p no:xdist -s

faults: $(VENV)/.ready ## every fault and every mutant (25 minutes; as root also mounts and power cuts)
	KISEKI_FAULTS=full $(BIN)/python -m pytest tests/faults -p no:xdist -s

check: $(VENV)/.ready ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready ## what a row costs: beside the floor, in a Trainer run, beside other trackers (15 minutes the first time)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/trainer.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/gates.py
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/peers/run.py install
	$(BIN)/python benchmarks/peers/run.py measure

clean: ## remove the virtual environment, caches, demo model and demo run
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache runs models/tiny-phi3 build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
