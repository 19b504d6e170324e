# The two commands of the README: `make run` and `make test`. Both set up what they need.
.PHONY: run test quick test-long test-cluster test-kills test-kubeflow setup lint lock

CATALOGUE ?=
OUTPUT ?= runs/sample
BIN := .venv/bin

run:  ## set up, then photos to a served answer: the drawn sample, or CATALOGUE=path/catalogue.csv
	@sh .ci/setup run
	@$(BIN)/m3net demo --output $(OUTPUT) $(if $(CATALOGUE),--catalogue $(CATALOGUE))

test:  ## set up, then every check and every test but the long ones
	@sh .ci/setup dev
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick:  ## a minute's worth of tests
	@sh .ci/setup dev
	$(BIN)/python -m pytest -m "not slow and not long"

test-long:  ## the tests of a minute or more: spans, kills, a search, Kubeflow's steps, more devices and processes; half an hour
	@sh .ci/setup dev
	$(BIN)/python -m pytest -m long

test-cluster:  ## ingestion, embedding and evaluation on a real Flink on loopback; needs Java 17 and Maven, downloads 400 MB
	@sh .ci/setup dev
	M3NET_CLUSTER=1 $(BIN)/python -m pytest tests/cluster

test-kills:  ## kill -9 at ten random moments of a run, and on; some minutes
	@sh .ci/setup dev
	M3NET_KILLS=10 $(BIN)/python -m pytest -s -m long tests/e2e/test_kills.py

test-kubeflow:  ## every step of the Kubeflow package by its own command; some minutes
	@sh .ci/setup dev
	M3NET_REAL_STEPS=1 $(BIN)/python -m pytest -m long tests/e2e/test_kubeflow_steps.py

lint:  ## style, types and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolve the requirements anew; needs uv
	uv pip compile requirements.in --override overrides.txt --python-version 3.11 --no-emit-index-url --generate-hashes -o requirements.lock
	uv pip compile requirements-dev.in --override overrides.txt --python-version 3.11 --no-emit-index-url --generate-hashes -c requirements.lock -o requirements-dev.lock
