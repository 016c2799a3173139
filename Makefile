# lipcert: one command each. Needs Python 3.11 or newer with venv, and a package index.
PYTHON ?= python3
VENV   ?= .venv
OUT    ?= out/demo
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
PINS   := pyproject.toml constraints.txt
DIGITS := examples/digits

# Two worker processes on two cores; one thread in each, so that they do not fight. A file stays in
# one process: the blocks of a page of the documentation build on each other.
WORKERS     ?= 2
PYTEST_ARGS ?=
BENCH_ARGS  ?=
ONE_THREAD  := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format docs bench clean

help: ## say what each command does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## install, certify the shipped digits network's twins, write a report, say where
	@for twin in pruned int8; do \
		echo "demo: bounding the drift of $(DIGITS)/model.$$twin.onnx from model.onnx"; \
		$(BIN)/lipcert certify $(DIGITS)/model.onnx $(DIGITS)/model.$$twin.onnx \
			--inputs $(DIGITS)/inputs.npz:x --eps 0.01 --clip 0 1 --out $(OUT)/$$twin || exit; \
	done
	@$(BIN)/lipcert report $(OUT)/pruned $(OUT)/int8 --html $(OUT)/report.html
	@echo "demo: the certificates and their arrays lie in $(OUT)/pruned and $(OUT)/int8"

test: $(VENV)/.test ## install, run the tests
	@echo "test: running pytest in $(WORKERS) processes"
	@$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check format, rules, types and import contracts
	@echo "lint: ruff format, ruff check, pyright, import contracts"
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code and apply the safe fixes
	@$(BIN)/ruff check --fix --exit-zero
	@$(BIN)/ruff format

docs: $(VENV)/.docs ## build the documentation into out/site
	@echo "docs: building out/site"
	@PATH=$(abspath $(BIN)):$$PATH NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "docs: open out/site/index.html"

bench: $(VENV)/.bench ## run every benchmark, for all tables of the documentation: hours
	@echo "bench: tables follow; the same facts go to out/bench/*.json"
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.tightness --json out/bench/tightness.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.qebverif --json out/bench/qebverif.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.checker --json out/bench/checker.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.peer --json out/bench/peer.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.allocate --json out/bench/allocate.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.mlperf_tiny --samples --resnet \
		--json out/bench/mlperf_tiny.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.drift_sdp --json out/bench/drift_sdp.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.lipschitz --long --ours \
		--json out/bench/lipschitz.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.lipschitz --small \
		--json out/bench/lipschitz_small.json $(BENCH_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m benchmarks.lipschitz_conv --json out/bench/lipschitz_conv.json $(BENCH_ARGS)

clean: ## remove the environment, results and caches
	@rm -rf $(VENV) out .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache

# The environment in three steps; a stamp is renewed when the pins or the project file change.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.11 ..."; exit 1; }
	@echo "env: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.venv $(PINS)
	@echo "env: installing lipcert and its pinned dependencies (minutes the first time)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e '.[report]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "env: installing the test tools"
	@$(PIP) --no-build-isolation -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "env: installing the lint and benchmark tools"
	@$(PIP) --no-build-isolation -e '.[test,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	@echo "env: installing the documentation's tools"
	@$(PIP) --no-build-isolation -e '.[report,docs]'
	@touch $@

# The peer's own pins cannot be met (see its requirements.txt), hence two steps; without it the
# benchmarks still run and say that it is absent.
$(VENV)/.bench: $(VENV)/.run benchmarks/peers/requirements.txt
	@echo "env: installing the peers of the benchmarks"
	@{ $(PIP) -r benchmarks/peers/requirements.txt && \
		$(PIP) --no-deps auto-lirpa==0.3 onnx2torch==1.5.15 eclipse-nn==0.1.7 && touch $@; } || \
		echo "env: the peers cannot be installed here; their tables will be left out"
