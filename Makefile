# make run    execute the notebooks on the built-in competition; COMPETITION=<name or folder> for another
# make test   ruff, import contract, the everyday suite
# make bench  every benchmark; writes benchmarks/RESULTS.md
PYTHON ?= python3
COMPETITION ?= digits
BIN := .venv/bin
# A file at a time in two processes, so that what its tests share is made once; in the order of their names
PYTEST := python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-slow bench clean

run:
	@start=$$(date +%s); $(MAKE) --no-print-directory .venv/stamp && \
	$(BIN)/python -m kagglekit run --competition "$(COMPETITION)" --setup-seconds $$(( $$(date +%s) - start ))

test: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/$(PYTEST)

# Slow by nature, then the everyday suite once more on the versions of Kaggle's image.
test-slow: .venv/stamp .venv-kaggle/stamp
	$(BIN)/$(PYTEST) -m slow
	.venv-kaggle/bin/$(PYTEST)

bench: .venv/stamp
	$(BIN)/python -m benchmarks

# Built when missing or older than what it is made of.
.venv/stamp: pyproject.toml
	@echo "setting up .venv (about two minutes)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[notebooks,pretrained,test]"
	@touch $@

# The pip part of environment.yml, so that it is tested as well, held to the versions on Kaggle.
.venv-kaggle/stamp: pyproject.toml environment.yml tests/kaggle-constraints.txt
	@echo "setting up .venv-kaggle (about two minutes)"
	$(PYTHON) -m venv .venv-kaggle
	sed -n 's/^ *- \(-e .*\)/\1/p' environment.yml > .venv-kaggle/requirements.txt
	.venv-kaggle/bin/python -m pip install --quiet --disable-pip-version-check \
		-r .venv-kaggle/requirements.txt -c tests/kaggle-constraints.txt
	@touch $@

clean:
	rm -rf .venv .venv-kaggle data/work kagglekit_work
