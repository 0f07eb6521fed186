PYTHON ?= python

.PHONY: check format test slow

check:  ## what a commit must pass
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_layers.py

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test:
	$(PYTHON) -m pytest

slow:  ## kill tests, determinism on the full sample, memory: about half an hour on two cores
	$(PYTHON) -m pytest -n 0 -m slow
