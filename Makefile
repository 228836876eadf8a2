# Each word works as the first command after a clone. It needs python3 (3.11 or newer) with venv; the rest it installs itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RELEASE := $(VENV)/release/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help try run test simulate chaos bench journeys screenshots mutants check release format deploy-steps lock audit sbom clean

help:
	@echo "make try     the bot in your browser, with a local Discord and a local image service: no account needed. PROCESSES=3 for several on one PostgreSQL, NO_BROWSER=1 to open no browser"
	@echo "make run     the real bot, from the settings in .env"
	@echo "make test    the whole test suite"
	@echo "make simulate  ten thousand bad days on a virtual clock, each drawn from a seed; SEEDS=0-500 for fewer"
	@echo "make chaos   the bot killed and stopped at random, then every promise checked; SECONDS=90, SEED=..., WORLD=shards if you like"
	@echo "make bench   how fast the real bot is beside a naive one, into docs/benchmarks.md; about two hours. QUESTION=load, RUNS=1, QUICK=1 for less"
	@echo "make journeys  every command, button and form used in a browser; its pictures stay in the folder journeys"
	@echo "make screenshots  takes the screenshots of docs/gallery.md anew"
	@echo "make mutants  small faults planted room by room, and whether the tests find them; hours. ROOM=credits, PERCENT=20 for less"
	@echo "make check   style, types and the laws of the house, in under a minute"
	@echo "make release VERSION=1.0.0  whether this tree can be released as that version; tags nothing"
	@echo "make format  put the code into its usual form"
	@echo "make deploy-steps  the commands of docs/deploy and the steps of the Dockerfile, with what they install; as root"
	@echo "make lock    requirements*.txt with all hashes, from requirements*.in; UPGRADE=name for a newer version of one, UPGRADE=all"
	@echo "make audit   known weaknesses of what is installed, and of the workflows"
	@echo "make sbom    what the bot consists of, as CycloneDX, into sbom.cdx.json"

try: $(VENV)/$(if $(PROCESSES),dev,run).stamp
	@$(BIN)/python -m sandbox $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(NO_BROWSER),--no-browser)

run: $(VENV)/run.stamp
	@$(BIN)/python bot.py

# Many files wait more than they work, so seven are run side by side. Where no bytecode is kept, each process of the tests
# compiles everything anew, which takes half a minute of CPU time: so here it is kept, and made by one process where there is
# none yet. The journeys without kills have no step that those with kills lack; `make journeys` takes both.
test: $(VENV)/dev.stamp
	@[ -d tests/worker/__pycache__ ] || PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -qq >/dev/null
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 7 --dist loadfile --no-loadscope-reorder \
		--ignore tests/journeys/test_journeys.py

chaos: $(VENV)/dev.stamp
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),90) $(if $(SEED),--seed $(SEED)) $(if $(WORLD),--world $(WORLD))

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench $(QUESTION) $(if $(RUNS),--runs $(RUNS)) $(if $(QUICK),--quick)

SEEDS ?= 0-10000
simulate: $(VENV)/dev.stamp
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

journeys: $(VENV)/dev.stamp
	JOURNEY_SCREENSHOTS=journeys $(BIN)/python -m pytest --numprocesses 3 --dist loadfile tests/journeys

screenshots: $(VENV)/dev.stamp
	$(BIN)/python scripts/screenshots.py

mutants: $(VENV)/mutants.stamp
	$(BIN)/python -m tests.mutants $(if $(PERCENT),--percent $(PERCENT)) $(ROOM)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --level error
	$(BIN)/python -m pytest -q tests/architecture

release: $(VENV)/dev.stamp
	$(BIN)/python scripts/release.py $(VERSION)

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

deploy-steps: $(VENV)/dev.stamp
	FRESH_VENV=yes $(BIN)/python -m pytest -q tests/deploy

LOCKS := requirements requirements-dev requirements-mutants requirements-release
UPGRADED := $(if $(UPGRADE),$(if $(filter all,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE)))
lock: $(VENV)/release.stamp
	for name in $(LOCKS); do $(RELEASE)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
		--no-annotate $(UPGRADED) $$name.in --output-file $$name.txt || exit 1; done

audit: $(VENV)/release.stamp
	for name in requirements-mutants requirements-release; do \
		$(RELEASE)/pip-audit --strict --disable-pip --require-hashes --requirement $$name.txt || exit 1; done # mutants has what dev and the bot have
	$(RELEASE)/zizmor --offline --no-progress .github

sbom: $(VENV)/release.stamp
	$(RELEASE)/cyclonedx-py requirements --output-reproducible --spec-version 1.6 --output-file sbom.cdx.json requirements.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .mutants

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older or missing. Another one: make PYTHON=python3.12 try"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv is missing. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run.stamp: requirements.txt $(VENV)/python.stamp
	@echo "Installing what the bot needs into $(VENV) (once) ..."
	@$(BIN)/python $(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing what the tests need into $(VENV) (once) ..."
	@$(BIN)/python $(INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/mutants.stamp: requirements-mutants.txt $(VENV)/dev.stamp
	@echo "Installing what the mutants need into $(VENV) (once) ..."
	@$(BIN)/python $(INSTALL) -r requirements-mutants.txt
	@touch $@

$(VENV)/release.stamp: requirements-release.txt $(VENV)/python.stamp
	@echo "Installing what lock, audit and sbom need into $(VENV)/release (once) ..."
	@$(PYTHON) -m venv --clear $(VENV)/release
	@$(RELEASE)/python $(INSTALL) -r requirements-release.txt
	@touch $@
