# Postbacks. `make demo` is the way in; `make test lint` is the way to a commit.

# The first that runs and is new enough: a name on PATH may be a shim for a version that isn't there.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$name; break; }; done)
BIN := .venv/bin
# sh, not make, reads these: a value given on the command line or in the environment counts.
export PORT DATA_DIR

.PHONY: demo dev test coverage lint lint-types lint-others format screenshots bench chaos lock clean

demo: .venv/runtime
	@$(BIN)/python manage.py demo $(if $(ONCE),--once) $(if $(RESET),--reset)

dev: .venv/runtime
	@$(BIN)/python manage.py dev

PYTEST := $(BIN)/python -m pytest --numprocesses=$(or $(JOBS),logical) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
test: .venv/development
	@$(PYTEST) $(ARGS)

# The same tests, some minutes slower: which lines no test reaches, and whether they have become more.
coverage: .venv/development
	@$(PYTEST) --cov --cov-report=term $(ARGS)

# mypy takes as long as all the others, which run beside it.
lint: .venv/development
	@$(MAKE) --no-print-directory --jobs=2 lint-types lint-others

lint-types:
	$(BIN)/mypy

lint-others:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djade --check $(shell find templates -name '*.html')
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: .venv/development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs Chromium. Starts a demo of its own, and takes the documentation's pictures of it.
screenshots: .venv/development
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

bench: .venv/development
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick)

# Kills the product's processes at random for some minutes, and judges what was promised.
chaos: .venv/development
	@$(BIN)/python -m tests.chaos $(if $(QUICK),--quick) $(if $(SEED),--seed=$(SEED))

# Needs uv. The lock files are complete, so nothing is resolved when they are installed (`--no-deps`): an older pip asks for
# `coverage[toml]` beside its lock and takes a release of today. They name versions and hashes, never where a package came from.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet
lock: .venv/python
	$(LOCK) pyproject.toml --extra sentry -o requirements.txt
	$(LOCK) pyproject.toml --extra sentry --extra parquet --extra dev -c requirements.txt -o requirements-dev.txt
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["curl"])' \
		| $(LOCK) - -o requirements-curl.txt

.venv/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Postbacks needs Python 3.11 or newer; install it, or name it: make demo PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv
	@touch $@

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
# Postbacks also leave without pycurl, so a machine that no wheel fits (musl, an older glibc) is no failure.
INSTALL_CURL := $(INSTALL) --only-binary :all: -r requirements-curl.txt 2>/dev/null \
	|| echo "There is no pycurl for this machine: postbacks are sent by requests (DELIVERY_TRANSPORT)."

.venv/runtime: requirements.txt requirements-curl.txt | .venv/python
	@echo "Installing the locked dependencies …"
	@$(INSTALL) -r requirements.txt
	@$(INSTALL_CURL)
	@touch $@

.venv/development: requirements-dev.txt requirements-curl.txt | .venv/python
	@echo "Installing the locked dependencies for development …"
	@$(INSTALL) -r requirements-dev.txt
	@$(INSTALL_CURL)
	@touch $@ .venv/runtime

clean:
	rm -rf .venv .local staticfiles
