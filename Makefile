# `make book`, `make pdf`, `make release`, `make test`, `make check`, `make lab`: each sets up what it needs, and is quick when nothing changed.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
export HTCV_LAB_PORT ?= 8888
VENV := .venv
BIN := $(VENV)/bin
AUDIT := $(VENV)/audit/bin
# The environment is made again when, and only when, what it is made from changes.
WANTED := $(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')
STAMP := $(VENV)/.made-from-$(WANTED)

.PHONY: book pdf release test check test-slurm lab lint vendor audit clean help

book: $(STAMP)  ## execute what is stale and build the book into _build/html
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jb build . -W --keep-going -n
	@echo "The book: file://$(CURDIR)/_build/html/index.html"

pdf: book  ## print the book into one file, by Chromium
	@$(BIN)/python book/release.py pdf

release: pdf  ## fill _build/release: pages, PDF, records, weights, descriptions of the data, checksums
	@$(BIN)/python book/release.py release

test: $(STAMP)  ## run all tests; browser tests are skipped without Chromium
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -rs --durations=10

check: $(STAMP)  ## check style, architecture and units in two minutes: no training, no book, no browser
	@$(BIN)/ruff check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "not slow and not book"

test-slurm: $(STAMP)  ## as root on Debian or Ubuntu: install Slurm, run six toy runs on two nodes of it, kill one node
	@DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -rs -s tests/runs/test_where.py -k slurm

lab: $(STAMP)  ## open JupyterLab on the notebooks, at http://localhost:8888/lab
	@$(BIN)/python -c 'import socket, sys; sys.exit(socket.socket().connect_ex(("localhost", $(HTCV_LAB_PORT))) == 0 and \
	  "Port $(HTCV_LAB_PORT) is taken, perhaps by another JupyterLab. Take another: HTCV_LAB_PORT=8889 make lab")'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --port $(HTCV_LAB_PORT) --ServerApp.port_retries=0 \
	  --notebook-dir "$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_OPTIONS)

lint: $(STAMP)  ## check the code's style
	@$(BIN)/ruff check .

vendor:  ## fetch what runs the live figures in a browser (needs npm); the repository has it already
	$(PYTHON) book/live/vendor.py

audit: $(STAMP)  ## list licences of the packages, and known vulnerabilities where the advisories can be reached
	@test -x $(AUDIT)/pip-audit || { $(PYTHON) -m venv $(VENV)/audit && \
	  $(AUDIT)/python -m pip install --quiet --disable-pip-version-check pip-audit pip-licenses; }
	@$(AUDIT)/pip-licenses --python $(BIN)/python --order=license
	-@$(AUDIT)/pip-audit --requirement requirements.lock --no-deps --disable-pip --progress-spinner off

clean:  ## remove the built pages; records, weights and the environment stay
	rm -rf _build book/pages

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "No venv module? On Debian or Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "Installing the locked packages into $(VENV); the first time this takes some minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.made-from-*
	@touch $@
