# Everything a newcomer needs: `make demo` and `make test`. Both set up .venv on first use.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BI_VENV := .venv-bi
AUDIT_VENV := .venv-audit
BI_BIN  := $(BI_VENV)/bin
BI_STAMP := $(BI_VENV)/.installed

# dbt's site needs no data: what it shows stands in the project, and in marts without a row.
DBT_ENV := EARSHOT_WAREHOUSE=$(CURDIR)/build/dbt-docs/empty.duckdb EARSHOT_LAKE=/nowhere DBT_PROJECT_DIR=dbt_project \
  DBT_PROFILES_DIR=dbt_project DBT_TARGET_PATH=$(CURDIR)/build/dbt-docs DBT_LOG_PATH=$(CURDIR)/build/dbt-docs

export PATH := $(CURDIR)/$(BIN):$(PATH)
export DAGSTER_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1

.PHONY: help setup demo test lint types sql unit validate pytest soak docs lock audit clean bi bi-password test-bi lock-bi

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## create .venv with the locked versions

$(STAMP): requirements.lock pyproject.toml $(wildcard ingest/logs/native/*)
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup  ## a world of podcasts through the whole platform, Dagster UI on port 3000
	@earshot demo

test: lint types sql unit validate pytest  ## every check CI runs

lint: setup  ## ruff
	ruff check .
	ruff format --check .

types: setup  ## mypy
	mypy

sql: setup  ## sqlfluff over the dbt project
	sqlfluff lint dbt_project/models dbt_project/tests

unit: setup  ## dbt build and unit tests on a small lake
	python -m tests.dbt.small_lake

validate: setup  ## Dagster definitions, from a clone without a dbt manifest
	rm -rf dbt_project/target
	dagster definitions validate -w workspace.yaml

pytest: setup  ## the Python tests on both cores
	pytest -n 2 --dist loadfile -q

MINUTES ?= 60

soak: setup  ## all faults in random order for an hour (MINUTES=5: for five); not 0 where anything was lost
	python -m tests.faults.soak --minutes $(MINUTES)

docs: setup  ## render docs/methodology.md, docs/marts.md, deploy/dagster.yaml, and dbt's site build/dbt-docs/static_index.html
	env -i PATH="$$PATH" EARSHOT_DATA=/nowhere earshot methodology --output docs/methodology.md
	earshot marts document --output docs/marts.md
	python -m orchestration.instance > deploy/dagster.yaml
	mkdir -p build/dbt-docs
	python -m serving.empty_marts build/dbt-docs/empty.duckdb
	$(DBT_ENV) dbt --quiet parse
	$(DBT_ENV) dbt --quiet docs generate --static --no-compile

lock:  ## resolve pyproject.toml again into requirements.lock
	$(BIN)/python -m pip install --quiet uv
	uv pip compile -q pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock

$(AUDIT_VENV)/.installed:
	@$(PYTHON) -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.9,<3"
	@touch $@

audit: $(AUDIT_VENV)/.installed  ## known vulnerabilities of the locked versions; needs the network
	@$(AUDIT_VENV)/bin/python deploy/audit.py

$(BI_STAMP): deploy/superset/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Superset's versions are those for Python 3.11: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(BI_VENV) (once, one to two minutes, 0.9 GB) ..."
	@$(PYTHON) -m venv $(BI_VENV)
	@$(BI_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $(BI_STAMP)

bi: $(BI_STAMP)  ## Apache Superset with our dashboard over the published marts, port 8088
	@$(BI_BIN)/python -m deploy.superset.start

bi-password: $(BI_STAMP)  ## another password for Superset's administrator
	@$(BI_BIN)/python -m deploy.superset.start --new-password --prepare-only

test-bi: setup $(BI_STAMP)  ## Superset's dashboard in Chromium while versions are published (minutes)
	pytest -q -p no:xdist deploy/superset/tests

lock-bi:  ## resolve deploy/superset/requirements.in again into requirements.txt
	$(BIN)/python -m pip install --quiet uv
	uv pip compile -q deploy/superset/requirements.in --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header -o deploy/superset/requirements.txt

clean:  ## remove the virtual environments and the default data folder
	rm -rf $(VENV) $(BI_VENV) $(AUDIT_VENV) .earshot dbt_project/target
