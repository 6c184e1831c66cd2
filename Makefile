# Two commands set everything up; neither needs root, nor anything but Python, this folder and a
# network for pip.
#
#   make demo    installs the program, continues a bundled primer and renders it to demo/
#   make test    installs what the tests need and runs every check
#
# Another Python than the first `python3` of the PATH:  make demo PYTHON=python3.12
# All paths are relative, so that a checkout may lie in a folder with spaces in its name.

PYTHON ?= python3
PRIMER ?= data/primers/beethoven_moonlight.mid

VENV := .venv
RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Only thread pools are limited, not the results: two test processes share two cores.
TEST_THREADS := OMP_NUM_THREADS=1
TEST_PROCESSES ?= 2

# What the native decoder is compiled from, which installing does.
NATIVE := $(wildcard perceiver_music/model/native/compile.py perceiver_music/model/native/source/*)

.PHONY: demo test lint types floors pytest faults lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/demo.stamp
	@mkdir -p demo
	$(RUN) perceiver_music continue "$(PRIMER)" --length 30s --seed 5 --render --force -o demo/

test: lint types floors pytest

lint: $(VENV)/test.stamp
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: $(VENV)/test.stamp
	$(RUN) mypy

floors: $(VENV)/test.stamp
	$(VENV)/bin/lint-imports

pytest: $(VENV)/test.stamp
	$(TEST_THREADS) $(RUN) pytest -n $(TEST_PROCESSES)

# Every promise of docs/reliability.md in full, which takes hours. One of them: make faults ONLY="1 4"
faults: $(VENV)/test.stamp
	$(TEST_THREADS) $(RUN) benchmarks.faults.run $(if $(ONLY),--only $(ONLY))

# requirements.lock anew from constraints.txt; needs uv. What comes with torch is left to torch.
lock:
	uv pip compile pyproject.toml --quiet --extra test --constraint constraints.txt --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header \
	  $(foreach name,torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas \
	  nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft \
	  nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
	  nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx,--no-emit-package $(name)) \
	  --output-file requirements.lock

clean:
	rm -rf $(VENV) build dist demo

# A stamp is newer than what it was installed from, or the installation is made again.
$(VENV)/demo.stamp: $(VENV)/bin/python pyproject.toml constraints.txt $(NATIVE)
	$(INSTALL) --editable .
	@touch $@

# All but torch by its hash, then torch and the program itself.
$(VENV)/test.stamp: $(VENV)/bin/python pyproject.toml constraints.txt requirements.lock $(NATIVE)
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
