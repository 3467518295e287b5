# zdeferd: `make help` lists the targets. Every target prepares .venv by itself.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
KILLS  ?= 2000

.DEFAULT_GOAL := help
.PHONY: help setup demo site test lint pytest bench guard verdicts gate pictures newcomer dist bump soak powercut simulate flood format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## prepare .venv, and zsh where it is missing (quick when all is there)
	@tools/need-zsh

# Made again when the declared dependencies change; an editable install needs no other reason.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "setup: Python 3.11 or newer is needed: $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "  name another one, such as: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "setup: cannot make a virtual environment with $(PYTHON)" >&2; \
	  echo "  on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "setup: installing zdeferd and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup ## several zsh at once, a private daemon, the example jobs: under a minute
	@$(BIN)/zdeferctl demo

# pip is asked only where it is not installed: at least the version that pyproject.toml names.
site: setup ## the documentation as a site, in build/site/html
	@$(BIN)/python -c 'import material' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@$(BIN)/python tools/pages.py build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --config-file build/site/mkdocs.yml
	@echo "site: build/site/html/index.html"

test: lint pytest ## all that CI runs

lint: setup ## format, lint, types, and the syntax of the shell code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/zdeferctl lint zsh zdeferd.plugin.zsh shell
	@for file in zdeferd.plugin.zsh shell/*.zsh shell/defer/* shell/functions/* shell/features/*.zsh shell/features/functions/* shell/features/shipped/* shell/live/*; do zsh -f -n "$$file" || exit 1; done

# Most tests wait most of the time: two files at a time take half as long.
BESIDE := -n 2 --dist loadfile
pytest: setup ## the tests alone; one file: make pytest ARGS=tests/wire/test_messages.py
	$(BIN)/pytest $(or $(ARGS),$(BESIDE))

bench: setup ## beside its peers; QUICK=1: its own health; PEERS=folder; FIGURES="prompt runs"
	@bench/need-peers
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(QUICK),--quick) \
	  $(if $(PEERS),--peers "$(PEERS)") $(FIGURES)

guard: setup ## has the prompt's path or a claim become dearer? UPDATE=1: a new baseline
	@PYTHONPATH=tests $(BIN)/python -m bench.guard $(if $(UPDATE),--update)

gate: setup ## examples/ci/perf-gate on a sample configuration: passes, and fails when 30 % slower
	@tools/try-perf-gate $(BIN)/python

newcomer: setup ## a fresh user, pipx, the first job of the README; root, Debian
	@tools/need-wheels
	$(BIN)/pytest tests/newcomer

dist: setup ## build wheel and sdist into dist/, and try the wheel as a fresh user
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist
	@tools/try-wheel dist/zdeferd-*.whl "$(PYTHON)"

bump: ## set the version in all places: make bump VERSION=0.2.0
	@$(PYTHON) tools/bump.py $(VERSION)

REPETITIONS ?= 50
TRACES ?= 10
verdicts: setup ## how often are the verdicts of zdeferctl perf right? REPETITIONS=50 TRACES=10
	@PYTHONPATH=tests $(BIN)/python -m bench.verdicts --repetitions $(REPETITIONS) --traces $(TRACES)

pictures: setup ## draw the pictures of docs/performance.md again, with zdeferctl perf
	@$(BIN)/python -m bench.pictures

soak: setup ## kill its processes at random instants, for minutes; KILLS=2000
	@nice $(BIN)/python tests/kills/campaign.py --kills $(KILLS)

CUTS ?= 300
powercut: setup ## cut the power of a machine, on a disk that forgets; root; CUTS=300
	@cd tests && nice ../$(BIN)/python -m powercut --cuts $(CUTS)

HISTORIES ?= 10000
SEEDS     ?= 1
SEED      ?=
simulate: setup ## play HISTORIES=10000 invented histories from SEEDS=1 on; tell one: SEED=7
	@cd tests && nice ../$(BIN)/python -m simulation --first $(SEEDS) --histories $(HISTORIES) \
	  $(if $(SEED),--seed $(SEED))

FLOOD ?=
flood: setup ## silent, endless, deaf and fuzzing peers, 200 zsh, loud jobs; FLOOD=--help
	@cd tests && nice ../$(BIN)/python -m floods $(FLOOD)

format: setup ## format the Python code in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the files that setup and the tests made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
