# Two commands matter: `make demo` and `make test`. Both set up everything they need on a fresh clone.
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench prove lock clean
VENV ?= .venv
export VENV
BIN := $(VENV)/bin

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo:  ## Install, then run the whole job on a simulated five-venue market and write out/demo/report.html
	@bash scripts/bootstrap.sh base
	@$(BIN)/ivhedge demo --out out/demo

test: check  ## Install, check the code and run the tests
	@$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

check:  ## Style, types and layers
	@bash scripts/bootstrap.sh dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -n 2
	@$(BIN)/lint-imports

format:  ## Rewrite the code in the house style
	@bash scripts/bootstrap.sh dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench:  ## Measure the figures; JSON goes to benchmarks/results/
	@bash scripts/bootstrap.sh bench
	@mkdir -p benchmarks/results
	@for name in pricing surface flexible flexible_truth replay margin scenario_book controls attribution factors var forecast hedge_solver hedge_policies hedge_net hedge_ratios hedge_vega cross_vega vol_view slippage stream stress_tapes fusion mispricing adjustment sweep; do \
	  $(BIN)/python benchmarks/$$name.py > benchmarks/results/$$name.json || exit 1; \
	  cat benchmarks/results/$$name.json; \
	done

prove:  ## The longer proofs, on recorded data where it is present
	@bash scripts/bootstrap.sh dev
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -m "slow or recorded or hypothesis"

lock:  ## Rewrite requirements/*.txt from pyproject.toml (needs uv)
	@bash scripts/lock.sh

clean:  ## Remove everything that was made here
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
