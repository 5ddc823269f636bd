# Taskward. `make` alone lists the commands.

PYTHON ?= python3
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=# empty: Python caches bytecode, else each process of the tests compiles all modules anew
WORKERS ?= 5# more than processors: most tests wait for a server to start, or for a time limit to pass
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder -n
QUIET_FILES = $(shell grep -rl --include='test_*.py' 'mark\.quiet' tests)# not all files: to collect the others takes as long as to run these tests
SERVER_FILES = $(shell grep -rlE --include='test_*.py' '^pytestmark = .*mark\.server' tests)

.DEFAULT_GOAL := help
.PHONY: help setup web run serve test faults drill screenshots unit pythons fuzz check fix migrate dist openapi bench bench-growth lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.complete web ## install everything, from the lock files

run: .venv/.complete web ## start PostgreSQL, Better Auth and the API here, and say where to click
	@exec $(BIN)/python -m dev.run

serve: .venv/.complete ## serve the API as in production (settings: .env.example)
	@exec $(BIN)/app serve

test: .venv/.complete web ## run every test, against real servers in temporary places
	@if [ -d web/node_modules ]; then echo "Tests of the page and the sign-in server:" && (cd web && npm test --silent); fi
	@echo "Tests side by side, $(WORKERS) files at once:" && $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(WORKERS) -m "not quiet"
	@echo "Tests that measure time, one after the other:" && $(BIN)/python -m pytest -m quiet $(QUIET_FILES)

# FORM=short takes 6 minutes; FAULTS=killed,disk-full plays those only.
faults: .venv/.complete web ## cause each fault in a real service, and print a table of what happened
	@$(BIN)/python -m tests.chaos $(FORM:%=--%)

drill: .venv/.complete ## back up and restore between two clusters made here, and check counts and row-level security
	@$(BIN)/python -m dev.drill

screenshots: .venv/.complete web ## write pictures of the page in every state, narrow and wide, light and dark, to docs/screenshots/
	@$(BIN)/python -m tests.support.screenshots

unit: .venv/.complete ## run the tests that need no server
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) auto -m "not server and not quiet" $(SERVER_FILES:%=--ignore=%)
	@$(BIN)/python -m pytest -q -m "quiet and not server" $(QUIET_FILES)

pythons: .venv/.complete ## run the tests of `make unit` on each other Python from 3.11 on that this machine has
	@$(BIN)/python -m dev.pythons

fuzz: .venv/.complete ## search longer for inputs that break something: FUZZ=100 times as many as `make test` does
	@FUZZ=$(or $(FUZZ),100) $(BIN)/python -m pytest $(SIDE_BY_SIDE) auto tests/fuzz -q --show-capture=no

check: .venv/.complete web ## lint, types, import contracts, prose, spelling, TypeScript, the OpenAPI document
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m dev.prose
	@$(BIN)/codespell
	@if [ -d web/node_modules ]; then cd web && npm run --silent check; fi

fix: .venv/.complete ## format, and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

migrate: .venv/.complete ## apply the migrations that are waiting at DATABASE_URL
	@$(BIN)/app migrate

dist: web ## pack the TypeScript client: dist/taskward-client-<version>.tgz, for `npm install`
	@mkdir -p dist && cd web && npx tsc -p taskward-client && cp lib/openapi.d.ts taskward-client/dist/ && \
		cd taskward-client && npm pack --silent --pack-destination ../../dist

openapi: .venv/.complete ## write docs/openapi.json
	@$(BIN)/app openapi --output docs/openapi.json

# Options of a run are environment variables: `make bench ROUNDS=3 SCENES=list,create ALG=EdDSA`.
bench: .venv/.complete ## time the API beside its peers: ROUNDS=5 SCENES=list,create-keyed ALG=HS256 BEFORE=<commit> DISTANCE=5 POOLER=1
	@$(BIN)/python -m benchmarks

bench-growth: .venv/.complete ## time the API with more and more tasks; MORE_TASKS=10000000 for ten million
	@$(BIN)/python -m benchmarks growth

lock: .venv/.complete ## make the lock files anew
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --constraint requirements.lock pyproject.toml --extra otel --group dev -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --constraint requirements.lock pyproject.toml --extra otel -o requirements-otel.lock
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --constraint requirements-dev.lock - -o requirements-build.lock
	@for peer in $(wildcard benchmarks/peers/*/requirements.in); do $(BIN)/uv pip compile --quiet --universal \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 $$peer -o $${peer%.in}.lock; done
	@if command -v npm >/dev/null; then for there in benchmarks/peers/hono tests/e2e/front_ends/next tests/e2e/front_ends/vite; \
		do (cd $$there && npm install --silent --package-lock-only); done; fi

clean: ## remove what was installed or cached; the data in .state/ stays (`rm -r .state` deletes it)
	@rm -rf .venv dist web/node_modules web/dist web/taskward-client/dist tests/e2e/front_ends/*/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs in seconds, pip with hashes in a quarter of a minute. So pip installs only uv, by its hash.
.venv/.complete: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Taskward needs Python 3.11 or newer as $(PYTHON): install it, or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "Installing Python packages ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || { awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements-dev.lock > .venv/uv.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock; }
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Vite needs 20.19. Without such a Node the API still works; `make run` says what is missing.
NODE_IS_NEW_ENOUGH := node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + Number(minor) < 2019 ? 1 : 0)' 2>/dev/null
web:
	@if $(NODE_IS_NEW_ENOUGH) && command -v npm >/dev/null \
		&& [ ! web/node_modules/.complete -nt web/package-lock.json ]; then \
		echo "Installing web packages ..." && (cd web && npm ci --silent --no-audit --no-fund && touch node_modules/.complete); fi
	@if $(NODE_IS_NEW_ENOUGH) && [ -d web/node_modules ] && [ -n "$$(find web/page web/lib web/vite.config.ts web/package-lock.json -newer web/dist/index.html 2>/dev/null || echo none)" ]; then \
		echo "Building the page ..." && (cd web && npm run --silent build); fi
