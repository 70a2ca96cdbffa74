# Needs Python 3.11 to 3.14 and nothing else: everything is installed into .venv, from locked and hashed packages.
# Another Python: make PYTHON=python3.13. Options for a command: make demo ARGS=--help. Works with make 3.81 (macOS).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Hashes say what may be installed; no source package, so that nothing runs while installing and no compiler is needed.
LOCKED := install --require-hashes --only-binary :all:

# The tests start hundreds of processes of ours: none of them should compile what another one has compiled.
COMPILED := PYTHONDONTWRITEBYTECODE=

.DEFAULT_GOAL := help
.PHONY: help run demo test check format screenshots settings-table bench bench-door bench-budget bench-limiter bench-large bench-million api-fuzz chaos prove-image lock install-hooks bench-drain

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run ## Run the whole service on this machine; without SWIFTIA_API_KEY against the built-in sandbox
	@exec $(BIN)/swiftia-receiver up $(ARGS)

demo: $(VENV)/.run ## See it work: one job from submission to video files, against the sandbox
	@exec $(BIN)/swiftia-receiver demo $(ARGS)

bench: $(VENV)/.run ## Measure this machine: callbacks acknowledged and jobs carried through
	@exec $(BIN)/swiftia-receiver bench $(ARGS)

bench-door: $(VENV)/.dev $(VENV)/.bench ## How fast a callback is acknowledged, beside gunicorn doing nothing and others (ARGS="--quick", "--pages 50 --json FILE")
	@$(BIN)/python -m tests.bench.door $(ARGS)

bench-budget: $(VENV)/.dev ## What a request is worth: our looks beside five ways of polling (30 minutes; ARGS=--quick, "--work 1", --plan)
	@$(BIN)/python -m tests.bench $(ARGS)

bench-limiter: $(VENV)/.dev ## Is the request allowance used up and never overrun? (12 minutes; ARGS="--seconds 30 --json FILE")
	@$(BIN)/python -m tests.bench.limiter $(ARGS)

bench-drain: $(VENV)/.dev ## Callbacks to kept results with 1 to 8 workers, by shift and by fork, beside RQ (3 minutes; ARGS="--seconds 3 --json FILE")
	@$(BIN)/python -m tests.bench.drain $(ARGS)

bench-large: $(VENV)/.dev $(VENV)/.s3 ## One file of 2 GiB to a disk and to S3, over a cut and a kill; ARGS=64: of so many MiB
	@$(BIN)/python -m tests.bench.large $(ARGS)

bench-million: $(VENV)/.dev ## A ledger with a million finished jobs: memory, and how fast it is asked (20 minutes; ARGS="--jobs 100000 --json FILE")
	@$(BIN)/python -m tests.bench.million $(ARGS)

api-fuzz: $(VENV)/.dev ## Ask every route anything, and hold the answers against /openapi.json; ARGS="--max-time 60 --seed 1"
	@$(BIN)/python -m tests.apifuzz $(ARGS)

chaos: $(VENV)/.dev ## Hurt it for CHAOS_SECONDS (600), then hold its books against the sandbox's; ARGS=rolling: another run
	@$(BIN)/python -m tests.chaos $(ARGS)

prove-image: $(VENV)/.run ## Build the image twice and carry a job through it (root; apt install buildah debootstrap runc); ARGS=--help
	@$(BIN)/python -m tests.image $(ARGS)

screenshots: $(VENV)/.dev ## Take every page of the console against the sandbox; ARGS="FOLDER --only parked", --readme
	@$(BIN)/python -m tests.pictures $(ARGS)

test: ## Everything of `make check`, then all tests, six files at a time
	@$(MAKE) --no-print-directory --jobs 2 $(VENV)/.dev $(VENV)/.s3 $(VENV)/.deploy $(VENV)/.compiled check
	$(COMPILED) $(BIN)/python -m pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder $(ARGS)

# Once, and not by all its processes at the same time; meanwhile mypy has the other core.
$(VENV)/.compiled: $(VENV)/.dev
	@$(COMPILED) $(BIN)/python -m pytest --quiet --collect-only >/dev/null
	@touch $@

check: $(VENV)/.dev ## Lint, formatting, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

settings-table: $(VENV)/.dev ## Write the README's table of settings anew, from workers/settings.py
	@$(BIN)/python -m tests.settings_table

format: $(VENV)/.dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install-hooks: $(VENV)/.dev ## Run `make check` before each commit
	$(BIN)/pre-commit install

UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(VENV)/.lock ## Lock the dependencies of pyproject.toml anew; newest versions with ARGS=--upgrade
	$(UV_COMPILE) $(ARGS) pyproject.toml --output-file requirements/run.txt
	$(UV_COMPILE) $(ARGS) pyproject.toml --extra tracing --constraints requirements/run.txt \
	  --output-file requirements/tracing.txt
	$(UV_COMPILE) $(ARGS) pyproject.toml --extra tracing --group dev --constraints requirements/tracing.txt \
	  --output-file requirements/dev.txt
	$(UV_COMPILE) $(ARGS) --group build --output-file requirements/build.txt
	$(UV_COMPILE) $(ARGS) --group lock --output-file requirements/lock.txt
	$(UV_COMPILE) $(ARGS) --group sbom --output-file requirements/sbom.txt
	$(UV_COMPILE) $(ARGS) --group deploy --output-file requirements/deploy.txt
	$(UV_COMPILE) $(ARGS) --group s3 --output-file requirements/s3.txt
	$(UV_COMPILE) $(ARGS) --group bench --output-file requirements/bench.txt

# The stamps below make a second call instant; a changed lock file installs what changed.

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || { \
	  echo "swiftia-receiver needs Python 3.11 to 3.14; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt requirements/build.txt pyproject.toml
	@echo "Installing what the service needs into $(VENV)"
	@$(PIP) $(LOCKED) -r requirements/run.txt -r requirements/build.txt
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "Installing what its tests need into $(VENV)"
	@$(PIP) $(LOCKED) --no-compile -r requirements/dev.txt
	@touch $@

# The S3 server of the tests, which does not go together with what it is to test. Most of it is never imported, and so not
# compiled either; pip is that of the other one.
$(VENV)/.s3: $(VENV)/.python requirements/s3.txt
	@echo "Installing the S3 server of the tests into $(VENV)/s3"
	@$(BIN)/python -m venv --without-pip $(VENV)/s3
	@$(PIP) --python $(VENV)/s3/bin/python $(LOCKED) --no-compile -r requirements/s3.txt
	@touch $@

# What the door is measured beside, and nothing of the service.
$(VENV)/.bench: $(VENV)/.python requirements/bench.txt
	@echo "Installing what the door is measured beside into $(VENV)/bench"
	@$(BIN)/python -m venv --without-pip $(VENV)/bench
	@$(PIP) --python $(VENV)/bench/bin/python $(LOCKED) -r requirements/bench.txt
	@touch $@

# What the tests of deploy/ ask: kubectl, hadolint, schemas. Not compiled, as above.
$(VENV)/.deploy: $(VENV)/.python requirements/deploy.txt
	@echo "Installing what the tests of deploy/ ask into $(VENV)/deploy"
	@$(BIN)/python -m venv --without-pip $(VENV)/deploy
	@$(PIP) --python $(VENV)/deploy/bin/python $(LOCKED) --no-compile -r requirements/deploy.txt
	@touch $@

$(VENV)/.lock: $(VENV)/.python requirements/lock.txt
	@$(PIP) $(LOCKED) -r requirements/lock.txt
	@touch $@
