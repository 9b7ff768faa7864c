# Needs Python 3.11 to 3.14 and make, nothing else.  `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --upgrade pyproject.toml
READER := $(VENV)/.reader
DEVELOPER := $(VENV)/.developer
HTML := book/_build/html
BUILT := book/_build/.built
PORT ?= 8000
CHAPTERS := book/chapters

# The index's torch for Linux brings CUDA along, gigabytes; PyTorch's own page has small builds for the CPU.
# Where the page does not answer, pip takes what it finds.  `make TORCH_BUILDS= ...` asks for CUDA.
TORCH_BUILDS := $(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu/torch/)

# Nothing is compiled at installation, so a module must be kept as compiled when it is first imported: else
# every process compiles PyTorch anew, and `bpa train` takes three times as long to begin.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup book serve test pages course learner lab check format data lock release-check clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */make \1|/' | \
		while IFS='|' read -r target text; do printf '%-15s %s\n' "$$target" "$$text"; done

# A stamp is newer than its lock and pyproject.toml exactly when nothing is left to install.  Who works on the
# book needs all that a reader needs, so that the developer's lock alone, installed first, gives both stamps.
$(READER): requirements.lock pyproject.toml
	$(call install,requirements.lock)
	@touch $(READER)

$(DEVELOPER): requirements-dev.lock requirements.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $(READER) $(DEVELOPER)

define install
@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 14) else f"Python 3.11 to 3.14 is needed, $(PYTHON) is {v[0]}.{v[1]}; choose one with: make PYTHON=python3.12 ...")'
$(PYTHON) -m venv $(VENV)
$(if $(TORCH_BUILDS),-$(PIP) install --retries 2 --timeout 10 --no-compile --find-links $(TORCH_BUILDS) --no-deps -c $(1) torch)
@# Python compiles a module when it is first imported; compiling all of them now takes half as long again.
$(PIP) install --no-compile -r $(1)
@# Once the package was called bpa, as somebody else's on the public index is: one may own the import.
@rm -rf bpa.egg-info
$(PIP) uninstall -qq -y bpa
$(PIP) install --no-deps --no-build-isolation -e .
$(BIN)/python tools/prepare.py
endef

setup: $(READER) ## make .venv and install what a reader needs

book: $(READER) ## build the book from scratch, warnings are errors
	rm -rf book/_build
	OMP_NUM_THREADS=1 $(BIN)/python tools/execute.py
	OMP_NUM_THREADS=1 $(BIN)/python tools/prepare.py $(BIN)/jupyter-book build -W -n --keep-going book
	@touch $(BUILT)
	@echo "The book is built. Open $(CURDIR)/$(HTML)/index.html in a browser, or run: make serve"

$(BUILT):
	@$(MAKE) --no-print-directory book

serve: $(BUILT) ## serve the built book on this machine (PORT=8000)
	@echo "Serving the book at http://127.0.0.1:$(PORT)/ until you press Ctrl-C"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(HTML) $(PORT)

# Each chapter runs once, alone in an empty folder, against the built wheel: see tools/portable.py.
# What Numba compiled for it last time is kept, and holds until a source of the loops changes.
# Two files at a time, each in one thread; a notebook is one file, since its cells share a kernel.
# The notebooks come first: a long one begun last would leave a core idle.
# A cell that hangs is interrupted after the timeout; without one a dead kernel would hang for half an hour.
test: $(DEVELOPER) ## run every test, chapters included
	OMP_NUM_THREADS=1 $(BIN)/python tools/portable.py --keep build/portable -n 2 --dist loadfile --no-loadscope-reorder -m "not pages" --nbval-cell-timeout=600 tests

pages: $(DEVELOPER) $(BUILT) ## open every page of the built book in Chromium and play its live figures, without a network
	$(BIN)/python -m pytest -n 2 --dist worksteal -m pages $$(grep -rl --include='test_*.py' mark.pages tests)

course: $(BUILT) ## make build/course: what a lecturer hands out, and what not
	$(BIN)/python tools/course.py

learner: $(DEVELOPER) ## train the agent of Chapter 10's page in Chromium, five seeds, and say how well and how fast
	$(BIN)/python tools/page_learner.py

lab: $(READER) ## open the first chapter in JupyterLab, the others beside it
	$(BIN)/python tools/prepare.py $(BIN)/jupyter lab --notebook-dir=$(CHAPTERS) --LabApp.default_url=/lab/tree/01_hebb.ipynb

check: $(DEVELOPER) ## lint, format, types, stripped notebooks, environment.yml, binder, README.md, what ships
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify --keep-id $(CHAPTERS)/*.ipynb
	$(BIN)/python tools/environment.py --check
	$(BIN)/python tools/binder.py --check
	$(BIN)/python tools/address.py --check
	$(BIN)/python tools/readme.py --check
	$(BIN)/python tools/data.py --check

format: $(DEVELOPER) ## put code and notebooks into the form that make check wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id $(CHAPTERS)/*.ipynb
	$(BIN)/python tools/environment.py
	$(BIN)/python tools/binder.py
	$(BIN)/python tools/readme.py
	$(BIN)/python tools/address.py

data: $(DEVELOPER) ## copy what ships in the package from results and benchmarks
	$(BIN)/python tools/data.py

lock: $(DEVELOPER) ## choose new versions for both locks within the ranges of pyproject.toml
	$(COMPILE) --all-extras -o $(VENV)/all.lock
	@# torch names its CUDA packages itself where it needs them; its CPU builds need none, nor Triton.
	grep -vE '^(nvidia-|cuda-)' $(VENV)/all.lock > requirements-dev.lock
	$(COMPILE) --extra book --extra lab -c requirements-dev.lock -o $(VENV)/reader.lock
	grep -vE '^(nvidia-|cuda-|triton=)' $(VENV)/reader.lock > requirements.lock

release-check: $(DEVELOPER) ## try both ends of the ranges, the wheel and the sdist from nothing (STAGES=wheel)
	$(BIN)/python tools/release.py $(STAGES)

clean: ## remove what was built, and .venv
	rm -rf $(VENV) book/_build build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
