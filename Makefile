# Every command that CI and the README name. A fresh machine needs Python 3.11+ with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
# Processes that tests run in, each with servers of its own: they mostly wait, for locks and timeouts.
WORKERS ?= 4
IMAGE ?= localhost/pgstrata:$(shell sed -n 's/__version__ = "\(.*\)"/\1/p' operator/pgstrata/__init__.py)
BUILD = builder="$(BUILDER)"; for found in docker podman buildah; do \
	  if [ -z "$$builder" ] && $$found info >/dev/null 2>&1; then builder=$$found; fi; done; \
	  $${builder:-docker} build $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD_ARGS)
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/node

# Python may keep its bytecode here: the hundreds of processes of a test run start in half the time
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all test-cluster lint crds kustomize image sbom bench lock clean
.DEFAULT_GOAL := test

# The main job on real input: PostgreSQL, a control plane and the operator on loopback. ARGS=--help
demo: .venv/ready
	@$(BIN)/python -m tests.demo $(ARGS)

# Lint, types, layering, generated files, then every test that this machine can run, but for those on
# a node (test-cluster). PG=15,16,17,18 or all
test: lint
	@$(PYTEST) $(if $(PG),--pg=$(PG)) $(ARGS)

# The same with every kill matrix whole
test-all: lint
	@$(PYTEST) --whole $(if $(PG),--pg=$(PG)) $(ARGS)

# The chart and the image on a whole node: root, 8 minutes; the first time 10 more, for the programs
test-cluster: .venv/ready
	@$(BIN)/python -m pytest -s --durations=5 tests/node $(ARGS)

lint: .venv/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pgstrata.cli.crds --check crds

# CustomResourceDefinitions (crds/, the chart) and the tables of docs/kinds, from the pydantic models
crds: .venv/ready
	@$(BIN)/python -m pgstrata.cli.crds crds

# kustomize/operator.yaml, from the chart
kustomize: .venv/ready
	@$(BIN)/python -m tests.testbed.kustomize_base

# The operator's image, by BUILDER or the first builder that works here. IMAGE=registry/name:tag
# BASE=python:3.13-slim BUILDER=podman BUILD_ARGS='--build-arg PIP_INDEX_URL=...'
image: dist/wheel
	@$(BUILD) --tag "$(IMAGE)" .

# Exactly one wheel: the Dockerfile takes whatever is in dist/
dist/wheel: .venv/ready FORCE
	@rm -f dist/*.whl && $(BIN)/python -m hatchling build -t wheel -d dist

# What is in the image, from Debian and from Python, with versions: dist/pgstrata.cdx.json. Builds it
# like `make image`, into dist/root
sbom: dist/wheel
	@rm -rf dist/root && $(BUILD) --output type=local,dest=dist/root .
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/sbom
	@$(BIN)/uv pip sync --quiet --python .venv/sbom/bin/python --require-hashes requirements/sbom.lock
	@PYTHONPATH=$$(echo "$(CURDIR)"/dist/root/opt/pgstrata/lib/python3*/site-packages) \
	  .venv/sbom/bin/python -I -m cyclonedx_py environment -S $(BIN)/python --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --output-file dist/python.cdx.json
	@.venv/sbom/bin/python -I image/sbom.py dist/root dist/python.cdx.json > dist/pgstrata.cdx.json

# Measurements beside limits and peers. ONLY=runner
bench: .venv/ready
	@$(BIN)/python -m bench $(if $(ONLY),--only=$(ONLY))

# Compile the hashed locks anew from pyproject.toml
lock: .venv/ready
	@for name in runtime dev bootstrap go sbom; do \
	  case $$name in runtime) group=;; *) group="--group pyproject.toml:$$name";; esac; \
	  case $$name in runtime|dev) src=pyproject.toml;; *) src=;; esac; \
	  $(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal \
	    --python-version 3.11 $$src $$group -o requirements/$$name.lock || exit 1; \
	done

FORCE:

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache bench/out

.venv/ready: requirements/bootstrap.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pgstrata needs Python 3.11 or newer")'
	@echo "preparing .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/bootstrap.lock requirements/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
