# SPDX-License-Identifier: Apache-2.0
# make test   environment, lint, types, whole test suite      make demo   encode, decode and compare a real clip
# make lint   ruff and mypy only                              make clean  remove what these made
# PYTHON=/path/to/python chooses the interpreter (3.11 or 3.12) the environment is made with.

VENV  := .venv
READY := $(VENV)/.ready
BIN   := $(VENV)/bin
TYPED := build/typecheck/nvcodec

# The suite's tensors are small: more threads than this only wait for each other.
export OMP_NUM_THREADS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1

.PHONY: test demo lint clean
.DELETE_ON_ERROR:

test: lint
	-@$(BIN)/python scripts/get_chromium.py
	$(BIN)/nvc bench --size 64x48 --frames 0:13 --quiet > /dev/null  # compiles once, for all workers alike
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile

demo: $(READY)
	$(BIN)/python scripts/demo.py

# mypy looks for packages where they lie, and models/ lies beside nvcodec/: show it the tree as it is installed.
lint: $(READY)
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	@rm -rf $(TYPED) && mkdir -p $(TYPED)
	@for entry in nvcodec/* models entropy datasets; do ln -s "$(CURDIR)/$$entry" $(TYPED)/; done
	$(BIN)/mypy --no-error-summary -p nvcodec

$(READY): pyproject.toml setup.py scripts/find_python.sh
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV) && \
	    python=$$(sh scripts/find_python.sh "$(PYTHON)") && "$$python" -m venv $(VENV); }
	@echo "installing into $(VENV): PyTorch with its CUDA libraries is a download of several GB" >&2
	$(BIN)/python -m pip install -q -e '.[test]'
	@touch $(READY)

clean:
	rm -rf $(VENV) build demo-output *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
