# Three commands matter: `make corpus` builds a corpus, `make train` trains a model on it, `make test`
# proves the tree. All set up all they need; a second call finds everything in place.

PYTHON ?= python3
RECIPE ?= pipelines/recipes/default.yaml
OUT ?= out/corpus
TRAIN ?= train/recipes/tiny.yaml
# Processes of `make test`: one a core.
TESTERS ?= auto
ARGS ?=
BIN := .venv/bin

.PHONY: corpus train test lint bench setup clean

corpus: setup
	$(BIN)/dsvl-data corpus build $(RECIPE) --out $(OUT) $(ARGS)

train: setup
	$(BIN)/dsvl-data train $(TRAIN) $(ARGS)

test: setup
	$(BIN)/pytest -n $(TESTERS) --dist loadgroup $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; \
		$(BIN)/python -m benchmarks.$$(basename $$script .py) || exit 1; done

setup:
	@$(PYTHON) scripts/setup.py

clean:
	rm -rf .venv .setup out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
