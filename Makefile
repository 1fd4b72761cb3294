# make demo: install, train on handwritten digits, open the report.   make test: install, then the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo install chromium test check slow bench tutorials site clean

demo: install
	@$(BIN)/python examples/demo.py

install: .venv/installed

# Without ensurepip (some Linux distributions leave it out) the outer pip puts the first packages into the environment.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || $(PYTHON) -m venv --clear --without-pip .venv
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The tests of the playground want a browser: where it is missing and may be installed, Debian's; elsewhere they are skipped.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && timeout 240 sh -c \
	  'apt-get update -q && apt-get install -q -y --no-install-recommends chromium' >/dev/null 2>&1; } \
	  || echo "no chromium here: the tests of the playground are skipped"

test: install chromium
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/whole

slow: install
	$(BIN)/python -m pytest -m slow

bench: install
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/tables.py

tutorials: install
	$(BIN)/python docs/tutorials/run.py

site: install
	$(BIN)/mkdocs build --strict --site-dir build/site

clean:
	rm -rf .venv build dist runs
