# make demo     set up, fetch FashionMNIST, train a linear baseline and TinyVGG, compare them
# make install  the environment alone, in .venv
# make test     the environment with the test tools, then the whole suite
# make docs     the book as a site in build/docs, its code executed
# make notebooks  the book's chapters as notebooks in build/notebooks
# make lint     format, lint, types, import rules
# make fuzz     read damaged and hostile files for a while: make fuzz SECONDS=3600
# make bench    measure speed against the textbook loops and the machine's peak, memory against its estimates, and all
#               that serves (an hour and a half)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
JOBS ?= 2
SECONDS ?= 600

.PHONY: demo install install-test test docs notebooks lint fuzz bench clean

demo: install
	@data=fashion-mnist; \
	$(BIN)/convscope data fetch fashion-mnist || { \
		data=fashion-mnist-mini; echo "going on with $$data, the part of FashionMNIST that Convscope ships"; }; \
	$(BIN)/convscope compare $$data linear tinyvgg_bn --epochs 3

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

test: install-test
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs $(JOBS) docs build/docs
	@echo "the book is in build/docs: open build/docs/index.html"

notebooks: $(VENV)/.installed-docs
	$(BIN)/python docs/notebooks.py build/notebooks

lint: install-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: install-test
	@$(PIP) --no-build-isolation --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

bench: install-test
	$(BIN)/python benchmarks/peak.py
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/vgg11.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/processes.py
	$(BIN)/python benchmarks/events.py

clean:
	rm -rf $(VENV) build src/*.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Convscope needs Python 3.11 or newer: name one, for example make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing: sudo apt install python3-venv, then try again"; exit 1; }

# torch goes first: with its version settled nothing else can bring in another one.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV); torch is large, the first time takes minutes"
	@$(PIP) torch==$$(sed -n 's/^torch==//p' constraints.txt) numpy setuptools
	@$(PIP) --no-build-isolation --editable ".[all]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(PIP) --no-build-isolation --editable ".[docs]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(PIP) --no-build-isolation --editable ".[test]"
	@touch $@
