# Everything runs from here; `make` prints this list.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
REGISTRY ?= examples/modelplane.yaml
DEMO_SECONDS ?=
# Besides the one of plugin/package.json.
GRAFANA_VERSIONS ?= 11.6 13.2
# Tests of servers wait more than they compute, hence more processes than this has cores.
TEST_PROCESSES ?= 4
PARTS ?= all
# Tests start hundreds of processes; without their byte code each would compile the packages anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up servers plugin plugin-test plugin-harness plugin-versions test test-fast test-minimum test-pythons leak-hunt fuzz ledger-cells churn apply-storm lint fmt generate \
	bench clean system system-development

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: system-development $(VENV)/.dev ## install all that development, tests and the demo need

demo: system $(VENV)/.demo ## run the plane with example models; DEMO_SECONDS=120 ends by itself
	$(BIN)/modelplane demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

up: system $(VENV)/.demo ## run the plane for REGISTRY on this machine
	$(BIN)/modelplane up --registry $(REGISTRY)

servers: $(VENV)/.dev ## fetch (again) the newest servers for tests, of Debian's next release
	$(BIN)/python tests/support/newest_servers.py --refresh

# Status 69: the newest servers cannot be had, and the tests that need them say so.
# In the order of their folders, which begins with the long ones.
test: setup ## run every test
	@$(BIN)/python tests/support/newest_servers.py || [ $$? -eq 69 ]
	@$(BIN)/python tests/support/compose_program.py || [ $$? -eq 69 ]
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/.dev ## run the unit tests that are quick
	$(BIN)/pytest -n auto --dist loadfile -m 'not slow' tests/unit

test-minimum: $(VENV)/.dev ## run unit tests with the lowest releases that setup.cfg declares; PARTS="base backend" chooses
	$(BIN)/python tests/support/environments.py $(PARTS)

test-pythons: $(VENV)/.dev ## run the exporter's unit tests and the recipes on Python 3.12 and 3.13, where they are at hand
	@for version in 3.12 3.13; do \
		for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python absent; do \
			$$python -c '' 2>/dev/null && break; \
		done; \
		if [ $$python = absent ]; then echo "Python $$version is neither on PATH nor with pyenv: not tested"; \
		else $(BIN)/python tests/support/environments.py --newest --python $$python base recipes || exit 1; fi; \
	done

leak-hunt: setup ## try 100,000 hostile queries against the tenants' Prometheus API
	MODELPLANE_LEAK_TRIES=100000 $(BIN)/pytest tests/integration/test_prometheus_api_leaks.py

fuzz: setup ## hold 25 times as many random requests against the OpenAPI document
	MODELPLANE_FUZZ_TIMES=25 $(BIN)/pytest tests/integration/test_schemathesis.py

ledger-cells: setup ## hold 100,000 random cells of the cost ledger against a ledger in plain fractions
	MODELPLANE_LEDGER_CELLS=100000 $(BIN)/pytest tests/unit/datasource/costs/ledger/test_reference.py

churn: setup ## let 5,000 generations of workers end in any way, and 100,000 without a scrape
	MODELPLANE_CHURN_GENERATIONS=5000 MODELPLANE_CHURN_FILES=100000 \
		$(BIN)/pytest --log-cli-level=info tests/integration/test_worker_churn.py

apply-storm: setup ## apply 50 registries to a plane that runs, and kill 20 applies
	MODELPLANE_APPLY_TIMES=50 MODELPLANE_APPLY_KILLS=20 \
		$(BIN)/pytest -n 0 --log-cli-level=info tests/integration/test_apply_storm.py

plugin: plugin/node_modules/.installed ## build Grafana's plugin into plugin/dist; takes Node 20
	cd plugin && rm -rf dist && npm run build

plugin-test: plugin/node_modules/.installed ## eslint, prettier, types and unit tests of the plugin
	cd plugin && npm run lint && npm run types && npm test

plugin-harness: plugin $(VENV)/.dev ## walk through the built plugin in Chromium, without a Grafana; pictures in plugin/harness/build
	cd plugin && node harness/build.mjs
	PYTHONPATH=tests/support $(BIN)/python plugin/harness/walk.py

plugin-versions: $(VENV)/.dev plugin $(GRAFANA_VERSIONS:%=plugin/harness/versions/%/node_modules/.installed) ## types and pages of the plugin with other versions of Grafana
	cd plugin && node harness/versions/check-types.mjs $(GRAFANA_VERSIONS)
	@for version in $(GRAFANA_VERSIONS); do \
		packages=plugin/harness/versions/$$version; \
		node plugin/harness/build.mjs $$packages || exit 1; \
		PYTHONPATH=tests/support $(BIN)/python plugin/harness/walk.py --packages $$packages pages signal editors states panels || exit 1; \
	done

lint: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: $(VENV)/.dev ## let ruff format the code and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev ## write every committed file that is generated
	$(BIN)/python -m modelplane_provisioning.generated

bench: $(VENV)/.dev ## run the benchmarks; each prints JSON with its method
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean: ## remove what make and the commands created
	rm -rf $(VENV) build dist .plane .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

plugin/node_modules/.installed: plugin/package.json plugin/package-lock.json
	cd plugin && npm ci
	@touch $@

plugin/harness/versions/%/node_modules/.installed: plugin/harness/versions/%/package.json plugin/harness/versions/%/package-lock.json
	cd $(dir $<) && npm ci --ignore-scripts
	@touch $@

system:
	@provisioning/install-servers.sh

system-development:
	@provisioning/install-servers.sh --development

$(VENV)/.demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -e '.[demo,dev]'
	@touch $@ $(VENV)/.demo
